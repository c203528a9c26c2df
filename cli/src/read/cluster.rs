//! What the cluster says of runs, versions and the pods that read for them.

use anyhow::{Context, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource, ResourceExt};
use seatrial_core::contract::{Digest, layout};
use seatrial_crds::names::{COMPONENT_LABEL, components};
use seatrial_crds::{Artifact, MLPipelineRun, ModelVersion, StepStatus};

use super::Where;

/// A namespace of a cluster.
pub(crate) struct Cluster {
    client: Client,
    pub(crate) namespace: String,
}

/// An artifact, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) prefix: String,
    pub(crate) owner: OwnerReference,
    /// The last part of its name.
    pub(crate) name: String,
}

impl Cluster {
    pub(crate) async fn connect(place: &Where) -> anyhow::Result<Self> {
        let mut config = match &place.context {
            None => Config::infer().await.context("there is no cluster to ask: set KUBECONFIG")?,
            Some(context) => {
                let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                let read = Kubeconfig::read().context("the kubeconfig cannot be read: set KUBECONFIG")?;
                Config::from_custom_kubeconfig(read, &options)
                    .await
                    .with_context(|| format!("the context {context} cannot be used"))?
            }
        };
        if let Some(user) = &place.user {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = (!place.groups.is_empty()).then(|| place.groups.clone());
        }
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self { client: Client::try_from(config)?, namespace })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn run(&self, name: &str) -> anyhow::Result<MLPipelineRun> {
        let runs: Api<MLPipelineRun> = Api::namespaced(self.client.clone(), &self.namespace);
        runs.get(name)
            .await
            .with_context(|| format!("the run {name} cannot be read in the namespace {}", self.namespace))
    }

    pub(crate) async fn version(&self, name: &str) -> anyhow::Result<Found> {
        let versions: Api<ModelVersion> = Api::namespaced(self.client.clone(), &self.namespace);
        let version = versions
            .get(name)
            .await
            .with_context(|| format!("the ModelVersion {name} cannot be read in the namespace {}", self.namespace))?;
        artifact(&version, &version.spec.artifact)
    }

    /// The pod templates that the operator made here, the newest first: they have access to the namespace's stores.
    pub(crate) async fn templates(&self) -> anyhow::Result<Vec<PodTemplateSpec>> {
        let ours = ListParams::default().labels(COMPONENT_LABEL);
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let jobs = jobs.list(&ours).await.context("the Jobs cannot be listed: a Role must allow it")?;
        let jobs = jobs.items.into_iter().filter_map(|job| Some((job.metadata, job.spec?.template)));
        let servers = ListParams::default().labels(&format!("{COMPONENT_LABEL}={}", components::SERVER));
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        // They only add to the Jobs: without the right to list them, the Jobs are asked alone.
        let deployments = deployments.list(&servers).await.map(|list| list.items).unwrap_or_default();
        let deployments = deployments.into_iter().filter_map(|one| Some((one.metadata, one.spec?.template)));
        let mut all: Vec<(ObjectMeta, PodTemplateSpec)> = jobs.chain(deployments).collect();
        all.sort_by(|(a, _), (b, _)| b.creation_timestamp.cmp(&a.creation_timestamp));
        Ok(all.into_iter().map(|(_, template)| template).collect())
    }
}

/// The files of a version, or of its evidence.
pub(crate) fn artifact(version: &ModelVersion, artifact: &Artifact) -> anyhow::Result<Found> {
    let digest: Digest = artifact.digest.parse()?;
    let prefix = artifact.uri.strip_suffix(&layout::artifact(&digest));
    let prefix = prefix.with_context(|| format!("{} does not lead to an artifact of its digest", artifact.uri))?;
    Ok(Found { digest, prefix: prefix.to_owned(), owner: owner(version)?, name: version.name_any() })
}

/// What stands before an input's name where the report of its check is meant. No output is called like this.
pub(crate) const CHECK: &str = "check.";

/// The output of a run's step, or the report of the check of one of its inputs.
pub(crate) fn output(run: &MLPipelineRun, step: &str, output: &str) -> anyhow::Result<Found> {
    let status = self::step(run, step)?;
    if let Some(input) = output.strip_prefix(CHECK) {
        let check = status.checks.iter().find(|check| check.input == input);
        let report = check.and_then(|check| check.report.as_ref());
        let report = report.with_context(|| {
            format!("the step {step} of {} has no report of a check of its input {input}", run.name_any())
        })?;
        return Ok(Found {
            digest: report.parse()?,
            prefix: prefix(run)?,
            owner: owner(run)?,
            name: output.to_owned(),
        });
    }
    let Some(found) = status.outputs.iter().find(|found| found.name == output) else {
        let all: Vec<&str> = status.outputs.iter().map(|output| output.name.as_str()).collect();
        bail!("the step {step} of {} has made no output {output}; it has made: {}", run.name_any(), list(&all));
    };
    Ok(Found { digest: found.digest.parse()?, prefix: prefix(run)?, owner: owner(run)?, name: output.to_owned() })
}

/// A step of a run.
pub(crate) fn step<'a>(run: &'a MLPipelineRun, name: &str) -> anyhow::Result<&'a StepStatus> {
    let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    let Some(step) = steps.iter().find(|step| step.name == name) else {
        let all: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        bail!("the run {} has no step {name}; it has: {}", run.name_any(), list(&all));
    };
    Ok(step)
}

/// The prefix beneath which a run's artifacts and logs are.
pub(crate) fn prefix(run: &MLPipelineRun) -> anyhow::Result<String> {
    let prefix = run.status.as_ref().and_then(|status| status.artifact_prefix.clone());
    prefix.with_context(|| format!("the run {} has no store for artifacts and logs", run.name_any()))
}

/// A reader pod goes away with what it reads, where nobody else removes it.
pub(crate) fn owner<K: Resource<DynamicType = ()>>(object: &K) -> anyhow::Result<OwnerReference> {
    object.owner_ref(&()).context("the object has no name or UID: the API server gave half of it")
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn the_report_of_a_check_is_found_by_its_input() {
        let digest = Digest::of(b"report");
        let run: MLPipelineRun = from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
            "metadata": {"name": "churn-c1", "namespace": "growth", "uid": "1"}, "spec": {"pipeline": "churn"},
            "status": {"artifactPrefix": "s3://growth/", "steps": [{"name": "prepare", "state": "Failed", "checks": [
                {"input": "raw", "contract": "billing/customers", "version": "1", "revision": "sha256:1",
                 "verdict": "Failed", "report": digest.to_string()},
                {"input": "late", "contract": "billing/customers", "version": "1", "revision": "sha256:1"}]}]},
        }))
        .unwrap();
        assert_eq!(output(&run, "prepare", "check.raw").unwrap().digest, digest);
        for (asked, why) in [("check.late", "no report"), ("check.other", "no report"), ("raw", "has made no output")] {
            let error = output(&run, "prepare", asked).unwrap_err().to_string();
            assert!(error.contains(why), "{asked}: {error}");
        }
    }
}
