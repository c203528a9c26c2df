//! To be written.

use jiff::Timestamp;
use seatrial_crds::ModelDeploymentStatus;

use crate::observed::DeploymentObserved;
use crate::plan::Plan;

/// Decides.
pub fn plan(_observed: &DeploymentObserved, _now: Timestamp) -> Plan<ModelDeploymentStatus> {
    Plan::default()
}
