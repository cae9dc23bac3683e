//! Every combination of version, cloud, tenant, audience and caller, and what else can be wrong with a token.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::clock::UnixMs;
use crate::jwt::{Claims, KeyRing, Rules, hint, verify};

const NOW_S: i64 = 1_800_000_000;
const OWN: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "99999999-2222-3333-4444-555555555555";
/// Of personal accounts.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const STRANGER: &str = "66666666-7777-8888-9999-ffffffffffff";
const API: &str = "0c0ffee0-0000-0000-0000-000000000000";
const API_URI: &str = "api://orders";
const PUBLIC: [&str; 2] = ["https://sts.windows.net/{tenantid}/", "https://login.microsoftonline.com/{tenantid}/v2.0"];

/// A cloud with three keys: one for all tenants, one for consumers alone, and one that does not say.
struct Cloud {
    keys: [RsaKeyPair; 3],
    ring: KeyRing,
}

#[derive(Clone, Copy)]
enum Signer {
    AllTenants,
    Consumers,
    Unsaid,
}

impl Cloud {
    fn new() -> Self {
        let keys = [(); 3].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let consumers = PUBLIC[1].replace(TENANT, CONSUMERS);
        let said = [Some(PUBLIC[1]), Some(consumers.as_str()), None];
        let entries = keys.iter().zip(said).enumerate().map(|(at, (key, issuer))| {
            let public = key.public_key();
            let [n, e] =
                [public.modulus(), public.exponent()].map(|part| encode(part.big_endian_without_leading_zero()));
            let mut entry = json!({ "kty": "RSA", "use": "sig", "kid": at.to_string(), "n": n, "e": e });
            if let Some(issuer) = issuer {
                entry["issuer"] = json!(issuer);
            }
            entry
        });
        let entries = entries.collect::<Vec<_>>();
        let ring = KeyRing::parse(json!({ "keys": entries }).to_string().as_bytes()).unwrap();
        Self { keys, ring }
    }

    fn sign(&self, header: Value, claims: &Value, signer: Signer) -> String {
        let at = signer as usize;
        let mut full = json!({ "typ": "JWT", "alg": "RS256", "kid": at.to_string() });
        full.as_object_mut().unwrap().extend(header.as_object().cloned().unwrap());
        let signed = format!("{}.{}", encode(full.to_string()), encode(claims.to_string()));
        let mut signature = vec![0; self.keys[at].public_modulus_len()];
        self.keys[at].sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", encode(signature))
    }

    fn judge(&self, token: &str, rules: &v1::Jwt) -> Result<Claims, TokenFault> {
        verify(token, &Rules::build(rules).unwrap(), Some(&self.ring), UnixMs::from_seconds(NOW_S))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One tenant of the public cloud, one client, the API by both its names.
fn rules() -> v1::Jwt {
    v1::Jwt {
        audiences: [API, API_URI].map(str::to_owned).to_vec(),
        algorithms: vec!["RS256".into()],
        clock_skew_s: 60,
        entra_id: Some(v1::EntraId {
            tenants: vec![OWN.into()],
            client_applications: vec![CLIENT.into()],
            issuer_v1: PUBLIC[0].into(),
            issuer_v2: PUBLIC[1].into(),
            issuer_of_keys: PUBLIC[1].into(),
            any_tenant: false,
        }),
        ..v1::Jwt::default()
    }
}

fn with(change: impl FnOnce(&mut v1::Jwt, &mut v1::EntraId)) -> v1::Jwt {
    let mut rules = rules();
    let mut entra = rules.entra_id.take().unwrap();
    change(&mut rules, &mut entra);
    v1::Jwt { entra_id: Some(entra), ..rules }
}

fn v1_token() -> Value {
    json!({ "ver": "1.0", "iss": PUBLIC[0].replace(TENANT, OWN), "tid": OWN, "aud": API_URI, "appid": CLIENT, "oid": "o", "sub": "s",
            "exp": NOW_S + 300, "iat": NOW_S - 10, "nbf": NOW_S - 10 })
}

fn v2_token() -> Value {
    json!({ "ver": "2.0", "iss": PUBLIC[1].replace(TENANT, OWN), "tid": OWN, "aud": API, "azp": CLIENT, "oid": "o", "sub": "s",
            "exp": NOW_S + 300, "iat": NOW_S - 10, "nbf": NOW_S - 10 })
}

fn changed(mut token: Value, change: Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            token.as_object_mut().unwrap().remove(name);
        } else {
            token[name] = value.clone();
        }
    }
    token
}

#[test]
fn of_all_combinations_the_one_that_fits_is_admitted() {
    let cloud = Cloud::new();
    let clouds = [
        (PUBLIC, true),
        // Tokens of version 1.0 are called alike there: the keys tell the two clouds apart.
        (["https://sts.windows.net/{tenantid}/", "https://login.microsoftonline.us/{tenantid}/v2.0"], false),
        (
            ["https://sts.chinacloudapi.cn/{tenantid}/", "https://login.partner.microsoftonline.cn/{tenantid}/v2.0"],
            false,
        ),
    ];
    let (mut admitted, mut refused) = (0, 0);
    for (versions, takes) in
        [(["1.0", "2.0"].as_slice(), [true, true]), (&["1.0"], [true, false]), (&["2.0"], [false, true])]
    {
        let rules = with(|_, entra| {
            entra.issuer_v1 = if versions.contains(&"1.0") { PUBLIC[0].into() } else { String::new() };
            entra.issuer_v2 = if versions.contains(&"2.0") { PUBLIC[1].into() } else { String::new() };
        });
        for (version, base) in [v1_token(), v2_token()].into_iter().enumerate() {
            for (issuers, is_own) in clouds {
                let own_name = is_own || issuers[version] == PUBLIC[version];
                for (tenant, audience, caller) in [
                    (OWN, API, CLIENT),
                    (OWN, API_URI, CLIENT),
                    (OTHER, API, CLIENT),
                    (CONSUMERS, API, CLIENT),
                    (OWN, CLIENT, CLIENT),
                    (OWN, "api://other", CLIENT),
                    (OWN, API, STRANGER),
                    (OTHER, "api://other", STRANGER),
                ] {
                    let member = ["appid", "azp"][version];
                    let token = changed(
                        base.clone(),
                        json!({ "iss": issuers[version].replace(TENANT, tenant), "tid": tenant, "aud": audience, member: caller }),
                    );
                    let is_right = takes[version]
                        && own_name
                        && tenant == OWN
                        && [API, API_URI].contains(&audience)
                        && caller == CLIENT;
                    let verdict = cloud.judge(&cloud.sign(json!({}), &token, Signer::AllTenants), &rules);
                    assert_eq!(verdict.is_ok(), is_right, "{token} by {versions:?}: {verdict:?}");
                    if is_right { admitted += 1 } else { refused += 1 }
                }
            }
        }
    }
    assert!(admitted == 12 && refused == 132, "{admitted} {refused}");
}

#[test]
fn single_mistakes_are_refused_and_told_apart() {
    use TokenFault as F;
    let cloud = Cloud::new();
    let v2_name = PUBLIC[1].replace(TENANT, OWN);
    for (base, change, fault) in [
        (v1_token(), json!({ "ver": "2.0" }), F::Issuer),
        (v2_token(), json!({ "ver": "1.0" }), F::Issuer),
        (v2_token(), json!({ "ver": null }), F::Version),
        (v2_token(), json!({ "ver": "2" }), F::Version),
        (v2_token(), json!({ "ver": 2.0 }), F::Version),
        (v2_token(), json!({ "ver": "3.0" }), F::Version),
        (v2_token(), json!({ "tid": null }), F::Tenant),
        (v2_token(), json!({ "tid": "" }), F::Tenant),
        (v2_token(), json!({ "tid": "common" }), F::Tenant),
        (v2_token(), json!({ "tid": [OWN] }), F::Tenant),
        (v2_token(), json!({ "tid": OWN.replace('1', "A"), "iss": v2_name.replace('1', "A") }), F::Tenant),
        (v2_token(), json!({ "tid": "{tenantid}", "iss": PUBLIC[1] }), F::Tenant),
        (v2_token(), json!({ "tid": OTHER }), F::Issuer),
        (v2_token(), json!({ "tid": OTHER, "iss": PUBLIC[1].replace(TENANT, OTHER) }), F::Tenant),
        (v2_token(), json!({ "iss": null }), F::Issuer),
        (v2_token(), json!({ "iss": PUBLIC[1] }), F::Issuer),
        (v2_token(), json!({ "iss": PUBLIC[1].replace(TENANT, OTHER) }), F::Issuer),
        (v2_token(), json!({ "iss": format!("{v2_name}/") }), F::Issuer),
        (v2_token(), json!({ "iss": v2_name.to_uppercase() }), F::Issuer),
        (v2_token(), json!({ "iss": format!("https://evil.example/{OWN}/v2.0") }), F::Issuer),
        (v1_token(), json!({ "iss": format!("https://sts.windows.net/{OWN}") }), F::Issuer),
        (v2_token(), json!({ "azp": null }), F::ClaimForm("azp, or appid,")),
        (v2_token(), json!({ "azp": null, "appid": CLIENT }), F::ClaimForm("azp, or appid,")),
        (v2_token(), json!({ "azp": STRANGER, "appid": CLIENT }), F::ClaimForm("azp, or appid,")),
        (v2_token(), json!({ "azp": CLIENT, "appid": STRANGER }), F::ClaimForm("azp, or appid,")),
        (v2_token(), json!({ "azp": [CLIENT] }), F::ClaimForm("azp, or appid,")),
        (v1_token(), json!({ "appid": null, "azp": CLIENT }), F::ClaimForm("azp, or appid,")),
        (v2_token(), json!({ "azp": STRANGER }), F::ClientApplication),
        (v2_token(), json!({ "azp": CLIENT.to_uppercase().replace('0', "A") }), F::ClientApplication),
        (v2_token(), json!({ "oid": null }), F::ClaimForm("oid")),
        (v2_token(), json!({ "oid": "" }), F::ClaimForm("oid")),
        (v2_token(), json!({ "oid": 7 }), F::ClaimForm("oid")),
        (v2_token(), json!({ "sub": 7 }), F::ClaimForm("sub")),
        (v2_token(), json!({ "cnf": {} }), F::Bound),
        (v2_token(), json!({ "exp": NOW_S - 100 }), F::Expired),
    ] {
        let token = changed(base, change);
        let verdict = cloud.judge(&cloud.sign(json!({}), &token, Signer::AllTenants), &rules());
        assert_eq!(verdict.err(), Some(fault), "{token}");
    }
}

#[test]
fn whoever_calls_has_one_identity_in_both_versions() {
    let cloud = Cloud::new();
    for token in [
        v1_token(),
        v2_token(),
        changed(v2_token(), json!({ "appid": CLIENT })),
        changed(v2_token(), json!({ "sub": null })),
    ] {
        let claims = cloud.judge(&cloud.sign(json!({}), &token, Signer::AllTenants), &rules()).unwrap();
        assert_eq!(claims.identity(), format!("entra:36:{OWN}:o"));
    }
}

#[test]
fn a_key_signs_for_those_alone_that_it_says() {
    let cloud = Cloud::new();
    let any = with(|jwt, entra| {
        (entra.tenants, entra.any_tenant) = (vec![], true);
        jwt.audiences = vec![API.into(), format!("api://{API}")];
    });
    let of = |version: usize, tenant: &str| {
        let base = if version == 0 { v1_token() } else { v2_token() };
        let aud = [format!("api://{API}"), API.to_owned()];
        changed(base, json!({ "tid": tenant, "iss": PUBLIC[version].replace(TENANT, tenant), "aud": aud[version] }))
    };
    for version in [0, 1] {
        for (tenant, signer, is_right) in [
            (OWN, Signer::AllTenants, true),
            (OTHER, Signer::AllTenants, true),
            (CONSUMERS, Signer::Consumers, true),
            (OWN, Signer::Unsaid, true),
            (OWN, Signer::Consumers, false),
            (OTHER, Signer::Consumers, false),
        ] {
            let verdict = cloud.judge(&cloud.sign(json!({}), &of(version, tenant), signer), &any);
            assert_eq!(verdict.as_ref().err(), (!is_right).then_some(&TokenFault::KeyOfOther), "{tenant} {version}");
        }
    }
    let elsewhere = with(|_, entra| entra.issuer_of_keys = "https://login.microsoftonline.us/{tenantid}/v2.0".into());
    let verdict = cloud.judge(&cloud.sign(json!({}), &v1_token(), Signer::AllTenants), &elsewhere);
    assert_eq!(verdict.err(), Some(TokenFault::KeyOfOther), "another cloud's key, though it calls its issuer alike");
}

#[test]
fn a_key_that_is_listed_twice_signs_for_both() {
    let cloud = Cloud::new();
    let public = cloud.keys[0].public_key();
    let [n, e] = [public.modulus(), public.exponent()].map(|part| encode(part.big_endian_without_leading_zero()));
    let entry = |issuer: &str| json!({ "kty": "RSA", "kid": "0", "n": n, "e": e, "issuer": issuer });
    let token = cloud.sign(json!({}), &v2_token(), Signer::AllTenants);
    let rules = Rules::build(&rules()).unwrap();
    let consumers = PUBLIC[1].replace(TENANT, CONSUMERS);
    for (issuers, is_right) in
        [(vec![&*consumers, PUBLIC[1]], true), (vec![PUBLIC[1], &consumers], true), (vec![&consumers], false)]
    {
        let entries: Vec<_> = issuers.iter().map(|issuer| entry(issuer)).collect();
        let ring = KeyRing::parse(json!({ "keys": entries }).to_string().as_bytes()).unwrap();
        assert_eq!(verify(&token, &rules, Some(&ring), UnixMs::from_seconds(NOW_S)).is_ok(), is_right, "{issuers:?}");
    }
    for odd in [json!(null), json!(7), json!([PUBLIC[1]]), json!("")] {
        let mut entry = entry("");
        entry["issuer"] = odd;
        let ring = KeyRing::parse(json!({ "keys": [entry] }).to_string().as_bytes()).unwrap();
        let verdict = verify(&token, &rules, Some(&ring), UnixMs::from_seconds(NOW_S));
        assert_eq!(verdict.err(), Some(TokenFault::KeyOfOther));
    }
}

#[test]
fn groups_that_are_left_out_meet_no_rule_about_them() {
    let cloud = Cloud::new();
    let by = |claim: &str, change: fn(&mut v1::ClaimRule)| {
        let mut rule = v1::ClaimRule { name: claim.into(), ..v1::ClaimRule::default() };
        change(&mut rule);
        with(|jwt, _| jwt.claims = vec![rule])
    };
    let left_out = json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://graph.microsoft.com/" } } });
    let odd =
        [json!({ "_claim_names": "groups" }), json!({ "_claim_names": ["groups"] }), json!({ "_claim_names": 7 })];
    for token in odd {
        let token = cloud.sign(json!({}), &changed(v2_token(), token), Signer::AllTenants);
        let rule = by("roles", |rule| rule.none_of = vec!["a".into()]);
        assert_eq!(cloud.judge(&token, &rule).err(), Some(TokenFault::LeftOut), "nobody can tell what it names");
    }
    let roles = json!({ "_claim_names": { "roles": "src1" } });
    let token = cloud.sign(json!({}), &changed(v2_token(), roles), Signer::AllTenants);
    assert!(cloud.judge(&token, &by("roles", |rule| rule.none_of = vec!["a".into()])).is_err());
    assert!(cloud.judge(&token, &by("wids", |rule| rule.none_of = vec!["a".into()])).is_ok());
    for token in [left_out, json!({ "hasgroups": true }), json!({ "hasgroups": "true" })] {
        let token = cloud.sign(json!({}), &changed(v2_token(), token), Signer::AllTenants);
        for (rules, fault) in [
            (by("groups", |rule| rule.any_of = vec!["a".into()]), Some(TokenFault::LeftOut)),
            (by("groups", |rule| rule.all_of = vec!["a".into()]), Some(TokenFault::LeftOut)),
            (by("groups", |rule| rule.none_of = vec!["a".into()]), Some(TokenFault::LeftOut)),
            (by("roles", |rule| rule.none_of = vec!["a".into()]), None),
            (rules(), None),
        ] {
            assert_eq!(cloud.judge(&token, &rules).err(), fault, "{:?}", rules.claims);
        }
    }
    let there =
        cloud.sign(json!({}), &changed(v2_token(), json!({ "groups": ["a"], "hasgroups": false })), Signer::AllTenants);
    assert!(cloud.judge(&there, &by("groups", |rule| rule.any_of = vec!["a".into()])).is_ok());
    assert!(cloud.judge(&there, &by("groups", |rule| rule.none_of = vec!["a".into()])).is_err());
}

#[test]
fn usual_mistakes_are_named() {
    let cloud = Cloud::new();
    let only_v2 = with(|_, entra| entra.issuer_v1 = String::new());
    let only_v1 = with(|_, entra| entra.issuer_v2 = String::new());
    let uris = with(|jwt, _| jwt.audiences = vec![API_URI.into()]);
    let ids = with(|jwt, _| jwt.audiences = vec![API.into()]);
    let scoped = with(|jwt, _| jwt.scopes = vec!["orders.read".into()]);
    let grouped = with(|jwt, _| {
        jwt.claims = vec![v1::ClaimRule { name: GROUPS.into(), any_of: vec!["a".into()], ..v1::ClaimRule::default() }]
    });
    let graph = "00000003-0000-0000-c000-000000000000";
    let forged = |token: String| format!("{}AAAA", token.trim_end_matches(|letter| letter != '.'));
    let us = format!("https://login.microsoftonline.us/{OWN}/v2.0");
    let b2c = format!("https://contoso.b2clogin.com/{OWN}/v2.0/");
    for (header, base, change, rules, named) in [
        (json!({}), v1_token(), json!({}), &only_v2, Some("requestedAccessTokenVersion")),
        (json!({}), v2_token(), json!({}), &only_v1, Some("add V2")),
        (json!({}), v2_token(), json!({ "azp": null }), &rules(), Some("ID token")),
        (json!({}), v2_token(), json!({}), &uris, Some("the id of an application")),
        (json!({}), v1_token(), json!({}), &ids, Some("application ID URI")),
        (json!({}), v2_token(), json!({ "aud": graph }), &rules(), Some("Microsoft Graph")),
        (json!({}), v1_token(), json!({ "aud": "https://graph.microsoft.com" }), &rules(), Some("Microsoft Graph")),
        (json!({}), v2_token(), json!({ "iss": us }), &rules(), Some("another cloud")),
        (json!({}), v2_token(), json!({ "iss": b2c }), &rules(), Some("B2C")),
        (json!({}), v2_token(), json!({ "tid": OTHER }), &rules(), Some("different tenants")),
        (json!({}), v2_token(), json!({ "roles": ["Orders.Read.All"] }), &scoped, Some("scopes never are")),
        (json!({}), v2_token(), json!({ "hasgroups": true }), &grouped, Some("assigned to the application")),
        (json!({}), v2_token(), json!({ "scp": "other" }), &scoped, None),
        (json!({}), v2_token(), json!({ "exp": 1 }), &rules(), None),
        (json!({}), v2_token(), json!({ "aud": "other" }), &rules(), None),
        (json!({}), v2_token(), json!({ "iss": "https://evil.example" }), &rules(), None),
    ] {
        let token = cloud.sign(header, &changed(base, change), Signer::AllTenants);
        let fault = cloud.judge(&token, rules).unwrap_err();
        let told = hint(&token, &Rules::build(rules).unwrap(), &fault);
        assert_eq!(
            told.is_some_and(|told| named.is_some_and(|named| told.contains(named))),
            named.is_some(),
            "{fault}: {told:?}"
        );
        assert!(named.is_some() || told.is_none(), "{fault}: {told:?}");
    }
    let for_graph = forged(cloud.sign(json!({ "nonce": "n" }), &v2_token(), Signer::AllTenants));
    let fault = cloud.judge(&for_graph, &rules()).unwrap_err();
    assert!(
        hint(&for_graph, &Rules::build(&rules()).unwrap(), &fault).is_some_and(|told| told.contains("Graph")),
        "{fault}"
    );
    let of_jwt = v1::Jwt { issuer: "https://login.example.com".into(), entra_id: None, ..rules() };
    assert_eq!(hint(&for_graph, &Rules::build(&of_jwt).unwrap(), &TokenFault::Signature), None);
}

#[test]
fn rules_that_say_too_little_are_not_built() {
    let built = |change: fn(&mut v1::Jwt, &mut v1::EntraId)| Rules::build(&with(change)).map(|_| ());
    assert!(built(|_, _| ()).is_ok());
    for broken in [
        built(|_, entra| entra.tenants = vec![]),
        built(|_, entra| entra.any_tenant = true),
        built(|_, entra| (entra.issuer_v1, entra.issuer_v2) = (String::new(), String::new())),
        built(|_, entra| entra.issuer_v2 = "https://login.microsoftonline.com/v2.0".into()),
        built(|_, entra| entra.issuer_of_keys = "https://login.microsoftonline.com/v2.0".into()),
        built(|jwt, _| jwt.issuer = "https://login.example.com".into()),
        built(|jwt, _| jwt.audiences = vec![]),
        built(|_, entra| entra.tenants.push(OTHER.into())),
        built(|_, entra| (entra.tenants, entra.any_tenant) = (vec![], true)),
        built(|jwt, entra| {
            entra.tenants.push(OTHER.into());
            jwt.audiences = vec![format!("https://orders.example/{API}")];
        }),
    ] {
        assert!(broken.is_err());
    }
}
