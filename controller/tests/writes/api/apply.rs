//! What becomes of an object that is patched.

use serde_json::{Map, Value, json};

/// Lists that are merged, by the key of their entries; all others are replaced.
const KEYED: [(&str, &str); 2] = [("conditions", "type"), ("listeners", "name")];

/// JSON Merge Patch (RFC 7396).
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

/// Server-side apply, by force: what a manager has applied `before` and does not any more goes, unless another manager has applied it
/// too; what it applies now is there.
pub(super) fn apply(target: &mut Value, before: &Value, now: &Value, others: &[Value]) {
    withdraw(target, before, now, &others.iter().collect::<Vec<_>>());
    put("", target, now);
}

fn key_of(list: &str) -> Option<&'static str> {
    KEYED.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

fn put(name: &str, target: &mut Value, now: &Value) {
    match (now, key_of(name)) {
        (Value::Object(now), _) => {
            if !target.is_object() {
                *target = json!({});
            }
            now.iter().for_each(|(name, value)| put(name, &mut target[name], value));
        }
        (Value::Array(now), Some(key)) => {
            if !target.is_array() {
                *target = json!([]);
            }
            let list = target.as_array_mut().unwrap();
            for entry in now {
                match list.iter_mut().find(|one| one[key] == entry[key]) {
                    Some(found) => put("", found, entry),
                    None => list.push(entry.clone()),
                }
            }
        }
        _ => *target = now.clone(),
    }
}

fn withdraw(target: &mut Value, before: &Value, now: &Value, others: &[&Value]) {
    let Value::Object(before) = before else { return };
    for (name, was) in before {
        let theirs: Vec<_> = others.iter().map(|other| &other[name]).filter(|value| !value.is_null()).collect();
        let stays = now.get(name);
        match (was, key_of(name), target.get_mut(name)) {
            (_, _, None) => {}
            (Value::Object(_), _, Some(target)) => withdraw(target, was, stays.unwrap_or(&json!({})), &theirs),
            (Value::Array(was), Some(key), Some(Value::Array(list))) => {
                let is_in = |entries: Option<&Value>, one: &Value| {
                    entries.and_then(Value::as_array).into_iter().flatten().any(|entry| entry[key] == one[key])
                };
                list.retain(|one| {
                    !is_in(Some(&Value::Array(was.clone())), one)
                        || is_in(stays, one)
                        || theirs.iter().any(|other| is_in(Some(other), one))
                });
            }
            _ if stays.is_none() && theirs.is_empty() => drop(target.as_object_mut().map(|target| target.remove(name))),
            _ => {}
        }
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        if stays.is_none() && target.get(name).is_some_and(is_empty) {
            target.as_object_mut().unwrap().remove(name);
        }
    }
}
