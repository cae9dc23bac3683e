//! Sallyport: manifests, as many as a case asks for.

use std::fs;
use std::path::Path;

use super::{ADMIN, Checks};
use crate::token::Signer;

/// Objects in one file, so that no file is larger than what is taken.
const BATCH: usize = 10_000;

pub(super) fn command(program: &Path, folder: &Path) -> Vec<String> {
    let manifests = folder.join("manifests").display().to_string();
    let admin = format!("127.0.0.1:{ADMIN}");
    [&program.display().to_string(), "run", "-f", &manifests, "--workers", "1", "--admin", &admin]
        .map(str::to_owned)
        .to_vec()
}

/// Writes the manifests, in place of those of the case before.
pub(super) fn write_manifests(folder: &Path, checks: Checks, signer: Option<&Signer>) -> anyhow::Result<()> {
    let manifests = folder.join("manifests");
    let _absent = fs::remove_dir_all(&manifests);
    fs::create_dir(&manifests)?;
    let (routes, keys) = sizes(checks);
    let text =
        include_str!("../../config/sallyport.yaml").replace("${AUTHENTICATION}", &authentication(checks, signer));
    super::write(&manifests, "main.yaml", &text)?;
    write_batches(&manifests, "routes", routes, route)?;
    write_batches(&manifests, "keys", keys, subscription)
}

/// Routes besides the one that is asked for, and subscriptions.
fn sizes(checks: Checks) -> (usize, usize) {
    match checks {
        Checks::None | Checks::Token(_) => (0, 0),
        Checks::Routes { among } => (among, 0),
        Checks::Key { among } => (0, among),
        Checks::Scale { routes, keys } => (routes, keys),
    }
}

fn authentication(checks: Checks, signer: Option<&Signer>) -> String {
    match checks {
        Checks::None | Checks::Routes { .. } => "{name: open, public: {}}".to_owned(),
        Checks::Key { .. } | Checks::Scale { .. } => "{name: customers, subscriptionKey: {}}".to_owned(),
        Checks::Token(algorithm) => {
            let key_set = signer.map(Signer::key_set).unwrap_or_default();
            format!(
                "{{name: staff, jwt: {{issuer: \"https://issuer.example.com\", audiences: [orders-api], algorithms: [{algorithm}], keys: {{inline: '{key_set}'}}}}}}"
            )
        }
    }
}

fn write_batches(folder: &Path, name: &str, count: usize, object: fn(usize) -> String) -> anyhow::Result<()> {
    for from in (0..count).step_by(BATCH) {
        let text: String = (from..count.min(from + BATCH)).map(object).collect();
        super::write(folder, &format!("{name}-{from}.yaml"), &text)?;
    }
    Ok(())
}

fn route(number: usize) -> String {
    format!(
        "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r{number}, namespace: shop}}, spec: {{parentRefs: [{{name: public}}], rules: [{{matches: [{{path: {{type: PathPrefix, value: /apis/{number}}}}}], backendRefs: [{{group: sallyport.dev, kind: Backend, name: service}}]}}]}}}}\n"
    )
}

fn subscription(number: usize) -> String {
    format!(
        "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: Subscription, metadata: {{name: s{number}, namespace: shop}}, spec: {{scope: {{apis: [{{kind: HTTPRoute, name: all}}]}}, keys: {{secretName: s{number}}}}}}}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: s{number}, namespace: shop}}, stringData: {{primary: sp_{number:032}}}}}\n"
    )
}
