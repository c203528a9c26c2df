//! To be written.

use jiff::Timestamp;
use seatrial_crds::ModelVersionStatus;

use crate::observed::VersionObserved;
use crate::plan::Plan;

/// Decides.
pub fn plan(_observed: &VersionObserved, _now: Timestamp) -> Plan<ModelVersionStatus> {
    Plan::default()
}
