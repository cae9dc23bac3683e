//! Condition types and reasons: every one that a status of this project can hold.

macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl $name {
            /// Every one, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that stands in a status.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// What it means, for the reference page.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+),)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a condition speaks about.
    ConditionType {
        /// The object is valid, and this controller takes part in it.
        Accepted = "Accepted",
        /// Everything that the object refers to is there, and may be used.
        ResolvedRefs = "ResolvedRefs",
        /// Every ready data plane has acknowledged what the object says at this generation.
        Programmed = "Programmed",
        /// Another policy on the same target won a section.
        Conflicted = "Conflicted",
        /// The credential that a service is shown can be had.
        CredentialReady = "CredentialReady",
        /// The keys of the issuers that the policy names can be had, and are fresh; absent until a data plane has looked.
        IssuerHealthy = "IssuerHealthy",
        /// Sums up: the object does its work.
        Ready = "Ready",
        /// The object's last change is on its way.
        Reconciling = "Reconciling",
        /// The object cannot work before somebody corrects it.
        Stalled = "Stalled",
        /// Policies take effect on the object; the message names them.
        ApiPolicyAffected = "sallyport.dev/ApiPolicyAffected",
        /// No policy says who may call the route; absent where one does.
        Unprotected = "sallyport.dev/Unprotected",
    }
}

words! {
    /// Why a condition is as it is.
    Reason {
        /// The object is valid.
        Accepted = "Accepted",
        /// All references lead somewhere.
        ResolvedRefs = "ResolvedRefs",
        /// In force at every ready data plane.
        Programmed = "Programmed",
        /// Not yet acknowledged by every ready data plane.
        Pending = "Pending",
        /// A data plane rejected it; the message says why.
        Rejected = "Rejected",
        /// Everything is as it should be.
        Ready = "Ready",
        /// A field is not valid; the message names it and the cure.
        Invalid = "Invalid",
        /// The object cannot be decoded; what it guards is closed.
        Undecodable = "Undecodable",
        /// A target does not exist.
        TargetNotFound = "TargetNotFound",
        /// An older policy on the same target states the same section.
        Conflicted = "Conflicted",
        /// A Secret or ConfigMap does not exist, or lacks the entry.
        SecretNotFound = "SecretNotFound",
        /// A Secret or ConfigMap holds something that cannot be used.
        SecretInvalid = "SecretInvalid",
        /// A reference into another namespace is not granted there.
        RefNotPermitted = "RefNotPermitted",
        /// A reference is of a kind that is not supported.
        InvalidKind = "InvalidKind",
        /// A backend does not exist.
        BackendNotFound = "BackendNotFound",
        /// A value is valid, and not supported by this release.
        UnsupportedValue = "UnsupportedValue",
        /// Addresses of a Gateway cannot be chosen.
        UnsupportedAddress = "UnsupportedAddress",
        /// A protocol is not supported.
        UnsupportedProtocol = "UnsupportedProtocol",
        /// No parent of the route allows it.
        NotAllowedByListeners = "NotAllowedByListeners",
        /// No listener matches the parent reference.
        NoMatchingParent = "NoMatchingParent",
        /// No hostname of the route matches one of the listener.
        NoMatchingListenerHostname = "NoMatchingListenerHostname",
        /// A certificate reference leads nowhere or to something unusable.
        InvalidCertificateRef = "InvalidCertificateRef",
        /// Another listener has the same port and hostname.
        HostnameConflict = "HostnameConflict",
        /// Another listener has the same port and another protocol.
        ProtocolConflict = "ProtocolConflict",
        /// A kind of route is not supported by the listener.
        InvalidRouteKinds = "InvalidRouteKinds",
        /// No listener is in a state to serve.
        ListenersNotValid = "ListenersNotValid",
        /// A parameters reference leads nowhere or to something invalid.
        InvalidParameters = "InvalidParameters",
        /// Another Subscription, older, has the same key.
        DuplicateKey = "DuplicateKey",
        /// The Product takes no subscribers from this namespace.
        NotAllowedByProduct = "NotAllowedByProduct",
        /// The keys of all issuers are fresh.
        IssuerHealthy = "IssuerHealthy",
        /// The last look at the issuer failed; the keys that are held go on.
        IssuerStale = "IssuerStale",
        /// No key of the issuer is held: it has never been reached, or has discredited those it had. Its tokens are answered with 503.
        IssuerUnreached = "IssuerUnreached",
        /// Policies take effect.
        Affected = "Affected",
        /// No policy says who may call: every request is answered with 500, reason `unprotected`.
        Unprotected = "Unprotected",
        /// No policy says who may call, and the class's GatewayParameters let anybody in.
        LeftOpen = "LeftOpen",
        /// There is nothing to say against it.
        NoConflicts = "NoConflicts",
    }
}
