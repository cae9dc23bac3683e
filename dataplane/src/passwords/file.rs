//! Users with hashes of their passwords, ready to be asked.

use std::collections::HashMap;
use std::sync::Arc;

use sallyport_password::PasswordHash;
use sallyport_snapshot::v1;

/// The users of one file.
#[derive(Debug)]
pub struct PasswordFile {
    hashes: HashMap<Box<str>, Arc<PasswordHash>>,
    /// The one that takes longest.
    dearest: Arc<PasswordHash>,
}

impl PasswordFile {
    /// Parses the resource.
    pub fn build(file: &v1::PasswordFile) -> Result<Self, String> {
        let mut hashes = HashMap::with_capacity(file.logins.len());
        for (at, login) in file.logins.iter().enumerate() {
            let text = login.password_hash.as_ref().and_then(|hash| std::str::from_utf8(&hash.value).ok());
            let hash = PasswordHash::parse(text.unwrap_or_default()).map_err(|why| format!("login {at}: {why}"))?;
            if hashes.insert(login.user.as_str().into(), Arc::new(hash)).is_some() {
                return Err(format!("login {at}: its user is listed twice"));
            }
        }
        let dearest = hashes.values().max_by_key(|hash| hash.work()).map(Arc::clone);
        Ok(Self { dearest: dearest.ok_or("it names no user")?, hashes })
    }

    /// The hash of a user's password.
    pub fn hash_of(&self, user: &str) -> Option<&Arc<PasswordHash>> {
        self.hashes.get(user)
    }

    /// What is computed for users who are not there, so that nobody learns by the time who is.
    pub(super) fn dearest(&self) -> &Arc<PasswordHash> {
        &self.dearest
    }
}
