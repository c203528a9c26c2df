//! What is wrong with a contract's own schedule, for `lint` and for its status.

use seatrial_crds::DataContractSpec;

use crate::cron::Schedule;
use crate::data_contract::{Contract, read};
use crate::validation::{Problem, duration, problem};

/// What is wrong with a contract's own schedule, beside what the schema sees. Pipelines may read by the contract all the same.
pub fn schedule_problems(spec: &DataContractSpec) -> Vec<Problem> {
    problems_of(spec, read(spec).ok().as_ref())
}

/// The same, of a contract that is understood as this, if it is.
pub(super) fn problems_of(spec: &DataContractSpec, document: Option<&Contract>) -> Vec<Problem> {
    let Some(check) = &spec.check else { return vec![] };
    let mut problems = vec![];
    if let Some(schedule) = &check.schedule {
        if let Err(error) = Schedule::parse(&schedule.cron, schedule.time_zone.as_deref()) {
            let field = if error.is_of_time_zone() { "timeZone" } else { "cron" };
            problems.push(problem(format!("spec.check.schedule.{field}"), error.to_string()));
        }
        if let Some(deadline) = &schedule.starting_deadline
            && duration(deadline).is_none_or(|deadline| deadline.is_zero())
        {
            let message = format!("\"{deadline}\" is no length of time: write 30m or 2h");
            problems.push(problem("spec.check.schedule.startingDeadline", message));
        }
    }
    let Some(document) = document else { return problems };
    for data in &check.data {
        if let Err(message) = document.schema(Some(&data.schema)) {
            problems.push(problem(format!("spec.check.data[{}].schema", data.schema), message));
        }
    }
    problems
}
