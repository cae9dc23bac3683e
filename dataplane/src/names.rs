//! Names of hosts to addresses, kept as long as their records say.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Resolves by the hosts file and the name servers of the system. Belongs to the event loop that asks it first.
#[derive(Clone)]
pub struct Names {
    resolver: Option<TokioResolver>,
    cluster_domain: Option<String>,
}

impl Names {
    /// As the system is set up; without name servers the hosts file still counts.
    pub fn of_system() -> Self {
        let nowhere = || (ResolverConfig::from_parts(None, vec![], vec![]), ResolverOpts::default());
        let (config, options) = read_system_conf().unwrap_or_else(|_| nowhere());
        let search: Vec<_> = config.search().iter().map(Name::to_utf8).collect();
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Self { resolver: builder.build().ok(), cluster_domain: cluster_domain(&search) }
    }

    /// The addresses of a host that a tenant names, which may be an address itself; at least one.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.addresses_in_search(&in_full(host, self.cluster_domain.as_deref())).await
    }

    /// The same of a host that the operator names, under the search domains of the system too.
    pub async fn addresses_in_search(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let unset = || io::Error::other("no resolver can be set up on this system");
        let found = self.resolver.as_ref().ok_or_else(unset)?.lookup_ip(host).await.map_err(io::Error::other)?;
        let addresses: Vec<_> = found.iter().take(MAX_ADDRESSES).collect();
        if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
    }
}

/// The domain of the cluster in whose pod this is, as Kubernetes writes it there: `svc.` and the domain are searched too.
fn cluster_domain(search: &[String]) -> Option<String> {
    let is_it = |domain: &&String| search.contains(&format!("svc.{domain}"));
    search.iter().find(is_it).map(|domain| domain.trim_end_matches('.').to_owned())
}

/// A name with a dot as it is asked for: absolutely. Under the search domains of a pod, `api.partner.dev` is first a pod of namespace `dev`, and
/// would be answered by whoever has that. A name that ends in `.svc` is one of the cluster.
fn in_full<'a>(host: &'a str, cluster_domain: Option<&str>) -> Cow<'a, str> {
    if !host.contains('.') || host.ends_with('.') || host.parse::<IpAddr>().is_ok() {
        return host.into();
    }
    match cluster_domain {
        Some(domain) if host.ends_with(".svc") => format!("{host}.{domain}.").into(),
        _ => format!("{host}.").into(),
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

    /// As the kubelet writes them into a pod of namespace `infra`.
    const SEARCH: [&str; 3] = ["infra.svc.cluster.local", "svc.cluster.local", "cluster.local"];

    #[test]
    fn the_domain_of_the_cluster_is_the_one_that_is_searched_with_svc() {
        let domain = |search: &[&str]| cluster_domain(&search.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(domain(&SEARCH).as_deref(), Some("cluster.local"));
        assert_eq!(
            domain(&["infra.svc.k8s.example.com.", "svc.k8s.example.com.", "k8s.example.com."]).as_deref(),
            Some("k8s.example.com")
        );
        assert_eq!(domain(&["corp.example.com", "example.com"]), None);
        assert_eq!(domain(&[]), None);
    }

    #[test]
    fn nobody_has_a_name_with_a_dot_by_having_a_namespace() {
        for (host, asked) in [
            ("api.partner.dev", "api.partner.dev."),
            ("partner.dev", "partner.dev."),
            ("orders.shop", "orders.shop."),
            ("orders.shop.svc", "orders.shop.svc.cluster.local."),
            ("orders.shop.svc.cluster.local", "orders.shop.svc.cluster.local."),
            ("api.partner.dev.", "api.partner.dev."),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1.2.3.4", "2001:db8::1.2.3.4"),
        ] {
            assert_eq!(in_full(host, Some("cluster.local")), asked);
        }
        assert_eq!(in_full("orders.shop.svc", None), "orders.shop.svc.", "outside a cluster it is a name like others");
    }
}
