//! What expressions may name. One table: checking, evaluating and the reference read it.

use crate::typing::Type;

/// Something with fields. There is one of each in a request, so that its name says which is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// `request`
    Request,
    /// `client`
    Client,
    /// `auth`
    Auth,
    /// `auth.jwt`
    Token,
    /// `auth.introspection`
    Introspection,
    /// `auth.subscription`
    Subscription,
    /// `auth.certificate`
    Certificate,
    /// `auth.basic`
    Basic,
    /// `route`
    Route,
}

/// The objects that stand at the beginning of a name.
pub const ROOTS: [(&str, Object); 4] =
    [("request", Object::Request), ("client", Object::Client), ("auth", Object::Auth), ("route", Object::Route)];

impl Object {
    /// Its name in an expression.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Client => "client",
            Self::Auth => "auth",
            Self::Token => "auth.jwt",
            Self::Introspection => "auth.introspection",
            Self::Subscription => "auth.subscription",
            Self::Certificate => "auth.certificate",
            Self::Basic => "auth.basic",
            Self::Route => "route",
        }
    }

    /// Whether it tells who calls.
    pub fn is_of_caller(self) -> bool {
        match self {
            Self::Auth | Self::Token | Self::Introspection | Self::Subscription | Self::Certificate | Self::Basic => {
                true
            }
            Self::Request | Self::Client | Self::Route => false,
        }
    }

    /// Its field of this name.
    pub fn field(self, name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.declaration().object == self && field.declaration().name == name)
    }

    /// The names of its fields.
    pub fn fields(self) -> impl Iterator<Item = &'static str> {
        Field::ALL.into_iter().map(Field::declaration).filter(move |one| one.object == self).map(|one| one.name)
    }
}

/// What is said of a field.
pub struct Declaration {
    /// Whose field it is.
    pub object: Object,
    /// Its name after the dot.
    pub name: &'static str,
    /// What it holds.
    pub of: Type,
    /// Whether every request has it: others are asked for with `has` or `.?`.
    pub is_always: bool,
    /// For people.
    pub text: &'static str,
}

macro_rules! fields {
    ($($field:ident: $object:ident . $name:literal, $of:expr, $always:ident, $text:literal;)*) => {
        /// A field of an object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field {
            $(#[doc = $text] $field,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$field),*];

            /// What is said of it.
            pub fn declaration(self) -> Declaration {
                match self {
                    $(Self::$field => Declaration {
                        object: Object::$object,
                        name: $name,
                        of: $of,
                        is_always: fields!(@ $always),
                        text: $text,
                    },)*
                }
            }
        }
    };
    (@ always) => { true };
    (@ sometimes) => { false };
}

fields! {
    RequestMethod: Request."method", Type::Text, always,
        "The method, e.g. `GET`.";
    RequestPath: Request."path", Type::Text, always,
        "The path without the query, decoded, before the route rewrites it. Where it has parameters (`/a;b=1/c`), the rules of a policy that ask for it \
         have to hold for the path without them as well, as some services read it.";
    RequestHost: Request."host", Type::Text, always,
        "The host in lower case, without the port.";
    RequestTime: Request."time", Type::Timestamp, always,
        "When the request came.";
    RequestHeaders: Request."headers", Type::table(Type::list(Type::Text)), always,
        "The headers that may reach the service, by their names in lower case, with dashes for underscores; each line a value. Not among them: `host`, \
         headers of one connection but `upgrade`, those in which the policy reads credentials, those that reach no service, and those in which proxies tell \
         of the client, unless the caller is a trusted proxy. To ask for one that is no UTF-8 is a fault.";
    RequestQuery: Request."query", Type::table(Type::list(Type::Text)), always,
        "The query parameters by their names, decoded, without those in which the policy reads credentials. To ask for one that is no UTF-8 is a fault.";
    ClientAddress: Client."address", Type::Text, sometimes,
        "The client's address; absent where it cannot be read.";
    AuthAlternative: Auth."alternative", Type::Text, always,
        "The name of the alternative that held.";
    AuthIdentity: Auth."identity", Type::Text, sometimes,
        "Who calls: unique across issuers and kinds. Absent where the alternative asks for nothing.";
    AuthJwt: Auth."jwt", Type::Object(Object::Token), sometimes,
        "The token, where the alternative asks for one.";
    AuthSubscription: Auth."subscription", Type::Object(Object::Subscription), sometimes,
        "The subscription, where the alternative asks for its key.";
    AuthCertificate: Auth."certificate", Type::Object(Object::Certificate), sometimes,
        "The caller's certificate, where the alternative asks for one.";
    TokenIssuer: Token."issuer", Type::Text, always,
        "The claim `iss`.";
    TokenSubject: Token."subject", Type::Text, sometimes,
        "The claim `sub`.";
    TokenScopes: Token."scopes", Type::list(Type::Text), always,
        "What `scope` and `scp` say, split at spaces.";
    TokenClaims: Token."claims", Type::table(Type::Dyn), always,
        "All claims by their names, as JSON has them: numbers are of type `double`, whole ones beyond 2^53 `int` or `uint`.";
    TokenHeader: Token."header", Type::table(Type::Dyn), always,
        "The token's header (RFC 7515, 4).";
    SubscriptionId: Subscription."id", Type::Text, always,
        "Namespace and name of the Subscription: `acme/orders`.";
    SubscriptionProduct: Subscription."product", Type::Text, sometimes,
        "Namespace and name of its Product.";
    CertificateSubject: Certificate."subject", Type::Text, always,
        "The subject as RFC 4514 writes it, e.g. `CN=loader,O=Example`.";
    CertificateIssuer: Certificate."issuer", Type::Text, always,
        "The issuer, in the same form.";
    CertificateSerialNumber: Certificate."serialNumber", Type::Text, always,
        "The serial number, hexadecimal in lower case, without leading zeros.";
    CertificateFingerprint: Certificate."sha256Fingerprint", Type::Text, always,
        "SHA-256 of the certificate, hexadecimal in lower case.";
    CertificateNotAfter: Certificate."notAfter", Type::Timestamp, always,
        "When it ends.";
    CertificateUris: Certificate."uris", Type::list(Type::Text), always,
        "Its alternative names that are URIs.";
    CertificateDnsNames: Certificate."dnsNames", Type::list(Type::Text), always,
        "Its alternative names that are DNS names, in lower case.";
    CertificateEmails: Certificate."emails", Type::list(Type::Text), always,
        "Its alternative names that are mail addresses, the domain in lower case.";
    CertificateIps: Certificate."ips", Type::list(Type::Text), always,
        "Its alternative names that are addresses.";
    CertificateRfc9440: Certificate."rfc9440", Type::Text, always,
        "The whole certificate, as the header `Client-Cert` has it (RFC 9440, 2.1).";
    AuthIntrospection: Auth."introspection", Type::Object(Object::Introspection), sometimes,
        "What the issuer says of the token, where the alternative asks it.";
    IntrospectionSubject: Introspection."subject", Type::Text, sometimes,
        "The member `sub`.";
    IntrospectionScopes: Introspection."scopes", Type::list(Type::Text), always,
        "What `scope` and `scp` say, split at spaces.";
    IntrospectionClaims: Introspection."claims", Type::table(Type::Dyn), always,
        "All members by their names (RFC 7662, 2.2), as JSON has them: numbers are of type `double`, whole ones beyond 2^53 `int` or `uint`.";
    AuthBasic: Auth."basic", Type::Object(Object::Basic), sometimes,
        "The caller's login, where the alternative asks for a user name and a password.";
    BasicUser: Basic."user", Type::Text, always,
        "The user name.";
    RouteKind: Route."kind", Type::Text, always,
        "`HTTPRoute`, `GRPCRoute` or `Ingress`.";
    RouteNamespace: Route."namespace", Type::Text, always,
        "The route's namespace.";
    RouteName: Route."name", Type::Text, always,
        "The route's name.";
    RouteRule: Route."rule", Type::Text, always,
        "The name of the route's rule; of one without a name its place, counted from 0.";
}

impl Field {
    /// The object that it is.
    pub fn object(self) -> Option<Object> {
        match self.declaration().of {
            Type::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Its whole name.
    pub fn path(self) -> String {
        let Declaration { object, name, .. } = self.declaration();
        format!("{}.{name}", object.name())
    }
}
