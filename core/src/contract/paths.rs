//! Where things are inside a step's pod. One emptyDir is mounted at [`ROOT`] in every container, another at [`PRIVATE`] in
//! those of the agent.

use seatrial_crds::OutputType;

/// The mount point of the pod's shared volume.
pub const ROOT: &str = "/seatrial";
/// The program that runs the step's command; `fetch` copies it here from its own image.
pub const EXEC: &str = "/seatrial/bin/exec";
/// Where `exec` in the agent's image is, before it is copied.
pub const EXEC_IN_IMAGE: &str = "/seatrial-exec";
/// The folder of the files by which the containers of a pod see each other; made by `fetch`, mode 01777: `exec` writes
/// there as whatever user the image says, and must not be able to replace what is not its own.
pub const STATE: &str = "/seatrial/state";
/// Locked (`flock`, exclusive) by `exec` for as long as it lives; made by `fetch`, mode 0666.
pub const LOCK: &str = "/seatrial/state/lock";
/// Made by `exec` after it holds the lock, and before the command starts.
pub const STARTED: &str = "/seatrial/state/started";
/// How the command ended, as JSON ([`super::Exit`]); written by `exec` by rename while it still holds the lock.
pub const EXIT: &str = "/seatrial/state/exit";
/// Made by `fetch` where all data are those that were checked already: nobody checks them again.
pub const UNCHANGED: &str = "/seatrial/state/unchanged";
/// The folder of what the command printed, in the segments of [`super::log`]; made by `exec`.
pub const LOGS: &str = "/seatrial/state/logs";
/// The folder of inputs; `$INPUT_<NAME>` is a folder or file beneath it.
pub const INPUTS: &str = "/seatrial/inputs";
/// The folder of outputs; `$OUTPUT_<NAME>` is a folder or file beneath it. Made by `fetch`, mode 01777; `exec` makes the
/// folders in it as the command's own user, who may then fill, replace and change them as any other of its folders.
pub const OUTPUTS: &str = "/seatrial/outputs";
/// Where a model server finds its model, read-only.
pub const MODEL: &str = "/seatrial/model";
/// The mount point of the pod's private volume, in the agent's containers only: the user's code never sees it.
pub const PRIVATE: &str = "/seatrial-private";
/// The pod's config ([`super::PodConfig`]); `fetch` leaves it there for `publish`.
pub const CONFIG: &str = "/seatrial-private/config.json";
/// What `fetch` brought, as a list of [`super::ReportedInput`] in JSON.
pub const FETCHED: &str = "/seatrial-private/fetched.json";
/// Exists while `publish` cannot use the store, and says why; its readiness probe looks for it.
pub const STORE_UNAVAILABLE: &str = "/seatrial-private/store-away";
/// The mount point of the volume for reports about checked data: the program that checks writes there, the agent reads, and
/// nobody else sees it.
pub const CHECKS: &str = "/seatrial-checks";
/// The folder of the reports, each as `<input>.json`.
pub const CHECK_REPORTS: &str = "/seatrial-checks/reports";
/// Where the program that checks puts what does not fit into memory.
pub const CHECK_SCRATCH: &str = "/seatrial-checks/scratch";
/// The folder of what gets the agent into stores, in its containers only: tokens and keys, a folder for each.
pub const CREDENTIALS: &str = "/var/run/secrets/seatrial";
/// The folder of the folders of projected service-account tokens, one for each store, in the agent's containers only.
pub const TOKENS: &str = "/var/run/secrets/seatrial/tokens";
/// The name of a token's file in its folder.
pub const TOKEN: &str = "token";
/// The file with the authorities that signed the certificate of the cluster's default store, in the agent's containers
/// only. The kubelet replaces it when the namespace's trust bundle changes.
pub const STORE_AUTHORITY: &str = "/var/run/secrets/seatrial/trust/ca.crt";
/// The file beside it with the authorities that the platform team lets agents trust besides the public ones.
pub const SITE_AUTHORITIES: &str = "/var/run/secrets/seatrial/trust/site.crt";
/// The folder of the folders of stores' keys, in the agent's containers only.
pub const KEYS: &str = "/var/run/secrets/seatrial/keys";
/// The environment variable of `publish` with the pod's UID.
pub const POD_UID_VARIABLE: &str = "SEATRIAL_POD_UID";
/// The environment variable that the Job controller sets in every container of an Indexed Job.
pub const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// The name of the one file of an output whose type is a file; `None` for types that are folders.
pub fn file_name(kind: OutputType) -> Option<&'static str> {
    match kind {
        OutputType::Metrics => Some("metrics.json"),
        OutputType::Predictions => Some("predictions"),
        OutputType::Dataset | OutputType::Model | OutputType::Report | OutputType::Any => None,
    }
}

/// What `$OUTPUT_<NAME>` holds: the output's folder, or the file in it that the type asks for.
pub fn output(name: &str, kind: OutputType) -> String {
    within(OUTPUTS, name, Some(kind))
}

/// What `$INPUT_<NAME>` holds. Inputs by URI have no type, and are folders.
pub fn input(name: &str, kind: Option<OutputType>) -> String {
    within(INPUTS, name, kind)
}

fn within(folder: &str, name: &str, kind: Option<OutputType>) -> String {
    match kind.and_then(file_name) {
        Some(file) => format!("{folder}/{name}/{file}"),
        None => format!("{folder}/{name}"),
    }
}
