//! The update stream with both its ends, over real TLS and real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod kit;

mod certificates;
mod garbage;
mod large;
mod life;
mod real;
mod reconnect;
mod refused;
mod relay;
mod skew;
mod slow;
mod unruly;
