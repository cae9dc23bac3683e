//! What is made to cost a lot, or to break what reads it.

use proptest::prelude::*;
use sallyport_snapshot::v1::expression_node::{Call, Items, Node as Wire};
use sallyport_snapshot::v1::{Expression, ExpressionNode};

use super::{Request, given, program};
use crate::fault::Fault;
use crate::parse::{MAX_CHARACTERS, parse};
use crate::tree::{MAX_DEPTH, MAX_NODES};
use crate::wire::from_wire;

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
        (0..20).fold("[1]".to_owned(), |list, _| format!("[{list}].map(x, x + x)[0]")) + ".size() > 0",
        (0..6).fold(doubled, |text, _| format!("[{text}].map(x, x + x)[0]")) + ".size() > 0",
        "'a,a,a,a,a,a,a,a'.replace(',', ',,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,').replace(',', '0123456789012345678901234567890123456789').replace('0', '0123456789012345678901234567890123456789').replace('0', '0123456789012345678901234567890123456789').replace('1', '0123456789012345678901234567890123456789').size() > 0".to_owned(),
    ] {
        assert_eq!(given(&text, &Request::new()), Err(Fault::Exhausted), "{text}");
    }
    assert_eq!(given(&nested(3), &Request::new()).as_deref(), Ok("true"), "a thousand are fine");
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
            && let Ok(program) = crate::check(&tree, &[crate::types::Type::Dyn])
        {
            let _ = program.evaluate(&Request::new(), &mut crate::Steps::default());
        }
    }
}
