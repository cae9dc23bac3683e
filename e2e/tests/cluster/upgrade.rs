//! Another release of chart and images, under load: `e2e/chart/run` has installed the first chart.

use std::path::Path;

use crate::kit::fate::{CONTROLLER, helm, kubectl, rolled_out};
use crate::kit::world::World;
use crate::lossless::{DATA_PLANE, nobody_notices};

const IMAGES: [&str; 2] = ["controller", "dataplane"];

/// Waits until the data planes run this image.
async fn runs(world: &World, image: &str) {
    let asked = format!("jsonpath={{.spec.template.spec.containers[0].image}}={image}");
    let deployment = format!("deployment/{DATA_PLANE}");
    kubectl(&["wait", "-n", &world.namespace, &deployment, &format!("--for={asked}"), "--timeout=60s"]).await;
    rolled_out(&world.namespace, DATA_PLANE).await;
    world.replicas("public", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_upgraded_and_rolled_back() {
    nobody_notices("upgrade", async |world| {
        runs(world, "localhost/sallyport-dataplane:dev").await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let place = |path: &str| root.join(path).display().to_string();
        let (chart, values) = (place("charts/sallyport"), place("e2e/images.yaml"));
        let images = IMAGES.map(|program| format!("image.{program}=localhost/sallyport-{program}:next")).join(",");
        helm(&["upgrade", "sallyport", &chart, "--values", &values, "--set", &images, "--wait"]).await;
        runs(world, "localhost/sallyport-dataplane:next").await;
        helm(&["rollback", "sallyport", "1", "--wait"]).await;
        runs(world, "localhost/sallyport-dataplane:dev").await;
        rolled_out(CONTROLLER.0, CONTROLLER.1).await;
    })
    .await;
}
