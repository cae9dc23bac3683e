//! Users and hashes of their passwords, out of a Secret.

use std::collections::BTreeMap;

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
    pub message: v1::PasswordFile,
    /// What is wrong with lines that let nobody in.
    pub problem: Option<Problem>,
}

/// The file that an alternative of a policy in `namespace` names; `field`: of the alternative's member.
pub fn file(
    cluster: &ClusterState,
    namespace: &str,
    stated: &BasicAuthentication,
    field: &str,
) -> Result<File, Problem> {
    let (field, key) = (format!("{field}.secretRef"), &stated.secret_ref.key);
    let place = ObjectName::new(namespace, &stated.secret_ref.name);
    let text = entry(secret(cluster, &place, &field)?, &place, key, &field)?;
    let invalid =
        |why: &str| Problem::new(&field, Reason::SecretInvalid, format!("Secret {place}, entry {key}: {why}"));
    if text.len() > MAX_BYTES {
        return Err(invalid("it is larger than 512 KiB; spread the users over several Secrets"));
    }
    let read = Users::read(text);
    if read.known.is_empty() && read.faults.is_empty() {
        return Err(invalid("it names no user; write a line user:hash for each (htpasswd -B)"));
    }
    if read.known.len() > MAX_USERS {
        return Err(invalid("it names more than 5,000 users; spread them over several Secrets"));
    }
    if read.known.is_empty() {
        return Err(invalid(&format!("no line lets anybody in: {}", read.told().join("; "))));
    }
    let problem = (!read.faults.is_empty()).then(|| invalid(&read.told().join("; ")));
    let logins = read.known.into_iter().map(|(user, (_, hash))| v1::Login {
        user: user.to_owned(),
        password_hash: Some(v1::Secret { value: Bytes::copy_from_slice(hash.text().as_bytes()) }),
    });
    let message = v1::PasswordFile { logins: logins.collect() };
    Ok(File { name: format!("{place}/{key}"), message, problem })
}

/// What a file says.
#[derive(Default)]
struct Users<'a> {
    /// Each with the line it stands in.
    known: BTreeMap<&'a str, (usize, PasswordHash)>,
    /// Numbers of lines that let nobody in, and why. Of what stands there nothing is repeated.
    faults: Vec<(usize, String)>,
}

impl<'a> Users<'a> {
    fn read(text: &'a [u8]) -> Self {
        let mut users = Self::default();
        let mut lines_of = BTreeMap::<&str, usize>::new();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            let number = at + 1;
            let Some((user, hash)) = split(line) else {
                let why = "no user of 1 to 255 bytes of UTF-8 before a colon; write user:hash";
                users.faults.push((number, why.to_owned()));
                continue;
            };
            if let Some(first) = lines_of.insert(user, number) {
                users.known.remove(user);
                users
                    .faults
                    .push((number, format!("its user stands in line {first} as well, and neither counts; remove one")));
                continue;
            }
            match PasswordHash::parse(hash) {
                Ok(hash) => drop(users.known.insert(user, (number, hash))),
                Err(unfit) => users.faults.push((number, unfit.to_string())),
            }
        }
        users
    }

    /// The first faults, each with its line.
    fn told(&self) -> Vec<String> {
        let told = self.faults.iter().take(MAX_TOLD);
        let mut told: Vec<_> = told.map(|(number, why)| format!("line {number}: {why}")).collect();
        if let Some(more @ 1..) = self.faults.len().checked_sub(MAX_TOLD) {
            told.push(format!("{more} more lines let nobody in"));
        }
        told
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
    use super::*;

    const HASH: &str = "$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6";

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let users = Users::read(text.as_bytes());
        (users.known.keys().map(|user| (*user).to_owned()).collect(), users.told())
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
        let (_, told) = read(&"x\n".repeat(9));
        assert_eq!(told.len(), 6);
        assert_eq!(told[5], "4 more lines let nobody in");
    }
}
