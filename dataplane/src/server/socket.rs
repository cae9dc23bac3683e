//! Listening sockets: one per port and worker, bound before any worker hears of them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::SockFilter;
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

/// Has the kernel begin no connection more on this socket; handshakes that have begun end as they would. Whoever is not heard tries
/// again, and is refused when the socket is closed: before it has sent anything, which a reset would leave it in doubt of.
#[cfg(target_os = "linux")]
pub(super) fn begin_no_more(socket: &impl AsFd) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Where the flags are in a TCP header (RFC 9293, 3.1), and two of them.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    socket2::SockRef::from(socket).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// There is no way to say so.
#[cfg(not(target_os = "linux"))]
pub(super) fn begin_no_more<T>(_socket: &T) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where `port` of the configuration is really bound.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The address all listeners bind to.
    pub ip: IpAddr,
    /// Added to every port, so that port 80 needs no privilege.
    pub port_offset: u16,
    /// A port that has no place that far up stays where it is.
    pub keeps_high_ports: bool,
}

impl Binding {
    /// The socket address for `port`; `None` if the port is 0, or the offset leads past 65535 and it is not kept.
    pub fn address(&self, port: u32) -> Option<SocketAddr> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        let kept = self.keeps_high_ports.then_some(port);
        Some(SocketAddr::new(self.ip, port.checked_add(self.port_offset).or(kept)?))
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
    use std::io::Read as _;

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
    #[cfg(target_os = "linux")]
    fn no_connection_begins_any_more_and_those_that_have_go_on() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = bind(any, Sharing::Alone).unwrap();
        let address = listener.local_addr().unwrap();
        // What it sends first is the last of its handshake as well: until then nobody can accept it.
        let before = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        before.set_tcp_quickack(false).unwrap();
        before.connect(&address.into()).unwrap();
        begin_no_more(&listener).unwrap();
        let after = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).unwrap_err();
        assert_eq!(after.kind(), io::ErrorKind::TimedOut);
        before.send(b"ask").unwrap();
        before.shutdown(std::net::Shutdown::Write).unwrap();
        // On a loaded machine what was sent is delivered later.
        listener.set_nonblocking(false).unwrap();
        socket2::SockRef::from(&listener).set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let mut heard = String::new();
        accepted.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "ask");
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(listener);
        assert_eq!(std::net::TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_offset_never_wraps() {
        let mut binding = Binding { ip: [127, 0, 0, 1].into(), port_offset: 8000, keeps_high_ports: false };
        assert_eq!(binding.address(80).map(|address| address.port()), Some(8080));
        assert_eq!(binding.address(65000), None);
        assert_eq!(binding.address(0), None);
        assert_eq!(binding.address(70_000), None);
        binding.keeps_high_ports = true;
        let ports = [80, 65_000, 0, 70_000].map(|port| binding.address(port).map(|address| address.port()));
        assert_eq!(ports, [Some(8080), Some(65_000), None, None]);
    }
}
