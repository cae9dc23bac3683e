//! Rules in CEL, judged anew where they are evaluated.

use std::sync::Arc;

use sallyport_expression::types::Type;
use sallyport_expression::{Program, check, wire};
use sallyport_snapshot::v1;

use super::Denial;
use crate::rejection::Origin;

/// What one object requires.
pub struct Authorization {
    pub object: Arc<str>,
    /// It knows the caller by what its own object has found.
    pub is_floor: bool,
    pub rules: Vec<Rule>,
}

/// A condition, and when it is asked for.
pub struct Rule {
    pub origin: Origin,
    /// What callers are told who are refused.
    pub message: Option<Arc<String>>,
    /// When it is asked for, if not always, and what has to be true then. Or why the rule never holds.
    pub asks: Result<(Option<Program>, Program), Denial>,
}

impl Authorization {
    pub(super) fn build(authorization: &v1::Authorization) -> Result<Self, String> {
        let object: Arc<str> = authorization.object.as_str().into();
        let rules = authorization.rules.iter().map(|rule| {
            Rule::build(&object, rule).map_err(|why| format!("{object} authorization[{}]: {why}", rule.name))
        });
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Self { object, is_floor: authorization.is_floor, rules })
    }
}

impl Rule {
    fn build(object: &Arc<str>, rule: &v1::AuthorizationRule) -> Result<Self, String> {
        let origin = Origin {
            object: Arc::clone(object),
            section: "authorization",
            rule: rule.name.as_str().into(),
            message: String::new(),
        };
        let asks = match (&rule.unavailable, &rule.require) {
            (Some(deny), _) => Err(Denial::new(deny)),
            (None, None) => return Err("it requires nothing".to_owned()),
            (None, Some(require)) => Ok((rule.when.as_ref().map(condition).transpose()?, condition(require)?)),
        };
        let message = (!rule.message.is_empty()).then(|| Arc::new(rule.message.clone()));
        Ok(Self { origin, message, asks })
    }
}

fn condition(expression: &v1::Expression) -> Result<Program, String> {
    let tree = wire::from_wire(expression).map_err(|why| why.to_string())?;
    check(&tree, &[Type::Bool]).map_err(|why| why.to_string())
}
