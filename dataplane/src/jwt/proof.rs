//! Proofs of possession (RFC 9449): for each request its caller signs method, address and token with the key that the token is bound to.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use aws_lc_rs::digest::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, Method, Uri};
use sallyport_snapshot::v1::{self, proofs::Memory};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::binding::Thumbprint;
use super::{Parts, TokenFault, decode, key_ring, strict_json};
use crate::clock::UnixMs;
use crate::digest::{Digest, sha256, sha256_of};
use crate::nonces::{OfGateway, Worth};
use crate::path::{Authority, canonical};

/// In which a caller sends its proof (4.1).
pub const HEADER: HeaderName = HeaderName::from_static("dpop");
/// The longest proof: with a key of 4096 bits it has 3 KiB.
pub const MAX_PROOF_BYTES: usize = 8 * 1024;
/// The longest id (`jti`).
const MAX_ID_BYTES: usize = 256;
/// How far ahead a caller's clock may be.
pub const MAX_AHEAD: Duration = Duration::from_secs(5);
/// How old a proof may be, whatever a policy says.
pub const MAX_AGE: Duration = Duration::from_secs(120);
/// Characters of a modulus of 4096 bits: larger ones only make verifying slow.
const MAX_MODULUS_CHARS: usize = 683;
/// The type that tells a proof from all other tokens (RFC 9449, 4.2).
const TYPE: &str = "dpop+jwt";
/// Members of keys in which a secret stands that the caller must not send.
const SYMMETRIC: &str = "k";

/// How proofs are judged.
#[derive(Clone, Debug)]
pub struct Rules {
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    /// Empty: what was asked for.
    origins: Vec<Box<str>>,
    pub memory: Memory,
    pub nonce_required: bool,
}

/// Who tells the same proof from a new one: it is remembered for as long as it could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Of the key, `jti` and `htu`: nobody can use up what somebody else may send.
    pub id: [u8; 16],
    /// By `iat`.
    pub made: UnixMs,
    /// From when on its `iat` is too old.
    pub until: UnixMs,
    /// Whether its caller is to be told the next number of the Gateway.
    pub wants_nonce: bool,
}

/// What a proof has to be about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a Method,
    /// Scheme, host and port as they were asked for; `None` where that cannot be told.
    pub origin: Option<&'a str>,
    /// In its canonical form.
    pub path: &'a str,
    /// As it was sent.
    pub token: &'a str,
    /// What the token is bound to.
    pub key: &'a Thumbprint,
    pub nonces: OfGateway<'a>,
}

/// Why a proof does not hold, in the operator's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("it is longer than {MAX_PROOF_BYTES} bytes")]
    TooLong,
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("its header typ is not {TYPE}")]
    Type,
    #[error("it has a critical or unencoded header, which is not understood here")]
    Critical,
    #[error("it names no algorithm that the policy takes")]
    Algorithm,
    #[error("the key in its header jwk cannot be used: {0}")]
    Key(&'static str),
    #[error("it is signed by another key than the token is bound to")]
    OtherKey,
    #[error("its signature is not valid")]
    Signature,
    #[error("it is for another method (htm)")]
    Method,
    #[error("it is for another address (htu); behind a proxy that callers know by another name, state dpop.origins")]
    Address,
    #[error("it is for another token (ath), or for none")]
    Token,
    #[error("it is older than the policy takes (iat), or says not when it was made")]
    Old,
    #[error("it is from the future (iat)")]
    Future,
    #[error("its id (jti) is missing, or longer than {MAX_ID_BYTES} bytes")]
    Id,
    #[error("it holds no number (nonce) of this Gateway; the answer has one")]
    NoNonce,
    #[error("its number (nonce) is none that this Gateway has handed out in the last 5 minutes; the answer has one")]
    Nonce,
}

impl Rules {
    /// Parses the resource's word.
    pub fn build(proofs: &v1::Proofs) -> Result<Self, String> {
        let known =
            |name: &String| Algorithm::parse(name).ok_or_else(|| format!("{name:?} is no asymmetric algorithm"));
        let algorithms: Vec<_> = proofs.algorithms.iter().map(known).collect::<Result<_, _>>()?;
        if algorithms.is_empty() {
            return Err("no algorithm is listed".to_owned());
        }
        Ok(Self {
            algorithms,
            max_age: Duration::from_secs(proofs.max_age_s.into()).min(MAX_AGE),
            origins: proofs.origins.iter().map(|stated| known_origin(stated)).collect::<Result<_, _>>()?,
            memory: proofs.memory(),
            nonce_required: proofs.nonce_required,
        })
    }

    /// Judges `proof`, but for whether it was seen before. What is `verified` is not verified once more.
    pub fn judge(&self, proof: &str, asked: Asked<'_>, verified: &Verified, now: UnixMs) -> Result<Proof, ProofFault> {
        if proof.len() > MAX_PROOF_BYTES {
            return Err(ProofFault::TooLong);
        }
        let parts = Parts::split(proof).map_err(malformed)?;
        let header = object(parts.header, "the header is no plain JSON object")?;
        let claims = object(parts.payload, "the claims are no plain JSON object")?;
        let (algorithm, jwk) = self.judge_header(&header)?;
        // What is cheap comes first.
        if thumbprint(jwk).as_ref() != Some(asked.key) {
            return Err(ProofFault::OtherKey);
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(asked.method.as_str()) {
            return Err(ProofFault::Method);
        }
        let address = text("htu").filter(|address| self.is_for(address, asked)).ok_or(ProofFault::Address)?;
        if text("ath") != Some(&URL_SAFE_NO_PAD.encode(sha256(asked.token.as_bytes()))) {
            return Err(ProofFault::Token);
        }
        let (made, until) = self.judge_age(&claims, now)?;
        let id = text("jti").filter(|id| (1..=MAX_ID_BYTES).contains(&id.len())).ok_or(ProofFault::Id)?;
        verified.once(proof, || {
            let key = key_ring::sent_along(jwk, algorithm).map_err(ProofFault::Key)?;
            let signature = decode(parts.signature).map_err(malformed)?;
            key.verify_sig(parts.signed.as_bytes(), &signature).map_err(|_| ProofFault::Signature)
        })?;
        let wants_nonce = match text("nonce").map(|nonce| asked.nonces.judge(nonce, now)) {
            _ if !self.nonce_required => false,
            Some(Worth::Fresh) => false,
            Some(Worth::Ageing) => true,
            Some(Worth::Nothing) => return Err(ProofFault::Nonce),
            None => return Err(ProofFault::NoNonce),
        };
        Ok(Proof { id: digest(asked.key, id, address), made, until, wants_nonce })
    }

    fn judge_header<'a>(&self, header: &'a Map<String, Value>) -> Result<(Algorithm, &'a Value), ProofFault> {
        if super::is_critical(header) {
            return Err(ProofFault::Critical);
        }
        if header.get("typ").and_then(Value::as_str) != Some(TYPE) {
            return Err(ProofFault::Type);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
        let algorithm = algorithm.filter(|one| self.algorithms.contains(one)).ok_or(ProofFault::Algorithm)?;
        let jwk = header.get("jwk").ok_or(ProofFault::Key("there is none"))?;
        if jwk.get(SYMMETRIC).is_some() {
            return Err(ProofFault::Key("it holds a secret"));
        }
        if jwk.get("n").and_then(Value::as_str).is_some_and(|modulus| modulus.len() > MAX_MODULUS_CHARS) {
            return Err(ProofFault::Key("it has more than 4096 bits"));
        }
        Ok((algorithm, jwk))
    }

    /// Whether `address` is what was asked for, query and fragment left aside.
    fn is_for(&self, address: &str, asked: Asked<'_>) -> bool {
        let Ok(address) = Uri::try_from(address) else { return false };
        let Some(origin) = origin_of(&address) else { return false };
        let is_one = match self.origins.as_slice() {
            [] => asked.origin == Some(&*origin),
            stated => stated.iter().any(|one| **one == *origin),
        };
        is_one && canonical(address.path()).is_ok_and(|path| path == asked.path)
    }

    /// By `iat`; what a client says besides of how long it means it (RFC 7519, 4.1) holds as well.
    fn judge_age(&self, claims: &Map<String, Value>, now: UnixMs) -> Result<(UnixMs, UnixMs), ProofFault> {
        let date = |name| super::claims::date(claims.get(name), name).map_err(|_| ProofFault::Old);
        let made = date("iat")?.ok_or(ProofFault::Old)?;
        let latest = now.plus(MAX_AHEAD);
        if [Some(made), date("nbf")?].into_iter().flatten().any(|date| date > latest) {
            return Err(ProofFault::Future);
        }
        let until = made.plus(self.max_age);
        let until = date("exp")?.map_or(until, |end| end.min(until));
        if until < now { Err(ProofFault::Old) } else { Ok((made, until)) }
    }
}

/// The proof whose signature was found to be its key's, so that one request verifies it once.
#[derive(Default)]
pub struct Verified(Cell<Option<Digest>>);

impl Verified {
    fn once(&self, proof: &str, verify: impl FnOnce() -> Result<(), ProofFault>) -> Result<(), ProofFault> {
        let own = Some(sha256(proof.as_bytes()));
        if self.0.get() != own {
            verify()?;
            self.0.set(own);
        }
        Ok(())
    }
}

fn known_origin(stated: &str) -> Result<Box<str>, String> {
    let read = stated.split_once("://").and_then(|(scheme, authority)| origin(scheme, authority));
    read.map(Into::into).ok_or_else(|| format!("{stated:?} is no scheme, host and port"))
}

/// Scheme, host and port in one spelling, the usual port left out.
pub fn origin(scheme: &str, authority: &str) -> Option<String> {
    let scheme = scheme.to_ascii_lowercase();
    let usual = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let Authority { host, port } = Authority::parse(authority).ok()?;
    // IPv6 has many spellings.
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match inner.map(str::parse::<Ipv6Addr>).transpose().ok()? {
        Some(address) => Cow::Owned(format!("[{address}]")),
        None => host,
    };
    Some(match port.filter(|port| *port != usual) {
        None => format!("{scheme}://{host}"),
        Some(port) => format!("{scheme}://{host}:{port}"),
    })
}

fn origin_of(address: &Uri) -> Option<String> {
    origin(address.scheme_str()?, address.authority()?.as_str())
}

fn malformed(fault: TokenFault) -> ProofFault {
    match fault {
        TokenFault::TooLong => ProofFault::TooLong,
        TokenFault::Malformed(why) => ProofFault::Malformed(why.to_owned()),
        other => ProofFault::Malformed(other.to_string()),
    }
}

fn object(part: &str, else_what: &str) -> Result<Map<String, Value>, ProofFault> {
    let bytes = decode(part).map_err(malformed)?;
    strict_json::object(&bytes).ok_or_else(|| ProofFault::Malformed(else_what.to_owned()))
}

/// Of a key, by the members that make it what it is (RFC 7638, 3.2; RFC 8037, 2).
fn thumbprint(jwk: &Value) -> Option<Thumbprint> {
    let names: &[&str] = match jwk.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let member = |name: &&'static str| Some((*name, jwk.get(*name)?.as_str()?));
    // Sorted, and without a space.
    let members: BTreeMap<&str, &str> = names.iter().map(member).collect::<Option<_>>()?;
    serde_json::to_vec(&members).ok().map(|json| sha256(&json))
}

/// 128 bits tell two apart.
fn digest(key: &Thumbprint, id: &str, address: &str) -> [u8; 16] {
    let whole = sha256_of(|context: &mut Context| {
        context.update(key);
        // What could hold anything has its length before it.
        context.update(&id.len().to_be_bytes());
        context.update(id.as_bytes());
        context.update(address.as_bytes());
    });
    whole.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
