//! The record of an attempt, which only success writes, and of each of its tries, as they lie in the store.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Exit, ExitCode, Message, ReportedInput, ReportedMetric, ReportedOutput};

/// The version of records and tries. It grows when an older reader would misunderstand a newer writer.
pub const RECORD_VERSION: u32 = 1;

/// The largest record or try that is read, in bytes. Its metrics come from files of at most 1 MiB each.
pub const MAX_RECORD_BYTES: u64 = 16 << 20;

/// Which attempt something belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttemptKey {
    /// The UID of the run.
    pub run_uid: String,
    /// The step's name.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The completion index of the pod in an Indexed Job; 0 in another.
    pub index: u32,
}

/// As it stands in keys of a store.
impl fmt::Display for AttemptKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_uid, step, attempt, index } = self;
        write!(formatter, "{run_uid}/{step}/{attempt}/{index}")
    }
}

/// All that an attempt of a step came to. Only success writes it, once for each attempt and index, by create-if-absent;
/// pods that come second adopt what the first wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The attempt.
    pub key: AttemptKey,
    /// The UID of the pod that wrote it.
    pub pod_uid: String,
    /// The image of the step, as the pod's spec names it.
    pub image: String,
    /// What was read.
    pub inputs: Vec<ReportedInput>,
    /// What was made.
    pub outputs: Vec<ReportedOutput>,
    /// All numbers of `Metrics` outputs, in the order of outputs; after them what is no number in these.
    pub metrics: Vec<ReportedMetric>,
    /// How the command ended.
    pub exit: Exit,
    /// When the record was written.
    pub written_at: Timestamp,
    /// The key of the log beneath the store's prefix, where one was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What was left out, and why, in sentences: values that are no numbers, a log that could not be uploaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How one pod of an attempt ended, whatever it came to. Every pod leaves one, as well as it can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Try {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The attempt.
    pub key: AttemptKey,
    /// The pod's UID.
    pub pod_uid: String,
    /// The image of the step, as the pod's spec names it.
    pub image: String,
    /// How the command ended; absent where it was killed before that could be recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The name of the code that `publish` ended with.
    pub reason: String,
    /// What went wrong, for people; empty where nothing did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// The key of the log beneath the store's prefix, where one was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What lies at the key of a record and is not the record that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON of the expected form.
    #[error("it is no record: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("it is a record of version {0}, expected {RECORD_VERSION}")]
    OtherVersion(u32),
    /// It belongs to another attempt.
    #[error("it is the record of another attempt ({0})")]
    OtherAttempt(String),
    /// It has other outputs.
    #[error("its outputs are \"{found}\", the step's are \"{expected}\"")]
    OtherOutputs {
        /// The names that it has.
        found: String,
        /// The names that it should have.
        expected: String,
    },
    /// It records a command that failed.
    #[error("it records a command that did not end well")]
    NoSuccess,
}

impl Record {
    /// Reads what lies at a record's key, and insists that it answers to the attempt and to the outputs that were asked
    /// for. Whoever may write to the store could have put anything there.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse<'a>(
        bytes: &[u8],
        key: &AttemptKey,
        outputs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed = |error: serde_json::Error| RecordError::Malformed(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != RECORD_VERSION {
            return Err(RecordError::OtherVersion(version));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if record.key != *key {
            return Err(RecordError::OtherAttempt(record.key.to_string().chars().take(200).collect()));
        }
        let mut expected: Vec<&str> = outputs.into_iter().collect();
        let mut found: Vec<&str> = record.outputs.iter().map(|output| output.name.as_str()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        if found != expected {
            let found = found.join(", ").chars().take(200).collect();
            return Err(RecordError::OtherOutputs { found, expected: expected.join(", ") });
        }
        if record.metrics.iter().any(|metric| !found.contains(&metric.output.as_str())) {
            return Err(RecordError::Malformed("a metric belongs to none of its outputs".into()));
        }
        if !record.exit.is_success() {
            return Err(RecordError::NoSuccess);
        }
        Ok(record)
    }

    /// The record as a termination message.
    pub fn message(&self) -> Message {
        Message {
            complete: true,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            metrics: self.metrics.clone(),
            oom_kills: self.exit.oom_kills,
            failure: None,
        }
    }
}

impl Try {
    /// Of a pod that ended with this code and these words.
    pub fn ended(mut self, code: ExitCode, message: &str) -> Self {
        self.reason = code.name().to_owned();
        message.clone_into(&mut self.message);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Digest, ExitReason};
    use super::*;

    fn key() -> AttemptKey {
        AttemptKey { run_uid: "run".into(), step: "train".into(), attempt: 1, index: 0 }
    }

    fn record() -> Record {
        Record {
            version: RECORD_VERSION,
            key: key(),
            pod_uid: "pod".into(),
            image: "churn:1".into(),
            inputs: vec![],
            outputs: vec![ReportedOutput { name: "model".into(), digest: Digest::of(b"x"), size: 1, files: 1 }],
            metrics: vec![ReportedMetric { output: "model".into(), name: "auc".into(), value: "0.8".into() }],
            exit: Exit {
                code: 0,
                signal: None,
                reason: ExitReason::Exited,
                oom_kills: 0,
                dropped_log_bytes: 0,
                started_at: Timestamp::UNIX_EPOCH,
                finished_at: Timestamp::UNIX_EPOCH,
            },
            written_at: Timestamp::UNIX_EPOCH,
            log: None,
            notes: vec![],
        }
    }

    #[test]
    fn a_record_comes_back() {
        let json = serde_json::to_vec(&record()).unwrap();
        assert_eq!(Record::parse(&json, &key(), ["model"]).unwrap(), record());
    }

    #[test]
    fn what_does_not_answer_to_the_attempt_is_not_adopted() {
        type Spoil = fn(&mut Record);
        let cases: [(Spoil, &str); 7] = [
            (|record| record.version = 9, "version 9"),
            (|record| record.key.run_uid = "other".into(), "another attempt"),
            (|record| record.key.attempt = 2, "another attempt"),
            (|record| record.key.index = 1, "another attempt"),
            (|record| record.outputs.clear(), "outputs"),
            (|record| record.metrics[0].output = "other".into(), "none of its outputs"),
            (|record| record.exit.code = 1, "did not end well"),
        ];
        for (spoil, expected) in cases {
            let mut record = record();
            spoil(&mut record);
            let error = Record::parse(&serde_json::to_vec(&record).unwrap(), &key(), ["model"]).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(matches!(Record::parse(b"Killed", &key(), []), Err(RecordError::Malformed(_))));
    }
}
