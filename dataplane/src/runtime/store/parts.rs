//! What Backends are built of besides themselves.

use sallyport_snapshot::v1::{self, Kind, resource::Body};
use sallyport_snapshot::{Name, Snapshot};

use crate::upstream::target::Parts;

impl Parts for Snapshot {
    fn endpoints(&self, name: &str) -> Option<&v1::Endpoints> {
        match self.find(&Name::new(Kind::Endpoints, name))?.body().as_ref() {
            Body::Endpoints(endpoints) => Some(endpoints),
            _ => None,
        }
    }

    fn certificate(&self, name: &str) -> Option<&v1::Certificate> {
        match self.find(&Name::new(Kind::Certificate, name))?.body().as_ref() {
            Body::Certificate(certificate) => Some(certificate),
            _ => None,
        }
    }
}
