//! Runs of two steps in sequence: as bare Jobs, as Jobs with Seatrial's pods, and by Seatrial.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use seatrial_crds::{MLPipeline, MLPipelineRun};
use seatrial_e2e::wait_until;
use serde_json::json;

/// How long a load may take at most.
const LIMIT: Duration = Duration::from_secs(1200);
/// The namespace of the loads.
pub(crate) const NAMESPACE: &str = "bench";
/// How many requests the benchmark itself has under way.
const PARALLEL: usize = 32;

/// Who makes the Jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Made {
    /// The benchmark, with pods of one container.
    BareJobs,
    /// The benchmark, with the pods that Seatrial makes.
    SameJobs,
    /// Seatrial.
    Seatrial,
}

/// What loads are made of.
pub(crate) struct Load {
    client: Client,
    /// The Jobs of the two steps, as Seatrial made them.
    steps: [Job; 2],
}

fn pipeline(name: &str) -> MLPipeline {
    let step =
        |name: &str| json!({"name": name, "image": "registry.local/bench:1", "command": ["train", "--epochs", "10"]});
    let (mut first, mut second) = (step("first"), step("second"));
    first["outputs"] = json!([{"name": "data", "type": "Dataset"}]);
    second["inputs"] = json!([{"name": "data", "from": {"step": "first", "output": "data"}}]);
    second["outputs"] = json!([{"name": "model", "type": "Model"}]);
    let object = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": name},
        "spec": {"steps": [first, second]},
    });
    serde_json::from_value(object).unwrap()
}

fn is_complete(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Complete" && one.status == "True"))
}

/// Whether a run ended well, and its message; `None` where it has not ended.
pub(crate) fn ending(run: &MLPipelineRun) -> Option<(bool, &str)> {
    let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let condition = conditions.iter().find(|one| one.type_ == "Succeeded")?;
    match condition.status.as_str() {
        "True" => Some((true, &condition.message)),
        "False" => Some((false, &condition.message)),
        _ => None,
    }
}

fn has_succeeded(run: &MLPipelineRun) -> anyhow::Result<bool> {
    match ending(run) {
        Some((false, message)) => bail!("the run {} failed: {message}", run.name_any()),
        other => Ok(other.is_some()),
    }
}

pub(crate) async fn make_namespace(client: &Client) -> anyhow::Result<()> {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

impl Load {
    /// Makes the namespace, and lets Seatrial make one run, whose Jobs are the pattern for those of the benchmark.
    pub(crate) async fn prepare(client: Client) -> anyhow::Result<Self> {
        make_namespace(&client).await?;
        let mut own = Self { client, steps: [Job::default(), Job::default()] };
        own.run(Made::Seatrial, 1).await.context("not even one run ends")?;
        let jobs = own.api::<Job>().list(&ListParams::default()).await?.items;
        let pattern = |step: &str| {
            let job = jobs.iter().find(|job| job.labels().get("seatrial.dev/step").is_some_and(|label| label == step));
            anyhow::Ok(job.with_context(|| format!("no Job of step {step}"))?.clone())
        };
        own.steps = [pattern("first")?, pattern("second")?];
        let size = serde_json::to_vec(&own.steps[1])?.len();
        eprintln!("the Job of the second step has {size} bytes of JSON, its managed fields included");
        own.clear().await?;
        Ok(own)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Makes so many runs at once, and waits until all have ended.
    pub(crate) async fn run(&self, made: Made, size: usize) -> anyhow::Result<Duration> {
        let work = async {
            match made {
                Made::Seatrial => self.pipelines(size).await,
                Made::BareJobs | Made::SameJobs => self.jobs(made, size).await,
            }
        };
        tokio::time::timeout(LIMIT, work).await.with_context(|| format!("{size} x {made:?} do not end"))?
    }

    async fn pipelines(&self, size: usize) -> anyhow::Result<Duration> {
        let (api, began) = (self.api::<MLPipeline>(), Instant::now());
        let create = stream::iter(0..size).map(Ok).try_for_each_concurrent(PARALLEL, |number| {
            let api = &api;
            async move {
                api.create(&PostParams::default(), &pipeline(&format!("p{number}"))).await?;
                anyhow::Ok(())
            }
        });
        tokio::try_join!(create, self.until_runs_succeeded(size))?;
        Ok(began.elapsed())
    }

    async fn until_runs_succeeded(&self, size: usize) -> anyhow::Result<()> {
        let mut events = watcher(self.api::<MLPipelineRun>(), watcher::Config::default())
            .default_backoff()
            .applied_objects()
            .boxed();
        let mut done = HashSet::new();
        while done.len() < size {
            let run = events.try_next().await?.context("the watch ended")?;
            if has_succeeded(&run)? {
                done.insert(run.name_any());
            }
        }
        Ok(())
    }

    fn job(&self, made: Made, number: usize, step: usize) -> Job {
        let pattern = &self.steps[step];
        let mut job = Job::default();
        job.metadata.name = Some(format!("j{number}-{step}"));
        let mut spec = pattern.spec.clone().unwrap_or_default();
        // What the API server fills in by itself.
        spec.selector = None;
        let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.retain(|label, _| !label.contains("controller-uid") && !label.contains("job-name"));
        if made == Made::BareJobs {
            spec.pod_failure_policy = None;
            spec.pod_replacement_policy = None;
            let pod = spec.template.spec.get_or_insert_default();
            pod.init_containers = None;
            pod.volumes = None;
            pod.containers.retain(|container| container.name == "step");
            for container in &mut pod.containers {
                container.volume_mounts = None;
                container.env = None;
            }
        } else {
            job.metadata.labels = pattern.metadata.labels.clone();
        }
        // Not of the operator's concern.
        let of_pod = spec.template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut());
        for labels in [job.metadata.labels.as_mut(), of_pod].into_iter().flatten() {
            for label in ["seatrial.dev/run", "seatrial.dev/component", "app.kubernetes.io/managed-by"] {
                labels.remove(label);
            }
        }
        job.spec = Some(spec);
        job
    }

    async fn jobs(&self, made: Made, size: usize) -> anyhow::Result<Duration> {
        let (api, began) = (self.api::<Job>(), Instant::now());
        let mut events = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
        let create = stream::iter(0..size).map(Ok).try_for_each_concurrent(PARALLEL, |number| {
            let api = &api;
            async move {
                api.create(&PostParams::default(), &self.job(made, number, 0)).await?;
                anyhow::Ok(())
            }
        });
        let follow = async {
            let (mut first, mut second) = (HashSet::new(), HashSet::new());
            let mut creations = stream::FuturesUnordered::new();
            while second.len() < size {
                tokio::select! {
                    event = events.try_next() => {
                        let job = event?.context("the watch ended")?;
                        let name = job.name_any();
                        let Some((number, step)) = name.trim_start_matches('j').split_once('-') else { continue };
                        if !is_complete(&job) {
                            continue;
                        }
                        let number: usize = number.parse()?;
                        if step == "1" {
                            second.insert(number);
                        } else if first.insert(number) {
                            let next = self.job(made, number, 1);
                            let api = api.clone();
                            creations.push(async move { api.create(&PostParams::default(), &next).await });
                        }
                    }
                    Some(created) = creations.next() => { created?; }
                }
            }
            anyhow::Ok(())
        };
        tokio::try_join!(create, follow)?;
        Ok(began.elapsed())
    }

    /// Runs of one pipeline that a person makes at once.
    pub(crate) async fn by_hand(&self, size: usize) -> anyhow::Result<Duration> {
        self.run(Made::Seatrial, 1).await?;
        let (api, began) = (self.api::<MLPipelineRun>(), Instant::now());
        let create = stream::iter(0..size).map(Ok).try_for_each_concurrent(PARALLEL, |number| {
            let api = &api;
            async move {
                let run = json!({
                    "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
                    "metadata": {"name": format!("by-hand-{number}")}, "spec": {"pipeline": "p0"},
                });
                api.create(&PostParams::default(), &serde_json::from_value(run)?).await?;
                anyhow::Ok(())
            }
        });
        let all = async { tokio::try_join!(create, self.until_runs_succeeded(size + 1)) };
        tokio::time::timeout(LIMIT, all).await.context("the runs by hand do not end")??;
        Ok(began.elapsed())
    }

    /// The median time of one run where nothing else happens.
    pub(crate) async fn unloaded(&self, rounds: usize) -> anyhow::Result<Duration> {
        let mut times = vec![];
        for _ in 0..rounds {
            times.push(self.run(Made::Seatrial, 1).await?);
            self.clear().await?;
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    /// Removes all that a load made.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        let (options, all) = (DeleteParams::background(), ListParams::default());
        self.api::<MLPipeline>().delete_collection(&options, &all).await?;
        self.api::<MLPipelineRun>().delete_collection(&options, &all).await?;
        self.api::<Job>().delete_collection(&options, &all).await?;
        let pods = self.api::<k8s_openapi::api::core::v1::Pod>();
        let revisions = self.api::<k8s_openapi::api::apps::v1::ControllerRevision>();
        revisions.delete_collection(&options, &all).await?;
        let few = ListParams::default().limit(1);
        wait_until("the last load's objects are gone", Duration::from_secs(600), async || {
            Ok(pods.list(&few).await?.items.is_empty()
                && self.api::<Job>().list(&few).await?.items.is_empty()
                && self.api::<MLPipelineRun>().list(&few).await?.items.is_empty())
        })
        .await
    }
}
