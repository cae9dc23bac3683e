//! What the tests are written in: a namespace with manifests in it, conditions to wait for, requests and their answers.

pub mod answer;
pub mod manifest;
pub mod world;
