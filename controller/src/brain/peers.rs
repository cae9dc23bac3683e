//! The other replicas of the controller: the one that writes hears from them what the data planes have that are connected there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use rustls_pki_types::ServerName;
use tokio::task::JoinHandle;

use crate::cluster::{ClusterState, ObjectName};
use crate::fleet::Fleet;
use crate::fleet::peers::{Means, Peer, follow};
use crate::graph::replicas::ready_endpoints;

/// Who is followed.
pub struct Peers {
    /// The Service of the controller, whose endpoints its replicas are.
    pub service: ObjectName,
    pub port: u16,
    /// Address of this replica, which need not be followed.
    pub own: Option<IpAddr>,
    /// In the certificates of all replicas.
    pub server_name: ServerName<'static>,
    pub means: Means,
    followed: BTreeMap<SocketAddr, Following>,
}

struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peers {
    pub fn new(
        service: ObjectName,
        port: u16,
        own: Option<IpAddr>,
        server_name: ServerName<'static>,
        means: Means,
    ) -> Self {
        Self { service, port, own, server_name, means, followed: BTreeMap::new() }
    }

    /// Follows all replicas that `state` knows, and nobody without it.
    pub(super) fn follow(&mut self, state: Option<&ClusterState>, fleet: &Fleet) {
        let endpoints =
            state.into_iter().flat_map(|state| ready_endpoints(state, &self.service.namespace, &self.service.name));
        let addresses = endpoints.flat_map(|endpoint| endpoint.addresses.iter()).filter_map(|ip| ip.parse().ok());
        let others: Vec<_> =
            addresses.filter(|ip| Some(*ip) != self.own).map(|ip| SocketAddr::new(ip, self.port)).collect();
        self.followed.retain(|address, _| others.contains(address));
        for address in others {
            let peer = Peer { address, server_name: self.server_name.clone() };
            let start = || Following(tokio::spawn(follow(fleet.clone(), peer, self.means.clone())));
            self.followed.entry(address).or_insert_with(start);
        }
    }
}
