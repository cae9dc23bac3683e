//! Expressions of routes, judged as a data plane judges them.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use sallyport_snapshot::expression::{Budget, Refused, compile};

/// Texts whose verdict is kept: each rebuild judges all routes, and most say what they said before.
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
}
