//! Hashes that other programs have written (libxcrypt, OpenSSL, the reference implementation of Argon2), and those that are refused.

use super::*;

/// Of each kind, of one password: a colon, and letters of two bytes.
const PASSWORD: &str = "päss:wörd";
const TAKEN: [&str; 6] = [
    "$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6",
    "$2a$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6",
    "$2b$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6",
    "$5$rounds=1000$salt$Q4nDbI..G0Fqx57CshfgYhK6aJ40pBXcBPKYcdWKywD",
    "$6$rounds=1000$saltsaltsaltsalt$ShCeiAeVOE8KoMS9DYvEkCnD6AXzVQmbhp6izlliEnR5dwOzKiIE12f9TCAEUQCy.MVNSn1soxb8JrdBelD8B1",
    "$6$rounds=1000$short$V406gb77FnfYN4TCvUvYIOqgAbyVInIZ51mkjLXGAPt4avfxltlI2zNqo.a9KZSzdsvlwZHZYNYKmBN.dfy.s0",
];
const ARGON2: [&str; 2] = [
    "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$uec2fzdciZM+CBiiUAXQEF7ZKz42iQUTDNtOs7UWxG4",
    "$argon2id$v=19$m=8192,t=2,p=4$c29tZXNhbHRzb21lc2FsdA$kQOtyk78Il69zViFq8lOQR+3rCE1U1qeLtH+WdT7Rkk",
];

fn fits(hash: &str, password: &str) -> bool {
    PasswordHash::parse(hash).unwrap().fits(password.as_bytes())
}

#[test]
fn what_other_programs_have_written_fits_its_password_alone() {
    for hash in TAKEN {
        assert!(fits(hash, PASSWORD), "{hash}");
        // The same letters in another form of Unicode are another password.
        for other in ["", "p\u{e4}ss", "pa\u{308}ss:wo\u{308}rd", "PÄSS:WÖRD", "päss:wörd ", "päss:wörd\0"] {
            assert!(!fits(hash, other), "{hash} {other:?}");
        }
    }
    for hash in ARGON2 {
        assert!(fits(hash, "pässword") && !fits(hash, "password"), "{hash}");
    }
    assert!(fits(
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        "Hello world!"
    ));
    assert!(fits("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"));
}

#[test]
fn a_password_is_refused_and_never_cut() {
    let bcrypt = "$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe";
    let sha512 =
        "$6$rounds=1000$short$kaun1V/YRIO8vcUVLZN5MeQ/QdGhSspVTt2nZYuh7ehYjUdHKzTEkevDmTB2d4.2NKUxJbRKU0b2i8dlizyt81";
    let sha256 = "$5$rounds=1000$short$QLlLhDltW/6.Bv7fqRgMuR9MkWBCq6KqBfwIY5j/9OD";
    for (hash, longest) in [(bcrypt, 72), (sha512, 256), (sha256, 256)] {
        let lengths = [0, 1, 71, 72, 73, 255, 256, 257, 300].into_iter();
        let fitting: Vec<_> = lengths.filter(|length| fits(hash, &"a".repeat(*length))).collect();
        assert_eq!(fitting, [longest], "{hash}");
    }
}

#[test]
fn what_keeps_nobody_out_or_costs_too_much_is_no_hash() {
    use Unfit as U;
    let argon2 = |kind: &str, version: &str, costs: &str| {
        format!("${kind}${version}${costs}$c29tZXNhbHRzb21lc2FsdA$uec2fzdciZM+CBiiUAXQEF7ZKz42iQUTDNtOs7UWxG4")
    };
    let sha512 = |rounds: &str, salt: &str| format!("$6${rounds}{salt}${}.", "a".repeat(85));
    for (hash, why) in [
        ("secret".to_owned(), U::Weak),
        (String::new(), U::Weak),
        ("abPTMrms4XOfg".to_owned(), U::Weak),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".to_owned(), U::Weak),
        ("$1$abcdefgh$IWdtVIahaTpQV2PK3iwkc.".to_owned(), U::Weak),
        ("$apr1$abcdefgh$82JubPF2dQkt1tVfvLnXS.".to_owned(), U::Weak),
        (TAKEN[0].replacen("2y", "2x", 1), U::Weak),
        (TAKEN[0].replacen("2y", "2", 1), U::Weak),
        (TAKEN[0].replacen("$04$", "$03$", 1), U::Cost),
        (TAKEN[0].replacen("$04$", "$14$", 1), U::Cost),
        (TAKEN[0].replacen("$04$", "$31$", 1), U::Cost),
        (TAKEN[0].replacen("$04$", "$4$", 1), U::Form),
        (TAKEN[0].replacen("$04$", "$+4$", 1), U::Form),
        (TAKEN[0][..59].to_owned(), U::Form),
        (format!("{}.", TAKEN[0]), U::Form),
        (TAKEN[0].replacen('a', "é", 1), U::Form),
        (argon2("argon2i", "v=19", "m=8192,t=1,p=1"), U::Argon2Kind),
        (argon2("argon2d", "v=19", "m=8192,t=1,p=1"), U::Argon2Kind),
        (argon2("argon2id", "v=16", "m=8192,t=1,p=1"), U::Argon2Kind),
        (argon2("argon2id", "v=19", "m=8191,t=1,p=1"), U::Cost),
        (argon2("argon2id", "v=19", "m=65537,t=1,p=1"), U::Cost),
        (argon2("argon2id", "v=19", "m=4194304,t=1,p=1"), U::Cost),
        (argon2("argon2id", "v=19", "m=8192,t=6,p=1"), U::Cost),
        (argon2("argon2id", "v=19", "m=8192,t=1,p=5"), U::Cost),
        (argon2("argon2id", "v=19", "m=8192,t=0,p=1"), U::Form),
        (argon2("argon2id", "v=19", "m=x,t=1,p=1"), U::Form),
        ("$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA".to_owned(), U::Form),
        ("$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$Edx7sT0l4SM".to_owned(), U::Form),
        (ARGON2[0].replacen("v=19$", "", 1), U::Argon2Kind),
        (sha512("rounds=999$", "salt"), U::Cost),
        (sha512("rounds=200001$", "salt"), U::Cost),
        (sha512("rounds=999999999$", "salt"), U::Cost),
        (sha512("rounds=+1000$", "salt"), U::Form),
        (sha512("rounds=$", "salt"), U::Form),
        (sha512("cost=1000$", "salt"), U::Form),
        (sha512("", ""), U::Form),
        (sha512("", "saltsaltsaltsalts"), U::Form),
        (sha512("", "sa:lt"), U::Form),
        (sha512("", "salt$more"), U::Form),
        (format!("$6$salt${}", ".".repeat(85)), U::Form),
        (format!("$5$salt${}", ".".repeat(44)), U::Form),
        (format!("$5$salt${}E", "a".repeat(42)), U::Form),
        (format!("$6$salt${}2", "a".repeat(85)), U::Form),
        ("$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D".to_owned(), U::Form),
        ("$y$j9T$salt$hash".to_owned(), U::Form),
    ] {
        assert_eq!(PasswordHash::parse(&hash), Err(why), "{hash}");
    }
}

#[test]
fn the_bounds_themselves_are_taken() {
    let salt = "$c29tZXNhbHRzb21lc2FsdA$uec2fzdciZM+CBiiUAXQEF7ZKz42iQUTDNtOs7UWxG4";
    for hash in [
        TAKEN[0].replacen("$04$", "$13$", 1),
        format!("$argon2id$v=19$m=65536,t=5,p=4{salt}"),
        format!("$6$rounds=200000$salt${}1", "a".repeat(85)),
        format!("$5$rounds=1000$salt${}D", "a".repeat(42)),
    ] {
        assert!(PasswordHash::parse(&hash).is_ok(), "{hash}");
    }
}

#[test]
fn several_have_an_order_of_cost() {
    let work = |hash: &str| PasswordHash::parse(hash).unwrap().work();
    let (cheap, dear) = (TAKEN[0], TAKEN[0].replacen("$04$", "$12$", 1));
    assert!(work(cheap) < work(ARGON2[0]) && work(ARGON2[0]) < work(&dear));
    assert!(work(ARGON2[0]) < work(ARGON2[1]));
}

#[test]
fn nothing_of_a_hash_is_shown() {
    assert_eq!(format!("{:?}", PasswordHash::parse(TAKEN[0])), "Ok(PasswordHash(..))");
}
