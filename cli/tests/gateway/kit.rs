//! What every test here needs: a gateway, a service behind it, an issuer beside it, callers in front of it.

pub mod authorizer;
pub mod caller;
pub mod endpoint;
pub mod frames;
pub mod gateway;
pub mod hostile;
pub mod identity_provider;
pub mod issuer;
pub mod keycloak;
pub mod manifest;
pub mod orders;
pub mod pki;
pub mod process;
pub mod prover;
pub mod redis;
pub mod secured;
pub mod service;
pub mod traffic;
