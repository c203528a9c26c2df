//! To be written.

use jiff::Timestamp;
use seatrial_crds::MLPipelineStatus;

use crate::observed::PipelineObserved;
use crate::plan::Plan;

/// Decides.
pub fn plan(_observed: &PipelineObserved, _now: Timestamp) -> Plan<MLPipelineStatus> {
    Plan::default()
}
