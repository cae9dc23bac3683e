//! What was admitted while the store was away, and is owed to it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Accounts that were ever opened in this process: each has a name of its own, however often its key is forgotten and comes again.
static ACCOUNTS: AtomicU64 = AtomicU64::new(0);

/// One account. It is told by its running total, so that a question which is asked again, or of which the answer is lost, adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Debt {
    /// 0: not opened.
    account: u64,
    total: u64,
    /// What of it the store has taken in, or nobody owes any more.
    paid: u64,
}

impl Debt {
    /// One more.
    pub(super) fn owe(&mut self) {
        if self.account == 0 {
            self.account = ACCOUNTS.fetch_add(1, Ordering::Relaxed) + 1;
        }
        self.total += 1;
    }

    /// So many are not owed any more.
    pub(super) fn forgive(&mut self, number: u64) {
        self.paid = self.total.min(self.paid + number);
    }

    /// The store has taken in all up to that total of that account; how many that were.
    pub(super) fn pay(&mut self, (account, total): (u64, u64)) -> u64 {
        if account != self.account {
            return 0;
        }
        let total = total.min(self.total);
        let paid = total.saturating_sub(self.paid);
        self.paid += paid;
        paid
    }

    pub(super) fn owed(&self) -> u64 {
        self.total - self.paid
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn account(&self) -> u64 {
        self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paid_is_owed_no_more_and_what_came_since_is() {
        let mut debt = Debt::default();
        (0..5).for_each(|_| debt.owe());
        let told = (debt.account(), debt.total());
        (0..2).for_each(|_| debt.owe());
        assert_eq!((debt.owed(), debt.pay(told), debt.owed()), (7, 5, 2));
        assert_eq!(debt.pay((debt.account() + 1, u64::MAX)), 0, "an answer to another account's question");
        assert_eq!((debt.pay(told), debt.pay((debt.account(), u64::MAX)), debt.owed()), (0, 2, 0));
    }

    #[test]
    fn what_is_forgiven_is_not_paid_twice() {
        let mut debt = Debt::default();
        (0..3).for_each(|_| debt.owe());
        debt.forgive(1);
        assert_eq!((debt.owed(), debt.total(), debt.pay((debt.account(), 3))), (2, 3, 2));
        debt.forgive(9);
        assert_eq!(debt.owed(), 0);
    }

    #[test]
    fn each_account_has_a_name_of_its_own() {
        let (mut one, mut other) = (Debt::default(), Debt::default());
        assert_eq!(one.account(), 0);
        one.owe();
        other.owe();
        assert_ne!(one.account(), other.account());
    }
}
