use kube::core::Status;

use super::*;

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: a, cluster: {server: 'http://127.0.0.1:1'}}
- {name: b, cluster: {server: 'http://127.0.0.1:2'}}
contexts:
- {name: one, context: {cluster: a, user: me}}
- {name: two, context: {cluster: b, user: me, namespace: shop}}
users:
- {name: me, user: {token: x}}
";

async fn connected(context: Option<&str>, namespace: Option<&str>) -> anyhow::Result<Cluster> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KUBECONFIG).unwrap();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let kubeconfig = Some(file.path().to_owned());
    Access { kubeconfig, context: owned(context), namespace: owned(namespace) }.connect().await
}

#[tokio::test]
async fn context_and_namespace_are_those_of_kubectl() {
    for (context, namespace, server, wanted) in [
        (None, None, "http://127.0.0.1:1/", "default"),
        (Some("two"), None, "http://127.0.0.1:2/", "shop"),
        (Some("two"), Some("other"), "http://127.0.0.1:2/", "other"),
    ] {
        let cluster = connected(context, namespace).await.unwrap();
        assert_eq!((&*cluster.server, &*cluster.namespace), (server, wanted));
    }
    let error = connected(Some("three"), None).await.err().unwrap();
    let said = format!("{error:#}");
    assert!(said.contains("set KUBECONFIG") && said.contains("three"), "{said}");
    let access = Access { kubeconfig: Some("/nowhere".into()), ..Access::default() };
    let said = format!("{:#}", access.connect().await.err().unwrap());
    assert!(said.contains("/nowhere"), "{said}");
}

#[tokio::test]
async fn an_error_says_what_to_do() {
    let cluster = connected(None, None).await.unwrap();
    let status =
        |code: u16| kube::Error::Api(Box::new(Status { code, message: "no\u{1b}".into(), ..Status::default() }));
    for (code, cure) in [
        (401, "log in anew"),
        (403, "ask whoever runs the cluster"),
        (404, "sallyport check --pre"),
        (409, "look, and try again"),
        (503, "try again"),
        (500, "answers 500: no\u{fffd}"),
    ] {
        let said = format!("{:#}", cluster.explained(&status(code), "ApiPolicy a/b"));
        assert!(said.starts_with("ApiPolicy a/b: ") && said.contains(cure) && !said.contains('\u{1b}'), "{said}");
    }
    let error = cluster.list(ObjectKind::Gateway, None).await.unwrap_err();
    let said = cluster.why(&error);
    assert!(said.contains("http://127.0.0.1:1/ cannot be asked") && said.contains("refused"), "{said}");
}
