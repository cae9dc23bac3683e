//! Every metric by name: what registers it reads it here, and so does the reference page.

/// What a metric is, as Prometheus has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; a scrape shows it with `_total` at its end.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, with a sum.
    Histogram,
}

impl Kind {
    /// The word in the `TYPE` line of a scrape.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
pub struct Metric {
    /// As it is registered: a counter without `_total`.
    pub name: &'static str,
    /// What kind of metric it is.
    pub kind: Kind,
    /// What one of it is: `s`, or in braces what is counted (UCUM, as OpenTelemetry writes units).
    pub unit: &'static str,
    /// The labels, in their order, each with the values it can have.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it tells: the `HELP` line of a scrape.
    pub help: &'static str,
    /// The name in OpenTelemetry's semantic conventions, where these have one.
    pub convention: Option<&'static str>,
}

impl Metric {
    /// The name that a scrape shows.
    pub fn shown_name(&self) -> String {
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{end}", self.name)
    }
}

const CLASS: (&str, &str) = ("http_response_status_class", "`1xx` to `5xx`");
const REASON: &str = "a [reason](reasons.md)";
const OUTCOME: &str = "`success`, `unreachable`, `forbidden`, `bad-answer`, `bad-metadata`, `bad-keys`";
const ISSUER: (&str, &str) = ("issuer", "`issuer` of the policy");
/// Two key sets can be of one issuer, found in different ways: the name of the set tells them apart.
const KEY_SET: (&str, &str) = ("key_set", "name of the key set");

macro_rules! metrics {
    ($($name:ident = $kind:ident, $text:literal, $unit:literal, $labels:expr, $convention:expr, $help:literal;)*) => {
        $(
            pub(super) const $name: Metric = Metric {
                name: $text, kind: Kind::$kind, unit: $unit, labels: &$labels, convention: $convention, help: $help,
            };
        )*

        /// All of them, in the order of the reference page.
        pub const ALL: &[Metric] = &[$($name,)*];
    };
}

metrics! {
    SERVER_DURATION = Histogram, "http_server_request_duration_seconds", "s", [
        ("http_request_method", "methods of RFC 9110 and PATCH; `_OTHER`"), ("url_scheme", "`http`, `https`"), CLASS,
    ], Some("http.server.request.duration"),
        "Time from the head of a request to the end of its response";
    CLIENT_DURATION = Histogram, "http_client_request_duration_seconds", "s", [CLASS], Some("http.client.request.duration"),
        "Time from when a service is asked, connecting included, to the head of its response; those that give none are counted by reason in sallyport_decisions_total";
    ACTIVE = Gauge, "http_server_active_requests", "{request}", [], Some("http.server.active_requests"),
        "Requests under way";
    DECISIONS = Counter, "sallyport_decisions", "{request}", [("reason", "`forwarded`, or a [reason](reasons.md)")], None,
        "Requests by what was decided: forwarded, or the reason of the refusal";
    REHEARSED = Counter, "sallyport_rehearsed_refusals", "{refusal}", [("reason", REASON)], None,
        "Refusals that policies and origin locks in Report mode would have made";
    PANICS = Counter, "sallyport_panics", "{request}", [], None,
        "Requests that made the gateway panic";
    LOST_LINES = Counter, "sallyport_access_log_lost", "{line}", [], None,
        "Lines of the access log that were lost because their writer was too slow";
    SHED_CONNECTIONS = Counter, "sallyport_connections_shed", "{connection}", [], None,
        "Connections that were closed at once, since there were too many or descriptors were short";
    BARRED_CONNECTIONS = Counter, "sallyport_connections_barred", "{connection}", [], None,
        "Connections that were closed before anything was read of them, since Floors or origin locks let nothing pass that comes from there";
    FAILED_HANDSHAKES = Counter, "sallyport_tls_handshakes_failed", "{handshake}", [("cause", "`server-name`, `certificate`, `protocol`, `timeout`")], None,
        "TLS handshakes of callers that came to nothing: no listener with a certificate has the name, the caller shows no certificate that is asked for or one that is not accepted, something else of TLS, or too slow";
    GENERATION = Gauge, "sallyport_configuration_generation", "{change}", [], None,
        "Configuration changes that this process has applied";
    REJECTED_RESOURCES = Gauge, "sallyport_configuration_rejected_resources", "{resource}", [], None,
        "Resources that are not in force as they were sent, until they change or go";
    CONTROLLER_CONNECTED = Gauge, "sallyport_controller_connected", "1", [], None,
        "1 while there is a connection to a controller, else 0: what is in force stays, and changes do not come; always 0 where configuration is read from files";
    CERTIFICATE_END = Gauge, "sallyport_certificate_not_after_timestamp_seconds", "s", [("certificate", "`namespace/secret`")], None,
        "When the certificate in force ends, in seconds since 1970 UTC: shown by a listener, or to a service";
    PASSWORD_HASHES = Counter, "sallyport_password_hashes", "{hash}", [("outcome", "`right`, `wrong`, `busy`")], None,
        "Hashes of callers' passwords that were computed, by what came of them, and those that were not, since too many were under way";
    INTROSPECTIONS = Counter, "sallyport_introspections", "{question}", [("outcome", "`active`, `inactive`, `refused`, `unavailable`, `busy`")], None,
        "Questions to issuers about tokens, by what came of them: active and what was asked for, not active, active and not what was asked for, no usable answer; and those that were not asked, since too many were under way";
    PROOFS = Counter, "sallyport_proofs", "{proof}", [("outcome", "`accepted`, `invalid`, `nonce`, `replayed`, `unknown`")], None,
        "Proofs of possession (DPoP) beside tokens that are bound to a key, each time that an alternative judges one, by what came of it there: accepted, missing or wrong, without a number of the Gateway where one is demanded, seen before, or nobody could tell whether it was; those of policies that only report are not counted";
    EXTERNAL_AUTHORIZATIONS = Counter, "sallyport_external_authorizations", "{question}", [("outcome", "`allowed`, `denied`, `unavailable`")], None,
        "Questions to authorisers about requests, by what came of them: yes, no, no usable answer in time; those of policies that only report are not counted";
    EXTERNAL_AUTHORIZATION_DURATION = Histogram, "sallyport_external_authorization_duration_seconds", "s", [], None,
        "Time that questions to authorisers took, whatever came of them, connecting included";
    EXTERNAL_AUTHORIZATION_DROPPED = Counter, "sallyport_external_authorization_headers_dropped", "{header}", [], None,
        "Headers that authorisers asked for by gRPC and that headersToBackend or headersToCaller does not list: they were left out";
    LIMIT_STORE_QUESTIONS = Counter, "sallyport_limit_store_questions", "{question}", [("outcome", "`answered`, `away`")], None,
        "Questions to the store that counts limits, one for all limits of a step, by whether they had an answer in time: without one each data plane goes on with its share, or refuses";
    LIMIT_STORE_DURATION = Histogram, "sallyport_limit_store_duration_seconds", "s", [], None,
        "Time until the store answered";
    ISSUER_STATE = Gauge, "sallyport_issuer_state", "1", [ISSUER, KEY_SET, ("state", "`healthy`, `stale`, `unreached`")], None,
        "1 for the state that the keys of an issuer are in: healthy, stale (the last look failed, those held go on) or unreached (there are none)";
    ISSUER_KEYS_AGE = Gauge, "sallyport_issuer_keys_age_seconds", "s", [ISSUER, KEY_SET], None,
        "Time since the keys in force were had; absent while there are none";
    ISSUER_FETCHES = Counter, "sallyport_issuer_fetches", "{fetch}", [ISSUER, KEY_SET, ("outcome", OUTCOME)], None,
        "Looks at an issuer for its keys, by outcome";
}
