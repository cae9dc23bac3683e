//! What the tests are written in: a namespace with manifests in it, conditions to wait for, requests and their answers, callers that go on
//! calling, what befalls a cluster, and how long it does.

pub mod answer;
pub mod authority;
pub mod besieged;
pub mod endurance;
pub mod fate;
pub mod identity_provider;
pub mod manifest;
pub mod places;
pub mod traffic;
pub mod trust;
pub mod world;
