//! `budget.maxSize`: how many bytes a model's files may have.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use seatrial_crds::{Artifact, Verdict};

use super::Finding;
use crate::quantity;

/// Judges the size of a model's files.
pub(super) fn judge(limit: &Quantity, artifact: &Artifact) -> Finding {
    let value = Some(artifact.size.to_string());
    let Some(bytes) = quantity::bytes(limit) else {
        let message = format!("budget.maxSize is \"{}\", which is no size: write it as in 200Mi", limit.0);
        return Finding { verdict: Verdict::Error, value, message };
    };
    let size = u64::try_from(artifact.size).unwrap_or_default();
    if size > bytes {
        let message = format!("the model has {size} bytes, more than the budget's {} ({bytes} bytes)", limit.0);
        Finding { verdict: Verdict::Failed, value, message }
    } else {
        let message = format!("the model has {size} bytes, within the budget's {}", limit.0);
        Finding { verdict: Verdict::Passed, value, message }
    }
}
