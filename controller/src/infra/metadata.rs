//! Names, labels and owner: what all objects of a Gateway have in common.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use sallyport_api::infrastructure::{Annotations, Labels};

use super::{Owner, Site, name};
use crate::graph::gateway::GatewayNode;
use crate::graph::infrastructure::{APP_INSTANCE, APP_MANAGED_BY, APP_NAME, GATEWAY_NAME, Infrastructure};

/// Everything that the objects of one Gateway are made of.
pub(super) struct Making<'a> {
    pub(super) site: &'a Site,
    pub(super) owner: Owner<'a>,
    pub(super) gateway: &'a GatewayNode,
    pub(super) infrastructure: &'a Infrastructure,
    /// Of all objects.
    pub(super) name: String,
}

impl Making<'_> {
    /// Of an object about which parameters say nothing.
    pub(super) fn metadata(&self) -> ObjectMeta {
        self.metadata_with(None, None)
    }

    /// Name, owner, and what [`Self::carried`] says.
    pub(super) fn metadata_with(&self, labels: Option<&Labels>, annotations: Option<&Annotations>) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.owner.name.namespace.clone()),
            owner_references: Some(vec![self.owner_reference()]),
            ..self.carried(labels, annotations)
        }
    }

    /// Labels and annotations: those of parameters, then those of the Gateway, untouched, then those by which we find ours again.
    pub(super) fn carried(&self, labels: Option<&Labels>, annotations: Option<&Annotations>) -> ObjectMeta {
        let mut all = BTreeMap::from([part("part-of", "sallyport"), part("component", "data-plane")]);
        all.extend(labels.map(|labels| labels.0.clone()).unwrap_or_default());
        all.extend(self.infrastructure.labels.clone());
        all.extend(self.identity());
        all.insert(APP_MANAGED_BY.to_owned(), super::MANAGER.to_owned());
        let mut notes = annotations.map(|annotations| annotations.0.clone()).unwrap_or_default();
        notes.extend(self.infrastructure.annotations.clone());
        let annotations = (!notes.is_empty()).then_some(notes);
        ObjectMeta { labels: Some(all), annotations, ..ObjectMeta::default() }
    }

    /// The Gateway's pods. It never changes under one name: Kubernetes would refuse that.
    pub(super) fn selector(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.identity()), ..LabelSelector::default() }
    }

    /// By what the Gateway's pods are told from all others.
    pub(super) fn identity(&self) -> BTreeMap<String, String> {
        let labels = [
            (GATEWAY_NAME, name::as_label(&self.owner.name.name)),
            (APP_NAME, "sallyport-dataplane".to_owned()),
            (APP_INSTANCE, self.name.clone()),
        ];
        labels.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// Kubernetes refuses a second controlling owner: two Gateways that come to one name do not share what is behind it.
    fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: "gateway.networking.k8s.io/v1".to_owned(),
            kind: "Gateway".to_owned(),
            name: self.owner.name.name.clone(),
            uid: self.owner.uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

fn part(name: &str, value: &str) -> (String, String) {
    (format!("app.kubernetes.io/{name}"), value.to_owned())
}
