//! The interpreter of the library that also parses, asked the same: what it gives, ours gives.

use cel::{Context, Program as Peer, Value as PeerValue};
use proptest::prelude::*;

use super::{Request, given, program};
use crate::fault::Fault;

/// A value of the peer as a text that tells its type; none of a kind that is not compared.
fn shown(value: &PeerValue) -> Option<String> {
    Some(match value {
        PeerValue::Null => "null".to_owned(),
        PeerValue::Bool(one) => one.to_string(),
        PeerValue::Int(number) => number.to_string(),
        PeerValue::UInt(number) => format!("{number}u"),
        PeerValue::Float(number) => format!("{number:?}"),
        PeerValue::String(text) => format!("{text:?}"),
        PeerValue::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(shown).collect();
            format!("[{}]", items?.join(", "))
        }
        _ => return None,
    })
}

/// Expressions that can be typed as often as not.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
        (-3_i64..4).prop_map(|number| if number < 0 { format!("({number})") } else { number.to_string() }),
        (0_u64..3).prop_map(|number| format!("{number}u")),
        prop_oneof![Just("0.5"), Just("2.0")].prop_map(str::to_owned),
        prop_oneof![Just("'a'"), Just("'ab'"), Just("''"), Just("'B'")].prop_map(str::to_owned),
        Just("[1, 2, 0]".to_owned()),
        Just("['a', 'b']".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just("%")], two.clone())
                .prop_map(|(sign, (one, other))| format!("({one} {sign} {other})")),
            (prop_oneof![Just("=="), Just("!="), Just("<"), Just(">="), Just("in")], two.clone())
                .prop_map(|(sign, (one, other))| format!("({one} {sign} {other})")),
            (prop_oneof![Just("&&"), Just("||")], two.clone())
                .prop_map(|(sign, (one, other))| format!("({one} {sign} {other})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.clone().prop_map(|one| format!("!({one})")),
            inner.clone().prop_map(|one| format!("size({one})")),
            (prop_oneof![Just("all"), Just("exists"), Just("exists_one"), Just("filter"), Just("map")], two.clone())
                .prop_map(|(macro_name, (one, other))| format!("({one}).{macro_name}(x, {other} == x)")),
            two.clone().prop_map(|(one, other)| format!("[{one}, {other}]")),
            two.prop_map(|(one, other)| format!("({one})[{other}]")),
            (prop_oneof![Just("contains"), Just("startsWith"), Just("endsWith")], inner.clone(), inner)
                .prop_map(|(name, one, other)| format!("({one}).{name}({other})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_both_can_tell_they_tell_alike(text in expressions()) {
        // What ours refuses beforehand the peer finds out later, or takes.
        if program(&text).is_ok() {
            let ours = given(&text, &Request::new());
            prop_assert!(ours != Err(Fault::Exhausted), "{text}");
            let theirs = Peer::compile(&text).map(|peer| peer.execute(&Context::default()));
            match theirs {
                Ok(Ok(value)) => if let Some(theirs) = shown(&value) {
                    prop_assert_eq!(ours.as_deref(), Ok(theirs.as_str()), "{}", text);
                },
                Ok(Err(_)) => prop_assert!(ours.is_err(), "{text}: {ours:?}"),
                Err(why) => prop_assert!(false, "{text}: {why}"),
            }
        }
    }
}
