//! Every metric of the controller by name: what registers it reads it here, and so does the reference page.

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
    pub kind: Kind,
    /// What one of it is: `s`, `By`, or in braces what is counted (UCUM, as OpenTelemetry writes units).
    pub unit: &'static str,
    /// The labels, in their order, each with the values it can have. None is named by a tenant but Gateways.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it tells: the `HELP` line of a scrape.
    pub help: &'static str,
}

impl Metric {
    /// The name that a scrape shows.
    pub fn shown_name(&self) -> String {
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{end}", self.name)
    }
}

const GATEWAY: (&str, &str) = ("gateway", "`namespace/name` of a Gateway");
const KIND: (&str, &str) = ("kind", "a kind of object");

macro_rules! metrics {
    ($($name:ident = $kind:ident, $text:literal, $unit:literal, $labels:expr, $help:literal;)*) => {
        $(
            pub(super) const $name: Metric = Metric {
                name: concat!("sallyport_controller_", $text), kind: Kind::$kind, unit: $unit, labels: &$labels, help: $help,
            };
        )*

        /// All of them, in the order of the reference page.
        pub const ALL: &[Metric] = &[$($name,)*];
    };
}

metrics! {
    LEADER = Gauge, "leader", "1", [],
        "1 while this replica is the one that writes, else 0; the sum over all replicas is 1 but for moments";
    LEASE_TRANSITIONS = Counter, "lease_transitions", "{transition}", [],
        "How often this replica has begun or ceased to be the one that writes";
    OBJECTS = Gauge, "objects", "{object}", [KIND],
        "Objects that are known, of every kind that is read; of Secrets and ConfigMaps those that some object names or that are labelled for gateways";
    PROBLEMS = Gauge, "problems", "{condition}", [KIND, ("condition", "a [condition](conditions.md)"), ("reason", "a reason of a condition")],
        "Conditions that say that something is wrong, by the kind of the object, the condition and its reason; told by the replica that writes";
    CHANGES = Counter, "changes", "{change}", [KIND],
        "Objects that the API server has told of, new, changed or deleted";
    BUILD_DURATION = Histogram, "build_duration_seconds", "s", [],
        "Time to judge everything anew and to compile it, once for each batch of changes";
    PLAN_DURATION = Histogram, "plan_duration_seconds", "s", [],
        "Time to plan what is said of all objects; by the replica that writes";
    PROGRAMMING_DURATION = Histogram, "programming_duration_seconds", "s", [],
        "Time from when a change is taken in until all data planes of a Gateway that are connected to this replica have acknowledged what follows from it";
    SNAPSHOT_BYTES = Gauge, "snapshot_bytes", "By", [GATEWAY],
        "Size of what each data plane of a Gateway is to have";
    DATA_PLANES = Gauge, "data_planes", "{data plane}", [GATEWAY],
        "Data planes that are connected to this replica";
    UPDATES = Counter, "updates", "{update}", [], "Updates that were sent to data planes";
    UPDATE_RESOURCES = Counter, "update_resources", "{resource}", [], "Resources in updates, changed and removed";
    UPDATE_BYTES = Counter, "update_bytes", "By", [], "Bytes of updates, before TLS";
    ACKNOWLEDGEMENTS = Counter, "acknowledgements", "{update}", [], "Updates that were acknowledged";
    REJECTIONS = Counter, "rejections", "{resource}", [],
        "Resources that data planes have said in acknowledgements that they do not have in force as they were sent";
    FOREIGN_REPORTS = Counter, "foreign_reports", "{report}", [],
        "Reports of data planes that were dropped, since they are about what is not theirs to tell of";
    REFUSED_STREAMS = Counter, "refused_streams", "{stream}",
        [("reason", "`no-token`, `token-refused`, `token-not-verified`, `not-for-caller`, `no-such-method`")],
        "Streams that were refused, by reason";
    CUT_STREAMS = Counter, "cut_streams", "{stream}", [],
        "Streams that were cut off, for what the other side sent or did not send in time";
    FAILED_HANDSHAKES = Counter, "failed_handshakes", "{connection}", [],
        "Connections to the update stream's port that never became one: no TLS, another protocol, or too slow";
    EVICTED_STRANGERS = Counter, "evicted_strangers", "{connection}", [],
        "Connections that had shown no token and were closed for newer ones";
    STATUS_WRITES = Counter, "status_writes", "{write}", [KIND, ("outcome", "`written`, `outdated`, `failed`")],
        "Writes of statuses, by what came of them: outdated are those of objects that somebody else has changed meanwhile, which are planned again";
    INFRASTRUCTURE_WRITES = Counter, "infrastructure_writes", "{write}",
        [KIND, ("verb", "`apply`, `delete`"), ("outcome", "`written`, `failed`")],
        "Writes of what runs Gateways";
    EVENTS = Counter, "events", "{event}", [("outcome", "`told`, `repeated`, `held-back`, `failed`")],
        "Kubernetes Events by what came of them: a repeated one is counted up, one too many of an object or of all is held back";
    API_REQUESTS = Counter, "api_requests", "{request}",
        [("http_request_method", "methods of RFC 9110 and PATCH"), ("http_response_status_code", "the code, or `error` where no answer came")],
        "Requests to the API server, watches among them";
    WATCH_FAILURES = Counter, "watch_failures", "{watch}", [KIND],
        "Watches that broke off and began anew with a list";
    CERTIFICATE_END = Gauge, "certificate_not_after_timestamp_seconds", "s", [("certificate", "`authority`, `server`")],
        "When the controller's own certificates end, in seconds since 1970 UTC: of its newest authority, and the one that it shows to data planes";
}
