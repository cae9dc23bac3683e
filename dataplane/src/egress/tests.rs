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
        let request = request(&Place::parse(address).unwrap()).unwrap();
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
