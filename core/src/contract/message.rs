use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, VERSION};

/// The size in bytes that a message stays within: three quarters of what Kubernetes allows one container, since all
/// containers of a pod, injected ones too, share 12 KiB.
pub const MAX_MESSAGE_BYTES: usize = 3072;

/// The most numbers that a step's `Metrics` outputs may contribute to its status.
pub const MAX_HEADLINE_METRICS: usize = 16;

/// What a container of the agent says when it ends: a hint, since the store is the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// [`VERSION`].
    pub version: u32,
    /// What `fetch` brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ReportedInput>,
    /// What `publish` uploaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<ReportedOutput>,
    /// Headline metrics of all `Metrics` outputs: finite numbers as decimal strings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// An input as it was brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedInput {
    /// The input's name.
    pub name: String,
    /// The digest of what was brought.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An output as it was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedOutput {
    /// The output's name.
    pub name: String,
    /// The artifact's digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The number of files.
    pub files: u64,
}

/// What went wrong, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The name of the exit code.
    pub code: String,
    /// What, where, and what to do next. No secrets.
    pub message: String,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is no JSON of the expected form.
    #[error("the termination message is malformed: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("the termination message is of version {0}, expected {VERSION}")]
    OtherVersion(u32),
}

impl Message {
    /// An empty message of this version.
    pub fn new() -> Self {
        Self { version: VERSION, inputs: vec![], outputs: vec![], metrics: BTreeMap::new(), failure: None }
    }

    /// A message that says what went wrong.
    pub fn failed(code: super::ExitCode, message: impl Into<String>) -> Self {
        let failure = Failure { code: code.name().to_owned(), message: message.into() };
        Self { failure: Some(failure), ..Self::new() }
    }

    /// Reads a termination message.
    ///
    /// # Errors
    /// Anything but JSON of this version, with at most [`MAX_HEADLINE_METRICS`] metrics.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed = |error: serde_json::Error| MessageError::Malformed(error.to_string());
        let Version { version } = serde_json::from_str(text).map_err(malformed)?;
        if version != VERSION {
            return Err(MessageError::OtherVersion(version));
        }
        let message: Self = serde_json::from_str(text).map_err(malformed)?;
        if message.metrics.len() > MAX_HEADLINE_METRICS {
            return Err(MessageError::Malformed(format!("more than {MAX_HEADLINE_METRICS} metrics")));
        }
        Ok(message)
    }

    /// The JSON that is written, within [`MAX_MESSAGE_BYTES`]: a failure's text is cut, and if that is not enough,
    /// metrics are left out, last name first.
    pub fn to_json(&self) -> String {
        let mut message = self.clone();
        loop {
            let json = serde_json::to_string(&message).unwrap_or_default();
            if json.len() <= MAX_MESSAGE_BYTES {
                return json;
            }
            match &mut message.failure {
                Some(failure) if failure.message.len() > 64 => {
                    let keep = failure.message.chars().count() * 3 / 4;
                    failure.message = failure.message.chars().take(keep).chain(['…']).collect();
                }
                _ if message.metrics.pop_last().is_some() => {}
                _ => return json,
            }
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ExitCode;
    use super::*;

    #[test]
    fn a_message_comes_back() {
        let mut message = Message::new();
        message.metrics.insert("auc".into(), "0.81".into());
        message.outputs.push(ReportedOutput { name: "model".into(), digest: Digest::of(b"x"), size: 1, files: 1 });
        assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
    }

    #[test]
    fn the_largest_message_stays_within_its_size() {
        let mut message = Message::failed(ExitCode::Internal, "ä".repeat(5000));
        for n in 0..MAX_HEADLINE_METRICS {
            message.metrics.insert(format!("{n:063}"), "0.123456789012345".into());
        }
        let json = message.to_json();
        assert!(json.len() <= MAX_MESSAGE_BYTES, "{}", json.len());
        Message::parse(&json).unwrap();
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        assert_eq!(Message::parse(r#"{"version":2,"outputs":"x"}"#), Err(MessageError::OtherVersion(2)));
        assert!(matches!(Message::parse("Killed"), Err(MessageError::Malformed(_))));
    }
}
