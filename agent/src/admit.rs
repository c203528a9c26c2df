//! `admit`: decides by the reports about a step's inputs whether its command starts.
//!
//! The program that wrote the reports has read untrusted data. So a report counts only if it is about the input, the contract
//! and the revision that the operator named; without such a report the command does not start. Each whole report is uploaded as
//! an artifact. If the upload fails, the verdict is the same.

use std::fs;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use seatrial_core::contract::check::{
    CHECK_VERSION, CheckMessage, CheckReport, CheckSummary, CheckVerdict, MAX_CHECK_REPORT_BYTES,
};
use seatrial_core::contract::{AdmitConfig, AdmittedInput, Digest, Entry, ExitCode, Listing, PodConfig, layout};

use crate::error::AgentError;
use crate::publish::target::Target;
use crate::remote::outage::Outages;
use crate::remote::store::Remote;

/// The name of the one file of a report's artifact.
const REPORT_FILE: &str = "report.json";

/// Decides about the step's inputs. Returns the container's exit code and its termination message. `pod` is the pod's own
/// config, which names the stores.
pub(crate) async fn admit(config: &AdmitConfig, pod: &PodConfig) -> (ExitCode, CheckMessage) {
    let outages = Outages::new(config.outage_seconds, None);
    let store = store(pod);
    let target = store.as_ref().map(|store| Target::new(store, &outages));
    let mut checks = vec![];
    for input in &config.inputs {
        checks.push(match read(Path::new(&config.reports), input) {
            Ok((report, json)) => {
                let mut summary = report.summary();
                if let Some(target) = &target {
                    match upload(target, &report.input, json).await {
                        Ok(digest) => summary.report = Some(digest),
                        Err(error) => {
                            tracing::warn!(input = report.input, error = error.message, "the report could not be uploaded");
                        }
                    }
                }
                tracing::info!(input = report.input, verdict = ?report.verdict, sentence = report.sentence, "the input was checked");
                summary
            }
            Err(why) => {
                tracing::error!(input = input.input, why, "there is no report that counts");
                unreadable(input, &why)
            }
        });
    }
    (code(&checks), CheckMessage { checks, failure: None })
}

/// The container's exit code. An input that is known to break its contract counts before one of which nothing is known.
fn code(checks: &[CheckSummary]) -> ExitCode {
    let any = |verdict| checks.iter().any(|check| check.verdict == verdict);
    if any(CheckVerdict::Failed) {
        ExitCode::ContractBroken
    } else if any(CheckVerdict::Error) {
        ExitCode::CheckFailed
    } else if any(CheckVerdict::Inconclusive) {
        ExitCode::ContractUnproven
    } else {
        ExitCode::Success
    }
}

/// The report about an input, and its bytes.
fn read(folder: &Path, input: &AdmittedInput) -> Result<(CheckReport, Vec<u8>), String> {
    let file = folder.join(format!("{}.json", input.input));
    let missing = |error: std::io::Error| format!("there is no report: {}", error.kind());
    // A link may lead out of the volume, and a pipe may never end.
    if !fs::symlink_metadata(&file).map_err(missing)?.is_file() {
        return Err("there is no report, but something that is no file".to_owned());
    }
    let mut json = vec![];
    let limit = MAX_CHECK_REPORT_BYTES as u64 + 1;
    fs::File::open(&file).and_then(|file| file.take(limit).read_to_end(&mut json)).map_err(missing)?;
    if json.len() > MAX_CHECK_REPORT_BYTES {
        return Err(format!("the report is larger than {MAX_CHECK_REPORT_BYTES} bytes"));
    }
    let report: CheckReport = serde_json::from_slice(&json).map_err(|_| "the report is malformed".to_owned())?;
    if report.version != CHECK_VERSION {
        return Err(format!(
            "the report is of version {}, this agent knows {CHECK_VERSION}: let all of Seatrial's images be of one release",
            report.version
        ));
    }
    let is_about =
        report.input == input.input && report.contract == input.contract && report.revision == input.revision;
    if !is_about {
        return Err("the report is about something else".to_owned());
    }
    if report.verdict == CheckVerdict::Passed && CheckReport::verdict_of(&report.rules) != CheckVerdict::Passed {
        return Err("the report says that all is well, and its rules say otherwise".to_owned());
    }
    Ok((report, json))
}

/// The message about an input without a report that counts.
fn unreadable(input: &AdmittedInput, why: &str) -> CheckSummary {
    CheckSummary {
        input: input.input.clone(),
        verdict: CheckVerdict::Error,
        sentence: format!("the data could not be checked: {why}; look at the log of seatrial-check"),
        rows: 0,
        rules: 0,
        errors: 0,
        warnings: 0,
        not_checked: 0,
        broken: vec![],
        report: None,
    }
}

/// The store that takes the step's artifacts; `None` where there is none, or it cannot be opened.
fn store(pod: &PodConfig) -> Option<Remote> {
    let prefix = pod.step.as_ref()?.store.as_ref()?;
    let store = Remote::open(pod.stores.iter().find(|store| &store.prefix == prefix)?);
    store.map_err(|error| tracing::warn!(error = error.message, "reports cannot be uploaded")).ok()
}

/// Uploads a report as an artifact of one file, and returns its digest.
async fn upload(target: &Target<'_>, input: &str, json: Vec<u8>) -> Result<Digest, AgentError> {
    let digest = Digest::of(&json);
    let entry = Entry { path: REPORT_FILE.to_owned(), size: json.len() as u64, sha256: digest.hex().to_owned() };
    let listing = Listing::new(vec![entry]).map_err(|error| AgentError::internal(error.to_string()))?;
    let artifact = listing.digest();
    let what = format!("the report about {input}");
    for (key, digest, content) in [
        (layout::object(&digest), &digest, Bytes::from(json)),
        (layout::artifact(&artifact), &artifact, Bytes::from(listing.canonical_json())),
    ] {
        let key = target.store.key(&key)?;
        target.outages.wait_out(&what, async || target.put(&key, digest, content.clone()).await).await?;
    }
    Ok(artifact)
}
