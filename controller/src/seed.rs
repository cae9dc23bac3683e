//! What all replicas of the controller know and nobody else: numbers that data planes hand out are derived from it, so that all of a Gateway know each
//! other's.

use std::fmt;

use aws_lc_rs::hmac;
use sallyport_snapshot::v1;

use crate::cluster::ObjectName;

/// Tells what is derived here from what the key is for.
const OF_SEED: &[u8] = b"sallyport seed 1";
const OF_NONCES: &[u8] = b"nonces of proofs ";

/// Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Of a private key that all replicas hold.
    pub fn of(private_key: &[u8]) -> Self {
        Self(derived(private_key, &[OF_SEED]))
    }

    /// By which the data planes of a Gateway know their numbers.
    pub fn of_nonces(&self, gateway: &ObjectName) -> v1::Secret {
        let key = derived(&self.0, &[OF_NONCES, gateway.to_string().as_bytes()]);
        v1::Secret { value: key.to_vec().into() }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

fn derived(key: &[u8], about: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    about.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_has_its_own_and_replicas_have_the_same() {
        let (one, other) = (ObjectName::new("shop", "public"), ObjectName::new("shop", "internal"));
        let key = |private: &[u8], gateway| Seed::of(private).of_nonces(gateway).value;
        assert_eq!(key(b"a", &one), key(b"a", &one));
        assert_eq!(key(b"a", &one).len(), 32);
        assert_ne!(key(b"a", &one), key(b"a", &other));
        assert_ne!(key(b"a", &one), key(b"b", &one));
    }

    #[test]
    fn nobody_prints_it() {
        assert_eq!(format!("{:?}", Seed::of(b"a")), "Seed");
    }
}
