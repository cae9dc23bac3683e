//! Tokens, and the keys that verify them.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// 2100: no benchmark lasts longer.
const EXPIRES_S: u64 = 4_102_444_800;

pub(crate) enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
}

impl Signer {
    pub(crate) fn new(algorithm: &str) -> anyhow::Result<Self> {
        let failed = |_| anyhow::anyhow!("no key can be made");
        Ok(if algorithm == "RS256" {
            Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?))
        } else {
            Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?)
        })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    /// A token as issuers write them; `number` makes it another one.
    pub(crate) fn token(&self, number: usize) -> anyhow::Result<String> {
        let header = format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"one"}}"#, self.algorithm());
        let claims = format!(
            r#"{{"iss":"https://issuer.example.com","sub":"user-{number}","aud":"orders-api","scope":"openid orders.read","iat":1700000000,"nbf":1700000000,"exp":{EXPIRES_S},"jti":"{number}"}}"#
        );
        let signed = format!("{}.{}", encode(header), encode(claims));
        let failed = |_| anyhow::anyhow!("the token cannot be signed");
        let signature = match self {
            Self::Ec(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(failed)?.as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(failed)?;
                signature
            }
        };
        Ok(format!("{signed}.{}", encode(signature)))
    }

    pub(crate) fn key_set(&self) -> String {
        let key = match self {
            Self::Rsa(key) => {
                let public = key.public_key();
                let part = |bytes: &[u8]| encode(bytes);
                let (n, e) = (public.modulus(), public.exponent());
                format!(
                    r#""kty":"RSA","n":"{}","e":"{}""#,
                    part(n.big_endian_without_leading_zero()),
                    part(e.big_endian_without_leading_zero())
                )
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let part = |from: usize, to: usize| encode(point.get(from..to).unwrap_or_default());
                format!(r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#, part(1, 33), part(33, 65))
            }
        };
        format!(r#"{{"keys":[{{{key},"kid":"one","use":"sig","alg":"{}"}}]}}"#, self.algorithm())
    }

    /// The public key as HAProxy reads it.
    pub(crate) fn pem(&self) -> anyhow::Result<String> {
        let failed = |_| anyhow::anyhow!("the key cannot be written");
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(key) => key.public_key().as_der().map_err(failed)?,
            Self::Ec(key) => key.public_key().as_der().map_err(failed)?,
        };
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
