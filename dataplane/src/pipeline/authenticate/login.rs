//! A user name and a password in `Authorization: Basic` (RFC 7617).

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sallyport_password::{MAX_PASSWORD_BYTES, PasswordHash};
use zeroize::Zeroizing;

use super::{Caller, Failure, Progress};
use crate::passwords::{Login, Unjudged, Verdict};
use crate::pipeline::{other_site, token_places};
use crate::rejection::Reason;
use crate::runtime::policy::Alternative;
use crate::runtime::policy::basic::Basic;

/// Of what stands after the scheme.
const MAX_BYTES: usize = 1024;
const MAX_USER_BYTES: usize = 255;
/// When a caller may ask again while too many passwords are being hashed.
const RETRY_AFTER_S: u16 = 1;

/// A login that holds.
#[derive(Clone)]
pub struct HeldLogin {
    /// Name of the file that it is of.
    pub file: Arc<str>,
    pub user: Arc<str>,
    /// What it was held against.
    pub hash: Arc<PasswordHash>,
}

impl HeldLogin {
    /// Told apart from all others: each part that anybody chooses has its length before it.
    pub fn identity(&self) -> String {
        format!("basic:{}:{}:{}", self.file.len(), self.file, self.user)
    }
}

/// The login that was sent, if the file has it.
pub(super) async fn hold(alternative: &Alternative, basic: &Basic, caller: &Caller<'_>) -> Result<HeldLogin, Failure> {
    let users = match caller.password_files.get(&basic.file).map(AsRef::as_ref) {
        Some(Ok(users)) => users,
        other => {
            let why = other.and_then(|found| found.as_ref().err()).map_or("it is not there", String::as_str);
            let message = format!("password file {} cannot be used: {why}", basic.file);
            return Err(Failure::new(alternative, Progress::Unjudged, Reason::Configuration, message));
        }
    };
    let invalid = |message: &str| {
        Failure::new(alternative, Progress::Invalid, Reason::LoginInvalid, message).asking_for(&basic.challenge)
    };
    let sent = token_places::read(&basic.place, caller.headers, caller.query);
    let Some(sent) = sent.first() else {
        let message = "no user name and password were sent";
        return Err(Failure::new(alternative, Progress::Absent, Reason::CredentialMissing, message));
    };
    // Browsers keep a login, and send it along by themselves as they do cookies.
    if basic.is_forgeable && other_site::has_sent(caller) {
        let message = "another site has made a browser send the request with the login that it keeps";
        return Err(Failure::new(alternative, Progress::Unjudged, Reason::CrossSite, message));
    }
    let pair = decoded(sent).map_err(&invalid)?;
    let (user, password) = split(&pair).map_err(&invalid)?;
    let login = Login { file: &basic.file, users, user, password };
    let verdict = caller.passwords.judge(login, caller.patience, caller.now).await;
    match (verdict, users.hash_of(user)) {
        (Ok(Verdict::Right), Some(hash)) => {
            Ok(HeldLogin { file: Arc::clone(&basic.file), user: user.into(), hash: Arc::clone(hash) })
        }
        (Ok(Verdict::Wrong), Some(_)) => Err(invalid("the password is wrong")),
        (Ok(_), None) => Err(invalid("there is no such user, or its line cannot be used")),
        (Err(why), _) => Err(unjudged(alternative, why)),
    }
}

fn unjudged(alternative: &Alternative, why: Unjudged) -> Failure {
    let (reason, message) = match why {
        Unjudged::Busy => {
            (Reason::Overloaded, "too many passwords are being hashed; fewer who guess, or a cheaper hash, would help")
        }
        Unjudged::NotAwaited => {
            (Reason::Overloaded, "what is only reported waits for no hash: it is known once somebody has logged in so")
        }
        Unjudged::Broken => (Reason::Internal, "hashing has failed"),
    };
    let mut failure = Failure::new(alternative, Progress::Unknown, reason, message);
    failure.rejection.retry_after_s = (reason == Reason::Overloaded).then_some(RETRY_AFTER_S);
    failure
}

fn decoded(sent: &str) -> Result<Zeroizing<String>, &'static str> {
    if sent.len() > MAX_BYTES {
        return Err("the login is longer than 1 KiB");
    }
    let bytes = BASE64_STANDARD.decode(sent.as_bytes()).map_err(|_| "the login is not base64 with its padding")?;
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|_| "the login is not UTF-8")
}

/// The user, and after the first colon the password.
fn split(pair: &str) -> Result<(&str, &[u8]), &'static str> {
    let (user, password) = pair.split_once(':').ok_or("the login has no colon")?;
    if pair.chars().any(char::is_control) {
        return Err("the login holds a control character");
    }
    if !(1..=MAX_USER_BYTES).contains(&user.len()) {
        return Err("the user name has no letter, or more than 255 bytes");
    }
    if !(1..=MAX_PASSWORD_BYTES).contains(&password.len()) {
        return Err("the password is empty, or has more than 256 bytes");
    }
    Ok((user, password.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_one_form() {
        let read = |text: &str| -> Result<(String, Vec<u8>), &'static str> {
            let pair = decoded(text)?;
            split(&pair).map(|(user, password)| (user.to_owned(), password.to_vec()))
        };
        let sent = |pair: &[u8]| read(&BASE64_STANDARD.encode(pair));
        assert_eq!(sent(b"anna:a:b"), Ok(("anna".into(), b"a:b".to_vec())));
        assert_eq!(sent("ann ä:pß".as_bytes()), Ok(("ann ä".into(), "pß".as_bytes().to_vec())));
        let (user, password) = ("u".repeat(255), "p".repeat(256));
        assert!(sent(format!("{user}:{password}").as_bytes()).is_ok());
        for (pair, word) in [
            ("anna".as_bytes().to_vec(), "no colon"),
            (b":secret".to_vec(), "user name"),
            (b"anna:".to_vec(), "password"),
            (format!("u{user}:a").into_bytes(), "user name"),
            (format!("a:p{password}").into_bytes(), "password"),
            (b"anna:a\0b".to_vec(), "control"),
            (b"an\tna:a".to_vec(), "control"),
            (b"anna:a\x7f".to_vec(), "control"),
            ("anna:\u{85}".as_bytes().to_vec(), "control"),
            (b"anna:\xe4".to_vec(), "UTF-8"),
            (vec![b'a'; 800], "1 KiB"),
        ] {
            assert!(sent(&pair).is_err_and(|why| why.contains(word)), "{pair:?}");
        }
        // Of `anna:a?>`, and of `anna:ab`, in spellings that some would read alike.
        assert!(read("YW5uYTphPz4=").is_ok() && read("YW5uYTphYg==").is_ok());
        for text in [
            "",
            "YW5uYTphPz4",
            "YW5uYTphYg",
            "YW5uYTphYg=",
            "YW5uYTphYh==",
            "YW5uYTphYg== ",
            "YW5u YTphYg==",
            "YW5uYTo_Pz8=",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_two_logins_have_one_identity() {
        let identity = |file: &str, user: &str| {
            let hash = PasswordHash::parse("$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6").unwrap();
            HeldLogin { file: file.into(), user: user.into(), hash: Arc::new(hash) }.identity()
        };
        assert_eq!(identity("shop/staff/htpasswd", "anna"), "basic:19:shop/staff/htpasswd:anna");
        assert_ne!(identity("a/b/c", "d:e"), identity("a/b/c:d", "e"));
    }
}
