//! The Deployments of versions and the Service that leads to them: creates them, changes them as people ask, and puts right
//! what others change.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use kube_core::ResourceExt;
use seatrial_crds::ModelVersion;
use seatrial_crds::names::{ARTIFACT_LABEL, INPUTS_DIGEST_ANNOTATION, VERSION_LABEL};

use super::applied::Applied;
use super::problem::{Patience, Problem};
use super::served::{self, Served};
use super::server::{self, ServerOf};
use super::{Rollout, desired};
use crate::contract::Digest;
use crate::plan::{Kind, Object, Write};
use crate::stores::{self, ResolvedStore};

/// The field that is named where what was written last is not known any more.
const UNKNOWN: &str = "metadata.annotations";

impl Rollout<'_> {
    /// Keeps the served version as it is; brings its servers to what people ask for now, unless they are about to be
    /// replaced.
    pub(super) fn ensure_served(&mut self, served: &Served, follow_changes: bool) {
        let name = &served.version;
        let version = self.observed.versions.iter().find(|version| &version.name_any() == name).cloned();
        match (self.child(served).cloned(), version) {
            (Some(child), Some(version)) if follow_changes => self.ensure_deployment(&version, served, Some(&child)),
            (Some(child), _) => self.keep(&child, name, None),
            (None, Some(version)) => self.ensure_deployment(&version, served, None),
            (None, None) => {
                let message =
                    format!("the servers of {name} are gone, and so is its ModelVersion: name another version");
                self.problem.get_or_insert(("VersionNotFound", message).into());
            }
        }
    }

    pub(super) fn ensure_candidate(&mut self, version: &ModelVersion, candidate: &Served) {
        let child = self.child(candidate).cloned();
        self.ensure_deployment(version, candidate, child.as_ref());
    }

    /// Creates a version's Deployment, or gives it a new template where people's inputs changed since it was rendered.
    fn ensure_deployment(&mut self, version: &ModelVersion, served: &Served, child: Option<&Arc<Deployment>>) {
        let name = version.name_any();
        let (store, artifact) = match self.locate(version) {
            Ok(found) => found,
            // Servers that exist have what they need: a store that is not ready does not concern them.
            Err(problem) => match child {
                Some(child) => return self.keep(child, &name, None),
                None => {
                    self.problem.get_or_insert(problem);
                    return;
                }
            },
        };
        let platform = self.observed.platform.clone();
        let deployment = self.observed.deployment.clone();
        let threshold = served.threshold.as_deref();
        let server =
            ServerOf { deployment: &deployment, version, threshold, store: &store, artifact, platform: &platform };
        let Some(child) = child else {
            let mut built = server.deployment(self.replicas());
            let spec = built.spec.clone().unwrap_or_default();
            Applied::of(&built, spec).write(None, &mut built);
            self.starts = true;
            return self.writes.push(Write::Create(Object::Deployment(Box::new(built))));
        };
        match child.annotations().get(INPUTS_DIGEST_ANNOTATION) {
            Some(digest) if digest != &server.inputs_digest() => self.render(child, &server),
            _ => self.keep(child, &name, Some(&server)),
        }
    }

    /// Gives a Deployment a new template.
    fn render(&mut self, child: &Deployment, server: &ServerOf<'_>) {
        let built = server.deployment(self.replicas());
        let mut replacement = child.clone();
        let applied = Applied::of(&built, built.spec.clone().unwrap_or_default());
        applied.write(Applied::read(child).as_ref(), &mut replacement);
        replacement.annotations_mut().insert(INPUTS_DIGEST_ANNOTATION.to_owned(), server.inputs_digest());
        replacement.spec = built.spec;
        self.starts_anew = true;
        self.writes.push(Write::Replace(Object::Deployment(Box::new(replacement))));
    }

    /// Leaves the template as it was rendered. Follows people in what changes no pod, and puts right what others changed.
    fn keep(&mut self, child: &Arc<Deployment>, version: &str, server: Option<&ServerOf<'_>>) {
        let live = child.spec.clone().unwrap_or_default();
        let name = child.name_any();
        let Some(last) = Applied::<DeploymentSpec>::read(child.as_ref()) else {
            match server {
                // Somebody removed our annotations.
                Some(server)
                    if !Applied::<DeploymentSpec>::is_too_long(child.as_ref())
                        && self.may_correct(Kind::Deployment, &name, vec![UNKNOWN.to_owned()]) =>
                {
                    self.render(child, server);
                }
                _ if desired(child) != self.replicas() => {
                    let mut replacement = child.as_ref().clone();
                    replacement.spec.get_or_insert_default().replicas = Some(self.replicas());
                    self.writes.push(Write::Replace(Object::Deployment(Box::new(replacement))));
                }
                _ => {}
            }
            return;
        };
        let deployment = &self.observed.deployment;
        let artifact = child.labels().get(ARTIFACT_LABEL).cloned().unwrap_or_default();
        let mut wanted = last.clone();
        wanted.labels = server::deployment_labels(deployment, version, &artifact);
        wanted.annotations = server::deployment_annotations(deployment);
        wanted.spec.replicas = Some(self.replicas());
        wanted.spec.min_ready_seconds = Some(server::min_ready_seconds(deployment));
        wanted.spec.progress_deadline_seconds = Some(server::progress_deadline_seconds(deployment));
        if wanted == last {
            let differences = last.differences(child.as_ref(), &live);
            if differences.is_empty() || !self.may_correct(Kind::Deployment, &name, differences) {
                return;
            }
        } else if last.spec.replicas == Some(0) {
            self.starts_anew = true;
        }
        let mut replacement = child.as_ref().clone();
        wanted.write(Some(&last), &mut replacement);
        replacement.spec = Some(wanted.spec);
        self.writes.push(Write::Replace(Object::Deployment(Box::new(replacement))));
    }

    /// Where a version's files are.
    fn locate(&self, version: &ModelVersion) -> Result<(ResolvedStore, Digest), Problem> {
        let artifact = &version.spec.artifact;
        let name = version.name_any();
        let digest: Digest =
            artifact.digest.parse().map_err(|error| ("InvalidArtifact", format!("the version {name}: {error}")))?;
        let namespace = self.deployment().namespace().unwrap_or_default();
        let (own, platform) = (&self.observed.stores, &self.observed.platform);
        let store = stores::for_artifact(&artifact.uri, &digest, &namespace, own, platform).map_err(|problem| {
            // The cluster's own store becomes ready by itself.
            let patience = if problem.reason() == "StoreNotReady" { Patience::Endless } else { Patience::None };
            Problem { reason: problem.reason(), message: format!("the version {name}: {problem}"), patience }
        })?;
        Ok((store, digest))
    }

    /// Lets the Service lead to the version that serves; before there is one, to the first candidate.
    pub(super) fn ensure_service(&mut self) {
        let Some(routed) = self.routed() else { return };
        let Some(artifact) = self.artifact_of(&routed) else { return };
        let deployment = self.observed.deployment.clone();
        let mut built = server::service(&deployment, &routed.version, &artifact);
        let wanted = Applied::of(&built, built.spec.clone().unwrap_or_default());
        match self.observed.service.clone() {
            None => {
                wanted.write(None, &mut built);
                self.writes.push(Write::Create(Object::Service(Box::new(built))));
            }
            Some(service) if !self.is_ours(service.as_ref()) => {
                let message = format!(
                    "a Service named \"{}\" exists that is not this ModelDeployment's: delete it, or rename the ModelDeployment",
                    service.name_any()
                );
                self.problem.get_or_insert(("NameTaken", message).into());
            }
            Some(service) => self.keep_service(&service, &wanted),
        }
        let namespace = deployment.namespace().unwrap_or_default();
        self.status.url = Some(format!("http://{}.{namespace}.svc", deployment.name_any()));
        let selector = server::selector(&deployment, &artifact);
        let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.status.selector = Some(selector.join(","));
    }

    fn keep_service(&mut self, service: &Service, wanted: &Applied<ServiceSpec>) {
        let live = service.spec.clone().unwrap_or_default();
        let last = Applied::<ServiceSpec>::read(service);
        let name = service.name_any();
        let writes = match &last {
            Some(last) if last != wanted => true,
            Some(last) => {
                let differences = last.differences(service, &live);
                !differences.is_empty() && self.may_correct(Kind::Service, &name, differences)
            }
            None => self.may_correct(Kind::Service, &name, vec![UNKNOWN.to_owned()]),
        };
        if writes {
            let mut replacement = service.clone();
            wanted.write(last.as_ref(), &mut replacement);
            let spec = replacement.spec.get_or_insert_default();
            (spec.selector, spec.ports) = (wanted.spec.selector.clone(), wanted.spec.ports.clone());
            self.writes.push(Write::Replace(Object::Service(Box::new(replacement))));
        }
    }

    pub(super) fn routed(&self) -> Option<Served> {
        self.recorded().or_else(|| self.candidate.clone())
    }

    /// The files and the threshold of a version, as the label of its servers names them; of a version that is gone, as its
    /// servers say.
    pub(super) fn artifact_of(&self, served: &Served) -> Option<String> {
        let Served { version, threshold } = served;
        let known = self.observed.versions.iter().find(|known| &known.name_any() == version);
        match known {
            Some(version) => server::artifact(version, threshold.as_deref()),
            None => {
                let is_theirs = |child: &&Arc<Deployment>| {
                    child.labels().get(VERSION_LABEL) == Some(version) && &served::threshold(child) == threshold
                };
                self.children().find(is_theirs)?.labels().get(ARTIFACT_LABEL).cloned()
            }
        }
    }

    /// Our Deployment with a version's files and threshold.
    pub(super) fn child(&self, served: &Served) -> Option<&Arc<Deployment>> {
        let artifact = self.artifact_of(served)?;
        self.children().find(|child| child.labels().get(ARTIFACT_LABEL) == Some(&artifact))
    }

    /// Our Deployments.
    pub(super) fn children(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        let live = |child: &&Arc<Deployment>| child.metadata.deletion_timestamp.is_none();
        self.observed.children.iter().filter(|child| self.is_ours(child.as_ref())).filter(live)
    }
}
