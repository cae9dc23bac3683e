//! How an explanation is printed for people.

use std::fmt::Write as _;

pub(super) use sallyport_dataplane::explain::Account;
use sallyport_dataplane::explain::{Outcome, Service, Step};

use super::asked::Asked;
use crate::print;

pub(super) fn table(asked: &Asked, account: &Account, notes: &[String]) {
    let scheme = if asked.is_tls { "https" } else { "http" };
    print::line(&format!("{} {scheme}://{}{}", asked.method, asked.authority, asked.target));
    print::line(&told(account));
    for note in notes {
        print::line(&format!("note: {}", printable(note)));
    }
}

fn told(account: &Account) -> String {
    let mut text = String::new();
    let client = account.client.map(|client| client.to_string()).unwrap_or_default();
    let route = if account.rule.is_empty() {
        account.route.clone()
    } else {
        format!("{}, rule {}", account.route, account.rule)
    };
    for (label, value) in [
        ("gateway", &account.gateway),
        ("listener", &account.listener),
        ("client", &client),
        ("route", &route),
        ("policies", &account.policies),
    ] {
        row(&mut text, label, value);
    }
    account.steps.iter().for_each(|one| step(&mut text, one));
    for (name, value) in &account.headers {
        row(&mut text, "header", &format!("{name}: {value}"));
    }
    account.services.iter().for_each(|one| service(&mut text, one));
    for refusal in &account.would_refuse {
        row(&mut text, "would refuse", &format!("{}: {}: {}", refusal.policy, refusal.reason, refusal.message));
    }
    decision(&mut text, account);
    text.truncate(text.trim_end().len());
    text
}

fn row(text: &mut String, label: &str, value: &str) {
    if !value.is_empty() {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "  {label:<16}{}", printable(value));
    }
}

fn step(text: &mut String, step: &Step) {
    let what = match step.outcome {
        Outcome::Holds => "holds",
        Outcome::Refuses => "no",
        Outcome::NotAsked => "not asked",
        Outcome::WouldBeAsked => "would be asked",
    };
    let place = if step.rule.is_empty() { step.section.clone() } else { format!("{} {}", step.section, step.rule) };
    let why = if step.message.is_empty() { String::new() } else { format!(": {}", step.message) };
    row(text, what, &format!("{place} of {}{why}", step.object));
}

fn service(text: &mut String, service: &Service) {
    let denied =
        if service.denied.is_empty() { String::new() } else { format!("; nothing is sent: {}", service.denied) };
    let named = if service.backend.is_empty() { "none" } else { &service.backend };
    row(text, "service", &format!("{named}, weight {}; credential: {}{denied}", service.weight, service.credential));
}

fn decision(text: &mut String, account: &Account) {
    let decision = &account.decision;
    let is_asked = account.steps.iter().any(|step| step.outcome == Outcome::WouldBeAsked);
    let answer = match (decision.forwarded, decision.reason.is_empty()) {
        (true, _) if is_asked => "forwarded to a service, if whoever would be asked says yes".to_owned(),
        (true, _) => "forwarded to a service".to_owned(),
        (false, true) => format!("{}: answered by the gateway itself", decision.status),
        (false, false) => format!("{} {}", decision.status, decision.reason),
    };
    row(text, "answer", &answer);
    row(
        text,
        "by",
        &[&*decision.object, &decision.section, &decision.rule]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    );
    row(text, "why", &decision.message);
    row(text, "cure", &decision.cure);
}

/// Whoever sends a request or writes a manifest writes no control sequences to the terminal of whoever explains it.
fn printable(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use sallyport_dataplane::explain::Decision;

    use super::*;

    #[test]
    fn each_part_has_a_line_and_no_control_characters() {
        let step = |rule: &str, outcome, message: &str| Step {
            object: "ApiPolicy shop/orders".into(),
            section: "authentication".into(),
            rule: rule.into(),
            outcome,
            message: message.into(),
        };
        let account = Account {
            gateway: "shop/public".into(),
            client: "192.0.2.7".parse().ok(),
            route: "HTTPRoute shop/orders".into(),
            rule: "0".into(),
            steps: vec![step("staff", Outcome::Refuses, "no \u{1b}[2J"), step("keys", Outcome::Holds, "")],
            services: vec![Service {
                backend: "Backend/shop/orders".into(),
                weight: 1,
                credential: "none is stated".into(),
                denied: String::new(),
            }],
            decision: Decision { forwarded: true, ..Decision::default() },
            ..Account::default()
        };
        let expected = "  gateway         shop/public
  client          192.0.2.7
  route           HTTPRoute shop/orders, rule 0
  no              authentication staff of ApiPolicy shop/orders: no \u{fffd}[2J
  holds           authentication keys of ApiPolicy shop/orders
  service         Backend/shop/orders, weight 1; credential: none is stated
  answer          forwarded to a service";
        assert_eq!(told(&account), expected);
    }
}
