//! Users with hashes of their passwords, ready to be asked.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use sallyport_password::PasswordHash;
use sallyport_snapshot::v1;

use super::remembered::Remembered;

/// The users of one file.
#[derive(Debug)]
pub struct PasswordFile {
    hashes: HashMap<Box<str>, Arc<PasswordHash>>,
    /// One of them each, by numbers that nobody can foresee.
    stand_ins: Vec<(u64, Arc<PasswordHash>)>,
    pub(super) remembered: Arc<Remembered>,
}

impl PasswordFile {
    /// Parses the resource; `last`: the file as it was.
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
        let stand_ins =
            hashes.iter().map(|(user, hash)| (number(&format!("{user}:{}", hash.text())), Arc::clone(hash))).collect();
        let remembered = Arc::new(Remembered::after(last.map(|last| &*last.remembered)));
        Ok(Self { hashes, stand_ins, remembered })
    }

    /// The hash of a user's password.
    pub fn hash_of(&self, user: &str) -> Option<&Arc<PasswordHash>> {
        self.hashes.get(user)
    }

    /// What is computed for a user who is not there: the hash of somebody. So strangers take as long as users do, some longer and some shorter.
    ///
    /// Whose it is hangs on the name, and on lines that nobody outside knows; it changes for a stranger as seldom as for a user: where a line
    /// changes, for its part of them (rendezvous hashing).
    pub(super) fn stand_in(&self, user: &str) -> Option<&Arc<PasswordHash>> {
        let stranger = number(user);
        let nearest = self.stand_ins.iter().min_by_key(|(number, _)| mixed(number ^ stranger));
        nearest.map(|(_, hash)| hash)
    }
}

fn number(text: &str) -> u64 {
    digest(&SHA256, text.as_bytes()).as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Every bit hangs on every other (the last step of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
