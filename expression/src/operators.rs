//! Operators over values of any type.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::evaluate::Steps;
use crate::fault::Fault;
use crate::functions::Function;
use crate::value::{Bytes, List, Map, Value};

/// Whether they are the same: what is of different types is not, but for numbers, which are compared as numbers.
pub fn equal(one: &Value<'_>, other: &Value<'_>, steps: &mut Steps) -> Result<bool, Fault> {
    steps.spend(1)?;
    Ok(match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Text(one), Value::Text(other)) => {
            steps.spend_bytes(one.len().min(other.len()))?;
            **one == **other
        }
        (Value::Bytes(one), Value::Bytes(other)) => {
            steps.spend_bytes(one.len().min(other.len()))?;
            **one == **other
        }
        (Value::Timestamp(one), Value::Timestamp(other)) => one == other,
        (Value::Duration(one), Value::Duration(other)) => one == other,
        (Value::List(one), Value::List(other)) => return equal_lists(one, other, steps),
        (Value::Map(one), Value::Map(other)) => return equal_maps(one, other, steps),
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(one)), Value::Optional(Some(other))) => return equal(one, other, steps),
        _ => numbers(one, other).is_some_and(|order| order == Some(Ordering::Equal)),
    })
}

fn equal_lists(one: &List<'_>, other: &List<'_>, steps: &mut Steps) -> Result<bool, Fault> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for (one, other) in one.items().zip(other.items()) {
        if !equal(&one, &other, steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(one: &Map<'_>, other: &Map<'_>, steps: &mut Steps) -> Result<bool, Fault> {
    let keys = one.keys(steps)?;
    if keys.len() != other.len(steps)? {
        return Ok(false);
    }
    for key in keys {
        let [own, theirs] = [find(one, &key, steps)?, find(other, &key, steps)?];
        match (own, theirs) {
            (Some(own), Some(theirs)) if equal(&own, &theirs, steps)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// How two numbers compare, whatever their types; `Some(None)` where one is no number by its own word.
fn numbers(one: &Value<'_>, other: &Value<'_>) -> Option<Option<Ordering>> {
    use Value as V;
    Some(match (one, other) {
        (V::Int(one), V::Int(other)) => Some(one.cmp(other)),
        (V::Uint(one), V::Uint(other)) => Some(one.cmp(other)),
        (V::Double(one), V::Double(other)) => one.partial_cmp(other),
        (V::Int(one), V::Uint(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
        (V::Uint(one), V::Int(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
        (V::Double(one), V::Int(other)) => against_whole(*one, i128::from(*other)),
        (V::Double(one), V::Uint(other)) => against_whole(*one, i128::from(*other)),
        (V::Int(one), V::Double(other)) => against_whole(*other, i128::from(*one)).map(Ordering::reverse),
        (V::Uint(one), V::Double(other)) => against_whole(*other, i128::from(*one)).map(Ordering::reverse),
        _ => return None,
    })
}

/// Exactly: a whole number of 64 bits is not always a double.
fn against_whole(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is beyond is made the greatest, which is beyond 64 bits as well"
    )]
    let floor = double.floor() as i128;
    Some(floor.cmp(&whole).then(if double > double.floor() { Ordering::Greater } else { Ordering::Equal }))
}

pub fn compare<'a>(
    function: Function,
    one: &Value<'_>,
    other: &Value<'_>,
    steps: &mut Steps,
) -> Result<Value<'a>, Fault> {
    let (sign, holds): (_, fn(Ordering) -> bool) = match function {
        Function::Less => ("<", Ordering::is_lt),
        Function::LessOrEqual => ("<=", Ordering::is_le),
        Function::Greater => (">", Ordering::is_gt),
        _ => (">=", Ordering::is_ge),
    };
    let order = match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Text(one), Value::Text(other)) => {
            steps.spend_bytes(one.len().min(other.len()))?;
            Some((**one).cmp(&**other))
        }
        (Value::Bytes(one), Value::Bytes(other)) => {
            steps.spend_bytes(one.len().min(other.len()))?;
            Some((**one).cmp(&**other))
        }
        (Value::Timestamp(one), Value::Timestamp(other)) => Some(one.cmp(other)),
        (Value::Duration(one), Value::Duration(other)) => Some(one.cmp(other)),
        _ => numbers(one, other).ok_or(Fault::NoOverload(sign))?,
    };
    Ok(Value::Bool(order.is_some_and(holds)))
}

/// Arithmetic, and what is put together.
pub fn combine<'a>(
    function: Function,
    one: Value<'a>,
    other: Value<'a>,
    steps: &mut Steps,
) -> Result<Value<'a>, Fault> {
    use Value as V;
    let sign = sign(function);
    let range = || Fault::Range(sign);
    Ok(match (one, other) {
        (V::Int(one), V::Int(other)) => V::Int(checked(function, WHOLE, one, other).ok_or_else(range)?),
        (V::Uint(one), V::Uint(other)) => V::Uint(checked(function, NATURAL, one, other).ok_or_else(range)?),
        (V::Double(one), V::Double(other)) => V::Double(match function {
            Function::Add => one + other,
            Function::Subtract => one - other,
            Function::Multiply => one * other,
            Function::Divide => one / other,
            _ => return Err(Fault::NoOverload(sign)),
        }),
        (one, other) if function == Function::Add => added(one, other, steps)?,
        (one, other) if function == Function::Subtract => subtracted(&one, &other)?,
        _ => return Err(Fault::NoOverload(sign)),
    })
}

fn sign(function: Function) -> &'static str {
    match function {
        Function::Add => "+",
        Function::Subtract => "-",
        Function::Multiply => "*",
        Function::Divide => "/",
        _ => "%",
    }
}

/// What each function does with two numbers of a type: `+`, `-`, `*`, `/`, `%`.
type Arithmetic<T> = [fn(T, T) -> Option<T>; 5];

const WHOLE: Arithmetic<i64> =
    [i64::checked_add, i64::checked_sub, i64::checked_mul, i64::checked_div, i64::checked_rem];
const NATURAL: Arithmetic<u64> =
    [u64::checked_add, u64::checked_sub, u64::checked_mul, u64::checked_div, u64::checked_rem];

fn checked<T>(
    function: Function,
    [add, subtract, multiply, divide, modulo]: Arithmetic<T>,
    one: T,
    other: T,
) -> Option<T> {
    match function {
        Function::Add => add(one, other),
        Function::Subtract => subtract(one, other),
        Function::Multiply => multiply(one, other),
        Function::Divide => divide(one, other),
        _ => modulo(one, other),
    }
}

fn added<'a>(one: Value<'a>, other: Value<'a>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    use Value as V;
    let range = Fault::Range("+");
    Ok(match (one, other) {
        (V::Text(one), V::Text(other)) => {
            steps.spend_bytes(one.len() + other.len())?;
            V::text([&*one, &*other].concat())
        }
        (V::Bytes(one), V::Bytes(other)) => {
            steps.spend_bytes(one.len() + other.len())?;
            V::Bytes(Bytes::Made([&*one, &*other].concat().into()))
        }
        (V::List(one), V::List(other)) => {
            steps.spend(one.len() + other.len())?;
            V::list(one.items().chain(other.items()).collect())
        }
        (V::Timestamp(moment), V::Duration(length)) | (V::Duration(length), V::Timestamp(moment)) => {
            V::Timestamp(moment.checked_add(length).map_err(|_| range)?)
        }
        (V::Duration(one), V::Duration(other)) => V::Duration(one.checked_add(other).ok_or(range)?),
        _ => return Err(Fault::NoOverload("+")),
    })
}

fn subtracted<'a>(one: &Value<'a>, other: &Value<'a>) -> Result<Value<'a>, Fault> {
    use Value as V;
    let range = Fault::Range("-");
    Ok(match (one, other) {
        (V::Timestamp(one), V::Timestamp(other)) => V::Duration(one.duration_since(*other)),
        (V::Timestamp(moment), V::Duration(length)) => V::Timestamp(moment.checked_sub(*length).map_err(|_| range)?),
        (V::Duration(one), V::Duration(other)) => V::Duration(one.checked_sub(*other).ok_or(range)?),
        _ => return Err(Fault::NoOverload("-")),
    })
}

pub fn negate<'a>(one: &Value<'a>) -> Result<Value<'a>, Fault> {
    Ok(match one {
        Value::Int(one) => Value::Int(one.checked_neg().ok_or(Fault::Range("-"))?),
        Value::Double(one) => Value::Double(-one),
        Value::Duration(one) => Value::Duration(one.checked_neg().ok_or(Fault::Range("-"))?),
        _ => return Err(Fault::NoOverload("-")),
    })
}

/// Whether a list has the item, or a map the key.
pub fn is_in(one: &Value<'_>, all: &Value<'_>, steps: &mut Steps) -> Result<bool, Fault> {
    match all {
        Value::List(list) => {
            for item in list.items() {
                if equal(one, &item, steps)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => Ok(find(map, one, steps)?.is_some()),
        _ => Err(Fault::NoOverload("in")),
    }
}

/// What stands at a place of a list, or under a key of a map; of something optional, what is there if that is.
pub fn index<'a>(of: &Value<'a>, at: &Value<'_>, steps: &mut Steps) -> Result<Option<Value<'a>>, Fault> {
    match of {
        Value::Map(map) => find(map, at, steps),
        Value::List(list) => Ok(place(at)?.and_then(|at| list.at(at))),
        Value::Optional(None) => Ok(None),
        Value::Optional(Some(held)) => index(held, at, steps),
        _ => Err(Fault::NoOverload("[]")),
    }
}

/// A number that is whole, of whatever type; `None` for one that no list has.
fn place(at: &Value<'_>) -> Result<Option<usize>, Fault> {
    match at {
        Value::Int(at) => Ok(usize::try_from(*at).ok()),
        Value::Uint(at) => Ok(usize::try_from(*at).ok()),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and small")]
        Value::Double(at) if at.fract() == 0.0 && (0.0..4e9).contains(at) => Ok(Some(*at as usize)),
        Value::Double(_) => Ok(None),
        _ => Err(Fault::NoOverload("[]")),
    }
}

fn find<'a>(map: &Map<'a>, key: &Value<'_>, steps: &mut Steps) -> Result<Option<Value<'a>>, Fault> {
    if let Value::Text(name) = key {
        return map.named(name, steps);
    }
    let Map::Made(entries) = map else { return Ok(None) };
    steps.spend(entries.len())?;
    for (own, value) in Rc::as_ref(entries) {
        if equal(own, key, steps)? {
            return Ok(Some(value.clone()));
        }
    }
    Ok(None)
}

/// Characters of a text, bytes, items, or keys.
pub fn size<'a>(of: &Value<'_>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    let size = match of {
        Value::Text(text) => {
            steps.spend_bytes(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(steps)?,
        _ => return Err(Fault::NoOverload("size")),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| Fault::Range("size"))
}
