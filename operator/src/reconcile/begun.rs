//! Lets the runs of a pipeline begin one after the other, without waiting for each other's writes.
//!
//! Whether a run may begin depends on which other runs have begun. If two were planned at the same moment, from caches that do
//! not show the other's beginning yet, both would begin. So a plan that lets a run begin must first get a claim. The claim is
//! refused where another run got one since the plan observed the claims, and the run is planned again. Until the caches show
//! that a run with a claim has begun, the plans of the pipeline's other runs observe the claim.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Namespace and pipeline.
type Pipeline = (String, String);

#[derive(Debug, Default)]
struct Claims {
    /// The runs whose beginning the caches may not show yet.
    runs: BTreeSet<String>,
    /// Grows with each claim.
    count: u64,
}

/// The runs that this leader let begin.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    claims: Mutex<BTreeMap<Pipeline, Claims>>,
}

impl Begun {
    fn claims(&self) -> MutexGuard<'_, BTreeMap<Pipeline, Claims>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs of a pipeline that were let begin, and the number that a claim must name. To be asked for before the
    /// caches are looked at.
    pub(crate) fn observe(&self, pipeline: &Pipeline) -> (BTreeSet<String>, u64) {
        self.claims().get(pipeline).map(|claims| (claims.runs.clone(), claims.count)).unwrap_or_default()
    }

    /// Lets a run begin, unless another of its pipeline was let begin since the number was observed.
    pub(crate) fn claim(&self, pipeline: &Pipeline, run: &str, observed: u64) -> bool {
        let mut all = self.claims();
        let claims = all.entry(pipeline.clone()).or_default();
        if claims.count != observed {
            return false;
        }
        claims.count = claims.count.saturating_add(1);
        claims.runs.insert(run.to_owned());
        true
    }

    /// The caches show that the run has begun, or it did not begin. The count stays, so that no older plan claims.
    pub(crate) fn release(&self, pipeline: &Pipeline, run: &str) {
        if let Some(claims) = self.claims().get_mut(pipeline) {
            claims.runs.remove(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_plans_of_the_same_moment_one_is_made_again_and_sees_the_other() {
        let (begun, churn) = (Begun::default(), ("ns".to_owned(), "churn".to_owned()));
        let ((_, first), (_, second)) = (begun.observe(&churn), begun.observe(&churn));
        assert!(begun.claim(&churn, "a", first));
        assert!(!begun.claim(&churn, "b", second));
        let (runs, again) = begun.observe(&churn);
        assert_eq!(runs.into_iter().collect::<Vec<_>>(), ["a"]);
        // The write was answered in between: the caches that the plan looked at may still not show it.
        begun.release(&churn, "a");
        assert!(!begun.claim(&churn, "b", first));
        assert!(begun.claim(&churn, "b", again), "nobody began since this plan looked");
        assert!(begun.claim(&("other".to_owned(), "churn".to_owned()), "a", 0), "pipelines do not wait for each other");
    }
}
