//! An expression as it is written, macros expanded (CEL language definition, "Syntax" and "Macros").

/// Nodes that an expression may have: about what 4,096 characters can say.
pub const MAX_NODES: usize = 4_096;
/// How deep they may lie within each other: what is evaluated takes stack for each.
pub const MAX_DEPTH: usize = 96;

/// A node, with all below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Where it stands in the text: characters before it.
    pub at: u32,
    /// What it is.
    pub node: Node,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A literal.
    Constant(Constant),
    /// A variable.
    Name(String),
    /// `operand.field`; with `is_test`, `has(operand.field)`.
    Select {
        /// What is selected from.
        operand: Box<Tree>,
        /// The name after the dot.
        field: String,
        /// Whether it only asks.
        is_test: bool,
    },
    /// A function or an operator, the latter under CEL's own names, e.g. `_&&_`. Of a method the target is the first argument.
    Call {
        /// Its name.
        function: String,
        /// Whether it was called as a method.
        is_method: bool,
        /// What it is applied to.
        arguments: Vec<Tree>,
    },
    /// `[a, b]`.
    List(Vec<Tree>),
    /// `{a: b}`.
    Map(Vec<(Tree, Tree)>),
    /// What a macro has become that goes over a list or a map.
    Fold(Box<Fold>),
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `1`
    Int(i64),
    /// `1u`
    Uint(u64),
    /// `1.0`
    Double(f64),
    /// `"a"`
    Text(String),
    /// `b"a"`
    Bytes(Vec<u8>),
}

/// Goes over a range with a value that each step makes anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// What it goes over: the items of a list, the keys of a map.
    pub range: Tree,
    /// The name of the item.
    pub item: String,
    /// The name of the value.
    pub sum: String,
    /// The value before the first step.
    pub first: Tree,
    /// Whether it goes on.
    pub goes_on: Tree,
    /// The value after a step.
    pub step: Tree,
    /// What it gives in the end.
    pub result: Tree,
}

impl Tree {
    /// The nodes right below, in order.
    pub fn children(&self) -> Vec<&Self> {
        match &self.node {
            Node::Constant(_) | Node::Name(_) => vec![],
            Node::Select { operand, .. } => vec![operand],
            Node::Call { arguments, .. } => arguments.iter().collect(),
            Node::List(items) => items.iter().collect(),
            Node::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Node::Fold(fold) => vec![&fold.range, &fold.first, &fold.goes_on, &fold.step, &fold.result],
        }
    }
}
