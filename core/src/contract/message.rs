//! The termination message of the agent's containers. It has at most 2 KiB, and repeats as much of the record in the store
//! as fits.

use serde::{Deserialize, Serialize};

use super::Digest;

/// The version of messages. It grows when an older reader would misunderstand a newer writer.
pub const MESSAGE_VERSION: u32 = 3;

/// The size in bytes that a message stays within: half of what Kubernetes allows one container, since it divides 12 KiB
/// among all containers of a pod, those that meshes inject included, and cuts what is longer.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// The size in bytes that the message of a `Recover` Job stays within: its pod has one container of ours alone, so that
/// nearly all that Kubernetes allows is there for it.
pub const MAX_RECOVERED_BYTES: usize = 4000;

/// What a container of the agent says when it ends: a hint, since the store has the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Whether all is in it that the record has. What has no room is left out: metrics, the last ones first.
    pub complete: bool,
    /// What `fetch` brought.
    pub inputs: Vec<ReportedInput>,
    /// What `publish` uploaded.
    pub outputs: Vec<ReportedOutput>,
    /// The numbers of `Metrics` outputs, in the order of outputs; after them what is no number in these.
    pub metrics: Vec<ReportedMetric>,
    /// Processes of the step that were killed for memory though its command went on and ended well.
    pub oom_kills: u64,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// A number of a `Metrics` output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedMetric {
    /// The output's name.
    pub output: String,
    /// The metric's name.
    pub name: String,
    /// Its value as a decimal, or what the step wrote instead: `NaN`, `a text`.
    pub value: String,
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

/// A message as it is written: members by position, digests in Base64, metrics by output. A name, a digest and the
/// longest size of sixteen inputs are within the bounds, and so are eight outputs.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    c: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    i: Vec<(String, String, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    o: Vec<(String, String, u64, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    m: Vec<(String, Vec<(String, String)>)>,
    #[serde(default, skip_serializing_if = "is_zero")]
    k: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<(String, String)>,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self { complete: true, inputs: vec![], outputs: vec![], metrics: vec![], oom_kills: 0, failure: None }
    }

    /// A message that says what went wrong.
    pub fn failed(code: super::ExitCode, message: impl Into<String>) -> Self {
        let failure = Failure { code: code.name().to_owned(), message: message.into() };
        Self { failure: Some(failure), ..Self::new() }
    }

    /// Reads a termination message.
    ///
    /// # Errors
    /// Anything but JSON of this version.
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
        let digest = |text: &str| {
            Digest::from_short(text).ok_or_else(|| MessageError::Malformed(format!("\"{text}\" is no digest")))
        };
        let input =
            |(name, short, size): (String, String, u64)| Ok(ReportedInput { name, digest: digest(&short)?, size });
        let output = |(name, short, size, files): (String, String, u64, u64)| {
            Ok(ReportedOutput { name, digest: digest(&short)?, size, files })
        };
        let metrics = |(output, metrics): (String, Vec<(String, String)>)| {
            metrics.into_iter().map(move |(name, value)| ReportedMetric { output: output.clone(), name, value })
        };
        Ok(Self {
            complete: wire.c,
            inputs: wire.i.into_iter().map(input).collect::<Result<_, _>>()?,
            outputs: wire.o.into_iter().map(output).collect::<Result<_, _>>()?,
            metrics: wire.m.into_iter().flat_map(metrics).collect(),
            oom_kills: wire.k,
            failure: wire.f.map(|(code, message)| Failure { code, message }),
        })
    }

    /// The JSON that is written, of at most [`MAX_MESSAGE_BYTES`].
    pub fn to_json(&self) -> String {
        self.to_json_within(MAX_MESSAGE_BYTES)
    }

    /// The JSON that is written, of at most so many bytes. First a failure's text is cut; then metrics are left out, the
    /// last ones first, and after them what else has no room, and the message says that it is not complete.
    pub fn to_json_within(&self, bytes: usize) -> String {
        let mut message = self.clone();
        loop {
            let json = message.json();
            if json.len() <= bytes {
                return json;
            }
            match &mut message.failure {
                Some(failure) if failure.message.len() > 64 => {
                    let keep = failure.message.chars().count() * 3 / 4;
                    failure.message = failure.message.chars().take(keep).chain(['…']).collect();
                    continue;
                }
                _ => message.complete = false,
            }
            let left_out =
                message.metrics.pop().is_some() || message.inputs.pop().is_some() || message.outputs.pop().is_some();
            if !left_out {
                return message.json();
            }
        }
    }

    fn json(&self) -> String {
        let input = |input: &ReportedInput| (input.name.clone(), input.digest.short(), input.size);
        let output = |output: &ReportedOutput| (output.name.clone(), output.digest.short(), output.size, output.files);
        let mut metrics: Vec<(String, Vec<(String, String)>)> = vec![];
        for metric in &self.metrics {
            let pair = (metric.name.clone(), metric.value.clone());
            match metrics.last_mut() {
                Some((output, pairs)) if *output == metric.output => pairs.push(pair),
                _ => metrics.push((metric.output.clone(), vec![pair])),
            }
        }
        let wire = Wire {
            v: MESSAGE_VERSION,
            c: self.complete,
            i: self.inputs.iter().map(input).collect(),
            o: self.outputs.iter().map(output).collect(),
            m: metrics,
            k: self.oom_kills,
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

    fn metric(output: &str, name: &str, value: &str) -> ReportedMetric {
        ReportedMetric { output: output.into(), name: name.into(), value: value.into() }
    }

    #[test]
    fn a_message_comes_back() {
        let mut message = Message::new();
        message.metrics = vec![metric("a", "auc", "0.81"), metric("a", "n", "3"), metric("b", "auc", "0.2")];
        message.outputs.push(ReportedOutput { name: "model".into(), digest: Digest::of(b"x"), size: 1, files: 1 });
        message.oom_kills = 2;
        assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
    }

    /// As long as names may be.
    fn name(number: usize) -> String {
        format!("{number:0>width$}", width = limits::NAME)
    }

    #[test]
    fn the_largest_messages_of_fetch_and_of_publish_stay_within_their_size() {
        let mut message = Message::new();
        for number in 0..limits::INPUTS {
            message.inputs.push(ReportedInput { name: name(number), digest: Digest::of(b"x"), size: u64::MAX });
        }
        assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
        let inputs = std::mem::take(&mut message.inputs);
        for number in 0..limits::OUTPUTS {
            let (digest, files) = (Digest::of(b"x"), super::super::MAX_FILES as u64);
            message.outputs.push(ReportedOutput { name: name(number), digest, size: u64::MAX, files });
        }
        assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
        message.inputs = inputs;
        assert_eq!(Message::parse(&message.to_json_within(MAX_RECOVERED_BYTES)).unwrap(), message);
    }

    /// The record has them.
    #[test]
    fn metrics_without_room_are_left_out_and_that_is_said() {
        let mut message = Message::new();
        message.outputs.push(ReportedOutput { name: "model".into(), digest: Digest::of(b"x"), size: 1, files: 1 });
        message.metrics = (0..200).map(|number| metric("m", &format!("metric-{number}"), "0.123456")).collect();
        let json = message.to_json();
        assert!(json.len() <= MAX_MESSAGE_BYTES, "{}", json.len());
        let read = Message::parse(&json).unwrap();
        assert!(!read.complete && read.outputs == message.outputs);
        assert!(read.metrics.len() > 20 && message.metrics.starts_with(&read.metrics), "{}", read.metrics.len());
    }

    #[test]
    fn the_text_of_a_failure_is_cut() {
        for text in ["ä", "\"", "\u{1}"] {
            let message = Message::failed(ExitCode::Internal, text.repeat(5000));
            let json = message.to_json();
            assert!(json.len() <= MAX_MESSAGE_BYTES, "{}", json.len());
            assert!(Message::parse(&json).unwrap().complete);
        }
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        assert_eq!(Message::parse(r#"{"version":1,"outputs":"x"}"#), Err(MessageError::OtherVersion(1)));
        assert_eq!(Message::parse(r#"{"v":2,"o":7}"#), Err(MessageError::OtherVersion(2)));
        assert!(matches!(Message::parse("Killed"), Err(MessageError::Malformed(_))));
    }
}
