//! The Deployment and the Service of a served version.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, Probe,
    Service, ServicePort, ServiceSpec, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::names::{
    ARTIFACT_LABEL, COMPONENT_LABEL, DEPLOYMENT_LABEL, INPUTS_DIGEST_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL,
    MODEL_LABEL, VERSION_LABEL, components,
};
use seatrial_crds::{ModelDeployment, ModelVersion, Server};
use serde_json::json;

use crate::contract::{self, InputConfig, InputSource, PodConfig, paths};
use crate::platform::Platform;
use crate::pods::{self, FETCH, SERVER};
use crate::stores::ResolvedStore;
use crate::{digest, names, validation};

/// The port of the Service.
const SERVICE_PORT: i32 = 80;
/// The name of the server's port.
const PORT_NAME: &str = "http";
/// How long a server that is no longer wanted goes on before it is told to stop, in seconds: endpoints and routes
/// change one after the other on every node, and requests arrive meanwhile. See `docs/adr/0009-draining.md`.
const DRAIN: i64 = 15;
/// How long a server may take to stop after that, in seconds.
const STOP: i64 = 30;
/// How long a server may take until it is ready, unless `server.startTimeout` says otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a new server must stay ready, in seconds, before it counts, unless `server.minReadySeconds` says otherwise:
/// one that answers and then fails never serves.
const MIN_READY: u32 = 10;
/// How often the kubelet asks whether a server is ready, and how long it waits for the answer, in seconds.
pub(super) const PROBE_SECONDS: i32 = 3;
/// How long `fetch` waits an outage out, in seconds, before the kubelet starts it again.
const FETCH_OUTAGE: u32 = 120;

/// What the Deployment of a version is built from.
pub(super) struct ServerOf<'a> {
    pub(super) deployment: &'a ModelDeployment,
    pub(super) version: &'a ModelVersion,
    /// The threshold that the servers are told.
    pub(super) threshold: Option<&'a str>,
    pub(super) store: &'a ResolvedStore,
    pub(super) artifact: contract::Digest,
    pub(super) platform: &'a Platform,
}

impl ServerOf<'_> {
    /// The digest of what people decided about the servers. While it stays the same, the live pod template stays, too: an
    /// operator with another agent image restarts no server.
    pub(super) fn inputs_digest(&self) -> String {
        // Labels and annotations of the objects around the pods change no pod.
        let server = Server {
            deployment: None,
            service: None,
            start_timeout: None,
            min_ready_seconds: None,
            ..self.deployment.spec.server.clone()
        };
        let mut inputs = json!({
            "server": server,
            // Two versions with the same files and threshold have the same servers.
            "artifact": self.artifact,
            "store": self.store.config,
            "secret": self.store.secret_name,
            "audience": self.store.audience,
        });
        // Without a threshold the field is left out, so that servers from before thresholds keep their digest, and are not
        // replaced.
        if let (Some(threshold), Some(inputs)) = (self.threshold, inputs.as_object_mut()) {
            inputs.insert("threshold".to_owned(), threshold.into());
        }
        digest::of_json(&inputs)
    }

    /// The Deployment.
    pub(super) fn deployment(&self, replicas: i32) -> Deployment {
        let artifact = label_of(&self.artifact, self.threshold);
        let options = &self.deployment.spec.server.options;
        let mut annotations = deployment_annotations(self.deployment);
        annotations.insert(INPUTS_DIGEST_ANNOTATION.to_owned(), self.inputs_digest());
        Deployment {
            metadata: ObjectMeta {
                name: Some(names::server(&self.deployment.name_any(), &artifact)),
                namespace: self.deployment.namespace(),
                labels: Some(deployment_labels(self.deployment, &self.version.name_any(), &artifact)),
                annotations: Some(annotations),
                owner_references: owner(self.deployment).map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(DeploymentSpec {
                replicas: Some(replicas),
                selector: LabelSelector {
                    match_labels: Some(selector(self.deployment, &artifact)),
                    ..LabelSelector::default()
                },
                strategy: Some(DeploymentStrategy {
                    type_: Some("RollingUpdate".into()),
                    // A changed server comes up beside the old one, like a candidate.
                    rolling_update: Some(RollingUpdateDeployment {
                        max_surge: Some(IntOrString::String("25%".into())),
                        max_unavailable: Some(IntOrString::Int(0)),
                    }),
                }),
                min_ready_seconds: Some(min_ready_seconds(self.deployment)),
                progress_deadline_seconds: Some(progress_deadline_seconds(self.deployment)),
                revision_history_limit: Some(2),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(pods::labels(options, &labels(self.deployment, &artifact))),
                        annotations: pods::annotations(options),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod_spec()),
                },
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        }
    }

    fn pod_spec(&self) -> PodSpec {
        let stores = std::slice::from_ref(self.store);
        let config = PodConfig {
            version: contract::VERSION,
            stores: vec![self.store.config.clone()],
            inputs: vec![InputConfig {
                name: "model".into(),
                folder: paths::MODEL.into(),
                source: InputSource::Artifact {
                    store: self.store.config.prefix.clone(),
                    digest: self.artifact.clone(),
                },
            }],
            known: vec![],
            step: None,
            outage_seconds: FETCH_OUTAGE,
        };
        let fetch = pods::agent_container(
            FETCH,
            "fetch",
            vec![pods::config_variable(&config)],
            stores,
            &self.platform.agent_image,
            self.platform,
        );
        let options = &self.deployment.spec.server.options;
        PodSpec {
            termination_grace_period_seconds: Some(DRAIN + STOP),
            ..pods::pod_spec(options, vec![fetch], vec![self.container()], stores, self.platform)
        }
    }

    /// The threshold, and the user's variables, which may name it.
    fn variables(&self) -> Vec<EnvVar> {
        let threshold = self.threshold.map(|threshold| EnvVar {
            name: contract::THRESHOLD_VARIABLE.to_owned(),
            value: Some(threshold.to_owned()),
            ..EnvVar::default()
        });
        threshold.into_iter().chain(pods::user_variables(&self.deployment.spec.server.options)).collect()
    }

    fn container(&self) -> Container {
        let server = &self.deployment.spec.server;
        let port = IntOrString::String(PORT_NAME.into());
        let probe = match &server.readiness_path {
            Some(path) => Probe {
                http_get: Some(HTTPGetAction { path: Some(path.clone()), port, ..HTTPGetAction::default() }),
                ..Probe::default()
            },
            None => Probe { tcp_socket: Some(TCPSocketAction { port, host: None }), ..Probe::default() },
        };
        let drain = LifecycleHandler { sleep: Some(SleepAction { seconds: DRAIN }), ..LifecycleHandler::default() };
        Container {
            name: SERVER.into(),
            image: server.options.image.clone(),
            command: (!server.command.is_empty()).then(|| server.command.clone()),
            args: (!server.args.is_empty()).then(|| server.args.clone()),
            env: Some(self.variables()).filter(|env| !env.is_empty()),
            env_from: pods::user_variable_sources(&server.options),
            resources: pods::resources(&server.options),
            security_context: Some(pods::user_security(&server.options, self.platform)),
            ports: Some(vec![ContainerPort {
                name: Some(PORT_NAME.into()),
                container_port: i32::from(server.port),
                ..ContainerPort::default()
            }]),
            readiness_probe: Some(Probe {
                period_seconds: Some(PROBE_SECONDS),
                timeout_seconds: Some(PROBE_SECONDS),
                failure_threshold: Some(3),
                ..probe
            }),
            lifecycle: Some(Lifecycle { pre_stop: Some(drain), ..Lifecycle::default() }),
            volume_mounts: Some([vec![pods::model_mount()], pods::user_mounts(&server.options)].concat()),
            // Its last words help whoever reads the conditions, who may not be allowed to read a Secret that it was given.
            termination_message_policy: (!pods::has_secrets(&server.options)).then(|| "FallbackToLogsOnError".into()),
            ..Container::default()
        }
    }
}

/// How long a server may take until it is ready.
pub(super) fn start_timeout(deployment: &ModelDeployment) -> Duration {
    deployment.spec.server.start_timeout.as_deref().and_then(validation::duration).unwrap_or(START_TIMEOUT)
}

/// How long a new server must stay ready before it counts, in seconds.
pub(super) fn min_ready_seconds(deployment: &ModelDeployment) -> i32 {
    i32::try_from(deployment.spec.server.min_ready_seconds.unwrap_or(MIN_READY)).unwrap_or(i32::MAX)
}

/// After how long Kubernetes itself says that a Deployment makes no progress, in seconds. It must be longer than a server
/// has to stay ready.
pub(super) fn progress_deadline_seconds(deployment: &ModelDeployment) -> i32 {
    let timeout = i32::try_from(start_timeout(deployment).as_secs()).unwrap_or(i32::MAX);
    timeout.max(min_ready_seconds(deployment).saturating_add(1))
}

/// The label of a version's files and of the threshold at which they are served; `None` where it does not name any files.
pub(super) fn artifact(version: &ModelVersion, threshold: Option<&str>) -> Option<String> {
    version.spec.artifact.digest.parse().ok().map(|digest| label_of(&digest, threshold))
}

/// A label has 63 characters, a digest 64.
fn label_of(artifact: &contract::Digest, threshold: Option<&str>) -> String {
    let files: String = artifact.hex().chars().take(40).collect();
    match threshold {
        Some(threshold) => format!("{files}-{}", digest::short(&[threshold])),
        None => files,
    }
}

/// The Service that leads to one version.
pub(super) fn service(deployment: &ModelDeployment, version: &str, artifact: &str) -> Service {
    let own = deployment.spec.server.service.clone().unwrap_or_default();
    let labels = BTreeMap::from([
        (COMPONENT_LABEL.to_owned(), components::SERVER.to_owned()),
        (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
        (DEPLOYMENT_LABEL.to_owned(), deployment.name_any()),
        (MODEL_LABEL.to_owned(), deployment.spec.model.clone()),
        (VERSION_LABEL.to_owned(), version.to_owned()),
    ]);
    Service {
        metadata: ObjectMeta {
            name: deployment.metadata.name.clone(),
            namespace: deployment.namespace(),
            labels: Some(own.labels.into_iter().chain(labels).collect()),
            annotations: (!own.annotations.is_empty()).then_some(own.annotations),
            owner_references: owner(deployment).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some(selector(deployment, artifact)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.into()),
                port: SERVICE_PORT,
                target_port: Some(IntOrString::String(PORT_NAME.into())),
                protocol: Some("TCP".into()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// What selects the pods with one version's files.
pub(super) fn selector(deployment: &ModelDeployment, artifact: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (DEPLOYMENT_LABEL.to_owned(), deployment.name_any()),
        (ARTIFACT_LABEL.to_owned(), artifact.to_owned()),
    ])
}

/// The labels of a version's Deployment.
pub(super) fn deployment_labels(
    deployment: &ModelDeployment,
    version: &str,
    artifact: &str,
) -> BTreeMap<String, String> {
    let mut all = deployment.spec.server.deployment.clone().unwrap_or_default().labels;
    all.extend(labels(deployment, artifact));
    all.insert(VERSION_LABEL.to_owned(), version.to_owned());
    all
}

/// The annotations that people want on the Deployments.
pub(super) fn deployment_annotations(deployment: &ModelDeployment) -> BTreeMap<String, String> {
    deployment.spec.server.deployment.clone().unwrap_or_default().annotations
}

fn labels(deployment: &ModelDeployment, artifact: &str) -> BTreeMap<String, String> {
    let mut labels = selector(deployment, artifact);
    labels.insert(COMPONENT_LABEL.to_owned(), components::SERVER.to_owned());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels.insert(MODEL_LABEL.to_owned(), deployment.spec.model.clone());
    labels
}

fn owner(deployment: &ModelDeployment) -> Option<OwnerReference> {
    deployment.controller_owner_ref(&())
}
