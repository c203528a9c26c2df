//! Writes Events about objects. An event that repeats within some minutes becomes a series, as client-go does it.
//!
//! Not the recorder of `kube::runtime`, since that does not say whether it creates or patches, and takes two events for
//! one that differ in their message alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Error, Resource, ResourceExt};
use seatrial_core::plan;
use serde_json::json;
use tokio::time::Instant;

use crate::api_client::{ApiClient, LIMIT};
use crate::clock::Clock;

/// How long after an event a repetition belongs to its series.
const SERIES: Duration = Duration::from_secs(360);
/// The longest note, in bytes; the API server takes 1024.
const NOTE: usize = 1000;
/// The reporting controller of all events.
const CONTROLLER: &str = "seatrial.dev/operator";

/// What makes two events one series: the object's UID, the reason, and what is said.
type Same = (String, &'static str, String);

/// An event that was written.
struct Told {
    name: String,
    count: i32,
    last: Instant,
}

/// Writes events.
pub(crate) struct Recorder {
    client: Client,
    api_client: ApiClient,
    instance: String,
    clock: Clock,
    told: Mutex<HashMap<Same, Told>>,
}

impl Recorder {
    pub(crate) fn new(client: Client, api_client: ApiClient, instance: &str, clock: Clock) -> Self {
        Self { client, api_client, instance: instance.to_owned(), clock, told: Mutex::default() }
    }

    /// Writes an event, or continues its series.
    pub(crate) async fn record_event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        event: &plan::Event,
    ) -> Result<(), Error> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let same = (object.uid().unwrap_or_default(), event.reason, event.message.clone());
        let now = MicroTime(self.clock.now());
        if let Some((name, count)) = self.again(&same) {
            let patch = Patch::Merge(json!({"series": {"count": count, "lastObservedTime": now}}));
            let params = PatchParams::default();
            match self.api_client.write("patch", "Event", LIMIT, api.patch(&name, &params, &patch)).await {
                // The event of the series is gone: a new one is created.
                Err(Error::Api(status)) if status.code == 404 => {}
                other => return other.map(|_| ()),
            }
        }
        let built = self.build(object, event, now);
        self.api_client.write("create", "Event", LIMIT, api.create(&PostParams::default(), &built)).await?;
        let told = Told { name: built.name_any(), count: 1, last: Instant::now() };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(same, told);
        Ok(())
    }

    /// The event that this continues, and its new count.
    fn again(&self, same: &Same) -> Option<(String, i32)> {
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, told| told.last.elapsed() < SERIES);
        let told = all.get_mut(same)?;
        told.count = told.count.saturating_add(1);
        told.last = Instant::now();
        Some((told.name.clone(), told.count))
    }

    fn build<K: Resource<DynamicType = ()>>(&self, object: &K, event: &plan::Event, now: MicroTime) -> Event {
        let kind = match event.kind {
            plan::EventType::Normal => "Normal",
            plan::EventType::Warning => "Warning",
        };
        let end = event.message.floor_char_boundary(NOTE);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", object.name_any(), now.0.as_nanosecond())),
                namespace: object.namespace(),
                ..ObjectMeta::default()
            },
            action: Some(event.action.to_owned()),
            reason: Some(event.reason.to_owned()),
            note: event.message.get(..end).map(str::to_owned),
            type_: Some(kind.to_owned()),
            event_time: Some(now),
            regarding: Some(object.object_ref(&())),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seatrial_crds::{MLPipelineRun, MLPipelineRunSpec};
    use serde_json::Value;

    use super::*;
    use crate::api_client::fake;
    use crate::server::metrics::Metrics;

    fn event(message: &str) -> plan::Event {
        plan::Event { kind: plan::EventType::Warning, reason: "Stalled", action: "Serve", message: message.to_owned() }
    }

    fn run() -> MLPipelineRun {
        let spec = MLPipelineRunSpec { pipeline: "churn".into(), parameters: vec![], purpose: None };
        let mut run = MLPipelineRun::new("churn-c1", spec);
        run.metadata.namespace = Some("ns".into());
        run.metadata.uid = Some("uid".into());
        run
    }

    #[tokio::test]
    async fn the_same_again_is_a_patch_of_the_series_and_counted_as_one() {
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let seen = asked.clone();
        let client = fake::client(move |method, _, body| {
            let gone = method == "PATCH" && body["series"]["count"] == 3;
            seen.lock().unwrap().push((method.to_owned(), body.clone()));
            if gone {
                fake::status(404, "NotFound", "gone")
            } else {
                fake::answer(200, &json!({"metadata": {"name": "e"}}))
            }
        });
        let metrics = Arc::new(Metrics::new().0);
        let recorder = Recorder::new(client, ApiClient::new(metrics.clone()), "operator-0", Clock::system());
        for message in ["a", "b", "a", "a"] {
            recorder.record_event(&run(), &event(message)).await.unwrap();
        }
        let asked = asked.lock().unwrap();
        let methods: Vec<_> = asked.iter().map(|(method, _)| method.as_str()).collect();
        assert_eq!(methods, ["POST", "POST", "PATCH", "PATCH", "POST"], "the last patch met nothing");
        assert_eq!(asked[0].1["regarding"]["name"], "churn-c1");
        assert_eq!(metrics.writes("patch", "Event", "success"), 1);
        assert_eq!(metrics.writes("create", "Event", "success"), 3);
    }

    #[tokio::test]
    async fn a_long_note_is_cut_where_a_character_ends() {
        let recorder = Recorder::new(
            fake::client(|_, _, _| None),
            ApiClient::new(Arc::new(Metrics::new().0)),
            "i",
            Clock::system(),
        );
        let built = recorder.build(&run(), &event(&"ä€".repeat(400)), MicroTime(jiff::Timestamp::UNIX_EPOCH));
        let length = built.note.unwrap().len();
        assert!(length <= NOTE && length > NOTE - 4, "{length}");
    }
}
