//! File descriptors: how many there are, and who may have the last of them.
//!
//! The kernel gives the lowest number that is free. The number of a new socket therefore tells how many are taken at least, at no
//! cost and over all threads: callers are shed above three quarters, so that those who are served can be; no service is connected
//! to above fifteen sixteenths, so that probes, name servers and issuers are reached whatever happens.

use std::io;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The share of all descriptors that callers may take.
const FOR_CALLERS: (u64, u64) = (3, 4);
/// The share that callers and services may take together.
const FOR_SERVICES: (u64, u64) = (15, 16);

/// Up to which numbers sockets are used for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    callers: u64,
    services: u64,
}

impl Descriptors {
    /// What this process may open at the moment.
    pub fn of_process() -> Self {
        Self::of_limit(getrlimit(Resource::Nofile).current)
    }

    fn of_limit(limit: Option<u64>) -> Self {
        let share = |(of, parts): (u64, u64)| limit.map_or(u64::MAX, |limit| limit / parts * of);
        Self { callers: share(FOR_CALLERS), services: share(FOR_SERVICES) }
    }

    /// Whether a caller's connection has to be closed for the sake of those that are there.
    pub(crate) fn too_many_callers(&self, socket: &impl AsRawFd) -> bool {
        number(socket) >= self.callers
    }

    /// Whether a connection to a service would take what is kept for probes.
    pub(crate) fn too_many_services(&self, socket: &impl AsRawFd) -> bool {
        number(socket) >= self.services
    }
}

fn number(socket: &impl AsRawFd) -> u64 {
    u64::try_from(socket.as_raw_fd()).unwrap_or(u64::MAX)
}

/// Raises the soft limit of open files to the hard one, which costs nothing until they are open. Returns the limit; `None` if there is none.
pub fn raise_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(i32);

    impl AsRawFd for Numbered {
        fn as_raw_fd(&self) -> i32 {
            self.0
        }
    }

    #[test]
    fn callers_are_shed_before_services_and_services_before_probes() {
        let descriptors = Descriptors::of_limit(Some(1024));
        for (number, callers, services) in [
            (0, false, false),
            (767, false, false),
            (768, true, false),
            (959, true, false),
            (960, true, true),
            (1023, true, true),
        ] {
            let socket = Numbered(number);
            let judged = (descriptors.too_many_callers(&socket), descriptors.too_many_services(&socket));
            assert_eq!(judged, (callers, services), "{number}");
        }
    }

    #[test]
    fn without_a_limit_nobody_is_shed() {
        let descriptors = Descriptors::of_limit(None);
        assert!(
            !descriptors.too_many_callers(&Numbered(i32::MAX)) && !descriptors.too_many_services(&Numbered(i32::MAX))
        );
    }
}
