//! Requests.

use std::convert::Infallible;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::place::{Asked, Place};
use super::written::{Written, normal};
use super::{Api, Happened, Read, Right, apply, status};

type Answer = Response<Either<Full<Bytes>, StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>>;

pub(super) async fn serve(listener: TcpListener, api: Api) {
    while let Ok((stream, _)) = listener.accept().await {
        let api = api.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            let _ended = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// The parameters of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(request: &Request<Incoming>) -> Self {
        let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/"))
        };
        let mut pairs: Vec<_> = pairs.map(pair).collect();
        pairs.sort();
        Self(pairs)
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value)
    }

    fn text(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// Whether both selectors take the object.
    fn selects(&self, object: &Value) -> bool {
        let labels = self.get("labelSelector").split(',').filter(|one| !one.is_empty());
        let has = |term: &str| match term.split_once('=') {
            Some((name, value)) => object["metadata"]["labels"][name] == value,
            None => !object["metadata"]["labels"][term].is_null(),
        };
        let field = self.get("fieldSelector").strip_prefix("metadata.name=");
        labels.clone().all(has) && field.is_none_or(|name| object["metadata"]["name"] == name)
    }
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let said = self.store.lock().said.get(request.uri().path()).cloned();
        if let Some(said) = said {
            return whole(200, &said);
        }
        let Some(asked) = Asked::of(request.uri().path()) else { return whole(404, &status(404)) };
        let query = Query::of(&request);
        self.use_read(request.method(), &asked, &query);
        let is_read = request.method() == Method::GET && asked.place.name.is_empty();
        if let Some(code) = is_read.then(|| self.refusal_to_read(&asked.place, &query)).flatten() {
            return whole(code, &status(code));
        }
        match (request.method().clone(), asked.place.name.is_empty()) {
            (Method::GET, true) if query.get("watch") == "true" => self.watch(asked.place, query),
            (Method::GET, true) => self.list(&asked.place, &query).await,
            (Method::GET, false) => match self.get(&asked.place) {
                Some(object) => whole(200, &object),
                None => whole(404, &status(404)),
            },
            _ => self.write(request, asked, &query).await,
        }
    }

    /// Notes the right that reading takes.
    fn use_read(&self, method: &Method, asked: &Asked, query: &Query) {
        if method == Method::GET {
            let right = Right::to_read(asked, query.get("watch") == "true", query.get("fieldSelector"));
            self.store.lock().used.insert(right);
        }
    }

    /// What is answered in place of a list or watch of the collection; it is noted that somebody wants it.
    fn refusal_to_read(&self, place: &Place, query: &Query) -> Option<u16> {
        let name = query.get("fieldSelector").strip_prefix("metadata.name=").unwrap_or_default();
        let read = Read::new(&place.collection, &place.namespace, name);
        let mut store = self.store.lock();
        store.read.insert(read.clone());
        store.forbidden.get(&read).copied()
    }

    async fn list(&self, place: &Place, query: &Query) -> Answer {
        let mut version = self.version.subscribe();
        while self.store.lock().held_back.contains(&place.collection) {
            version.changed().await.unwrap();
        }
        let store = self.store.lock();
        let found = store.objects.iter().filter(|(one, object)| place.holds(one) && query.selects(object));
        let items: Vec<_> = found.map(|(_, object)| object.clone()).collect();
        let metadata = json!({ "resourceVersion": store.version.to_string() });
        whole(200, &json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }))
    }

    fn watch(&self, place: Place, query: Query) -> Answer {
        let seen: u64 = query.get("resourceVersion").parse().unwrap_or_default();
        let ended = move |api: &Self, place: &Place| api.store.lock().ended.get(&place.collection).copied();
        let began = ended(self, &place);
        let start = (self.clone(), self.version.subscribe(), seen);
        let happened = stream::unfold(start, move |(api, mut version, seen)| {
            let (place, query) = (place.clone(), Query(query.0.clone()));
            async move {
                loop {
                    let now = *version.borrow_and_update();
                    if ended(&api, &place) != began {
                        return None;
                    }
                    let is_meant =
                        |one: &&Happened| one.version > seen && place.holds(&one.place) && query.selects(&one.object);
                    let next = api.store.lock().history.iter().find(is_meant).cloned();
                    if let Some(next) = next {
                        let line = format!("{}\n", json!({ "type": next.kind, "object": next.object }));
                        return Some((Ok(Frame::data(line.into())), (api, version, next.version)));
                    }
                    let _ = now;
                    version.changed().await.ok()?;
                }
            }
        });
        Response::new(Either::Right(StreamBody::new(Box::pin(happened))))
    }

    async fn write(&self, request: Request<Incoming>, asked: Asked, query: &Query) -> Answer {
        let (head, body) = request.into_parts();
        let form = match head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
            Some("application/apply-patch+yaml") => "apply",
            Some("application/merge-patch+json") => "merge",
            Some("application/strategic-merge-patch+json") => "strategic",
            _ => "",
        };
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_there = self.get(&asked.place).is_some();
        self.store.lock().used.extend(Right::to_write(&head.method, &asked, is_there, &body));
        if asked.place.collection.ends_with("/tokenreviews") {
            return whole(201, &review(&body));
        }
        if asked.place.collection.ends_with("/selfsubjectaccessreviews") {
            let asked = body["spec"]["resourceAttributes"]["resource"].as_str().unwrap_or_default();
            let is_allowed = !self.store.lock().denied.contains(asked);
            let mut review = body.clone();
            review["status"] = json!({ "allowed": is_allowed });
            return whole(201, &review);
        }
        let (code, answer, written) = self.written(&head.method, &asked, query, form, &body);
        let path = head.uri.path().to_owned();
        if !asked.place.collection.ends_with("/leases") {
            // Names of Events have the time in them.
            let is_event = |path: &str| path.contains("/events/");
            let path = path.rsplit_once('.').filter(|_| is_event(&path)).map_or(&*path, |(path, _)| path);
            let target = format!("{path}{}", query.text());
            let written = Written { verb: head.method.to_string(), target, form, body: written, answer: code };
            self.store.lock().written.push(written);
        }
        whole(code, &answer)
    }

    /// Does what is asked; the answer, and the body in its normal form.
    fn written(&self, method: &Method, asked: &Asked, query: &Query, form: &str, body: &Value) -> (u16, Value, Value) {
        let Asked { place, subresource } = asked;
        let place = if place.name.is_empty() {
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            Place { name: name.to_owned(), ..place.clone() }
        } else {
            place.clone()
        };
        if self.is_contended(&place) {
            self.edit(&place, |object| {
                object["metadata"]["annotations"]["touched"] = json!(object["metadata"]["resourceVersion"])
            });
        }
        let mut done = (500, Value::Null, Value::Null);
        self.change(|store| {
            let current = store.objects.get(&place).cloned();
            let normal = normal(body, current.as_ref());
            let refused = store.refused.get_mut(&place).filter(|codes| !codes.is_empty()).map(|codes| codes.remove(0));
            let is_outdated = |current: &Value| {
                ["resourceVersion", "uid"].iter().any(|name| {
                    let stated = &body["metadata"][name];
                    !stated.is_null() && *stated != current["metadata"][name]
                })
            };
            let (code, answer) = match (refused, method, current) {
                (Some(code), ..) => (code, status(code)),
                (_, &Method::POST, Some(_)) => (409, status(409)),
                (_, &Method::POST, None) => (201, store.set(&place, body.clone())),
                (_, &Method::DELETE, None) => (404, status(404)),
                (_, &Method::DELETE, Some(current)) => {
                    let wanted = &body["preconditions"]["uid"];
                    if wanted.is_null() || *wanted == current["metadata"]["uid"] {
                        (200, store.remove(&place).unwrap())
                    } else {
                        (409, status(409))
                    }
                }
                (_, _, Some(current)) if is_outdated(&current) => (409, status(409)),
                (_, &Method::PUT, _) => (200, store.set(&place, body.clone())),
                (_, &Method::PATCH, None) if form != "apply" || !subresource.is_empty() => (404, status(404)),
                (_, &Method::PATCH, current) => {
                    let manager = query.get("fieldManager");
                    let object = store.patched(&place, subresource, manager, form, current.unwrap_or_default(), body);
                    (200, store.set(&place, object))
                }
                _ => (405, status(405)),
            };
            done = (code, answer, normal);
        });
        done
    }

    fn is_contended(&self, place: &Place) -> bool {
        let mut store = self.store.lock();
        let Some(left) = store.contended.get_mut(place).filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }
}

impl super::Store {
    fn patched(
        &mut self,
        place: &Place,
        subresource: &str,
        manager: &str,
        form: &str,
        mut object: Value,
        body: &Value,
    ) -> Value {
        let mut body = body.clone();
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("uid");
        }
        if subresource == "status" {
            body = json!({ "status": body["status"] });
        }
        if form != "apply" {
            apply::merge(&mut object, &body);
            return object;
        }
        let key = (place.clone(), manager.to_owned(), subresource.to_owned());
        let before = self.applied.insert(key.clone(), body.clone()).unwrap_or_default();
        let others = self.applied.iter().filter(|(one, _)| one.0 == *place && one.1 != manager);
        let others: Vec<_> = others.map(|(_, applied)| applied.clone()).collect();
        apply::apply(&mut object, &before, &body, &others);
        let managed = self.applied.iter().filter(|(one, _)| one.0 == *place);
        let managed = managed
            .filter(|(_, applied)| !applied.as_object().is_some_and(|applied| applied.values().all(Value::is_null)));
        let managed = managed.map(|((_, manager, subresource), applied)| {
            let mut entry = json!({ "manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields(applied) });
            if !subresource.is_empty() {
                entry["subresource"] = subresource.as_str().into();
            }
            entry
        });
        object["metadata"]["managedFields"] = managed.collect();
        object
    }
}

/// The fields that are stated, as server-side apply counts them. Entries of lists count by name, where they have one.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(stated) => {
            let is_counted = |name: &str| !["apiVersion", "kind", "name", "namespace"].contains(&name);
            let stated = stated.iter().filter(|(name, _)| is_counted(name));
            stated.map(|(name, value)| (format!("f:{name}"), fields(value))).collect()
        }
        Value::Array(entries) if entries.iter().all(|entry| entry["name"].is_string()) => {
            let key = |entry: &Value| format!("k:{}", json!({ "name": entry["name"] }));
            entries.iter().map(|entry| (key(entry), fields(entry))).collect()
        }
        _ => json!({}),
    }
}

/// Tokens of tests are the JSON of the user that they stand for.
fn review(body: &Value) -> Value {
    let token = body["spec"]["token"].as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let user: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let status = json!({ "authenticated": !user.is_null(), "user": user, "audiences": body["spec"]["audiences"] });
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": body["spec"], "status": status })
}

fn whole(code: u16, value: &Value) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
