//! Reads objects as the API server gives them.

use serde_json::Value;

/// Text at a path of members, or nothing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `namespace/name`.
pub(super) fn full_name(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// Entries of a list; none where there is no list.
pub(super) fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The condition of that type among `conditions` of `part`.
pub(super) fn condition<'a>(part: &'a Value, kind: &str) -> Option<&'a Value> {
    entries(part, "/conditions").find(|one| text(one, "/type") == kind)
}

/// Whether it holds, for the generation that there is.
pub(super) fn holds(part: &Value, kind: &str, generation: Option<i64>) -> bool {
    condition(part, kind).is_some_and(|one| text(one, "/status") == "True" && is_of(one, generation))
}

/// Whether it speaks of the object as it is now.
pub(super) fn is_of(condition: &Value, generation: Option<i64>) -> bool {
    generation.is_none() || condition["observedGeneration"].as_i64() == generation
}

/// `metadata.generation`, which a kind without a spec has not.
pub(super) fn generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/generation").and_then(Value::as_i64)
}
