//! What is made to cost a lot, or to break what reads it.

use proptest::prelude::*;
use sallyport_snapshot::v1::expression_node::{Call, Items, Node as Wire};
use sallyport_snapshot::v1::{Expression, ExpressionNode};

use super::{Request, given, program};
use crate::fault::Fault;
use crate::parse::{MAX_CHARACTERS, parse};
use crate::tree::{MAX_DEPTH, MAX_NODES};
use crate::value::{Text, Value};
use crate::wire::from_wire;
use crate::{MAX_STEPS, Steps};

#[test]
fn what_takes_too_long_ends_and_gives_nothing() {
    let ten = "[1,2,3,4,5,6,7,8,9,10]";
    let nested = |depth: usize| (0..depth).fold("true".to_owned(), |inner, at| format!("{ten}.all(x{at}, {inner})"));
    let doubled =
        (0..12).fold("'0123456789abcdef0123456789abcdef'".to_owned(), |text, _| format!("[{text}].map(x, x + x)[0]"));
    for text in [
        nested(6),
        format!("{} || true", nested(6)),
        format!("[1].exists(x, {} || true)", nested(6)),
        // What a macro's variable holds is copied where it is named.
        format!("[{doubled}].exists(x, {ten}.all(a, {ten}.all(b, size(x + x) > 0)))"),
        copied("[TEXT]", "x + x"),
        copied("[TEXT]", "[x, x]").replace(".size() > 0", ".map(x, [x, x]).map(x, x == x)[0]"),
        (0..20).fold("[1]".to_owned(), |list, _| format!("[{list}].map(x, x + x)[0]")) + ".size() > 0",
        (0..6).fold(doubled, |text, _| format!("[{text}].map(x, x + x)[0]")) + ".size() > 0",
        "'a,a,a,a,a,a,a,a'.replace(',', ',,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,').replace(',', '0123456789012345678901234567890123456789').replace('0', '0123456789012345678901234567890123456789').replace('0', '0123456789012345678901234567890123456789').replace('1', '0123456789012345678901234567890123456789').size() > 0".to_owned(),
    ] {
        assert_eq!(given(&text, &Request::new()), Err(Fault::Exhausted), "{text}");
    }
    assert_eq!(given(&nested(3), &Request::new()).as_deref(), Ok("true"), "a thousand are fine");
}

/// A text of 360 kB, for which most steps are spent, and lists of it that are doubled: what is made is bounded by what was spent.
fn copied(around: &str, doubled: &str) -> String {
    let text = format!("'{}'.replace('a', '{}')", "a".repeat(200), "b".repeat(1_800));
    (0..14).fold(around.replace("TEXT", &text), |list, _| format!("[{list}].map(x, {doubled})[0]")) + ".size() > 0"
}

/// A copy of what an expression has made is no second one: however often it stands in lists, its bytes are there once.
#[test]
fn what_is_made_is_not_copied() {
    let text = Value::text("b".repeat(360_000));
    let (Value::Text(Text::Made(one)), Value::Text(Text::Made(other))) = (text.clone(), text) else { panic!() };
    assert!(std::rc::Rc::ptr_eq(&one, &other));
}

#[test]
fn nothing_is_read_without_steps() {
    let hundred = (0..100).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    let often = |what: &str| format!("[{hundred}].all(a, [{hundred}].all(b, {what}))");
    let long = format!("'{}'", "1".repeat(3_000));
    for what in [
        format!("size({long}) > 0"),
        format!("double({long}) > 0.0 || true"),
        format!("{long}.matches('^[0-9]+$')"),
        format!("duration({long} + 's') > duration('1s') || true"),
        format!("timestamp({long}) > request.time || true"),
        "size(auth.jwt.scopes) > 0".to_owned(),
        "request.headers.exists(name, true)".to_owned(),
    ] {
        assert_eq!(given(&often(&what), &Request::new()), Err(Fault::Exhausted), "{what}");
    }
    let [mut cheap, mut dear] = [Steps::default(), Steps::default()];
    for (pattern, steps) in [("^[0-9]+$", &mut cheap), ("1[0-9]{400}2", &mut dear)] {
        let program = program(&format!("{long}.matches('{pattern}')")).unwrap();
        program.evaluate(&Request::new(), steps).unwrap();
    }
    assert!(MAX_STEPS - dear.left() > 4 * (MAX_STEPS - cheap.left()), "{dear:?} {cheap:?}");
}

/// The deepest tree that is taken, on a thread with as much stack as a worker has.
#[test]
fn the_deepest_that_is_taken_is_evaluated() {
    let chain = "1".to_owned() + &" + 1".repeat(MAX_DEPTH - 1);
    let listed = "[".repeat(MAX_DEPTH / 2) + "1" + &"]".repeat(MAX_DEPTH / 2);
    let nested = (0..20).fold("true".to_owned(), |inner, at| format!("[1].all(x{at}, {inner})"));
    for text in [chain, listed, nested] {
        let evaluated = move || given(&text, &Request::new()).is_ok();
        assert!(std::thread::Builder::new().stack_size(2 << 20).spawn(evaluated).unwrap().join().unwrap());
    }
}

#[test]
fn what_is_long_or_deep_is_refused_before_anything_is_made_of_it() {
    let deep = "(".repeat(1_000) + "1" + &")".repeat(1_000);
    let chain = "1".to_owned() + &" + 1".repeat(900);
    let negated = "!(".repeat(1_000) + "true" + &")".repeat(1_000);
    let listed = "[".repeat(1_500) + &"]".repeat(1_500);
    for text in [deep, chain, negated, listed, " ".repeat(MAX_CHARACTERS + 1)] {
        assert!(program(&text).is_err(), "{}", &text[..20]);
    }
    for (first, link) in
        [("a", ".a"), ("1", "+1"), ("1", "<1"), ("a", "[0]"), ("a", "||a"), ("a", ".a()"), ("1", "?1:1")]
    {
        let chain = first.to_owned() + &link.repeat((MAX_CHARACTERS - 1) / link.len());
        assert!(program(&chain).is_err(), "{link}");
    }
    for sign in ["-", "!"] {
        assert!(program(&(sign.repeat(MAX_CHARACTERS - 1) + "a")).is_err(), "{sign}");
    }
    let wide = "[".to_owned() + &"1,".repeat(MAX_CHARACTERS / 2 - 2) + "1]";
    assert!(program(&wide).is_ok());
}

fn node(node: Wire) -> ExpressionNode {
    ExpressionNode { at: 0, node: Some(node) }
}

fn list(items: &[u32]) -> ExpressionNode {
    node(Wire::List(Items { items: items.to_vec() }))
}

#[test]
fn what_is_told_and_no_tree_is_refused() {
    let one = || node(Wire::Int(1));
    let call = |arguments: &[u32]| {
        node(Wire::Call(Call { function: "_+_".into(), is_method: false, arguments: arguments.to_vec() }))
    };
    let chain = |length: u32| std::iter::once(one()).chain((0..length).map(|at| list(&[at]))).collect::<Vec<_>>();
    for (nodes, is_tree) in [
        (vec![], false),
        (vec![one()], true),
        (vec![one(), one()], false),
        (vec![one(), list(&[0])], true),
        (vec![one(), list(&[1])], false),
        (vec![one(), list(&[2])], false),
        (vec![list(&[u32::MAX])], false),
        (vec![one(), call(&[0, 0])], false),
        (vec![ExpressionNode::default()], false),
        (chain(u32::try_from(MAX_DEPTH).unwrap() - 1), true),
        (chain(u32::try_from(MAX_DEPTH).unwrap()), false),
        ((0..=MAX_NODES).map(|_| one()).collect(), false),
    ] {
        assert_eq!(from_wire(&Expression { nodes: nodes.clone() }).is_ok(), is_tree, "{nodes:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_written_nothing_panics(text in r#"[ -~ä\n]{0,60}|([a-z.?!&|=<>\[\](){}'",:+*/%0-9 -]|request|auth|jwt|claims|has|map|exists|size|matches|true|in ){0,30}"#) {
        if let Ok(tree) = parse(&text)
            && let Ok(program) = crate::check(&tree, &[crate::typing::Type::Dyn], &mut crate::Budget::default())
        {
            let _ = program.evaluate(&Request::new(), &mut Steps::default());
        }
    }
}
