//! Holds a version's duel with the champion, where the Model asks for it: the version's own evaluation step evaluates the
//! champion on the version's data, and a judge counts both on the same rows.
//!
//! The champion is pinned in the status before any Job starts, and stays the same, whatever serves later. Bounds, costs and
//! prevalence are not part of a duel: another bound starts no Job.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube_core::ResourceExt;
use seatrial_crds::{
    Artifact, Champion, Duel, DuelFold, DuelMeasurement, Evidence, Fold, Measurement, Model, ModelVersionStatus, Task,
    Time, limits,
};
use serde_json::json;

use super::attempts::{Attempted, Attempts, Progress, Words};
use super::evaluation::{Evaluation, Obstacle};
use super::judge_job::ChampionTable;
use super::measure::{self, Told};
use crate::attempt::reading::Reading;
use crate::contract::{Compared, JUDGE_VERSION};
use crate::gates::DuelState;
use crate::model::champion::champion;
use crate::observed::VersionObserved;
use crate::stores::StoreProblem;
use crate::{digest, gates, names, text};

/// What is said where labels are not those that the version was measured by.
const CHANGED: &str =
    "the labels have changed since the version was measured: give new labels another name, which measures it again";

/// How a duel stands, apart from what the status has.
pub(super) enum Stand {
    /// The status has the result.
    AsRecorded,
    /// It goes on; the sentence says how it stands.
    Pending(String),
    /// It cannot be held by now; the sentence says why.
    Unavailable(String),
    /// It can never be held; the sentence says why.
    Impossible(String),
}

impl Stand {
    /// What gates are told.
    pub(super) fn state(self, duel: Option<&Duel>) -> DuelState<'_> {
        match self {
            Self::AsRecorded => DuelState::of(duel),
            Self::Pending(how) => DuelState::Pending(how),
            Self::Unavailable(why) => DuelState::Unavailable(why),
            Self::Impossible(why) => DuelState::Impossible(why),
        }
    }
}

/// Decides what is next for a version that is measured, and records it in the status.
pub(super) fn hold(
    observed: &VersionObserved,
    model: &Model,
    status: &mut ModelVersionStatus,
    now: Timestamp,
    progress: &mut Progress,
) -> Stand {
    let Some(measurement) = status.measurement.clone().filter(|_| gates::asks_for_duel(&model.spec)) else {
        return Stand::AsRecorded;
    };
    // Without decisions there is nothing to compare.
    if measurement.problem.is_some() || measurement.folds.is_empty() {
        return Stand::AsRecorded;
    }
    let mut duel = match status.duel.clone() {
        Some(duel) => duel,
        None => match pin(observed, &measurement, now) {
            Ok(duel) => duel,
            Err(newer) => return Stand::Unavailable(newer),
        },
    };
    let stand = go_on(observed, model, (&measurement, &mut duel), status, now, progress);
    status.duel = Some(duel);
    stand
}

/// Looks for the champion; or says that it is newer than the version.
fn pin(observed: &VersionObserved, measurement: &Measurement, now: Timestamp) -> Result<Duel, String> {
    let version = &observed.version;
    let own = version.name_any();
    let model = &version.spec.model;
    let found = champion(model, &observed.versions, &observed.deployments, Some(&own));
    if let Some(newer) = found.as_ref().filter(|champion| champion.version.spec.number > version.spec.number) {
        return Err(format!(
            "the champion {} is newer, and nobody asked which is better while it was not: run the pipeline again, or waive this gate for {own}",
            newer.version.name_any()
        ));
    }
    let labels = measurement.labels_digest.as_deref();
    let is_other = |other: &&std::sync::Arc<seatrial_crds::ModelVersion>| other.name_any() != own;
    let judged = observed.versions.iter().filter(is_other).filter(|other| {
        let measured = other.status.as_ref().and_then(|status| status.measurement.as_ref());
        measured.is_some_and(|measured| measured.labels_digest.as_deref() == labels)
    });
    Ok(Duel {
        pinned_at: Time(now),
        champion: found.map(|champion| Champion {
            version: champion.version.name_any(),
            artifact: champion.version.spec.artifact.clone(),
            threshold: champion.threshold,
        }),
        judged_before: labels.map(|_| i64::try_from(judged.count()).unwrap_or(i64::MAX)),
        evaluations: 0,
        predictions: None,
        measurement: None,
        problem: None,
    })
}

fn go_on(
    observed: &VersionObserved,
    model: &Model,
    (measurement, duel): (&Measurement, &mut Duel),
    status: &mut ModelVersionStatus,
    now: Timestamp,
    progress: &mut Progress,
) -> Stand {
    let Some(champion) = duel.champion.clone().filter(|_| duel.problem.is_none()) else { return Stand::AsRecorded };
    let Ok(subject) = measure::subject(observed, model) else { return Stand::AsRecorded };
    let predictions = match &duel.predictions {
        Some(predictions) => predictions.clone(),
        None => match evaluate(observed, &champion, duel, status, now, progress) {
            Ok(predictions) => predictions,
            Err(stand) => return stand,
        },
    };
    duel.predictions = Some(predictions.clone());
    let key = key(measurement, &champion, &predictions);
    if duel.measurement.as_ref().is_some_and(|measurement| measurement.key == key) {
        return Stand::AsRecorded;
    }
    let contest = Contest { subject, champion: &champion, predictions: &predictions, measurement };
    match contest.compare(observed, model, &key, status, now, progress) {
        Attempted::Pending(how) => Stand::Pending(how),
        Attempted::Failing(why) => Stand::Unavailable(why),
        Attempted::Ended(found) => {
            let (folds, problem) = match found {
                Ok(folds) => (folds, None),
                Err(problem) => (vec![], Some(problem)),
            };
            duel.measurement = Some(DuelMeasurement { key, measured_at: Time(now), problem, folds });
            Stand::AsRecorded
        }
    }
}

/// Has the champion evaluated: its predictions, or how that stands.
fn evaluate(
    observed: &VersionObserved,
    champion: &Champion,
    duel: &mut Duel,
    status: &mut ModelVersionStatus,
    now: Timestamp,
    progress: &mut Progress,
) -> Result<Artifact, Stand> {
    let evaluation = Evaluation::of(observed, champion).map_err(|obstacle| match obstacle {
        Obstacle::Gone(why) => Stand::Unavailable(why),
        Obstacle::Impossible(why) => Stand::Impossible(why),
    })?;
    let key = evaluation.key();
    let attempts = Attempts {
        observed,
        now,
        key: &key,
        // Also where something else was done between: each writes a record of its own.
        first: duel.evaluations.saturating_add(1),
        words: words(champion, "evaluated on the same data"),
        name: &|uid, number| evaluation.name(uid, number),
        build: &|_, number| evaluation.job(number),
        read: &|job| evaluation.read(job, now),
    };
    let attempted = attempts.go_on(status, progress);
    let started = status.measuring.as_ref().filter(|measuring| measuring.key == key);
    duel.evaluations = started.map_or(duel.evaluations, |started| started.attempt.max(duel.evaluations));
    match attempted {
        Attempted::Pending(how) => Err(Stand::Pending(how)),
        Attempted::Failing(why) => Err(Stand::Unavailable(why)),
        Attempted::Ended(Ok(predictions)) => Ok(predictions),
        Attempted::Ended(Err(mut why)) => {
            text::truncate(&mut why, limits::SENTENCE);
            duel.problem = Some(why);
            Err(Stand::AsRecorded)
        }
    }
}

fn words(champion: &Champion, done: &'static str) -> Words {
    Words { subject: format!("the champion {}", champion.version), be: "is", done }
}

/// Names what is compared.
fn key(measurement: &Measurement, champion: &Champion, predictions: &Artifact) -> String {
    let parts = json!({
        "judge": JUDGE_VERSION,
        "measurement": measurement.key,
        "champion": predictions.digest,
        "threshold": champion.threshold,
    });
    format!("sha256:{}", digest::of_json(&parts))
}

/// Two tables of predictions, and what is known of them.
struct Contest<'a> {
    subject: (&'a Task, &'a Evidence),
    champion: &'a Champion,
    predictions: &'a Artifact,
    measurement: &'a Measurement,
}

impl Contest<'_> {
    fn compare(
        &self,
        observed: &VersionObserved,
        model: &Model,
        key: &str,
        status: &mut ModelVersionStatus,
        now: Timestamp,
        progress: &mut Progress,
    ) -> Attempted<Result<Vec<DuelFold>, String>> {
        let attempts = Attempts {
            observed,
            now,
            key,
            first: 1,
            words: words(self.champion, "compared with"),
            name: &|uid, number| names::judge(&observed.version.name_any(), uid, key, number),
            build: &|name, number| self.job(observed, model, name, number),
            read: &|job| {
                measure::outcome(observed, job, now).and_then(|told| match told {
                    Told::Compared(compared, labels) => Reading::Ended(self.counted(key, compared, labels, now)),
                    Told::Unusable(why, _) => Reading::Ended(Err(why)),
                    Told::Measured(..) => Reading::Failed("the judge measured, and compared nothing".to_owned()),
                })
            },
        };
        attempts.go_on(status, progress)
    }

    fn job(&self, observed: &VersionObserved, model: &Model, name: &str, number: i64) -> Result<Job, StoreProblem> {
        let of_fold = |fold: &Fold| fold.points.iter().filter_map(|point| point.threshold.clone()).collect();
        let thresholds: Vec<Vec<String>> = self.measurement.folds.iter().map(of_fold).collect();
        let table = ChampionTable {
            table: measure::table(observed, self.predictions)?,
            threshold: self.champion.threshold.clone(),
            // Decisions without scores have one fold, and no thresholds.
            thresholds: if thresholds.iter().all(Vec::is_empty) { vec![] } else { thresholds },
        };
        measure::job(observed, model, self.subject, vec![], Some(table), name, number)
    }

    /// What was counted, where it was counted on the rows that the version was measured on.
    fn counted(
        &self,
        key: &str,
        compared: Compared,
        labels: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<DuelFold>, String> {
        let measured = self.measurement;
        let rows = compared.folds.iter().map(|fold| fold.rows);
        let same_rows = rows.eq(measured.folds.iter().map(|fold| fold.rows));
        let same_labels = labels.is_none_or(|labels| measured.labels_digest.as_ref().is_none_or(|own| *own == labels));
        let folds = compared.folds.into_iter().map(|fold| DuelFold { champion: fold.champion, both: fold.both });
        let counted =
            DuelMeasurement { key: key.to_owned(), measured_at: Time(now), problem: None, folds: folds.collect() };
        (same_rows && same_labels && gates::fits(measured, &counted))
            .then_some(counted.folds)
            .ok_or_else(|| CHANGED.to_owned())
    }
}
