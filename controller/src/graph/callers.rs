//! Whose data planes call a Backend, and what they may call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sallyport_api::condition::Reason;

use super::Environment;
use super::gateway::GatewayNode;
use super::outgoing::AddressRules;
use super::parameters::egress::Egress;
use super::route::{RouteId, RouteNode};
use super::rule::BackendTarget;
use crate::cluster::ObjectName;
use crate::problem::Problem;

/// Gateways, by the Backends that their routes name.
pub struct Callers<'a> {
    gateways: &'a BTreeMap<ObjectName, GatewayNode>,
    all: Vec<Opening<'a>>,
    by_backend: BTreeMap<&'a ObjectName, BTreeSet<&'a ObjectName>>,
}

/// A Gateway with what it opens.
pub type Opening<'a> = (&'a ObjectName, &'a Egress);

/// Gateways that are named where some refuse; whoever corrects these sees the others.
const MAX_TOLD: usize = 5;

impl<'a> Callers<'a> {
    pub fn new(gateways: &'a BTreeMap<ObjectName, GatewayNode>, routes: &'a BTreeMap<RouteId, RouteNode>) -> Self {
        let mut by_backend = BTreeMap::<_, BTreeSet<_>>::new();
        for route in routes.values() {
            let attached = route.parents.iter().filter(|parent| !parent.attachments.is_empty());
            let attached: BTreeSet<_> = attached.map(|parent| &parent.gateway).collect();
            for target in route.rules.iter().flat_map(|rule| &rule.backends) {
                if let BackendTarget::Backend(name) = target {
                    by_backend.entry(name).or_default().extend(&attached);
                }
            }
        }
        let all = gateways.iter().map(|(name, node)| (name, &node.egress)).collect();
        Self { gateways, all, by_backend }
    }

    /// What may be called for the Backend called `name`: by those that call it, or while none does by all of them, since any may come to.
    pub fn places<'p>(&'p self, name: &ObjectName, rules: &'p AddressRules) -> Places<'p> {
        let Some(callers) = self.by_backend.get(name).filter(|callers| !callers.is_empty()) else {
            return Places { rules, callers: Cow::Borrowed(&self.all), is_called: false };
        };
        let callers = callers.iter().filter_map(|gateway| Some((*gateway, &self.gateways.get(*gateway)?.egress)));
        Places { rules, callers: callers.collect(), is_called: true }
    }
}

/// What may be called for one Backend.
pub struct Places<'a> {
    rules: &'a AddressRules,
    callers: Cow<'a, [Opening<'a>]>,
    is_called: bool,
}

impl Places<'_> {
    /// What a data plane would refuse to call is said here already: an error where all do, a problem where some do.
    pub fn judge_address(&self, ip: &str, field: &str) -> Result<Option<Problem>, Problem> {
        let Ok(address) = ip.parse::<IpAddr>() else {
            let message = format!("{ip}: this is no IP address; name another address");
            return Err(Problem::new(field, Reason::Invalid, message));
        };
        let Some(why) = self.rules.refusal(address) else { return Ok(None) };
        let cure = "name another address, or have egress.allow of the class's GatewayParameters list it";
        self.judge(field, &format!("{ip}: {why}"), cure, |egress| egress.permits(address))
    }

    /// Without TLS only a Service is called, and what is opened.
    pub fn judge_plaintext(
        &self,
        place: &str,
        field: &str,
        permits: impl Fn(&Egress) -> bool,
    ) -> Result<Option<Problem>, Problem> {
        let cure = "state spec.tls, name a Service, or have egress.plaintext of the class's GatewayParameters list it";
        self.judge(field, &format!("{place} would be called without TLS"), cure, permits)
    }

    /// Outside a cluster this machine itself is called without TLS as well.
    pub fn is_free_address(&self, ip: &str) -> bool {
        let is_loopback = ip.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        is_loopback && self.rules.environment == Environment::Standalone
    }

    /// The same of a name.
    pub fn is_free_host(&self, host: &str) -> bool {
        host == "localhost" && self.rules.environment == Environment::Standalone
    }

    fn judge(
        &self,
        field: &str,
        what: &str,
        cure: &str,
        permits: impl Fn(&Egress) -> bool,
    ) -> Result<Option<Problem>, Problem> {
        let refusing = self.callers.iter().filter(|(_, egress)| !permits(egress));
        let refusing: Vec<_> = refusing.map(|(gateway, _)| *gateway).collect();
        let problem = |message: String| Problem::new(field, Reason::EgressNotAllowed, message);
        if refusing.len() == self.callers.len() {
            return Err(problem(format!("{what}; {cure}")));
        }
        let told = || problem(format!("{what} by {}; {cure}", self.who_refuses(&refusing)));
        Ok((!refusing.is_empty()).then(told))
    }

    /// Of a Backend that nobody calls, its owner need not learn which Gateways there are.
    fn who_refuses(&self, refusing: &[&ObjectName]) -> String {
        if !self.is_called {
            return "some Gateways, which refuse it".to_owned();
        }
        let named: Vec<_> = refusing.iter().take(MAX_TOLD).map(ToString::to_string).collect();
        let more = refusing.len().checked_sub(MAX_TOLD).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        format!("Gateway {}{more}, which refuses it", named.join(", "))
    }
}
