//! How passwords are judged, and how often a hash is computed.

use sallyport_snapshot::v1;

use super::remembered::{RIGHT_FOR_MS, WRONG_FOR_MS};
use super::*;

/// Of "pässword" and of "päss:wörd".
const ARGON2: &str = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$uec2fzdciZM+CBiiUAXQEF7ZKz42iQUTDNtOs7UWxG4";
const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6";
const NOW: UnixMs = UnixMs(1_800_000_000_000);

fn users(logins: &[(&str, &str)]) -> PasswordFile {
    PasswordFile::build(&message(logins), None).unwrap()
}

fn message(logins: &[(&str, &str)]) -> v1::PasswordFile {
    let login = |(user, hash): &(&str, &str)| v1::Login {
        user: (*user).into(),
        password_hash: Some(v1::Secret { value: hash.as_bytes().to_vec().into() }),
    };
    v1::PasswordFile { logins: logins.iter().map(login).collect() }
}

struct World {
    passwords: Passwords,
    counters: Counters,
    file: Arc<str>,
}

impl World {
    fn new() -> Self {
        let counters = Counters::default();
        Self { passwords: Passwords::new(counters.clone()).unwrap(), counters, file: "shop/staff/htpasswd".into() }
    }

    async fn at(
        &self,
        users: &PasswordFile,
        (user, password): (&str, &str),
        (patience, now): (Patience, UnixMs),
    ) -> Result<Verdict, Unjudged> {
        let login = Login { file: &self.file, users, user, password: password.as_bytes() };
        self.passwords.judge(login, patience, now).await
    }

    async fn judge(&self, users: &PasswordFile, user: &str, password: &str) -> Result<Verdict, Unjudged> {
        self.at(users, (user, password), (Patience::Waits, NOW)).await
    }

    /// Hashes that were computed, and those that were not.
    fn hashed(&self) -> [u64; 3] {
        [&self.counters.right, &self.counters.wrong, &self.counters.busy].map(Counter::get)
    }
}

/// Waits for what has to come.
async fn soon<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looks = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), looks).await.expect("it comes")
}

#[tokio::test]
async fn a_user_has_one_password() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2), ("ben", BCRYPT)]));
    for (user, password, verdict) in [
        ("anna", "pässword", Verdict::Right),
        ("ben", "päss:wörd", Verdict::Right),
        ("anna", "päss:wörd", Verdict::Wrong),
        ("ben", "pässword", Verdict::Wrong),
        ("Anna", "pässword", Verdict::Wrong),
        ("cleo", "pässword", Verdict::Wrong),
        ("", "", Verdict::Wrong),
    ] {
        assert_eq!(world.judge(&users, user, password).await, Ok(verdict), "{user} {password}");
    }
    assert_eq!(world.hashed(), [2, 5, 0], "of users who are not there as well");
}

/// Whoever knows the password of the dearest line is not thereby everybody.
#[tokio::test]
async fn who_is_not_there_gets_in_by_no_password() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2)]));
    assert_eq!(world.judge(&users, "nobody", "pässword").await, Ok(Verdict::Wrong));
    assert_eq!(world.judge(&users, "anna", "pässword").await, Ok(Verdict::Right));
    assert_eq!(world.judge(&users, "nobody", "pässword").await, Ok(Verdict::Wrong), "remembered apart");
}

#[tokio::test]
async fn what_was_found_out_holds_for_a_while_and_for_that_line_alone() {
    let (world, both) = (World::new(), users(&[("anna", BCRYPT)]));
    let after = |ms| (Patience::Waits, UnixMs(NOW.0 + ms));
    for (ms, hashed) in [(0, [1, 0, 0]), (RIGHT_FOR_MS - 1, [1, 0, 0]), (RIGHT_FOR_MS, [2, 0, 0])] {
        assert_eq!(world.at(&both, ("anna", "päss:wörd"), after(ms)).await, Ok(Verdict::Right));
        assert_eq!(world.hashed(), hashed, "{ms}");
    }
    assert_eq!(world.at(&both, ("anna", "päss:wörd"), after(0)).await, Ok(Verdict::Right), "the clock was set back");
    assert_eq!(world.hashed(), [3, 0, 0], "which prolongs nothing");
    for (ms, hashed) in [(0, [3, 1, 0]), (WRONG_FOR_MS - 1, [3, 1, 0]), (WRONG_FOR_MS, [3, 2, 0])] {
        assert_eq!(world.at(&both, ("anna", "guess"), after(ms)).await, Ok(Verdict::Wrong));
        assert_eq!(world.hashed(), hashed, "{ms}");
    }
    let changed = users(&[("anna", ARGON2)]);
    assert_eq!(world.judge(&changed, "anna", "päss:wörd").await, Ok(Verdict::Wrong), "another password now");
    let gone = users(&[("ben", BCRYPT)]);
    assert_eq!(world.judge(&gone, "anna", "päss:wörd").await, Ok(Verdict::Wrong));
    let other = World { file: "other/staff/htpasswd".into(), ..world };
    assert_eq!(other.judge(&both, "anna", "päss:wörd").await, Ok(Verdict::Right));
    assert_eq!(other.hashed()[0], 4, "what another file says is asked anew");
}

#[tokio::test]
async fn one_password_that_many_ask_about_is_hashed_once() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2)]));
    let asking = (0..100).map(|_| world.judge(&users, "anna", "pässword"));
    assert!(futures_util::future::join_all(asking).await.iter().all(|verdict| *verdict == Ok(Verdict::Right)));
    assert_eq!(world.hashed(), [1, 0, 0]);
    assert!(world.passwords.under_way.is_idle());
}

#[tokio::test]
async fn more_than_can_be_hashed_is_not_waited_for() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2)]));
    let guesses: Vec<_> = (0..100).map(|guess| format!("guess {guess}")).collect();
    let asking = guesses.iter().map(|guess| world.judge(&users, "anna", guess));
    let verdicts = futures_util::future::join_all(asking).await;
    let wrong = verdicts.iter().filter(|verdict| **verdict == Ok(Verdict::Wrong)).count();
    let busy = verdicts.iter().filter(|verdict| **verdict == Err(Unjudged::Busy)).count();
    assert_eq!((wrong, busy), (32, 68), "as many as one namespace may have in the queue");
    assert_eq!(world.hashed(), [0, 32, 68]);
    assert!(world.passwords.under_way.is_idle());
    assert_eq!(world.judge(&users, "anna", "pässword").await, Ok(Verdict::Right), "and then there is room again");
}

/// All of them together, not one after the other.
#[tokio::test(start_paused = true)]
async fn those_who_wait_for_the_same_give_up_together() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2)]));
    let held: Vec<_> = std::iter::from_fn(|| world.passwords.turns.try_take("other", 0)).collect();
    let began = tokio::time::Instant::now();
    let asking = (0..50).map(|_| world.judge(&users, "anna", "pässword"));
    let verdicts = futures_util::future::join_all(asking).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Err(Unjudged::Busy)), "{verdicts:?}");
    assert!(began.elapsed().as_secs() < 6, "{:?}", began.elapsed());
    assert_eq!(world.hashed(), [0, 0, 1]);
    drop(held);
    assert_eq!(world.judge(&users, "anna", "pässword").await, Ok(Verdict::Right));
}

/// Who is told by the time who is there? Strangers are as the users are: of some the hash is dear, of some it is cheap.
#[test]
fn strangers_take_as_long_as_users_do() {
    let dear = BCRYPT.replacen("$04$", "$12$", 1);
    let names: Vec<_> = (0..100).map(|number| format!("user{number}")).collect();
    let hash = |number: usize| if number < 25 { &*dear } else { BCRYPT };
    let logins: Vec<_> = names.iter().enumerate().map(|(number, name)| (&**name, hash(number))).collect();
    let is_dear =
        |users: &PasswordFile, stranger: usize| users.stand_in(&format!("stranger{stranger}")).unwrap().text() == dear;
    let before = users(&logins);
    let found = (0..2000).filter(|stranger| is_dear(&before, *stranger)).count();
    assert!((400..600).contains(&found), "a quarter: {found}");
    // Another line more, another line gone, another dear one that becomes a cheap one.
    let cheaper = BCRYPT.replacen("$04$", "$05$", 1);
    let changes = [
        [&logins[..], &[("one-more", &*dear)]].concat(),
        logins[1..].to_vec(),
        [&logins[1..], &[("user0", &*cheaper)]].concat(),
    ];
    for after in changes {
        let after = users(&after);
        let changed = (0..2000).filter(|stranger| is_dear(&before, *stranger) != is_dear(&after, *stranger)).count();
        assert!(changed < 100, "{changed} are told by one line");
    }
}

/// A line that is changed, or added, costs nobody else a hash.
#[tokio::test]
async fn what_is_known_of_other_lines_stays_when_the_file_changes() {
    let (world, before) = (World::new(), users(&[("anna", BCRYPT), ("ben", BCRYPT)]));
    assert_eq!(world.judge(&before, "anna", "päss:wörd").await, Ok(Verdict::Right));
    let after = PasswordFile::build(&message(&[("anna", BCRYPT), ("ben", ARGON2)]), Some(&before)).unwrap();
    assert_eq!(world.judge(&after, "anna", "päss:wörd").await, Ok(Verdict::Right));
    assert_eq!(world.hashed(), [1, 0, 0]);
    let larger = message(&[("anna", BCRYPT), ("ben", ARGON2), ("cleo", BCRYPT), ("dora", BCRYPT)]);
    let larger = PasswordFile::build(&larger, Some(&after)).unwrap();
    assert_eq!(world.judge(&larger, "anna", "päss:wörd").await, Ok(Verdict::Right));
    assert_eq!(world.hashed(), [1, 0, 0]);
}

/// Else whom a change concerns were told by the time: a guess at anybody else would be remembered.
#[tokio::test]
async fn what_was_wrong_is_forgotten_when_the_file_changes() {
    let (world, before) = (World::new(), users(&[("anna", BCRYPT), ("ben", BCRYPT)]));
    let after = PasswordFile::build(&message(&[("anna", BCRYPT), ("ben", ARGON2)]), Some(&before)).unwrap();
    for (file, hashed) in [(&before, 2), (&before, 2), (&after, 4)] {
        for user in ["anna", "nobody"] {
            assert_eq!(world.judge(file, user, "guess").await, Ok(Verdict::Wrong));
        }
        assert_eq!(world.hashed(), [0, hashed, 0]);
    }
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_remembered() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2)]));
    let mut asking = Box::pin(world.judge(&users, "anna", "pässword"));
    assert!(futures_util::poll!(&mut asking).is_pending());
    drop(asking);
    assert!(world.passwords.under_way.is_idle());
    soon(async || (world.hashed() != [0, 0, 0]).then_some(())).await;
    assert_eq!(world.judge(&users, "anna", "pässword").await, Ok(Verdict::Right));
    assert_eq!(world.hashed(), [1, 0, 0]);
}

#[tokio::test]
async fn what_is_only_reported_waits_for_nothing_and_hashes_seldom() {
    let (world, users) = (World::new(), users(&[("anna", ARGON2)]));
    let asks =
        async |password: &str, ms| world.at(&users, ("anna", password), (Patience::AsksOnly, UnixMs(NOW.0 + ms))).await;
    assert_eq!(asks("pässword", 0).await, Err(Unjudged::NotAwaited));
    assert_eq!(asks("guess", 1).await, Err(Unjudged::NotAwaited), "not so soon after");
    soon(async || asks("pässword", 2).await.ok()).await;
    assert_eq!(asks("pässword", 3).await, Ok(Verdict::Right));
    assert_eq!(asks("guess", 4).await, Err(Unjudged::NotAwaited));
    assert_eq!(world.hashed(), [1, 0, 0]);
}

#[test]
fn a_file_that_cannot_be_read_whole_is_none() {
    for (logins, word) in [
        (message(&[]), "no user"),
        (message(&[("anna", "secret")]), "login 0"),
        (message(&[("anna", BCRYPT), ("anna", ARGON2)]), "listed twice"),
        (v1::PasswordFile { logins: vec![v1::Login { user: "anna".into(), password_hash: None }] }, "login 0"),
    ] {
        let why = PasswordFile::build(&logins, None).unwrap_err();
        assert!(why.contains(word) && !why.contains("anna"), "{why}");
    }
}
