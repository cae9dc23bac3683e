//! Evaluates a program for one request: in bounded steps, and without touching anything but what it is given.

use std::rc::Rc;

use crate::declared::Field;
use crate::fault::Fault;
use crate::functions::Function;
use crate::program::{FoldSteps, Program, Step};
use crate::value::{List, Map, Value};
use crate::{operators, texts, times};

/// Steps that all expressions of a request may take together, which is a millisecond or so. Each part of an expression is one, and so is
/// each item that is compared or copied, and each [`BYTES_A_STEP`] bytes that are read or made.
pub const MAX_STEPS: u32 = 20_000;
/// Bytes that are read or copied in one step.
pub const BYTES_A_STEP: usize = 64;

/// What a program reads.
pub trait Environment {
    /// What the field holds; absent where the request has none.
    fn read(&self, field: Field) -> Option<Value<'_>>;
}

impl Program {
    /// What it gives for what stands in `environment`.
    ///
    /// # Errors
    ///
    /// Where it cannot be told; [`Fault::Exhausted`] where that takes more steps than are left.
    pub fn evaluate<'a>(&'a self, environment: &'a dyn Environment, steps: &mut Steps) -> Result<Value<'a>, Fault> {
        Evaluation { environment, steps, locals: Vec::new() }.step(&self.root)
    }
}

/// Steps that are left of a request's.
#[derive(Debug)]
pub struct Steps(u32);

impl Default for Steps {
    fn default() -> Self {
        Self(MAX_STEPS)
    }
}

impl Steps {
    /// How many are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> u32 {
        self.0
    }

    /// Takes so many away.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.unwrap_or_default();
        left.map(drop).ok_or(Fault::Exhausted)
    }

    /// Takes away what so many bytes cost.
    pub(crate) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(bytes / BYTES_A_STEP)
    }
}

type Evaluated<'a> = Result<Value<'a>, Fault>;

struct Evaluation<'a, 's> {
    environment: &'a dyn Environment,
    steps: &'s mut Steps,
    /// Variables of macros, as they are numbered in the program. One may be what has failed.
    locals: Vec<Evaluated<'a>>,
}

impl<'a> Evaluation<'a, '_> {
    fn step(&mut self, step: &'a Step) -> Evaluated<'a> {
        self.steps.spend(1)?;
        self.done(step)
    }

    fn done(&mut self, step: &'a Step) -> Evaluated<'a> {
        match step {
            Step::Constant(constant) => Ok(Value::constant(constant)),
            Step::Field(field) => self.field(*field)?.ok_or_else(|| Fault::Missing(field.path().into())),
            // An object is there if its field is: what stands for it is asked for by that field alone.
            Step::HasField(field) => Ok(Value::Bool(self.field(*field)?.is_some())),
            Step::OptionalField(field) => Ok(Value::optional(self.field(*field)?)),
            Step::Local(at) => self.locals.get(*at).cloned().unwrap_or_else(|| Err(missing("a variable"))),
            Step::Entry(from, name) => {
                let from = self.step(from)?;
                self.entry(&from, name)?.ok_or_else(|| missing(name))
            }
            Step::HasEntry(from, name) => {
                let from = self.step(from)?;
                Ok(Value::Bool(self.entry(&from, name)?.is_some()))
            }
            Step::OptionalEntry(from, name) => {
                let from = self.step(from)?;
                Ok(Value::optional(self.entry(&from, name)?))
            }
            Step::And(one, other) => self.unless(one, other, false),
            Step::Or(one, other) => self.unless(one, other, true),
            Step::Not(one) => Ok(Value::Bool(!as_bool(self.step(one), "!")?)),
            Step::NotFalse(one) => match self.step(one) {
                Err(Fault::Exhausted) => Err(Fault::Exhausted),
                given => Ok(Value::Bool(!matches!(given, Ok(Value::Bool(false))))),
            },
            Step::Conditional(parts) => {
                let [condition, one, other] = &**parts;
                if as_bool(self.step(condition), "?:")? { self.step(one) } else { self.step(other) }
            }
            Step::Matches(text, pattern) => match self.step(text)? {
                Value::Text(text) => {
                    // A pattern is matched in time that is linear in the text and in its own size.
                    self.steps.spend_bytes(text.len().saturating_mul(pattern.weight()))?;
                    Ok(Value::Bool(pattern.is_match(&text)))
                }
                _ => Err(Fault::NoOverload("matches")),
            },
            Step::OrElse { optional, other, is_value } => self.or_else((optional, other), *is_value),
            Step::Gather { sum, items } => self.gather(*sum, items),
            Step::Call(function, arguments) => self.call(*function, arguments),
            Step::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.step(item)).collect();
                Ok(Value::list(items?))
            }
            Step::Map(entries) => self.map(entries),
            Step::Fold(fold) => self.fold(fold),
        }
    }

    /// What the request holds there; a list is made for whoever asks.
    fn field(&mut self, field: Field) -> Result<Option<Value<'a>>, Fault> {
        let held = self.environment.read(field);
        if let Some(Value::List(list)) = &held {
            self.steps.spend(list.len())?;
        }
        Ok(held)
    }

    /// `&&` and `||`: what either side says by itself counts, also where the other has failed.
    fn unless(&mut self, one: &'a Step, other: &'a Step, settles: bool) -> Evaluated<'a> {
        let sign = if settles { "||" } else { "&&" };
        let one = as_bool(self.step(one), sign);
        if one == Ok(settles) || one == Err(Fault::Exhausted) {
            return one.map(Value::Bool);
        }
        match as_bool(self.step(other), sign) {
            Ok(other) if other == settles => Ok(Value::Bool(settles)),
            Err(Fault::Exhausted) => Err(Fault::Exhausted),
            other => one.and(other).map(Value::Bool),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Step]) -> Evaluated<'a> {
        let mut given = [Value::Null, Value::Null, Value::Null];
        for (place, argument) in given.iter_mut().zip(arguments) {
            *place = self.step(argument)?;
        }
        let [one, other, third] = given;
        self.apply(function, arguments.len(), (one, other, third))
    }

    fn apply(
        &mut self,
        function: Function,
        arguments: usize,
        (one, other, third): (Value<'a>, Value<'a>, Value<'a>),
    ) -> Evaluated<'a> {
        use Function as F;
        let steps = &mut *self.steps;
        match function {
            F::Equal => operators::equal(&one, &other, steps).map(Value::Bool),
            F::Unequal => operators::equal(&one, &other, steps).map(|equal| Value::Bool(!equal)),
            F::Less | F::LessOrEqual | F::Greater | F::GreaterOrEqual => {
                operators::compare(function, &one, &other, steps)
            }
            F::Add | F::Subtract | F::Multiply | F::Divide | F::Modulo => {
                operators::combine(function, one, other, steps)
            }
            F::Negate => operators::negate(&one),
            F::In => operators::is_in(&one, &other, steps).map(Value::Bool),
            F::Index => operators::index(&one, &other, steps)?.ok_or_else(|| missing("what [] asks for")),
            F::OptionalIndex => Ok(Value::optional(operators::index(&one, &other, steps)?)),
            F::Size => operators::size(&one, steps),
            F::Contains | F::StartsWith | F::EndsWith | F::IndexOf => texts::search(function, &one, &other, steps),
            F::LowerAscii | F::UpperAscii | F::Trim => texts::altered(function, one, steps),
            F::Split => texts::split(one, &other, steps),
            F::Join => texts::join(&one, (arguments > 1).then_some(&other), steps),
            F::Replace => texts::replace(&one, &other, &third, steps),
            F::Substring => texts::substring(&one, &other, (arguments > 2).then_some(&third), steps),
            F::ToDyn => Ok(one),
            F::ToBool | F::ToBytes | F::ToDouble | F::ToInt | F::ToText | F::ToUint => {
                texts::convert(function, one, steps)
            }
            F::ToDuration | F::ToTimestamp => times::convert(function, one, steps),
            F::Part(part) => times::part(part, &one),
            F::OptionalOf => Ok(Value::optional(Some(one))),
            F::OptionalNone => Ok(Value::optional(None)),
            F::HasValue => Ok(Value::Bool(held(one, "hasValue")?.is_some())),
            // They are steps of their own.
            F::Or | F::OrValue => Err(Fault::NoOverload("or")),
            F::Value => held(one, "value")?.ok_or_else(|| missing("the value of what is optional")),
        }
    }

    /// `or` and `orValue`: the other is asked for only where the first is not there.
    fn or_else(&mut self, (optional, other): (&'a Step, &'a Step), is_value: bool) -> Evaluated<'a> {
        match held(self.step(optional)?, if is_value { "orValue" } else { "or" })? {
            Some(value) if is_value => Ok(value),
            Some(value) => Ok(Value::optional(Some(value))),
            None => self.step(other),
        }
    }

    /// What a macro gathers is appended to where it lies: nobody else looks at it while it grows.
    fn gather(&mut self, sum: usize, items: &'a [Step]) -> Evaluated<'a> {
        let more: Vec<_> = items.iter().map(|item| self.step(item)).collect::<Result<_, _>>()?;
        let taken = self.locals.get_mut(sum).map(|local| std::mem::replace(local, Err(missing("a sum"))));
        match taken.unwrap_or_else(|| Err(missing("a sum")))? {
            Value::List(List::Made(mut all)) => {
                if Rc::get_mut(&mut all).is_none() {
                    self.steps.spend(all.len())?;
                }
                Rc::make_mut(&mut all).extend(more);
                Ok(Value::List(List::Made(all)))
            }
            other => operators::combine(Function::Add, other, Value::list(more), self.steps),
        }
    }

    fn map(&mut self, entries: &'a [(Step, Step)]) -> Evaluated<'a> {
        let mut made: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (key, value) = (self.step(key)?, self.step(value)?);
            for (other, _) in &made {
                if operators::equal(other, &key, self.steps)? {
                    return Err(Fault::TwiceInMap);
                }
            }
            made.push((key, value));
        }
        Ok(Value::Map(Map::Made(Rc::new(made))))
    }

    fn fold(&mut self, fold: &'a FoldSteps) -> Evaluated<'a> {
        let range = match self.step(&fold.range)? {
            Value::List(list) => list,
            Value::Map(map) => List::Made(Rc::new(map.keys(self.steps)?)),
            _ => return Err(Fault::NoOverload("a macro")),
        };
        let sum = self.step(&fold.first);
        self.locals.truncate(fold.depth);
        self.locals.extend([Ok(Value::Null), sum]);
        let outcome = self.go_over(fold, &range);
        self.locals.truncate(fold.depth);
        outcome
    }

    fn go_over(&mut self, fold: &'a FoldSteps, range: &List<'a>) -> Evaluated<'a> {
        for item in range.items() {
            self.set(fold.depth, Ok(item));
            if !as_bool(self.step(&fold.goes_on), "a macro")? {
                break;
            }
            let sum = self.step(&fold.step);
            if sum.as_ref().err() == Some(&Fault::Exhausted) {
                return sum;
            }
            self.set(fold.depth + 1, sum);
        }
        self.step(&fold.result)
    }

    /// What stands under a name, in something optional as well.
    fn entry(&mut self, from: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, Fault> {
        match from {
            Value::Map(map) => map.named(name, self.steps),
            Value::Optional(None) => Ok(None),
            Value::Optional(Some(held)) => self.entry(held, name),
            _ => Err(Fault::NoOverload(".")),
        }
    }

    fn set(&mut self, at: usize, value: Evaluated<'a>) {
        if let Some(local) = self.locals.get_mut(at) {
            *local = value;
        }
    }
}

pub(crate) fn missing(what: &str) -> Fault {
    Fault::Missing(what.to_owned().into())
}

fn as_bool(given: Evaluated<'_>, sign: &'static str) -> Result<bool, Fault> {
    match given? {
        Value::Bool(one) => Ok(one),
        _ => Err(Fault::NoOverload(sign)),
    }
}

fn held<'a>(optional: Value<'a>, function: &'static str) -> Result<Option<Value<'a>>, Fault> {
    match optional {
        Value::Optional(held) => Ok(held.map(|held| (*held).clone())),
        _ => Err(Fault::NoOverload(function)),
    }
}
