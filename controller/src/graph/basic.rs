//! Users and hashes of their passwords, out of a Secret.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::policy::BasicAuthentication;
use sallyport_password::PasswordHash;
use sallyport_snapshot::v1;

use super::certificate::{entry, secret};
use crate::cluster::{ClusterState, ObjectName};
use crate::problem::Problem;

const MAX_BYTES: usize = 512 * 1024;
const MAX_USERS: usize = 5_000;
const MAX_USER_BYTES: usize = 255;
/// Of what is wrong with a file no more lines are told of.
const MAX_TOLD: usize = 5;

/// A file as data planes are sent it.
pub struct File {
    /// What it is called among resources.
    pub name: String,
    pub message: Arc<v1::PasswordFile>,
    /// What is wrong with lines that let nobody in.
    pub problem: Option<Problem>,
}

/// Files that policies name, each read once however many do.
pub struct Files<'a> {
    cluster: &'a ClusterState,
    read: RefCell<BTreeMap<String, Result<Read, Cow<'static, str>>>>,
}

#[derive(Clone)]
struct Read {
    message: Arc<v1::PasswordFile>,
    fault: Option<String>,
}

impl<'a> Files<'a> {
    /// None has been read.
    pub fn of(cluster: &'a ClusterState) -> Self {
        Self { cluster, read: RefCell::default() }
    }

    /// The file that an alternative of a policy in `namespace` names; `field`: of the alternative's member.
    pub fn find(&self, namespace: &str, stated: &BasicAuthentication, field: &str) -> Result<File, Problem> {
        let (field, key) = (format!("{field}.secretRef"), &stated.secret_ref.key);
        let place = ObjectName::new(namespace, &stated.secret_ref.name);
        let text = entry(secret(self.cluster, &place, &field)?, &place, key, &field)?;
        let name = format!("{place}/{key}");
        let read = self.read.borrow_mut().entry(name.clone()).or_insert_with(|| read(text)).clone();
        let invalid =
            |why: &str| Problem::new(&field, Reason::SecretInvalid, format!("Secret {place}, entry {key}: {why}"));
        let Read { message, fault } = read.map_err(|why| invalid(&why))?;
        Ok(File { name, message, problem: fault.map(|why| invalid(&why)) })
    }
}

fn read(text: &[u8]) -> Result<Read, Cow<'static, str>> {
    if text.len() > MAX_BYTES {
        return Err("it is larger than 512 KiB; spread the users over several Secrets".into());
    }
    let users = Users::read(text);
    if users.lines.is_empty() && users.faults == 0 {
        return Err("it names no user; write a line user:hash for each (htpasswd -B -C 10)".into());
    }
    if users.lines.len() > MAX_USERS {
        return Err("it names more than 5,000 users; spread them over several Secrets".into());
    }
    if users.known.is_empty() {
        return Err(format!("no line lets anybody in: {}", users.told().unwrap_or_default()).into());
    }
    let fault = users.told();
    let logins = users.known.into_iter().map(|(user, hash)| v1::Login {
        user: user.to_owned(),
        password_hash: Some(v1::Secret { value: Bytes::copy_from_slice(hash.text().as_bytes()) }),
    });
    Ok(Read { message: Arc::new(v1::PasswordFile { logins: logins.collect() }), fault })
}

/// What a file says.
#[derive(Default)]
struct Users<'a> {
    /// Who is named, each with the line that does so first.
    lines: BTreeMap<&'a str, usize>,
    known: BTreeMap<&'a str, PasswordHash>,
    /// How many lines let nobody in.
    faults: usize,
    /// The first of them, by their numbers: of what stands there nothing is repeated.
    first_faults: Vec<String>,
}

impl<'a> Users<'a> {
    fn read(text: &'a [u8]) -> Self {
        let mut users = Self::default();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.trim_ascii().is_empty() && !line.starts_with(b"#") {
                users.take(at + 1, line);
            }
            if users.lines.len() > MAX_USERS {
                break;
            }
        }
        users
    }

    fn take(&mut self, number: usize, line: &'a [u8]) {
        let Some((user, hash)) = split(line) else {
            return self
                .note(number, || "no user of 1 to 255 bytes of UTF-8 before a colon; write user:hash".to_owned());
        };
        if let Some(first) = self.lines.get(user).copied() {
            self.known.remove(user);
            let why = || format!("its user stands in line {first} as well, and neither counts; remove one");
            return self.note(number, why);
        }
        self.lines.insert(user, number);
        match PasswordHash::parse(hash) {
            Ok(hash) => drop(self.known.insert(user, hash)),
            Err(unfit) => self.note(number, || unfit.to_string()),
        }
    }

    fn note(&mut self, number: usize, why: impl FnOnce() -> String) {
        self.faults += 1;
        if self.first_faults.len() < MAX_TOLD {
            self.first_faults.push(format!("line {number}: {}", why()));
        }
    }

    /// What is wrong, if anything.
    fn told(&self) -> Option<String> {
        let told = self.first_faults.join("; ");
        match self.faults {
            0 => None,
            1..=MAX_TOLD => Some(told),
            faults => Some(format!("{told}; {} more lines let nobody in", faults - MAX_TOLD)),
        }
    }
}

/// A user and a hash. The hash may be anything.
fn split(line: &[u8]) -> Option<(&str, &str)> {
    let (user, hash) = std::str::from_utf8(line).ok()?.split_once(':')?;
    let is_name = (1..=MAX_USER_BYTES).contains(&user.len()) && !user.chars().any(char::is_control);
    is_name.then_some((user, hash))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    use super::*;
    use crate::cluster::{Object, ObjectKind};

    const HASH: &str = "$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6";

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let users = Users::read(text.as_bytes());
        (users.known.keys().map(|user| (*user).to_owned()).collect(), users.first_faults)
    }

    #[test]
    fn a_line_is_a_user_and_a_hash() {
        let text = format!("# staff\n\nanna:{HASH}\r\n \t\nbén jr:{HASH}\nAnna:{HASH}");
        assert_eq!(read(&text), (vec!["Anna".into(), "anna".into(), "bén jr".into()], vec![]));
    }

    #[test]
    fn what_lets_nobody_in_is_told_by_the_number_of_its_line_alone() {
        let long = "x".repeat(256);
        for (line, word) in [
            ("secret".to_owned(), "write user:hash"),
            (format!(":{HASH}"), "write user:hash"),
            (format!("{long}:{HASH}"), "write user:hash"),
            (format!("an\u{7}na:{HASH}"), "write user:hash"),
            ("anna:topsecret".to_owned(), "htpasswd -B"),
            ("anna:".to_owned(), "htpasswd -B"),
            ("anna:$apr1$abcdefgh$82JubPF2dQkt1tVfvLnXS.".to_owned(), "htpasswd -B"),
            (format!("anna:{HASH}:comment"), "no hash of a kind"),
            (format!("anna:{HASH} "), "no hash of a kind"),
            (format!("anna:{}", HASH.replacen("$04$", "$14$", 1)), "cost is out of bounds"),
        ] {
            let (known, told) = read(&format!("joe:{HASH}\n{line}\n"));
            assert_eq!((known.len(), told.len()), (1, 1), "{line}");
            assert!(told[0].starts_with("line 2: ") && told[0].contains(word), "{line}: {told:?}");
            assert!(!["secret", "anna", "abcdefgh"].iter().any(|shown| told[0].contains(shown)), "{told:?}");
        }
    }

    #[test]
    fn who_stands_there_twice_never_gets_in() {
        for second in [HASH, "topsecret"] {
            let (known, told) = read(&format!("anna:{HASH}\njoe:{HASH}\nanna:{second}\nanna:{HASH}\n"));
            assert_eq!(known, ["joe"]);
            assert_eq!(told.len(), 2);
            assert!(told[0].starts_with("line 3: its user stands in line 1"), "{told:?}");
        }
        let (known, _) = read(&format!("anna:topsecret\nanna:{HASH}\n"));
        assert!(known.is_empty(), "be the first line of a kind that is not taken");
    }

    #[test]
    fn of_many_faults_a_few_are_told() {
        let told = |faults: usize| Users::read("x\n".repeat(faults).as_bytes()).told();
        assert_eq!(told(0), None);
        assert!(told(5).is_some_and(|told| {
            told.ends_with("line 5: no user of 1 to 255 bytes of UTF-8 before a colon; write user:hash")
        }));
        assert!(told(9).is_some_and(|told| told.ends_with("; 4 more lines let nobody in")));
    }

    #[test]
    fn a_file_has_bounds() {
        let users = |number: usize| (0..number).map(|at| format!("user{at}:{HASH}\n")).collect::<String>();
        let why = |text: &str| super::read(text.as_bytes()).err().unwrap_or_default().into_owned();
        assert_eq!(why(&users(MAX_USERS)), "");
        assert!(why(&users(MAX_USERS + 1)).contains("more than 5,000"));
        assert!(why(&"#".repeat(MAX_BYTES + 1)).contains("512 KiB"));
        assert!(why("# nobody\n").contains("names no user"));
        assert!(why("anna:secret\n").contains("no line lets anybody in: line 1: "));
    }

    #[test]
    fn a_file_is_read_once_however_many_name_it() {
        let mut cluster = ClusterState::default();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "staff", "namespace": "shop" },
            "data": { "htpasswd": BASE64_STANDARD.encode(format!("anna:{HASH}")) },
        });
        cluster.apply(ObjectName::new("shop", "staff"), Object::decode(ObjectKind::Secret, secret, vec![]));
        let stated = serde_json::from_value(json!({ "secretRef": { "name": "staff" } })).unwrap();
        let files = Files::of(&cluster);
        let [first, second] = ["a", "b"].map(|field| files.find("shop", &stated, field).ok().unwrap());
        assert!(Arc::ptr_eq(&first.message, &second.message));
        assert_eq!(files.find("other", &stated, "a").err().map(|problem| problem.reason), Some(Reason::SecretNotFound));
    }
}
