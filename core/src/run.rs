//! To be written.

use jiff::Timestamp;
use seatrial_crds::MLPipelineRunStatus;

use crate::observed::RunObserved;
use crate::plan::Plan;

/// Decides.
pub fn plan(_observed: &RunObserved, _now: Timestamp) -> Plan<MLPipelineRunStatus> {
    Plan::default()
}
