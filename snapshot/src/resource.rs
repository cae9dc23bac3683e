//! A resource with its name and the hash of its content.

use std::fmt;
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};

use crate::v1::{self, Kind, resource::Body};

/// The first 16 bytes of the SHA-256 of an encoded resource: equal hashes mean equal content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Hash::BYTES]);

impl Hash {
    /// Length of a hash on the wire.
    pub const BYTES: usize = 16;

    /// Hashes the encoded form of `resource`. No message of the contract has a map field, so the encoding is canonical.
    pub fn of(resource: &v1::Resource) -> Self {
        Self::of_bytes(&resource.encode_to_vec())
    }

    /// Hashes `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let mut hash = [0; Self::BYTES];
        hash.copy_from_slice(digest.as_slice().split_at(Self::BYTES).0);
        Self(hash)
    }

    /// Reads a hash from the wire; `None` if it has another length than [`Hash::BYTES`].
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes that travel.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key of a resource: its kind, and a name that is unique within the kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Which of the messages it is.
    pub kind: Kind,
    /// As documented at the message.
    pub name: Arc<str>,
}

impl Name {
    /// Names a resource of `kind`.
    pub fn new(kind: Kind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }

    /// Reads a name from the wire; `None` if its kind is unknown or its name empty.
    pub fn from_wire(name: &v1::ResourceName) -> Option<Self> {
        match name.kind() {
            Kind::Unspecified => None,
            _ if name.name.is_empty() => None,
            kind => Some(Self::new(kind, name.name.as_str())),
        }
    }

    /// The message that travels.
    pub fn to_wire(&self) -> v1::ResourceName {
        v1::ResourceName { kind: self.kind.into(), name: self.name.to_string() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", label(self.kind), self.name)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The message name of a kind, as people read it.
fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "Unspecified",
        Kind::Gateway => "Gateway",
        Kind::Listener => "Listener",
        Kind::Route => "Route",
        Kind::Policy => "Policy",
        Kind::Backend => "Backend",
        Kind::Endpoints => "Endpoints",
        Kind::Credential => "Credential",
        Kind::KeySet => "KeySet",
        Kind::Certificate => "Certificate",
        Kind::Product => "Product",
        Kind::Subscription => "Subscription",
        Kind::ClientTrust => "ClientTrust",
        Kind::PasswordFile => "PasswordFile",
    }
}

/// A resource and the hash of its content, cheap to clone.
#[derive(Clone)]
pub struct Versioned {
    hash: Hash,
    body: Arc<Body>,
}

impl Versioned {
    /// Hashes `body` and keeps both.
    pub fn new(body: Body) -> Self {
        let resource = v1::Resource { body: Some(body) };
        let hash = Hash::of(&resource);
        let v1::Resource { body } = resource;
        Self { hash, body: Arc::new(body.expect("a body was given four lines above")) }
    }

    /// Reads the form that travels. What is not known in it stays out of the content, and in the hash. `None` if it is no resource, or
    /// one of a kind that is not known.
    pub fn from_wire(encoded: &[u8]) -> Option<Self> {
        let body = v1::Resource::decode(encoded).ok()?.body?;
        Some(Self { hash: Hash::of_bytes(encoded), body: Arc::new(body) })
    }

    /// The form that travels. Of what came from the wire it is without what was not known, and then has another hash.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.body.encoded_len());
        self.body.encode(&mut encoded);
        encoded
    }

    /// Equal for equal content.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Which of the messages it is.
    pub fn kind(&self) -> Kind {
        kind_of(&self.body)
    }

    /// The content.
    pub fn body(&self) -> &Arc<Body> {
        &self.body
    }
}

impl PartialEq for Versioned {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Versioned {}

impl fmt::Debug for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.body, f)
    }
}

/// The kind of a body: the field of the union that is set.
pub(crate) fn kind_of(body: &Body) -> Kind {
    match body {
        Body::Gateway(_) => Kind::Gateway,
        Body::Listener(_) => Kind::Listener,
        Body::Route(_) => Kind::Route,
        Body::Policy(_) => Kind::Policy,
        Body::Backend(_) => Kind::Backend,
        Body::Endpoints(_) => Kind::Endpoints,
        Body::Credential(_) => Kind::Credential,
        Body::KeySet(_) => Kind::KeySet,
        Body::Certificate(_) => Kind::Certificate,
        Body::Product(_) => Kind::Product,
        Body::Subscription(_) => Kind::Subscription,
        Body::ClientTrust(_) => Kind::ClientTrust,
        Body::PasswordFile(_) => Kind::PasswordFile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product() -> Versioned {
        let api = v1::ObjectRef { name: "orders".into(), ..v1::ObjectRef::default() };
        Versioned::new(Body::Product(v1::Product { apis: vec![api], ..v1::Product::default() }))
    }

    #[test]
    fn what_travels_has_the_hash_that_it_is_known_by() {
        let encoded = product().to_wire();
        assert_eq!(Hash::of_bytes(&encoded), product().hash());
        assert_eq!(Versioned::from_wire(&encoded).unwrap(), product());
    }

    #[test]
    fn a_field_of_a_newer_version_is_ignored_and_hashed() {
        let mut encoded = product().to_wire();
        // Field 1000, a varint: 1000 << 3 is 8000.
        encoded.extend([0xc0, 0x3e, 1]);
        let read = Versioned::from_wire(&encoded).unwrap();
        assert_eq!(read.body(), product().body());
        assert_eq!(read.hash(), Hash::of_bytes(&encoded));
    }

    #[test]
    fn what_is_no_resource_is_not_read() {
        for encoded in [&[][..], &[0xff], &[0xc0, 0x3e, 1], &[0x0a, 0xff]] {
            assert!(Versioned::from_wire(encoded).is_none(), "{encoded:?}");
        }
    }
}
