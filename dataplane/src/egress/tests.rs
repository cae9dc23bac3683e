//! Where calls go, and what is said of those that cannot be placed.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::settings::Environment;

#[test]
fn the_host_is_named_as_the_address_spells_it() {
    for (address, host) in [
        ("https://login.example.com/realms/shop", "login.example.com"),
        ("https://login.example.com:8443/", "login.example.com:8443"),
        ("https://[2001:db8::1]:8443/keys?x=1", "[2001:db8::1]:8443"),
        ("https://[2001:db8::1]/", "[2001:db8::1]"),
    ] {
        let request = request(&Place::parse(address).unwrap(), Call::default()).unwrap();
        assert_eq!(request.headers().get(header::HOST).unwrap(), host, "{address}");
    }
}

#[test]
fn what_is_no_address_is_refused_without_its_secrets() {
    for address in [
        "",
        "login.example.com",
        "/jwks",
        "ftp://login.example.com/",
        "file:///etc/passwd",
        "https://",
        "https://me:secret@login.example.com/",
        "https://me:secret@login.example.com:x/",
        "ftp://login.example.com/?secret",
        "ftp://me:secret@login.example.com/a@b",
        "https://login.example.com:99999/",
        "https://login.example.com:65536/",
        "https://login.example.com:x/",
        "https://login.example.com:-1/",
        "https://login.example.com:+443/",
        "https://login.example.com:0/",
        "https://login.example.com:/",
        "https://login.example.com:443:443/",
        "https://[2001:db8::1]:99999/",
        "https://[2001:db8::1]x:443/",
        "https://2001:db8::1/",
        "http://127.0.0.1:99999/",
        "https://login.example.com /secret",
        "https://login.example.com\r\nsecret: 1",
    ] {
        let fault = Place::parse(address).err().unwrap_or_else(|| panic!("{address} is taken"));
        assert!(matches!(fault, CallFault::Address(_)), "{address}: {fault}");
        assert!(!fault.to_string().contains("secret"), "{fault}");
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let egress = Egress::new(AddressRules::of(Environment::Standalone));
    let call = tokio::spawn(async move { egress.get(&address, &[]).await.map(drop) });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = vec![0; 4096];
    assert!(stream.read(&mut bytes).await.unwrap() > 0);
    call.abort();
    assert_eq!(stream.read(&mut bytes).await.unwrap(), 0, "it is closed");
}

/// A socket that lets nobody in: its queue is full, so that whoever knocks hears nothing.
async fn dead() -> (SocketAddr, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    // It listens for as long as the process runs.
    std::mem::forget(socket);
    (address, waiting)
}

#[tokio::test]
async fn a_dead_address_leaves_time_for_the_others_of_its_name() {
    let (dead, _waiting) = dead().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alive = listener.local_addr().unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    tokio::time::pause();
    for addresses in [vec![dead, alive], vec![dead, dead, nobody, alive]] {
        let stream = connect_to_first(&addresses).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive, "{addresses:?}");
    }
    let began = tokio::time::Instant::now();
    let fault = connect_to_first(&[dead, dead, dead]).await.unwrap_err();
    assert_eq!(fault.kind(), std::io::ErrorKind::TimedOut);
    assert!(began.elapsed() <= CONNECT_TIMEOUT + Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(connect_to_first(&[nobody]).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(connect_to_first(&[]).await.is_err());
}

#[test]
fn the_port_is_the_one_that_is_stated() {
    for (address, port) in [
        ("https://login.example.com/", 443),
        ("http://127.0.0.1/", 80),
        ("https://login.example.com:8443/", 8443),
        ("https://login.example.com:65535/", 65535),
        ("https://[2001:db8::1]/", 443),
        ("https://[2001:db8::1]:8443/", 8443),
    ] {
        assert_eq!(Place::parse(address).unwrap().port, port, "{address}");
    }
}
