//! What policies require in CEL: parsed and typed once. A rule that cannot be used never holds.

use sallyport_api::condition::Reason;
use sallyport_api::policy::AuthorizationRule;
use sallyport_expression::Budget;
use sallyport_expression::parse::line_and_column;
use sallyport_expression::typing::Type;
use sallyport_snapshot::v1;

use super::expression;
use crate::problem::{Problem, denial};

/// Whose expressions they are.
#[derive(Clone, Copy)]
pub struct Author<'a> {
    /// "ApiPolicy namespace/name".
    pub label: &'a str,
    /// A Floor's expressions know of the caller only what its own authentication has found.
    pub is_floor: bool,
    /// Whether it says who may call.
    pub authenticates: bool,
}

/// The section as data planes are told it.
pub fn message(author: Author<'_>, rules: &[AuthorizationRule], problems: &mut Vec<Problem>) -> v1::Authorization {
    let mut budget = Budget::default();
    let rule = |(at, stated): (usize, &AuthorizationRule)| {
        let made = rule(author, stated, &format!("spec.authorization[{at}]"), &mut budget);
        made.unwrap_or_else(|problem| {
            let unavailable = Some(denial(author.label, &problem));
            problems.push(problem);
            v1::AuthorizationRule { name: stated.name.clone(), unavailable, ..v1::AuthorizationRule::default() }
        })
    };
    let rules = rules.iter().enumerate().map(rule).collect();
    v1::Authorization { object: author.label.to_owned(), rules, is_floor: author.is_floor }
}

fn rule(
    author: Author<'_>,
    stated: &AuthorizationRule,
    field: &str,
    budget: &mut Budget,
) -> Result<v1::AuthorizationRule, Problem> {
    let mut condition =
        |text: &str, name: &str| expression(author, text, &[Type::Bool], &format!("{field}.{name}"), budget);
    let when = stated.when.as_deref().map(|text| condition(text, "when")).transpose()?;
    Ok(v1::AuthorizationRule {
        name: stated.name.clone(),
        unavailable: None,
        when,
        require: Some(condition(&stated.require, "require")?),
        message: stated.message.clone().unwrap_or_default(),
    })
}

/// An expression that gives a value of one of the types `wanted`.
pub fn expression(
    author: Author<'_>,
    text: &str,
    wanted: &[Type],
    field: &str,
    budget: &mut Budget,
) -> Result<v1::Expression, Problem> {
    let expression = expression::typed(text, wanted, budget).map_err(|complaint| {
        let (line, column) = line_and_column(text, complaint.at);
        Problem::new(field, Reason::Invalid, format!("line {line}, column {column}: {complaint}"))
    })?;
    if author.is_floor
        && !author.authenticates
        && expression.reads.iter().any(|field| field.declaration().object.is_of_caller())
    {
        let message = "a Floor knows of the caller what its own authentication finds, and it states none; state authentication in it, or leave auth out";
        return Err(Problem::new(field, Reason::Invalid, message));
    }
    Ok(expression.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(author: Author<'_>, when: Option<&str>, require: &str) -> (v1::Authorization, Vec<Problem>) {
        let (when, require) = (when.map(str::to_owned), require.to_owned());
        let rule = AuthorizationRule { name: "writers".into(), when, require, message: None };
        let mut problems = Vec::new();
        let message = message(author, &[rule], &mut problems);
        (message, problems)
    }

    const NEAR: Author<'_> = Author { label: "ApiPolicy shop/orders", is_floor: false, authenticates: false };

    #[test]
    fn what_can_be_typed_is_told() {
        let when = Some(r#"request.method != "GET""#);
        let (message, problems) = judged(NEAR, when, "auth.alternative == 'staff'");
        assert!(problems.is_empty(), "{problems:?}");
        let [rule] = message.rules.try_into().unwrap();
        assert!(rule.unavailable.is_none() && rule.when.is_some() && rule.require.is_some());
    }

    #[test]
    fn what_cannot_be_used_never_holds_and_says_where_and_why() {
        for (when, require, field, message) in [
            (None, "request.metod == 'GET'", "require", "line 1, column 8: request has no field metod"),
            (Some("true &&\n  request.method"), "true", "when", "line 2, column 10: this is string"),
            (None, "request.method", "require", "line 1, column 8: it gives string, and has to give bool"),
            (None, "", "require", "line 1, column 1: it is no expression"),
            (Some("1 +"), "true", "when", "it is no expression"),
        ] {
            let (told, problems) = judged(NEAR, when, require);
            let [problem] = problems.try_into().unwrap();
            assert_eq!(problem.field, format!("spec.authorization[0].{field}"));
            assert!(problem.message.contains(message), "{}", problem.message);
            let rule = &told.rules[0];
            assert!(rule.unavailable.is_some() && rule.require.is_none() && rule.when.is_none());
        }
    }

    /// Each rule by itself is taken, and all of them together are not.
    #[test]
    fn patterns_of_a_policy_have_a_bound_together() {
        let rule = |at: usize| AuthorizationRule {
            name: format!("r{at}"),
            when: None,
            require: format!("request.path.matches('{at}(abcdefghijklmnopqrstuvwxyz0123456789a{{700}})')"),
            message: None,
        };
        let rules: Vec<_> = (0..64).map(rule).collect();
        let mut problems = Vec::new();
        let told = message(NEAR, &rules, &mut problems);
        let taken = told.rules.iter().take_while(|rule| rule.unavailable.is_none()).count();
        assert!((8..60).contains(&taken), "{taken}");
        let first = &problems[0];
        assert_eq!(first.field, format!("spec.authorization[{taken}].require"));
        assert!(first.message.contains("line 1, column 22: the pattern cannot be used"), "{}", first.message);
        assert!(first.message.contains("too much memory together"), "{}", first.message);
        let alone: Vec<_> = (0..64).map(|at| message(NEAR, &[rule(at)], &mut vec![])).collect();
        assert!(alone.iter().all(|told| told.rules[0].unavailable.is_none()));
    }

    #[test]
    fn a_floor_that_names_the_caller_says_who_that_may_be() {
        let floor = Author { is_floor: true, ..NEAR };
        assert_eq!(judged(floor, None, "auth.alternative == 'staff'").1.len(), 1);
        assert_eq!(judged(floor, None, "has(auth.jwt)").1.len(), 1);
        assert!(judged(floor, None, "request.method == 'GET'").1.is_empty());
        assert!(judged(Author { authenticates: true, ..floor }, None, "has(auth.jwt)").1.is_empty());
    }
}
