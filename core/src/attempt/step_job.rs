//! The Job of a step's attempt: built once, created once, never patched. A version's duel runs a step in the same way, for
//! another owner.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, ExecAction, PodSpec, Probe};
use seatrial_crds::{OutputType, ParameterValue, WorkloadOptions};

use super::failure_policy::{CodeRule, FETCH_AGAIN, FETCH_NEVER, failure_policy};
use super::job::{Attempt, Role};
use super::timeout;
use crate::contract::check::CheckConfig;
use crate::contract::{
    self, AdmitConfig, ExecArguments, ExitCode, InputConfig, InputSource, LOG_SECONDS, OutputConfig, PodConfig,
    StepConfig, paths,
};
use crate::names;
use crate::pods::{self, ADMIT, CHECK, FETCH, FETCH_OUTAGE, PUBLISH, STEP};
use crate::stores::{self, ResolvedStore};

/// How long a pod that is told to stop may go on, in seconds, where its step has outputs: a drain in the middle of an
/// upload waits for it. A command has [`contract::GRACE_SECONDS`], and nothing is uploaded after one that was stopped.
const UPLOAD_GRACE: i64 = 6 * 3600;
/// The same for a step without outputs: time for the command's own end and for its log.
const SHORT_GRACE: i64 = 90;
/// How long `publish` waits an outage out, in seconds: the work of the step hangs on it.
const PUBLISH_OUTAGE: u32 = 6 * 3600;
/// How often the readiness of `publish` is looked at, in seconds.
const PROBE_PERIOD: i32 = 10;
/// How often `publish` says why its upload waits, in seconds.
const REPORT_PERIOD: i32 = 30;

/// One input as it is known when the step starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadyInput {
    /// The input's name.
    pub(crate) name: String,
    /// The type of the output that it comes from; inputs by URI have none.
    pub(crate) kind: Option<OutputType>,
    /// Where the data is.
    pub(crate) source: InputSource,
    /// The store that it is in.
    pub(crate) store: ResolvedStore,
}

/// A Job that runs a step.
#[derive(Clone, Debug)]
pub(crate) struct StepJob<'a> {
    /// The attempt.
    pub(crate) attempt: Attempt<'a>,
    /// The values of all parameters.
    pub(crate) parameters: &'a [ParameterValue],
    /// The name of the run, as the command is told.
    pub(crate) run_name: &'a str,
    /// The run's logical time, RFC 3339.
    pub(crate) run_time: &'a str,
    /// The step's inputs.
    pub(crate) inputs: &'a [ReadyInput],
    /// The store that takes outputs, record and log; `None` where a step without outputs has none: then nothing is kept.
    pub(crate) artifacts: Option<&'a ResolvedStore>,
    /// What checks the inputs before the command starts; `None` where none of them has a contract.
    pub(crate) checks: Option<&'a CheckConfig>,
}

impl StepJob<'_> {
    /// The Job's name.
    pub(crate) fn name(&self) -> String {
        let Attempt { owner, step, number, role, .. } = &self.attempt;
        match role {
            Role::Step => names::job(&owner.name, &owner.uid, &step.name, *number),
            Role::Duel { .. } => names::duel(&owner.name, &owner.uid, &step.name, *number),
        }
    }

    /// The Job.
    pub(crate) fn job(&self) -> Job {
        let options = pods::merge(&self.attempt.step.options, &self.attempt.pipeline.options);
        let retries = self.attempt.step.retry.and_then(|retry| retry.limit).unwrap_or(0);
        let spec = JobSpec {
            backoff_limit: Some(i32::try_from(retries).unwrap_or(0)),
            pod_failure_policy: Some(failure_policy(&rules(self.checks.is_some()))),
            ..JobSpec::default()
        };
        self.attempt.job(self.name(), self.attempt.role.component(), &options, self.pod_spec(&options), spec)
    }

    fn pod_spec(&self, options: &WorkloadOptions) -> PodSpec {
        let stores = self.stores();
        let config = PodConfig {
            version: contract::VERSION,
            stores: stores.iter().map(|store| store.config.clone()).collect(),
            inputs: self.inputs.iter().map(|input| InputConfig::new(&input.name, input.source.clone())).collect(),
            known: vec![],
            step: Some(StepConfig {
                // Of a duel the version's: its records lie beside those of no run.
                run_uid: self.attempt.owner.uid.clone(),
                name: self.attempt.step.name.clone(),
                attempt: self.attempt.number,
                image: options.image.clone().unwrap_or_default(),
                outputs: self.outputs(),
                store: self.artifacts.map(|store| store.config.prefix.clone()),
                outage_seconds: PUBLISH_OUTAGE,
                log_seconds: LOG_SECONDS,
            }),
            outage_seconds: FETCH_OUTAGE,
        };
        let own: Vec<ResolvedStore> = self.artifacts.cloned().into_iter().collect();
        let agent = |name, command, env, stores: &[ResolvedStore]| {
            pods::agent_container(name, command, env, stores, &self.attempt.agent_image, self.attempt.platform)
        };
        let fetch = agent(FETCH, "fetch", vec![pods::config_variable(&config)], &self.input_stores());
        let mut publish = agent(PUBLISH, "publish", vec![pods::pod_uid_variable()], &own);
        let probe = |period| Probe {
            exec: Some(ExecAction { command: Some(vec!["/seatrial-agent".into(), "probe".into()]) }),
            period_seconds: Some(period),
            ..Probe::default()
        };
        if !self.attempt.step.outputs.is_empty() {
            // It never restarts anything: what it prints becomes an event of the kubelet's, by which the operator learns why an
            // upload waits. Readiness is left alone, since queues evict what is not ready.
            publish.liveness_probe = Some(Probe { failure_threshold: Some(i32::MAX), ..probe(REPORT_PERIOD) });
        }
        if self.attempt.platform.agent_readiness_probe {
            publish.readiness_probe = Some(probe(PROBE_PERIOD));
        }
        let mut init = vec![fetch];
        if let Some(checks) = self.checks {
            let judge = self.attempt.platform.judge.clone().unwrap_or_default();
            init.push(pods::check_container(checks, &judge, self.attempt.platform));
            let env = vec![pods::config_variable(&AdmitConfig::of(checks, FETCH_OUTAGE))];
            init.push(pods::with_reports(agent(ADMIT, "admit", env, &own)));
        }
        let containers = vec![self.step_container(options), publish];
        PodSpec {
            termination_grace_period_seconds: Some(if self.attempt.step.outputs.is_empty() {
                SHORT_GRACE
            } else {
                UPLOAD_GRACE
            }),
            ..pods::with_reports_volume(
                pods::pod_spec(options, init, containers, &stores, self.attempt.platform),
                self.checks.is_some(),
            )
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
        for output in &self.attempt.step.outputs {
            let path = paths::output(&output.name, output.kind);
            env.push(pods::variable(names::variable("OUTPUT", &output.name), &path));
        }
        env.push(pods::variable("RUN_TIME", self.run_time));
        env.push(pods::variable("RUN_NAME", self.run_name));
        env.extend(pods::user_variables(options));
        let mut mounts = vec![pods::shared_mount()];
        mounts.extend(pods::user_mounts(options));
        let arguments = ExecArguments {
            timeout_seconds: u32::try_from(timeout(self.attempt.step).as_secs()).ok(),
            outputs: self.attempt.step.outputs.iter().map(|output| output.name.clone()).collect(),
            secret_variables: pods::secret_variables(options),
            secret_environment: pods::has_secret_environment(options),
            secret_mounts: pods::secret_mounts(options),
        };
        Container {
            name: STEP.into(),
            image: options.image.clone(),
            command: Some(arguments.command(&self.attempt.step.command)),
            args: (!self.attempt.step.args.is_empty()).then(|| self.attempt.step.args.clone()),
            env: Some(env),
            env_from: pods::user_variable_sources(options),
            resources: pods::resources(options),
            security_context: Some(pods::user_security(options, self.attempt.platform)),
            volume_mounts: Some(mounts),
            ..Container::default()
        }
    }

    fn outputs(&self) -> Vec<OutputConfig> {
        let config = |output: &seatrial_crds::Output| OutputConfig {
            name: output.name.clone(),
            kind: output.kind,
            folder: format!("{}/{}", paths::OUTPUTS, output.name),
        };
        self.attempt.step.outputs.iter().map(config).collect()
    }

    /// The stores that the pod needs access to, of the inputs and of the artifacts, each once.
    fn stores(&self) -> Vec<ResolvedStore> {
        stores::each_once(self.inputs.iter().map(|input| &input.store).chain(self.artifacts))
    }

    /// The stores of the inputs, each once.
    fn input_stores(&self) -> Vec<ResolvedStore> {
        stores::each_once(self.inputs.iter().map(|input| &input.store))
    }
}

/// The same data would be found to be the same.
const ADMIT_NEVER: CodeRule = (
    "FailJob",
    ADMIT,
    &[ExitCode::BadConfiguration, ExitCode::ContractBroken, ExitCode::ContractUnproven, ExitCode::CheckFailed],
);

/// What becomes of the Job by the exit codes of its pod's containers.
fn rules(has_checks: bool) -> Vec<CodeRule> {
    let mut rules: Vec<CodeRule> = vec![
        ("Ignore", STEP, &[ExitCode::Stopped]),
        ("FailJob", STEP, &[ExitCode::CommandNotFound, ExitCode::TimedOut]),
        FETCH_AGAIN,
        FETCH_NEVER,
    ];
    if has_checks {
        rules.push(("Ignore", ADMIT, &[ExitCode::Stopped]));
        rules.push(ADMIT_NEVER);
        rules.push(("FailJob", CHECK, &[ExitCode::BadConfiguration]));
    }
    rules.push(("Ignore", PUBLISH, &[ExitCode::Stopped]));
    rules.push(("FailJob", PUBLISH, &[ExitCode::BadConfiguration, ExitCode::BadOutput, ExitCode::StoreUnavailable]));
    rules
}
