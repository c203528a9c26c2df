//! What a DataContract's status says.

use jiff::Timestamp;
use seatrial_crds::{CheckVerdict, ContractRule, ContractSchema, DataContractStatus, NotChecked, RuleSeverity, limits};

use super::{Contract, breaking, describe, history, read, scheduled};
use crate::conditions::{self, Status, types};
use crate::contract::check::Severity;
use crate::observed::ContractObserved;
use crate::plan::{Event, EventType, Plan};
use crate::text::plain_within;
use crate::validation;

/// Decides.
pub fn plan(observed: &ContractObserved, now: Timestamp) -> Plan<DataContractStatus> {
    let contract = &observed.contract;
    if contract.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let before = contract.status.clone().unwrap_or_default();
    let generation = contract.metadata.generation;
    let mut status = DataContractStatus {
        observed_generation: generation,
        conditions: before.conditions.clone(),
        ..DataContractStatus::default()
    };
    let conditions = &mut status.conditions;
    let (mut stages, mut events) = (vec![], vec![]);
    let document = read(&contract.spec);
    match &document {
        Ok(read) => {
            let (rules, open) = (rule_count(read), not_checked(read).count());
            let message = match open {
                0 => format!("{rules} rules are checked"),
                open => format!("{rules} rules are checked; {open} more promises are not: status.notChecked says why"),
            };
            conditions::set(conditions, types::READY, Status::True, "Understood", message, generation, now);
            conditions::remove(conditions, types::STALLED);
            let breaking = breaking::of_contract(contract, read, &observed.revisions, &observed.pipelines);
            let (compatible, reason, message) = breaking::condition(breaking.as_ref());
            // Of a document that is new to its readers, not of a pipeline that comes to read by an old one.
            let is_news = before.revision.as_ref().is_some_and(|revision| *revision != read.revision);
            if is_news && compatible == Status::False {
                let message = message.clone();
                events.push(Event { kind: EventType::Warning, reason, action: "Compare", message });
            }
            conditions::set(conditions, types::COMPATIBLE, compatible, reason, message, generation, now);
            status.breaking = breaking;
            stages = history::keep(contract, read, &observed.revisions);
            set_summary(&mut status, read);
        }
        Err(problems) => {
            let message = validation::summary(problems);
            let reason = "InvalidContract";
            conditions::set(conditions, types::READY, Status::False, reason, message.clone(), generation, now);
            conditions::set(conditions, types::STALLED, Status::True, reason, message, generation, now);
            conditions::remove(conditions, types::COMPATIBLE);
        }
    }
    let progress = scheduled::check(observed, document.as_ref().ok(), &mut status, conditions::whole_seconds(now));
    stages.extend(progress.stages);
    events.extend(progress.events);
    let changed = contract.status.as_ref() != Some(&status);
    let plan = Plan {
        status: changed.then_some(status),
        stages,
        events,
        live_reads: progress.live_reads,
        requeue_after: progress.requeue_after,
        ..Plan::default()
    };
    plan.defer_blocked(&observed.blocked, now)
}

/// The verdict of the check whose end a plan records; `None` where it records none.
pub fn verdict_of_check(before: &DataContractStatus, after: &DataContractStatus) -> Option<CheckVerdict> {
    let newest = after.checks.first()?;
    let is_new = before.checks.first().is_none_or(|known| known.checked_at != newest.checked_at);
    is_new.then_some(newest.verdict)
}

fn rule_count(contract: &Contract) -> usize {
    contract.schemas.iter().map(|schema| schema.rules.len()).sum()
}

/// What nobody checks of the whole document.
fn not_checked(contract: &Contract) -> impl Iterator<Item = &crate::contract::check::NotChecked> {
    contract.not_checked.iter().chain(contract.schemas.iter().flat_map(|schema| &schema.not_checked))
}

/// Shows what was understood.
fn set_summary(status: &mut DataContractStatus, contract: &Contract) {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    status.version = Some(plain_within(&contract.version, limits::CONTRACT_VERSION));
    status.revision = Some(contract.revision.clone());
    status.rule_count = Some(count(rule_count(contract)));
    status.not_checked_count = Some(count(not_checked(contract).count()));
    status.schemas = contract
        .schemas
        .iter()
        .map(|schema| ContractSchema {
            name: plain_within(&schema.name, limits::CONTRACT_NAME),
            columns: count(schema.columns.len()),
            rules: count(schema.rules.len()),
        })
        .collect();
    let rules = contract.schemas.iter().flat_map(|schema| schema.rules.iter().map(move |rule| (schema, rule)));
    status.rules = rules
        .take(limits::CONTRACT_RULES_SHOWN)
        .map(|(schema, rule)| ContractRule {
            schema: plain_within(&schema.name, limits::CONTRACT_NAME),
            name: plain_within(&rule.name, limits::CONTRACT_NAME),
            severity: match rule.severity {
                Severity::Error => RuleSeverity::Error,
                Severity::Warning => RuleSeverity::Warning,
            },
            message: plain_within(&describe(&rule.check), limits::STEP_MESSAGE),
        })
        .collect();
    status.not_checked = not_checked(contract)
        .take(limits::NOT_CHECKED_SHOWN)
        .map(|part| NotChecked {
            path: plain_within(&part.name, limits::FIELD_PATH),
            reason: plain_within(&part.reason, limits::STEP_MESSAGE),
        })
        .collect();
}
