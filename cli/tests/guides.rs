//! What the guides show works: every manifest is judged beside `guides/base.yaml`, every command line is one of the program's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What a block of a guide is, by the word after `yaml`: whole objects, or the spec of one of the base.
const KINDS: [(&str, &str, &str); 6] = [
    ("policy", "ApiPolicy", "orders"),
    ("backend", "Backend", "orders"),
    ("route", "HTTPRoute", "orders"),
    ("gateway", "Gateway", "public"),
    ("parameters", "GatewayParameters", "default"),
    ("class", "GatewayClass", "sallyport"),
];

type Objects = BTreeMap<(String, String, String), Value>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn pages() -> Vec<PathBuf> {
    let guides = fs::read_dir(root().join("docs/guides")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["README.md", "docs/getting-started.md", "docs/operations.md"];
    let mut pages: Vec<_> = guides.chain(others.map(|page| root().join(page))).collect();
    pages.sort();
    pages
}

/// The blocks of a page that begin with ```` ```LANGUAGE ````: what else stands on that line, and the text.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<(&'a str, &'a str)> {
    let fence = format!("\n```{language}");
    let begun = page.split(&fence).skip(1).filter_map(|rest| rest.split_once('\n'));
    begun.filter_map(|(word, rest)| Some((word.trim(), rest.split("\n```").next()?))).collect()
}

fn read(text: &str) -> Result<Vec<Value>, String> {
    let documents = text.split("\n---\n").map(serde_saphyr::from_str::<Value>);
    documents.map(|document| document.map_err(|error| error.to_string())).collect()
}

fn name_of(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// The base, with a certificate that nobody has to keep.
fn base() -> Objects {
    let mut objects = read(include_str!("guides/base.yaml")).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["orders.example.com".to_owned()]).unwrap().self_signed(&key);
    let certificate = certificate.unwrap().pem();
    let named = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
    for name in ["gateway-identity", "orders-example-com", "shop-example-com"] {
        let mut secret = named("Secret", name);
        secret["type"] = json!("kubernetes.io/tls");
        secret["stringData"] = json!({"tls.crt": certificate, "tls.key": key.serialize_pem()});
        objects.push(secret);
    }
    for name in ["orders-ca", "issuer-ca"] {
        let mut authority = named("ConfigMap", name);
        authority["data"] = json!({"ca.crt": certificate});
        objects.push(authority);
    }
    objects.into_iter().map(|object| (name_of(&object), object)).collect()
}

/// The base with what a block says.
fn with(mut objects: Objects, word: &str, text: &str) -> Result<Objects, String> {
    if word.is_empty() {
        objects.extend(read(text)?.into_iter().map(|object| (name_of(&object), object)));
        return Ok(objects);
    }
    let (_, kind, name) = KINDS.iter().find(|(known, ..)| *known == word).ok_or(format!("what is {word}?"))?;
    let mut of_base = objects.values_mut().filter(|one| one["kind"] == *kind && one["metadata"]["name"] == *name);
    let object = of_base.next().ok_or("the base lacks it")?;
    let spec: serde_json::Map<String, Value> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    // What says where it is stays; the rest is the block's.
    let keep =
        |field: &str| ["targetRefs", "endpoints", "parentRefs", "gatewayClassName", "controllerName"].contains(&field);
    let kept = object["spec"].as_object().unwrap().iter().filter(|(field, _)| keep(field));
    let mut whole: serde_json::Map<_, _> = kept.map(|(field, value)| (field.clone(), value.clone())).collect();
    whole.extend(spec);
    object["spec"] = whole.into();
    Ok(objects)
}

/// What `sallyport validate` finds.
fn judge(objects: &Objects) -> Result<(), String> {
    let documents: Vec<_> = objects.values().map(Value::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command.args(["validate", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(documents.join("\n---\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stdout).into_owned()) }
}

#[test]
fn every_manifest_of_a_guide_is_valid() {
    let (base, mut judged) = (base(), 0);
    judge(&base).unwrap();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (word, block) in blocks(&text, "yaml") {
            let found = with(base.clone(), word, block).and_then(|objects| judge(&objects));
            assert_eq!(found, Ok(()), "{}:\n{block}", page.display());
            judged += 1;
        }
    }
    assert!(judged >= 25, "{judged} manifests");
}

#[test]
fn a_manifest_that_is_wrong_is_found() {
    for (word, block) in [
        ("policy", "authentication: [{name: a, jwtt: {}}]"),
        ("policy", "credential: {basic: {secretRef: {name: nowhere}}}\nauthentication: [{name: a, public: {}}]"),
        ("policy", "ipFilter: {}"),
        ("backend", "credential: {basic: {}, none: {}}"),
        ("backend", "endpoints: [{host: {name: example.com, port: 80}}]"),
        ("route", "rules: [{backendRefs: [{name: nowhere, port: 80}]}]"),
        ("parameters", "bounds: {maxHeaders: 1}"),
        ("gateway", "listeners: []"),
        ("nonsense", "a: b"),
        ("", "kind: ApiPolicy"),
        ("", "a: ["),
    ] {
        let found = with(base(), word, block).and_then(|objects| judge(&objects));
        assert!(found.is_err(), "{word}: {block}");
    }
}

#[test]
fn blocks_are_found_with_their_word() {
    let page = "a\n```yaml policy\nb: c\n```\nd\n```sh\ne\n```\n```yaml\nf:\n  g\n```\n";
    assert_eq!(blocks(page, "yaml"), [("policy", "b: c"), ("", "f:\n  g")]);
    assert_eq!(blocks(page, "sh"), [("", "e")]);
}

/// Verbs such as `keys list`.
const WITH_VERBS_OF_ITS_OWN: [&str; 1] = ["keys"];

/// What a line of a shell says to the program, wherever in the line; other programs may take its name as an argument.
fn said(line: &str) -> Option<&str> {
    let line = line.split('#').next()?;
    let parts = line.split(['|', ';']).map(|part| part.trim().trim_start_matches("do "));
    let begins = ["sallyport ", "kubectl sallyport ", "cargo run -p sallyport -- "];
    parts.into_iter().find_map(|part| begins.iter().find_map(|begin| part.strip_prefix(begin)))
}

#[test]
fn what_is_said_to_the_program_is_told_from_what_is_said_of_it() {
    for (line, expected) in [
        ("sallyport run -f a   # serves", Some("run -f a   ")),
        (
            "while read -r name; do sallyport approve \"$name\" --expires never; done",
            Some("approve \"$name\" --expires never"),
        ),
        ("sallyport crds | kubectl apply -f -", Some("crds")),
        ("kubectl sallyport status", Some("status")),
        ("cargo run -p sallyport -- run -f a", Some("run -f a")),
        ("helm install sallyport charts/sallyport --wait", None),
        ("# sallyport run", None),
        ("ln -s \"$(command -v sallyport)\" ~/bin", None),
    ] {
        assert_eq!(said(line).map(str::trim), expected.map(str::trim), "{line}");
    }
}

/// What `sallyport VERB --help` tells of.
fn options(verb: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sallyport")).args(verb).arg("--help").output().unwrap();
    assert!(output.status.success(), "{verb:?} is no verb");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|word| word.trim_matches(|letter| ",.[]".contains(letter)).to_owned()).collect()
}

#[test]
fn every_command_line_of_a_guide_is_one_of_the_program() {
    let mut known = BTreeMap::new();
    let mut lines = 0;
    let pages: Vec<_> = pages().into_iter().map(|page| (fs::read_to_string(&page).unwrap(), page)).collect();
    for (text, page) in &pages {
        let commands = blocks(text, "sh").into_iter().flat_map(|(_, block)| block.lines());
        for line in commands.filter_map(said) {
            let mut words = line.split_whitespace();
            let verb = words.next().unwrap_or_else(|| panic!("{}: {line}", page.display()));
            let inner = WITH_VERBS_OF_ITS_OWN.contains(&verb).then(|| words.next()).flatten();
            let verb: Vec<_> = std::iter::once(verb).chain(inner).collect();
            let known = known.entry(verb.clone()).or_insert_with(|| options(&verb));
            for option in words.filter(|word| word.starts_with('-') && word.len() > 1) {
                assert!(known.contains(option), "{}: sallyport {line}: {option}", page.display());
            }
            lines += 1;
        }
    }
    assert!(lines >= 20, "{lines} command lines");
}

#[test]
fn the_guide_of_parameters_has_a_row_for_each_bound() {
    let page = fs::read_to_string(root().join("docs/guides/gateway-parameters.md")).unwrap();
    let schema = sallyport_api::schema::open_api_schema("GatewayParameters").unwrap();
    let bounds = schema["properties"]["spec"]["properties"]["bounds"]["properties"].as_object().unwrap();
    assert!(bounds.len() >= 10, "{bounds:?}");
    for bound in bounds.keys() {
        assert!(page.contains(&format!("\n| `{bound}` | ")), "{bound}");
    }
}

#[test]
fn the_guide_of_parameters_tells_of_each_setting_of_pods_and_service() {
    let page = fs::read_to_string(root().join("docs/guides/gateway-parameters.md")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let schema = sallyport_api::schema::open_api_schema("GatewayParameters").unwrap();
    let fields = |place: &Value| place["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let spec = &schema["properties"]["spec"]["properties"];
    let settings = ["deployment", "service"]
        .map(|whole| fields(&spec[whole]).into_iter().map(move |one| format!("`{whole}.{one}`")));
    let of_pod = fields(&spec["deployment"]["properties"]["pod"]).into_iter().map(|one| format!("`{one}`"));
    let settings: Vec<_> = settings.into_iter().flatten().chain(of_pod).collect();
    assert!(settings.len() >= 15, "{settings:?}");
    for setting in settings {
        assert!(rows.iter().any(|row| row.contains(&setting)), "{setting}");
    }
}

#[test]
fn the_guide_of_the_inner_door_has_a_row_for_each_credential() {
    let page = fs::read_to_string(root().join("docs/guides/inner-door.md")).unwrap();
    let schema = sallyport_api::schema::open_api_schema("Backend").unwrap();
    let kinds = schema["properties"]["spec"]["properties"]["credential"]["properties"].as_object().unwrap();
    assert!(kinds.len() >= 5, "{kinds:?}");
    for kind in kinds.keys() {
        assert!(page.contains(&format!("\n| `{kind}` | ")), "{kind}");
    }
}
