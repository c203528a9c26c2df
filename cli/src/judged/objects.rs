//! Reads objects of a cluster.

use anyhow::Context;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use seatrial_crds::names::GROUP;
use seatrial_crds::{Approval, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};

use super::card::{Protection, Subject};
use super::lineage::RunOf;
use super::verify::{Facts, Files, Unread};
use crate::error_text;
use crate::read::artifact;
use crate::read::cluster::{self, Cluster};

/// How many objects a page of a list has: versions with measurements are large.
const PAGE: u32 = 100;

/// All Models and versions of a namespace, or of all.
pub(super) async fn models(cluster: &Cluster, everywhere: bool) -> anyhow::Result<(Vec<Model>, Vec<ModelVersion>)> {
    fn api<K>(client: Client, namespace: &str, everywhere: bool) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        if everywhere { Api::all(client) } else { Api::namespaced(client, namespace) }
    }
    let place = if everywhere { "all namespaces" } else { cluster.namespace.as_str() };
    let models = list(&api(cluster.client(), &cluster.namespace, everywhere)).await;
    let models = models.with_context(|| format!("the Models of {place} cannot be listed"))?;
    let versions = list(&api(cluster.client(), &cluster.namespace, everywhere)).await;
    let versions = versions.with_context(|| format!("the ModelVersions of {place} cannot be listed"))?;
    Ok((models, versions))
}

/// All objects of an API, page by page.
pub(super) async fn list<K>(api: &Api<K>) -> kube::Result<Vec<K>>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let (mut all, mut parameters) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let page = api.list(&parameters).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// A version.
pub(super) async fn version(cluster: &Cluster, name: &str) -> anyhow::Result<ModelVersion> {
    let versions: Api<ModelVersion> = Api::namespaced(cluster.client(), &cluster.namespace);
    versions
        .get(name)
        .await
        .with_context(|| format!("the ModelVersion {name} cannot be read in the namespace {}", cluster.namespace))
}

/// The run that made a version.
pub(super) async fn run_of(cluster: &Cluster, version: &ModelVersion) -> anyhow::Result<RunOf> {
    let Some(name) = version.spec.run() else { return Ok(RunOf::Unnamed) };
    let runs: Api<MLPipelineRun> = Api::namespaced(cluster.client(), &cluster.namespace);
    let run = runs.get_opt(name).await;
    let run = run.with_context(|| format!("the run {name} cannot be read in the namespace {}", cluster.namespace))?;
    Ok(match run {
        None => RunOf::Gone,
        Some(run) if version.spec.run_uid().is_some_and(|uid| run.uid().as_deref() != Some(uid)) => RunOf::Another,
        Some(run) => RunOf::Found(Box::new(run)),
    })
}

/// All that a version is verified by: its files are read by pods, one after the other.
pub(super) async fn facts(cluster: &Cluster, name: &str) -> anyhow::Result<Facts> {
    let version = version(cluster, name).await?;
    let evidence = version.spec.evidence.iter();
    let evidence = evidence.map(|it| (format!("evidence {}.{}", it.step, it.output), &it.artifact));
    let mut files = vec![];
    for (what, artifact) in [("files".to_owned(), &version.spec.artifact)].into_iter().chain(evidence) {
        let read = match cluster::artifact(&version, artifact) {
            Ok(found) => artifact::verify(cluster, found).await,
            Err(error) => Err(error),
        };
        files.push(Files { what, digest: artifact.digest.clone(), read: read.map_err(|error| unread(&error)) });
    }
    let models: Api<Model> = Api::namespaced(cluster.client(), &cluster.namespace);
    let model = models.get_opt(&version.spec.model).await;
    let model = model.with_context(|| format!("the Model {} cannot be read", version.spec.model))?;
    let judged = version.status.as_ref().and_then(|status| status.judgements.first());
    let gates = match judged.and_then(|judgement| judgement.gates_revision.as_deref()) {
        Some(revision) => {
            let revisions: Api<ControllerRevision> = Api::namespaced(cluster.client(), &cluster.namespace);
            revisions.get_opt(revision).await.map_err(|error| error.to_string())
        }
        None => Ok(None),
    };
    Ok(Facts { files, run: run_of(cluster, &version).await?, model, gates, version })
}

/// An answer of the API server, or none, says nothing of files.
fn unread(error: &anyhow::Error) -> Unread {
    let why = error_text::text(error);
    if error.chain().any(|cause| cause.is::<kube::Error>()) { Unread::Unasked(why) } else { Unread::Broken(why) }
}

/// What a person's word on a version is made of.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) version: ModelVersion,
    /// None where it was deleted.
    pub(super) model: Option<Model>,
    /// Who asks, as the API server knows them.
    pub(super) account: UserInfo,
}

/// A version, its Model, and who asks.
pub(super) async fn asked(cluster: &Cluster, name: &str) -> anyhow::Result<Asked> {
    let version = version(cluster, name).await?;
    let models: Api<Model> = Api::namespaced(cluster.client(), &cluster.namespace);
    let model = models.get_opt(&version.spec.model).await;
    let model = model.with_context(|| format!("the Model {} cannot be read", version.spec.model))?;
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.client());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let review = review.context("the API server does not say who you are: try kubectl auth whoami")?;
    let account = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok(Asked { version, model, account })
}

/// Creates an Approval, and returns the name that it got.
pub(super) async fn create(cluster: &Cluster, approval: &Approval) -> anyhow::Result<String> {
    let approvals: Api<Approval> = Api::namespaced(cluster.client(), &cluster.namespace);
    let created = approvals.create(&PostParams::default(), approval).await.context(
        "the Approval is not created: the role seatrial-approver lets those approve to whom a RoleBinding gives it",
    )?;
    Ok(created.name_any())
}

/// All that a model's card is made of. Stores and policies that may not be read are said on the card.
pub(super) async fn card(cluster: &Cluster, name: &str) -> anyhow::Result<Subject> {
    let (client, namespace) = (cluster.client(), cluster.namespace.as_str());
    let models: Api<Model> = Api::namespaced(client.clone(), namespace);
    let model = models.get(name).await;
    let model = model.with_context(|| format!("the Model {name} cannot be read in the namespace {namespace}"))?;
    let versions: Api<ModelVersion> = Api::namespaced(client.clone(), namespace);
    let mut versions = list(&versions)
        .await
        .with_context(|| format!("the ModelVersions of the namespace {namespace} cannot be listed"))?;
    versions.retain(|version| version.spec.model == name);
    let deployments: Api<ModelDeployment> = Api::namespaced(client.clone(), namespace);
    let mut deployments = list(&deployments)
        .await
        .with_context(|| format!("the ModelDeployments of the namespace {namespace} cannot be listed"))?;
    deployments.retain(|deployment| deployment.spec.model == name);
    let stores: Api<Store> = Api::namespaced(client.clone(), namespace);
    let stores = list(&stores).await.ok();
    Ok(Subject { model, versions, deployments, stores, protection: protection(client).await })
}

/// Whether an admission policy reserves the label of what measures. The chart's is known by the label that it guards.
async fn protection(client: Client) -> Protection {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client);
    let Ok(policies) = list(&policies).await else { return Protection::Unknown };
    let guards = |policy: &ValidatingAdmissionPolicy| {
        let text = serde_json::to_string(&policy.spec).unwrap_or_default();
        policy.name_any().ends_with("-jobs") && text.contains(&format!("{GROUP}/version"))
    };
    if policies.iter().any(guards) { Protection::Reserved } else { Protection::Missing }
}
