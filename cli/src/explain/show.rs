//! How an explanation is printed for people.

use std::fmt::Write as _;

use sallyport_dataplane::explain::{Account, Decision, Outcome, Service, Step};
use serde::Serialize;

use super::asked::Asked;
use crate::cluster::connect::printable;
use crate::print;

/// As programs read it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    account: &'a Account,
    notes: &'a [String],
}

pub(super) fn json(account: &Account, notes: &[String]) -> serde_json::Result<()> {
    print::line(&serde_json::to_string_pretty(&Told { account, notes })?);
    Ok(())
}

pub(super) fn table(asked: &Asked, account: &Account, notes: &[String]) {
    let scheme = if asked.is_tls { "https" } else { "http" };
    // A query may hold a key.
    let query = if asked.query.is_some() { "?…" } else { "" };
    print::line(&printable(&format!("{} {scheme}://{}{}{query}", asked.method, asked.authority, asked.path)));
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
    for (name, value) in &account.answer {
        row(&mut text, "answered with", &format!("{name}: {value}"));
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
        Outcome::Counted => "counted",
        Outcome::Unknown => "cannot be told",
        Outcome::WouldBeAsked => "would be asked",
    };
    let place = if step.rule.is_empty() { step.section.clone() } else { format!("{} {}", step.section, step.rule) };
    let why = if step.message.is_empty() { String::new() } else { format!(": {}", step.message) };
    let whose = if step.object.is_empty() { String::new() } else { format!(" of {}", step.object) };
    row(text, what, &format!("{place}{whose}{why}"));
}

fn service(text: &mut String, service: &Service) {
    let named = if service.backend.is_empty() { "none" } else { &service.backend };
    let shown = if service.denied.is_empty() {
        format!("credential: {}", service.credential)
    } else {
        format!("nothing is sent: {}", service.denied)
    };
    row(text, "service", &format!("{named}, weight {}; {shown}", service.weight));
}

fn decision(text: &mut String, account: &Account) {
    let decision = &account.decision;
    row(text, "answer", &answer(decision));
    let by = [&*decision.object, &decision.section, &decision.rule];
    row(text, "by", &by.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "));
    row(text, "why", &decision.message);
    row(text, "told", &decision.told);
    row(text, "cure", &decision.cure);
}

fn answer(decision: &Decision) -> String {
    let Decision { status, reason, .. } = decision;
    let answer = match (decision.forwarded, reason.is_empty()) {
        (true, _) if decision.partial => {
            format!("forwarded to a service, or {status} {reason} where it falls on one to which nothing is sent")
        }
        (true, _) => "forwarded to a service".to_owned(),
        (false, _) if decision.closed && *status == 0 => return "none: the connection is closed".to_owned(),
        (false, true) => format!("{status}: answered by the gateway itself"),
        (false, false) => format!("{status} {reason}"),
    };
    let if_so =
        if decision.conditional { "; what would be asked, or cannot be told here, may decide otherwise" } else { "" };
    let closed = if decision.closed { "; but the connection is closed before it is read" } else { "" };
    format!("{answer}{if_so}{closed}")
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
