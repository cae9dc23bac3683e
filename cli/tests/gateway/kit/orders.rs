//! The API that most tests of issuers guard: `/orders`, behind tokens for the audience `orders-api`.

use std::time::Duration;

use super::caller::{Answer, get, send};
use super::gateway::Gateway;
use super::manifest::{GATEWAY, backend, policy, route};
use super::service::Service;

pub struct Orders {
    pub gateway: Gateway,
    pub service: Service,
}

impl Orders {
    /// Behind tokens of `issuer`; `more` is the rest of `jwt`, as a flow mapping goes on.
    pub async fn behind(issuer: &str, more: &str) -> Self {
        let service = Service::start().await;
        let mut orders = Self { gateway: Gateway::start(GATEWAY).await, service };
        orders.require(issuer, more);
        orders
    }

    /// Changes what is required.
    pub fn require(&mut self, issuer: &str, more: &str) {
        self.add("orders", issuer, more);
    }

    /// Guards `/NAME` in the same way, with an issuer of its own.
    pub fn add(&mut self, name: &str, issuer: &str, more: &str) {
        let spec =
            format!("authentication: [{{name: staff, jwt: {{issuer: '{issuer}', audiences: [orders-api]{more}}}}}]");
        let manifests = [route(name, name), backend(name, self.service.address, ""), policy(name, &spec)].concat();
        self.gateway.write(&format!("{name}.yaml"), &manifests);
    }

    pub async fn answer(&self, path: &str, token: &str) -> Answer {
        send(self.gateway.http(), get(path, &[("authorization", &format!("Bearer {token}"))])).await
    }

    pub async fn verdict(&self, token: &str) -> String {
        self.answer("/orders", token).await.verdict()
    }

    /// Asks until the answer is `last`; each before it has to be `meanwhile`. How long it took is bounded by the pauses that
    /// the gateway makes between two attempts to reach an issuer.
    pub async fn heals(&self, token: &str, meanwhile: &str, last: &str) {
        const PAUSE: Duration = Duration::from_millis(20);
        for _ in 0..400 {
            let verdict = self.verdict(token).await;
            if verdict == last {
                return;
            }
            assert_eq!(verdict, meanwhile, "on the way to {last}");
            tokio::time::sleep(PAUSE).await;
        }
        panic!("it is {meanwhile} still");
    }

    /// Waits until the issuer's keys are there.
    pub async fn served(&self, token: &str) {
        self.heals(token, "503 issuer-unreached", "200").await;
    }

    /// The whole part of the one metric whose name and labels hold `part`.
    pub async fn metric(&self, part: &str) -> i64 {
        let text = self.gateway.metrics().await;
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(part));
        let line = lines.next().unwrap_or_else(|| panic!("no {part}: {text}"));
        assert_eq!(lines.next(), None, "{part} is in two");
        line.rsplit(' ').next().and_then(|value| value.split('.').next()).unwrap().parse().unwrap()
    }
}
