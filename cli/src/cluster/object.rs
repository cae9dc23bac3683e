//! Objects as they come from an API server, read leniently: whoever asks where things stand is told of odd ones as well.

use sallyport_api::CONTROLLER_NAME;
use sallyport_controller::cluster::ObjectName;
use serde_json::Value;

/// A text of the object; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `shop/orders`; of cluster-scoped objects the name only.
pub(crate) fn full_name(object: &Value) -> String {
    let (namespace, name) = (namespace(object), name(object));
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// What somebody means by NAMESPACE/NAME, or by NAME in `namespace`.
pub(crate) fn qualified(text: &str, namespace: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    ObjectName::new(namespace, name)
}

pub(crate) fn generation(object: &Value) -> Option<i64> {
    object["metadata"]["generation"].as_i64()
}

/// Entries of a list; none where there is no list.
pub(crate) fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Whether an entry of a status is our controller's.
pub(crate) fn is_ours(entry: &Value) -> bool {
    entry["controllerName"] == CONTROLLER_NAME
}

/// The condition of that type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    entries(object, "/status/conditions").find(|one| one["type"] == kind)
}

/// Whether a GatewayClass is of our controller.
pub(crate) fn is_class_of_ours(class: &Value) -> bool {
    text(class, "/spec/controllerName") == CONTROLLER_NAME
}
