//! A namespace of a test, and what tests do in it.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use seatrial_crds::{Condition, MLPipeline, MLPipelineRun};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long anything may take that nobody has to wait for.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What tests look at.
pub(crate) trait Thing:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}
impl<K> Thing for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

/// A namespace.
pub(crate) struct Space {
    pub(crate) client: Client,
    pub(crate) name: String,
    /// The log of the operator that works here.
    pub(crate) log: PathBuf,
}

impl Space {
    /// Makes it, and waits until pods can be made in it.
    pub(crate) async fn new(client: Client, name: &str, log: PathBuf) -> Self {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let space = Self { client, name: name.to_owned(), log };
        space.until::<ServiceAccount>("default", SOON, |account| account.is_some()).await;
        space
    }

    pub(crate) fn api<K: Thing>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies YAML.
    pub(crate) async fn apply(&self, yaml: &str) {
        let done = seatrial_e2e::apply(&self.client, yaml, Some(&self.name)).await;
        done.unwrap_or_else(|error| panic!("{error:#}\n{yaml}"));
    }

    /// Waits until it is so.
    pub(crate) async fn until<K: Thing>(
        &self,
        name: &str,
        limit: Duration,
        question: impl Fn(Option<&K>) -> bool,
    ) -> Option<K> {
        let deadline = Instant::now() + limit;
        loop {
            let found = self.api::<K>().get_opt(name).await.unwrap();
            if question(found.as_ref()) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{}: waited {limit:?} in vain for {} {name}: {}\nthe operator's log is {}",
                self.name,
                K::kind(&()),
                serde_json::to_string(&found).unwrap(),
                self.log.display(),
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a run stands so: its condition's reason, and what it says.
    pub(crate) async fn until_run(&self, name: &str, question: impl Fn(&str, &str) -> bool) -> MLPipelineRun {
        let stands = |run: Option<&MLPipelineRun>| {
            run.and_then(succeeded).is_some_and(|condition| question(&condition.reason, &condition.message))
        };
        self.until(name, SOON, stands).await.unwrap()
    }

    /// Waits until a pipeline's condition Ready has this reason.
    pub(crate) async fn until_pipeline(&self, name: &str, reason: &str) -> MLPipeline {
        let stands = |pipeline: Option<&MLPipeline>| {
            let status = pipeline.and_then(|pipeline| pipeline.status.as_ref());
            status.is_some_and(|status| status.conditions.iter().any(|c| c.type_ == "Ready" && c.reason == reason))
        };
        self.until(name, SOON, stands).await.unwrap()
    }

    /// The Jobs of a run.
    pub(crate) async fn jobs(&self, run: &str) -> Vec<Job> {
        let of_run = ListParams::default().labels(&format!("seatrial.dev/run={run}"));
        self.api().list(&of_run).await.unwrap().items
    }

    /// Waits for the one Job of a run.
    pub(crate) async fn job(&self, run: &str) -> Job {
        let deadline = Instant::now() + SOON;
        loop {
            match self.jobs(run).await.as_slice() {
                [job] => return job.clone(),
                [] => assert!(Instant::now() < deadline, "{}: the run {run} has no Job", self.name),
                more => panic!("{}: {} Jobs of the run {run}", self.name, more.len()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Lets the pod of a run's Job end well, as a kubelet would.
    pub(crate) async fn finish(&self, run: &str) {
        self.finish_as(run, json!({})).await;
    }

    /// The same, with more in the pod's status.
    pub(crate) async fn finish_as(&self, run: &str, more: Value) {
        let job = self.job(run).await.name_any();
        let pods: Api<Pod> = self.api();
        let deadline = Instant::now() + SOON;
        let pod = loop {
            let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
            match pods.list(&of_job).await.unwrap().items.first() {
                Some(pod) => break pod.name_any(),
                None => assert!(Instant::now() < deadline, "{}: the Job {job} has no pod", self.name),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let mut status = more;
        status["phase"] = json!("Succeeded");
        let ended = json!({"status": status});
        pods.patch_status(&pod, &PatchParams::default(), &Patch::Merge(ended)).await.unwrap();
    }

    /// Sets fields of an object's spec.
    pub(crate) async fn set<K: Thing>(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
}

/// A run's condition.
pub(crate) fn succeeded(run: &MLPipelineRun) -> Option<&Condition> {
    run.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == "Succeeded")
}

/// A pipeline of one step, which needs no store.
pub(crate) fn pipeline(name: &str) -> String {
    format!(
        "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipeline\nmetadata: {{name: {name}}}\n\
         spec: {{image: \"train:1\", steps: [{{name: train, command: [train]}}]}}\n"
    )
}

/// A run made by hand.
pub(crate) fn run(name: &str, pipeline: &str) -> String {
    format!(
        "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipelineRun\nmetadata: {{name: {name}}}\n\
         spec: {{pipeline: {pipeline}}}\n"
    )
}
