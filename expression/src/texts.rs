//! Functions of texts, and conversions to and from them.

use crate::duration;
use crate::evaluate::{BYTES_A_STEP, Steps};
use crate::fault::Fault;
use crate::functions::Function;
use crate::value::{Bytes, Text, Value};

fn text<'v>(value: &'v Value<'_>, function: &'static str) -> Result<&'v str, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(Fault::NoOverload(function)),
    }
}

pub fn search<'a>(
    function: Function,
    one: &Value<'_>,
    other: &Value<'_>,
    steps: &mut Steps,
) -> Result<Value<'a>, Fault> {
    let name = match function {
        Function::Contains => "contains",
        Function::StartsWith => "startsWith",
        Function::EndsWith => "endsWith",
        _ => "indexOf",
    };
    let (one, other) = (text(one, name)?, text(other, name)?);
    steps.spend_bytes(one.len() + other.len())?;
    Ok(match function {
        Function::Contains => Value::Bool(one.contains(other)),
        Function::StartsWith => Value::Bool(one.starts_with(other)),
        Function::EndsWith => Value::Bool(one.ends_with(other)),
        _ => {
            let before = one.find(other).and_then(|at| one.get(..at));
            Value::Int(before.and_then(|before| i64::try_from(before.chars().count()).ok()).unwrap_or(-1))
        }
    })
}

pub fn altered<'a>(function: Function, one: Value<'a>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    let Value::Text(text) = one else { return Err(Fault::NoOverload("this function of texts")) };
    steps.spend_bytes(text.len())?;
    Ok(Value::Text(match function {
        Function::LowerAscii if text.bytes().any(|byte| byte.is_ascii_uppercase()) => text.to_ascii_lowercase().into(),
        Function::UpperAscii if text.bytes().any(|byte| byte.is_ascii_lowercase()) => text.to_ascii_uppercase().into(),
        Function::Trim => match text {
            Text::Borrowed(text) => text.trim().into(),
            Text::Made(text) => text.trim().to_owned().into(),
        },
        _ => text,
    }))
}

/// At each `separator`; at nothing, into its characters.
pub fn split<'a>(one: Value<'a>, separator: &Value<'_>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    let separator = text(separator, "split")?;
    let Value::Text(whole) = one else { return Err(Fault::NoOverload("split")) };
    steps.spend_bytes(whole.len() + separator.len())?;
    let count = if separator.is_empty() { whole.chars().count() } else { whole.matches(separator).count() };
    steps.spend(count)?;
    Ok(Value::list(match whole {
        Text::Borrowed(whole) => pieces(whole, separator).into_iter().map(Value::text).collect(),
        Text::Made(whole) => pieces(&whole, separator).into_iter().map(|piece| Value::text(piece.to_owned())).collect(),
    }))
}

fn pieces<'t>(whole: &'t str, separator: &str) -> Vec<&'t str> {
    if separator.is_empty() {
        return whole.char_indices().filter_map(|(at, one)| whole.get(at..at + one.len_utf8())).collect();
    }
    whole.split(separator).collect()
}

pub fn join<'a>(list: &Value<'_>, separator: Option<&Value<'_>>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    let separator = separator.map_or(Ok(""), |one| text(one, "join"))?;
    let Value::List(list) = list else { return Err(Fault::NoOverload("join")) };
    let mut joined = String::new();
    for (at, item) in list.items().enumerate() {
        let item = text(&item, "join")?;
        steps.spend(1 + (item.len() + separator.len()) / BYTES_A_STEP)?;
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(item);
    }
    Ok(Value::text(joined))
}

pub fn replace<'a>(one: &Value<'_>, from: &Value<'_>, to: &Value<'_>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    let [one, from, to] = [text(one, "replace")?, text(from, "replace")?, text(to, "replace")?];
    steps.spend_bytes(one.len() + from.len())?;
    let times = one.matches(from).count();
    steps.spend(times)?;
    steps.spend_bytes(times.saturating_mul(to.len()))?;
    Ok(Value::text(one.replace(from, to)))
}

/// By characters, from `first` to before `end`.
pub fn substring<'a>(
    one: &Value<'_>,
    first: &Value<'_>,
    end: Option<&Value<'_>>,
    steps: &mut Steps,
) -> Result<Value<'a>, Fault> {
    let whole = text(one, "substring")?;
    steps.spend_bytes(whole.len())?;
    let count = whole.chars().count();
    let place = |at: &Value<'_>| match at {
        Value::Int(at) => usize::try_from(*at).ok().filter(|at| *at <= count).ok_or(Fault::NoPlace("substring")),
        _ => Err(Fault::NoOverload("substring")),
    };
    let (first, end) = (place(first)?, end.map_or(Ok(count), place)?);
    let length = end.checked_sub(first).ok_or(Fault::NoPlace("substring"))?;
    Ok(Value::text(whole.chars().skip(first).take(length).collect::<String>()))
}

/// `bool`, `bytes`, `double`, `int`, `string`, `uint`.
pub fn convert<'a>(function: Function, one: Value<'a>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    if let Value::Text(text) = &one {
        steps.spend_bytes(text.len())?;
    }
    match function {
        Function::ToBool => to_bool(&one),
        Function::ToBytes => match one {
            Value::Text(Text::Borrowed(text)) => Ok(Value::Bytes(Bytes::Borrowed(text.as_bytes()))),
            Value::Text(Text::Made(text)) => Ok(Value::Bytes(Bytes::Made(text.into()))),
            Value::Bytes(_) => Ok(one),
            _ => Err(Fault::NoOverload("bytes")),
        },
        Function::ToDouble => to_double(&one),
        Function::ToInt => to_int(&one),
        Function::ToUint => to_uint(&one),
        _ => to_text(one, steps),
    }
}

/// As Go reads them, which is what CEL's conversions are taken from.
fn to_bool<'a>(one: &Value<'a>) -> Result<Value<'a>, Fault> {
    match one {
        Value::Bool(one) => Ok(Value::Bool(*one)),
        Value::Text(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(Fault::Malformed("bool")),
        },
        _ => Err(Fault::NoOverload("bool")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
fn to_double<'a>(one: &Value<'a>) -> Result<Value<'a>, Fault> {
    match one {
        Value::Double(one) => Ok(Value::Double(*one)),
        Value::Int(one) => Ok(Value::Double(*one as f64)),
        Value::Uint(one) => Ok(Value::Double(*one as f64)),
        // What is no number by its own word is greater and smaller than nothing: a rule would pass it over.
        Value::Text(text) => match text.parse::<f64>() {
            Ok(number) if !number.is_nan() => Ok(Value::Double(number)),
            _ => Err(Fault::Malformed("double")),
        },
        _ => Err(Fault::NoOverload("double")),
    }
}

fn to_int<'a>(one: &Value<'a>) -> Result<Value<'a>, Fault> {
    match one {
        Value::Int(one) => Ok(Value::Int(*one)),
        Value::Uint(one) => i64::try_from(*one).map(Value::Int).map_err(|_| Fault::Range("int")),
        #[expect(clippy::cast_possible_truncation, reason = "toward zero, and within bounds")]
        Value::Double(one) if one.abs() < 9_223_372_036_854_775_808.0 => Ok(Value::Int(*one as i64)),
        Value::Double(_) => Err(Fault::Range("int")),
        Value::Text(text) => text.parse().map(Value::Int).map_err(|_| Fault::Malformed("int")),
        Value::Timestamp(moment) => Ok(Value::Int(moment.as_second())),
        _ => Err(Fault::NoOverload("int")),
    }
}

fn to_uint<'a>(one: &Value<'a>) -> Result<Value<'a>, Fault> {
    match one {
        Value::Uint(one) => Ok(Value::Uint(*one)),
        Value::Int(one) => u64::try_from(*one).map(Value::Uint).map_err(|_| Fault::Range("uint")),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "toward zero, and within bounds")]
        Value::Double(one) if (0.0..18_446_744_073_709_551_616.0).contains(one) => Ok(Value::Uint(*one as u64)),
        Value::Double(_) => Err(Fault::Range("uint")),
        Value::Text(text) => text.parse().map(Value::Uint).map_err(|_| Fault::Malformed("uint")),
        _ => Err(Fault::NoOverload("uint")),
    }
}

fn to_text<'a>(one: Value<'a>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    Ok(Value::text(match one {
        Value::Text(text) => return Ok(Value::Text(text)),
        Value::Bool(one) => one.to_string(),
        Value::Int(one) => one.to_string(),
        Value::Uint(one) => one.to_string(),
        Value::Double(one) => one.to_string(),
        Value::Bytes(bytes) => {
            steps.spend_bytes(bytes.len())?;
            std::str::from_utf8(&bytes).map_err(|_| Fault::Malformed("string"))?.to_owned()
        }
        Value::Timestamp(moment) => moment.to_string(),
        Value::Duration(length) => duration::text(length),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Optional(_) => return Err(Fault::NoOverload("string")),
    }))
}
