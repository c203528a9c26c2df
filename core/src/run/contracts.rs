//! The contracts that a run's inputs are checked by. They are found when the run begins, and pinned in a ControllerRevision
//! of the run's own, so that a contract that changes later changes nothing of a run under way.
//!
//! The revision is written before the run begins: a run that has begun has its contracts on record, whenever the operator
//! dies. One that is not what the contracts say by then is deleted and written anew, since no Job was created by it yet: the
//! API server lets nobody change the data of a ControllerRevision.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::names::{COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL, components};
use seatrial_crds::{MLPipelineSpec, Step, StepCheck, limits};
use serde_json::json;

use super::{CannotRun, Draft};
use crate::contract::check::{CHECK_VERSION, CheckConfig, CheckLimits, CheckSummary, DataFormat, InputCheck};
use crate::contract::paths;
use crate::data_contract::{AgreedContract, references, resolve, whole};
use crate::plan::{Kind, Object, Write};
use crate::revision::Revision;
use crate::{names, text};

/// The size in bytes of all contracts that a run pins, in JSON: an object of Kubernetes may have 1.5 MiB.
const MAX_PINNED_BYTES: usize = 900 << 10;

/// Why a step's inputs cannot be checked now: reason and message of the step's status.
pub(super) type Hindrance = (&'static str, String);

impl Draft<'_> {
    /// Pins the contracts of a run that begins; an error where they cannot be pinned, or are not pinned yet.
    pub(super) fn pin_contracts(&self, spec: &MLPipelineSpec) -> Result<(), CannotRun> {
        let namespace = self.observed.run.namespace().unwrap_or_default();
        let references = references(spec, &namespace);
        if references.is_empty() {
            return Ok(());
        }
        let found = references.iter().map(|reference| {
            resolve(reference, &namespace, &self.observed.contracts, &self.observed.contract_revisions)
        });
        let found: Vec<AgreedContract> =
            found.collect::<Result<_, _>>().map_err(|problem| CannotRun::Waits(problem.reason, problem.message))?;
        for step in &spec.steps {
            if let Some(config) = config(step, &found, &namespace, &BTreeMap::new()) {
                config.to_json().map_err(|message| too_large(format!("step \"{}\": {message}", step.name)))?;
            }
        }
        let pinned = self.pinned_revision(&found);
        let size = serde_json::to_vec(&pinned.data).map_or(usize::MAX, |json| json.len());
        if size > MAX_PINNED_BYTES {
            let message = format!("the contracts of the run take {size} bytes together, more than {MAX_PINNED_BYTES}");
            return Err(too_large(message));
        }
        match &self.observed.pinned {
            Some(known) if !self.is_ours(known.as_ref()) => {
                let message = format!(
                    "a ControllerRevision named \"{}\" exists that is not this run's: delete it",
                    known.name_any()
                );
                Err(CannotRun::Waits("NameTaken", message))
            }
            Some(known) if agreed(known).as_ref() == Some(&found) => Ok(()),
            Some(known) => Err(CannotRun::Pins(Write::Delete {
                kind: Kind::ControllerRevision,
                name: known.name_any(),
                uid: known.metadata.uid.clone().unwrap_or_default(),
            })),
            None => Err(CannotRun::Pins(Write::Create(Object::ControllerRevision(Box::new(pinned))))),
        }
    }

    fn pinned_revision(&self, contracts: &[AgreedContract]) -> ControllerRevision {
        let run = &self.observed.run;
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(names::contracts(&run.name_any())),
                namespace: run.namespace(),
                labels: Some(BTreeMap::from([
                    (COMPONENT_LABEL.to_owned(), components::CONTRACTS.to_owned()),
                    (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
                    (RUN_LABEL.to_owned(), run.name_any()),
                ])),
                owner_references: run.controller_owner_ref(&()).map(|reference| vec![reference]),
                ..ObjectMeta::default()
            },
            revision: 1,
            data: Some(RawExtension(json!({"contracts": contracts}))),
        }
    }

    /// What checks the inputs of a step that starts; `None` where none of them has a contract.
    pub(super) fn checks(
        &self,
        step: &Step,
        files: &BTreeMap<String, String>,
    ) -> Result<Option<CheckConfig>, Hindrance> {
        if step.inputs.iter().all(|input| input.contract.is_none()) {
            return Ok(None);
        }
        if self.observed.platform.judge.is_none() {
            let message = "its inputs have contracts, and nothing checks data here: let the platform team set the chart's judge.enabled";
            return Err(("NoChecker", message.to_owned()));
        }
        let pinned = self.pinned_contracts().ok_or_else(|| {
            let message = format!(
                "the ControllerRevision \"{}\" with the contracts that the run pinned is gone, so that nobody knows what its inputs must be: start a new run",
                names::contracts(&self.observed.run.name_any())
            );
            ("ContractsLost", message)
        })?;
        let namespace = self.observed.run.namespace().unwrap_or_default();
        Ok(config(step, &pinned, &namespace, files))
    }

    /// The contracts that the run pinned, as far as they can be read.
    fn pinned_contracts(&self) -> Option<Vec<AgreedContract>> {
        let pinned = self.observed.pinned.as_ref()?;
        if self.is_ours(pinned.as_ref()) { agreed(pinned) } else { None }
    }

    /// The checks of a step that starts: what each input is checked by, before anything is found.
    pub(super) fn announced(&self, config: Option<&CheckConfig>) -> Vec<StepCheck> {
        let pinned = self.pinned_contracts().unwrap_or_default();
        let version = |input: &InputCheck| {
            let agreed =
                pinned.iter().find(|agreed| agreed.revision == input.revision && agreed.key() == input.contract);
            agreed.map(|agreed| agreed.version.clone()).unwrap_or_default()
        };
        let check = |input: &InputCheck| StepCheck {
            input: input.input.clone(),
            contract: input.contract.clone(),
            version: version(input),
            revision: input.revision.clone(),
            verdict: None,
            rows: None,
            message: None,
            broken: vec![],
            report: None,
        };
        config.into_iter().flat_map(|config| &config.inputs).map(check).collect()
    }
}

fn too_large(message: String) -> CannotRun {
    CannotRun::Waits("ContractsTooLarge", message)
}

/// The contracts of a pinned revision.
fn agreed(pinned: &Revision) -> Option<Vec<AgreedContract>> {
    serde_json::from_value(pinned.data()?.get_mut("contracts")?.take()).ok()
}

/// What checks the inputs of a step by these contracts; `None` where there is nothing to check. `files` are the paths of
/// inputs that are known.
fn config(
    step: &Step,
    contracts: &[AgreedContract],
    namespace: &str,
    files: &BTreeMap<String, String>,
) -> Option<CheckConfig> {
    let mut seconds = 0;
    let mut inputs = vec![];
    for input in &step.inputs {
        let Some(reference) = &input.contract else { continue };
        let reference = whole(reference, namespace);
        let agreed = contracts.iter().find(|agreed| agreed.reference == reference)?;
        seconds += agreed.seconds;
        inputs.push(InputCheck {
            input: input.name.clone(),
            contract: agreed.key(),
            revision: agreed.revision.clone(),
            table: Some(agreed.schema.clone()),
            path: files.get(&input.name).cloned().unwrap_or_else(|| paths::input(&input.name, None)),
            format: DataFormat::Auto,
            csv: agreed.csv.clone(),
            columns: agreed.columns.clone(),
            rules: agreed.rules.clone(),
            not_checked: agreed.not_checked.clone(),
        });
    }
    (!inputs.is_empty()).then(|| CheckConfig {
        version: CHECK_VERSION,
        inputs,
        reports: paths::CHECK_REPORTS.to_owned(),
        limits: CheckLimits { scratch: Some(paths::CHECK_SCRATCH.to_owned()), seconds, ..CheckLimits::default() },
        unless: None,
    })
}

/// Notes in a step's status what its pod said of its inputs.
pub(super) fn note(checks: &mut [StepCheck], said: &[CheckSummary]) {
    for check in checks {
        let Some(summary) = said.iter().find(|summary| summary.input == check.input) else { continue };
        check.verdict = Some(summary.verdict.into());
        check.rows = i64::try_from(summary.rows).ok();
        check.message = Some(text::plain_within(&summary.sentence, limits::STEP_MESSAGE));
        let broken = summary.broken.iter().take(limits::BROKEN_RULES_SHOWN);
        check.broken = broken.map(|rule| text::plain_within(&rule.rule, limits::CONTRACT_NAME)).collect();
        check.report = summary.report.as_ref().map(ToString::to_string);
    }
}

/// What is said of a step whose data break rules that only warn.
pub(super) fn warning(run: &str, step: &str, said: &[CheckSummary]) -> Option<String> {
    let warned = said.iter().find(|summary| summary.warnings > 0)?;
    let rules: Vec<&str> = warned.broken.iter().map(|rule| rule.sentence.as_str()).collect();
    let number = match warned.warnings {
        1 => "a rule of their contract that only warns".to_owned(),
        number => format!("{number} rules of their contract that only warn"),
    };
    let see = warned.report.as_ref().map(|_| text::see(&format!("artifact get {run}/{step}/check.{}", warned.input)));
    Some(format!(
        "step \"{step}\": the data of its input \"{}\" break {number}: {}{}",
        warned.input,
        rules.join("; "),
        see.unwrap_or_default()
    ))
}
