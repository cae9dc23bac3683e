//! Rules about changes: what an API server would refuse of an object because of the form before it.

use serde::Serialize;

use super::schema;
use crate::cluster::{FieldProblem, Object, ObjectKind, Stored};

/// What is wrong with `newer` in place of `before`. Other kinds have no such rules.
pub(super) fn refused(before: &Object, newer: &Object) -> Vec<FieldProblem> {
    match (before, newer) {
        (Object::Subscription(Stored::Decoded(before)), Object::Subscription(Stored::Decoded(newer)))
            if before.spec != newer.spec =>
        {
            judged(ObjectKind::Subscription, before.as_ref(), newer.as_ref())
        }
        (Object::GatewayClass(Stored::Decoded(before)), Object::GatewayClass(Stored::Decoded(newer))) => {
            judged(ObjectKind::GatewayClass, before.as_ref(), newer.as_ref())
        }
        _ => vec![],
    }
}

fn judged<K: Serialize>(kind: ObjectKind, before: &K, newer: &K) -> Vec<FieldProblem> {
    match (schema::of(kind), serde_json::to_value(before), serde_json::to_value(newer)) {
        (Some(schema), Ok(before), Ok(newer)) => schema.broken_transition(&before, &newer),
        _ => vec![],
    }
}
