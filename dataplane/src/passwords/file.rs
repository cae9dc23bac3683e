//! Users with hashes of their passwords, ready to be asked.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use sallyport_password::PasswordHash;
use sallyport_snapshot::v1;

use super::remembered::Remembered;

/// The users of one file.
#[derive(Debug)]
pub struct PasswordFile {
    hashes: HashMap<Box<str>, Arc<PasswordHash>>,
    /// All of them, the cheapest first.
    by_work: Vec<Arc<PasswordHash>>,
    pub(super) remembered: Arc<Remembered>,
}

impl PasswordFile {
    /// Parses the resource. What was found out of the file as it was `last` is about lines, and holds where these have stayed.
    pub fn build(file: &v1::PasswordFile, last: Option<&Self>) -> Result<Self, String> {
        let mut hashes = HashMap::with_capacity(file.logins.len());
        for (at, login) in file.logins.iter().enumerate() {
            let text = login.password_hash.as_ref().and_then(|hash| std::str::from_utf8(&hash.value).ok());
            let hash = PasswordHash::parse(text.unwrap_or_default()).map_err(|why| format!("login {at}: {why}"))?;
            if hashes.insert(login.user.as_str().into(), Arc::new(hash)).is_some() {
                return Err(format!("login {at}: its user is listed twice"));
            }
        }
        if hashes.is_empty() {
            return Err("it names no user".to_owned());
        }
        let mut by_work: Vec<_> = hashes.values().map(Arc::clone).collect();
        by_work.sort_by(|one, other| (one.work(), one.text()).cmp(&(other.work(), other.text())));
        let remembered = last.map(|last| &last.remembered).filter(|remembered| remembered.has_room_for(hashes.len()));
        let remembered = remembered.map_or_else(|| Arc::new(Remembered::of(hashes.len())), Arc::clone);
        Ok(Self { hashes, by_work, remembered })
    }

    /// The hash of a user's password.
    pub fn hash_of(&self, user: &str) -> Option<&Arc<PasswordHash>> {
        self.hashes.get(user)
    }

    /// What is computed for a user who is not there: the hash of somebody, always the same, and which it is nobody can foresee. So strangers
    /// take as long as users do, some longer and some shorter.
    pub(super) fn stand_in(&self, user: &str) -> Option<&Arc<PasswordHash>> {
        let dearest = self.by_work.last()?;
        let mut context = Context::new(&SHA256);
        context.update(dearest.text().as_bytes());
        context.update(b"\n");
        context.update(user.as_bytes());
        let number = context.finish().as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        // Its part of the way from the cheapest to the dearest, which a line more or less hardly changes.
        let at = (u128::from(number) * self.by_work.len() as u128) >> u64::BITS;
        self.by_work.get(usize::try_from(at).ok()?)
    }
}
