//! What is new in a status, for whoever looks at an object's Events: only what has changed against what the status said before.

use sallyport_api::CONTROLLER_NAME;
use sallyport_api::condition::{ConditionType, Reason};
use serde_json::Value;

use super::condition::Condition;
use super::{ObjectStatus, wire};

/// Conditions that are told of also where nothing was wrong before.
const MILESTONES: [ConditionType; 4] =
    [ConditionType::Accepted, ConditionType::Programmed, ConditionType::RouteProgrammed, ConditionType::Ready];

/// One thing to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub is_good: bool,
    /// The condition that it is about.
    pub condition: &'static str,
    /// The reason of the condition.
    pub reason: &'static str,
    /// Its message, and which part of the object it is about.
    pub note: String,
}

/// All that `planned` says and `before`, the status as it stood, did not. What only waits for data planes is no news.
pub fn news(planned: &ObjectStatus, before: &Value) -> Vec<News> {
    let mut all = of("", &planned.conditions, &before["conditions"]);
    for listener in &planned.listeners {
        let before = wire::entries(&before["listeners"]).find(|one| one["name"] == *listener.name);
        let of_listener =
            of(&format!("listener {}", listener.name), &listener.conditions, &known(before)["conditions"]);
        // A listener that serves is the Gateway's good news.
        all.extend(of_listener.into_iter().filter(|one| !one.is_good));
    }
    for parent in &planned.parents {
        let reference = wire::reference(parent);
        let is_it = |one: &&Value| one["controllerName"] == CONTROLLER_NAME && one["parentRef"] == reference;
        let before = wire::entries(&before["parents"]).find(is_it);
        all.extend(of(&format!("at Gateway {}", parent.parent), &parent.conditions, &known(before)["conditions"]));
    }
    all
}

fn known(entry: Option<&Value>) -> &Value {
    entry.unwrap_or(&Value::Null)
}

fn of(part: &str, conditions: &[Condition], before: &Value) -> Vec<News> {
    let is_new = |condition: &&Condition| {
        let before = wire::entries(before).find(|one| one["type"] == condition.r#type);
        is_told(condition, before)
    };
    conditions.iter().filter(is_new).map(|condition| told(part, condition)).collect()
}

fn is_told(condition: &Condition, before: Option<&Value>) -> bool {
    let is = |kinds: &[ConditionType]| kinds.iter().any(|kind| kind.as_str() == condition.r#type);
    // Of what sums up, only that all is well: what is not stands in the condition that it repeats.
    let is_all_well = is(&[ConditionType::Ready]) && condition.status;
    let is_repetition = condition.repeats_others() && !is_all_well || is(&[ConditionType::ApiPolicyAffected]);
    if is_repetition || condition.reason == Reason::Pending.as_str() {
        return false;
    }
    let status = if condition.status { "True" } else { "False" };
    let is_same = before.is_some_and(|before| before["status"] == status);
    if condition.is_bad() {
        return !is_same
            || before
                .is_some_and(|before| before["reason"] != condition.reason || before["message"] != *condition.message);
    }
    !is_same && (before.is_some() || is(&MILESTONES))
}

fn told(part: &str, condition: &Condition) -> News {
    let meaning = || Reason::ALL.iter().find(|one| one.as_str() == condition.reason).map_or("", |one| one.meaning());
    let message = if condition.message.is_empty() { meaning().trim() } else { &condition.message };
    let note = if part.is_empty() { message.to_owned() } else { format!("{part}: {message}") };
    News { is_good: !condition.is_bad(), condition: condition.r#type, reason: condition.reason, note }
}

#[cfg(test)]
mod tests;
