//! Who is behind a token, as the API server knows it (TokenReview).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;

use crate::brain::Identity;
use crate::clock::Clock;
use crate::cluster::ObjectName;
use crate::fleet::Pod;
use crate::infra::AUDIENCE;
use crate::stream::gatekeeper::{Admission, Bearer, Caller, Gatekeeper, Refusal};

/// What the API server knows of the pod that a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// Asks the API server about each token. Nothing is kept: who was a data plane a moment ago may be none any more.
pub struct TokenReviews {
    pub client: Client,
    /// Which ServiceAccounts are data planes of which Gateway; none before the first lists are whole.
    pub identities: watch::Receiver<BTreeMap<Identity, ObjectName>>,
    /// The ServiceAccount of the controller itself.
    pub own: Identity,
}

impl Gatekeeper for TokenReviews {
    fn admit<'a>(&'a self, token: Bearer<'a>) -> BoxFuture<'a, Result<Admission, Refusal>> {
        async move {
            let user = self.review(token.as_str()).await?;
            let caller = caller(&user, &self.own, &self.identities.borrow())?;
            Ok(Admission { caller, valid_for: remaining(token.as_str()) })
        }
        .boxed()
    }
}

impl TokenReviews {
    async fn review(&self, token: &str) -> Result<UserInfo, Refusal> {
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token: token.to_owned() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let answer: TokenReview = answer.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let status = answer.status.unwrap_or_default();
        let is_ours = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        match (status.authenticated, status.user) {
            (Some(true), Some(user)) if is_ours => Ok(user),
            _ => Err(Refusal::Refused("it is none of this cluster for this audience, or has ended".to_owned())),
        }
    }
}

fn caller(user: &UserInfo, own: &Identity, identities: &BTreeMap<Identity, ObjectName>) -> Result<Caller, Refusal> {
    let name = user.username.as_deref().unwrap_or_default();
    let refused = |why: &str| Refusal::Refused(format!("{name} {why}"));
    let account = name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    let (namespace, account) = account.ok_or_else(|| refused("is no ServiceAccount"))?;
    let pod = user.extra.as_ref().and_then(|extra| extra.get(POD_NAME)?.first());
    let pod = pod.cloned().ok_or_else(|| refused("shows a token that is bound to no pod"))?;
    let identity = (namespace.to_owned(), account.to_owned());
    if identity == *own {
        return Ok(Caller::Controller { pod });
    }
    match identities.get(&identity) {
        Some(gateway) => Ok(Caller::DataPlane(Pod { gateway: gateway.clone(), name: pod })),
        None if identities.is_empty() => Err(Refusal::Unavailable("no Gateway is known yet".to_owned())),
        None => Err(refused("is the data plane of no Gateway")),
    }
}

/// How long a token is valid still, by what it says of itself; the API server has verified it.
fn remaining(token: &str) -> Option<Duration> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let ends_s = serde_json::from_slice::<Value>(&payload).ok()?["exp"].as_u64()?;
    let now_s = u64::try_from(Clock.now_s()).ok()?;
    Some(Duration::from_secs(ends_s.saturating_sub(now_s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, pod: Option<&str>) -> UserInfo {
        let extra = pod.map(|pod| BTreeMap::from([(POD_NAME.to_owned(), vec![pod.to_owned()])]));
        UserInfo { username: Some(name.to_owned()), extra, ..UserInfo::default() }
    }

    fn identity(namespace: &str, name: &str) -> Identity {
        (namespace.to_owned(), name.to_owned())
    }

    fn admitted(user: &UserInfo) -> Result<Caller, Refusal> {
        let gateway = ObjectName::new("shop", "public");
        let identities = BTreeMap::from([(identity("shop", "public-sallyport"), gateway)]);
        caller(user, &identity("sallyport-system", "sallyport"), &identities)
    }

    #[test]
    fn a_service_account_of_a_gateway_is_its_data_plane() {
        let found = admitted(&user("system:serviceaccount:shop:public-sallyport", Some("p-1"))).unwrap();
        assert_eq!(found, Caller::DataPlane(Pod { gateway: ObjectName::new("shop", "public"), name: "p-1".into() }));
        let found = admitted(&user("system:serviceaccount:sallyport-system:sallyport", Some("c-1"))).unwrap();
        assert_eq!(found, Caller::Controller { pod: "c-1".into() });
    }

    #[test]
    fn nobody_else_is_let_in() {
        for (name, pod) in [
            ("system:serviceaccount:shop:public-sallyport", None),
            ("system:serviceaccount:other:public-sallyport", Some("p-1")),
            ("system:serviceaccount:shop:default", Some("p-1")),
            ("system:serviceaccount:shop", Some("p-1")),
            ("system:serviceaccount:shop:public-sallyport:x", Some("p-1")),
            ("shop:public-sallyport", Some("p-1")),
            ("kubernetes-admin", Some("p-1")),
            ("", Some("p-1")),
        ] {
            assert!(matches!(admitted(&user(name, pod)), Err(Refusal::Refused(_))), "{name}");
        }
    }

    #[test]
    fn before_any_gateway_is_known_nobody_is_turned_away_for_good() {
        let of_shop = user("system:serviceaccount:shop:public-sallyport", Some("p-1"));
        let found = caller(&of_shop, &identity("a", "b"), &BTreeMap::new());
        assert!(matches!(found, Err(Refusal::Unavailable(_))));
    }

    #[test]
    fn a_token_says_how_long_it_lasts() {
        let token = |payload: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(remaining(&token(r#"{"exp": 1}"#)), Some(Duration::ZERO));
        assert!(remaining(&token(r#"{"exp": 99999999999}"#)).unwrap() > Duration::from_secs(1_000_000));
        for token in ["", "a", "a.b", &token("[]"), &token(r#"{"exp": "x"}"#)] {
            assert_eq!(remaining(token), None, "{token}");
        }
    }
}
