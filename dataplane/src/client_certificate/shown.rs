//! A certificate as it was shown, and what was made of it before.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use sallyport_snapshot::Hash;

use super::facts::Facts;
use super::{CertificateFault, Vouched};
use crate::clock::UnixMs;
use crate::digest::sha256;

/// Of one handshake, with the leaf: a search among more takes too long, and a path that needs more is too long.
pub const MAX_CERTIFICATES: usize = 5;
/// All of them together.
pub const MAX_BYTES: usize = 16 * 1024;
/// Verdicts that are kept of a connection: as many as a policy has alternatives. And of what is told of over many, for many policies.
const MAX_VERDICTS: usize = 16;
const MAX_VERDICTS_OF_MANY: usize = 64;
/// After that a refusal is looked at again: what was missing may be there.
const REFUSED_MS: i64 = 10_000;

/// What is known of the certificate of a connection's caller.
#[derive(Clone, Default)]
pub enum CallersCertificate {
    /// The listener speaks no TLS, or nobody there wanted one when the connection was made.
    #[default]
    NotAskedFor,
    NotShown,
    Shown(Arc<ShownCertificate>),
}

impl CallersCertificate {
    /// What a handshake brought, in which one was asked for or not.
    pub fn of(chain: Option<&[CertificateDer<'static>]>, is_asked_for: bool) -> Self {
        match chain.filter(|chain| !chain.is_empty()) {
            Some(chain) => Self::Shown(Arc::new(ShownCertificate::new(chain.to_vec()))),
            None if is_asked_for => Self::NotShown,
            None => Self::NotAskedFor,
        }
    }

    /// The certificate, or why there is none.
    pub fn shown(&self, is_cleartext: bool) -> Result<&Arc<ShownCertificate>, Unshown> {
        match self {
            Self::Shown(shown) => Ok(shown),
            Self::NotShown => Err(Unshown::Nothing),
            Self::NotAskedFor if is_cleartext => Err(Unshown::Cleartext),
            Self::NotAskedFor => Err(Unshown::NotAskedFor),
        }
    }
}

/// Why there is no certificate of a caller, in the operator's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unshown {
    #[error("no certificate was shown")]
    Nothing,
    #[error("the listener speaks no TLS")]
    Cleartext,
    /// Another connection will be asked, unless it is only reported what would be asked for.
    #[error("the connection was made before the listener asked for certificates")]
    NotAskedFor,
}

/// The caller's certificate, with those that it sent along.
pub struct ShownCertificate {
    chain: Vec<CertificateDer<'static>>,
    facts: OnceLock<Option<Facts>>,
    thumbprint: OnceLock<[u8; 32]>,
    verdicts: Mutex<Vec<(Asked, Verdict)>>,
    max_verdicts: usize,
}

/// By whom it was judged: the demand, and whom that trusts.
type Asked = (Hash, Option<Hash>);

struct Verdict {
    outcome: Result<Arc<Vouched>, CertificateFault>,
    until: UnixMs,
}

impl ShownCertificate {
    /// The leaf, and what came with it.
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Self {
        Self {
            chain,
            facts: OnceLock::new(),
            thumbprint: OnceLock::new(),
            verdicts: Mutex::default(),
            max_verdicts: MAX_VERDICTS,
        }
    }

    /// The same of one that a proxy tells of, over many connections and for all that it forwards.
    pub fn of_many_connections(chain: Vec<CertificateDer<'static>>) -> Self {
        Self { max_verdicts: MAX_VERDICTS_OF_MANY, ..Self::new(chain) }
    }

    /// The leaf, and what came with it.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// What it says; `None` if it cannot be read.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.get_or_init(|| Facts::read(self.chain.first()?)).as_ref()
    }

    /// SHA-256 of the leaf (RFC 8705, 3.1); `None` if that cannot be read: it may be of nothing.
    pub fn thumbprint(&self) -> Option<&[u8; 32]> {
        self.facts()?;
        let leaf = self.chain.first().map(AsRef::as_ref).unwrap_or_default();
        Some(self.thumbprint.get_or_init(|| sha256(leaf)))
    }

    /// The leaf as RFC 9440 has it in a header.
    pub fn rfc9440(&self) -> String {
        format!(":{}:", STANDARD.encode(self.chain.first().map(|leaf| leaf.as_ref()).unwrap_or_default()))
    }

    /// What came of it when it was asked for in the same way, or else what `judge` says.
    pub(super) fn verdict(
        &self,
        asked: Asked,
        now: UnixMs,
        judge: impl FnOnce() -> Result<Vouched, CertificateFault>,
    ) -> Result<Arc<Vouched>, CertificateFault> {
        if let Some(outcome) = self.known(asked, now) {
            return outcome;
        }
        // Nobody else waits meanwhile: of two who judge at once both find the same.
        let outcome = judge().map(Arc::new);
        let until = outcome.as_ref().map_or(UnixMs(now.0.saturating_add(REFUSED_MS)), |vouched| vouched.until);
        let mut verdicts = self.verdicts.lock();
        verdicts.retain(|(known, verdict)| *known != asked && now < verdict.until);
        if verdicts.len() >= self.max_verdicts {
            verdicts.remove(0);
        }
        verdicts.push((asked, Verdict { outcome: outcome.clone(), until }));
        outcome
    }

    fn known(&self, asked: Asked, now: UnixMs) -> Option<Result<Arc<Vouched>, CertificateFault>> {
        let verdicts = self.verdicts.lock();
        let found = verdicts.iter().find(|(known, verdict)| *known == asked && now < verdict.until);
        found.map(|(_, verdict)| verdict.outcome.clone())
    }
}
