//! What a request asks for.

use http::Method;
use http::request::Parts;
use serde_json::Value;

use super::change::{Deletion, Key};
use super::resources::{self, Resource};
use super::selector::Selector;
use super::status::Refusal;

/// What is done with which objects.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Reads one.
    Get,
    /// Reads all that are selected.
    List(Selector, Version),
    /// Follows all that are selected.
    Watch(Selector, WatchOptions),
    /// Creates one.
    Create(Value),
    /// Replaces one.
    Replace(Value),
    /// Merges something into one.
    Merge(Value),
    /// Deletes one.
    Delete(Deletion),
}

/// How fresh a list must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// As of now.
    Newest,
    /// Whatever the server has at hand.
    Any,
    /// Not older than this.
    From(u64),
}

/// How a watch goes on.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The changes after this; `None` for all that is there, then what follows.
    pub after: Option<u64>,
    /// Whether the present state comes first, and a bookmark after it.
    pub initial: bool,
    /// Whether it brings bookmarks.
    pub bookmarks: bool,
    /// After how many seconds it ends.
    pub timeout: u64,
}

/// A request that was understood.
#[derive(Clone, Debug)]
pub struct Request {
    /// The kind.
    pub resource: &'static Resource,
    /// Namespace and name; no name where the request is for many.
    pub key: Key,
    /// Whether it is about the status alone.
    pub status: bool,
    /// What is to be done.
    pub verb: Verb,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
}

impl Request {
    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, Verb::Get | Verb::List(..) | Verb::Watch(..))
    }

    /// The verb's name, with what it is about.
    pub fn verb_name(&self) -> &'static str {
        match (&self.verb, self.status) {
            (Verb::Get, _) => "get",
            (Verb::List(..), _) => "list",
            (Verb::Watch(..), _) => "watch",
            (Verb::Create(_), _) => "create",
            (Verb::Replace(_), false) => "update",
            (Verb::Replace(_), true) => "update-status",
            (Verb::Merge(_), false) => "patch",
            (Verb::Merge(_), true) => "patch-status",
            (Verb::Delete(_), _) => "delete",
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// What the API server says to one that it does not understand.
    pub fn parse(parts: &Parts, body: &[u8]) -> Result<Self, Refusal> {
        let unknown = || Refusal::new(404, "NotFound", "the server could not find the requested resource");
        let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let (group, rest) = match path.as_slice() {
            ["api", version, rest @ ..] => (("", *version), rest),
            ["apis", group, version, rest @ ..] => ((*group, *version), rest),
            _ => return Err(unknown()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return Err(unknown()),
        };
        let resource = resources::by_path(group.0, group.1, plural).ok_or_else(unknown)?;
        let status = match subresource {
            "" => false,
            "status" if resource.has_status => true,
            _ => return Err(unknown()),
        };
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let verb = verb(parts, &query, name, body)?;
        let dry_run = query.get("dryRun") == Some("All");
        Ok(Self { resource, key: Key::new(resource.kind, namespace, name), status, verb, dry_run })
    }
}

fn verb(parts: &Parts, query: &Query, name: &str, body: &[u8]) -> Result<Verb, Refusal> {
    let json = || serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&error.to_string()));
    let unsupported =
        || Refusal::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    Ok(match (&parts.method, name.is_empty()) {
        (&Method::GET, false) => Verb::Get,
        (&Method::GET, true) => {
            let selector = Selector::parse(
                query.get("labelSelector").unwrap_or_default(),
                query.get("fieldSelector").unwrap_or_default(),
            );
            let selector = selector.ok_or_else(|| Refusal::bad_request("unable to parse requirement"))?;
            let asked = query.get("resourceVersion").unwrap_or_default();
            let number =
                || asked.parse::<u64>().map_err(|_| Refusal::bad_request(&format!("Invalid value: \"{asked}\"")));
            if query.get("watch").is_some_and(|value| value == "true" || value == "1") {
                Verb::Watch(
                    selector,
                    WatchOptions {
                        after: if matches!(asked, "" | "0") { None } else { Some(number()?) },
                        initial: query.get("sendInitialEvents") == Some("true"),
                        bookmarks: query.get("allowWatchBookmarks") == Some("true"),
                        timeout: query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(1800),
                    },
                )
            } else {
                Verb::List(
                    selector,
                    match asked {
                        "" => Version::Newest,
                        "0" => Version::Any,
                        _ => Version::From(number()?),
                    },
                )
            }
        }
        (&Method::POST, true) => Verb::Create(json()?),
        (&Method::PUT, false) => Verb::Replace(json()?),
        (&Method::PATCH, false) => {
            let kind =
                parts.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            // A strategic merge patch of maps alone is a merge patch.
            if !kind.starts_with("application/merge-patch") && !kind.starts_with("application/strategic-merge-patch") {
                return Err(Refusal::new(
                    415,
                    "UnsupportedMediaType",
                    format!("the simulation knows no patch of type {kind}"),
                ));
            }
            Verb::Merge(json()?)
        }
        (&Method::DELETE, false) => {
            let options: Value = if body.is_empty() { Value::Null } else { json()? };
            let text = |value: &Value| value.as_str().map(str::to_owned);
            Verb::Delete(Deletion {
                propagation: text(&options["propagationPolicy"])
                    .or_else(|| query.get("propagationPolicy").map(str::to_owned))
                    .unwrap_or_default(),
                uid: text(&options["preconditions"]["uid"]),
                version: text(&options["preconditions"]["resourceVersion"]),
                grace: options["gracePeriodSeconds"].as_i64(),
            })
        }
        _ => return Err(unsupported()),
    })
}

/// The query of a URI, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(key, value)| (decode(key), decode(value))).collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = vec![];
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
                let value = digit(bytes.next()) * 16 + digit(bytes.next());
                decoded.push(u8::try_from(value).unwrap_or_default());
            }
            other => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
