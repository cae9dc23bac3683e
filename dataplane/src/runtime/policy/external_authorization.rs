//! Who is asked whether a request may pass.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::HeaderName;
use sallyport_expression::typing::Type;
use sallyport_expression::{Budget, Program, check, wire};
use sallyport_snapshot::v1::{self, authorizer_context, external_authorization::Protocol};

use super::Denial;
use crate::rejection::{Origin, Reason, Rejection};

/// One of those who are asked.
pub struct ExternalAuthorization {
    pub origin: Origin,
    /// It knows the caller by what its own object has found, and has the last word on headers.
    pub is_floor: bool,
    /// Set on the request by a yes, and by nobody else.
    pub headers_to_backend: Vec<HeaderName>,
    pub asks: Result<Asked, Denial>,
}

/// What is asked, and of whom.
pub struct Asked {
    /// Name of a Backend.
    pub backend: Arc<str>,
    /// Name of a Credential, where one is shown.
    pub credential: Option<Arc<str>>,
    pub speech: Speech,
    pub timeout: Duration,
    pub headers_to_authorizer: Vec<HeaderName>,
    pub context: Vec<Context>,
    pub headers_to_caller: Vec<HeaderName>,
    /// How large a body may be that is shown; absent: none is.
    pub max_body_bytes: Option<u64>,
    /// Its own words of a no are what the caller reads.
    pub passes_denials: bool,
}

/// How it is spoken to.
pub enum Speech {
    /// By this name.
    Grpc { authority: HeaderValue },
    /// With this in front of the path.
    Http { prefix: Box<str> },
}

/// Something that it is told.
pub struct Context {
    pub name: Box<str>,
    pub value: Told,
}

pub enum Told {
    Fixed(Box<str>),
    /// Gives a text, or an optional one.
    Computed(Program),
}

impl ExternalAuthorization {
    /// All of a policy, of whichever objects they are.
    pub(super) fn all(stated: &[v1::ExternalAuthorization]) -> Result<Vec<Arc<Self>>, String> {
        let told = |one: &v1::ExternalAuthorization| {
            Self::build(one).map(Arc::new).map_err(|why| format!("{} externalAuthorization: {why}", one.object))
        };
        stated.iter().map(told).collect()
    }

    fn build(stated: &v1::ExternalAuthorization) -> Result<Self, String> {
        let object = stated.object.as_str().into();
        Ok(Self {
            origin: Origin { object, section: "externalAuthorization", ..Origin::default() },
            is_floor: stated.is_floor,
            headers_to_backend: names(&stated.headers_to_backend)?,
            asks: match &stated.unavailable {
                Some(deny) => Err(Denial::new(deny)),
                None => Ok(Asked::build(stated)?),
            },
        })
    }

    /// A refusal with what was found.
    pub fn rejection(&self, reason: Reason, found: impl Into<String>) -> Rejection {
        Rejection::decided_by(self.origin.with_message(found), reason)
    }

    /// Nobody can say whether the request may pass.
    pub fn unavailable(&self, found: impl Into<String>) -> Rejection {
        Rejection { retry_after_s: Some(1), ..self.rejection(Reason::ExternalAuthorizationUnavailable, found) }
    }
}

impl Asked {
    fn build(stated: &v1::ExternalAuthorization) -> Result<Self, String> {
        let mut budget = Budget::default();
        let context = stated.context.iter().map(|one| Context::build(one, &mut budget));
        Ok(Self {
            backend: stated.backend.as_str().into(),
            credential: (!stated.credential.is_empty()).then(|| stated.credential.as_str().into()),
            speech: match stated.protocol() {
                Protocol::Grpc => Speech::Grpc {
                    authority: HeaderValue::try_from(&stated.authority).map_err(|_| "authority".to_owned())?,
                },
                Protocol::Http => Speech::Http { prefix: stated.path_prefix.as_str().into() },
                Protocol::Unspecified => return Err("protocol".to_owned()),
            },
            timeout: Duration::from_millis(stated.timeout_ms.into()),
            headers_to_authorizer: names(&stated.headers_to_authorizer)?,
            context: context.collect::<Result<_, _>>()?,
            headers_to_caller: names(&stated.headers_to_caller)?,
            max_body_bytes: stated.max_body_bytes.map(u64::from),
            passes_denials: stated.passes_denials,
        })
    }
}

impl Context {
    fn build(stated: &v1::AuthorizerContext, budget: &mut Budget) -> Result<Self, String> {
        let told = |why: &dyn std::fmt::Display| format!("context[{}]: {why}", stated.name);
        let value = match stated.value.as_ref().ok_or_else(|| told(&"it has no value"))? {
            authorizer_context::Value::Fixed(value) => Told::Fixed(value.as_str().into()),
            authorizer_context::Value::Expression(stated) => {
                let tree = wire::from_wire(stated).map_err(|why| told(&why))?;
                let wanted = [Type::Text, Type::optional(Type::Text)];
                Told::Computed(check(&tree, &wanted, budget).map_err(|why| told(&why))?)
            }
        };
        Ok(Self { name: stated.name.as_str().into(), value })
    }
}

fn names(stated: &[String]) -> Result<Vec<HeaderName>, String> {
    let read = |name: &String| HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"));
    stated.iter().map(read).collect()
}
