//! Regular expressions of routes and expressions of policies, judged as a data plane judges them. What was said before is not read again:
//! each rebuild judges all routes and policies, and most say what they said before.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use sallyport_expression::declared::Field;
use sallyport_expression::parse::parse;
use sallyport_expression::tree::Tree;
use sallyport_expression::typing::Type;
use sallyport_expression::{Complaint, Program, check, wire};
use sallyport_snapshot::expression::{Budget, Refused, compile};
use sallyport_snapshot::v1;

/// Texts whose verdict is kept.
const MAX_KEPT: usize = 1024;

static KEPT: Mutex<BTreeMap<String, Verdict>> = Mutex::new(BTreeMap::new());

/// The bytes that it takes, or why it cannot be used.
type Verdict = Result<usize, Refused>;

/// Why `text` cannot be used within `budget`.
pub fn judge(text: &str, budget: &mut Budget) -> Result<(), String> {
    budget.spend(|| verdict(text).map(|bytes| ((), bytes)))
}

/// A text has one verdict, whenever it is asked for: what is kept changes nothing but the time that it takes.
fn verdict(text: &str) -> Verdict {
    if let Some(verdict) = KEPT.lock().get(text) {
        return verdict.clone();
    }
    let verdict = compile(text).map(|(_, bytes)| bytes);
    let mut kept = KEPT.lock();
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(text.to_owned(), verdict.clone());
    verdict
}

/// Expressions that are kept as they were read.
const MAX_READ: usize = 4096;

static READ: LazyLock<Mutex<HashMap<String, Arc<Read>>>> = LazyLock::new(Mutex::default);

/// A text of CEL that was read.
struct Read {
    tree: Result<Tree, Complaint>,
    /// Keeps the patterns that are made for it.
    kept: Mutex<Option<Program>>,
}

/// An expression that can be used.
pub struct Typed {
    pub message: v1::Expression,
    /// What it asks for.
    pub reads: Vec<Field>,
}

/// `text`, which has to give a value of one of the types `wanted`, with patterns for which there is room in `budget`.
pub fn typed(text: &str, wanted: &[Type], budget: &mut sallyport_expression::Budget) -> Result<Typed, Complaint> {
    let read = read(text);
    let tree = read.tree.as_ref().map_err(Clone::clone)?;
    let program = check(tree, wanted, budget)?;
    let typed = Typed { message: wire::to_wire(tree), reads: program.reads().to_vec() };
    read.kept.lock().get_or_insert(program);
    Ok(typed)
}

fn read(text: &str) -> Arc<Read> {
    if let Some(read) = READ.lock().get(text) {
        return Arc::clone(read);
    }
    let new = Arc::new(Read { tree: parse(text), kept: Mutex::default() });
    let mut read = READ.lock();
    if read.len() >= MAX_READ {
        read.clear();
    }
    read.insert(text.to_owned(), Arc::clone(&new));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_that_is_kept_costs_as_much_as_a_fresh_one() {
        for text in ["/a kept one", "/(a kept one"] {
            let fresh = compile(text).map(|(_, bytes)| bytes);
            assert_eq!([verdict(text), verdict(text)], [fresh.clone(), fresh], "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for at in 0..MAX_KEPT + 10 {
            assert!(verdict(&format!("/{at}")).is_ok());
            assert!(KEPT.lock().len() <= MAX_KEPT);
        }
    }

    #[test]
    fn what_was_said_before_is_not_read_again() {
        let text = "request.path.matches('^/read once/')";
        let mut budget = sallyport_expression::Budget::default();
        let first = read(text);
        assert!(typed(text, &[Type::Bool], &mut budget).is_ok());
        assert!(Arc::ptr_eq(&first, &read(text)) && first.kept.lock().is_some());
        assert!(typed(text, &[Type::Int], &mut budget).is_err(), "its type is judged each time");
        let broken = read("1 +");
        assert!(broken.tree.is_err() && Arc::ptr_eq(&broken, &read("1 +")));
    }
}
