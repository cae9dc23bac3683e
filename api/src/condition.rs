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

/// As [`words!`]; each row says as well in which conditions the reason can stand, and what to do about it, if anything.
macro_rules! reasons {
    ($(#[$outer:meta])* $name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident = $text:literal in [$($kind:ident),+] $(, $cure:literal)?;)*
    }) => {
        words! { $(#[$outer])* $name { $($(#[doc = $doc])+ $variant = $text,)* } }

        impl $name {
            /// The conditions whose own reason it can be. `Ready`, `Reconciling` and `Stalled` repeat that of the condition which
            /// decides them.
            pub fn conditions(self) -> &'static [ConditionType] {
                match self {
                    $(Self::$variant => &[$(ConditionType::$kind),+],)*
                }
            }

            /// What to do about it, for the reference page; empty where nothing is wrong.
            pub fn cure(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($cure)?),)*
                }
            }
        }
    };
}

words! {
    /// What a condition speaks about.
    ConditionType {
        /// The object is valid, and this controller takes part in it.
        Accepted = "Accepted",
        /// The owner of the Product takes the Subscription, or need not be asked.
        Approved = "Approved",
        /// Everything that the object refers to is there, and may be used.
        ResolvedRefs = "ResolvedRefs",
        /// Every ready data plane has acknowledged what the object says at this generation.
        Programmed = "Programmed",
        /// Something else of the same kind holds in its stead: an older policy, a listener before it, a stricter word.
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
        /// Every ready data plane has acknowledged the route as it is; one that rejects a part of it answers 500 for that part.
        RouteProgrammed = "sallyport.dev/Programmed",
        /// Some rules of the route are not served, and answer 500, while others are; absent where all or none are.
        PartiallyInvalid = "PartiallyInvalid",
        /// No policy says who may call the route; absent where one does.
        Unprotected = "sallyport.dev/Unprotected",
        /// Certificates of callers that nobody vouches for are taken at some port of the Gateway, and none as well; absent where they are not.
        InsecureFrontendValidationMode = "InsecureFrontendValidationMode",
        /// The store that counts the limits of the Gateway answers; absent where none is stated, and until a data plane has told of it.
        LimitStoreReady = "sallyport.dev/LimitStoreReady",
        /// Some Ingress of the Gateway is not served as it says; absent where all are. An Ingress has no conditions of its own.
        IngressesRefused = "sallyport.dev/IngressesRefused",
    }
}

reasons! {
    /// Why a condition is as it is.
    Reason {
        /// The object is valid.
        Accepted = "Accepted" in [Accepted];
        /// All references lead somewhere.
        ResolvedRefs = "ResolvedRefs" in [ResolvedRefs];
        /// In force at every ready data plane.
        Programmed = "Programmed" in [Programmed, RouteProgrammed];
        /// Not yet acknowledged by every ready data plane.
        Pending = "Pending" in [Programmed, RouteProgrammed],
            "Wait. If it stays, look for a data plane that is not ready or cannot be reached.";
        /// Nothing that is served has a share of it: what it says holds nowhere.
        NotInForce = "NotInForce" in [Programmed, RouteProgrammed],
            "Attach the route to a Gateway that serves it, or let the object name one that is; the other conditions say what is missing.";
        /// A data plane rejected it; the message says why.
        Rejected = "Rejected" in [Programmed, RouteProgrammed],
            "Correct what the message names. Until then the last good form is in force where that protects no less; else the object denies.";
        /// Everything is as it should be.
        Ready = "Ready" in [Ready, CredentialReady, LimitStoreReady, Reconciling, Stalled];
        /// A field is not valid; the message names it and the cure.
        Invalid = "Invalid" in [Accepted, CredentialReady, Programmed],
            "Correct the field that the message names; `sallyport validate` shows its place.";
        /// The object cannot be decoded; what it guards is closed.
        Undecodable = "Undecodable" in [Accepted, Approved],
            "Correct the fields that the message names, or restore the form before; what the object guards stays closed until then.";
        /// A target does not exist.
        TargetNotFound = "TargetNotFound" in [Accepted],
            "Create the object or its section, or correct the name in the reference.";
        /// An older policy on the same target states the same section.
        Conflicted = "Conflicted" in [Conflicted],
            "Take the section out of one of the two policies, or attach them to different targets.";
        /// A Secret or ConfigMap does not exist, or lacks the entry.
        SecretNotFound = "SecretNotFound" in [ResolvedRefs, CredentialReady],
            "Create the object or add the entry, in the namespace that the message names.";
        /// A Secret or ConfigMap holds something that cannot be used.
        SecretInvalid = "SecretInvalid" in [ResolvedRefs, CredentialReady],
            "Store what the message asks for, without a line end at its end.";
        /// A reference into another namespace is not granted there.
        RefNotPermitted = "RefNotPermitted" in [ResolvedRefs],
            "Add a ReferenceGrant in the namespace that is referred to, or keep both objects in one namespace.";
        /// The controller may not read a Secret or ConfigMap; it may be there.
        SecretWithheld = "SecretWithheld" in [ResolvedRefs, CredentialReady],
            "Bind the controller a Role, in the namespace that the message names, that lets it list and watch the kind.";
        /// A reference leads into a namespace that the controller does not watch; nothing is known of what is there.
        NamespaceNotWatched = "NamespaceNotWatched" in [ResolvedRefs],
            "Add the namespace to `watchNamespaces` of the chart, or keep both objects in namespaces that are watched.";
        /// An address or a host that no data plane may call, or that some may not.
        EgressNotAllowed = "EgressNotAllowed" in [ResolvedRefs],
            "Name another place, state `tls`, or have `egress` of the class's GatewayParameters open what the message names.";
        /// A reference is of a kind that is not supported.
        InvalidKind = "InvalidKind" in [ResolvedRefs], "Name an object of a kind that the message lists.";
        /// A backend does not exist.
        BackendNotFound = "BackendNotFound" in [ResolvedRefs],
            "Create the Service or Backend, or correct its name or port.";
        /// A value is valid, and not supported by this release.
        UnsupportedValue = "UnsupportedValue" in [Accepted, PartiallyInvalid],
            "Remove the value, or use what the message offers in its place.";
        /// The Gateway's Service has no address yet.
        AddressNotAssigned = "AddressNotAssigned" in [Programmed],
            "Install a load balancer, or set `service.type` in the Gateway's GatewayParameters.";
        /// Addresses of a Gateway cannot be chosen.
        UnsupportedAddress = "UnsupportedAddress" in [Accepted], "Remove `spec.addresses`.";
        /// A protocol is not supported.
        UnsupportedProtocol = "UnsupportedProtocol" in [Accepted], "Use HTTP or HTTPS.";
        /// No parent of the route allows it.
        NotAllowedByListeners = "NotAllowedByListeners" in [Accepted],
            "Let `allowedRoutes` of the listener take the namespace and kind of the route, or attach the route to another.";
        /// No listener matches the parent reference.
        NoMatchingParent = "NoMatchingParent" in [Accepted],
            "Correct `name`, `sectionName` or `port` of the parent reference, or add the listener.";
        /// No hostname of the route matches one of the listener.
        NoMatchingListenerHostname = "NoMatchingListenerHostname" in [Accepted],
            "Give the route a hostname that the listener takes, or widen that of the listener.";
        /// A certificate reference leads nowhere or to something unusable.
        InvalidCertificateRef = "InvalidCertificateRef" in [ResolvedRefs],
            "Name a Secret of type kubernetes.io/tls whose `tls.key` is the key of its `tls.crt`.";
        /// A reference to authorities of callers leads nowhere or to something unusable.
        InvalidCaCertificateRef = "InvalidCACertificateRef" in [ResolvedRefs],
            "Name a ConfigMap or Secret whose `ca.crt` holds certificates of authorities, in PEM.";
        /// A reference to authorities of callers is of a kind that holds none.
        InvalidCaCertificateKind = "InvalidCACertificateKind" in [ResolvedRefs], "Name a ConfigMap or a Secret.";
        /// Callers are to show certificates, and nobody is there to vouch for any.
        NoValidCaCertificate = "NoValidCACertificate" in [Accepted],
            "Correct `caCertificateRefs` of `tls.frontend`; the condition ResolvedRefs says what is wrong with each.";
        /// A mode of `tls.frontend` is AllowInsecureFallback.
        ConfigurationChanged = "ConfigurationChanged" in [InsecureFrontendValidationMode],
            "State `mode: AllowValidOnly`, or leave `mode` out.";
        /// Another listener has the same port and hostname.
        HostnameConflict = "HostnameConflict" in [Accepted, Conflicted],
            "Give the listener another hostname or another port.";
        /// Another listener has the same port and another protocol.
        ProtocolConflict = "ProtocolConflict" in [Accepted, Conflicted], "Give the listener another port.";
        /// In the pods of the Gateway another of its ports has the place of this one.
        PortUnavailable = "PortUnavailable" in [Accepted], "Give the listener another port.";
        /// A kind of route is not supported by the listener.
        InvalidRouteKinds = "InvalidRouteKinds" in [ResolvedRefs], "List HTTPRoute, GRPCRoute, or Ingress of group networking.k8s.io.";
        /// No listener is in a state to serve.
        ListenersNotValid = "ListenersNotValid" in [Accepted], "See the conditions of the listeners.";
        /// A parameters reference leads nowhere or to something invalid.
        InvalidParameters = "InvalidParameters" in [Accepted],
            "Create or correct the GatewayParameters; the message says what holds until then.";
        /// Another Subscription, older, has the same key.
        DuplicateKey = "DuplicateKey" in [Accepted], "Make a new key for this Subscription.";
        /// The Product takes no subscribers from this namespace.
        NotAllowedByProduct = "NotAllowedByProduct" in [Accepted],
            "Widen `subscribers` of the Product, or subscribe from a namespace that it takes.";
        /// The Product takes only so many Subscriptions of one namespace, and others come first. Its keys open nothing.
        TooManySubscriptions = "TooManySubscriptions" in [Accepted],
            "Delete or cancel one of the namespace's other Subscriptions to the Product, or ask the Product's owner for a larger `subscribers.maxPerNamespace`, or for a SubscriptionApproval, which comes first.";
        /// The owner of the Product has approved the Subscription.
        Approved = "Approved" in [Approved];
        /// Nobody has to approve the Subscription: its own namespace owns what it opens, or the Product takes all that its subscribers make.
        ApprovalNotRequired = "ApprovalNotRequired" in [Approved];
        /// The owner of the Product has not decided about the Subscription yet. Its keys open nothing until then.
        AwaitingApproval = "AwaitingApproval" in [Approved],
            "Ask the Product's owner for a SubscriptionApproval in the Product's namespace. One for a Subscription of the same name that was deleted does not hold for this one.";
        /// The owner of the Product has rejected the Subscription.
        ApprovalRejected = "ApprovalRejected" in [Approved],
            "Ask the Product's owner; the message says why.";
        /// The owner of the Product has suspended the Subscription.
        ApprovalSuspended = "ApprovalSuspended" in [Approved],
            "Ask the Product's owner; the message says why.";
        /// A more restrictive SubscriptionApproval about the same Subscription holds instead.
        Overruled = "Overruled" in [Conflicted],
            "Delete one of the two, or let both say the same.";
        /// The controller has yet to make the keys of the Subscription.
        KeysPending = "KeysPending" in [ResolvedRefs],
            "Wait. Keys are made once the Subscription is approved and active, a moment after it is created.";
        /// The API server does not let the controller write the Secret with the keys.
        KeysNotWritten = "KeysNotWritten" in [ResolvedRefs],
            "Correct what the message names: a quota, an admission policy, or the controller's rights. It is tried again all the time.";
        /// The Secret was made for another Subscription, whose keys open nothing else.
        SecretOfAnother = "SecretOfAnother" in [ResolvedRefs],
            "Name a Secret of its own in `keys.secretName`. If the other Subscription has been deleted, its Secret follows, and a new one is made.";
        /// Keys are to be rotated that the controller did not make; they open as before.
        SecretNotOurs = "SecretNotOurs" in [ResolvedRefs],
            "Change the keys in the Secret yourself; or take `keys.rotation` and the annotation `sallyport.dev/rotate` out; or name a Secret that does not exist, which the controller then makes.";
        /// The keys of all issuers are fresh.
        IssuerHealthy = "IssuerHealthy" in [IssuerHealthy];
        /// The last look at the issuer failed; the keys that are held go on.
        IssuerStale = "IssuerStale" in [IssuerHealthy],
            "Look why the issuer does not answer; the message says what came. Tokens are still checked.";
        /// No key of the issuer is held: it has never been reached, or has discredited those it had. Its tokens are answered with 503.
        IssuerUnreached = "IssuerUnreached" in [IssuerHealthy],
            "Correct `issuer` or `keys`, or let the gateway reach the issuer; the message says what came.";
        /// The last question about a token had no answer that can be used: the endpoint was not reached, refuses the gateway's login, or answers otherwise than RFC 7662 has it. Tokens that are not
        /// remembered are answered with 503.
        IntrospectionUnanswered = "IntrospectionUnanswered" in [IssuerHealthy],
            "Correct `endpoint`, `caCertificateRefs` or `clientAuthentication`, or let the gateway reach the endpoint; the message says what came. It is said again when another token is asked about.";
        /// Some data plane cannot reach the store that counts limits: it goes on with its share, or refuses, as `limits.redis.whenAway` says.
        StoreUnreached = "StoreUnreached" in [LimitStoreReady],
            "Correct `limits.redis` of the GatewayParameters, or let the data planes reach the server; the message says what came.";
        /// Policies take effect.
        Affected = "Affected" in [ApiPolicyAffected];
        /// No policy says who may call: every request is answered with 500, reason `unprotected`.
        Unprotected = "Unprotected" in [Unprotected],
            "Attach an ApiPolicy with `authentication` to the route, its rule, its listener or its Gateway; `public: {}` if anybody may call.";
        /// No policy says who may call, and the class's GatewayParameters let anybody in.
        LeftOpen = "LeftOpen" in [Unprotected],
            "Attach an ApiPolicy with `authentication`, or take `unprotectedRoutes: Allow` out of the GatewayParameters of the class.";
        /// Something that an Ingress asks for is not done, and closed; the message names the Ingresses, the fields and the cures.
        IngressesRefused = "IngressesRefused" in [IngressesRefused],
            "Correct each Ingress as the message says; `sallyport validate` shows the places.";
        /// There is nothing to say against it.
        NoConflicts = "NoConflicts" in [Conflicted];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_unique_and_such_as_a_status_takes() {
        let reasons: BTreeSet<_> = Reason::ALL.iter().map(|one| one.as_str()).collect();
        let types: BTreeSet<_> = ConditionType::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!((reasons.len(), types.len()), (Reason::ALL.len(), ConditionType::ALL.len()));
        // metav1.Condition: CamelCase, no dash and no blank.
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_uppercase())
                && word.chars().all(|one| one.is_ascii_alphanumeric())
        };
        assert!(reasons.iter().all(|word| is_word(word)), "{reasons:?}");
        assert!(types.iter().all(|word| is_word(word.trim_start_matches("sallyport.dev/"))), "{types:?}");
    }

    /// What needs no cure is what one hopes for, or says only who takes part.
    #[test]
    fn every_reason_for_which_something_is_wrong_has_a_cure() {
        use Reason as R;
        let fine = [
            R::Accepted,
            R::ResolvedRefs,
            R::Programmed,
            R::Ready,
            R::Approved,
            R::ApprovalNotRequired,
            R::IssuerHealthy,
            R::Affected,
            R::NoConflicts,
        ];
        for reason in Reason::ALL {
            assert_eq!(reason.cure().is_empty(), fine.contains(reason), "{reason}");
            assert!(reason.cure().is_empty() || reason.cure().ends_with('.'), "{reason}: {}", reason.cure());
        }
    }

    #[test]
    fn every_condition_has_a_reason_of_its_own() {
        for kind in ConditionType::ALL {
            assert!(Reason::ALL.iter().any(|reason| reason.conditions().contains(kind)), "{kind}");
        }
    }
}
