//! The names of the objects that the operator makes. Each is a function of what it is made for, so that making it
//! twice is noticed.

use crate::digest;

/// The longest name of a Job. Its pods add six characters, an Indexed Job's up to twelve, and a pod's name is a
/// hostname of at most 63.
const JOB_NAME: usize = 50;

/// The run of a pipeline's change, and the revision with its spec.
pub fn revision(pipeline: &str, number: i64) -> String {
    format!("{pipeline}-c{number}")
}

/// The contracts that a run pinned when it began. No pipeline's revision ends like this.
pub fn contracts(run: &str) -> String {
    format!("{run}-contracts")
}

/// A document that a DataContract had, by the contract's revision.
pub fn contract_revision(contract: &str, digest: &str) -> String {
    let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("{contract}-{}", hash.get(..10).unwrap_or(hash))
}

/// The counter of a model's versions.
pub fn counter(model: &str) -> String {
    format!("{model}-versions")
}

/// The state of what a Model judges by that has this digest.
pub fn gates(model: &str, digest: &str) -> String {
    let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("{model}-gates-{}", hash.get(..10).unwrap_or(hash))
}

/// A version.
pub fn version(model: &str, number: i64) -> String {
    format!("{model}-v{number}")
}

/// The number of a version's name; `None` where it is no version of the model.
pub fn version_number(model: &str, name: &str) -> Option<i64> {
    name.strip_prefix(model)?.strip_prefix("-v")?.parse().ok().filter(|number| *number > 0)
}

/// The Job of a step's attempt. The hash makes it unique for the run, step and attempt, whatever was cut.
pub fn job(run: &str, run_uid: &str, step: &str, attempt: u32) -> String {
    of_attempt(run, step, &digest::short(&[run_uid, step, &attempt.to_string()]))
}

/// The Job that asks the store for the record of a lost attempt.
pub fn recovery(run: &str, run_uid: &str, step: &str, attempt: u32, number: u32) -> String {
    of_attempt(run, step, &digest::short(&[run_uid, step, &attempt.to_string(), "recover", &number.to_string()]))
}

/// The Job that measures a version's predictions. The hash makes it unique for the version, what is measured, and the
/// attempt, whatever was cut.
pub fn judge(version: &str, version_uid: &str, key: &str, attempt: i64) -> String {
    of_attempt(version, "judge", &digest::short(&[version_uid, key, &attempt.to_string()]))
}

/// The Job that lets a version's evaluation step evaluate the champion. Admission knows its pods by this name: nobody enters them.
pub fn duel(version: &str, version_uid: &str, step: &str, attempt: u32) -> String {
    of_attempt(version, "duel", &digest::short(&[version_uid, "duel", step, &attempt.to_string()]))
}

/// The Job that checks a contract's data on its own schedule. The hash makes it unique for the contract, what is checked, when
/// it was due, and the attempt, whatever was cut.
pub fn check(contract: &str, uid: &str, key: &str, scheduled_at: jiff::Timestamp, attempt: i64) -> String {
    let parts = [uid, key, &scheduled_at.to_string(), &attempt.to_string()];
    of_attempt(contract, "contract-check", &digest::short(&parts))
}

/// `<run>-<step>-<hash>`, with run and step cut to what a Job's name may have.
fn of_attempt(run: &str, step: &str, hash: &str) -> String {
    let room = JOB_NAME - hash.len() - 2;
    let step = cut(step, room / 2);
    let run = cut(run, room - step.len());
    format!("{run}-{step}-{hash}")
}

/// The Deployment that serves one version's files for a ModelDeployment. The hash makes it unique for both, whatever was cut.
pub fn server(deployment: &str, artifact: &str) -> String {
    format!("{}-{}", cut(deployment, 46), digest::short(&[deployment, artifact]))
}

/// The environment variable of a parameter, input or output: `learning-rate` becomes `PARAM_LEARNING_RATE`.
pub fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.replace('-', "_").to_ascii_uppercase())
}

/// A length of time in seconds for people: `45s`, `3m12s`, `2h5m`.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

/// The first `length` characters of an ASCII name, without `-` at the end.
fn cut(name: &str, length: usize) -> &str {
    name.get(..length).unwrap_or(name).trim_end_matches(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_names_stay_within_their_length_and_differ_by_attempt() {
        let run = "r".repeat(63);
        let step = format!("s{}", "-x".repeat(19));
        let name = job(&run, "uid", &step, 1);
        assert!(name.len() <= JOB_NAME, "{name}");
        assert_ne!(name, job(&run, "uid", &step, 2));
        assert_eq!(
            job("churn-c1", "uid", "train", 1),
            format!("churn-c1-train-{}", digest::short(&["uid", "train", "1"]))
        );
    }

    #[test]
    fn versions_are_read_back() {
        assert_eq!(version_number("churn", &version("churn", 7)), Some(7));
        for name in ["churn-v0", "churn-v-1", "churn-v", "churn-vx", "chur-v1", "churn"] {
            assert_eq!(version_number("churn", name), None, "{name}");
        }
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(
            [-1, 0, 59, 60, 3599, 3600, 90_061].map(duration),
            ["0s", "0s", "59s", "1m0s", "59m59s", "1h0m", "25h1m"]
        );
    }

    #[test]
    fn variables_are_upper_case() {
        assert_eq!(variable("PARAM", "learning-rate"), "PARAM_LEARNING_RATE");
    }

    #[test]
    fn server_names_leave_room_for_their_pods() {
        assert!(server(&"d".repeat(50), "digest").len() <= 58);
    }

    #[test]
    fn servers_of_two_deployments_that_begin_alike_differ() {
        let long = "recommendation-engine-for-mobile-customers";
        assert_ne!(server(&format!("{long}-eu"), "a"), server(&format!("{long}-us"), "a"));
    }
}
