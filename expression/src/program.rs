//! A checked expression, ready to be evaluated.

use std::sync::Arc;

use crate::declared::Field;
use crate::functions::Function;
use crate::pattern::Pattern;
use crate::tree::Constant;
use crate::typing::Type;

/// An expression that has been judged.
#[derive(Debug)]
pub struct Program {
    pub(crate) root: Step,
    pub(crate) gives: Type,
    pub(crate) reads: Vec<Field>,
}

impl Program {
    /// The type of what it gives.
    pub fn gives(&self) -> &Type {
        &self.gives
    }

    /// The fields that it may read, each once.
    pub fn reads(&self) -> &[Field] {
        &self.reads
    }
}

/// What is done, with all that it is done to.
#[derive(Debug)]
pub(crate) enum Step {
    Constant(Constant),
    Field(Field),
    HasField(Field),
    /// The value of the field, if it is there.
    OptionalField(Field),
    /// A variable of a macro, counted from the outermost.
    Local(usize),
    /// `map.name`
    Entry(Box<Step>, Box<str>),
    HasEntry(Box<Step>, Box<str>),
    OptionalEntry(Box<Step>, Box<str>),
    And(Box<Step>, Box<Step>),
    Or(Box<Step>, Box<Step>),
    Not(Box<Step>),
    /// Whether it is true, or has failed: CEL's own word for when a macro goes on.
    NotFalse(Box<Step>),
    Conditional(Box<[Step; 3]>),
    Matches(Box<Step>, Arc<Pattern>),
    /// `or` of something optional, or `orValue`.
    OrElse {
        optional: Box<Step>,
        other: Box<Step>,
        is_value: bool,
    },
    /// What a macro adds to its sum, which is the local of this number.
    Gather {
        sum: usize,
        items: Box<[Step]>,
    },
    Call(Function, Box<[Step]>),
    List(Box<[Step]>),
    Map(Box<[(Step, Step)]>),
    Fold(Box<FoldSteps>),
}

/// The item is the local of number `depth`, the sum the one after it.
#[derive(Debug)]
pub(crate) struct FoldSteps {
    pub range: Step,
    pub depth: usize,
    pub first: Step,
    pub goes_on: Step,
    pub step: Step,
    pub result: Step,
}
