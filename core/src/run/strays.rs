//! Jobs of a run that no recorded attempt needs any more, and what holds them.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube_core::ResourceExt;
use seatrial_crds::{StepState, StepStatus};

use super::Draft;
use crate::attempt;
use crate::attempt::report::has_ended_well;
use crate::plan::{Event, EventType, Kind, Write};
use crate::pod_state::statuses;

/// How long the Job of a step that is done may go on, in seconds, before it is deleted.
const JOB_GRACE: i64 = 30;

impl Draft<'_> {
    /// Deletes Jobs of attempts that the status does not name: those that a former leader created, and those of steps that
    /// failed.
    pub(super) fn delete_strays(&mut self) {
        for job in &self.observed.jobs {
            let name = job.name_any();
            let is_its = |step: &&StepStatus| {
                step.job.as_deref() == Some(name.as_str())
                    || step.recovery.as_ref().is_some_and(|recovery| recovery.job == name)
            };
            let step = self.status.steps.iter().find(is_its);
            // What the store is asked about has ended, or its node is lost: nothing of it may begin anew meanwhile.
            let is_given_up = step.and_then(|step| step.recovery.as_ref()).is_some_and(|asked| asked.job != name);
            let wanted = match step.map(|step| (step.state, step.finished_at.as_ref())) {
                Some((StepState::Running, _)) => !is_given_up,
                // Its pod said that it is done; its Job says so a second later, unless something else in the pod goes on.
                Some((StepState::Succeeded, Some(at))) if !self.is_run_again(job) => {
                    // A clock that went back must not keep it for hours.
                    let since = self.seconds_since(at);
                    let left = if since < -JOB_GRACE { 0 } else { JOB_GRACE - since };
                    if left > 0 && !attempt::job_has_ended(job) {
                        let left = Duration::from_secs(left.unsigned_abs());
                        self.requeue_after = Some(self.requeue_after.map_or(left, |sooner| sooner.min(left)));
                    }
                    left > 0
                }
                _ => false,
            };
            let ended = attempt::job_has_ended(job) || job.metadata.deletion_timestamp.is_some();
            if self.is_ours(job.as_ref()) && !wanted && !ended {
                let uid = job.metadata.uid.clone().unwrap_or_default();
                // Where the API server refused that, it was said already.
                let is_blocked = self.observed.blocked.iter().any(|it| it.kind == Kind::Job && it.name == name);
                let left = step.filter(|step| step.state == StepState::Succeeded && !is_blocked);
                self.events.extend(left.and_then(|step| {
                    let message = self.left_containers(step, job)?;
                    Some(Event { kind: EventType::Warning, reason: "ContainerLeft", action: "Delete", message })
                }));
                self.deletions.push(Write::Delete { kind: Kind::Job, name, uid });
            }
        }
    }

    /// Names the containers that somebody injected into a pod of a step and that go on though the step is done.
    fn left_containers(&self, step: &StepStatus, job: &Job) -> Option<String> {
        let mut pods = self.observed.pods.iter().filter(|pod| attempt::is_pod_of(pod, job));
        let pod = pods.find(|pod| has_ended_well(pod))?;
        let goes_on = statuses(pod).filter(|one| one.state.as_ref().is_some_and(|state| state.running.is_some()));
        let left: Vec<&str> = goes_on.map(|one| one.name.as_str()).collect();
        (!left.is_empty()).then(|| {
            format!(
                "step \"{}\" is done, but {} of its pod {} did not end within {JOB_GRACE} s: its Job is deleted; let who injects it add it as a sidecar (an init container with restartPolicy: Always), which ends with the pod",
                step.name,
                left.join(", "),
                pod.name_any()
            )
        })
    }

    /// Whether a Job goes on with a pod that has not ended well, after another one has.
    fn is_run_again(&self, job: &Job) -> bool {
        let mut pods = self.observed.pods.iter().filter(|pod| attempt::is_pod_of(pod, job));
        pods.any(|pod| self.liveness().is_live(pod) && !has_ended_well(pod))
    }
}
