//! One hash, parsed.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr as _;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHash as Phc, PasswordVerifier as _, Version};
use bcrypt::HashParts;
use sha_crypt::ShaCrypt;

/// A longer password fits no hash: the work of SHA-crypt grows with it.
pub const MAX_PASSWORD_BYTES: usize = 256;
/// What bcrypt looks at. It would take two passwords for one that differ only behind.
const MAX_BCRYPT_BYTES: usize = 72;
/// What one computation of Argon2 takes at most.
pub const MAX_MEMORY_KIB: u32 = 64 * 1024;

const BCRYPT_COST: RangeInclusive<u32> = 4..=13;
const ARGON2_MEMORY_KIB: RangeInclusive<u32> = 8 * 1024..=MAX_MEMORY_KIB;
const ARGON2_ITERATIONS: RangeInclusive<u32> = 1..=5;
const ARGON2_LANES: RangeInclusive<u32> = 1..=4;
const ARGON2_SALT_BYTES: usize = 8;
const ARGON2_HASH_BYTES: usize = 16;
const SHA_ROUNDS: RangeInclusive<u32> = 1_000..=200_000;
/// Where none are stated.
const SHA_ROUNDS_UNSTATED: u32 = 5_000;

/// A hash that a password can be held against.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Box<str>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bcrypt { cost: u32 },
    Argon2id { memory_kib: u32, iterations: u32 },
    ShaCrypt { rounds: u32 },
}

/// Why a text is no hash that is taken, and the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// None of the kinds that are known here, or not written as that kind is.
    Form,
    /// A kind that keeps nobody out.
    Weak,
    /// A kind of Argon2 that is not taken, or another version of it.
    Argon2Kind,
    /// Cheaper or dearer than is taken.
    Cost,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "no hash of a kind that is taken; write bcrypt ($2y$), argon2id or SHA-crypt ($5$, $6$)",
            Self::Weak => {
                "a hash that keeps nobody out (clear text, crypt, MD5, SHA-1, $2x$); write it anew with bcrypt (htpasswd -B -C 10)"
            }
            Self::Argon2Kind => "of Argon2 only argon2id of version 19 is taken; write it anew",
            Self::Cost => {
                "its cost is out of bounds: bcrypt 4 to 13; argon2id m 8192 to 65536, t 1 to 5, p 1 to 4; SHA-crypt 1000 to 200000 rounds"
            }
        })
    }
}

impl PasswordHash {
    /// Reads a hash as files of the form of htpasswd hold it.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        let kind = match text.split('$').nth(1).filter(|_| text.starts_with('$')) {
            Some("2a" | "2b" | "2y") => bcrypt_kind(text)?,
            Some("argon2id") => argon2_kind(text)?,
            Some("argon2i" | "argon2d") => return Err(Unfit::Argon2Kind),
            Some("5" | "6") => sha_kind(text)?,
            Some("1" | "2x" | "2" | "apr1") | None => return Err(Unfit::Weak),
            Some(_) => return Err(Unfit::Form),
        };
        Ok(Self { text: text.into(), kind })
    }

    /// The hash as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `password` fits, compared in constant time. It takes as long if it does not.
    pub fn fits(&self, password: &[u8]) -> bool {
        let most = match self.kind {
            Kind::Bcrypt { .. } => MAX_BCRYPT_BYTES,
            Kind::Argon2id { .. } | Kind::ShaCrypt { .. } => MAX_PASSWORD_BYTES,
        };
        // What is too long fits nothing, and nobody learns by the time how long is too long.
        let looked_at = password.get(..most).unwrap_or(password);
        let fits = match self.kind {
            Kind::Bcrypt { .. } => bcrypt::verify(looked_at, &self.text).is_ok_and(|fits| fits),
            Kind::Argon2id { .. } => fits_argon2(looked_at, &self.text),
            Kind::ShaCrypt { .. } => ShaCrypt::default().verify_password(looked_at, &*self.text).is_ok(),
        };
        fits && looked_at.len() == password.len() && !password.is_empty() && !password.contains(&0)
    }

    /// Memory that a computation takes.
    pub fn memory_kib(&self) -> u32 {
        match self.kind {
            Kind::Argon2id { memory_kib, .. } => memory_kib,
            Kind::Bcrypt { .. } | Kind::ShaCrypt { .. } => 0,
        }
    }

    /// About how long a computation takes: puts several in order.
    pub fn work(&self) -> Duration {
        let microseconds = match self.kind {
            Kind::Bcrypt { cost } => 45 << cost,
            Kind::Argon2id { memory_kib, iterations } => u64::from(memory_kib) * u64::from(iterations) / 2,
            Kind::ShaCrypt { rounds } => u64::from(rounds),
        };
        Duration::from_micros(microseconds)
    }
}

/// Nothing of a hash is shown.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

fn bcrypt_kind(text: &str) -> Result<Kind, Unfit> {
    HashParts::from_str(text).map_err(|_| Unfit::Form)?;
    let cost = text.split('$').nth(2).and_then(number).ok_or(Unfit::Form)?;
    within(BCRYPT_COST, cost).map(|cost| Kind::Bcrypt { cost })
}

fn argon2_kind(text: &str) -> Result<Kind, Unfit> {
    let phc = Phc::new(text).map_err(|_| Unfit::Form)?;
    if phc.version != Some(Version::V0x13.into()) {
        return Err(Unfit::Argon2Kind);
    }
    let params = Params::try_from(&phc).map_err(|_| Unfit::Form)?;
    let memory_kib = within(ARGON2_MEMORY_KIB, params.m_cost())?;
    let iterations = within(ARGON2_ITERATIONS, params.t_cost())?;
    within(ARGON2_LANES, params.p_cost())?;
    let is_whole = phc.salt.as_ref().is_some_and(|salt| salt.len() >= ARGON2_SALT_BYTES)
        && phc.hash.as_ref().is_some_and(|hash| hash.len() >= ARGON2_HASH_BYTES);
    if is_whole { Ok(Kind::Argon2id { memory_kib, iterations }) } else { Err(Unfit::Form) }
}

/// `$5$` or `$6$`, rounds or not, a salt of at most 16 characters, and a hash of a stated length.
fn sha_kind(text: &str) -> Result<Kind, Unfit> {
    let fields: Vec<_> = text.split('$').skip(1).collect();
    let (id, rounds, salt, hash) = match fields.as_slice() {
        [id, rounds, salt, hash] => (*id, Some(*rounds), *salt, *hash),
        [id, salt, hash] => (*id, None, *salt, *hash),
        _ => return Err(Unfit::Form),
    };
    let is_crypt = |field: &str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    // The last character holds what is left of the bytes: 4 bits, and 2.
    let (characters, last) = if id == "5" { (43, "./0123456789ABCD") } else { (86, "./01") };
    let is_whole = is_crypt(hash) && hash.len() == characters && hash.ends_with(|letter| last.contains(letter));
    if !is_crypt(salt) || salt.is_empty() || salt.len() > 16 || !is_whole {
        return Err(Unfit::Form);
    }
    let rounds = match rounds {
        None => SHA_ROUNDS_UNSTATED,
        Some(stated) => stated.strip_prefix("rounds=").and_then(number).ok_or(Unfit::Form)?,
    };
    within(SHA_ROUNDS, rounds).map(|rounds| Kind::ShaCrypt { rounds })
}

/// Digits alone: `parse` takes a sign as well.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn within(taken: RangeInclusive<u32>, cost: u32) -> Result<u32, Unfit> {
    if taken.contains(&cost) { Ok(cost) } else { Err(Unfit::Cost) }
}

fn fits_argon2(password: &[u8], text: &str) -> bool {
    let Ok(phc) = Phc::new(text) else { return false };
    let Ok(params) = Params::try_from(&phc) else { return false };
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).verify_password(password, &phc).is_ok()
}

#[cfg(test)]
mod tests;
