//! What a schema found wrong, in sentences of ours: what is wrong, what is allowed, and the cure.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::field_path;
use crate::cluster::FieldProblem;
use crate::problem::{MAX_SHOWN, cut};

/// Fields that name a secret or its digest, where people write the secret itself: what stands in them and below is not repeated.
const OF_SECRETS: [&str; 4] = ["credential", "keys", "secretRef", "decryptionKeyRefs"];

/// The field that is wrong, and what is to be said of it.
pub(in crate::manifest) fn problem(error: &ValidationError<'_>) -> FieldProblem {
    let mut field = field_path(error.instance_path().as_str());
    if let ValidationErrorKind::Required { property } = error.kind() {
        let dot = if field.is_empty() { "" } else { "." };
        field = format!("{field}{dot}{}", property.as_str().unwrap_or_default());
    }
    let message = sentence(error, &Instance { value: error.instance().as_ref(), is_of_secret: is_of_secret(&field) });
    FieldProblem { field, message }
}

fn is_of_secret(field: &str) -> bool {
    field.split(['.', '[']).any(|part| OF_SECRETS.contains(&part))
}

/// What was written.
struct Instance<'a> {
    value: &'a Value,
    is_of_secret: bool,
}

impl Instance<'_> {
    fn shown(&self) -> String {
        if self.is_of_secret { "it".to_owned() } else { shown(self.value) }
    }
}

fn sentence(error: &ValidationError<'_>, instance: &Instance<'_>) -> String {
    let value = instance.value;
    match error.kind() {
        ValidationErrorKind::Required { .. } => "it is missing; add it".to_owned(),
        ValidationErrorKind::Type { kind } => wrong_type(instance, kind),
        ValidationErrorKind::Enum { options } => format!("{} is not known; use {}", instance.shown(), one_of(options)),
        ValidationErrorKind::Minimum { limit } => format!("{value} is too small; use {} or more", whole(limit)),
        ValidationErrorKind::Maximum { limit } => format!("{value} is too large; use {} or less", whole(limit)),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("{value} is too small; use more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("{value} is too large; use less than {limit}"),
        ValidationErrorKind::MinLength { limit: 1 } => "it is empty; write at least 1 character".to_owned(),
        ValidationErrorKind::MinLength { limit } => {
            format!("it has {}; write at least {limit}", counted(characters(value), "character"))
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("it has {}; write at most {limit}", counted(characters(value), "character"))
        }
        ValidationErrorKind::MinItems { limit } => format!("it has {}; list at least {limit}", entries(value)),
        ValidationErrorKind::MaxItems { limit } => format!("it has {}; list at most {limit}", entries(value)),
        ValidationErrorKind::MinProperties { limit } => format!("it has {}; state at least {limit}", members(value)),
        ValidationErrorKind::MaxProperties { limit } => format!("it has {}; state at most {limit}", members(value)),
        ValidationErrorKind::UniqueItems => "two of its entries are the same; remove one".to_owned(),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("{value} is no multiple of {multiple_of}; use one that is")
        }
        ValidationErrorKind::Pattern { pattern } => {
            format!("{} does not have the form {pattern}; write it so that it has", instance.shown())
        }
        ValidationErrorKind::Format { format } => format!("{} is no {format}; write one", instance.shown()),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let fields = cut(&unexpected.join(", "), MAX_SHOWN).into_owned();
            format!("there is no field {fields} here; remove it or correct its name")
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => no_form(context),
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "it has several forms of which only one is allowed; remove what belongs to the others".to_owned()
        }
        ValidationErrorKind::FalseSchema => format!("{} is not allowed here; remove it", instance.shown()),
        _ if instance.is_of_secret => "it is not allowed; correct it".to_owned(),
        _ => format!("{error}; correct it"),
    }
}

/// A limit as people write it: schemas have whole numbers as 65535.0 as well.
fn whole(limit: &Value) -> String {
    let text = limit.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// What each of the allowed forms lacks.
fn no_form(forms: &[Vec<ValidationError<'static>>]) -> String {
    let wanted: Vec<_> = forms
        .iter()
        .filter_map(|errors| errors.first())
        .map(|error| {
            let FieldProblem { field, message } = problem(error);
            if field.is_empty() { message } else { format!("{field}: {message}") }
        })
        .collect();
    format!("it has none of the forms that are allowed; choose one of: {}", wanted.join(" | "))
}

fn wrong_type(instance: &Instance<'_>, kind: &TypeKind) -> String {
    let value = instance.value;
    let wanted: Vec<_> = match kind {
        TypeKind::Single(kind) => vec![name_of(*kind)],
        TypeKind::Multiple(kinds) => kinds.iter().map(name_of).collect(),
    };
    let is_text = wanted.contains(&name_of(JsonType::String));
    let cure = match value {
        Value::Bool(_) | Value::Number(_) if is_text => "; put it in quotes",
        Value::String(text) if text.parse::<f64>().is_ok() || matches!(text.as_str(), "true" | "false") => {
            "; remove the quotes"
        }
        _ => "; correct it",
    };
    let found = name_of(JsonType::from(value));
    format!("{} is {found}, where {} is wanted{cure}", instance.shown(), wanted.join(" or "))
}

fn name_of(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "nothing",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a text",
        JsonType::Array => "a list",
        JsonType::Object => "an object",
    }
}

fn one_of(options: &Value) -> String {
    let options: Vec<_> = options.as_array().into_iter().flatten().map(shown).collect();
    match options.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", options.join(", ")),
    }
}

/// A value as JSON, cut where it is long.
pub(in crate::manifest) fn shown(value: &Value) -> String {
    cut(&value.to_string(), MAX_SHOWN).into_owned()
}

fn characters(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn entries(value: &Value) -> String {
    match value.as_array().map_or(0, Vec::len) {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    }
}

fn members(value: &Value) -> String {
    counted(value.as_object().map_or(0, serde_json::Map::len), "member")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(schema: &Value, value: &Value) -> Vec<String> {
        let schema = json!({ "properties": { "f": schema } });
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&schema).unwrap();
        let problems = validator.iter_errors(value).map(|error| problem(&error));
        problems.map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
    }

    /// Each names the field, what is wrong, what is allowed and the cure.
    fn check(rows: impl IntoIterator<Item = (Value, Value, &'static str)>) {
        for (schema, value, sentence) in rows {
            let said = said(&schema, &json!({ "f": value }));
            assert!(
                matches!(said.as_slice(), [one] if one == sentence || one.ends_with(sentence) && sentence.starts_with(';')),
                "{sentence}: {said:?}"
            );
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        for (schema, sentence) in [
            (json!({ "type": "object" }), "it is a text, where an object is wanted; correct it"),
            (json!({ "pattern": "^[0-9]$" }), "it does not have the form ^[0-9]$; write it so that it has"),
            (json!({ "enum": ["A"] }), "it is not known; use \"A\""),
            (json!({ "not": {} }), "it is not allowed; correct it"),
        ] {
            for name in ["credential", "keys", "secretRef"] {
                let schema = json!({ "properties": { name: { "properties": { "inner": schema } } } });
                let said = said(&schema, &json!({ "f": { name: { "inner": "s3cret" } } }));
                assert_eq!(said, [format!("f.{name}.inner: {sentence}")]);
            }
        }
    }

    #[test]
    fn values_and_their_bounds() {
        let text = json!({ "type": "string" });
        check([
            (json!({ "required": ["a"] }), json!({}), "f.a: it is missing; add it"),
            (text.clone(), json!(7), "f: 7 is a number, where a text is wanted; put it in quotes"),
            (text.clone(), json!(true), "f: true is true or false, where a text is wanted; put it in quotes"),
            (text, json!([]), "f: [] is a list, where a text is wanted; correct it"),
            (
                json!({ "type": "integer" }),
                json!("7"),
                "f: \"7\" is a text, where a whole number is wanted; remove the quotes",
            ),
            (
                json!({ "type": "boolean" }),
                json!("yes"),
                "f: \"yes\" is a text, where true or false is wanted; correct it",
            ),
            (
                json!({ "type": ["integer", "string"] }),
                json!({}),
                "f: {} is an object, where a whole number or a text is wanted; correct it",
            ),
            (json!({ "enum": ["A", "B"] }), json!("C"), "f: \"C\" is not known; use one of \"A\", \"B\""),
            (json!({ "enum": ["A"] }), json!("C"), "f: \"C\" is not known; use \"A\""),
            (json!({ "minimum": 1 }), json!(0), "f: 0 is too small; use 1 or more"),
            (json!({ "maximum": 65_535 }), json!(70_000), "f: 70000 is too large; use 65535 or less"),
            (json!({ "minimum": 1, "exclusiveMinimum": true }), json!(1), "f: 1 is too small; use more than 1"),
            (json!({ "maximum": 9, "exclusiveMaximum": true }), json!(9), "f: 9 is too large; use less than 9"),
            (json!({ "minLength": 1 }), json!(""), "f: it is empty; write at least 1 character"),
            (json!({ "minLength": 3 }), json!("é"), "f: it has 1 character; write at least 3"),
            (json!({ "maxLength": 1 }), json!("ab"), "f: it has 2 characters; write at most 1"),
            (json!({ "minItems": 1 }), json!([]), "f: it has 0 entries; list at least 1"),
            (json!({ "maxItems": 0 }), json!([1]), "f: it has 1 entry; list at most 0"),
            (json!({ "minProperties": 1 }), json!({}), "f: it has 0 members; state at least 1"),
            (json!({ "maxProperties": 0 }), json!({ "a": 1 }), "f: it has 1 member; state at most 0"),
            (json!({ "uniqueItems": true }), json!([1, 1]), "f: two of its entries are the same; remove one"),
            (json!({ "multipleOf": 2 }), json!(3), "f: 3 is no multiple of 2; use one that is"),
            (
                json!({ "pattern": "^[a-z]+$" }),
                json!("A"),
                "f: \"A\" does not have the form ^[a-z]+$; write it so that it has",
            ),
            (json!({ "format": "date-time" }), json!("now"), "f: \"now\" is no date-time; write one"),
        ]);
        let said = said(&json!({ "enum": ["A"] }), &json!({ "f": "x".repeat(100) }));
        assert!(said[0].contains("x…") && said[0].len() < 120, "{said:?}");
    }

    #[test]
    fn objects_and_their_forms() {
        let forms =
            json!({ "oneOf": [{ "type": "object", "required": ["a"] }, { "type": "object", "required": ["b"] }] });
        check([
            (
                json!({ "properties": { "a": {} }, "additionalProperties": false }),
                json!({ "b": 1 }),
                "f: there is no field b here; remove it or correct its name",
            ),
            (
                forms.clone(),
                json!({}),
                "f: it has none of the forms that are allowed; choose one of: f.a: it is missing; add it | f.b: it is missing; add it",
            ),
            (
                forms,
                json!({ "a": 1, "b": 1 }),
                "f: it has several forms of which only one is allowed; remove what belongs to the others",
            ),
            (
                json!({ "anyOf": [{ "type": "string" }] }),
                json!(1),
                "f: it has none of the forms that are allowed; choose one of: f: 1 is a number, where a text is wanted; put it in quotes",
            ),
            (json!({ "additionalProperties": false }), json!({ "b": 1 }), "f: 1 is not allowed here; remove it"),
            (json!({ "not": {} }), json!(1), "; correct it"),
        ]);
    }
}
