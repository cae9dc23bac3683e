use clap::Parser as _;
use sallyport_controller::manifest::Severity;

use super::*;
use crate::standalone;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    arguments: InCluster,
}

fn objects() -> Vec<DynamicObject> {
    let line = Line::parse_from(["demo", "--cluster", "--class", "ours", "--image", "example.com/echo:1"]);
    manifests(&line.arguments, "mine").unwrap()
}

#[test]
fn everything_that_is_applied_is_named_and_of_the_demo() {
    let text: Vec<_> = objects().iter().map(|one| serde_json::to_string(one).unwrap()).collect();
    assert_eq!(text.len(), 9);
    let all = text.join("\n");
    assert!(
        !all.contains("${") && all.contains("example.com/echo:1") && all.contains(r#""gatewayClassName":"ours""#),
        "{all}"
    );
    let first = &objects()[0];
    assert_eq!(first.metadata.labels.as_ref().unwrap()[MARK.0], MARK.1);
    assert!(
        objects().iter().skip(1).all(|one| one.metadata.namespace.is_none()),
        "they are applied in the demo's namespace"
    );
}

#[test]
fn what_is_applied_has_no_problem_but_that_its_keys_are_made_in_a_cluster() {
    let class = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: ours}\nspec: {controllerName: sallyport.dev/gateway-controller}\n---\n";
    let text = SHOP.replace("${NAMESPACE}", "default").replace("${CLASS}", "ours").replace("${IMAGE}", "e");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), format!("{class}{text}")).unwrap();
    let mut state = standalone::State::default();
    let found = sallyport_controller::manifest::files::read(&[folder.path().to_owned()]);
    let mut diagnostics = state.load_found(found);
    diagnostics.extend(state.judge());
    let errors: Vec<_> =
        diagnostics.iter().filter(|one| one.severity == Severity::Error).map(|one| one.text()).collect();
    assert!(
        errors
            .iter()
            .all(|text| text.contains("keys are made only in a cluster") || text.contains("Service default/echo")),
        "{errors:#?}"
    );
}
