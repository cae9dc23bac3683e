//! A life of one Gateway, with all that is written in it, in order, and nothing else.

use serde_json::json;

use crate::api::{Api, Place};
use crate::kit::controller::Controller;
use crate::kit::manifest::{
    BACKEND, CLASS, ENDPOINTS, GATEWAY, LOGIN, NAMESPACE, OTHER_CLASS, POLICY, ROUTE, SUBSCRIPTION,
};
use crate::kit::plane::Plane;
use crate::kit::{Story, gateway, ours, route, within};

/// A controller that leads, and a data plane of `shop/public` that has acknowledged what there is.
struct Life {
    api: Api,
    controller: Controller,
    plane: Plane,
    story: Story,
}

impl Life {
    async fn chapter(&mut self, title: &str) {
        self.story.chapter(title, &self.api).await;
    }

    /// One more object, and what is written before a data plane has acknowledged what follows from it, and after.
    async fn put(&mut self, manifest: &str, title: &str) {
        self.api.put(manifest);
        self.acknowledged(title).await;
    }

    async fn acknowledged(&mut self, title: &str) {
        let update = self.plane.update().await;
        self.chapter(title).await;
        self.plane.acknowledge(&update);
        self.chapter(&format!("{title}, and a data plane has it in force")).await;
    }
}

async fn begin() -> Life {
    let (api, mut story) = (Api::start().await, Story::open("life"));
    api.put(NAMESPACE);
    let controller = Controller::start(&api, "controller-1");
    controller.ready().await;
    story.chapter("a controller starts where nothing is", &api).await;
    api.put(CLASS);
    story.chapter("a GatewayClass appears", &api).await;
    api.put(OTHER_CLASS);
    story.chapter("a GatewayClass of another controller appears", &api).await;
    api.put(GATEWAY);
    story.chapter("a Gateway appears", &api).await;
    let service = Place::new("api/v1/services", "shop/public-sallyport");
    api.edit(&service, |service| {
        service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }] } })
    });
    story.chapter("its Service gets an address", &api).await;
    let mut plane = Plane::connect(&api, &controller, "shop/public", "pod-1").await;
    let update = plane.update().await;
    plane.acknowledge(&update);
    // Told apart: what is heard of it and what is seen of it may come in either order.
    story.chapter("a data plane has it in force", &api).await;
    api.put(ENDPOINTS);
    story.chapter("the data plane is ready", &api).await;
    Life { api, controller, plane, story }
}

/// All that is needed for a request to go through.
async fn grow(life: &mut Life) {
    life.api.put(BACKEND);
    life.chapter("a Backend appears, whose Secret is missing").await;
    life.api.put(LOGIN);
    life.chapter("the Secret appears").await;
    life.put(ROUTE, "a route appears").await;
    life.put(POLICY, "a policy appears").await;
    life.put(SUBSCRIPTION, "a Subscription appears").await;
}

async fn change(life: &mut Life) {
    life.api.edit(&ours("apipolicies", "shop/orders"), |policy| {
        policy["spec"]["authentication"] = json!([{ "name": "anybody", "public": {} }]);
    });
    life.acknowledged("the policy changes").await;
    life.api.edit(&Place::new("api/v1/secrets", "shop/login"), |secret| {
        secret["data"]["password"] = "YW5vdGhlcg==".into();
    });
    life.acknowledged("the Secret changes").await;
    life.api.edit(&gateway("shop/public"), |gateway| gateway["metadata"]["annotations"] = json!({ "a": "b" }));
    life.api.edit(&route("shop/orders"), |route| route["metadata"]["labels"] = json!({ "a": "b" }));
    life.chapter("something changes that means nothing").await;
    life.api.edit(&route("shop/orders"), |route| route["spec"]["parentRefs"][0]["sectionName"] = "https".into());
    life.acknowledged("a route names a listener that is not there").await;
    life.api.edit(&route("shop/orders"), |route| route["spec"]["parentRefs"][0]["sectionName"] = "http".into());
    life.acknowledged("the route is corrected").await;
}

async fn others(life: &mut Life) {
    let deployment = Place::new("apis/apps/v1/deployments", "shop/public-sallyport");
    life.api.edit(&deployment, |deployment| {
        deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] = true.into();
        deployment["metadata"]["managedFields"] = json!([{ "manager": "kubectl", "operation": "Update" }]);
    });
    life.chapter("somebody changes the Deployment").await;
    life.api.edit(&deployment, |deployment| deployment["status"] = json!({ "readyReplicas": 1 }));
    life.chapter("the Deployment gets a status").await;
    life.api.delete(&Place::new("api/v1/services", "shop/public-sallyport"));
    life.chapter("somebody deletes the Service").await;
    let service = Place::new("api/v1/services", "shop/public-sallyport");
    life.api.edit(&service, |service| {
        service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }] } })
    });
    life.chapter("the Service has its address again").await;
}

/// One that starts anew finds everything said already; so does one that does not lead, whatever happens.
async fn restart(mut life: Life) -> Life {
    let second = Controller::start(&life.api, "controller-2");
    second.ready().await;
    life.chapter("a second controller starts").await;
    second.stop().await;
    life.chapter("the second controller ends").await;
    let Life { api, controller, plane, mut story } = life;
    let port = controller.stream_port;
    controller.stop().await;
    story.chapter("the controller ends", &api).await;
    drop(plane);
    let controller = Controller::start_at(&api, "controller-3", port);
    controller.ready().await;
    let mut plane = Plane::connect(&api, &controller, "shop/public", "pod-1").await;
    let update = plane.update().await;
    plane.acknowledge(&update);
    story.chapter("the controller starts anew, and a data plane comes back with nothing", &api).await;
    Life { api, controller, plane, story }
}

async fn end(life: &mut Life) {
    life.api.delete(&ours("apipolicies", "shop/orders"));
    life.acknowledged("the policy is deleted").await;
    life.put(POLICY, "the policy is there again").await;
    life.api.edit(&gateway("shop/public"), |gateway| gateway["spec"]["gatewayClassName"] = "other".into());
    life.acknowledged("the Gateway changes to the class of another controller").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_expected_and_there_are_no_others() {
    let mut life = begin().await;
    grow(&mut life).await;
    change(&mut life).await;
    others(&mut life).await;
    let mut life = restart(life).await;
    end(&mut life).await;
    let Life { api, controller, mut plane, mut story } = life;
    api.edit(&gateway("shop/public"), |gateway| gateway["spec"]["gatewayClassName"] = "sallyport".into());
    let update = within("an update", plane.update()).await;
    plane.acknowledge(&update);
    story.chapter("the Gateway comes back", &api).await;
    api.delete(&gateway("shop/public"));
    story.chapter("the Gateway is deleted", &api).await;
    api.delete(&ours("backends", "shop/orders"));
    api.delete(&route("shop/orders"));
    story.chapter("what is left of it is deleted", &api).await;
    controller.stop().await;
    story.chapter("the controller ends for good", &api).await;
    story.end();
}
