//! The fields of a line, for the reference page.

/// A field: its name, its type, and what it says. Where a line has nothing to say the field is absent.
pub struct Field {
    /// The member's name; `refusal.*` are members of `refusal`.
    pub name: &'static str,
    /// Its JSON type, and the form of a text.
    pub form: &'static str,
    /// What it says, and when it is there.
    pub meaning: &'static str,
}

const fn field(name: &'static str, form: &'static str, meaning: &'static str) -> Field {
    Field { name, form, meaning }
}

/// All of them, in the order of the reference page.
pub const FIELDS: &[Field] = &[
    field("time", "text, RFC 3339, UTC", "When the response ended."),
    field("instance", "text, 32 hexadecimal digits", "Names the exchange: `instance` of the problem body."),
    field("trace_id", "text, 32 hexadecimal digits", "The W3C trace that the request is a part of, if it is of one."),
    field("method", "text", "The method of the request."),
    field("path", "text", "The path in its canonical form, without the query."),
    field("status", "number", "The status of the response."),
    field("duration_ms", "number", "From the head of the request to the end of the response."),
    field("client", "text, address", "The client address; absent where it cannot be known."),
    field("peer", "text, address and port", "The other end of the connection."),
    field("route", "text, `kind/namespace/name`", "The route that matched; absent: none did."),
    field("rule", "text", "The rule of the route, by name, or by its place from 0."),
    field("policy", "text", "The policies in effect, by `namespace/name`; absent: no rule matched."),
    field("alternative", "text", "The alternative of `authentication` that held."),
    field("subscription", "text, `namespace/name`", "The Subscription whose key was taken."),
    field("upstream", "text, address and port", "The endpoint that was asked."),
    field("upstream_ms", "number", "From when the endpoint was asked to the head of its response."),
    field("bytes_sent", "number", "Bytes of the response's body that were handed to the connection."),
    field("refusal", "object", "Why it was refused; absent where it was not."),
    field(
        "would_refuse",
        "list of `{policy, refusal}`",
        "What policies and origin locks in Report mode would have refused.",
    ),
];

/// The members of a `refusal`; those that say nothing are empty texts.
pub const OF_REFUSAL: &[Field] = &[
    field("reason", "text", "The [code](reasons.md), as in the problem body."),
    field("object", "text, `Kind namespace/name`", "The object that decided."),
    field("section", "text", "The field of its spec."),
    field("rule", "text", "The entry of the section, such as the name of an alternative."),
    field("message", "text", "What was found, and the cure. The caller never reads it."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names that stand behind `before` in the code that writes lines.
    fn written(before: &str) -> BTreeSet<&'static str> {
        let source = include_str!("../access_log.rs");
        source.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    fn names(fields: &[Field]) -> BTreeSet<&'static str> {
        fields.iter().map(|field| field.name).collect()
    }

    #[test]
    fn the_table_has_what_is_written_and_nothing_else() {
        assert_eq!(names(FIELDS), written("put(\""));
        assert_eq!(FIELDS.len(), names(FIELDS).len(), "none stands twice");
    }

    #[test]
    fn the_table_has_what_a_refusal_holds_and_nothing_else() {
        let refusal = super::super::refusal(&crate::rejection::Rejection::plain(crate::rejection::Reason::NoRoute));
        let held = refusal.as_object().unwrap();
        assert_eq!(held.keys().map(String::as_str).collect::<BTreeSet<_>>(), names(OF_REFUSAL));
    }
}
