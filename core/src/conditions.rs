//! Conditions, a map by type. Each has the generation that it was decided for, and the time of its last transition.

use jiff::Timestamp;
use seatrial_crds::{Condition, Time};

use crate::text;

/// The longest message, in bytes. Kubernetes allows more; nobody reads more.
const MAX_MESSAGE: usize = 1024;

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kubernetes' own words")]
pub enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    const fn text(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The types of conditions that Seatrial sets.
pub mod types {
    /// All is as it was asked for. Of a pipeline: accepted, and scheduled.
    pub const READY: &str = "Ready";
    /// A version serves, whatever else is under way.
    pub const AVAILABLE: &str = "Available";
    /// Something is under way (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// Something is stuck until a person acts (kstatus).
    pub const STALLED: &str = "Stalled";
    /// Somebody else keeps changing a field of ours.
    pub const FIELD_CONFLICT: &str = "FieldConflict";
    /// A run ended well (True), badly (False), or is under way (Unknown).
    pub const SUCCEEDED: &str = "Succeeded";
    /// A version passed every gate.
    pub const PASSED: &str = "Passed";
    /// A version that was asked for is not let through by its Model.
    pub const REFUSED: &str = "Refused";
    /// The Model passes what serves.
    pub const SERVING_MEETS_GATES: &str = "ServingMeetsGates";
    /// What serves decides at the threshold that the costs of errors choose by now.
    pub const THRESHOLD_CURRENT: &str = "ThresholdCurrent";
    /// A contract's document breaks nobody who reads the data by an earlier one. Of a pipeline: no contract of its inputs does.
    pub const COMPATIBLE: &str = "Compatible";
    /// The data of a contract keep it, as its own schedule found.
    pub const HONOURED: &str = "Honoured";
    /// The data of a contract come as often as it says.
    pub const FRESH: &str = "Fresh";
    /// A Model answers every question.
    pub const ANSWERED: &str = "Answered";
}

/// Sets the condition of a type. The transition time moves only when the status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut message: String = message.into();
    text::truncate(&mut message, MAX_MESSAGE);
    let condition = Condition {
        type_: kind.to_owned(),
        status: status.text().to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(whole_seconds(now)),
    };
    match conditions.iter_mut().find(|existing| existing.type_ == kind) {
        Some(existing) => {
            let last_transition_time = if existing.status == condition.status {
                existing.last_transition_time.clone()
            } else {
                condition.last_transition_time.clone()
            };
            *existing = Condition { last_transition_time, ..condition };
        }
        None => conditions.push(condition),
    }
}

/// Removes the condition of a type: kstatus reads the absence of Stalled and Reconciling as false.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// True where the condition of a type has this status.
pub fn is(conditions: &[Condition], kind: &str, status: Status) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == status.text())
}

/// Kubernetes keeps times in whole seconds: what is written must equal what is read back.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let mut conditions = vec![];
        set(&mut conditions, "Ready", Status::False, "A", "a", Some(1), at(1));
        set(&mut conditions, "Ready", Status::False, "B", "b", Some(2), at(2));
        assert_eq!(conditions[0].last_transition_time, Time(at(1)));
        assert_eq!((conditions[0].reason.as_str(), conditions[0].observed_generation), ("B", Some(2)));
        set(&mut conditions, "Ready", Status::True, "C", "", Some(2), at(3));
        assert_eq!(conditions[0].last_transition_time, Time(at(3)));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn long_messages_are_cut() {
        let mut conditions = vec![];
        set(&mut conditions, "Ready", Status::True, "A", "ä".repeat(5000), None, at(1));
        assert!((MAX_MESSAGE - 4..=MAX_MESSAGE).contains(&conditions[0].message.len()));
    }
}
