//! Builds the Job of an attempt at a check: where its data lie, and the rules that it checks them by.

use k8s_openapi::api::batch::v1::Job;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::DataContract;

use super::job::CheckJob;
use super::{Hindrance, Subject};
use crate::attempt::step_job::ReadyInput;
use crate::contract::check::{CHECK_VERSION, CheckConfig, CheckLimits, DataFormat, InputCheck};
use crate::contract::{InputSource, KnownInput, paths};
use crate::data_contract::{Schema, dialect};
use crate::observed::ContractObserved;
use crate::stores;
use crate::validation::duration;

/// How long the check of one table may take where the contract does not say, in seconds.
const DEFAULT_SECONDS: u64 = 3600;

/// The Job of an attempt; or why there can be none now.
pub(super) fn build(
    observed: &ContractObserved,
    subject: &Subject<'_>,
    name: &str,
    attempt: i64,
    known: Option<Vec<KnownInput>>,
) -> Result<Job, Hindrance> {
    let (contract, platform) = (&observed.contract, &observed.platform);
    let namespace = contract.namespace().unwrap_or_default();
    let judge = platform.judge.as_ref().ok_or_else(|| {
        ("NoChecker", "nothing checks data here: let the platform team set the chart's judge.enabled".to_owned())
    })?;
    let (mut inputs, mut checks) = (vec![], vec![]);
    for (index, data) in subject.check.data.iter().enumerate() {
        let table = subject.document.schema(Some(&data.schema)).map_err(|what| ("InvalidSchedule", what))?;
        let store = stores::for_uri(&data.uri, &namespace, &observed.stores, platform)
            .map_err(|problem| (problem.reason(), problem.to_string()))?;
        let source = InputSource::Uri { store: store.config.prefix.clone(), uri: data.uri.clone() };
        inputs.push(ReadyInput { name: input_name(index), kind: None, source, store });
        checks.push(input(subject, contract, table, index));
    }
    let timeout = subject.check.timeout.as_deref().and_then(duration).map_or(DEFAULT_SECONDS, |it| it.as_secs());
    // The program that checks takes no longer time than that.
    let seconds = timeout.saturating_mul(inputs.len() as u64).min(u32::MAX.into());
    let config = CheckConfig {
        version: CHECK_VERSION,
        inputs: checks,
        reports: paths::CHECK_REPORTS.to_owned(),
        limits: CheckLimits { scratch: Some(paths::CHECK_SCRATCH.to_owned()), seconds, ..CheckLimits::default() },
        unless: known.is_some().then(|| paths::UNCHANGED.to_owned()),
    };
    config.to_json().map_err(|message| ("ContractsTooLarge", message))?;
    let owner = contract.controller_owner_ref(&()).ok_or_else(|| ("InvalidContract", "it has no name".to_owned()))?;
    // Without one, the verdict is the same, and the whole report is not kept.
    let artifacts = stores::for_artifacts(&namespace, &observed.stores, platform).ok();
    let (name, known) = (name.to_owned(), known.unwrap_or_default());
    let job = CheckJob { name, owner, namespace, attempt, inputs, known, config, artifacts, judge, platform };
    Ok(job.job())
}

/// What an input is called in the pod: a schema object's name may hold anything.
pub(super) fn input_name(index: usize) -> String {
    format!("table-{}", index + 1)
}

fn input(subject: &Subject<'_>, contract: &DataContract, table: &Schema, index: usize) -> InputCheck {
    let name = input_name(index);
    InputCheck {
        path: paths::input(&name, None),
        input: name,
        contract: format!("{}/{}", contract.namespace().unwrap_or_default(), contract.name_any()),
        revision: subject.document.revision.clone(),
        table: Some(table.name.clone()),
        format: DataFormat::Auto,
        csv: dialect(contract.spec.csv.as_ref()),
        columns: table.columns.clone(),
        rules: table.rules.clone(),
        not_checked: subject.document.not_checked.iter().chain(&table.not_checked).cloned().collect(),
    }
}
