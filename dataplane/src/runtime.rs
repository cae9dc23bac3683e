//! What every request is judged by: one immutable value, swapped as a whole.
//!
//! A request takes the runtime of its moment and finishes on it. Parts that a change does not touch are shared with the
//! runtime before.

pub mod backend;
pub mod certificate;
pub mod frontend;
pub mod key_parameters;
pub mod keys;
pub mod listener;
pub mod origin_lock;
pub mod policy;
pub mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::client_certificate::trust::ClientTrust;
use crate::credential::Credential;
use crate::issuer::IssuerKeys;
use crate::map::Map;
use crate::passwords::file::PasswordFile;
use crate::runtime::backend::Backend;
use crate::runtime::key_parameters::{KeyParameters, Shown};
use crate::runtime::keys::{Keys, Product};
use crate::runtime::listener::Port;
use crate::runtime::policy::Policy;

/// Parts by resource name.
pub type Named<T> = Arc<Map<Arc<str>, Arc<T>>>;

/// The configuration in force.
#[derive(Clone, Default)]
pub struct Runtime {
    /// Counts the changes that this process has applied.
    pub generation: u64,
    /// Listeners by the port of the configuration.
    pub ports: BTreeMap<u16, Arc<Port>>,
    pub policies: Named<Policy>,
    pub key_parameters: KeyParameters,
    pub backends: Named<Backend>,
    pub credentials: Named<Credential>,
    pub products: Arc<Map<Arc<str>, Arc<Product>>>,
    pub keys: Keys,
    pub key_sets: Named<IssuerKeys>,
    /// Why a key set that was sent is not in force.
    pub unusable_key_sets: Arc<Map<Arc<str>, String>>,
    /// Whom policies trust to vouch for certificates; or why that cannot be told.
    pub trusts: Named<Result<ClientTrust, String>>,
    /// Users with their passwords; or why they cannot be told.
    pub password_files: Named<Result<PasswordFile, String>>,
}

impl Runtime {
    /// The policy called `name`. A name that leads nowhere denies.
    pub fn policy(&self, name: &Arc<str>) -> Arc<Policy> {
        self.policies.get(name).map_or_else(|| Arc::new(Policy::denied(name, "the policy is not there")), Arc::clone)
    }

    /// In which query parameters callers of the routes of `namespace` on `gateway` show keys; `None` if in none.
    pub fn key_parameters(&self, gateway: &str, namespace: &str) -> Option<&Shown> {
        self.key_parameters.get(gateway)?.get(namespace)
    }
}
