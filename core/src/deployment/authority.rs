//! The conditions that follow from the Model's judgements: whether the version that serves passes, and why another one is
//! refused. (It has nothing to do with certificate authorities.)

use kube_core::ResourceExt;

use super::Rollout;
use super::served::chosen;
use super::target::Refusal;
use crate::authority::{Authority, Standing};
use crate::conditions::{self, Status, types};
use crate::plan::{Event, EventType};

impl Rollout<'_> {
    /// Sets the condition `Refused`, with the version that the Model refuses; removes it where none is refused.
    pub(super) fn set_refused(&mut self, refused: Option<Refusal>) {
        let Some(Refusal { version, reason, message }) = refused else {
            conditions::remove(&mut self.status.conditions, types::REFUSED);
            return;
        };
        let stands = self
            .status
            .served_version
            .as_ref()
            .map_or_else(|| "no version serves yet".to_owned(), |served| format!("{served} goes on serving"));
        let message = format!("{version} is refused: {message} ({stands})");
        let before = conditions::find(&self.status.conditions, types::REFUSED);
        let told = format!("{version} ");
        let is_new = before.is_none_or(|before| before.reason != reason || !before.message.starts_with(&told));
        if is_new && ["VersionRefused", "VersionHeld"].contains(&reason) {
            self.warn(reason, message.clone());
        }
        self.set_condition(types::REFUSED, Status::True, reason, message);
    }

    /// Sets the condition `ServingMeetsGates`. A version that serves is never withdrawn for it.
    pub(super) fn set_serving_meets_gates(&mut self, authority: &Authority<'_>) {
        let Some(name) = self.status.served_version.clone() else {
            conditions::remove(&mut self.status.conditions, types::SERVING_MEETS_GATES);
            return;
        };
        let Some(version) = self.observed.versions.iter().find(|version| version.name_any() == name) else { return };
        let (status, reason, message) = match authority.standing(version) {
            Standing::NobodyJudges => {
                conditions::remove(&mut self.status.conditions, types::SERVING_MEETS_GATES);
                return;
            }
            // The condition stays as it is until the Model has judged the version again.
            Standing::Open(_) => return,
            Standing::Passes => (Status::True, "AllGatesPassed", format!("{name} serves, and its Model passes it")),
            Standing::Waived => (Status::True, "GatesWaived", format!("{name} serves by a waiver of its Model")),
            Standing::Held(_) => (
                Status::True,
                "ServesHeld",
                format!(
                    "{name} serves, and its Model passes it, but only since the Model changed: elsewhere it is held"
                ),
            ),
            Standing::Fails(message) => {
                (Status::False, "ServesUnpassed", format!("{name} serves and is not withdrawn, but {message}"))
            }
        };
        let was_said = conditions::is(&self.status.conditions, types::SERVING_MEETS_GATES, Status::False);
        let serves_anew =
            self.deployment().status.as_ref().and_then(|status| status.served_version.as_ref()) != Some(&name);
        if status == Status::False && (!was_said || serves_anew) {
            self.warn(reason, message.clone());
        }
        self.set_condition(types::SERVING_MEETS_GATES, status, reason, message);
    }

    /// Sets the condition `ThresholdCurrent`: whether the servers use the threshold that the costs of errors choose now.
    /// Servers keep the threshold that they started with: see `docs/adr/0047-served-threshold.md`.
    pub(super) fn set_threshold_current(&mut self) {
        let kind = types::THRESHOLD_CURRENT;
        let Some(served) = self.recorded() else {
            return conditions::remove(&mut self.status.conditions, kind);
        };
        let name = &served.version;
        let Some(version) = self.observed.versions.iter().find(|version| &version.name_any() == name) else { return };
        let (status, reason, message) = match (&served.threshold, chosen(version)) {
            (None, None) => return conditions::remove(&mut self.status.conditions, kind),
            (Some(told), Some(chosen)) if *told == chosen => {
                (Status::True, "ThresholdCurrent", format!("{name} decides at {told}, as the costs of errors choose"))
            }
            (told, chosen) => {
                let decides = match told {
                    Some(told) => format!("{name} goes on deciding at {told}"),
                    None => format!("{name} was told no threshold and goes on without"),
                };
                let chosen = chosen.unwrap_or_else(|| "none".to_owned());
                let of =
                    version.spec.pipeline().map(|pipeline| format!(" of the pipeline {pipeline}")).unwrap_or_default();
                let message = format!(
                    "{decides}; the costs of errors as they are now choose {chosen}. Servers keep the threshold that they came with: the next version brings its own, even with the same files. To have one, create an MLPipelineRun{of} with purpose: Release"
                );
                (Status::False, "ThresholdMoved", message)
            }
        };
        let was_said = conditions::find(&self.status.conditions, kind).is_some_and(|before| before.message == message);
        if status == Status::False && !was_said {
            self.warn(reason, message.clone());
        }
        self.set_condition(kind, status, reason, message);
    }

    fn warn(&mut self, reason: &'static str, message: String) {
        self.events.push(Event { kind: EventType::Warning, reason, action: "Serve", message });
    }
}
