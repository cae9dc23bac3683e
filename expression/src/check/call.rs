//! Functions and operators.

use super::path::{End, Path};
use super::{Checked, Checker, complain, signature};
use crate::functions::{Function, Manner, overloads, shown};
use crate::program::Step;
use crate::tree::{Constant, Node, Tree};
use crate::typing::Type;

impl Checker<'_> {
    pub(super) fn call(&mut self, tree: &Tree, function: &str, is_method: bool, arguments: &[Tree]) -> Checked {
        match (function, arguments) {
            ("_&&_", [one, other]) => {
                let [one, other] = [self.of_type(one, &Type::Bool)?, self.of_type(other, &Type::Bool)?];
                Ok((Step::And(Box::new(one), Box::new(other)), Type::Bool))
            }
            ("_||_", [one, other]) => {
                let [one, other] = [self.of_type(one, &Type::Bool)?, self.of_type(other, &Type::Bool)?];
                Ok((Step::Or(Box::new(one), Box::new(other)), Type::Bool))
            }
            ("!_", [one]) => Ok((Step::Not(Box::new(self.of_type(one, &Type::Bool)?)), Type::Bool)),
            ("@not_strictly_false", [one]) => {
                Ok((Step::NotFalse(Box::new(self.of_type(one, &Type::Bool)?)), Type::Bool))
            }
            ("_?_:_", [condition, one, other]) => self.conditional(condition, one, other),
            ("_?._", [operand, Tree { node: Node::Constant(Constant::Text(field)), .. }]) => {
                self.optional_select(tree, operand, field)
            }
            ("matches", [text, pattern]) => self.matches(text, pattern),
            ("hasValue", [operand]) if is_method => match self.path(operand)? {
                Some(Path { end: End::Object(_, Some(field)), .. }) => {
                    self.reads.insert(field);
                    Ok((Step::HasField(field), Type::Bool))
                }
                _ => self.overloaded(tree, function, is_method, arguments),
            },
            _ => self.overloaded(tree, function, is_method, arguments),
        }
    }

    fn conditional(&mut self, condition: &Tree, one: &Tree, other: &Tree) -> Checked {
        let condition = self.of_type(condition, &Type::Bool)?;
        let ((one, gives_one), (other_step, gives_other)) = (self.step(one)?, self.step(other)?);
        if !gives_one.may_be(&gives_other) {
            let message = format!("one side of ?: is {gives_one}, this one {gives_other}; make them the same type");
            return Err(complain(other, message));
        }
        Ok((Step::Conditional(Box::new([condition, one, other_step])), gives_one.or(&gives_other)))
    }

    /// A pattern is made once: it stands in the expression as it is.
    fn matches(&mut self, text: &Tree, pattern: &Tree) -> Checked {
        let Node::Constant(Constant::Text(stated)) = &pattern.node else {
            return Err(complain(pattern, "the pattern has to be a string literal"));
        };
        let built = self.budget.pattern(stated);
        let pattern = built.map_err(|why| complain(pattern, format!("the pattern cannot be used: {why}")))?;
        let text = self.of_type(text, &Type::Text)?;
        Ok((Step::Matches(Box::new(text), pattern), Type::Bool))
    }

    fn overloaded(&mut self, tree: &Tree, function: &str, is_method: bool, arguments: &[Tree]) -> Checked {
        let manner = if is_method { Manner::Method } else { Manner::Global };
        let candidates = overloads(function, manner);
        if candidates.is_empty() {
            let other = if is_method { Manner::Global } else { Manner::Method };
            let is_other = !overloads(function, other).is_empty();
            let cure = match (is_other, is_method) {
                (true, true) => format!("; write {function}(...)"),
                (true, false) => format!("; write it behind a dot: value.{function}(...)"),
                (false, _) => "; see the reference of expressions for those that there are".to_owned(),
            };
            return Err(complain(tree, format!("there is no function {} like this{cure}", shown(function))));
        }
        let checked: Vec<_> = arguments.iter().map(|one| self.step(one)).collect::<Result<_, _>>()?;
        let (steps, types): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
        let mut fitting = candidates.iter().filter_map(|one| Some((one.function, signature::gives(one, &types)?)));
        let Some((function_done, gives)) = fitting.next() else {
            let names: Vec<_> = types.iter().map(ToString::to_string).collect();
            let message = format!("{} cannot be applied to {}", shown(function), names.join(" and "));
            return Err(complain(tree, message));
        };
        let gives = fitting.fold(gives, |gives, (_, other)| gives.or(&other));
        Ok((made(function_done, steps), gives))
    }
}

/// What is asked for only where it is needed has a step of its own.
fn made(function: Function, steps: Vec<Step>) -> Step {
    match (function, <[Step; 2]>::try_from(steps)) {
        (Function::Or | Function::OrValue, Ok([optional, other])) => {
            let (optional, other) = (Box::new(optional), Box::new(other));
            Step::OrElse { optional, other, is_value: function == Function::OrValue }
        }
        (_, Ok(steps)) => Step::Call(function, steps.into()),
        (_, Err(steps)) => Step::Call(function, steps.into()),
    }
}
