//! What holds at one place: levels, ages and floors combined, section by section.

mod index;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::Reason;
use sallyport_api::policy::TargetKind;
use sallyport_snapshot::{Hash, v1};

use super::headers::{HeaderChanges, Told};
use super::policy::{PolicyNode, Sections, Targets, kind_name};
use super::route::RouteId;
use crate::cluster::ObjectName;
use crate::problem::{Problem, denial, denial_by_older};
pub use index::Index;

/// Policies that meet at one place: a dozen is much for anybody who has to understand what they say together.
const MAX_POLICIES: usize = 64;
/// What all policies that meet at one place say: some with a full address filter, and far below what travels in one piece.
const MAX_BYTES: usize = 1024 * 1024;
/// Of an effective policy's name.
const MAX_NAME_BYTES: usize = 256;

/// A rule of a route on a listener of a Gateway.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub gateway: &'a ObjectName,
    pub listener: &'a str,
    pub route: &'a RouteId,
    /// Name of the rule, if it has one.
    pub rule: Option<&'a str>,
    pub unprotected: UnprotectedRoutes,
}

/// How near a policy stands: the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Gateway,
    Listener,
    Route,
    Rule,
}

/// The policy of a place, with the name that what takes part gives it.
pub struct Effective {
    pub name: String,
    pub message: v1::Policy,
    /// Nobody has said who may call: what becomes of the place is the Gateway's setting.
    pub is_unprotected: bool,
    /// The policy whose credential beats the Backend's.
    pub credential: Option<ObjectName>,
    /// All that take part, those that only report included.
    pub participants: Vec<ObjectName>,
    /// Why it is more than anybody can enforce: it denies instead.
    pub excess: Option<Problem>,
}

/// A policy that reaches a place.
struct Reaching<'a> {
    level: Level,
    name: &'a ObjectName,
    policy: &'a PolicyNode,
    /// Its section does not exist: it denies.
    section_missing: bool,
}

/// Sections in which `loser` lost to `winner` at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    pub loser: ObjectName,
    pub winner: ObjectName,
    pub section: &'static str,
    pub ground: Ground,
}

/// Why one policy wins over another of the same level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    Older,
    /// Both are of one age.
    FirstByName,
    /// The other lets anybody in.
    AsksWhoCalls,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { winner, section, ground, .. } = self;
        let ground = match ground {
            Ground::Older => "is older",
            Ground::FirstByName => "is as old, comes first by name,",
            Ground::AsksWhoCalls => "asks who calls, which `public` does not,",
        };
        write!(f, "ApiPolicy {winner} on the same target {ground} and states {section} too; take it out of one of them")
    }
}

/// Combines the policies that reach `place`.
pub fn at(index: &Index<'_>, place: Place<'_>, conflicts: &mut Vec<Conflict>) -> Effective {
    let near = index.near(place);
    let mut reaching: Vec<_> = near.iter().filter_map(|(name, policy)| reach(name, policy, place)).collect();
    if let Some(excess) = excess(index, &reaching, place.route) {
        let mut participants: Vec<_> = reaching.iter().map(|one| one.name.clone()).collect();
        participants.sort();
        return Effective::refused(place.route, participants, excess);
    }
    // The nearest first; within a level the oldest, then by name.
    reaching.sort_by(|one, other| {
        other.level.cmp(&one.level).then((one.policy.created_ms, one.name).cmp(&(other.policy.created_ms, other.name)))
    });
    let (reports, enforced): (Vec<_>, Vec<_>) = reaching.iter().partition(|one| one.policy.is_report);
    let (floors, defaults): (Vec<_>, Vec<_>) = enforced.iter().copied().partition(|one| one.policy.is_floor);
    let mut message =
        v1::Policy { objects: enforced.iter().map(|one| one.name.to_string()).collect(), ..v1::Policy::default() };
    let closed = index.closed.get(place.route.name.namespace.as_str());
    message.deny = enforced.iter().find_map(|one| denial_of(one)).or_else(|| closed.map(|(_, deny)| (*deny).clone()));
    message.ip_filters = ip_filters(&defaults, &floors);
    message.floors = floors.iter().filter_map(|one| one.policy.sections.authentication.clone()).collect();
    message.authentication = authentication(&defaults, conflicts);
    let is_unprotected = message.authentication.is_none() && message.floors.is_empty() && message.deny.is_none();
    settle_unprotected(&mut message, place);
    // They add up: a nearer rule takes none away that stands further off.
    let rules = enforced.iter().filter_map(|one| one.policy.sections.authorization.clone());
    message.authorizations = rules.filter(|one| !one.rules.is_empty()).collect();
    message.external_authorizations = external_authorizations(&defaults, &floors);
    let told = headers(&defaults, &floors, conflicts, "requestHeaders", |stated| stated.request_headers.as_ref());
    (message.request_headers, message.computed_request_headers) = (told.edit, told.computed);
    let told = headers(&defaults, &floors, conflicts, "responseHeaders", |stated| stated.response_headers.as_ref());
    (message.response_headers, message.computed_response_headers) = (told.edit, told.computed);
    let near = nearest(&defaults, "cors", conflicts, |one| one.policy.sections.cors.as_ref());
    message.is_cors_of_rule = near.is_some_and(|(one, _)| one.level == Level::Rule);
    message.cors = near.map(|(_, cors)| Box::new(cors.clone()));
    message.floor_cors = floors.iter().filter_map(|one| one.policy.sections.cors.clone()).collect();
    message.streams = streams(&defaults, &floors, conflicts);
    message.request = request(&defaults, &floors, conflicts).map(Box::new);
    message.limits = limits(&defaults, &floors, conflicts);
    message.rehearsals = reports.iter().map(|one| rehearsal(one)).collect();
    let routes: Vec<_> = defaults.iter().copied().filter(|one| one.level >= Level::Route).collect();
    let credential = nearest(&routes, "credential", conflicts, |one| one.policy.sections.credential.as_ref())
        .map(|(one, _)| one.name.clone());
    let participants = reaching.iter().map(|one| one.name.clone()).collect();
    if message.deny.is_none() {
        message.deny = by_older(&message);
    }
    let by = closed.map(|(id, _)| format!("|by {id}")).unwrap_or_default();
    let name = shortened(name_of(&reaching, place) + &by);
    Effective { name, message, is_unprotected, credential, participants, excess: None }
}

/// What keeps data planes from passing over what they do not know: all of what is there, by the newest edition of it.
fn by_older(message: &v1::Policy) -> Option<v1::Deny> {
    let computed = message.computed_request_headers.iter().map(|one| (one, "spec.requestHeaders"));
    let computed = computed.chain(message.computed_response_headers.iter().map(|one| (one, "spec.responseHeaders")));
    let computed = computed.map(|(one, field)| denial_by_older(&one.object, field, 2)).next();
    let rules = message.authorizations.first();
    let limits = message.limits.first().map(|one| denial_by_older(&one.object, "spec.limits", 5));
    let request = message.request.as_ref().map(|one| denial_by_older(&one.object, "spec.request", 4));
    let cors = message.cors.is_some() || !message.floor_cors.is_empty();
    let cors = cors.then(|| denial_by_older(&format!("ApiPolicy {}", message.objects.join(", ")), "spec.cors", 4));
    let asked = message.external_authorizations.first();
    asked
        .map(|one| denial_by_older(&one.object, "spec.externalAuthorization", 11))
        .or(limits)
        .or(request)
        .or(cors)
        .or(computed)
        .or_else(|| rules.map(|first| denial_by_older(&first.object, "spec.authorization", 1)))
}

/// Where too much comes together. Each place has a copy of its own, and each data plane all of them.
fn excess(index: &Index<'_>, reaching: &[Reaching<'_>], id: &RouteId) -> Option<Problem> {
    let bytes: usize = reaching.iter().filter_map(|one| index.bytes.get(one.name)).sum();
    let what = match () {
        () if reaching.len() > MAX_POLICIES => format!("more than {MAX_POLICIES} policies"),
        () if bytes > MAX_BYTES => format!("policies of more than {MAX_BYTES} bytes"),
        () => return None,
    };
    let message = format!("{what} meet at {id}; attach fewer to it, or say less in them. It answers 500");
    Some(Problem::new("spec.targetRefs", Reason::UnsupportedValue, message))
}

impl Effective {
    /// What denies at every place of a route where too much comes together. It is told to the policies of the route's own namespace:
    /// those of others do what they say everywhere else.
    pub fn refused(id: &RouteId, participants: Vec<ObjectName>, excess: Problem) -> Self {
        let message = v1::Policy { deny: Some(denial(&id.to_string(), &excess)), ..v1::Policy::default() };
        let is_near = |name: &ObjectName| name.namespace == id.name.namespace;
        let participants = participants.into_iter().filter(is_near).take(MAX_POLICIES).collect();
        let name = format!("excess at {id}");
        Self { name, message, is_unprotected: false, credential: None, participants, excess: Some(excess) }
    }
}

/// Names of many policies are long, and stand once for each rule and listener: beyond that a digest says the same.
fn shortened(name: String) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let kept = name.floor_char_boundary(MAX_NAME_BYTES / 2);
    format!("{}… {}", name.get(..kept).unwrap_or_default(), Hash::of_bytes(name.as_bytes()))
}

fn reach<'a>(name: &'a ObjectName, policy: &'a PolicyNode, place: Place<'_>) -> Option<Reaching<'a>> {
    let on_gateway = name.namespace == place.gateway.namespace;
    let on_route = name.namespace == place.route.name.namespace;
    let found = |level, section_missing| Reaching { level, name, policy, section_missing };
    let Targets::Named(targets) = &policy.targets else {
        return (on_gateway || on_route).then(|| found(Level::Gateway, false));
    };
    let reached = targets.iter().filter_map(|target| {
        let section = target.section.as_deref().filter(|_| !target.section_missing);
        match target.kind {
            TargetKind::Gateway if on_gateway && target.name == place.gateway.name => match section {
                None => Some(found(Level::Gateway, target.section_missing)),
                Some(section) => (section == place.listener).then(|| found(Level::Listener, false)),
            },
            TargetKind::Gateway => None,
            kind if on_route && kind_name(kind) == place.route.kind && target.name == place.route.name.name => {
                match section {
                    None => Some(found(Level::Route, target.section_missing)),
                    Some(section) => (Some(section) == place.rule).then(|| found(Level::Rule, false)),
                }
            }
            _ => None,
        }
    });
    reached.max_by_key(|one| (one.section_missing, one.level))
}

fn denial_of(one: &Reaching<'_>) -> Option<v1::Deny> {
    if one.section_missing {
        return Some(v1::Deny {
            reason: v1::deny::Reason::Configuration.into(),
            object: format!("ApiPolicy {}", one.name),
            section: "spec.targetRefs".into(),
            message: "the policy names a section that its target does not have; correct sectionName".into(),
            since: 0,
        });
    }
    one.policy.sections.deny.clone()
}

/// The first policy that states the section, of the nearest level where one does. Others of that level lose, and it is said.
fn nearest<'a, T>(
    defaults: &[&'a Reaching<'a>],
    section: &'static str,
    conflicts: &mut Vec<Conflict>,
    state: impl Fn(&'a Reaching<'a>) -> Option<&'a T>,
) -> Option<(&'a Reaching<'a>, &'a T)> {
    let mut stating = defaults.iter().filter_map(|one| Some((*one, state(one)?)));
    let winner = stating.next()?;
    let losers = stating.filter(|(one, _)| one.level == winner.0.level);
    conflicts.extend(losers.map(|(one, _)| conflict(winner.0, one, section)));
    Some(winner)
}

fn conflict(winner: &Reaching<'_>, loser: &Reaching<'_>, section: &'static str) -> Conflict {
    let gives_way = section == "authentication" && loser.policy.sections.is_public && !winner.policy.sections.is_public;
    let ground = match winner.policy.created_ms.cmp(&loser.policy.created_ms) {
        _ if gives_way => Ground::AsksWhoCalls,
        Ordering::Less => Ground::Older,
        Ordering::Equal | Ordering::Greater => Ground::FirstByName,
    };
    Conflict { loser: loser.name.clone(), winner: winner.name.clone(), section, ground }
}

/// All of the nearest level, and all floors.
fn ip_filters(defaults: &[&Reaching<'_>], floors: &[&Reaching<'_>]) -> Vec<v1::IpFilter> {
    let stating: Vec<_> =
        defaults.iter().filter_map(|one| Some((one.level, one.policy.sections.ip_filter.clone()?))).collect();
    let level = stating.first().map(|(level, _)| *level);
    let own = stating.into_iter().filter(|(one, _)| Some(*one) == level).map(|(_, filter)| filter);
    own.chain(floors.iter().filter_map(|one| one.policy.sections.ip_filter.clone())).collect()
}

/// They add up as well: floors are asked first, and whoever stands further off before whoever is nearer.
fn external_authorizations(defaults: &[&Reaching<'_>], floors: &[&Reaching<'_>]) -> Vec<v1::ExternalAuthorization> {
    let asked = floors.iter().rev().chain(defaults.iter().rev());
    asked.filter_map(|one| Some(one.policy.sections.external_authorization.as_ref()?.message.clone())).collect()
}

/// Of the nearest level's word and those of all floors the strictest.
fn streams(defaults: &[&Reaching<'_>], floors: &[&Reaching<'_>], conflicts: &mut Vec<Conflict>) -> Option<v1::Streams> {
    let own = nearest(defaults, "streams", conflicts, |one| one.policy.sections.streams.as_ref());
    let own = own.map(|(_, streams)| *streams);
    let stated = own.into_iter().chain(floors.iter().filter_map(|one| one.policy.sections.streams));
    stated.max_by_key(|streams| streams.end_on_expiry)
}

/// Of the nearest level's word and those of all floors the smallest bound.
fn request(
    defaults: &[&Reaching<'_>],
    floors: &[&Reaching<'_>],
    conflicts: &mut Vec<Conflict>,
) -> Option<v1::RequestBounds> {
    let own = nearest(defaults, "request", conflicts, |one| one.policy.sections.request.as_ref());
    let of_floors = floors.iter().filter_map(|one| one.policy.sections.request.as_ref());
    let stated = own.map(|(_, stated)| stated).into_iter().chain(of_floors);
    let (_, smallest) = stated.filter_map(|one| Some((one.max_body_bytes?, one))).min_by_key(|(bytes, _)| *bytes)?;
    Some(smallest.clone())
}

/// Of the nearest level by name, the older policies' first, and all of all floors.
fn limits(defaults: &[&Reaching<'_>], floors: &[&Reaching<'_>], conflicts: &mut Vec<Conflict>) -> Vec<v1::Limit> {
    let level = defaults.iter().find(|one| one.policy.sections.limits.is_some()).map(|one| one.level);
    let mut near = Vec::<(&Reaching<'_>, &v1::Limit)>::new();
    for one in defaults.iter().filter(|one| Some(one.level) == level) {
        for limit in one.policy.sections.limits.iter().flatten() {
            match near.iter().find(|(_, known)| known.name == limit.name) {
                Some((winner, _)) => conflicts.push(conflict(winner, one, "limits")),
                None => near.push((one, limit)),
            }
        }
    }
    let of_floors = floors.iter().flat_map(|one| one.policy.sections.limits.iter().flatten());
    near.into_iter().map(|(_, limit)| limit).chain(of_floors).cloned().collect()
}

/// The older of the nearest level, but `public` loses to anything else.
fn authentication(defaults: &[&Reaching<'_>], conflicts: &mut Vec<Conflict>) -> Option<v1::Authentication> {
    let level = defaults.iter().find(|one| one.policy.sections.authentication.is_some())?.level;
    let stating =
        defaults.iter().copied().filter(|one| one.level == level && one.policy.sections.authentication.is_some());
    let (open, closed): (Vec<_>, Vec<_>) = stating.partition(|one| one.policy.sections.is_public);
    let order: Vec<_> = closed.into_iter().chain(open).collect();
    nearest(&order, "authentication", conflicts, |one| one.policy.sections.authentication.as_ref())
        .map(|(_, section)| section.clone())
}

/// Without a word about authentication the Gateway's setting decides. A floor's word counts: it holds by itself.
fn settle_unprotected(message: &mut v1::Policy, place: Place<'_>) {
    if message.authentication.is_some() {
        return;
    }
    let anybody = v1::Alternative { name: "unprotected".into(), public: true, ..v1::Alternative::default() };
    let open = v1::Authentication { object: String::new(), alternatives: vec![anybody] };
    if !message.floors.is_empty() || place.unprotected == UnprotectedRoutes::Allow {
        message.authentication = Some(open);
    } else if message.deny.is_none() {
        message.deny = Some(v1::Deny {
            reason: v1::deny::Reason::Unprotected.into(),
            object: place.route.to_string(),
            section: String::new(),
            message:
                "no policy says who may call the route; attach an ApiPolicy with authentication to it or to its Gateway"
                    .into(),
            since: 0,
        });
    }
}

/// By header: nearer levels, then older policies, then floors, which are applied last and so have the last word.
fn headers(
    defaults: &[&Reaching<'_>],
    floors: &[&Reaching<'_>],
    conflicts: &mut Vec<Conflict>,
    section: &'static str,
    state: fn(&Sections) -> Option<&HeaderChanges>,
) -> Told {
    let stated = |one: &&Reaching<'_>| state(&one.policy.sections).is_some();
    let level = defaults.iter().find(|one| stated(one)).map(|one| one.level);
    let mut changes = HeaderChanges::default();
    let mut by = BTreeMap::<String, &Reaching<'_>>::new();
    for one in defaults.iter().filter(|one| Some(one.level) == level) {
        let own = state(&one.policy.sections).cloned().unwrap_or_default();
        changes.remove.extend(own.remove);
        for (name, set) in own.set {
            match by.get(&name) {
                Some(winner) => conflicts.push(conflict(winner, one, section)),
                None => {
                    by.insert(name.clone(), one);
                    changes.set.insert(name, set);
                }
            }
        }
    }
    for own in floors.iter().filter_map(|one| state(&one.policy.sections)) {
        own.remove.iter().for_each(|name| drop(changes.set.remove(name)));
        changes.remove.extend(own.remove.iter().cloned());
        changes.set.extend(own.set.clone());
    }
    changes.told()
}

/// A policy by itself, for what it would refuse.
fn rehearsal(one: &Reaching<'_>) -> v1::Rehearsal {
    let sections = &one.policy.sections;
    let anybody = v1::Alternative { name: "unstated".into(), public: true, ..v1::Alternative::default() };
    let unstated = || v1::Authentication { object: String::new(), alternatives: vec![anybody] };
    let policy = v1::Policy {
        objects: vec![one.name.to_string()],
        deny: denial_of(one),
        ip_filters: sections.ip_filter.iter().cloned().collect(),
        authentication: Some(sections.authentication.clone().unwrap_or_else(unstated)),
        authorizations: sections.authorization.iter().cloned().collect(),
        external_authorizations: sections.external_authorization.iter().map(|one| one.message.clone()).collect(),
        request: sections.request.clone().map(Box::new),
        limits: sections.limits.clone().unwrap_or_default(),
        ..v1::Policy::default()
    };
    v1::Rehearsal { object: format!("ApiPolicy {}", one.name), policy: Some(policy) }
}

/// By what takes part, not by content: a changed policy is one changed resource.
fn name_of(reaching: &[Reaching<'_>], place: Place<'_>) -> String {
    let unprotected = match place.unprotected {
        UnprotectedRoutes::Allow => "open".to_owned(),
        // The refusal names the route, so that it differs from route to route.
        UnprotectedRoutes::Deny if reaching.is_empty() => format!("closed {}", place.route),
        UnprotectedRoutes::Deny => "closed".to_owned(),
    };
    let part =
        |one: &Reaching<'_>| format!("|{:?}:{}{}", one.level, one.name, if one.section_missing { "!" } else { "" });
    let parts: String = reaching.iter().map(part).collect();
    let speaks = |one: &Reaching<'_>| one.policy.sections.authentication.is_some() && !one.policy.is_report;
    let route =
        if reaching.is_empty() || reaching.iter().any(speaks) { String::new() } else { format!(" {}", place.route) };
    format!("{unprotected}{route}{parts}")
}
