//! A new key by hand: an annotation asks for it, and the status says that it was made.

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use sallyport_api::rotation::{KeyName, ROTATE_ANNOTATION, RotationRequest};
use sallyport_controller::cluster::{ObjectKind, ObjectName};
use sallyport_dataplane::clock::Clock;
use serde_json::{Value, json};

use super::row::{Origin, Row};
use super::{Rotate, subscription};
use crate::cluster::connect::{Cluster, MANAGER, printable};
use crate::cluster::object::{condition, qualified, text};
use crate::cluster::wait::{Look, until};
use crate::exit::Outcome;
use crate::print;

/// The controller writes the status of the same object: so often somebody else may have been faster.
const ATTEMPTS: usize = 5;

pub(super) async fn rotate(arguments: Rotate) -> anyhow::Result<Outcome> {
    let cluster = arguments.access.connect().await?;
    let (name, key) = (qualified(&arguments.subscription, &cluster.namespace), arguments.key.name());
    let request = ask(&cluster, &name, key).await?;
    if !arguments.wait {
        print::line(&format!("{key} of Subscription {name} is made anew; `--wait` would have waited for it"));
        return Ok(Outcome::Fine);
    }
    let look = async || Ok(look(&subscription(&cluster, &name).await?, &request));
    match until(arguments.timeout, look).await? {
        Ok(Err(why)) => {
            print::line(&printable(&format!("{key} of Subscription {name} was made anew, and is not in force: {why}")));
            Ok(Outcome::Findings)
        }
        Ok(Ok(made)) => {
            print::line(&format!("{key} of Subscription {name} was made anew at {made}, and is in force"));
            Ok(Outcome::Fine)
        }
        Err(awaited) => {
            print::aside(&format!("the time is over, and still awaited: {awaited}"));
            Ok(Outcome::Findings)
        }
    }
}

/// Writes the request to the Subscription as it was judged, and to no later form of it.
async fn ask(cluster: &Cluster, name: &ObjectName, key: KeyName) -> anyhow::Result<RotationRequest> {
    for _ in 0..ATTEMPTS {
        let found = subscription(cluster, name).await?;
        let request = request(&found, key, Clock::default().now().0)?;
        let api = cluster.api(ObjectKind::Subscription, Some(&name.namespace));
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&name.name, &parameters, &Patch::Merge(patch(&found, &request))).await {
            Ok(_) => return Ok(request),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(cluster.explained(&error, &format!("Subscription {name}"))),
        }
    }
    Err(anyhow!("Subscription {name} changes all the time; try again"))
}

/// The request, if it can be carried out.
pub(super) fn request(subscription: &Value, key: KeyName, now_ms: i64) -> anyhow::Result<RotationRequest> {
    let row = Row::of(subscription);
    match row.origin {
        Origin::Controller => {}
        Origin::Digests => {
            bail!("{row} states digests of keys that are kept elsewhere; make a new key there, and state its digest")
        }
        Origin::Secret => bail!(
            "the keys of {row} were not made by the controller, and their Secret is never written; change them there"
        ),
        Origin::Awaited => bail!("the keys of {row} are not made yet; `sallyport status` says what is awaited"),
    }
    if ["Rejected", "Cancelled", "Expired"].contains(&&*row.phase) {
        bail!("{row} is {}: no key is made for it; `sallyport status` says why", row.phase);
    }
    if let Some(requested) = &row.requested {
        bail!("{row} waits for another new key already ({requested:?}); ask again once that is made");
    }
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    Ok(format!("{key} {now:.3}").parse()?)
}

fn patch(subscription: &Value, request: &RotationRequest) -> Value {
    let metadata = &subscription["metadata"];
    let annotations = json!({ ROTATE_ANNOTATION: request.text });
    let (uid, version) = (&metadata["uid"], &metadata["resourceVersion"]);
    json!({ "metadata": { "uid": uid, "resourceVersion": version, "annotations": annotations } })
}

/// When the key was made, once data planes know it as well; or why waiting does not bring it into force.
pub(super) fn look(subscription: &Value, request: &RotationRequest) -> Look<Result<String, String>> {
    let row = Row::of(subscription);
    if row.rotated.as_ref() != Some(&request.text) {
        return Look::Awaits(format!("the controller makes {} of {row} anew", request.key));
    }
    match condition(subscription, "Programmed") {
        Some(programmed) if programmed["status"] == "True" => {
            let made = if request.key == KeyName::Primary { row.primary_made } else { row.secondary_made };
            Look::Done(Ok(made.unwrap_or_default()))
        }
        Some(pending) if pending["reason"] == "Pending" => {
            Look::Awaits(format!("data planes take up the new key: {}", text(pending, "/message")))
        }
        Some(other) => Look::Done(Err(text(other, "/message").to_owned())),
        None => Look::Awaits("the controller says whether data planes have the new key".to_owned()),
    }
}
