//! Rules in CEL, judged anew where they are evaluated.

use std::sync::Arc;

use sallyport_expression::declared::Field;
use sallyport_expression::typing::Type;
use sallyport_expression::{Budget, Program, check, wire};
use sallyport_snapshot::v1;

use super::Denial;
use crate::rejection::{Origin, Told};

/// What one object requires.
pub struct Authorization {
    pub object: Arc<str>,
    /// It knows the caller by what its own object has found.
    pub is_floor: bool,
    /// Whether any of its rules does.
    pub asks_for_path: bool,
    pub rules: Vec<Rule>,
}

/// A condition, and when it is asked for.
pub struct Rule {
    pub origin: Origin,
    /// What callers are told who are refused.
    pub message: Option<Arc<Told>>,
    /// When it is asked for, if not always, and what has to be true then. Or why the rule never holds.
    pub asks: Result<(Option<Program>, Program), Denial>,
}

impl Authorization {
    pub(super) fn build(authorization: &v1::Authorization) -> Result<Self, String> {
        let object: Arc<str> = authorization.object.as_str().into();
        let mut budget = Budget::default();
        let rules = authorization.rules.iter().map(|rule| {
            let built = Rule::build(&object, rule, &mut budget);
            built.map_err(|why| format!("{object} authorization[{}]: {why}", rule.name))
        });
        let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
        let asks_for_path = rules.iter().any(|rule| rule.reads(Field::RequestPath));
        Ok(Self { object, is_floor: authorization.is_floor, asks_for_path, rules })
    }
}

impl Rule {
    fn build(object: &Arc<str>, rule: &v1::AuthorizationRule, budget: &mut Budget) -> Result<Self, String> {
        let origin = Origin {
            object: Arc::clone(object),
            section: "authorization",
            rule: rule.name.as_str().into(),
            message: String::new(),
        };
        let asks = match (&rule.unavailable, &rule.require) {
            (Some(deny), _) => Err(Denial::new(deny)),
            (None, None) => return Err("it requires nothing".to_owned()),
            (None, Some(require)) => {
                let when = rule.when.as_ref().map(|when| condition(when, budget)).transpose()?;
                Ok((when, condition(require, budget)?))
            }
        };
        let message = (!rule.message.is_empty()).then(|| Arc::new(Told::Detail(rule.message.clone())));
        Ok(Self { origin, message, asks })
    }

    fn reads(&self, field: Field) -> bool {
        let programs = self.asks.as_ref().ok().into_iter().flat_map(|(when, require)| when.iter().chain([require]));
        programs.into_iter().any(|program| program.reads().contains(&field))
    }
}

fn condition(expression: &v1::Expression, budget: &mut Budget) -> Result<Program, String> {
    let tree = wire::from_wire(expression).map_err(|why| why.to_string())?;
    check(&tree, &[Type::Bool], budget).map_err(|why| why.to_string())
}
