//! To be written.

use jiff::Timestamp;
use seatrial_crds::ModelStatus;

use crate::observed::ModelObserved;
use crate::plan::Plan;

/// Decides.
pub fn plan(_observed: &ModelObserved, _now: Timestamp) -> Plan<ModelStatus> {
    Plan::default()
}
