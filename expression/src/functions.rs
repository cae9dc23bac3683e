//! The functions and operators that there are, with what they take and give (CEL language definition, "List of Standard Definitions", and the
//! strings extension as far as it is here).

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::typing::Type;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Negate,
    In,
    Index,
    OptionalIndex,
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Split,
    Join,
    Replace,
    Substring,
    IndexOf,
    ToBool,
    ToBytes,
    ToDouble,
    ToDuration,
    ToDyn,
    ToInt,
    ToText,
    ToTimestamp,
    ToUint,
    Part(Part),
    OptionalOf,
    OptionalNone,
    HasValue,
    Value,
    OrValue,
    Or,
}

/// A part of a moment (UTC), or of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `f(a)`, and operators.
    Global,
    /// `a.f()`
    Method,
}

/// One way to call a function.
pub struct Overload {
    pub name: &'static str,
    pub manner: Manner,
    /// Of a method the target is the first.
    pub takes: Vec<Type>,
    pub gives: Type,
    pub function: Function,
}

/// What each function is called by people: of an operator its sign.
pub fn shown(name: &str) -> &str {
    match name {
        "_==_" => "==",
        "_!=_" => "!=",
        "_<_" => "<",
        "_<=_" => "<=",
        "_>_" => ">",
        "_>=_" => ">=",
        "_+_" => "+",
        "_-_" | "-_" => "-",
        "_*_" => "*",
        "_/_" => "/",
        "_%_" => "%",
        "@in" => "in",
        "_[_]" => "[]",
        "_[?_]" => "[?]",
        "_?._" => ".?",
        "!_" => "!",
        "_&&_" => "&&",
        "_||_" => "||",
        "_?_:_" => "?:",
        other => other,
    }
}

/// All ways to call each function, made once.
static OVERLOADS: LazyLock<HashMap<&'static str, Ways>> = LazyLock::new(|| {
    let mut by_name = HashMap::<_, Ways>::new();
    for one in all() {
        let ways = by_name.entry(one.name).or_default();
        match one.manner {
            Manner::Global => ways.global.push(one),
            Manner::Method => ways.method.push(one),
        }
    }
    by_name
});

#[derive(Default)]
struct Ways {
    global: Vec<Overload>,
    method: Vec<Overload>,
}

/// All ways to call the function of this name.
pub fn overloads(name: &str, manner: Manner) -> &'static [Overload] {
    let ways = OVERLOADS.get(name).map(|ways| match manner {
        Manner::Global => ways.global.as_slice(),
        Manner::Method => ways.method.as_slice(),
    });
    ways.unwrap_or_default()
}

/// Each function with all ways to call it, as people write them, for the reference.
pub fn signatures() -> Vec<(&'static str, Vec<String>)> {
    let mut found = Vec::<(&'static str, Vec<String>)>::new();
    for one in all().filter(|one| one.name.starts_with(|first: char| first.is_ascii_alphabetic())) {
        let takes: Vec<_> = one.takes.iter().map(ToString::to_string).collect();
        let written = match (one.manner, takes.split_first()) {
            (Manner::Method, Some((target, rest))) => format!("{target}.{}({})", one.name, rest.join(", ")),
            _ => format!("{}({})", one.name, takes.join(", ")),
        };
        let written = format!("{written} → {}", one.gives);
        match found.iter_mut().find(|(name, _)| *name == one.name) {
            Some((_, ways)) => ways.push(written),
            None => found.push((one.name, vec![written])),
        }
    }
    found
}

fn all() -> impl Iterator<Item = Overload> {
    operators().into_iter().chain(texts()).chain(conversions()).chain(moments()).chain(optionals())
}

fn overload(name: &'static str, manner: Manner, takes: &[Type], gives: Type, function: Function) -> Overload {
    Overload { name, manner, takes: takes.to_vec(), gives, function }
}

const A: Type = Type::Any(0);
const B: Type = Type::Any(1);

fn operators() -> Vec<Overload> {
    use Type as T;
    let global = |name, takes: &[Type], gives, function| overload(name, Manner::Global, takes, gives, function);
    let mut all = vec![
        global("_==_", &[A, A], T::Bool, Function::Equal),
        global("_!=_", &[A, A], T::Bool, Function::Unequal),
        global("@in", &[A, T::list(A)], T::Bool, Function::In),
        global("@in", &[A, T::Map(Box::new(A), Box::new(B))], T::Bool, Function::In),
        global("_[_]", &[T::list(A), T::Int], A, Function::Index),
        global("_[_]", &[T::Map(Box::new(A), Box::new(B)), A], B, Function::Index),
        global("_[?_]", &[T::list(A), T::Int], T::optional(A), Function::OptionalIndex),
        global("_[?_]", &[T::Map(Box::new(A), Box::new(B)), A], T::optional(B), Function::OptionalIndex),
        global("-_", &[T::Int], T::Int, Function::Negate),
        global("-_", &[T::Double], T::Double, Function::Negate),
        global("-_", &[T::Duration], T::Duration, Function::Negate),
        global("_+_", &[T::Text, T::Text], T::Text, Function::Add),
        global("_+_", &[T::Bytes, T::Bytes], T::Bytes, Function::Add),
        global("_+_", &[T::list(A), T::list(A)], T::list(A), Function::Add),
        global("_+_", &[T::Timestamp, T::Duration], T::Timestamp, Function::Add),
        global("_+_", &[T::Duration, T::Timestamp], T::Timestamp, Function::Add),
        global("_+_", &[T::Duration, T::Duration], T::Duration, Function::Add),
        global("_-_", &[T::Timestamp, T::Duration], T::Timestamp, Function::Subtract),
        global("_-_", &[T::Timestamp, T::Timestamp], T::Duration, Function::Subtract),
        global("_-_", &[T::Duration, T::Duration], T::Duration, Function::Subtract),
    ];
    for number in [T::Int, T::Uint, T::Double] {
        let pair = [number.clone(), number.clone()];
        all.extend([
            global("_+_", &pair, number.clone(), Function::Add),
            global("_-_", &pair, number.clone(), Function::Subtract),
            global("_*_", &pair, number.clone(), Function::Multiply),
            global("_/_", &pair, number.clone(), Function::Divide),
        ]);
        if number != T::Double {
            all.push(global("_%_", &pair, number, Function::Modulo));
        }
    }
    for ordered in [T::Bool, T::Int, T::Uint, T::Double, T::Text, T::Bytes, T::Timestamp, T::Duration] {
        let pair = [ordered.clone(), ordered];
        all.extend([
            global("_<_", &pair, T::Bool, Function::Less),
            global("_<=_", &pair, T::Bool, Function::LessOrEqual),
            global("_>_", &pair, T::Bool, Function::Greater),
            global("_>=_", &pair, T::Bool, Function::GreaterOrEqual),
        ]);
    }
    all
}

fn texts() -> Vec<Overload> {
    use Type as T;
    let method = |name, takes: &[Type], gives, function| overload(name, Manner::Method, takes, gives, function);
    let mut all = vec![
        method("contains", &[T::Text, T::Text], T::Bool, Function::Contains),
        method("startsWith", &[T::Text, T::Text], T::Bool, Function::StartsWith),
        method("endsWith", &[T::Text, T::Text], T::Bool, Function::EndsWith),
        method("lowerAscii", &[T::Text], T::Text, Function::LowerAscii),
        method("upperAscii", &[T::Text], T::Text, Function::UpperAscii),
        method("trim", &[T::Text], T::Text, Function::Trim),
        method("split", &[T::Text, T::Text], T::list(T::Text), Function::Split),
        method("join", &[T::list(T::Text)], T::Text, Function::Join),
        method("join", &[T::list(T::Text), T::Text], T::Text, Function::Join),
        method("replace", &[T::Text, T::Text, T::Text], T::Text, Function::Replace),
        method("substring", &[T::Text, T::Int], T::Text, Function::Substring),
        method("substring", &[T::Text, T::Int, T::Int], T::Text, Function::Substring),
        method("indexOf", &[T::Text, T::Text], T::Int, Function::IndexOf),
    ];
    for sized in [T::Text, T::Bytes, T::list(A), T::Map(Box::new(A), Box::new(B))] {
        all.push(overload("size", Manner::Global, std::slice::from_ref(&sized), T::Int, Function::Size));
        all.push(method("size", &[sized], T::Int, Function::Size));
    }
    all
}

fn conversions() -> Vec<Overload> {
    use Type as T;
    let to = |name, from: &[Type], gives: &Type, function| -> Vec<Overload> {
        let one = |from: &Type| overload(name, Manner::Global, std::slice::from_ref(from), gives.clone(), function);
        from.iter().map(one).collect()
    };
    let to_text = [T::Text, T::Bool, T::Int, T::Uint, T::Double, T::Bytes, T::Timestamp, T::Duration];
    [
        to("bool", &[T::Bool, T::Text], &T::Bool, Function::ToBool),
        to("bytes", &[T::Bytes, T::Text], &T::Bytes, Function::ToBytes),
        to("double", &[T::Double, T::Int, T::Uint, T::Text], &T::Double, Function::ToDouble),
        to("duration", &[T::Duration, T::Text], &T::Duration, Function::ToDuration),
        to("dyn", &[A], &T::Dyn, Function::ToDyn),
        to("int", &[T::Int, T::Uint, T::Double, T::Text, T::Timestamp], &T::Int, Function::ToInt),
        to("string", &to_text, &T::Text, Function::ToText),
        to("timestamp", &[T::Timestamp, T::Text, T::Int], &T::Timestamp, Function::ToTimestamp),
        to("uint", &[T::Uint, T::Int, T::Double, T::Text], &T::Uint, Function::ToUint),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn moments() -> Vec<Overload> {
    use Type as T;
    let of = |name, from: Type, part| overload(name, Manner::Method, &[from], T::Int, Function::Part(part));
    vec![
        of("getFullYear", T::Timestamp, Part::FullYear),
        of("getMonth", T::Timestamp, Part::Month),
        of("getDate", T::Timestamp, Part::Date),
        of("getDayOfMonth", T::Timestamp, Part::DayOfMonth),
        of("getDayOfWeek", T::Timestamp, Part::DayOfWeek),
        of("getDayOfYear", T::Timestamp, Part::DayOfYear),
        of("getHours", T::Timestamp, Part::Hours),
        of("getHours", T::Duration, Part::Hours),
        of("getMinutes", T::Timestamp, Part::Minutes),
        of("getMinutes", T::Duration, Part::Minutes),
        of("getSeconds", T::Timestamp, Part::Seconds),
        of("getSeconds", T::Duration, Part::Seconds),
        of("getMilliseconds", T::Timestamp, Part::Milliseconds),
        of("getMilliseconds", T::Duration, Part::Milliseconds),
    ]
}

fn optionals() -> Vec<Overload> {
    use Type as T;
    let method = |name, takes: &[Type], gives, function| overload(name, Manner::Method, takes, gives, function);
    vec![
        overload("optional.of", Manner::Global, &[A], T::optional(A), Function::OptionalOf),
        overload("optional.none", Manner::Global, &[], T::optional(T::Dyn), Function::OptionalNone),
        method("hasValue", &[T::optional(A)], T::Bool, Function::HasValue),
        method("value", &[T::optional(A)], A, Function::Value),
        method("orValue", &[T::optional(A), A], A, Function::OrValue),
        method("or", &[T::optional(A), T::optional(A)], T::optional(A), Function::Or),
    ]
}
