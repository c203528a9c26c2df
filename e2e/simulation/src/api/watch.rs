//! Watches: a line of JSON for each change, late by as much as the interceptor says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::change::{Change, ChangeType, Key};
use super::request::WatchOptions;
use super::selector::Selector;
use super::state::{Api, Changes};

/// How often a quiet watch hears where it is.
const BOOKMARK: Duration = Duration::from_secs(60);
/// How long a watch that died in silence hangs: then the client's transport gives the connection up.
const SILENCE: Duration = Duration::from_secs(300);

struct Watch {
    api: Api,
    actor: Arc<str>,
    key: Key,
    selector: Selector,
    bookmarks: bool,
    /// The last version that was told or passed over.
    position: u64,
    ready: VecDeque<Bytes>,
    opened: Instant,
    deadline: Instant,
    next_bookmark: Instant,
    changes: Changes,
    over: bool,
}

/// What a watch sends.
pub(super) fn follow(
    api: Api,
    actor: Arc<str>,
    key: &Key,
    selector: Selector,
    options: WatchOptions,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let now = Instant::now();
    let mut ready = VecDeque::new();
    let position = api.look(|store| {
        let visible = api.visible(store, &actor, key.kind);
        let position = options.after.unwrap_or(visible);
        if options.after.is_none() || options.initial {
            let all = store.list(key.kind, &key.namespace, &selector, Some(position));
            ready.extend(all.iter().map(|object| line("ADDED", object)));
            if options.initial {
                let mut mark = bookmark(key.kind, position);
                mark["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
                ready.push_back(line("BOOKMARK", &mark));
            }
        }
        position
    });
    let watch = Watch {
        changes: api.changes(),
        api,
        actor,
        key: key.clone(),
        selector,
        bookmarks: options.bookmarks,
        position,
        ready,
        opened: now,
        deadline: now + Duration::from_secs(options.timeout),
        next_bookmark: now + BOOKMARK,
        over: false,
    };
    stream::unfold(watch, async |mut watch| watch.next().await.map(|line| (Ok(line), watch)))
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let interceptor = self.api.interceptor();
            if interceptor.is_silent(&self.actor, self.key.kind, self.opened) {
                tokio::time::sleep_until(self.opened.max(Instant::now()) + SILENCE).await;
                return None;
            }
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            let now = Instant::now();
            self.changes.mark_unchanged();
            let due = self.advance(now);
            if !self.ready.is_empty() {
                continue;
            }
            if now >= self.deadline {
                return None;
            }
            if self.bookmarks && now >= self.next_bookmark {
                self.next_bookmark = now + BOOKMARK;
                return Some(line("BOOKMARK", &bookmark(self.key.kind, self.position)));
            }
            let wake = due.into_iter().chain([self.deadline]).chain(self.bookmarks.then_some(self.next_bookmark)).min();
            tokio::select! {
                biased;
                () = self.changes.changed() => {}
                () = tokio::time::sleep_until(wake.unwrap_or(self.deadline)) => {}
            }
        }
    }

    /// Makes ready what may be told by now; returns when there is more.
    fn advance(&mut self, now: Instant) -> Option<Instant> {
        let lag = self.api.interceptor().lag(&self.actor, self.key.kind);
        let Self { api, position, ready, key, selector, over, .. } = self;
        api.look(|store| match store.since(*position) {
            Err(refusal) => {
                ready.push_back(line("ERROR", &refusal.body()));
                *over = true;
                None
            }
            Ok(changes) => {
                for change in changes {
                    let concerns = change.key.kind == key.kind
                        && (key.namespace.is_empty() || change.key.namespace == key.namespace);
                    if concerns && change.at + lag > now {
                        return Some(change.at + lag);
                    }
                    *position = change.version;
                    if concerns {
                        ready.extend(event(change, selector));
                    }
                }
                None
            }
        })
    }
}

/// What a watch is told of a change: an object that is selected no more is gone for it.
fn event(change: &Change, selector: &Selector) -> Option<Bytes> {
    let before = change.kind != ChangeType::Added && change.old.as_ref().is_some_and(|old| selector.selects(old));
    let after = change.kind != ChangeType::Deleted && selector.selects(&change.new);
    match (before, after) {
        (false, true) => Some(line("ADDED", &change.new)),
        (true, true) => Some(line("MODIFIED", &change.new)),
        (true, false) => {
            let mut last = if change.kind == ChangeType::Deleted {
                change.new.as_ref().clone()
            } else {
                change.old.as_deref()?.clone()
            };
            last["metadata"]["resourceVersion"] = change.version.to_string().into();
            Some(line("DELETED", &last))
        }
        (false, false) => None,
    }
}

fn bookmark(kind: &str, version: u64) -> Value {
    let api_version = super::by_kind(kind).map(super::Resource::api_version).unwrap_or_default();
    json!({"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null}})
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}
