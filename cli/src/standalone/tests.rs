//! What is in force after files have changed.

use sallyport_controller::cluster::{Object, Stored};

use super::*;

const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata: {version: one}\n";
const OTHER: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: shop}\ndata: {version: one}\n";

/// A folder of files, and the state that it leads to.
#[derive(Default)]
struct Folder {
    files: BTreeMap<String, String>,
    unreadable: Vec<String>,
    state: State,
    said: Vec<String>,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let mut folder = Self::default();
        for (file, text) in files {
            folder.files.insert((*file).to_owned(), (*text).to_owned());
        }
        folder.load();
        folder
    }

    fn write(&mut self, file: &str, text: &str) {
        self.files.insert(file.to_owned(), text.to_owned());
        self.load();
    }

    fn remove(&mut self, file: &str) {
        self.files.remove(file).unwrap();
        self.load();
    }

    /// Something at `path` cannot be read, so that nothing at or below it is found.
    fn lose(&mut self, path: &str) {
        self.unreadable = vec![path.to_owned()];
        self.load();
        self.unreadable.clear();
    }

    fn load(&mut self) {
        let is_lost = |file: &str| self.unreadable.iter().any(|path| Path::new(file).starts_with(path));
        let files = self.files.iter().filter(|(file, _)| !is_lost(file));
        let files = files.map(|(path, text)| SourceFile { path: path.clone(), text: text.clone() }).collect();
        let unreadable = self.unreadable.iter();
        let unreadable =
            unreadable.map(|path| Diagnostic::of_file(path, Severity::Error, "it cannot be read")).collect();
        let said = self.state.load_found(Found { files, unreadable });
        self.said = said.iter().map(ToString::to_string).collect();
    }

    /// Objects in force, each with its content in short; those that close are marked.
    fn in_force(&self) -> Vec<String> {
        let cluster = self.state.cluster();
        let maps = cluster.config_maps.iter().map(|(name, map)| match map {
            Stored::Decoded(map) => format!("{name} {}", map.data.as_ref().unwrap()["version"]),
            Stored::Undecodable(_) => format!("{name} undecodable"),
        });
        let policies = cluster.api_policies.iter().map(|(name, policy)| match policy {
            Stored::Decoded(policy) => {
                let targets: Vec<_> = policy.spec.target_refs.iter().map(|target| &*target.name).collect();
                format!("{name} on {}", targets.join(" "))
            }
            Stored::Undecodable(policy) => {
                let targets = policy.raw["spec"]["targetRefs"].as_array();
                let targets: Option<Vec<_>> =
                    targets.map(|all| all.iter().filter_map(|one| one["name"].as_str()).collect());
                format!("{name} closes {}", targets.map_or("all".to_owned(), |targets| targets.join(" ")))
            }
        });
        maps.chain(policies).collect()
    }

    fn said(&self, word: &str) {
        assert!(self.said.iter().any(|line| line.contains(word)), "{word}: {:#?}", self.said);
    }
}

#[test]
fn a_file_that_cannot_be_told_or_is_suddenly_empty_keeps_what_it_held_and_others_go_on() {
    let cut = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namesp";
    for (text, word) in [
        ("a: [", "a.yaml: error: the file cannot be read; the 1 objects"),
        (cut, "the file cannot be read; the 1 objects"),
        ("apiVersion: v1\nkind: ConfigMap\n", "the file cannot be read; the 1 objects"),
        ("", "the file is empty"),
        ("# soon\n---\n", "the file is empty"),
    ] {
        let mut folder = Folder::with(&[("a.yaml", GOOD), ("b.yaml", OTHER)]);
        folder.files.insert("a.yaml".to_owned(), text.to_owned());
        folder.write("b.yaml", &OTHER.replace("one", "two"));
        folder.said(word);
        assert_eq!(folder.in_force(), ["shop/a one", "shop/b two"], "{text}");
        folder.load();
        assert_eq!(folder.in_force(), ["shop/a one", "shop/b two"], "{text}: it stays for as long as it takes");
        folder.write("a.yaml", &GOOD.replace("one", "two"));
        assert_eq!(
            (folder.in_force(), folder.said.len()),
            (vec!["shop/a two".into(), "shop/b two".into()], 0),
            "{text}"
        );
    }
}

#[test]
fn a_file_that_is_cut_between_documents_is_an_edit_until_the_rest_is_written() {
    let both = format!("{GOOD}---\n{OTHER}");
    let mut folder = Folder::with(&[("a.yaml", &both)]);
    folder.write("a.yaml", GOOD);
    assert_eq!(folder.in_force(), ["shop/a one"]);
    folder.write("a.yaml", &both);
    assert_eq!(folder.in_force(), ["shop/a one", "shop/b one"]);
}

#[test]
fn objects_go_with_their_file_with_an_empty_list_or_with_their_document() {
    let list = "apiVersion: v1\nkind: List\nitems: []\n";
    let mut folder = Folder::with(&[("a.yaml", GOOD), ("b.yaml", OTHER)]);
    folder.remove("a.yaml");
    assert_eq!((folder.in_force(), folder.said.len()), (vec!["shop/b one".into()], 0));
    folder.write("b.yaml", list);
    assert_eq!((folder.in_force(), folder.said.len()), (vec![], 0));
    folder.write("b.yaml", OTHER);
    folder.remove("b.yaml");
    assert_eq!(folder.in_force(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_read_keeps_everything_below_it() {
    let mut folder = Folder::with(&[("d/a.yaml", GOOD), ("d/sub/b.yaml", OTHER), ("dd.yaml", "")]);
    for lost in ["d/a.yaml", "d/sub", "d"] {
        folder.lose(lost);
        assert_eq!(folder.in_force(), ["shop/a one", "shop/b one"], "{lost}");
        assert!(folder.state.unreadable().contains(lost));
        folder.said("objects that it held stay in force");
    }
    folder.load();
    assert!(folder.state.unreadable().is_empty());
    folder.remove("d/sub/b.yaml");
    assert_eq!(folder.in_force(), ["shop/a one"]);
}

#[test]
fn what_is_revoked_is_not_kept_while_another_file_cannot_be_read() {
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, stringData: {primary: k}}";
    let product = "{apiVersion: sallyport.dev/v1alpha1, kind: Product, metadata: {name: p, namespace: shop}, spec: {apis: [{kind: HTTPRoute, name: all}]}}";
    let subscription = "{apiVersion: sallyport.dev/v1alpha1, kind: Subscription, metadata: {name: s, namespace: shop}, spec: {scope: {product: {name: p}}, keys: {secretName: s}}}";
    let mut folder = Folder::with(&[("s.yaml", secret), ("p.yaml", product), ("c.yaml", subscription)]);
    let held = |folder: &Folder| {
        let cluster = folder.state.cluster();
        [cluster.secrets.len(), cluster.products.len(), cluster.subscriptions.len()]
    };
    assert_eq!(held(&folder), [1, 1, 1]);
    folder.write("broken.yaml", "kind: [");
    assert_eq!(held(&folder), [1, 1, 1]);
    for (file, left) in [("c.yaml", [1, 1, 0]), ("p.yaml", [1, 0, 0]), ("s.yaml", [0, 0, 0])] {
        folder.remove(file);
        assert_eq!(held(&folder), left, "{file}");
    }
}

#[test]
fn a_grant_that_may_have_moved_grants_nothing_and_is_not_forgotten() {
    let grant = "{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: g, namespace: shop}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a}], to: [{group: '', kind: Service}]}}";
    let mut folder = Folder::with(&[("g.yaml", grant), ("a.yaml", GOOD)]);
    let held = |folder: &Folder| {
        let grants = folder.state.cluster().reference_grants;
        grants.values().map(|grant| matches!(grant, Stored::Decoded(_))).collect::<Vec<_>>()
    };
    folder.write("broken.yaml", "kind: [");
    assert_eq!(held(&folder), [true]);
    folder.remove("g.yaml");
    folder.said(
        "g.yaml: error: ReferenceGrant shop/g is not in this file any more, and grants nothing as long as broken.yaml",
    );
    assert_eq!(held(&folder), [false]);
    folder.write("a.yaml", &GOOD.replace("one", "two"));
    assert_eq!((held(&folder), folder.in_force()), (vec![false], vec!["shop/a two".into()]));
    folder.write("g.yaml", grant);
    assert_eq!(held(&folder), [true]);
    folder.remove("g.yaml");
    folder.write("broken.yaml", grant);
    assert_eq!(held(&folder), [true]);
    folder.remove("broken.yaml");
    assert!(held(&folder).is_empty());
}

#[test]
fn an_object_that_is_not_valid_keeps_its_last_valid_form_beside_others_that_change() {
    let both = format!("{GOOD}---\n{OTHER}");
    let mut folder = Folder::with(&[("a.yaml", &both)]);
    let broken = both.replace("name: a, namespace: shop}\ndata", "name: a, namespace: shop}\ndta");
    folder.write(
        "a.yaml",
        &broken.replace(
            "name: b, namespace: shop}\ndata: {version: one",
            "name: b, namespace: shop}\ndata: {version: two",
        ),
    );
    folder.said("a.yaml:1:1: error: ConfigMap shop/a: it is not valid; the last valid form stays in force");
    assert_eq!(folder.in_force(), ["shop/a one", "shop/b two"]);
    let mut fresh = Folder::with(&[("a.yaml", &broken)]);
    assert_eq!(fresh.in_force(), ["shop/a undecodable", "shop/b one"]);
    fresh.write("a.yaml", &both);
    assert_eq!(fresh.in_force(), ["shop/a one", "shop/b one"]);
}

#[test]
fn one_object_in_two_files_is_the_first_until_that_is_gone() {
    let second = GOOD.replace("one", "two");
    let mut folder = Folder::with(&[("a.yaml", GOOD), ("b.yaml", &second)]);
    folder.said(
        "b.yaml:3:12: error: ConfigMap shop/a: metadata.name: a.yaml:1 has an object of that kind and name already",
    );
    assert_eq!(folder.in_force(), ["shop/a one"]);
    folder.write("a.yaml", "a: [");
    folder.said("the form that a.yaml held before stays in force instead of this one");
    assert_eq!(folder.in_force(), ["shop/a one"], "an old copy does not take over while the file is being written");
    folder.remove("a.yaml");
    assert_eq!(folder.in_force(), ["shop/a two"]);
}

fn policy(targets: &str, rest: &str) -> String {
    let target = |name: &str| format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}");
    let targets: Vec<_> = targets.split(' ').map(target).collect();
    format!(
        "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  targetRefs: [{}]\n  {rest}\n",
        targets.join(", ")
    )
}

#[test]
fn a_broken_policy_keeps_its_last_valid_form_and_closes_what_only_the_new_one_targets() {
    for (text, in_force) in [
        (policy("orders", "typo: 1"), vec!["shop/p on orders items"]),
        (policy("orders items", "typo: 1"), vec!["shop/p on orders items"]),
        (policy("orders admin", "typo: 1"), vec!["shop/p on orders items", "shop/p (not valid) closes admin"]),
        (policy("admin", "typo: 1"), vec!["shop/p on orders items", "shop/p (not valid) closes admin"]),
        (
            policy("orders", "").replace("targetRefs", "targets"),
            vec!["shop/p on orders items", "shop/p (not valid) closes all"],
        ),
        (
            policy("orders", "").replace("spec:\n", "spec: 7\nx:\n"),
            vec!["shop/p on orders items", "shop/p (not valid) closes all"],
        ),
        (
            policy("orders", "").replace("HTTPRoute", "HTPRoute"),
            vec!["shop/p on orders items", "shop/p (not valid) closes orders"],
        ),
    ] {
        let mut folder = Folder::with(&[("p.yaml", &policy("orders items", ""))]);
        for _ in 0..2 {
            folder.write("p.yaml", &text);
            folder.said("it is not valid; the last valid form stays in force");
            assert_eq!(folder.in_force(), in_force, "{text}");
        }
        folder.write("p.yaml", &policy("admin", ""));
        assert_eq!((folder.in_force(), folder.said.len()), (vec!["shop/p on admin".into()], 0));
    }
}

#[test]
fn an_object_whose_api_group_is_misspelt_stays_in_force() {
    let good = policy("orders", "");
    for version in
        ["salyport.dev/v1alpha1", "sallyport.dev", "Sallyport.dev/v1alpha1", "sallyport.dev/v1", "example.com/v1", "v1"]
    {
        let mut folder = Folder::with(&[("p.yaml", &good)]);
        folder.write("p.yaml", &good.replace("sallyport.dev/v1alpha1", version));
        folder.said("p.yaml: error: the file cannot be read; the 1 objects");
        assert_eq!(folder.in_force(), ["shop/p on orders"], "{version}");
    }
}

#[test]
fn a_gateway_of_somebody_else_is_passed_over_unless_the_file_held_one_of_ours_under_that_name() {
    let gateway = |version: &str, name: &str| {
        format!(
            "apiVersion: {version}\nkind: Gateway\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}\n"
        )
    };
    let (ours, istio) = ("gateway.networking.k8s.io/v1", "networking.istio.io/v1");
    let gateways =
        |folder: &Folder| folder.state.cluster().gateways.keys().map(ToString::to_string).collect::<Vec<_>>();
    let mut folder = Folder::with(&[("a.yaml", &gateway(ours, "public"))]);
    folder.write("b.yaml", &gateway(istio, "public"));
    folder.write("c.yaml", &format!("{}---\n{}", gateway(ours, "inner"), gateway(istio, "public")));
    assert!(folder.state.unreadable().is_empty(), "{:?}", folder.said);
    folder.write("a.yaml", &gateway(istio, "public"));
    folder.said("a.yaml:1:1: error: networking.istio.io/v1 Gateway: apiVersion: this file held");
    assert_eq!(gateways(&folder), ["shop/inner", "shop/public"]);
    folder.write("a.yaml", &gateway(istio, "other"));
    assert_eq!((gateways(&folder), folder.state.unreadable().len()), (vec!["shop/inner".into()], 0));
    folder.write("a.yaml", &gateway(istio, "public"));
    assert!(folder.state.unreadable().is_empty(), "{:?}", folder.said);
}

#[test]
fn nothing_is_taken_away_while_a_file_cannot_be_read_that_it_may_have_moved_to() {
    let (bad, both) = ("a: [", format!("{GOOD}---\n{OTHER}"));
    for (before, after) in [
        // A file is renamed.
        (&[("a.yaml", &*both)][..], &[("z.yaml", bad)][..]),
        (&[("a.yaml", GOOD), ("b.yaml", OTHER)], &[("b.yaml", OTHER), ("z.yaml", bad)]),
        (&[("a.yaml", GOOD), ("b.yaml", OTHER)], &[("z.yaml", bad)]),
        // An object moves: to a file that is new, or was there.
        (&[("a.yaml", &both)], &[("a.yaml", GOOD), ("z.yaml", bad)]),
        (
            &[("a.yaml", GOOD), ("b.yaml", OTHER)],
            &[("a.yaml", bad), ("b.yaml", "apiVersion: v1\nkind: List\nitems: []\n")],
        ),
        // One that can be read has the other.
        (&[("a.yaml", GOOD), ("b.yaml", OTHER)], &[("c.yaml", OTHER), ("z.yaml", bad)]),
    ] {
        let mut folder = Folder::with(before);
        folder.files = after.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        for _ in 0..2 {
            folder.load();
            assert_eq!(folder.in_force(), ["shop/a one", "shop/b one"], "{after:?}");
        }
        folder.files.retain(|_, text| text != bad);
        folder.write("y.yaml", "apiVersion: v1\nkind: List\nitems: []\n");
        let left = after.iter().filter(|(_, text)| text.contains("ConfigMap")).count();
        assert_eq!((folder.in_force().len(), folder.said.len()), (left, 0), "{after:?}");
    }
}

#[test]
fn what_is_not_taken_away_is_said_and_may_change_where_it_can_be_read() {
    let mut folder = Folder::with(&[("a.yaml", &format!("{GOOD}---\n{OTHER}"))]);
    folder.files = [("z.yaml".to_owned(), "a: [".to_owned())].into();
    folder.load();
    folder.said(
        "a.yaml: error: ConfigMap shop/a and 1 more is not in this file any more, and stays in force as long as z.yaml",
    );
    folder.write("b.yaml", &OTHER.replace("one", "two"));
    assert_eq!(folder.in_force(), ["shop/a one", "shop/b two"]);
    folder.said("a.yaml: error: ConfigMap shop/a is not in this file any more");
    folder.write("z.yaml", &GOOD.replace("one", "three"));
    assert_eq!((folder.in_force(), folder.said.len()), (vec!["shop/a three".into(), "shop/b two".into()], 0));
}

#[test]
fn what_was_closed_for_a_form_that_is_gone_opens_again_whatever_else_cannot_be_read() {
    let mut folder = Folder::with(&[("p.yaml", &policy("orders", ""))]);
    folder.write("p.yaml", &policy("orders admin", "typo: 1"));
    assert_eq!(folder.in_force(), ["shop/p on orders", "shop/p (not valid) closes admin"]);
    folder.files.insert("z.yaml".to_owned(), "a: [".to_owned());
    folder.write("p.yaml", &policy("orders", ""));
    assert_eq!(folder.in_force(), ["shop/p on orders"]);
}

#[test]
fn a_second_policy_beside_a_kept_one_closes_what_only_it_targets() {
    let mut folder = Folder::with(&[("a.yaml", &policy("orders", ""))]);
    folder.files.insert("b.yaml".to_owned(), policy("orders admin", "authentication: [{name: a, public: {}}]"));
    folder.write("a.yaml", "");
    assert_eq!(folder.in_force(), ["shop/p on orders", "shop/p (not in force) closes admin"]);
}

#[test]
fn a_broken_route_keeps_its_last_valid_form_and_closes_what_only_the_new_one_matches() {
    let route = |paths: &[&str], rest: &str| {
        let matches: Vec<_> =
            paths.iter().map(|path| format!("{{path: {{type: PathPrefix, value: {path}}}}}")).collect();
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: shop}}\nspec:\n  parentRefs: [{{name: g}}]\n  rules: [{{matches: [{}]}}]\n  {rest}\n",
            matches.join(", ")
        )
    };
    for (text, closes) in [
        (route(&["/a"], "typo: 1"), false),
        (route(&["/a", "/b"], "typo: 1"), true),
        (route(&["/a"], "hostnames: [a.example]\n  typo: 1"), false),
        (route(&["/a"], "hostnames: 7"), true),
        (route(&["/a"], "typo: 1").replace("name: g", "name: h"), true),
    ] {
        let mut folder = Folder::with(&[("r.yaml", &route(&["/a"], ""))]);
        folder.write("r.yaml", &text);
        let cluster = folder.state.cluster();
        let names: Vec<_> = cluster.http_routes.keys().map(|name| &*name.name).collect();
        assert_eq!(names, if closes { vec!["r", "r (not valid)"] } else { vec!["r"] }, "{text}");
        assert!(matches!(cluster.http_routes.values().next(), Some(Stored::Decoded(_))));
    }
}

#[test]
fn a_change_that_an_api_server_would_refuse_leaves_the_form_before_it_in_force() {
    let subscription = |scope: &str, state: &str| {
        format!(
            "apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: s}}\nspec: {{scope: {{product: {{name: {scope}}}}}, state: {state}, keys: {{secretName: k}}}}\n"
        )
    };
    let mut folder = Folder::with(&[("s.yaml", &subscription("gold", "Active"))]);
    let in_force = |folder: &Folder| {
        let object = &folder.state.by_file["s.yaml"][0].object;
        let Object::Subscription(Stored::Decoded(subscription)) = object else { panic!() };
        subscription.spec.scope.product.as_ref().map(|product| product.name.clone())
    };
    folder.write("s.yaml", &subscription("gold", "Suspended"));
    assert_eq!(folder.said, Vec::<String>::new());
    for _ in 0..2 {
        folder.write("s.yaml", &subscription("platinum", "Suspended"));
        folder.said(
            "s.yaml:4:8: error: Subscription default/s: spec.scope: scope is immutable; make another Subscription",
        );
        folder.said("it is not valid; the last valid form stays in force");
        assert_eq!(in_force(&folder).as_deref(), Some("gold"));
    }
    folder.write("s.yaml", &subscription("platinum", "Active").replace("name: s}", "name: t}"));
    assert_eq!(
        (in_force(&folder).as_deref(), folder.said.len()),
        (Some("platinum"), 0),
        "another name is another object"
    );
}
