//! The service: takes a request, lets an [`Interceptor`] say what shall go wrong with it, and answers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::request::{Request, Verb, Version};
use super::status::Refusal;
use super::store::{Change, Store};
use super::watch as watching;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub struct Handling {
    /// How long it travels.
    pub there: Duration,
    /// What it does.
    pub effect: Effect,
    /// What the client hears.
    pub reply: Reply,
    /// How long the answer travels.
    pub back: Duration,
}

/// What a request does.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// What it asks for.
    Applied,
    /// The same, but later, whatever became of its sender.
    AppliedAfter(Duration),
    /// Nothing.
    Nothing,
}

/// What the client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The answer.
    Answer,
    /// Another answer.
    Refused(Refusal),
    /// That the connection broke.
    Broken,
    /// Nothing, ever.
    Never,
}

impl Handling {
    /// All goes well.
    pub fn well(there: Duration, back: Duration) -> Self {
        Self { there, effect: Effect::Applied, reply: Reply::Answer, back }
    }
}

/// Stands between clients and the API: decides what goes wrong.
pub trait Interceptor: Send + Sync {
    /// Changes a request of this client on its way.
    fn rewrite(&self, _actor: &str, _request: &mut Request) {}
    /// What becomes of a request of this client.
    fn handling(&self, actor: &str, request: &Request) -> Handling;
    /// It has been handled: the effect is there, the answer is not on its way yet.
    fn handled(&self, actor: &str, request: &Request, answer: &Result<Arc<Value>, Refusal>);
    /// How late this client's watches of a kind are.
    fn lag(&self, actor: &str, kind: &str) -> Duration;
    /// Whether a watch that was opened then has died without a word.
    fn is_silent(&self, actor: &str, kind: &str, opened: Instant) -> bool;
}

/// Lets everything pass, at once.
struct Nothing;

impl Interceptor for Nothing {
    fn handling(&self, _: &str, _: &Request) -> Handling {
        Handling::well(Duration::ZERO, Duration::ZERO)
    }
    fn handled(&self, _: &str, _: &Request, _: &Result<Arc<Value>, Refusal>) {}
    fn lag(&self, _: &str, _: &str) -> Duration {
        Duration::ZERO
    }
    fn is_silent(&self, _: &str, _: &str, _: Instant) -> bool {
        false
    }
}

type Observer = Box<dyn FnMut(&Store, &Change) + Send>;

struct Inner {
    store: Mutex<Store>,
    observers: Mutex<Vec<Observer>>,
    interceptor: Arc<dyn Interceptor>,
    newest: watch::Sender<u64>,
    began: (Timestamp, Instant),
}

/// The API. Clones share their objects.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// An API without objects but the namespace `default`, whose clock shows this time.
    pub fn new(began: Timestamp, interceptor: Option<Arc<dyn Interceptor>>) -> Self {
        let inner = Inner {
            store: Mutex::new(Store::new(began)),
            observers: Mutex::default(),
            interceptor: interceptor.unwrap_or_else(|| Arc::new(Nothing)),
            newest: watch::Sender::new(1),
            began: (began, Instant::now()),
        };
        let api = Self { inner: Arc::new(inner) };
        api.add_namespace("default");
        api
    }

    /// Adds a namespace.
    pub fn add_namespace(&self, name: &str) {
        let namespace = json!({"metadata": {"name": name}, "status": {"phase": "Active"}});
        if let Some(resource) = super::by_kind("Namespace") {
            let _ = self.change("setup", |store| store.create(resource, "", namespace));
        }
    }

    /// The API server's time.
    pub fn now(&self) -> Timestamp {
        let (base, began) = self.inner.began;
        let passed = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
        base.saturating_add(passed).unwrap_or(base)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.inner.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.now = self.now();
        store
    }

    /// Looks at the objects.
    pub fn look<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store())
    }

    /// Changes objects, in somebody's name; observers and watches hear of it.
    pub fn change<T>(&self, actor: &str, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        actor.clone_into(&mut store.actor);
        let before = store.version();
        let result = change(&mut store);
        let mut observers = self.inner.observers.lock().unwrap_or_else(PoisonError::into_inner);
        for change in store.since(before).unwrap_or_default() {
            observers.iter_mut().for_each(|observer| observer(&store, change));
        }
        let after = store.version();
        drop((store, observers));
        if after != before {
            self.inner.newest.send_replace(after);
        }
        result
    }

    /// Calls this at each change. It must not change anything itself.
    pub fn observe(&self, observer: impl FnMut(&Store, &Change) + Send + 'static) {
        self.inner.observers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    /// Tells of each new version.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.newest.subscribe()
    }

    pub(super) fn interceptor(&self) -> &dyn Interceptor {
        self.inner.interceptor.as_ref()
    }

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

    /// The version up to which a client's lagging watch of a kind has come.
    pub(super) fn visible(&self, store: &Store, actor: &str, kind: &str) -> u64 {
        let lag = self.interceptor().lag(actor, kind);
        let Some(seen) = Instant::now().checked_sub(lag) else { return store.version() };
        let changes = store.since(0).or_else(|_| store.since(store.version())).unwrap_or_default();
        changes.iter().find(|change| change.at > seen).map_or(store.version(), |change| change.version - 1)
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
