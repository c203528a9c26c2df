//! Decides for a version: what is measured of it, and what it is judged to be.

mod attempts;
mod duel;
mod evaluation;
mod hold;
mod judge_job;
mod measure;

use std::time::Duration;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{
    Evidence, GateJudgement, GateType, Judgement, MLPipelineRunStatus, MeasurementState, Metric, Model, ModelVersion,
    ModelVersionStatus, StepStatus, Time, Verdict, limits,
};

use self::attempts::{Progress, stop_strays};
use self::duel::Stand;
use self::measure::{Known, measure};
use crate::approvals::{self, Counted};
use crate::conditions::{self, Status, types};
use crate::observed::VersionObserved;
use crate::plan::{Event, EventType, Plan};
use crate::{gates, names};

/// The reason of a version that no run of this cluster made.
const UNKNOWN_ORIGIN: &str = "UnknownOrigin";

/// Decides what is measured of a version, and judges it. A version is judged once for each state of its Model's gates; earlier
/// judgements stay in the status.
pub fn plan(observed: &VersionObserved, now: Timestamp) -> Plan<ModelVersionStatus> {
    let version = &observed.version;
    if version.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    // Waits that have fractions of a second end by the clock as it is, whatever is written into the status.
    let (precisely, now) = (now, conditions::whole_seconds(now));
    let mut status = version.status.clone().unwrap_or_default();
    let mut progress = Progress::default();
    let (verdict, reason, message, ready) = match judge_of(observed) {
        Ok(model) => {
            let known = measure(observed, model, &mut status, now, &mut progress);
            let stand = match known {
                Known::Measured => duel::hold(observed, model, &mut status, now, &mut progress),
                _ => Stand::AsRecorded,
            };
            if matches!(known, Known::Measured) && !progress.is_under_way() {
                // Whoever breaks a duel off leaves no attempt behind.
                status.measuring = None;
            }
            stop_strays(observed, &mut progress);
            let (verdict, message, waived_until) = judge(observed, model, (known, stand), &mut status, now);
            let expiry = waived_until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
            progress.requeue_after = progress.requeue_after.into_iter().chain(expiry).min();
            let reason = if verdict == Verdict::Unjudged { "Unanswered" } else { "Judged" };
            (verdict, reason, message, Some(ready(model, verdict)))
        }
        Err((reason, message)) => {
            let unknown = gates::Evidence::Unavailable(message.clone());
            status.headline = gates::headline(None, &version.spec, &unknown);
            (Verdict::Unjudged, reason, message, None)
        }
    };
    status.verdict = Some(verdict);
    let generation = version.metadata.generation;
    status.observed_generation = generation;
    let mut set = |kind, value, reason: &str, message: &str| {
        conditions::set(&mut status.conditions, kind, value, reason, message, generation, now);
    };
    set(types::READY, Status::True, reason, ready.as_ref().unwrap_or(&message));
    match verdict {
        Verdict::Passed => set(types::PASSED, Status::True, "AllGatesPassed", &message),
        Verdict::Waived => set(types::PASSED, Status::True, "GatesWaived", &message),
        Verdict::Held => set(types::PASSED, Status::False, "Held", &message),
        Verdict::Failed => set(types::PASSED, Status::False, "GateFailed", &message),
        Verdict::Error => set(types::PASSED, Status::False, "EvidenceUnusable", &message),
        Verdict::Inconclusive => set(types::PASSED, Status::Unknown, "Inconclusive", &message),
        Verdict::Pending => set(types::PASSED, Status::Unknown, "Measuring", &message),
        Verdict::AwaitingApproval => set(types::PASSED, Status::Unknown, "AwaitingApproval", &message),
        Verdict::Unjudged => set(types::PASSED, Status::Unknown, reason, &message),
    }
    let was_held = version.status.as_ref().is_some_and(|status| status.verdict == Some(Verdict::Held));
    let held = (verdict == Verdict::Held && !was_held).then_some(message);
    let event = |message| Event { kind: EventType::Warning, reason: "Held", action: "Judge", message };
    let events = held.map(event).into_iter().collect();
    let changed = Some(&status) != version.status.as_ref();
    let Progress { stages, live_reads, requeue_after, .. } = progress;
    let plan = Plan { status: changed.then_some(status), stages, events, live_reads, requeue_after, ..Plan::default() };
    plan.defer_blocked(&observed.blocked, precisely)
}

/// What the condition `Ready` says where there is a judge: in short, since `Passed` says the whole.
fn ready(model: &Model, verdict: Verdict) -> String {
    let name = model.name_any();
    match verdict {
        Verdict::Pending => {
            format!("the Model \"{name}\" is about to judge it: the condition Passed says what that waits for")
        }
        Verdict::Unjudged => format!("the Model \"{name}\" leaves a question open: the condition Passed says which"),
        _ => format!("the Model \"{name}\" judged it {verdict:?}: the condition Passed says by what"),
    }
}

/// Judges by what is known. A judgement is kept once nothing of it is pending, and only if it says something else than the
/// one before. Returns the verdict, what is said of it, and when the first of the waivers that it rests on ends.
fn judge(
    observed: &VersionObserved,
    model: &Model,
    (known, stand): (Known, Stand),
    status: &mut ModelVersionStatus,
    now: Timestamp,
) -> (Verdict, String, Option<Timestamp>) {
    let version = &observed.version;
    let measurement = status.measurement.clone();
    let is_unmeasured = matches!(known, Known::Unmeasured(_));
    let evidence = match (known, &measurement) {
        (Known::Measured, Some(measurement)) => gates::Evidence::Measured(measurement),
        (Known::Pending(how), _) => gates::Evidence::Pending(how),
        (Known::Unavailable(why) | Known::Unmeasured(why), _) => gates::Evidence::Unavailable(why),
        (Known::Measured, None) => gates::Evidence::Unavailable("the measurement is gone".to_owned()),
    };
    let recorded = status.duel.clone();
    let duel = stand.state(recorded.as_ref());
    let mut gates = gates::judge(&model.spec, &version.spec, &evidence, &duel);
    gates.extend(leakage(observed, model, status));
    status.headline = gates::headline(Some(&model.spec), &version.spec, &evidence);
    let labels = match &evidence {
        gates::Evidence::Measured(measurement) => Some(measurement.labels),
        _ => None,
    };
    status.threshold = match &evidence {
        gates::Evidence::Measured(measurement) => gates::threshold(&model.spec, measurement),
        _ => status.threshold.take(),
    };
    let gates_digest = gates::digest(&model.spec);
    // What was found has its name whatever is waived of it, and whatever people say of it.
    let judgement_digest = hold::digest(&version.spec.artifact.digest, &gates_digest, labels, &gates);
    let counted = counted(observed, &judgement_digest);
    gates::approval::apply(&model.spec, version, &mut gates, &counted);
    let waived_until = gates::waivers::apply(&model.spec, version, &mut gates, now);
    let overrules = hold::overruled(status.judgements.first(), &gates_digest);
    let found = gates::overall(&gates);
    let would_pass = matches!(found, Verdict::Passed | Verdict::Waived);
    let holds = overrules.as_ref().filter(|overruled| would_pass && hold::holds(overruled, &gates));
    let released = counted.release();
    let verdict = if holds.is_some() && released.is_none() { Verdict::Held } else { found };
    let of_hold = holds.map(|overruled| match released {
        Some(by) => format!("; it passes only since the Model changed, and that is approved by {by}"),
        None => hold::sentence(overruled, version, counted.problem()),
    });
    let judgement = Judgement {
        judged_at: Time(now),
        gates_revision: Some(names::gates(&version.spec.model, &gates_digest)),
        digest: Some(judgement_digest),
        overrules,
        gates_digest,
        verdict,
        labels,
        measurement: is_unmeasured.then_some(MeasurementState::Unavailable),
        gates,
    };
    let message = match (verdict, of_hold) {
        (Verdict::Held, of_hold) => of_hold.unwrap_or_default(),
        (_, of_hold) => sentence(&judgement) + &of_hold.unwrap_or_default(),
    };
    let is_pending = judgement.gates.iter().any(|gate| gate.verdict == Verdict::Pending);
    match status.judgements.first_mut().filter(|newest| says_the_same(newest, &judgement)) {
        Some(newest) => hear(newest, judgement),
        None if is_pending => {}
        None => {
            status.judgements.insert(0, judgement);
            status.judgements.truncate(limits::JUDGEMENTS);
        }
    }
    (verdict, message, waived_until)
}

/// Takes over what people have said meanwhile of a judgement that says the same otherwise.
fn hear(newest: &mut Judgement, later: Judgement) {
    for heard in later.gates.into_iter().filter(|gate| gate.kind == Some(GateType::Approval)) {
        if let Some(gate) = newest.gates.iter_mut().find(|gate| gate.name == heard.name) {
            gate.message = heard.message;
        }
    }
}

/// The Approvals of a judgement that count.
fn counted<'a>(observed: &'a VersionObserved, judgement: &str) -> Counted<'a> {
    let name = observed.platform.approval_policy.as_deref();
    let proof = approvals::proof(name, observed.approval_policy.as_deref(), observed.approval_binding.as_deref());
    Counted::of(&observed.version, judgement, &observed.approvals, &proof)
}

/// What the spec that the run executed says of leakage.
fn leakage(observed: &VersionObserved, model: &Model, status: &ModelVersionStatus) -> Option<GateJudgement> {
    let spec = match &observed.revision {
        Some(revision) => revision.spec().map_err(ToString::to_string),
        None => Err("the ControllerRevision with the spec that its run executed is gone".to_owned()),
    };
    let gates = status.judgements.first().map(|newest| newest.gates.as_slice()).unwrap_or_default();
    let before = gates.iter().find(|gate| gate.name == gates::leakage::LEAKAGE);
    gates::leakage::judge(&model.spec, &observed.version.spec, spec.map(AsRef::as_ref), before)
}

/// Whether two judgements say the same, in whatever words: a release that finds better ones judges nothing anew.
fn says_the_same(one: &Judgement, other: &Judgement) -> bool {
    fn verdicts(judgement: &Judgement) -> Vec<(&str, Verdict, Option<&str>)> {
        judgement.gates.iter().map(|gate| (gate.name.as_str(), gate.verdict, gate.value.as_deref())).collect()
    }
    one.gates_digest == other.gates_digest
        && one.verdict == other.verdict
        && one.labels == other.labels
        && verdicts(one) == verdicts(other)
}

/// The Model that judges; or why there is none.
fn judge_of(observed: &VersionObserved) -> Result<&Model, (&'static str, String)> {
    let version = &observed.version.spec;
    if !is_known(observed) {
        let message = format!(
            "no run of this cluster made this version (its lineage names {}), so its metrics are hearsay: train it here to have it judged",
            version.run().map_or_else(|| "none".to_owned(), |run| format!("the run \"{run}\""))
        );
        return Err((UNKNOWN_ORIGIN, message));
    }
    let model = observed.model.as_ref().ok_or_else(|| {
        let message =
            format!("there is no Model \"{}\" in this namespace: create it to have versions judged", version.model);
        ("ModelNotFound", message)
    })?;
    if !gates::judges(&model.spec) {
        let message = format!(
            "the Model \"{}\" judges by nothing: answer its errorCosts and fairness, or add gates or a budget, to have versions judged",
            version.model
        );
        return Err(("NoGates", message));
    }
    Ok(model)
}

/// True where a run of this cluster vouches for the version, or did so before it was cleaned up: the version then has
/// a status of ours, which people cannot write.
fn is_known(observed: &VersionObserved) -> bool {
    let version = &observed.version;
    let vouched = observed.run.as_ref().is_some_and(|run| {
        run.metadata.uid.is_some()
            && run.metadata.uid.as_deref() == version.spec.run_uid()
            && run.status.as_ref().is_some_and(|status| vouches(status, version))
    });
    let before = version.status.as_ref().and_then(|status| conditions::find(&status.conditions, types::READY));
    vouched || before.is_some_and(|ready| ready.reason != UNKNOWN_ORIGIN)
}

/// Whether a run's status says of a version what the version says of itself: its name, its files, its evidence, and
/// what the evidence's steps measured.
fn vouches(status: &MLPipelineRunStatus, version: &ModelVersion) -> bool {
    let spec = &version.spec;
    let made = |step: &&StepStatus, digest: &str| step.outputs.iter().any(|output| output.digest == digest);
    let judges = |evidence: &Evidence| {
        let mut steps = status.steps.iter().filter(|step| step.name == evidence.step);
        steps.find(|step| {
            step.outputs.iter().any(|output| {
                output.digest == evidence.artifact.digest && evidence.kind.is_none_or(|kind| kind == output.kind)
            })
        })
    };
    let judges: Vec<(&StepStatus, &str)> =
        spec.evidence.iter().filter_map(|evidence| Some((judges(evidence)?, evidence.output.as_str()))).collect();
    let measured = |metric: &Metric| {
        let judge = judges.iter().find(|(step, output)| step.name == metric.step && *output == metric.output);
        judge.is_some_and(|(step, output)| {
            step.metrics.iter().any(|measured| {
                measured.output == *output && measured.name == metric.name && measured.value == metric.value
            })
        })
    };
    status.versions.iter().any(|published| published.name == version.name_any())
        && status.steps.iter().any(|step| made(&step, &spec.artifact.digest))
        && judges.len() == spec.evidence.len()
        && spec.metrics.iter().all(measured)
}

/// What a judgement says, in a sentence for the product owner.
fn sentence(judgement: &Judgement) -> String {
    let decides = |gate: &&GateJudgement| judgement.verdict == Verdict::Passed || gate.verdict != Verdict::Passed;
    gates::summary(judgement.gates.iter().filter(decides))
}

#[cfg(test)]
mod duel_tests;
#[cfg(test)]
mod measure_tests;
#[cfg(test)]
mod tests;
