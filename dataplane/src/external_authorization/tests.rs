use ::http::header;
use bytes::{BufMut as _, BytesMut};
use prost::Message as _;

use super::messages::{
    BoolValue, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue as Field, HeaderValueOption, HttpStatus,
    OkHttpResponse, Status,
};
use super::*;

fn asked(speech: Speech) -> Asked {
    Asked {
        backend: "Service/shop/opa/9191/authorizer".into(),
        credential: None,
        speech,
        timeout: std::time::Duration::from_millis(500),
        headers_to_authorizer: vec![],
        context: vec![],
        headers_to_caller: vec![header::WWW_AUTHENTICATE, header::LOCATION, HeaderName::from_static("x-told")],
        max_body_bytes: None,
        passes_denials: true,
    }
}

fn by_grpc() -> Asked {
    asked(Speech::Grpc { authority: HeaderValue::from_static("opa.shop.svc:9191") })
}

fn by_http() -> Asked {
    asked(Speech::Http { prefix: "/check".into() })
}

fn question() -> Question {
    let mut headers = HeaderMap::new();
    headers.append("x-team", HeaderValue::from_static("a"));
    headers.append("x-team", HeaderValue::from_static("b"));
    headers.append(header::COOKIE, HeaderValue::from_static("c=1"));
    headers.append(header::COOKIE, HeaderValue::from_static("d=2"));
    Question {
        id: "0123".to_owned(),
        time: UnixMs(1_500),
        method: Method::PUT,
        scheme: "https",
        authority: HeaderValue::from_static("api.example.com:8443"),
        forwarded_host: HeaderValue::from_static("outside.example.com"),
        path: "/orders/1".to_owned(),
        query: Some("a=b".to_owned()),
        version: Version::HTTP_2,
        address: "192.0.2.1".parse().ok(),
        principal: Some("spiffe://example.com/shop".to_owned()),
        headers,
        context: vec![("x-tier".into(), "gold".to_owned())],
        size: None,
        body: None,
    }
}

fn sent(question: &Question) -> CheckRequest {
    let request = question.written(&by_grpc()).unwrap();
    let (prefix, message) = request.body().split_first_chunk::<5>().unwrap();
    assert_eq!(*prefix, [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat()[..]);
    CheckRequest::decode(message).unwrap()
}

#[test]
fn by_grpc_all_is_told_in_the_attributes() {
    let attributes = sent(&question()).attributes.unwrap();
    let source = attributes.source.unwrap();
    assert_eq!(source.principal, "spiffe://example.com/shop");
    assert_eq!(source.address.unwrap().socket_address.unwrap().address, "192.0.2.1");
    assert_eq!(attributes.context_extensions.into_iter().collect::<Vec<_>>(), [("x-tier".into(), "gold".into())]);
    let request = attributes.request.unwrap();
    let time = request.time.unwrap();
    assert_eq!((time.seconds, time.nanos), (1, 500_000_000));
    let http = request.http.unwrap();
    let told = (&*http.id, &*http.method, &*http.path, &*http.host, &*http.scheme, &*http.protocol, http.size);
    assert_eq!(told, ("0123", "PUT", "/orders/1?a=b", "api.example.com:8443", "https", "HTTP/2", -1));
    let headers: Vec<_> = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("cookie", "c=1; d=2"), ("x-team", "a, b")]);
    assert!(http.raw_body.is_empty());
}

#[test]
fn a_body_that_is_shown_has_its_own_length() {
    let shown = Question { body: Some(Bytes::from_static(b"\xff\0")), size: Some(9), ..question() };
    let http = sent(&shown).attributes.unwrap().request.unwrap().http.unwrap();
    assert_eq!((http.size, &http.raw_body[..]), (2, &b"\xff\0"[..]));
    let said = sent(&Question { size: Some(9), ..question() }).attributes.unwrap().request.unwrap().http.unwrap();
    assert_eq!(said.size, 9);
}

#[test]
fn what_is_no_text_cannot_be_told_by_grpc() {
    let mut unfit = question();
    unfit.headers.append("x-team", HeaderValue::from_bytes(b"\xff").unwrap());
    let name = HeaderName::from_static("x-team");
    assert_eq!(unfit.written(&by_grpc()).unwrap_err(), Unasked::NoText(name));
    assert!(unfit.written(&by_http()).is_ok(), "bytes are told as they are");
}

#[test]
fn by_http_the_request_itself_is_told() {
    let request = question().written(&by_http()).unwrap();
    assert_eq!((request.method(), request.uri().to_string()), (&Method::PUT, "/check/orders/1?a=b".to_owned()));
    let lines: Vec<_> =
        request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    for line in [
        "host: api.example.com:8443",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: outside.example.com",
        "x-team: a",
        "x-team: b",
        "cookie: c=1; d=2",
        "x-tier: gold",
        "accept-encoding: identity",
    ] {
        assert!(lines.iter().any(|own| own == line), "{line}: {lines:?}");
    }
    assert_eq!(lines.len(), 9, "{lines:?}");
}

#[test]
fn what_no_header_can_hold_cannot_be_told_by_http() {
    for value in ["a\nb: c", " gold", "gold ", "\u{1}"] {
        let unfit = Question { context: vec![("x-tier".into(), value.to_owned())], ..question() };
        assert_eq!(unfit.written(&by_http()).unwrap_err(), Unasked::Context("x-tier".into()), "{value:?}");
        assert!(unfit.written(&by_grpc()).is_ok());
    }
}

fn framed(message: &CheckResponse) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut framed).unwrap();
    framed.freeze()
}

fn head(status: u16, headers: &[(&'static str, &'static str)]) -> response::Parts {
    let mut head = ::http::Response::builder().status(status);
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    head.body(()).unwrap().into_parts().0
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn heard_by_grpc(body: &Bytes) -> Result<Answer, Unusable> {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    read(&by_grpc(), &[HeaderName::from_static("x-user")], &head(200, &[GRPC]), body, Some(&trailers))
}

fn ok() -> CheckResponse {
    CheckResponse { status: Some(Status::default()), ..CheckResponse::default() }
}

fn field(key: &str, value: &str, append: Option<bool>, append_action: i32) -> HeaderValueOption {
    let header = Some(Field { key: key.into(), value: value.into(), ..Field::default() });
    HeaderValueOption { header, append: append.map(|value| BoolValue { value }), append_action }
}

fn setting(headers: Vec<HeaderValueOption>) -> CheckResponse {
    CheckResponse { ok_response: Some(OkHttpResponse { headers, ..OkHttpResponse::default() }), ..ok() }
}

fn yes(answer: Result<Answer, Unusable>) -> Yes {
    match answer {
        Ok(Answer::Yes(yes)) => *yes,
        other => panic!("{other:?}"),
    }
}

fn no(answer: Result<Answer, Unusable>) -> No {
    match answer {
        Ok(Answer::No(no)) => no,
        other => panic!("{other:?}"),
    }
}

#[test]
fn by_grpc_a_yes_is_a_status_of_zero_and_nothing_less() {
    assert!(yes(heard_by_grpc(&framed(&ok()))).to_backend.is_empty());
    let refused = Status { code: 7, message: "not you".into() };
    for (said, told) in [
        (CheckResponse::default(), "it says no, with no status"),
        (CheckResponse { status: Some(refused), ..ok() }, "it says no, with status 7"),
        (CheckResponse { denied_response: Some(DeniedHttpResponse::default()), ..ok() }, "it says no, with status 0"),
        (
            CheckResponse { ok_response: Some(OkHttpResponse::default()), ..CheckResponse::default() },
            "it says no, with no status",
        ),
    ] {
        assert_eq!(no(heard_by_grpc(&framed(&said))).told, told);
    }
}

#[test]
fn a_yes_that_asks_for_more_than_is_done_here_is_none() {
    let more = |ok_response| CheckResponse { ok_response: Some(ok_response), ..ok() };
    let query =
        OkHttpResponse { query_parameters_to_set: vec![Bytes::from_static(b"\x0a\x01a")], ..OkHttpResponse::default() };
    let less = OkHttpResponse { query_parameters_to_remove: vec!["a".into()], ..OkHttpResponse::default() };
    let newer = CheckResponse { error_response: Some(Bytes::new()), ..ok() };
    for said in [more(query), more(less), newer] {
        assert!(matches!(heard_by_grpc(&framed(&said)), Err(Unusable::Demand(_))), "{said:?}");
    }
}

#[test]
fn by_grpc_an_answer_is_one_whole_message() {
    let whole = framed(&setting(vec![field("x-user", "alice", None, 0)]));
    assert_eq!(yes(heard_by_grpc(&whole)).to_backend.len(), 1);
    let compressed = Bytes::from([&[1], &whole[1..]].concat());
    let twice = Bytes::from([&whole[..], &whole[..]].concat());
    let broken = Bytes::from([&whole[..5], &vec![0xff; whole.len() - 5]].concat());
    for unfit in [Bytes::new(), whole.slice(..4), whole.slice(..whole.len() - 1), compressed, twice, broken] {
        assert!(matches!(heard_by_grpc(&unfit), Err(Unusable::Message(_))), "{unfit:?}");
    }
    let (body, names) = (framed(&ok()), []);
    let heard = |head: response::Parts, trailers: Option<&HeaderMap>| read(&by_grpc(), &names, &head, &body, trailers);
    assert!(matches!(heard(head(503, &[GRPC]), None), Err(Unusable::Status(_))));
    assert!(matches!(heard(head(200, &[]), None), Err(Unusable::Message(_))));
    assert!(matches!(heard(head(200, &[("content-type", "application/json")]), None), Err(Unusable::Message(_))));
    assert!(matches!(heard(head(200, &[GRPC]), None), Err(Unusable::Message(_))), "its status is missing");
    assert!(matches!(heard(head(200, &[GRPC, ("grpc-status", "14")]), None), Err(Unusable::GrpcStatus(_))));
    let failed = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("2"))]);
    assert!(matches!(heard(head(200, &[GRPC, ("grpc-status", "0")]), Some(&failed)), Err(Unusable::GrpcStatus(_))));
}

fn made(said: Vec<HeaderValueOption>) -> (Vec<String>, usize) {
    let yes = yes(heard_by_grpc(&framed(&setting(said))));
    let mut headers = HeaderMap::new();
    yes.to_backend.iter().for_each(|change| change.make(&mut headers));
    (headers.get_all("x-user").into_iter().map(|value| value.to_str().unwrap().to_owned()).collect(), yes.dropped)
}

#[test]
fn headers_are_set_or_added_as_it_says() {
    let first = || field("X-User", "a", None, 0);
    for (second, made_of_both) in [
        (field("x-user", "b", None, 0), vec!["b"]),
        (field("x-user", "b", Some(false), 0), vec!["b"]),
        (field("x-user", "b", Some(true), 0), vec!["a", "b"]),
        (field("x-user", "b", None, 1), vec!["a"]),
        (field("x-user", "b", None, 2), vec!["b"]),
        (field("x-user", "b", None, 3), vec!["b"]),
        (field("x-user", "", None, 0), vec!["a"]),
    ] {
        assert_eq!(made(vec![first(), second.clone()]).0, made_of_both, "{second:?}");
    }
    assert!(made(vec![field("x-user", "b", None, 3)]).0.is_empty(), "there is none to set anew");
    assert_eq!(made(vec![field("x-user", "b", None, 1)]).0, ["b"]);
    assert_eq!(
        made(vec![first(), field("x-other", "b", None, 0), field("host", "evil", None, 0)]),
        (vec!["a".into()], 2)
    );
    let raw = HeaderValueOption {
        header: Some(Field { key: "x-user".into(), raw_value: Bytes::from_static(b"raw"), ..Field::default() }),
        ..HeaderValueOption::default()
    };
    assert_eq!(made(vec![raw]).0, ["raw"]);
}

#[test]
fn what_can_be_no_header_makes_an_answer_unusable() {
    for unfit in [
        field("x-user", "a", Some(true), 4),
        field("x-user", "a\r\nhost: b", None, 0),
        field("x-user", "a\0", None, 0),
        field(":path", "/admin", None, 0),
        field("x user", "a", None, 0),
        field("x-other", "a\nb", None, 0),
        field("x-user", "a", None, 4),
        field("x-user", &"a".repeat(8 * 1024 + 1), None, 0),
    ] {
        let heard = heard_by_grpc(&framed(&setting(vec![unfit.clone()])));
        assert!(matches!(heard, Err(Unusable::Header { .. })), "{unfit:?}");
    }
    assert_eq!(made(vec![field("x-user", &"a".repeat(8 * 1024), None, 0)]).0.len(), 1);
}

#[test]
fn on_answers_headers_are_added_unless_it_says_otherwise() {
    let told = vec![field("x-told", "a", None, 0), field("x-told", "b", None, 0), field("x-other", "c", None, 0)];
    let said = OkHttpResponse { response_headers_to_add: told, ..OkHttpResponse::default() };
    let yes = yes(heard_by_grpc(&framed(&CheckResponse { ok_response: Some(said), ..ok() })));
    let mut headers = HeaderMap::new();
    yes.to_caller.iter().for_each(|change| change.make(&mut headers));
    assert_eq!(headers.get_all("x-told").into_iter().count(), 2);
    assert_eq!((headers.len(), yes.dropped), (2, 1));
}

fn denied(code: i32, headers: Vec<HeaderValueOption>, body: &str) -> CheckResponse {
    let status = (code != 0).then_some(HttpStatus { code });
    let denied_response = Some(DeniedHttpResponse { status, headers, body: body.into() });
    CheckResponse { status: Some(Status { code: 7, ..Status::default() }), denied_response, ..CheckResponse::default() }
}

#[test]
fn a_no_is_passed_on_where_it_is_one_that_callers_can_read() {
    let login = || vec![field("location", "https://login.example.com", None, 0)];
    let challenge = || vec![field("www-authenticate", "Bearer", None, 0)];
    for (code, headers, status) in [
        (0, vec![], Some(403)),
        (404, vec![], Some(404)),
        (429, vec![], Some(429)),
        (401, challenge(), Some(401)),
        (401, vec![], None),
        (302, login(), Some(302)),
        (303, login(), Some(303)),
        (307, login(), Some(307)),
        (308, login(), None),
        (302, vec![], None),
        (200, vec![], None),
        (204, vec![], None),
        (407, vec![], None),
        (408, vec![], None),
        (421, vec![], None),
        (426, vec![], None),
        (431, vec![], None),
        (500, vec![], None),
        (99, vec![], None),
        (70_000, vec![], None),
    ] {
        let passed = no(heard_by_grpc(&framed(&denied(code, headers, "words")))).passed;
        assert_eq!(passed.map(|passed| passed.status.as_u16()), status, "{code}");
    }
}

#[test]
fn of_a_no_what_is_listed_is_passed_on() {
    let headers = vec![
        field("content-type", "text/plain", None, 0),
        field("x-told", "a", None, 0),
        field("set-cookie", "a=b", None, 0),
    ];
    let passed = no(heard_by_grpc(&framed(&denied(403, headers, "words")))).passed.unwrap();
    let names: Vec<_> = passed.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!((names, &passed.body[..]), (vec!["x-told", "content-type"], &b"words"[..]));
    assert!(no(heard_by_grpc(&framed(&denied(403, vec![], &"x".repeat(8 * 1024 + 1))))).passed.is_none());
    assert!(no(heard_by_grpc(&framed(&denied(403, vec![], &"x".repeat(8 * 1024))))).passed.is_some());
}

fn heard_by_http(head: &response::Parts, body: &'static str) -> Result<Answer, Unusable> {
    read(&by_http(), &[HeaderName::from_static("x-user")], head, &Bytes::from_static(body.as_bytes()), None)
}

#[test]
fn by_http_a_yes_is_200_and_nothing_else() {
    let said = head(200, &[("x-user", "alice"), ("x-user", "bob"), ("x-told", "a"), ("x-other", "b")]);
    let yes = yes(heard_by_http(&said, ""));
    let made = |changes: &[Change]| {
        let mut headers = HeaderMap::new();
        changes.iter().for_each(|change| change.make(&mut headers));
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(made(&yes.to_backend), ["x-user: alice", "x-user: bob"]);
    assert_eq!(made(&yes.to_caller), ["x-told: a"]);
    for status in [201, 202, 204, 206, 400, 403, 404, 429] {
        no(heard_by_http(&head(status, &[("x-user", "alice")]), ""));
    }
    for status in [301, 302, 307, 500, 502, 503] {
        assert!(matches!(heard_by_http(&head(status, &[]), ""), Err(Unusable::Status(_))), "{status}");
    }
}

#[test]
fn by_http_a_no_is_passed_on_as_it_is_said() {
    let said = head(401, &[("www-authenticate", "Bearer"), ("content-type", "text/html"), ("set-cookie", "a=b")]);
    let passed = no(heard_by_http(&said, "words")).passed.unwrap();
    let names: Vec<_> = passed.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!((names, passed.status.as_u16()), (vec!["www-authenticate", "content-type"], 401));
    let login = head(302, &[("location", "https://login.example.com")]);
    assert_eq!(no(heard_by_http(&login, "")).passed.unwrap().status, StatusCode::FOUND);
    let zipped = head(403, &[("content-encoding", "gzip")]);
    assert!(no(heard_by_http(&zipped, "words")).passed.is_none(), "nobody could read it");
    let ours = Asked { passes_denials: false, ..by_http() };
    assert!(no(read(&ours, &[], &said, &Bytes::new(), None)).passed.is_none());
}

#[test]
fn a_head_has_a_bound() {
    let mut large = head(200, &[GRPC]);
    for at in 0..4 {
        let name = HeaderName::try_from(format!("x-{at}")).unwrap();
        large.headers.insert(name, HeaderValue::try_from("x".repeat(4 * 1024)).unwrap());
    }
    assert!(matches!(read(&by_http(), &[], &large, &Bytes::new(), None), Err(Unusable::Head)));
    large.headers.remove("x-0");
    assert!(read(&by_http(), &[], &large, &Bytes::new(), None).is_ok());
}
