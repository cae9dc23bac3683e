//! Years of a controller, in days; every day each client connects that has read the bundle lately.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};

use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::UnixTime;

use super::*;

const START_S: i64 = 1_800_000_000;

fn names() -> Vec<String> {
    vec!["controller.sallyport.svc".into(), "controller.sallyport.svc.cluster.local".into()]
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(START_S + day * DAY_S).unwrap()
}

fn renewed(existing: Option<&Stored>, day: i64) -> (Stored, bool) {
    Stored::renewed(existing, at(day), &names()).unwrap()
}

#[derive(Debug)]
struct Day(i64);

impl rustls::time_provider::TimeProvider for Day {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(START_S + self.0 * DAY_S).unwrap();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// Whether a client that trusts `bundle` connects to the server of `stored` on `day`.
fn connects(bundle: &Stored, stored: &Stored, day: i64) -> bool {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.bundle_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_details(provider(), Arc::new(Day(day)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = names()[0].clone().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(stored.server_config().unwrap())).unwrap();
    client.writer().write_all(b"x").unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        if server.read_tls(&mut wire.as_slice()).is_err() || server.process_new_packets().is_err() {
            return false;
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        if client.read_tls(&mut wire.as_slice()).is_err() || client.process_new_packets().is_err() {
            return false;
        }
    }
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    server.read_tls(&mut wire.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    server.reader().read(&mut [0; 1]).unwrap() == 1
}

fn authorities(stored: &Stored) -> usize {
    stored.bundle_pem().matches("BEGIN CERTIFICATE").count()
}

fn keys(stored: &Stored) -> usize {
    stored.authority_keys.matches("BEGIN").count()
}

#[test]
fn the_first_is_made_and_then_stays() {
    let (first, is_changed) = renewed(None, 0);
    assert!(is_changed && authorities(&first) == 1 && keys(&first) == 1);
    assert!(connects(&first, &first, 0));
    let (second, is_changed) = renewed(Some(&first), 1);
    assert!(!is_changed && second == first);
}

#[test]
fn whoever_has_read_the_bundle_lately_connects_on_every_day_of_three_years() {
    let mut stored: Option<Stored> = None;
    let mut bundles: VecDeque<(i64, Stored)> = VecDeque::new();
    let (mut changes, mut most) = (0, 0);
    for day in 0..3 * 365 {
        let (now, is_changed) = renewed(stored.as_ref(), day);
        changes += usize::from(is_changed);
        most = most.max(authorities(&now));
        bundles.push_back((day, now.clone()));
        while bundles.front().is_some_and(|(read, _)| day - read > ANNOUNCED_S / DAY_S) {
            bundles.pop_front();
        }
        // The oldest that still counts, and the newest; those between are one of the two.
        for (read, bundle) in [bundles.front().unwrap(), bundles.back().unwrap()] {
            assert!(connects(bundle, &now, day), "on day {day}, with the bundle of day {read}");
        }
        stored = Some(now);
    }
    assert_eq!(most, 2, "no more than two are trusted at a time");
    assert!((70..100).contains(&changes), "{changes}");
}

#[test]
fn each_step_of_a_rotation_comes_in_its_turn() {
    let mut stored = renewed(None, 0).0;
    let mut steps = Vec::new();
    for day in 1..330 {
        let before = (authorities(&stored), keys(&stored));
        stored = renewed(Some(&stored), day).0;
        let after = (authorities(&stored), keys(&stored));
        if before != after {
            steps.push((day, after));
        }
    }
    // Made and announced; signing, and the older one has no key any more; alone.
    assert_eq!(steps, [(244, (2, 2)), (254, (2, 1)), (284, (1, 1))]);
}

#[test]
fn a_certificate_is_renewed_at_half_its_life_and_when_names_change() {
    let first = renewed(None, 0).0;
    assert!(!renewed(Some(&first), 14).1);
    let (second, is_changed) = renewed(Some(&first), 15);
    assert!(is_changed && second.server_certificate != first.server_certificate);
    assert_eq!(second.authorities, first.authorities);
    let (other, is_changed) = Stored::renewed(Some(&first), at(1), &["other".into()]).unwrap();
    assert!(is_changed && other.authorities == first.authorities && !connects(&other, &other, 1));
    let (same, is_changed) = {
        let mut names = names();
        names.reverse();
        Stored::renewed(Some(&first), at(1), &names).unwrap()
    };
    assert!(!is_changed && same == first);
}

#[test]
fn a_controller_that_was_away_for_long_comes_back() {
    for (away, day) in [(250, 0), (300, 0), (360, 0), (364, 0), (366, 0), (2000, 0), (30, 240), (100, 250)] {
        let mut stored = renewed(None, 0).0;
        if day > 0 {
            stored = renewed(Some(&stored), day).0;
        }
        let (back, is_changed) = renewed(Some(&stored), day + away);
        assert!(is_changed && connects(&back, &back, day + away), "away for {away} from day {day}");
    }
}

#[test]
fn what_cannot_be_used_is_made_anew() {
    let good = renewed(None, 0).0;
    let other = renewed(None, 0).0;
    let spoilt = |spoil: fn(&mut Stored, &Stored)| {
        let mut stored = good.clone();
        spoil(&mut stored, &other);
        stored
    };
    for (what, stored) in [
        ("nothing", Stored::default()),
        ("no authority", spoilt(|stored, _| stored.authorities.clear())),
        ("no key", spoilt(|stored, _| stored.authority_keys.clear())),
        ("the key of another", spoilt(|stored, other| stored.authority_keys.clone_from(&other.authority_keys))),
        ("another authority", spoilt(|stored, other| stored.authorities.clone_from(&other.authorities))),
        ("no PEM", spoilt(|stored, _| stored.authorities = "-----BEGIN CERTIFICATE-----\n!".into())),
        ("no certificate", spoilt(|stored, _| stored.server_certificate = pem("CERTIFICATE", b"garbage"))),
        ("a cut certificate", spoilt(|stored, _| stored.server_certificate.truncate(100))),
        ("no server key", spoilt(|stored, _| stored.server_key.clear())),
        ("the server key of another", spoilt(|stored, other| stored.server_key.clone_from(&other.server_key))),
        (
            "the certificate of another",
            spoilt(|stored, other| {
                stored.server_certificate.clone_from(&other.server_certificate);
                stored.server_key.clone_from(&other.server_key);
            }),
        ),
    ] {
        let (made, is_changed) = renewed(Some(&stored), 0);
        assert!(is_changed && connects(&made, &made, 0), "{what}");
        assert!(!renewed(Some(&made), 0).1, "{what}: it is stable");
    }
}

#[test]
fn one_that_is_from_the_future_is_not_used() {
    let future = renewed(None, 1000).0;
    let (made, is_changed) = renewed(Some(&future), 0);
    assert!(is_changed && authorities(&made) == 1 && connects(&made, &made, 0));
}

#[test]
fn it_says_when_it_ends() {
    let stored = renewed(None, 0).0;
    assert_eq!(stored.ends_s(), (START_S + AUTHORITY_S, START_S + SERVER_S));
    assert_eq!(Stored::default().ends_s(), (0, 0));
}

#[test]
fn another_authority_is_not_trusted() {
    let (one, other) = (renewed(None, 0).0, renewed(None, 0).0);
    assert!(!connects(&one, &other, 0));
    assert!(!connects(&one, &one, 31), "it has ended");
}

#[test]
fn a_name_that_is_none_is_told() {
    assert!(Stored::renewed(None, at(0), &["\u{e9}".into()]).is_err());
}
