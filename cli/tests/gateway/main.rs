//! The whole gateway in one process, from manifests to sockets: real connections, real TLS, a service that tells what it saw.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod kit;

mod aborted;
mod access_log;
mod addresses;
mod addresses_told;
mod alternatives;
mod attack_http1;
mod attack_http2;
mod attack_path;
mod attack_tls;
mod authorization;
mod availability;
mod basic;
mod body_bound;
mod bound_tokens;
mod bounds;
mod changes;
mod client_certificates;
mod computed_headers;
mod connections_taken;
mod cors;
mod deadlines;
mod drains;
mod early_answers;
mod egress;
mod encrypted_tokens;
#[cfg(feature = "endure")]
mod endure;
mod entra_id;
mod exhaustion;
mod fail_closed;
mod hostile_issuer;
mod http2_bounds;
mod http2_frames;
mod http2_services;
mod identity_headers;
mod identity_provider;
mod ingress;
mod inner_door;
mod issuers;
mod leaks;
mod limits;
mod metrics;
mod observed;
mod origin_lock;
mod outer_door;
mod pauses;
mod proxy_protocol;
mod random_policies;
mod returned;
mod rotation;
mod routing;
mod routing_backends;
mod routing_filters;
mod routing_grpc;
mod services_tls;
mod standing;
mod streams;
mod streams_end;
mod subscriptions;
mod telemetry;
mod token_places;
mod wire_forms;
