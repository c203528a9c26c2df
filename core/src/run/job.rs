//! The Job of a step's attempt: built once, created once, never patched.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{Container, ExecAction, PodSpec, PodTemplateSpec, Probe};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use seatrial_crds::names::{
    ATTEMPT_LABEL, COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, PIPELINE_LABEL, RUN_LABEL, STEP_LABEL, components,
};
use seatrial_crds::{MLPipelineSpec, OutputType, ParameterValue, Step, WorkloadOptions};

use crate::contract::{
    self, ExecArguments, ExitCode, FetchConfig, InputConfig, InputSource, OutputConfig, PublishConfig, paths,
};
use crate::platform::Platform;
use crate::pods::{self, FETCH, PUBLISH, STEP};
use crate::stores::ResolvedStore;
use crate::{names, validation};

/// How long a step may take where it does not say, in seconds: a day.
const DEFAULT_TIMEOUT: i64 = 24 * 3600;
/// How long `fetch` waits an outage out by itself, in seconds: short, so that the pod ends and says so; the Job tries
/// again.
const FETCH_OUTAGE: u32 = 30;
/// How long `publish` waits an outage out, in seconds: the work of the step hangs on it.
const PUBLISH_OUTAGE: u32 = 6 * 3600;
/// How often the readiness of `publish` is looked at, in seconds.
const PROBE_PERIOD: i32 = 10;

/// One input as it is known when the step starts.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyInput {
    /// The input's name.
    pub name: String,
    /// The type of the output that it comes from; inputs by URI have none.
    pub kind: Option<OutputType>,
    /// Where the data is.
    pub source: InputSource,
    /// The store that it is in.
    pub store: ResolvedStore,
}

/// All that a Job is made of.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The run, as the Job's owner.
    pub owner: OwnerReference,
    /// The run's namespace.
    pub namespace: &'a str,
    /// The pinned spec.
    pub pipeline: &'a MLPipelineSpec,
    /// The pipeline's name.
    pub pipeline_name: &'a str,
    /// The step.
    pub step: &'a Step,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The values of all parameters.
    pub parameters: &'a [ParameterValue],
    /// The run's logical time, RFC 3339.
    pub run_time: &'a str,
    /// The step's inputs.
    pub inputs: &'a [ReadyInput],
    /// The store that takes the outputs; `None` for a step without outputs.
    pub artifacts: Option<&'a ResolvedStore>,
    /// The agent's image that the run pinned.
    pub agent_image: &'a str,
    /// What the platform team configured.
    pub platform: &'a Platform,
}

impl Attempt<'_> {
    /// The Job's name.
    pub fn job_name(&self) -> String {
        names::job(&self.owner.name, &self.owner.uid, &self.step.name, self.attempt)
    }

    /// The Job.
    pub fn job(&self) -> Job {
        let labels = BTreeMap::from([
            (COMPONENT_LABEL.to_owned(), components::STEP.to_owned()),
            (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
            (PIPELINE_LABEL.to_owned(), self.pipeline_name.to_owned()),
            (RUN_LABEL.to_owned(), self.owner.name.clone()),
            (STEP_LABEL.to_owned(), self.step.name.clone()),
            (ATTEMPT_LABEL.to_owned(), self.attempt.to_string()),
        ]);
        let options = pods::merge(&self.step.options, &self.pipeline.options);
        let own = pods::merge_metadata(self.step.job.as_ref(), self.pipeline.job.as_ref());
        let timeout = self.step.timeout.as_deref().and_then(validation::duration);
        let timeout = timeout.and_then(|timeout| i64::try_from(timeout.as_secs()).ok()).unwrap_or(DEFAULT_TIMEOUT);
        let retries = self.step.retry.and_then(|retry| retry.limit).unwrap_or(0);
        Job {
            metadata: ObjectMeta {
                name: Some(self.job_name()),
                namespace: Some(self.namespace.to_owned()),
                labels: Some(own.labels.into_iter().chain(labels.clone()).collect()),
                annotations: (!own.annotations.is_empty()).then_some(own.annotations),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec {
                backoff_limit: Some(i32::try_from(retries).unwrap_or(0)),
                active_deadline_seconds: Some(timeout),
                pod_failure_policy: Some(failure_policy(self.has_fetch(), self.has_publish())),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(pods::labels(&options, &labels)),
                        annotations: pods::annotations(&options),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod_spec(&options)),
                },
                ..JobSpec::default()
            }),
            status: None,
        }
    }

    /// A step with inputs or outputs has `fetch`, which brings `exec` as well; another is just its own container.
    fn has_fetch(&self) -> bool {
        !self.inputs.is_empty() || self.has_publish()
    }

    fn has_publish(&self) -> bool {
        self.artifacts.is_some() && !self.step.outputs.is_empty()
    }

    fn pod_spec(&self, options: &WorkloadOptions) -> PodSpec {
        let stores = self.input_stores();
        let mut init_containers = vec![];
        let mut containers = vec![self.step_container(options)];
        if self.has_fetch() {
            let config = FetchConfig {
                version: contract::VERSION,
                stores: stores.iter().map(|store| store.config.clone()).collect(),
                inputs: self.inputs.iter().map(input_config).collect(),
                outputs: self.outputs(),
                prepare_exec: true,
                outage_seconds: FETCH_OUTAGE,
            };
            init_containers.push(pods::agent_container(
                FETCH,
                "fetch",
                &config,
                &stores,
                self.agent_image,
                self.platform,
            ));
        }
        if let (true, Some(store)) = (self.has_publish(), self.artifacts) {
            let config = PublishConfig {
                version: contract::VERSION,
                store: store.config.clone(),
                result: contract::layout::result(&self.owner.uid, &self.step.name, self.attempt),
                outputs: self.outputs(),
                outage_seconds: PUBLISH_OUTAGE,
            };
            let own = std::slice::from_ref(store);
            let mut container =
                pods::agent_container(PUBLISH, "publish", &config, own, self.agent_image, self.platform);
            let command = Some(vec!["/seatrial-agent".into(), "probe".into()]);
            container.readiness_probe = Some(Probe {
                exec: Some(ExecAction { command }),
                period_seconds: Some(PROBE_PERIOD),
                ..Probe::default()
            });
            containers.push(container);
        }
        PodSpec {
            restart_policy: Some("Never".into()),
            ..pods::pod_spec(options, init_containers, containers, &self.all_stores(), self.platform)
        }
    }

    fn step_container(&self, options: &WorkloadOptions) -> Container {
        let mut env = vec![];
        for parameter in self.parameters {
            env.push(pods::variable(names::variable("PARAM", &parameter.name), &parameter.value));
        }
        for input in self.inputs {
            env.push(pods::variable(names::variable("INPUT", &input.name), &paths::input(&input.name, input.kind)));
        }
        for output in &self.step.outputs {
            let path = paths::output(&output.name, output.kind);
            env.push(pods::variable(names::variable("OUTPUT", &output.name), &path));
        }
        env.push(pods::variable("RUN_TIME", self.run_time));
        env.push(pods::variable("RUN_NAME", &self.owner.name));
        env.extend(pods::user_variables(options));
        let mut mounts = pods::user_mounts(options);
        if self.has_fetch() {
            mounts.insert(0, pods::shared_mount());
        }
        let mut command = self.step.command.clone();
        if self.has_fetch() {
            let arguments = ExecArguments {
                // The Job's deadline still counts for the whole pod.
                timeout_seconds: None,
                outputs: self.step.outputs.iter().map(|output| output.name.clone()).collect(),
                secret_variables: pods::secret_variables(options),
                secret_environment: pods::has_secret_environment(options),
            };
            command = arguments.command(&command);
        }
        Container {
            name: STEP.into(),
            image: options.image.clone(),
            command: Some(command),
            args: (!self.step.args.is_empty()).then(|| self.step.args.clone()),
            env: Some(env),
            env_from: pods::user_variable_sources(options),
            resources: pods::resources(options),
            security_context: Some(pods::user_security(options, self.platform)),
            volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
            // What a program prints last says most about its end, where it wrote no message of its own. `exec` leaves
            // it there without secrets; the kubelet would copy it as it is.
            termination_message_policy: (!self.has_fetch()).then(|| "FallbackToLogsOnError".into()),
            ..Container::default()
        }
    }

    fn outputs(&self) -> Vec<OutputConfig> {
        let config = |output: &seatrial_crds::Output| OutputConfig {
            name: output.name.clone(),
            kind: output.kind,
            folder: format!("{}/{}", paths::OUTPUTS, output.name),
        };
        self.step.outputs.iter().map(config).collect()
    }

    /// The stores that the pod needs access to: of the inputs and of the artifacts.
    fn all_stores(&self) -> Vec<ResolvedStore> {
        let mut stores = self.input_stores();
        stores.extend(self.artifacts.filter(|_| self.has_publish()).cloned());
        stores
    }

    /// The stores of the inputs, each once.
    fn input_stores(&self) -> Vec<ResolvedStore> {
        let mut stores: Vec<ResolvedStore> = vec![];
        for input in self.inputs {
            if stores.iter().all(|known| known.config.prefix != input.store.config.prefix) {
                stores.push(input.store.clone());
            }
        }
        stores
    }
}

fn input_config(input: &ReadyInput) -> InputConfig {
    InputConfig {
        name: input.name.clone(),
        folder: format!("{}/{}", paths::INPUTS, input.name),
        source: input.source.clone(),
    }
}

/// What the Job controller makes of a pod's end. The first rule that fits counts; where none does, the failure spends
/// one of the step's retries.
fn failure_policy(has_fetch: bool, has_publish: bool) -> PodFailurePolicy {
    let mut rules = vec![PodFailurePolicyRule {
        action: "Ignore".into(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
        }]),
        ..PodFailurePolicyRule::default()
    }];
    let mut rule = |action: &str, container: &str, codes: &[ExitCode]| {
        let mut values: Vec<i32> = codes.iter().map(|code| i32::from(code.number())).collect();
        // The API server insists on their order.
        values.sort_unstable();
        rules.push(PodFailurePolicyRule {
            action: action.into(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(container.into()),
                operator: "In".into(),
                values,
            }),
            ..PodFailurePolicyRule::default()
        });
    };
    if has_fetch {
        rule("Ignore", STEP, &[ExitCode::Stopped]);
        rule("FailJob", STEP, &[ExitCode::CommandNotFound]);
        rule("Ignore", FETCH, &[ExitCode::Stopped, ExitCode::StoreUnavailable]);
        rule(
            "FailJob",
            FETCH,
            &[ExitCode::BadConfiguration, ExitCode::CorruptArtifact, ExitCode::InputNotFound, ExitCode::InputTooLarge],
        );
    }
    if has_publish {
        rule("Ignore", PUBLISH, &[ExitCode::Stopped]);
        rule("FailJob", PUBLISH, &[ExitCode::BadConfiguration, ExitCode::BadOutput, ExitCode::StoreUnavailable]);
    }
    PodFailurePolicy { rules }
}
