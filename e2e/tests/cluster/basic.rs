//! Users with passwords, out of a Secret that changes.

use crate::kit::manifest::{GATEWAY, LOGIN, SERVICE, SHOWN, backend, policy, route};
use crate::kit::world::{World, until};

/// Of "change-me", by `htpasswd -B` and `openssl passwd -6`.
const BCRYPT: &str = "$2y$10$abcdefghijklmnopqrstuuLL/yj83dfjz.vJ1Q40f2H5zyNqFutFS";
const SHA512: &str =
    "$6$orderdesk$Aj9xxEqlEehuo5WTM9/qVmUdz5AkkINB7hyxn3QBrUGK99eoR5CJMkjXb60AL4pVfuQAlaxheaX006VCvipvS.";
/// `anna:change-me`, `anna:guess`, `ben:change-me`.
const ANNA: &str = "Basic YW5uYTpjaGFuZ2UtbWU=";
const GUESS: &str = "Basic YW5uYTpndWVzcw==";
const BEN: &str = "Basic YmVuOmNoYW5nZS1tZQ==";

fn staff(lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("\napiVersion: v1\nkind: Secret\nmetadata: {{name: staff}}\nstringData:\n  htpasswd: |\n{lines}")
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_in_by_their_passwords_until_their_line_goes() {
    let by_login = "authentication: [{name: staff, basic: {secretRef: {name: staff}, realm: orders}}]";
    let both = staff(&[format!("anna:{BCRYPT}"), format!("ben:{SHA512}")]);
    let given = [SERVICE, GATEWAY, LOGIN, &backend("orders"), &route("orders"), &policy("orders", by_login), &both];
    let world = World::with("basic", &given.map(str::to_owned)).await;
    world.ready("ApiPolicy", "orders").await;
    let address = world.address("public").await;
    let answers = async |login: &str, verdict: &str| {
        world.verdict(&address, "/orders", &[("authorization", login)], verdict).await
    };
    let answer = answers(ANNA, "200").await;
    assert_eq!(answer.saw("Authorization"), Some(SHOWN), "a password of the gateway's own");
    answers(BEN, "200").await;
    answers(GUESS, "401 login-invalid").await;
    answers("Bearer nonsense", "401 credential-missing").await;
    world.apply(&staff(&[format!("anna:{BCRYPT}"), "ben:change-me".to_owned()])).await;
    answers(BEN, "401 login-invalid").await;
    let told = async || world.get("ApiPolicy", "orders").await?.to_string().contains("line 2: ").then_some(());
    until("the line that cannot be used in the status", told).await;
    answers(ANNA, "200").await;
    world.delete("Secret", "staff").await;
    answers(ANNA, "500 configuration").await;
    world.apply(&both).await;
    answers(ANNA, "200").await;
}
