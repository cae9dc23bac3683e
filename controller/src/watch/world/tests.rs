//! Lists, events, and watches that overlap.

use kube::api::DynamicObject;
use serde_json::json;

use super::*;
use crate::cluster::Stored;
use crate::watch::Place;

fn seen(name: &str, content: &str) -> Seen {
    let value = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "shop", "uid": "1", "resourceVersion": content }, "stringData": { "a": content } });
    let object: DynamicObject = serde_json::from_value(value).unwrap();
    super::super::seen(ObjectKind::Secret, object)
}

fn name(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

fn labelled() -> Source {
    Source::Labelled(ObjectKind::Secret, Place::Namespace("shop".into()))
}

fn named(one: &str) -> Source {
    Source::Named(ObjectKind::Secret, name(one))
}

fn names(world: &World) -> Vec<&str> {
    world.state.secrets.keys().map(|name| &*name.name).collect()
}

#[test]
fn nothing_is_concluded_before_every_first_list() {
    let mut world = World::awaiting([labelled(), named("a")]);
    assert!(!world.is_complete());
    world.take(Change::Listed(labelled(), vec![]));
    assert_eq!((world.is_complete(), world.awaited().len()), (false, 1));
    world.take(Change::Listed(named("a"), vec![]));
    assert!(world.is_complete());
}

#[test]
fn what_is_not_in_a_new_list_is_gone_and_the_rest_changes() {
    let mut world = World::awaiting([labelled()]);
    world.take(Change::Listed(labelled(), vec![seen("a", "1"), seen("b", "1")]));
    world.take(Change::Listed(labelled(), vec![seen("b", "2"), seen("c", "1")]));
    assert_eq!(names(&world), ["b", "c"]);
    assert_eq!(world.head(ObjectKind::Secret, &name("b")).unwrap().resource_version, "2");
    assert!(world.head(ObjectKind::Secret, &name("a")).is_none());
    world.take(Change::Deleted(labelled(), name("b")));
    world.take(Change::Applied(labelled(), Box::new(seen("d", "1"))));
    assert_eq!(names(&world), ["c", "d"]);
}

#[test]
fn an_object_is_there_as_long_as_one_watch_tells_of_it() {
    let mut world = World::awaiting([labelled()]);
    world.take(Change::Listed(labelled(), vec![seen("a", "1")]));
    world.take(Change::Listed(named("a"), vec![seen("a", "1")]));
    world.take(Change::Deleted(labelled(), name("a")));
    assert_eq!((names(&world), world.is_labelled(ObjectKind::Secret, &name("a"))), (vec!["a"], false));
    world.drop_source(&named("a"));
    assert!(names(&world).is_empty());
}

#[test]
fn a_watch_that_was_let_go_tells_nothing_any_more() {
    let mut world = World::awaiting([]);
    world.await_also(named("a"));
    world.take(Change::Listed(named("a"), vec![seen("a", "1")]));
    world.drop_source(&named("a"));
    world.take(Change::Applied(named("a"), Box::new(seen("a", "2"))));
    assert!(names(&world).is_empty() && world.is_complete());
}

#[test]
fn what_was_written_is_known_of_the_same_object_only() {
    let mut world = World::awaiting([]);
    world.take(Change::Listed(labelled(), vec![seen("a", "1")]));
    let head = |uid: &str| Head { uid: uid.into(), resource_version: "9".into(), ..Head::default() };
    world.written(ObjectKind::Secret, &name("a"), head("another"));
    assert_eq!(world.head(ObjectKind::Secret, &name("a")).unwrap().resource_version, "1");
    world.written(ObjectKind::Secret, &name("a"), head("1"));
    assert_eq!(world.head(ObjectKind::Secret, &name("a")).unwrap().resource_version, "9");
}

#[test]
fn an_object_is_decoded_by_itself_and_says_what_is_wrong() {
    let value = json!({ "apiVersion": "sallyport.dev/v1alpha1", "kind": "ApiPolicy", "metadata": { "name": "p", "namespace": "shop" }, "spec": { "newer": true } });
    let object: DynamicObject = serde_json::from_value(value).unwrap();
    let seen = super::super::seen(ObjectKind::ApiPolicy, object);
    let crate::cluster::Object::ApiPolicy(Stored::Undecodable(policy)) = seen.object else { panic!("it was decoded") };
    assert!(policy.problems.iter().any(|problem| problem.field == "spec.newer"), "{:?}", policy.problems);
}

#[test]
fn what_a_watch_has_told_since_a_write_is_kept() {
    for (told, written, expected) in [("10", "9", "10"), ("9", "10", "10"), ("a", "9", "9"), ("9", "b", "b")] {
        let mut world = World::awaiting([]);
        world.take(Change::Listed(labelled(), vec![seen("a", told)]));
        let head = Head { uid: "1".into(), resource_version: written.into(), ..Head::default() };
        world.written(ObjectKind::Secret, &name("a"), head);
        let known = world.head(ObjectKind::Secret, &name("a")).unwrap();
        assert_eq!(known.resource_version, expected, "{told} told, {written} written");
    }
}

fn refused(source: &Source) -> Change {
    Change::Refused(source.clone(), Refusal::new("list", source))
}

#[test]
fn a_refused_list_stays_to_be_waited_for_and_takes_nothing_away() {
    let mut world = World::awaiting([labelled()]);
    world.take(refused(&labelled()));
    assert_eq!((world.is_complete(), world.refused().count()), (false, 1));
    world.take(Change::Listed(labelled(), vec![seen("a", "1")]));
    assert_eq!((world.is_complete(), world.refused().count()), (true, 0));
    world.take(refused(&labelled()));
    assert_eq!((names(&world), world.is_complete(), world.refused().count()), (vec!["a"], true, 1));
}

#[test]
fn a_refused_object_that_somebody_names_is_not_waited_for_and_may_be_there() {
    let mut world = World::awaiting([]);
    world.await_also(named("a"));
    world.take(refused(&named("a")));
    let is_withheld = |world: &World| world.state.withheld.contains_key(&(ObjectKind::Secret, name("a")));
    assert!(world.is_complete() && is_withheld(&world) && world.refused().count() == 1);
    world.take(Change::Listed(named("a"), vec![seen("a", "1")]));
    assert!(!is_withheld(&world) && world.refused().count() == 0);
    world.take(refused(&named("a")));
    assert!(!is_withheld(&world), "what is known stays known");
    world.drop_source(&named("a"));
    assert_eq!(world.refused().count(), 0);
}

#[test]
fn the_api_server_is_waited_for_even_if_it_is_refused() {
    let reach = Reach::within(["shop".to_owned()], "sallyport-system").unwrap();
    let api_server = Source::Named(ObjectKind::Service, ObjectName::new("default", "kubernetes"));
    let mut world = World::within(reach.clone());
    assert_eq!(world.state.reach, reach);
    for source in Source::standing(&reach) {
        world.take(if source == api_server { refused(&source) } else { Change::Listed(source, vec![]) });
    }
    assert!(!world.is_complete());
    world.take(Change::Listed(api_server, vec![]));
    assert!(world.is_complete());
}

#[test]
fn a_status_that_comes_back_changes_nothing_that_is_built() {
    let policies = || Source::Kind(ObjectKind::ApiPolicy, Place::Everywhere);
    let policy = |version: &str, mode: &str, label: &str, status: &str| {
        let value = json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "ApiPolicy",
            "metadata": { "name": "a", "namespace": "shop", "uid": "1", "resourceVersion": version, "generation": 1, "labels": { "l": label },
                "managedFields": [{ "manager": status }] },
            "spec": { "targetRefs": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "a" }], "mode": mode },
            "status": { "conditions": [{ "type": "Ready", "message": status }] },
        });
        let object = serde_json::from_value::<DynamicObject>(value).unwrap();
        Change::Applied(policies(), Box::new(super::super::seen(ObjectKind::ApiPolicy, object)))
    };
    let mut world = World::awaiting([policies()]);
    assert!(world.take(Change::Listed(policies(), vec![])));
    assert!(world.take(policy("1", "Enforce", "x", "")), "it is new");
    assert!(!world.take(policy("2", "Enforce", "x", "by us")));
    assert_eq!(
        world.head(ObjectKind::ApiPolicy, &name("a")).unwrap().resource_version,
        "2",
        "it is known all the same"
    );
    assert!(world.take(policy("3", "Report", "x", "by us")), "of the same generation, as a newer schema may have it");
    assert!(world.take(policy("4", "Report", "y", "by us")));
    assert!(!world.take(policy("5", "Report", "y", "again")));
    assert!(world.take(Change::Deleted(policies(), name("a"))));
    assert!(world.take(policy("6", "Report", "y", "again")), "it is there again");
}

#[test]
fn of_secrets_each_version_counts() {
    let mut world = World::awaiting([labelled()]);
    world.take(Change::Listed(labelled(), vec![]));
    for version in ["1", "2"] {
        assert!(world.take(Change::Applied(labelled(), Box::new(seen("a", version)))));
    }
}
