use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;

/// The version of messages. It grows when an older reader would misunderstand a newer writer.
pub const MESSAGE_VERSION: u32 = 2;

/// The size in bytes that a message stays within: half of what Kubernetes allows one container, since it divides 12 KiB
/// among all containers of a pod, those that meshes inject included, and cuts what is longer.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// The most numbers that a step's `Metrics` outputs may contribute to its status.
pub const MAX_HEADLINE_METRICS: usize = 16;

/// What a container of the agent says when it ends: a hint, since the store is the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What `fetch` brought.
    pub inputs: Vec<ReportedInput>,
    /// What `publish` uploaded.
    pub outputs: Vec<ReportedOutput>,
    /// Headline metrics of all `Metrics` outputs: finite numbers as decimal strings.
    pub metrics: BTreeMap<String, String>,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// An input as it was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedInput {
    /// The input's name.
    pub name: String,
    /// The digest of what was brought.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An output as it was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    #[error("the termination message is of version {0}, expected {MESSAGE_VERSION}")]
    OtherVersion(u32),
}

/// A message as it is written: members by position, digests in Base64. A name, a digest and the longest size of sixteen
/// inputs are within the bounds; so is what `publish` says, since it refuses metrics that leave no room.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    i: Vec<(String, String, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    o: Vec<(String, String, u64, u64)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    m: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<(String, String)>,
}

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self { inputs: vec![], outputs: vec![], metrics: BTreeMap::new(), failure: None }
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
            #[serde(alias = "version")]
            v: u32,
        }
        let malformed = |error: serde_json::Error| MessageError::Malformed(error.to_string());
        let Version { v } = serde_json::from_str(text).map_err(malformed)?;
        if v != MESSAGE_VERSION {
            return Err(MessageError::OtherVersion(v));
        }
        let wire: Wire = serde_json::from_str(text).map_err(malformed)?;
        if wire.m.len() > MAX_HEADLINE_METRICS {
            return Err(MessageError::Malformed(format!("more than {MAX_HEADLINE_METRICS} metrics")));
        }
        let digest = |text: &str| {
            Digest::from_short(text).ok_or_else(|| MessageError::Malformed(format!("\"{text}\" is no digest")))
        };
        let input =
            |(name, short, size): (String, String, u64)| Ok(ReportedInput { name, digest: digest(&short)?, size });
        let output = |(name, short, size, files): (String, String, u64, u64)| {
            Ok(ReportedOutput { name, digest: digest(&short)?, size, files })
        };
        Ok(Self {
            inputs: wire.i.into_iter().map(input).collect::<Result<_, _>>()?,
            outputs: wire.o.into_iter().map(output).collect::<Result<_, _>>()?,
            metrics: wire.m,
            failure: wire.f.map(|(code, message)| Failure { code, message }),
        })
    }

    /// The JSON that is written. A failure's text is cut, so that the whole stays within [`MAX_MESSAGE_BYTES`]; nothing
    /// else is left out: whoever reports outputs sees to it that they and their metrics fit.
    pub fn to_json(&self) -> String {
        let mut message = self.clone();
        loop {
            let json = message.json();
            match &mut message.failure {
                Some(failure) if json.len() > MAX_MESSAGE_BYTES && failure.message.len() > 64 => {
                    let keep = failure.message.chars().count() * 3 / 4;
                    failure.message = failure.message.chars().take(keep).chain(['…']).collect();
                }
                _ => return json,
            }
        }
    }

    fn json(&self) -> String {
        let input = |input: &ReportedInput| (input.name.clone(), input.digest.short(), input.size);
        let output = |output: &ReportedOutput| (output.name.clone(), output.digest.short(), output.size, output.files);
        let wire = Wire {
            v: MESSAGE_VERSION,
            i: self.inputs.iter().map(input).collect(),
            o: self.outputs.iter().map(output).collect(),
            m: self.metrics.clone(),
            f: self.failure.as_ref().map(|failure| (failure.code.clone(), failure.message.clone())),
        };
        serde_json::to_string(&wire).unwrap_or_default()
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
    use seatrial_crds::limits;

    use super::*;

    #[test]
    fn a_message_comes_back() {
        let mut message = Message::new();
        message.metrics.insert("auc".into(), "0.81".into());
        message.outputs.push(ReportedOutput { name: "model".into(), digest: Digest::of(b"x"), size: 1, files: 1 });
        assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
    }

    /// As long as names may be.
    fn name(number: usize) -> String {
        format!("{number:0>width$}", width = limits::NAME)
    }

    fn metrics(name: usize, value: usize) -> BTreeMap<String, String> {
        (0..MAX_HEADLINE_METRICS).map(|number| (format!("{number:0name$}"), "1".repeat(value))).collect()
    }

    #[test]
    fn the_largest_message_of_inputs_stays_within_its_size() {
        let mut message = Message::new();
        for number in 0..limits::INPUTS {
            message.inputs.push(ReportedInput { name: name(number), digest: Digest::of(b"x"), size: u64::MAX });
        }
        let json = message.to_json();
        assert!(json.len() <= MAX_MESSAGE_BYTES, "{}", json.len());
        assert_eq!(Message::parse(&json).unwrap(), message);
    }

    /// Of outputs and metrics not all maxima fit at once; the agent tests that it refuses what does not.
    #[test]
    fn large_messages_of_outputs_and_metrics_stay_within_their_size() {
        let metrics_of = [(8, metrics(40, 18)), (1, metrics(limits::METRIC_NAME, 40)), (8, BTreeMap::new())];
        for (outputs, metrics) in metrics_of {
            let mut message = Message::new();
            for number in 0..outputs {
                let (digest, files) = (Digest::of(b"x"), super::super::MAX_FILES as u64);
                message.outputs.push(ReportedOutput { name: name(number), digest, size: u64::MAX, files });
            }
            message.metrics = metrics;
            let json = message.to_json();
            assert!(json.len() <= MAX_MESSAGE_BYTES, "{outputs}: {}", json.len());
            assert_eq!(Message::parse(&json).unwrap(), message);
        }
    }

    #[test]
    fn the_text_of_a_failure_is_cut_and_metrics_never_are() {
        for text in ["ä", "\"", "\u{1}"] {
            let mut message = Message::failed(ExitCode::Internal, text.repeat(5000));
            let json = message.to_json();
            assert!(json.len() <= MAX_MESSAGE_BYTES, "{}", json.len());
            Message::parse(&json).unwrap();
            message.failure = None;
            message.metrics = metrics(limits::METRIC_NAME, 400);
            assert_eq!(Message::parse(&message.to_json()).unwrap().metrics, message.metrics);
        }
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        assert_eq!(Message::parse(r#"{"version":1,"outputs":"x"}"#), Err(MessageError::OtherVersion(1)));
        assert_eq!(Message::parse(r#"{"v":3,"o":7}"#), Err(MessageError::OtherVersion(3)));
        assert!(matches!(Message::parse("Killed"), Err(MessageError::Malformed(_))));
    }
}
