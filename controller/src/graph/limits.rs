//! How many requests policies allow: expressions parsed and typed once. A limit that cannot be used lets no request pass.

use std::time::Duration;

use sallyport_api::ProductLimit;
use sallyport_api::condition::Reason;
use sallyport_api::policy::{Limit, LimitKey, Per, Period};
use sallyport_expression::Budget;
use sallyport_expression::typing::Type;
use sallyport_snapshot::MAX_LOCAL_WINDOW;
use sallyport_snapshot::v1::{self, limit::Amount};

use super::authorization::{Author, expression};
use crate::problem::{Problem, denial};

/// The section as data planes are told it.
pub fn messages(author: Author<'_>, limits: &[Limit], problems: &mut Vec<Problem>) -> Vec<v1::Limit> {
    let mut budget = Budget::default();
    let limit = |(at, stated): (usize, &Limit)| {
        let message = v1::Limit {
            object: author.label.to_owned(),
            name: stated.name.clone(),
            is_floor: author.is_floor,
            by: by(stated.by).into(),
            ..v1::Limit::default()
        };
        let read = read(author, stated, &format!("spec.limits[{at}]"), &mut budget);
        let (message, problem) = match read {
            Ok(read) => (v1::Limit { amount: read.0, expression: read.1, when: read.2, ..message }, None),
            Err(problem) => (v1::Limit { unavailable: Some(denial(author.label, &problem)), ..message }, Some(problem)),
        };
        problems.extend(problem);
        message
    };
    limits.iter().enumerate().map(limit).collect()
}

/// Those of a Product, which `label` names: by Subscription.
pub fn of_product(label: &str, limits: &[ProductLimit], problems: &mut Vec<Problem>) -> Vec<v1::Limit> {
    let limit = |(at, stated): (usize, &ProductLimit)| {
        let message = v1::Limit {
            object: label.to_owned(),
            name: stated.name.clone(),
            by: v1::limit::By::Subscription.into(),
            ..v1::Limit::default()
        };
        match amount((stated.requests, &stated.per, stated.concurrent), &format!("spec.limits[{at}]")) {
            Ok(amount) => v1::Limit { amount: Some(amount), ..message },
            Err(problem) => {
                let unavailable = Some(denial(label, &problem));
                problems.push(problem);
                v1::Limit { unavailable, ..message }
            }
        }
    };
    limits.iter().enumerate().map(limit).collect()
}

/// What it allows, what tells requests apart, and which are counted.
type Read = (Option<Amount>, Option<v1::Expression>, Option<v1::Expression>);

fn read(author: Author<'_>, stated: &Limit, field: &str, budget: &mut Budget) -> Result<Read, Problem> {
    let is_of_caller = matches!(stated.by, LimitKey::Subscription | LimitKey::Identity);
    if author.is_floor && !author.authenticates && is_of_caller {
        let message = "a Floor knows of the caller what its own authentication finds, and it states none; state authentication in it, or count by ClientAddress";
        return Err(Problem::new(format!("{field}.by"), Reason::Invalid, message));
    }
    let mut typed = |text: &Option<String>, wanted: &[Type], name: &str| {
        let read = |text: &String| expression(author, text, wanted, &format!("{field}.{name}"), budget);
        text.as_ref().map(read).transpose()
    };
    let key = typed(&stated.expression, &[Type::Text, Type::optional(Type::Text)], "expression")?;
    let when = typed(&stated.when, &[Type::Bool], "when")?;
    Ok((Some(amount((stated.requests, &stated.per, stated.concurrent), field)?), key, when))
}

/// Requests with the time that they go by, or requests at once.
type Stated<'a> = (Option<u32>, &'a Option<Per>, Option<u32>);

fn amount(stated: Stated<'_>, field: &str) -> Result<Amount, Problem> {
    let invalid = |message: String| Problem::new(format!("{field}.per"), Reason::Invalid, message);
    match stated {
        (Some(requests), Some(per), None) => {
            let quota = |period: v1::quota::Period| Amount::Quota(v1::Quota { requests, period: period.into() });
            Ok(match per.parse().map_err(|why| invalid(why.to_string()))? {
                Period::Window(length) => {
                    let per_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
                    Amount::Rate(v1::Rate { requests, per_ms })
                }
                Period::Day => quota(v1::quota::Period::Day),
                Period::Month => quota(v1::quota::Period::Month),
            })
        }
        (None, None, Some(concurrent)) => Ok(Amount::Concurrent(concurrent)),
        _ => Err(Problem::new(
            field.to_owned(),
            Reason::Invalid,
            "state exactly one of requests, with per, and concurrent",
        )),
    }
}

/// Whether only a store counts it.
pub fn needs_store(limit: &v1::Limit) -> bool {
    match &limit.amount {
        Some(Amount::Rate(rate)) => Duration::from_millis(rate.per_ms) > MAX_LOCAL_WINDOW,
        Some(Amount::Quota(_)) => true,
        Some(Amount::Concurrent(_)) | None => false,
    }
}

fn by(stated: LimitKey) -> v1::limit::By {
    match stated {
        LimitKey::Subscription => v1::limit::By::Subscription,
        LimitKey::Identity => v1::limit::By::Identity,
        LimitKey::ClientAddress => v1::limit::By::ClientAddress,
        LimitKey::Expression => v1::limit::By::Expression,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NEAR: Author<'_> = Author { label: "ApiPolicy shop/orders", is_floor: false, authenticates: false };
    const FLOOR: Author<'_> = Author { is_floor: true, ..NEAR };

    fn judged(author: Author<'_>, stated: Value) -> (v1::Limit, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut told = messages(author, &[serde_json::from_value(stated).unwrap()], &mut problems);
        (told.remove(0), problems)
    }

    #[test]
    fn what_can_be_used_is_told() {
        let stated = json!({"name": "burst", "requests": 10, "per": "1m30s", "by": "Expression",
            "expression": "auth.?jwt.subject", "when": "request.method == 'POST'"});
        let (limit, problems) = judged(NEAR, stated);
        assert!(problems.is_empty() && limit.unavailable.is_none(), "{problems:?}");
        assert_eq!(limit.amount, Some(Amount::Rate(v1::Rate { requests: 10, per_ms: 90_000 })));
        assert!(limit.expression.is_some() && limit.when.is_some());
        for (per, period) in [("Day", v1::quota::Period::Day), ("Month", v1::quota::Period::Month)] {
            let (limit, problems) = judged(NEAR, json!({"name": "l", "requests": 9, "per": per, "by": "Identity"}));
            assert!(problems.is_empty() && needs_store(&limit), "{problems:?}");
            assert_eq!(limit.amount, Some(Amount::Quota(v1::Quota { requests: 9, period: period.into() })));
        }
        for (per, needs) in [("1h", false), ("60m", false), ("1h1ms", true), ("24h", true)] {
            let (limit, _) = judged(NEAR, json!({"name": "l", "requests": 9, "per": per, "by": "Identity"}));
            assert_eq!(needs_store(&limit), needs, "{per}");
        }
        let (limit, _) = judged(NEAR, json!({"name": "at-once", "concurrent": 3, "by": "Identity"}));
        assert_eq!((limit.amount, limit.by()), (Some(Amount::Concurrent(3)), v1::limit::By::Identity));
    }

    #[test]
    fn what_cannot_be_used_lets_nothing_pass_and_says_where_and_why() {
        let expression = |text: &str| json!({"name": "l", "concurrent": 1, "by": "Expression", "expression": text});
        let rate = |per: &str| json!({"name": "l", "requests": 1, "per": per, "by": "ClientAddress"});
        for (author, stated, field, message) in [
            (NEAR, expression("1 + 1"), "spec.limits[0].expression", "line 1, column 3: it gives int"),
            (NEAR, expression("request.pth"), "spec.limits[0].expression", "request has no field pth"),
            (FLOOR, expression("auth.identity"), "spec.limits[0].expression", "state authentication in it"),
            (
                FLOOR,
                json!({"name": "l", "concurrent": 1, "by": "Identity"}),
                "spec.limits[0].by",
                "state authentication",
            ),
            (NEAR, rate("soon"), "spec.limits[0].per", "is not a duration"),
            (NEAR, json!({"name": "l", "by": "Identity"}), "spec.limits[0]", "state exactly one"),
            (
                NEAR,
                json!({"name": "l", "concurrent": 1, "by": "ClientAddress", "when": "request.path"}),
                "spec.limits[0].when",
                "has to give bool",
            ),
        ] {
            let (limit, problems) = judged(author, stated);
            let [problem] = problems.try_into().unwrap();
            assert_eq!(problem.field, field);
            assert!(problem.message.contains(message), "{}", problem.message);
            assert!(limit.unavailable.is_some() && limit.amount.is_none());
        }
        let own = Author { authenticates: true, ..FLOOR };
        assert!(judged(own, json!({"name": "l", "concurrent": 1, "by": "Identity"})).1.is_empty());
    }
}
