//! Certificates that are trusted, and more of those that are not.

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, NameConstraints, PKCS_ED25519, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use sallyport_snapshot::v1::certificate_identity::SubjectAltName;
use sallyport_snapshot::v1::distinguished_name::{Attribute, RelativeName};

use super::*;

/// In January 2027.
const NOW: UnixMs = UnixMs(1_800_000_000_000);
const DAY_MS: i64 = 86_400_000;
const SERIAL: u64 = 0x0a1b;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issuer {
    CertifiedIssuer::self_signed(authority_params(name, change), KeyPair::generate().unwrap()).unwrap()
}

fn below(issuer: &Issuer, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issuer {
    CertifiedIssuer::signed_by(authority_params(name, change), KeyPair::generate().unwrap(), issuer).unwrap()
}

fn authority_params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named(&[(DnType::CommonName, name)]);
    change(&mut params);
    params
}

fn named(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(kind, value)| name.push(kind.clone(), *value));
    name
}

/// Of a machine, with a name of each kind.
fn leaf(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    leaf_params(change).signed_by(&key, issuer).unwrap().der().clone()
}

fn leaf_params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&[(DnType::OrganizationName, "Example"), (DnType::CommonName, "loader")]);
    params.serial_number = Some(SerialNumber::from(SERIAL));
    params.not_after = date_time_ymd(2027, 6, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::URI("spiffe://example.com/ns/batch/sa/loader".try_into().unwrap()),
        SanType::DnsName("Loader.example.com".try_into().unwrap()),
        SanType::Rfc822Name("Ada@Example.com".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
    ];
    change(&mut params);
    params
}

fn shown(chain: &[&CertificateDer<'static>]) -> ShownCertificate {
    ShownCertificate::new(chain.iter().map(|der| (*der).clone()).collect())
}

fn der(issuer: &Issuer) -> CertificateDer<'static> {
    let certificate: &rcgen::Certificate = issuer.as_ref();
    certificate.der().clone()
}

fn bytes(der: &CertificateDer<'_>) -> Bytes {
    Bytes::copy_from_slice(der)
}

fn trust(authorities: &[&Issuer]) -> v1::ClientTrust {
    let ca_certificates = authorities.iter().map(|one| bytes(&der(one))).collect();
    v1::ClientTrust { ca_certificates, ..v1::ClientTrust::default() }
}

fn anybody() -> v1::ClientCertificate {
    v1::ClientCertificate { trust: "shop/orders/machines".into(), ..v1::ClientCertificate::default() }
}

fn of(identity: v1::CertificateIdentity) -> v1::ClientCertificate {
    v1::ClientCertificate { identities: vec![identity], ..anybody() }
}

fn with_name(name: SubjectAltName) -> v1::CertificateIdentity {
    v1::CertificateIdentity { subject_alt_name: Some(name), ..v1::CertificateIdentity::default() }
}

fn uri(text: &str) -> v1::CertificateIdentity {
    with_name(SubjectAltName::Uri(text.into()))
}

fn distinguished(parts: &[(&str, &str)]) -> Option<v1::DistinguishedName> {
    let relative = |(kind, value): &(&str, &str)| RelativeName {
        attributes: vec![Attribute { r#type: (*kind).into(), value: (*value).into() }],
    };
    Some(v1::DistinguishedName { names: parts.iter().map(relative).collect() })
}

fn judge_at(
    stated: &v1::ClientCertificate,
    trust: &v1::ClientTrust,
    chain: &[&CertificateDer<'static>],
    now: UnixMs,
) -> Result<Arc<Vouched>, CertificateFault> {
    let trust = ClientTrust::build(trust).unwrap();
    Demanded::build(stated).unwrap().judge(&shown(chain), Some(&trust), now)
}

fn judge(
    stated: &v1::ClientCertificate,
    trust: &v1::ClientTrust,
    chain: &[&CertificateDer<'static>],
) -> Result<Arc<Vouched>, CertificateFault> {
    judge_at(stated, trust, chain, NOW)
}

fn why(outcome: Result<Arc<Vouched>, CertificateFault>) -> String {
    outcome.map_or_else(|fault| fault.to_string(), |vouched| format!("holds: {}", vouched.identity))
}

#[test]
fn a_way_to_an_authority_is_needed() {
    let (root, other) = (authority("root", |_| ()), authority("root", |_| ()));
    let one = below(&root, "one", |_| ());
    let second = below(&one, "two", |_| ());
    let third = below(&second, "three", |_| ());
    let fourth = below(&third, "four", |_| ());
    let [direct, first, of_third, of_fourth] = [&root, &one, &third, &fourth].map(|issuer| leaf(issuer, |_| ()));
    let ders = [&one, &second, &third, &fourth].map(der);
    let trusted = trust(&[&root]);
    let refused = "no authority of the policy has issued it";
    for (chain, expected) in [
        (vec![&direct], "holds"),
        (vec![&first, &ders[0]], "holds"),
        (vec![&of_third, &ders[0], &ders[1], &ders[2]], "holds"),
        (vec![&of_third, &ders[2], &ders[1], &ders[0]], "holds"),
        (vec![&first], refused),
        (vec![&of_third, &ders[0], &ders[2]], refused),
        (vec![&of_fourth, &ders[0], &ders[1], &ders[2], &ders[3]], "too long"),
        (vec![&leaf(&other, |_| ())], "not trusted"),
        (vec![&ders[0]], "not for callers"),
        (vec![&der(&root)], "not for callers"),
    ] {
        let outcome = why(judge(&anybody(), &trusted, &chain));
        assert!(outcome.contains(expected), "{expected}: {outcome}");
    }
    assert!(judge(&anybody(), &trust(&[&other, &root]), &[&direct]).is_ok(), "two authorities of one name");
}

#[test]
fn an_authority_says_what_those_below_it_may() {
    let narrow = |subtree: GeneralSubtree| {
        authority("root", |params| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: vec![] });
        })
    };
    let own = narrow(GeneralSubtree::DnsName("example.com".into()));
    let others = narrow(GeneralSubtree::DnsName("example.org".into()));
    let mails = narrow(GeneralSubtree::Rfc822Name("example.com".into()));
    let none_below = authority("root", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let below_it = below(&none_below, "below", |_| ());
    let machine = |issuer: &Issuer| leaf(issuer, |_| ());
    let outcome =
        |issuer: &Issuer, chain: &[&CertificateDer<'static>]| why(judge(&anybody(), &trust(&[issuer]), chain));
    assert!(outcome(&own, &[&machine(&own)]).contains("holds"));
    assert!(outcome(&others, &[&machine(&others)]).contains("may not issue such names"));
    assert!(
        outcome(&mails, &[&machine(&mails)]).contains("may not issue such names"),
        "what cannot be judged is refused"
    );
    assert!(outcome(&none_below, &[&machine(&none_below)]).contains("holds"));
    assert!(outcome(&none_below, &[&machine(&below_it), &der(&below_it)]).contains("too long"));
    let server_only =
        below(&own, "servers", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let outcome = why(judge(&anybody(), &trust(&[&own]), &[&machine(&server_only), &der(&server_only)]));
    assert!(outcome.contains("not trusted"), "{outcome}");
}

#[test]
fn dates_usage_and_form_of_the_leaf_are_judged() {
    let root = authority("root", |_| ());
    let trusted = trust(&[&root]);
    let outcome = |change: fn(&mut CertificateParams)| why(judge(&anybody(), &trusted, &[&leaf(&root, change)]));
    for (outcome, expected) in [
        (outcome(|_| ()), "holds"),
        (outcome(|params| params.key_usages.clear()), "holds"),
        (outcome(|params| params.extended_key_usages.clear()), "holds"),
        (outcome(|params| params.not_after = date_time_ymd(2026, 12, 1)), "expired"),
        (outcome(|params| params.not_before = date_time_ymd(2027, 2, 1)), "not valid yet"),
        (outcome(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), "not for callers"),
        (outcome(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), "not for callers"),
        (outcome(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "an authority's own"),
        (
            outcome(|params| {
                let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions.push(unknown);
            }),
            "not trusted",
        ),
        (outcome(|params| params.subject_alt_names.push(SanType::URI("a\0b".try_into().unwrap()))), "cannot be read"),
        (outcome(|params| params.distinguished_name.push(DnType::OrganizationalUnitName, "a\0b")), "cannot be read"),
    ] {
        assert!(outcome.contains(expected), "{expected}: {outcome}");
    }
    let nonsense = CertificateDer::from(vec![1, 2, 3]);
    assert_eq!(judge(&anybody(), &trusted, &[&nonsense]).unwrap_err(), CertificateFault::Unreadable);
    let longer = CertificateDer::from([leaf(&root, |_| ()).as_ref(), &[0]].concat());
    assert_eq!(judge(&anybody(), &trusted, &[&longer]).unwrap_err(), CertificateFault::Unreadable);
}

#[test]
fn a_verdict_lasts_until_the_first_end_and_no_longer() {
    let root = authority("root", |params| params.not_after = date_time_ymd(2027, 4, 1));
    let middle = below(&root, "middle", |params| params.not_after = date_time_ymd(2027, 3, 1));
    let machine = leaf(&middle, |_| ());
    let (trusted, chain) = (trust(&[&root]), [&machine, &der(&middle)]);
    let ends = UnixMs::from_seconds(date_time_ymd(2027, 3, 1).unix_timestamp());
    assert_eq!(judge(&anybody(), &trusted, &chain).unwrap().until, ends);
    let (demanded, shown) = (Demanded::build(&anybody()).unwrap(), shown(&chain));
    let trusted = ClientTrust::build(&trusted).unwrap();
    let at = |now| why(demanded.judge(&shown, Some(&trusted), now));
    assert!(at(NOW).contains("holds") && at(UnixMs(ends.0 - 1)).contains("holds"));
    assert!(at(ends).contains("expired"), "{}", at(ends));
    let later = UnixMs::from_seconds(date_time_ymd(2027, 5, 1).unix_timestamp());
    let outcome = why(judge_at(&anybody(), &trust(&[&root]), &[&leaf(&root, |_| ())], later));
    assert!(outcome.contains("no authority of the policy"), "the root has ended: {outcome}");
}

#[test]
fn who_is_meant_is_told_by_whatever_is_stated() {
    let root = authority("Machines", |_| ());
    let trusted = trust(&[&root]);
    let machine = leaf(&root, |_| ());
    let fingerprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &machine);
    let fingerprint = Bytes::copy_from_slice(fingerprint.as_ref());
    let subject = distinguished(&[("2.5.4.10", "Example"), ("2.5.4.3", "loader")]);
    let issuer = || distinguished(&[("2.5.4.3", "Machines")]);
    let plain = v1::CertificateIdentity::default;
    let spiffe = "spiffe://example.com/ns/batch/sa/loader";
    for (identity, matches) in [
        (uri(spiffe), true),
        (uri("spiffe://example.com/ns/batch/sa/loade"), false),
        (uri("spiffe://EXAMPLE.com/ns/batch/sa/loader"), false),
        (uri("loader.example.com"), false),
        (with_name(SubjectAltName::Dns("loader.example.com".into())), true),
        (with_name(SubjectAltName::Dns("example.com".into())), false),
        (with_name(SubjectAltName::Dns("*.example.com".into())), false),
        (with_name(SubjectAltName::Dns("192.0.2.1".into())), false),
        (with_name(SubjectAltName::Email("Ada@example.com".into())), true),
        (with_name(SubjectAltName::Email("ada@example.com".into())), false),
        (with_name(SubjectAltName::Ip(Bytes::from_static(&[192, 0, 2, 1]))), true),
        (with_name(SubjectAltName::Ip(Bytes::from_static(&[192, 0, 2, 2]))), false),
        (v1::CertificateIdentity { subject: subject.clone(), ..plain() }, true),
        (
            v1::CertificateIdentity {
                subject: distinguished(&[("2.5.4.3", "loader"), ("2.5.4.10", "Example")]),
                ..plain()
            },
            false,
        ),
        (
            v1::CertificateIdentity {
                subject: distinguished(&[("2.5.4.10", "example"), ("2.5.4.3", "loader")]),
                ..plain()
            },
            false,
        ),
        (v1::CertificateIdentity { subject: distinguished(&[("2.5.4.3", "loader")]), ..plain() }, false),
        (v1::CertificateIdentity { issuer: issuer(), ..plain() }, true),
        (v1::CertificateIdentity { issuer: distinguished(&[("2.5.4.3", "Others")]), ..plain() }, false),
        (v1::CertificateIdentity { issuer: issuer(), serial_number: "a1b".into(), ..plain() }, true),
        (v1::CertificateIdentity { issuer: issuer(), serial_number: "a1c".into(), ..plain() }, false),
        (v1::CertificateIdentity { sha256_fingerprint: fingerprint.clone(), ..plain() }, true),
        (v1::CertificateIdentity { sha256_fingerprint: Bytes::from_static(&[7; 32]), ..plain() }, false),
        (v1::CertificateIdentity { subject, ..uri("spiffe://example.com/other") }, false),
    ] {
        let outcome = judge(&of(identity.clone()), &trusted, &[&machine]);
        assert_eq!(outcome.as_ref().err(), (!matches).then_some(&CertificateFault::Identity), "{identity:?}");
    }
    let second =
        v1::ClientCertificate { identities: vec![uri("spiffe://example.com/other"), uri(spiffe)], ..anybody() };
    assert!(judge(&second, &trusted, &[&machine]).is_ok(), "one of them is enough");
}

#[test]
fn a_spiffe_id_stands_alone_and_in_its_trust_domain() {
    let root = authority("root", |_| ());
    let trusted = trust(&[&root]);
    let with_uris = |uris: &[&str]| {
        let names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        leaf(&root, |params| params.subject_alt_names = names)
    };
    let domain = v1::ClientCertificate { trust_domain: "example.com".into(), ..anybody() };
    for (uris, is_of_domain) in [
        (&["spiffe://example.com/a"][..], true),
        (&["spiffe://example.com"], false),
        (&["spiffe://example.com/"], false),
        (&["spiffe://example.com.evil.org/a"], false),
        (&["spiffe://evil.org/example.com"], false),
        (&["https://example.com/a"], false),
        (&["spiffe://example.com/a", "spiffe://example.com/b"], false),
        (&["spiffe://example.com/a", "https://example.org"], false),
        (&[], false),
    ] {
        assert_eq!(judge(&domain, &trusted, &[&with_uris(uris)]).is_ok(), is_of_domain, "{uris:?}");
    }
    let twice = with_uris(&["spiffe://example.com/a", "spiffe://other.org/b"]);
    assert_eq!(judge(&of(uri("spiffe://example.com/a")), &trusted, &[&twice]).unwrap_err(), CertificateFault::Identity);
    let urls = with_uris(&["https://a.example", "https://b.example"]);
    assert!(judge(&of(uri("https://b.example")), &trusted, &[&urls]).is_ok());
}

#[test]
fn whoever_calls_is_known_by_what_was_compared() {
    let root = authority("Machines", |_| ());
    let renewed = CertifiedIssuer::self_signed(
        authority_params("Machines", |params| params.not_after = date_time_ymd(2030, 1, 1)),
        KeyPair::try_from(root.key().serialize_der()).unwrap(),
    );
    let (renewed, other) = (renewed.unwrap(), authority("Machines", |_| ()));
    let identity = |stated: &v1::ClientCertificate, by: &Issuer, change: fn(&mut CertificateParams)| {
        judge(stated, &trust(&[by]), &[&leaf(by, change)]).unwrap().identity.to_string()
    };
    let by_uri = of(uri("spiffe://example.com/ns/batch/sa/loader"));
    let first = identity(&by_uri, &root, |_| ());
    assert!(first.ends_with(":uri:39:spiffe://example.com/ns/batch/sa/loader"), "{first}");
    assert_eq!(first, identity(&by_uri, &root, |params| params.serial_number = None), "a new certificate");
    assert_eq!(first, identity(&by_uri, &renewed, |_| ()), "a renewed authority");
    assert_ne!(first, identity(&by_uri, &other, |_| ()), "another authority of that name");
    assert!(identity(&anybody(), &root, |_| ()).contains(":fingerprint:"));
    let by_subject = of(v1::CertificateIdentity {
        subject: distinguished(&[("2.5.4.10", "Example"), ("2.5.4.3", "loader")]),
        ..Default::default()
    });
    assert!(identity(&by_subject, &root, |_| ()).ends_with(":subject:19:CN=loader,O=Example"));
    let by_issuer =
        of(v1::CertificateIdentity { issuer: distinguished(&[("2.5.4.3", "Machines")]), ..Default::default() });
    assert!(identity(&by_issuer, &root, |_| ()).ends_with(":serial:15:CN=Machines:a1b"));
}

#[test]
fn a_pinned_certificate_needs_no_authority_and_all_else() {
    let root = authority("root", |_| ());
    let pinned = |der: &CertificateDer<'_>| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let identity = v1::CertificateIdentity {
            sha256_fingerprint: Bytes::copy_from_slice(digest.as_ref()),
            ..v1::CertificateIdentity::default()
        };
        v1::ClientCertificate { trust: String::new(), ..of(identity) }
    };
    let outcome = |stated: &v1::ClientCertificate, der: &CertificateDer<'static>, now| {
        why(Demanded::build(stated).unwrap().judge(&shown(&[der]), None, now))
    };
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let own = leaf_params(|_| ()).self_signed(&key).unwrap().der().clone();
    let (issued, other) = (leaf(&root, |_| ()), leaf(&root, |_| ()));
    assert!(outcome(&pinned(&own), &own, NOW).contains("holds: certificate::fingerprint:"));
    assert!(outcome(&pinned(&issued), &issued, NOW).contains("holds"));
    assert!(outcome(&pinned(&issued), &other, NOW).contains("none of the identities"));
    assert!(outcome(&pinned(&own), &own, UnixMs(NOW.0 + 365 * DAY_MS)).contains("expired"));
    let server = leaf(&root, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(outcome(&pinned(&server), &server, NOW).contains("not for callers"));
}

fn list(issuer: &Issuer, revoked: &[u64], change: impl FnOnce(&mut CertificateRevocationListParams)) -> Bytes {
    let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2027, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let mut params = CertificateRevocationListParams {
        this_update: date_time_ymd(2027, 1, 1),
        next_update: date_time_ymd(2027, 2, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    change(&mut params);
    Bytes::copy_from_slice(params.signed_by(issuer).unwrap().der())
}

#[test]
fn what_has_been_revoked_is_refused_and_what_nobody_can_tell_as_stated() {
    let root = authority("root", |_| ());
    let middle = below(&root, "middle", |params| params.serial_number = Some(SerialNumber::from(77)));
    let impostor = authority("root", |_| ());
    let silent = authority("middle", |_| ());
    let machine = leaf(&middle, |_| ());
    let chain = [&machine, &der(&middle)];
    let clean = [list(&root, &[], |_| ()), list(&middle, &[99], |_| ())];
    let stale = |list_of: &Issuer, revoked: &[u64]| {
        list(list_of, revoked, |params| {
            (params.this_update, params.next_update) = (date_time_ymd(2026, 11, 1), date_time_ymd(2026, 12, 1));
        })
    };
    let (revoked, untold) = ("has been revoked", "no list tells");
    for (lists, denied, allowed) in [
        (clean.to_vec(), "holds", "holds"),
        (vec![clean[0].clone(), list(&middle, &[SERIAL], |_| ())], revoked, revoked),
        (vec![list(&root, &[77], |_| ()), clean[1].clone()], revoked, revoked),
        (vec![clean[1].clone()], untold, "holds"),
        (vec![clean[0].clone()], untold, "holds"),
        (vec![clean[0].clone(), stale(&middle, &[])], "are not current", "holds"),
        (vec![clean[0].clone(), stale(&middle, &[SERIAL])], revoked, revoked),
        // Whichever of several stands first.
        (vec![clean[0].clone(), clean[1].clone(), list(&middle, &[SERIAL], |_| ())], revoked, revoked),
        (vec![clean[0].clone(), stale(&middle, &[]), list(&middle, &[SERIAL], |_| ())], revoked, revoked),
        (vec![clean[0].clone(), stale(&middle, &[SERIAL]), clean[1].clone()], revoked, revoked),
        (vec![stale(&root, &[]), clean[0].clone(), clean[1].clone()], "holds", "holds"),
        // Somebody else's of the same name says nothing.
        (vec![list(&impostor, &[77], |_| ()), clean[1].clone()], untold, "holds"),
        (vec![list(&impostor, &[77], |_| ()), clean[0].clone(), clean[1].clone()], "holds", "holds"),
        (vec![clean[0].clone(), clean[1].clone(), list(&silent, &[SERIAL], |_| ())], "holds", "holds"),
        (
            vec![clean[0].clone(), list(&middle, &[], |params| params.this_update = date_time_ymd(2027, 1, 20))],
            untold,
            "holds",
        ),
    ] {
        for (unknown_allowed, expected) in [(false, denied), (true, allowed)] {
            let trusted = v1::ClientTrust { crls: lists.clone(), unknown_allowed, ..trust(&[&root]) };
            let outcome = why(judge(&anybody(), &trusted, &chain));
            assert!(outcome.contains(expected), "{unknown_allowed} {expected}: {outcome}");
        }
    }
    let trusted = v1::ClientTrust { crls: clean.to_vec(), ..trust(&[&root]) };
    let next = UnixMs::from_seconds(date_time_ymd(2027, 2, 1).unix_timestamp());
    assert_eq!(judge(&anybody(), &trusted, &chain).unwrap().until, next, "it is judged anew when the next list is due");
    assert!(why(judge_at(&anybody(), &trusted, &chain, next)).contains("are not current"));
    let mute = authority("mute", |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    let by_mute =
        Issuer::self_signed(authority_params("mute", |_| ()), KeyPair::try_from(mute.key().serialize_der()).unwrap());
    let lists = vec![list(&by_mute.unwrap(), &[], |_| ())];
    let trusted = v1::ClientTrust { crls: lists, ..trust(&[&mute]) };
    assert!(why(judge(&anybody(), &trusted, &[&leaf(&mute, |_| ())])).contains("no list tells"), "it may sign none");
}

#[test]
fn who_may_not_sign_others_vouches_for_nobody() {
    let root = authority("root", |_| ());
    let middle = below(&root, "middle", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let outcome = why(judge(&anybody(), &trust(&[&root]), &[&leaf(&middle, |_| ()), &der(&middle)]));
    assert!(outcome.contains("may not sign others"), "{outcome}");
    let key = KeyPair::generate().unwrap();
    let own = bytes(&leaf_params(|_| ()).self_signed(&key).unwrap().der().clone());
    let mute = authority("mute", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    for anchor in [own, bytes(&der(&mute))] {
        let refused =
            ClientTrust::build(&v1::ClientTrust { ca_certificates: vec![anchor], ..v1::ClientTrust::default() });
        assert!(refused.err().is_some_and(|why| why.contains("may not sign others")));
    }
}

/// A stranger makes these, and nobody is to search long for where they lead.
#[test]
fn what_only_makes_work_is_put_aside() {
    let (root, other) = (authority("root", |_| ()), authority("other", |_| ()));
    let purposes = |count: u64| {
        let others =
            (0..count).map(|number| ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 99999, number])).collect();
        below(&other, "other", |params| params.extended_key_usages = others)
    };
    let (few, many) = (purposes(20), purposes(40));
    let outcome = |issuer: &Issuer| why(judge(&anybody(), &trust(&[&root]), &[&leaf(issuer, |_| ()), &der(issuer)]));
    assert!(outcome(&few).contains("not trusted") && outcome(&many).contains("cannot be read"));
    assert!(outcome(&few).len() < 200, "what stands in it is not repeated: {}", outcome(&few));
    let names = |count: usize| {
        (0..count).map(|at| SanType::DnsName(format!("a{at}.example.com").try_into().unwrap())).collect::<Vec<_>>()
    };
    let with_names = |count| leaf(&root, |params| params.subject_alt_names = names(count));
    assert!(judge(&anybody(), &trust(&[&root]), &[&with_names(256)]).is_ok());
    assert_eq!(judge(&anybody(), &trust(&[&root]), &[&with_names(257)]).unwrap_err(), CertificateFault::Unreadable);
}

#[test]
fn a_name_that_cannot_be_read_is_nobodys() {
    let root = authority("root", |_| ());
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, DnValue::BmpString("loader".try_into().unwrap()));
    let machine = leaf(&root, |params| params.distinguished_name = name);
    for text in ["loader", "\u{fffd}", ""] {
        let stated = of(v1::CertificateIdentity { subject: distinguished(&[("2.5.4.3", text)]), ..Default::default() });
        assert_eq!(judge(&stated, &trust(&[&root]), &[&machine]).unwrap_err(), CertificateFault::Identity, "{text}");
    }
    assert!(judge(&anybody(), &trust(&[&root]), &[&machine]).is_ok());
}

#[test]
fn what_cannot_be_parsed_trusts_nobody() {
    let root = authority("root", |_| ());
    for broken in [
        v1::ClientTrust::default(),
        v1::ClientTrust { ca_certificates: vec![Bytes::from_static(b"nonsense")], ..trust(&[&root]) },
        v1::ClientTrust { crls: vec![Bytes::from_static(b"nonsense")], ..trust(&[&root]) },
    ] {
        assert!(ClientTrust::build(&broken).is_err());
    }
    let bare = |identity| v1::ClientCertificate { trust: String::new(), ..of(identity) };
    for broken in [
        v1::ClientCertificate { trust: String::new(), ..anybody() },
        bare(uri("a:b")),
        of(v1::CertificateIdentity::default()),
        of(v1::CertificateIdentity { serial_number: "1".into(), ..v1::CertificateIdentity::default() }),
    ] {
        assert!(Demanded::build(&broken).is_err(), "{broken:?}");
    }
}

#[test]
fn a_name_is_written_as_rfc_4514_has_it() {
    let root = authority("root", |_| ());
    let mut name = named(&[
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, " Sons, Daughters + Co"),
        (DnType::CommonName, "#1"),
    ]);
    name.push(DnType::CustomDnType(vec![1, 2, 3]), DnValue::Utf8String("x".into()));
    let machine = leaf(&root, |params| params.distinguished_name = name);
    let shown = shown(&[&machine]);
    assert_eq!(shown.facts().unwrap().subject.written(), r"1.2.3=x,CN=\#1,O=\ Sons\, Daughters \+ Co,C=DE");
    assert_eq!(shown.facts().unwrap().ips_written(), ["192.0.2.1"]);
    assert!(shown.rfc9440().starts_with(":MII") && shown.rfc9440().ends_with(':'));
}
