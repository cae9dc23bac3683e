//! Listening sockets: one per port and worker, bound before any worker hears of them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that the kernel holds before a worker accepts them: a burst of one scheduling delay at 100,000 a second.
pub(super) const BACKLOG: i32 = 1024;

/// A silent peer is asked whether it is there after this time: below the five minutes after which many firewalls forget.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// And again, as often as the system has it (nine times), until it is given up.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// How peers that have vanished are noticed.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY)
}

/// Binds `count` sockets to the same address; the kernel spreads connections over them.
///
/// An address that another process listens on is refused, although the sockets share theirs with each other.
pub fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    bind(address, Sharing::Alone)?;
    (0..count).map(|_| bind(address, Sharing::AmongWorkers)).collect()
}

/// Where `port` of the configuration is really bound.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The address all listeners bind to.
    pub ip: IpAddr,
    /// Added to every port, so that port 80 needs no privilege.
    pub port_offset: u16,
}

impl Binding {
    /// The socket address for `port`; `None` if the offset leads past 65535 or the port is 0.
    pub fn address(&self, port: u32) -> Option<SocketAddr> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        Some(SocketAddr::new(self.ip, port.checked_add(self.port_offset)?))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Sharing {
    Alone,
    AmongWorkers,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::AmongWorkers)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets have it from this one.
    socket.set_tcp_keepalive(&keepalive())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address_and_others_do_not() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let port = bind(any, Sharing::Alone).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let held = bind_all(address, 2).unwrap();
        assert_eq!(held.len(), 2);
        let refused = bind_all(address, 2).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn accepted_sockets_notice_that_their_peer_has_vanished() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = bind(any, Sharing::Alone).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(socket2::SockRef::from(&accepted).keepalive().unwrap());
    }

    #[test]
    fn an_offset_never_wraps() {
        let binding = Binding { ip: [127, 0, 0, 1].into(), port_offset: 8000 };
        assert_eq!(binding.address(80).map(|address| address.port()), Some(8080));
        assert_eq!(binding.address(65000), None);
        assert_eq!(binding.address(0), None);
        assert_eq!(binding.address(70_000), None);
    }
}
