//! Trees as they are told to a data plane: a list of nodes, what is below before what is above.

use std::fmt;

use sallyport_snapshot::v1::expression_node::{Call, Entries, Fold as WireFold, Items, Node as Wire, Select};
use sallyport_snapshot::v1::{Expression, ExpressionNode};

use crate::tree::{Constant, Fold, MAX_DEPTH, MAX_NODES, Node, Tree};

/// What was told is no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTree(&'static str);

impl fmt::Display for NoTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the expression is not whole: {}", self.0)
    }
}

impl std::error::Error for NoTree {}

/// Tells `tree`.
pub fn to_wire(tree: &Tree) -> Expression {
    let mut nodes = Vec::new();
    tell(tree, &mut nodes);
    Expression { nodes }
}

/// The place of the node, told after all below it.
fn tell(tree: &Tree, nodes: &mut Vec<ExpressionNode>) -> u32 {
    let mut places = |all: &[&Tree]| -> Vec<u32> { all.iter().map(|one| tell(one, nodes)).collect() };
    let node = match &tree.node {
        Node::Constant(constant) => of_constant(constant),
        Node::Name(name) => Wire::Name(name.clone()),
        Node::Select { operand, field, is_test } => {
            let operand = tell(operand, nodes);
            Wire::Select(Select { operand, field: field.clone(), is_test: *is_test })
        }
        Node::Call { function, is_method, arguments } => Wire::Call(Call {
            arguments: places(&arguments.iter().collect::<Vec<_>>()),
            function: function.clone(),
            is_method: *is_method,
        }),
        Node::List(items) => Wire::List(Items { items: places(&items.iter().collect::<Vec<_>>()) }),
        Node::Map(entries) => {
            let keys = places(&entries.iter().map(|(key, _)| key).collect::<Vec<_>>());
            Wire::Map(Entries { keys, values: places(&entries.iter().map(|(_, value)| value).collect::<Vec<_>>()) })
        }
        Node::Fold(fold) => Wire::Fold(WireFold {
            range: tell(&fold.range, nodes),
            item: fold.item.clone(),
            sum: fold.sum.clone(),
            first: tell(&fold.first, nodes),
            goes_on: tell(&fold.goes_on, nodes),
            step: tell(&fold.step, nodes),
            result: tell(&fold.result, nodes),
        }),
    };
    nodes.push(ExpressionNode { at: tree.at, node: Some(node) });
    u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX)
}

fn of_constant(constant: &Constant) -> Wire {
    match constant {
        Constant::Null => Wire::Null(true),
        Constant::Bool(one) => Wire::Bool(*one),
        Constant::Int(number) => Wire::Int(*number),
        Constant::Uint(number) => Wire::Uint(*number),
        Constant::Double(number) => Wire::Double(*number),
        Constant::Text(text) => Wire::Text(text.clone()),
        Constant::Bytes(bytes) => Wire::Bytes(bytes.clone().into()),
    }
}

/// The tree that was told.
///
/// # Errors
///
/// Where a node names one that is not before it or that another has named, where one is not known, and where there are too many.
pub fn from_wire(expression: &Expression) -> Result<Tree, NoTree> {
    if expression.nodes.len() > MAX_NODES {
        return Err(NoTree("it has too many nodes"));
    }
    let mut told = Told(Vec::with_capacity(expression.nodes.len()));
    for node in &expression.nodes {
        let depth = told.read(node)?;
        if depth > MAX_DEPTH {
            return Err(NoTree("it is too deep"));
        }
    }
    let root = told.0.pop().flatten().ok_or(NoTree("it has no nodes"))?;
    if told.0.iter().any(Option::is_some) {
        return Err(NoTree("a node is of no other"));
    }
    Ok(root.0)
}

/// Trees with their depths, until another has taken them: each is below one.
struct Told(Vec<Option<(Tree, usize)>>);

impl Told {
    fn read(&mut self, one: &ExpressionNode) -> Result<usize, NoTree> {
        let mut below = 0;
        let node = match one.node.as_ref().ok_or(NoTree("a node is not known"))? {
            Wire::Null(_) => Node::Constant(Constant::Null),
            Wire::Bool(one) => Node::Constant(Constant::Bool(*one)),
            Wire::Int(number) => Node::Constant(Constant::Int(*number)),
            Wire::Uint(number) => Node::Constant(Constant::Uint(*number)),
            Wire::Double(number) => Node::Constant(Constant::Double(*number)),
            Wire::Text(text) => Node::Constant(Constant::Text(text.clone())),
            Wire::Bytes(bytes) => Node::Constant(Constant::Bytes(bytes.to_vec())),
            Wire::Name(name) => Node::Name(name.clone()),
            Wire::Select(Select { operand, field, is_test }) => {
                let operand = Box::new(self.take(*operand, &mut below)?);
                Node::Select { operand, field: field.clone(), is_test: *is_test }
            }
            Wire::Call(Call { function, is_method, arguments }) => {
                let arguments = self.take_all(arguments, &mut below)?;
                Node::Call { function: function.clone(), is_method: *is_method, arguments }
            }
            Wire::List(Items { items }) => Node::List(self.take_all(items, &mut below)?),
            Wire::Map(Entries { keys, values }) if keys.len() == values.len() => {
                let keys = self.take_all(keys, &mut below)?;
                Node::Map(keys.into_iter().zip(self.take_all(values, &mut below)?).collect())
            }
            Wire::Map(_) => return Err(NoTree("a map has keys without values")),
            Wire::Fold(fold) => Node::Fold(Box::new(Fold {
                range: self.take(fold.range, &mut below)?,
                item: fold.item.clone(),
                sum: fold.sum.clone(),
                first: self.take(fold.first, &mut below)?,
                goes_on: self.take(fold.goes_on, &mut below)?,
                step: self.take(fold.step, &mut below)?,
                result: self.take(fold.result, &mut below)?,
            })),
        };
        self.0.push(Some((Tree { at: one.at, node }, below + 1)));
        Ok(below + 1)
    }

    fn take(&mut self, at: u32, below: &mut usize) -> Result<Tree, NoTree> {
        let place = usize::try_from(at).ok().and_then(|at| self.0.get_mut(at));
        let (tree, depth) = place.and_then(Option::take).ok_or(NoTree("a node names one that it cannot have"))?;
        *below = depth.max(*below);
        Ok(tree)
    }

    fn take_all(&mut self, all: &[u32], below: &mut usize) -> Result<Vec<Tree>, NoTree> {
        all.iter().map(|at| self.take(*at, below)).collect()
    }
}
