//! How many requests may come, of whom.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sallyport_expression::typing::Type;
use sallyport_expression::{Budget, Program, check, wire};
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::{self, limit::Amount};

use super::{Denial, in_force};
use crate::limit::quota::Period;
use crate::limit::registry::{Counted, Registry};
use crate::limit::{Amount as Counts, Counters};
use crate::rejection::Origin;

/// One limit of a policy.
pub struct Limit {
    pub origin: Origin,
    /// It knows the caller by what its own object has found.
    pub is_floor: bool,
    /// What all data planes of the Gateway allow together.
    pub most: NonZeroU32,
    /// Or why no request passes.
    pub counters: Result<Arc<Counters>, Denial>,
    pub by: By,
    /// Of which requests it is asked, if not of all.
    pub when: Option<Program>,
    /// Whether it is judged once it is known who calls, or before.
    pub needs_identity: bool,
}

/// By what requests are told apart.
pub enum By {
    Subscription,
    Identity,
    ClientAddress,
    /// Gives a text, or an optional one.
    Expression(Program),
}

impl Limit {
    /// All of a policy, of whichever objects they are.
    pub(in crate::runtime) fn all(limits: &[v1::Limit], registry: &mut Registry) -> Result<Vec<Self>, String> {
        let mut budgets = BTreeMap::<&str, Budget>::new();
        let mut all = Vec::with_capacity(limits.len());
        for limit in limits {
            let built = Self::build(limit, budgets.entry(&limit.object).or_default(), registry);
            all.push(built.map_err(|why| format!("{} limits[{}]: {why}", limit.object, limit.name))?);
        }
        // The cheap ones first: whoever has used up one of them costs nothing more.
        all.sort_by_key(|limit: &Self| {
            (limit.when.is_some() || matches!(limit.by, By::Expression(_)), limit.needs_identity)
        });
        Ok(all)
    }

    fn build(limit: &v1::Limit, budget: &mut Budget, registry: &mut Registry) -> Result<Self, String> {
        let (object, name): (Arc<str>, Arc<str>) = (limit.object.as_str().into(), limit.name.as_str().into());
        let origin =
            Origin { object: Arc::clone(&object), section: "limits", rule: Arc::clone(&name), message: String::new() };
        if let Some(deny) = in_force(limit.unavailable.as_ref()) {
            return Ok(Self::unavailable(origin, limit.is_floor, Denial::new(deny)));
        }
        let (most, amount) = match limit.amount {
            Some(Amount::Rate(v1::Rate { per_ms: 0, .. })) | None => return Err("it limits nothing".to_owned()),
            Some(Amount::Rate(rate)) => (rate.requests, Counts::Window(Duration::from_millis(rate.per_ms))),
            Some(Amount::Quota(quota)) => (quota.requests, Counts::Quota(period(quota.period())?)),
            Some(Amount::Concurrent(most)) => (most, Counts::AtOnce),
        };
        let most = NonZeroU32::new(most).ok_or_else(|| "it allows no request at all".to_owned())?;
        let by = By::build(limit, budget)?;
        let when = limit.when.as_ref().map(|when| program(when, &[Type::Bool], budget)).transpose()?;
        let counted = Counted { object, limit: name, amount, by: told_apart_by(limit) };
        let needs_identity = by.needs_identity() || when.as_ref().is_some_and(names_the_caller);
        let counters = Ok(registry.counters(counted));
        Ok(Self { origin, is_floor: limit.is_floor, most, counters, by, when, needs_identity })
    }

    /// Whoever it may be of: nobody passes, and nothing is counted.
    fn unavailable(origin: Origin, is_floor: bool, denial: Denial) -> Self {
        let (most, by) = (NonZeroU32::MIN, By::ClientAddress);
        Self { origin, is_floor, most, counters: Err(denial), by, when: None, needs_identity: true }
    }

    /// The part of it that is this data plane's: rounded down, and one at least.
    pub fn share(&self, replicas: NonZeroU32) -> u32 {
        (self.most.get() / replicas).max(1)
    }
}

fn period(stated: v1::quota::Period) -> Result<Period, String> {
    match stated {
        v1::quota::Period::Day => Ok(Period::Day),
        v1::quota::Period::Month => Ok(Period::Month),
        v1::quota::Period::Unspecified => Err("its period is not known here".to_owned()),
    }
}

impl By {
    fn build(limit: &v1::Limit, budget: &mut Budget) -> Result<Self, String> {
        Ok(match (limit.by(), &limit.expression) {
            (v1::limit::By::Subscription, _) => Self::Subscription,
            (v1::limit::By::Identity, _) => Self::Identity,
            (v1::limit::By::ClientAddress, _) => Self::ClientAddress,
            (v1::limit::By::Expression, Some(expression)) => {
                Self::Expression(program(expression, &[Type::Text, Type::optional(Type::Text)], budget)?)
            }
            (v1::limit::By::Expression, None) => return Err("it has no expression".to_owned()),
            (v1::limit::By::Unspecified, _) => return Err("what tells requests apart is not known here".to_owned()),
        })
    }

    fn needs_identity(&self) -> bool {
        match self {
            Self::Subscription | Self::Identity => true,
            Self::ClientAddress => false,
            Self::Expression(program) => names_the_caller(program),
        }
    }
}

/// Where it stands in a text makes no difference to what an expression counts.
fn told_apart_by(limit: &v1::Limit) -> Hash {
    let mut by = v1::Limit { by: limit.by, expression: limit.expression.clone(), ..v1::Limit::default() };
    by.expression.iter_mut().flat_map(|one| &mut one.nodes).for_each(|node| node.at = 0);
    Hash::of_bytes(&by.encode_to_vec())
}

fn names_the_caller(program: &Program) -> bool {
    program.reads().iter().any(|field| field.declaration().object.is_of_caller())
}

fn program(expression: &v1::Expression, wanted: &[Type], budget: &mut Budget) -> Result<Program, String> {
    let tree = wire::from_wire(expression).map_err(|why| why.to_string())?;
    check(&tree, wanted, budget).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use sallyport_expression::parse::parse;

    use super::*;

    fn limit(amount: Option<Amount>, by: v1::limit::By, expression: Option<&str>) -> v1::Limit {
        let expression = expression.map(|text| wire::to_wire(&parse(text).unwrap()));
        v1::Limit {
            object: "ApiPolicy shop/orders".into(),
            name: "burst".into(),
            amount,
            by: by.into(),
            expression,
            ..v1::Limit::default()
        }
    }

    fn rate(requests: u32, per_ms: u64) -> Option<Amount> {
        Some(Amount::Rate(v1::Rate { requests, per_ms }))
    }

    fn quota(requests: u32, period: i32) -> Option<Amount> {
        Some(Amount::Quota(v1::Quota { requests, period }))
    }

    fn built(limit: v1::Limit) -> Result<Limit, String> {
        Limit::all(&[limit], &mut Registry::default()).map(|mut all| all.remove(0))
    }

    #[test]
    fn what_names_no_caller_is_judged_before_it_is_known_who_calls() {
        use v1::limit::By;
        for (by, expression, when, needs) in [
            (By::Subscription, None, None, true),
            (By::Identity, None, None, true),
            (By::ClientAddress, None, None, false),
            (By::ClientAddress, None, Some("request.method == 'POST'"), false),
            (By::ClientAddress, None, Some("has(auth.jwt)"), true),
            (By::Expression, Some("request.path"), None, false),
            (By::Expression, Some("auth.?jwt.subject"), None, true),
            (By::Expression, Some("auth.?subscription.product"), None, true),
        ] {
            let when = when.map(|text| wire::to_wire(&parse(text).unwrap()));
            let limit = built(v1::Limit { when, ..limit(rate(1, 1000), by, expression) }).unwrap();
            assert_eq!(limit.needs_identity, needs, "{by:?} {expression:?}");
        }
    }

    #[test]
    fn what_does_not_parse_says_why() {
        use v1::limit::By;
        for (limit, why) in [
            (limit(None, By::Identity, None), "it limits nothing"),
            (limit(rate(1, 0), By::Identity, None), "it limits nothing"),
            (limit(rate(0, 1000), By::Identity, None), "it allows no request at all"),
            (limit(quota(0, 1), By::Identity, None), "it allows no request at all"),
            (limit(quota(1, 0), By::Identity, None), "its period is not known here"),
            (limit(quota(1, 7), By::Identity, None), "its period is not known here"),
            (limit(Some(Amount::Concurrent(0)), By::Identity, None), "it allows no request at all"),
            (limit(rate(1, 1000), By::Unspecified, None), "not known here"),
            (limit(rate(1, 1000), By::Expression, None), "no expression"),
            (limit(rate(1, 1000), By::Expression, Some("1 + 1")), "it gives int"),
        ] {
            let told = built(limit).err().unwrap();
            assert!(told.starts_with("ApiPolicy shop/orders limits[burst]: ") && told.contains(why), "{told}");
        }
    }

    #[test]
    fn shares_of_all_are_never_more_than_the_whole_as_long_as_there_is_one_for_each() {
        let limit = built(limit(rate(100, 1000), v1::limit::By::Identity, None)).unwrap();
        for (replicas, share) in [(1, 100), (2, 50), (3, 33), (100, 1), (101, 1), (u32::MAX, 1)] {
            assert_eq!(limit.share(NonZeroU32::new(replicas).unwrap()), share, "{replicas}");
        }
    }

    #[test]
    fn another_number_goes_on_counting_and_another_key_does_not() {
        use v1::limit::By;
        let mut registry = Registry::default();
        let mut counters = |limit| Limit::all(&[limit], &mut registry).unwrap().remove(0).counters.ok().unwrap();
        let first = counters(limit(rate(1, 1000), By::Identity, None));
        assert!(Arc::ptr_eq(&first, &counters(limit(rate(9, 1000), By::Identity, None))));
        assert!(!Arc::ptr_eq(&first, &counters(limit(rate(1, 2000), By::Identity, None))));
        assert!(!Arc::ptr_eq(&first, &counters(limit(rate(1, 1000), By::ClientAddress, None))));
        let by_path = counters(limit(rate(1, 1000), By::Expression, Some("request.path")));
        assert!(Arc::ptr_eq(&by_path, &counters(limit(rate(1, 1000), By::Expression, Some(" request.path")))));
        assert!(!Arc::ptr_eq(&by_path, &counters(limit(rate(1, 1000), By::Expression, Some("request.host")))));
    }
}
