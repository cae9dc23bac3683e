//! Where a Backend's requests end up by what it states, whether that can be called or not: what is guarded there stays guarded while
//! something is broken.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::cluster::ObjectName;

/// One of the places that a Backend names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whereabouts {
    Service(ObjectName),
    /// As [`address`] writes it.
    Address(String),
    /// In lower case.
    Host(String),
    /// It names something, or nothing, of which nobody can tell where it is.
    Untold,
}

/// What `endpoints` of the Backend called `backend` name.
pub fn all(backend: &ObjectName, endpoints: &Value) -> BTreeSet<Whereabouts> {
    let entries = endpoints.as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return BTreeSet::from([Whereabouts::Untold]);
    }
    entries.iter().flat_map(|endpoint| of_endpoint(backend, endpoint)).collect()
}

fn of_endpoint(backend: &ObjectName, endpoint: &Value) -> Vec<Whereabouts> {
    let text = |kind: &str, field: &str| endpoint[kind][field].as_str();
    let service = text("service", "name").map(|name| Whereabouts::Service(ObjectName::new(&backend.namespace, name)));
    let ip = text("address", "ip").map(|ip| Whereabouts::Address(address(ip)));
    let host = text("host", "name").map(|name| Whereabouts::Host(name.to_ascii_lowercase()));
    let named: Vec<_> = service.into_iter().chain(ip).chain(host).collect();
    if named.is_empty() { vec![Whereabouts::Untold] } else { named }
}

/// An address in one spelling of those that it has; what is none stays as it is.
pub fn address(ip: &str) -> String {
    ip.parse::<IpAddr>().map_or_else(|_| ip.to_owned(), |ip| ip.to_canonical().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_be_read_is_named_and_what_cannot_is_untold() {
        use Whereabouts::{Address, Host, Service, Untold};
        let backend = ObjectName::new("shop", "b");
        let service = || Service(ObjectName::new("shop", "orders"));
        for (endpoints, named) in [
            (json!([{"service": {"name": "orders", "port": "x"}}]), vec![service()]),
            (
                json!([{"address": {"ip": "::ffff:10.0.0.1"}}, {"host": {"name": "A.example"}}]),
                vec![Address("10.0.0.1".into()), Host("a.example".into())],
            ),
            (
                json!([{"service": {"name": "orders"}, "address": {"ip": "none"}}]),
                vec![service(), Address("none".into())],
            ),
            (json!([{"service": {"name": "orders"}}, {"servce": {"name": "orders"}}]), vec![service(), Untold]),
            (json!([{"service": {"nmae": "orders"}}]), vec![Untold]),
            (json!([7]), vec![Untold]),
            (json!([]), vec![Untold]),
            (json!({"service": {"name": "orders"}}), vec![Untold]),
            (Value::Null, vec![Untold]),
        ] {
            assert_eq!(all(&backend, &endpoints), named.into_iter().collect(), "{endpoints}");
        }
    }
}
