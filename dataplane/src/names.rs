//! Names of hosts to addresses, kept as long as their records say.

use std::io;
use std::net::IpAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Resolves by the hosts file and the name servers of the system. Belongs to the event loop that asks it first.
#[derive(Clone)]
pub struct Names(Option<TokioResolver>);

impl Names {
    /// As the system is set up; without name servers the hosts file still counts.
    pub fn of_system() -> Self {
        let nowhere = || ResolverConfig::from_parts(None, vec![], vec![]);
        let mut builder = TokioResolver::builder_tokio()
            .unwrap_or_else(|_| TokioResolver::builder_with_config(nowhere(), TokioRuntimeProvider::default()));
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Self(builder.build().ok())
    }

    /// The addresses of `host`, which may be an address itself; at least one.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let resolver = self.0.as_ref().ok_or_else(|| io::Error::other("no resolver can be set up on this system"))?;
        let found = resolver.lookup_ip(host).await.map_err(io::Error::other)?;
        let addresses: Vec<_> = found.iter().take(MAX_ADDRESSES).collect();
        if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_and_local_names_need_no_server() {
        let names = Names::of_system();
        assert_eq!(names.addresses("192.0.2.1").await.unwrap(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert!(names.addresses("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(names.addresses("no such name").await.is_err());
    }
}
