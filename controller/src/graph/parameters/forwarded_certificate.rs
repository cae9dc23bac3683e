//! Certificates of callers that trusted proxies tell of.

use sallyport_api::{ClientCertificateFormat, ClientCertificateHeader};
use sallyport_snapshot::v1::{self, forwarded_certificate::Format};

use crate::problem::denial_by_older;

/// The edition of the contract that brought them.
const SINCE: u32 = 9;

/// As data planes read it.
pub(super) fn message(stated: &ClientCertificateHeader) -> v1::ForwardedCertificate {
    let (usual, format) = match stated.format {
        ClientCertificateFormat::Rfc9440 => ("client-cert", Format::Rfc9440),
        ClientCertificateFormat::Xfcc => ("x-forwarded-client-cert", Format::Xfcc),
        ClientCertificateFormat::EscapedPem => ("", Format::EscapedPem),
        ClientCertificateFormat::Base64Der => ("", Format::Base64Der),
    };
    let header = stated.name.as_deref().unwrap_or(usual).to_ascii_lowercase();
    v1::ForwardedCertificate { header, format: format.into() }
}

/// What keeps data planes that do not know of the header from taking a proxy's own certificate for a caller's.
pub fn for_older(object: &str, message: &v1::Gateway) -> Option<v1::IpFilter> {
    message.client_certificate_header.as_ref()?;
    let unavailable = Some(denial_by_older(object, "spec.trustedProxies.clientCertificateHeader", SINCE));
    Some(v1::IpFilter { object: object.to_owned(), unavailable, ..v1::IpFilter::default() })
}
