//! The service: takes a request, lets an [`Interceptor`](super::Interceptor) say what shall go wrong with it, and answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Response, StatusCode, header};
use kube::Client;
use serde_json::{Value, json};

use super::interceptor::{Effect, Reply};
use super::request::{Request, Verb, Version};
use super::state::Api;
use super::status::Refusal;
use super::watch as watching;

impl Api {
    /// A client whose requests are made in this name.
    pub fn client(&self, actor: &str) -> Client {
        Client::new(Service { api: self.clone(), actor: actor.into() }, "default")
    }

    async fn respond(
        self,
        actor: Arc<str>,
        request: http::Request<kube::client::Body>,
    ) -> Result<Response<Body>, tower::BoxError> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await?;
        let mut request = match Request::parse(&parts, &body) {
            Ok(request) => request,
            Err(refusal) => return respond(refusal.code, &refusal.body()),
        };
        self.interceptor().rewrite(&actor, &mut request);
        let handling = self.interceptor().handling(&actor, &request);
        pause(handling.there).await;
        let creates = match request.verb {
            Verb::Create(_) => true,
            Verb::Replace(_) => self.look(|store| store.get(&request.key).is_none()),
            _ => false,
        };
        let answer = match handling.effect {
            Effect::Applied => self.carry_out(&actor, &request),
            Effect::AppliedAfter(delay) => {
                // Whoever sent it may be dead by then: it is on its way all the same.
                let (api, request, actor) = (self.clone(), request.clone(), actor.clone());
                drop(tokio::spawn(async move {
                    pause(delay).await;
                    let _ = api.carry_out(&actor, &request);
                }));
                Ok(Arc::default())
            }
            Effect::Nothing => Ok(Arc::default()),
        };
        pause(handling.back).await;
        match handling.reply {
            Reply::Never => return std::future::pending().await,
            Reply::Broken => return Err("connection reset by peer".into()),
            Reply::Refused(refusal) => return respond(refusal.code, &refusal.body()),
            Reply::Answer => {}
        }
        match (answer, &request.verb) {
            (Err(refusal), _) => respond(refusal.code, &refusal.body()),
            (Ok(_), Verb::Watch(selector, options)) => {
                let stream = watching::follow(self, actor, &request.key, selector.clone(), options.clone());
                Ok(answered(200).body(Body::from_stream(stream))?)
            }
            (Ok(body), _) => respond(if creates { 201 } else { 200 }, &body),
        }
    }

    /// Does what a request asks for.
    fn carry_out(&self, actor: &str, request: &Request) -> Result<Arc<Value>, Refusal> {
        let answer = self.execute(actor, request);
        self.interceptor().handled(actor, request, &answer);
        answer
    }

    fn execute(&self, actor: &str, request: &Request) -> Result<Arc<Value>, Refusal> {
        let (resource, key) = (request.resource, &request.key);
        match &request.verb {
            Verb::Get => {
                self.look(|store| store.get(key).cloned()).ok_or_else(|| Refusal::not_found(resource, &key.name))
            }
            Verb::List(selector, version) => {
                let (items, version) = self.look(|store| {
                    let at = match version {
                        Version::Any => Some(self.visible(store, actor, key.kind)),
                        Version::From(asked) if *asked > store.version() => {
                            return Err(Refusal::new(504, "Timeout", "Too large resource version"));
                        }
                        Version::Newest | Version::From(_) => None,
                    };
                    Ok((store.list(key.kind, &key.namespace, selector, at), at.unwrap_or(store.version())))
                })?;
                let items: Vec<&Value> = items.iter().map(AsRef::as_ref).collect();
                Ok(Arc::new(json!({
                    "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
                    "metadata": {"resourceVersion": version.to_string()}, "items": items,
                })))
            }
            Verb::Watch(..) => Ok(Arc::default()),
            Verb::Create(object) | Verb::Replace(object) if request.dry_run => Ok(Arc::new(object.clone())),
            _ if request.dry_run => {
                Err(Refusal::bad_request("the simulation knows no dry runs of patches and deletions"))
            }
            Verb::Create(object) => {
                let named = object["metadata"]["namespace"].as_str().unwrap_or(&key.namespace);
                if resource.namespaced && named != key.namespace {
                    return Err(Refusal::bad_request(
                        "the namespace of the provided object does not match the namespace sent on the request",
                    ));
                }
                self.change(actor, |store| store.create(resource, &key.namespace, object.clone()))
            }
            Verb::Replace(object) => {
                self.change(actor, |store| store.replace(resource, key, object.clone(), request.status))
            }
            Verb::Merge(patch) => self.change(actor, |store| store.merge(resource, key, patch, request.status)),
            Verb::Delete(how) => self.change(actor, |store| store.delete(resource, key, how)),
        }
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn answered(code: u16) -> http::response::Builder {
    Response::builder()
        .status(StatusCode::from_u16(code).unwrap_or_default())
        .header(header::CONTENT_TYPE, "application/json")
}

fn respond(code: u16, body: &Value) -> Result<Response<Body>, tower::BoxError> {
    Ok(answered(code).body(Body::from(body.to_string()))?)
}

/// What one client talks to.
struct Service {
    api: Api,
    actor: Arc<str>,
}

impl tower::Service<http::Request<kube::client::Body>> for Service {
    type Response = Response<Body>;
    type Error = tower::BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, tower::BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<kube::client::Body>) -> Self::Future {
        Box::pin(self.api.clone().respond(self.actor.clone(), request))
    }
}
