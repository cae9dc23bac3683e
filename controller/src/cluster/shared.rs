//! One copy of what many objects hold alike.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Contents of Secrets and ConfigMaps that graphs hold: a thousand Backends that name one bundle of authorities hold it once.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<HashSet<Bytes>>>);

impl Shared {
    /// The one copy of `bytes`.
    pub fn of(&self, bytes: &[u8]) -> Bytes {
        let mut known = self.0.lock();
        if let Some(one) = known.get(bytes) {
            return one.clone();
        }
        let one = Bytes::copy_from_slice(bytes);
        known.insert(one.clone());
        one
    }

    /// Lets go of what nobody else holds.
    pub fn forget_unused(&self) {
        self.0.lock().retain(|one| !one.is_unique());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_are_one() {
        let shared = Shared::default();
        let (one, other) = (shared.of(b"authority"), shared.clone().of(b"authority"));
        assert_eq!(one.as_ptr(), other.as_ptr());
        assert_ne!(one.as_ptr(), shared.of(b"another").as_ptr());
    }

    #[test]
    fn what_nobody_holds_is_let_go() {
        let shared = Shared::default();
        let held = shared.of(b"held");
        shared.of(b"let go");
        shared.forget_unused();
        assert_eq!(shared.0.lock().len(), 1);
        assert_eq!(shared.of(b"held").as_ptr(), held.as_ptr());
    }
}
