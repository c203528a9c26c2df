//! What checks found, as a contract's status keeps and tells it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seatrial_crds::{CheckVerdict, CheckedTable, Condition, DataContractStatus, ScheduledCheck, Time, limits};

use super::outcome::{Found, FoundTable};
use super::{Contract, Hindrance, input_name};
use crate::conditions::{self, Status, types};
use crate::contract::KnownInput;
use crate::data_contract::Frequency;
use crate::names;
use crate::plan::{Event, EventType};
use crate::text::plain_within;

/// Keeps what a check found. The same data by the same document are no finding of their own: they move the times of the newest.
pub(super) fn keep(
    checks: &mut Vec<ScheduledCheck>,
    document: &Contract,
    scheduled_at: Timestamp,
    found: Found,
    now: Timestamp,
) {
    let (tables, message) = match found {
        Found::Unchanged => {
            if let Some(newest) = checks.first_mut() {
                found_again(newest, scheduled_at, now);
            }
            return;
        }
        Found::Tables(tables) => {
            (tables.into_iter().map(|table| of_table(checks, table, scheduled_at)).collect(), None)
        }
        Found::Nothing(why) => (vec![], Some(plain_within(&why, limits::STEP_MESSAGE))),
    };
    let verdict = if message.is_some() { CheckVerdict::Error } else { worst(&tables) };
    let new = ScheduledCheck {
        scheduled_at: Time(scheduled_at),
        checked_at: Time(now),
        found_at: Time(now),
        verdict,
        version: plain_within(&document.version, limits::CONTRACT_VERSION),
        revision: document.revision.clone(),
        message,
        tables,
    };
    match checks.first_mut() {
        Some(newest) if is_the_same(newest, &new) => found_again(newest, scheduled_at, now),
        _ => {
            checks.insert(0, new);
            checks.truncate(limits::CHECKS);
        }
    }
}

/// What was found is as it was: the times move.
fn found_again(newest: &mut ScheduledCheck, scheduled_at: Timestamp, now: Timestamp) {
    (newest.scheduled_at, newest.checked_at) = (Time(scheduled_at), Time(now));
    // A time ahead of this check is of a clock that was wrong.
    for since in newest.tables.iter_mut().filter_map(|table| table.unchanged_since.as_mut()) {
        since.0 = since.0.min(scheduled_at);
    }
}

/// The data that the newest check read by this document; `None` where there is none, or it did not come to a verdict.
pub(super) fn known(newest: Option<&ScheduledCheck>, document: &Contract, since: Timestamp) -> Option<Vec<KnownInput>> {
    let newest = newest.filter(|newest| newest.revision == document.revision && newest.scheduled_at.0 > since)?;
    if newest.verdict == CheckVerdict::Error || newest.tables.is_empty() {
        return None;
    }
    let known = |(index, table): (usize, &CheckedTable)| {
        Some(KnownInput { name: input_name(index), digest: table.digest.as_ref()?.parse().ok()? })
    };
    newest.tables.iter().enumerate().map(known).collect()
}

/// Whether two checks looked at the same data by the same document, and say the same.
fn is_the_same(one: &ScheduledCheck, other: &ScheduledCheck) -> bool {
    fn data(check: &ScheduledCheck) -> Vec<(&str, Option<&str>)> {
        check.tables.iter().map(|table| (table.schema.as_str(), table.digest.as_deref())).collect()
    }
    let is_known = one.message.is_some() || one.tables.iter().all(|table| table.digest.is_some());
    (one.verdict, &one.revision, &one.message) == (other.verdict, &other.revision, &other.message)
        && is_known
        && data(one) == data(other)
}

fn of_table(before: &[ScheduledCheck], found: FoundTable, scheduled_at: Timestamp) -> CheckedTable {
    let FoundTable { schema, summary, digest } = found;
    // A check that found no data in between says nothing of whether they changed.
    let known =
        before.iter().flat_map(|check| &check.tables).find(|table| table.schema == schema && table.digest.is_some());
    let unchanged = known.filter(|known| known.digest == digest).and_then(|known| known.unchanged_since.clone());
    // A time ahead of this check is of a clock that was wrong.
    let unchanged = unchanged.filter(|since| since.0 <= scheduled_at);
    let unchanged_since = digest.is_some().then(|| unchanged.unwrap_or(Time(scheduled_at)));
    CheckedTable {
        verdict: summary.verdict.into(),
        rows: i64::try_from(summary.rows).unwrap_or(i64::MAX),
        unchanged_since,
        message: plain_within(&summary.sentence, limits::STEP_MESSAGE),
        broken: summary
            .broken
            .iter()
            .take(limits::BROKEN_RULES_SHOWN)
            .map(|rule| plain_within(&rule.rule, limits::CONTRACT_NAME))
            .collect(),
        report: summary.report.as_ref().map(ToString::to_string),
        schema,
        digest,
    }
}

/// The verdict on several tables: Failed where one is, else Error, else Inconclusive, else Passed.
fn worst(tables: &[CheckedTable]) -> CheckVerdict {
    let order = [CheckVerdict::Failed, CheckVerdict::Error, CheckVerdict::Inconclusive];
    let found = order.into_iter().find(|verdict| tables.iter().any(|table| table.verdict == *verdict));
    found.unwrap_or(CheckVerdict::Passed)
}

/// Says nothing of a schedule that there is not.
pub(super) fn forget(conditions: &mut Vec<Condition>) {
    conditions::remove(conditions, types::HONOURED);
    conditions::remove(conditions, types::FRESH);
}

/// The newest check of what is checked now.
pub(super) fn newest(status: &DataContractStatus) -> Option<&ScheduledCheck> {
    let since = status.schedule.as_ref().map(|schedule| schedule.since.0);
    status.checks.first().filter(|newest| since.is_some_and(|since| newest.scheduled_at.0 > since))
}

/// Sets `Honoured` and `Fresh` by the newest check of what is checked now.
pub(super) fn set_conditions(
    status: &mut DataContractStatus,
    document: Option<&Contract>,
    hindrance: Option<&Hindrance>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let newest = newest(status);
    let unknown = || {
        let (reason, message) = match (hindrance, newest) {
            (Some((reason, message)), _) => (*reason, message.clone()),
            (None, Some(newest)) => ("CheckFailed", newest.message.clone().unwrap_or_default()),
            (None, None) => {
                let message = "the data have not been checked yet: spec.check.schedule says when they are";
                ("NotCheckedYet", message.to_owned())
            }
        };
        (Status::Unknown, reason, message)
    };
    let honoured = match (hindrance, newest) {
        (None, Some(newest)) => honoured(newest).unwrap_or_else(unknown),
        _ => unknown(),
    };
    let promises = document.filter(|document| document.schemas.iter().any(|schema| schema.frequency.is_some()));
    let fresh = promises.map(|document| match (hindrance, newest) {
        (None, Some(newest)) => fresh(newest, document).unwrap_or_else(unknown),
        _ => unknown(),
    });
    let conditions = &mut status.conditions;
    let (value, reason, message) = honoured;
    conditions::set(conditions, types::HONOURED, value, reason, message, generation, now);
    match fresh {
        Some((value, reason, message)) => {
            conditions::set(conditions, types::FRESH, value, reason, message, generation, now);
        }
        None => conditions::remove(conditions, types::FRESH),
    }
}

/// Whether the data keep the contract; `None` where the check could not be made at all.
fn honoured(newest: &ScheduledCheck) -> Option<(Status, &'static str, String)> {
    if newest.message.is_some() {
        return None;
    }
    let said = |verdict| {
        let tables = newest.tables.iter().filter(|table| table.verdict == verdict);
        let said: Vec<String> = tables.map(|table| format!("{}: {}", table.schema, table.message)).collect();
        said.join("; ")
    };
    let message = said(newest.verdict);
    Some(match newest.verdict {
        CheckVerdict::Passed => (Status::True, "Honoured", message),
        CheckVerdict::Failed => (Status::False, "ContractBroken", message),
        CheckVerdict::Inconclusive => (Status::Unknown, "ContractUnproven", message),
        CheckVerdict::Error => (Status::Unknown, "CheckFailed", message),
    })
}

/// Whether data come as often as the document says; `None` where the data could not be brought.
fn fresh(newest: &ScheduledCheck, document: &Contract) -> Option<(Status, &'static str, String)> {
    let at = newest.scheduled_at.0.as_second();
    let (mut stale, mut kept) = (vec![], BTreeSet::new());
    for table in &newest.tables {
        let since = table.unchanged_since.as_ref()?;
        let promised = document.schema(Some(&table.schema)).ok().and_then(|schema| schema.frequency);
        let Some(frequency) = promised else { continue };
        // A check that found them first says that they came by then: they are no younger.
        if at - since.0.as_second() > frequency.seconds {
            let (schema, promised) = (&table.schema, frequency_text(frequency));
            stale.push(format!(
                "{schema} has not changed since {}; the contract promises new data every {promised}",
                since.0
            ));
        } else {
            kept.insert(frequency);
        }
    }
    if newest.tables.is_empty() {
        return None;
    }
    Some(if stale.is_empty() {
        let kept: Vec<String> = kept.into_iter().map(frequency_text).collect();
        let message = format!("the data change at least every {}, as the contract promises", kept.join(" or "));
        (Status::True, "Fresh", message)
    } else {
        (Status::False, "Stale", stale.join("; "))
    })
}

/// How often data come, for people.
pub(in crate::data_contract) fn frequency_text(frequency: Frequency) -> String {
    match frequency.seconds {
        seconds if seconds % 86400 == 0 => match seconds / 86400 {
            1 => "day".to_owned(),
            days => format!("{days} days"),
        },
        seconds => names::duration(seconds),
    }
}

/// What people are told when a condition says something else than before.
pub(super) fn events(before: &[Condition], now: &[Condition]) -> Vec<Event> {
    let table = [
        (types::HONOURED, "ContractBroken", EventType::Warning),
        (types::HONOURED, "ContractUnproven", EventType::Warning),
        (types::HONOURED, "CheckFailed", EventType::Warning),
        (types::HONOURED, "CheckMissed", EventType::Warning),
        (types::HONOURED, "Honoured", EventType::Normal),
        (types::FRESH, "Stale", EventType::Warning),
        (types::FRESH, "Fresh", EventType::Normal),
    ];
    let event = |(condition, reason, kind): (&str, &'static str, EventType)| {
        let found = conditions::find(now, condition).filter(|found| found.reason == reason)?;
        let was = conditions::find(before, condition).map(|before| before.reason.as_str());
        (was != Some(reason)).then(|| Event { kind, reason, action: "Check", message: found.message.clone() })
    };
    table.into_iter().filter_map(event).collect()
}
