//! What an expression names is there, and what it does can be done: judged before any request comes.

mod call;
mod path;
mod signature;

use std::collections::BTreeSet;
use std::fmt;

use crate::declared::Field;
use crate::functions::Function;
use crate::pattern::Budget;
use crate::program::{FoldSteps, Program, Step};
use crate::tree::{Constant, Fold, MAX_DEPTH, MAX_NODES, Node, Tree};
use crate::typing::Type;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Characters before the place.
    pub at: u32,
    /// Names what is wrong, and the cure.
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Complaint {}

/// Makes a program of `tree`, which has to give a value of one of the types `wanted`, with patterns for which there is room in `budget`.
pub fn check(tree: &Tree, wanted: &[Type], budget: &mut Budget) -> Result<Program, Complaint> {
    judge_size(tree)?;
    let mut checker = Checker { locals: Vec::new(), reads: BTreeSet::new(), budget };
    let (root, gives) = checker.step(tree)?;
    if !wanted.iter().any(|one| one.may_be(&gives)) {
        let names: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        return Err(complain(tree, format!("it gives {gives}, and has to give {}", names.join(" or "))));
    }
    Ok(Program { root, gives, reads: checker.reads.into_iter().collect() })
}

/// Without recursion: what is too deep is not gone into.
fn judge_size(tree: &Tree) -> Result<(), Complaint> {
    let (mut left, mut nodes) = (vec![(tree, 1)], 0);
    while let Some((one, depth)) = left.pop() {
        nodes += 1;
        if depth > MAX_DEPTH || nodes > MAX_NODES {
            let message = format!(
                "it has more than {MAX_NODES} parts, or more than {MAX_DEPTH} within each other; say it shorter, or in several rules"
            );
            return Err(complain(one, message));
        }
        left.extend(one.children().into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

pub(super) fn complain(tree: &Tree, message: impl Into<String>) -> Complaint {
    Complaint { at: tree.at, message: message.into() }
}

/// What is known on the way.
struct Checker<'b> {
    /// Variables of macros, the innermost last.
    locals: Vec<(String, Type)>,
    reads: BTreeSet<Field>,
    budget: &'b mut Budget,
}

type Checked = Result<(Step, Type), Complaint>;

impl Checker<'_> {
    fn step(&mut self, tree: &Tree) -> Checked {
        match &tree.node {
            Node::Constant(constant) => Ok((Step::Constant(constant.clone()), type_of(constant))),
            Node::Name(name) => self.name(tree, name),
            Node::Select { operand, field, is_test } => self.select(tree, operand, field, *is_test),
            Node::Call { function, is_method, arguments } => self.call(tree, function, *is_method, arguments),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Fold(fold) => self.fold(fold),
        }
    }

    fn list(&mut self, items: &[Tree]) -> Checked {
        let (mut steps, mut of) = (Vec::new(), UNKNOWN);
        for item in items {
            let (step, one) = self.step(item)?;
            steps.push(step);
            of = of.or(&one);
        }
        Ok((Step::List(steps.into()), Type::list(of)))
    }

    fn map(&mut self, entries: &[(Tree, Tree)]) -> Checked {
        let (mut steps, mut keys, mut values) = (Vec::new(), UNKNOWN, UNKNOWN);
        for (key, value) in entries {
            let (key_step, of_key) = self.step(key)?;
            if ![Type::Text, Type::Int, Type::Uint, Type::Bool].iter().any(|one| one.may_be(&of_key)) {
                return Err(complain(key, format!("a key cannot be {of_key}; use string, int, uint or bool")));
            }
            let (value_step, of_value) = self.step(value)?;
            steps.push((key_step, value_step));
            (keys, values) = (keys.or(&of_key), values.or(&of_value));
        }
        Ok((Step::Map(steps.into()), Type::Map(Box::new(keys), Box::new(values))))
    }

    fn fold(&mut self, fold: &Fold) -> Checked {
        let (range, over) = self.step(&fold.range)?;
        let item = match over {
            Type::List(item) => *item,
            Type::Map(key, _) => *key,
            Type::Dyn => Type::Dyn,
            other => {
                return Err(complain(&fold.range, format!("it goes over {other}, and can go over a list or a map")));
            }
        };
        let (first, sum) = self.step(&fold.first)?;
        let depth = self.locals.len();
        self.locals.extend([(fold.item.clone(), item), (fold.sum.clone(), sum.clone())]);
        let goes_on = self.of_type(&fold.goes_on, &Type::Bool)?;
        let (step, next) = self.next_sum(&fold.step, depth + 1)?;
        let sum = sum.or(&next);
        self.locals.truncate(depth + 1);
        self.locals.push((fold.sum.clone(), sum));
        let (result, gives) = self.step(&fold.result)?;
        self.locals.truncate(depth);
        Ok((Step::Fold(Box::new(FoldSteps { range, depth, first, goes_on, step, result })), gives))
    }

    /// What becomes of a fold's sum, the local of number `sum`: where a macro adds to it, it grows where it lies.
    fn next_sum(&mut self, tree: &Tree, sum: usize) -> Checked {
        let Node::Call { function, is_method: false, arguments } = &tree.node else { return self.step(tree) };
        match (function.as_str(), arguments.as_slice()) {
            ("_?_:_", [condition, one, other]) => {
                let condition = self.of_type(condition, &Type::Bool)?;
                let ((one, gives), (other, gives_other)) = (self.next_sum(one, sum)?, self.step(other)?);
                Ok((Step::Conditional(Box::new([condition, one, other])), gives.or(&gives_other)))
            }
            ("_+_", [to, Tree { node: Node::List(_), .. }]) => match self.step(tree)? {
                (Step::Call(Function::Add, added), gives) if self.is_local(to, sum) => {
                    let items = added.into_vec().into_iter().nth(1);
                    let Some(Step::List(items)) = items else { return self.step(tree) };
                    Ok((Step::Gather { sum, items }, gives))
                }
                checked => Ok(checked),
            },
            _ => self.step(tree),
        }
    }

    fn is_local(&self, tree: &Tree, at: usize) -> bool {
        matches!(&tree.node, Node::Name(name) if self.locals.iter().rposition(|(local, _)| local == name) == Some(at))
    }

    /// A step that has to give `wanted`.
    fn of_type(&mut self, tree: &Tree, wanted: &Type) -> Result<Step, Complaint> {
        let (step, gives) = self.step(tree)?;
        if wanted.may_be(&gives) {
            Ok(step)
        } else {
            Err(complain(tree, format!("this is {gives}, and has to be {wanted}")))
        }
    }
}

/// Of what has no items.
const UNKNOWN: Type = Type::Any(u8::MAX);

fn type_of(constant: &Constant) -> Type {
    match constant {
        Constant::Null => Type::Null,
        Constant::Bool(_) => Type::Bool,
        Constant::Int(_) => Type::Int,
        Constant::Uint(_) => Type::Uint,
        Constant::Double(_) => Type::Double,
        Constant::Text(_) => Type::Text,
        Constant::Bytes(_) => Type::Bytes,
    }
}
