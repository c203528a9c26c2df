//! Puts right what others change of our objects, a bounded number of times: without a bound, two writers would overwrite each
//! other's value for ever.

use std::time::Duration;

use jiff::Timestamp;
use seatrial_crds::{Correction, Time, limits};

use super::Rollout;
use crate::conditions::{self, Status, types};
use crate::plan::{Event, EventType, Kind};

/// How often a field is put right before it is left alone.
const CORRECTIONS: u32 = 3;
/// How long a correction counts after the last one.
const COUNTS_FOR: Duration = Duration::from_secs(3600);

/// A field of one of our objects that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    kind: Kind,
    name: String,
    field: String,
}

impl Difference {
    fn is_of(&self, correction: &Correction) -> bool {
        self.kind.name() == correction.kind && self.name == correction.name && self.field == correction.field
    }
}

impl Rollout<'_> {
    /// Whether these fields of an object are to be put right once more, which is counted.
    pub(super) fn may_correct(&mut self, kind: Kind, name: &str, fields: Vec<String>) -> bool {
        let differences = fields.into_iter().take(limits::CORRECTIONS).map(|mut field| {
            field.truncate(field.floor_char_boundary(limits::FIELD_PATH));
            Difference { kind, name: name.to_owned(), field }
        });
        let differences: Vec<Difference> = differences.collect();
        self.differences.extend(differences.clone());
        if self.observed.blocked.iter().any(|blocked| blocked.kind == kind && blocked.name == name) {
            // The write was refused: it waits for its own time, and corrects nothing yet.
            return true;
        }
        let last_time = Time(conditions::whole_seconds(self.now));
        let mut corrects = false;
        for difference in differences {
            let has_room = self.status.corrections.len() < limits::CORRECTIONS;
            match self.status.corrections.iter_mut().find(|correction| difference.is_of(correction)) {
                Some(correction) if correction.count >= CORRECTIONS => {}
                Some(correction) => {
                    (correction.count, correction.last_time) = (correction.count.saturating_add(1), last_time.clone());
                    corrects = true;
                }
                None if !has_room => {}
                None => {
                    let Difference { name, field, .. } = difference;
                    let kind = kind.name().to_owned();
                    let last_time = last_time.clone();
                    self.status.corrections.push(Correction { kind, name, field, count: 1, last_time });
                    corrects = true;
                }
            }
        }
        corrects
    }

    /// A change of the spec lets everything be tried again.
    pub(super) fn begin_corrections(&mut self) {
        if self.status.observed_generation != self.observed.deployment.metadata.generation {
            self.status.corrections.clear();
        }
    }

    /// Forgets what has been well for long, and names the fields that are left to somebody else.
    pub(super) fn end_corrections(&mut self) {
        let now = self.now;
        let age = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let differences = std::mem::take(&mut self.differences);
        let differs = |correction: &Correction| differences.iter().any(|difference| difference.is_of(correction));
        // What no longer differs is forgotten at once, an hour after the last of it was put right: one write, not one for each
        // field.
        let well = self.status.corrections.iter().filter(|correction| !differs(correction));
        let remaining = well.map(|correction| COUNTS_FOR.saturating_sub(age(correction.last_time.0))).max();
        match remaining {
            Some(remaining) if remaining.is_zero() => self.status.corrections.retain(differs),
            Some(remaining) => self.look_again_after(remaining),
            None => {}
        }
        let left: Vec<&Correction> = self
            .status
            .corrections
            .iter()
            .filter(|correction| correction.count >= CORRECTIONS && differs(correction))
            .collect();
        let name = |correction: &&Correction| {
            let Correction { kind, name, field, .. } = correction;
            format!("{field} of the {kind} \"{name}\"")
        };
        let fields: Vec<String> = left.iter().map(name).collect();
        let of_service = left.iter().any(|correction| correction.kind == Kind::Service.name());
        if fields.is_empty() {
            return conditions::remove(&mut self.status.conditions, types::FIELD_CONFLICT);
        }
        let message = format!(
            "somebody else keeps changing {}: it was put right {CORRECTIONS} times and is left alone now; find the writer by kubectl get --show-managed-fields, or among the cluster's admission policies, and change spec to have it tried again",
            fields.join(", ")
        );
        if !conditions::is(&self.status.conditions, types::FIELD_CONFLICT, Status::True) {
            let (kind, reason) = (EventType::Warning, types::FIELD_CONFLICT);
            self.events.push(Event { kind, reason, action: "Correct", message: message.clone() });
        }
        self.set_condition(types::FIELD_CONFLICT, Status::True, "SecondWriter", message.clone());
        if of_service {
            // Clients cannot rely on what the Service says.
            self.problem.get_or_insert((types::FIELD_CONFLICT, message).into());
        }
    }
}
