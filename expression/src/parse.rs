//! From text. What CEL knows and is not offered is refused here, by its name.

use std::thread;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::parser::Parser;

use crate::check::Complaint;
use crate::tree::{Constant, Fold, MAX_DEPTH, Node, Tree};

/// Characters that an expression may have, as in the CRDs.
pub const MAX_CHARACTERS: usize = 4_096;
/// The parser bounds how deep brackets lie within each other, and recurses for each link of a chain as well: `a.a.a`, `1 + 1 + 1`. This is room
/// for as many as a text can have, of which only what is used is ever had.
const STACK_BYTES: usize = 256 << 20;
/// What is understood of a text that is none is not worth more.
const MAX_RECOVERIES: u32 = 10;

/// The expression that `text` says.
///
/// # Errors
///
/// Where it is none, or says what is not offered.
pub fn parse(text: &str) -> Result<Tree, Complaint> {
    if text.chars().count() > MAX_CHARACTERS {
        let message = format!("it has more than {MAX_CHARACTERS} characters; say it shorter, or in several rules");
        return Err(Complaint { at: 0, message });
    }
    let unread =
        || Err(Complaint { at: 0, message: "it cannot be read; say it shorter, or in several rules".to_owned() });
    thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || read(text));
        reader.map_or_else(|_| unread(), |reader| reader.join().unwrap_or_else(|_| unread()))
    })
}

fn read(text: &str) -> Result<Tree, Complaint> {
    let complain = |at, message: String| Complaint { at, message };
    let depth = u16::try_from(MAX_DEPTH).unwrap_or(u16::MAX);
    let parser = Parser::new()
        .max_recursion_depth(depth)
        .error_recovery_limit(MAX_RECOVERIES)
        .enable_optional_syntax(true)
        .enable_ident_escape_syntax(true);
    match parser.parse_with_source_info(text) {
        Ok((parsed, places)) => Reader { text, places: &places }.tree(parsed, 1),
        Err(errors) => {
            let first = errors.errors.first();
            let at = first.map_or(0, |error| offset(text, error.pos));
            let why = first.map_or("it cannot be read", |error| error.msg.as_str());
            Err(complain(at, format!("it is no expression: {}", why.lines().next().unwrap_or_default())))
        }
    }
}

/// Line and column of a place, both counted from 1.
pub fn line_and_column(text: &str, at: u32) -> (usize, usize) {
    let before: Vec<_> = text.chars().take(usize::try_from(at).unwrap_or(usize::MAX)).collect();
    let line = before.iter().filter(|one| **one == '\n').count();
    let column = before.iter().rev().take_while(|one| **one != '\n').count();
    (line + 1, column + 1)
}

/// Characters before a line and column, as the parser counts them.
fn offset(text: &str, (line, column): (isize, isize)) -> u32 {
    let (line, column) = (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1));
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    u32::try_from(before + column.saturating_sub(1)).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    text: &'a str,
    places: &'a SourceInfo,
}

impl Reader<'_> {
    fn tree(&self, parsed: IdedExpr, depth: usize) -> Result<Tree, Complaint> {
        let at = self.place(parsed.id);
        if depth > MAX_DEPTH {
            let message =
                format!("it has more than {MAX_DEPTH} parts within each other; say it shorter, or in several rules");
            return Err(Complaint { at, message });
        }
        let below = |one: IdedExpr| self.tree(one, depth + 1);
        let node = match parsed.expr {
            Expr::Ident(name) => Node::Name(name),
            Expr::Literal(literal) => Node::Constant(constant(literal)),
            Expr::Select(select) => {
                Node::Select { operand: Box::new(below(*select.operand)?), field: select.field, is_test: select.test }
            }
            Expr::Call(call) => self.call(call, depth)?,
            Expr::List(list) if list.optional_indices.is_empty() => {
                Node::List(list.elements.into_iter().map(below).collect::<Result<_, _>>()?)
            }
            Expr::Map(map) => {
                let entry = |one: EntryExpr| match one {
                    EntryExpr::MapEntry(entry) if !entry.optional => Ok((below(entry.key)?, below(entry.value)?)),
                    _ => Err(refused(at, "an optional entry")),
                };
                Node::Map(map.entries.into_iter().map(|one| entry(one.expr)).collect::<Result<_, _>>()?)
            }
            Expr::Comprehension(fold) => self.fold(*fold, at, depth)?,
            Expr::List(_) => return Err(refused(at, "an optional item")),
            Expr::Struct(_) => return Err(refused(at, "a message")),
            Expr::Unspecified => return Err(Complaint { at, message: "it is empty".to_owned() }),
        };
        Ok(Tree { at, node })
    }

    fn call(&self, call: CallExpr, depth: usize) -> Result<Node, Complaint> {
        let is_optional = |target: &IdedExpr| matches!(&target.expr, Expr::Ident(name) if name == "optional");
        let below = |one: IdedExpr| self.tree(one, depth + 1);
        let (function, target) = match call.target {
            // They are functions with a dot in their names.
            Some(target) if is_optional(&target) => (format!("optional.{}", call.func_name), None),
            target => (call.func_name, target),
        };
        let is_method = target.is_some();
        let arguments = target.map(|target| *target).into_iter().chain(call.args).map(below);
        Ok(Node::Call { function, is_method, arguments: arguments.collect::<Result<_, _>>()? })
    }

    fn fold(&self, fold: ComprehensionExpr, at: u32, depth: usize) -> Result<Node, Complaint> {
        if fold.iter_var2.is_some() {
            return Err(refused(at, "a macro with two variables"));
        }
        let below = |one: IdedExpr| self.tree(one, depth + 1);
        Ok(Node::Fold(Box::new(Fold {
            range: below(fold.iter_range)?,
            item: fold.iter_var,
            sum: fold.accu_var,
            first: below(fold.accu_init)?,
            goes_on: below(fold.loop_cond)?,
            step: below(fold.loop_step)?,
            result: below(fold.result)?,
        })))
    }

    /// The parser counts characters.
    fn place(&self, id: u64) -> u32 {
        let at = self.places.offset_for(id).map_or(0, |(start, _)| start);
        at.min(u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX))
    }
}

fn refused(at: u32, what: &str) -> Complaint {
    Complaint { at, message: format!("{what} cannot be made in an expression here") }
}

fn constant(literal: LiteralValue) -> Constant {
    match literal {
        LiteralValue::Null => Constant::Null,
        LiteralValue::Boolean(one) => Constant::Bool(one.into_inner()),
        LiteralValue::Int(number) => Constant::Int(number.into_inner()),
        LiteralValue::UInt(number) => Constant::Uint(number.into_inner()),
        LiteralValue::Double(number) => Constant::Double(number.into_inner()),
        LiteralValue::String(text) => Constant::Text(text.into_inner()),
        LiteralValue::Bytes(bytes) => Constant::Bytes(bytes.into_inner()),
    }
}
