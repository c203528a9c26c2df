//! What the agent's containers of a pod are told to do: the pod's config.

use seatrial_crds::OutputType;
use serde::{Deserialize, Serialize};

use super::Digest;
use super::check::{CheckConfig, InputCheck};

/// What the agent does in a pod, for all of its containers: `fetch` gets it by the environment variable
/// [`super::CONFIG_VARIABLE`], and leaves it on the private volume ([`super::paths::CONFIG`]), where `publish` reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodConfig {
    /// [`super::VERSION`].
    pub version: u32,
    /// The stores that inputs come from and outputs go to, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<StoreConfig>,
    /// The inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputConfig>,
    /// The data that were checked already, where that is all that is done with them: where all inputs are as here, `fetch` leaves
    /// [`super::paths::UNCHANGED`], and nobody reads them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownInput>,
    /// The step; absent for a model server, which has neither `exec` nor `publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepConfig>,
    /// How long `fetch` waits an outage out before the container ends with `StoreUnavailable`, in seconds.
    pub outage_seconds: u32,
}

/// An input whose data are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownInput {
    /// The input's name.
    pub name: String,
    /// The digest of its data.
    pub digest: Digest,
}

/// What the agent knows of the step beside which it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepConfig {
    /// The UID of the run.
    pub run_uid: String,
    /// The step's name.
    pub name: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The image of the step, as the pod's spec names it.
    pub image: String,
    /// What the step produces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputConfig>,
    /// The prefix of the store that takes outputs, record, tries and logs: an entry of the pod's stores. Absent where the
    /// step has no outputs and there is no such store: then nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// How long `publish` waits an outage out while it uploads outputs, in seconds. Hours: the work of the step hangs on it.
    pub outage_seconds: u32,
    /// How often `publish` keeps what the command has printed so far, in seconds; [`LOG_SECONDS`] where absent.
    #[serde(default = "log_seconds", skip_serializing_if = "is_usual")]
    pub log_seconds: u32,
}

/// How often the log of a command that runs is kept, in seconds: of a node that dies, no more than this is lost.
pub const LOG_SECONDS: u32 = 600;

const fn log_seconds() -> u32 {
    LOG_SECONDS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_usual(seconds: &u32) -> bool {
    *seconds == LOG_SECONDS
}

impl StepConfig {
    /// The attempt that a pod works for, which has this completion index.
    pub fn key(&self, index: u32) -> super::AttemptKey {
        super::AttemptKey { run_uid: self.run_uid.clone(), step: self.name.clone(), attempt: self.attempt, index }
    }
}

/// What `seatrial-agent recover` does: read the record of an attempt whose message was lost, and report it.
///
/// It ends with 0 and a message where there is a record that answers to the attempt and the outputs, and with
/// [`super::ExitCode::InputNotFound`] where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoverConfig {
    /// [`super::VERSION`].
    pub version: u32,
    /// The store that holds the record.
    pub store: StoreConfig,
    /// The attempt that is asked for.
    pub attempt: super::AttemptKey,
    /// The names of the outputs that the record must have.
    pub outputs: Vec<String>,
}

/// What `seatrial-agent admit` does: read the reports about checked inputs, upload them, and decide whether the step's
/// command starts. The stores are those of the pod's own config ([`PodConfig`]).
///
/// It ends with 0 where all data keep their contracts, and else with [`super::ExitCode::ContractBroken`],
/// [`super::ExitCode::ContractUnproven`] or [`super::ExitCode::CheckFailed`]; its message is a
/// [`super::check::CheckMessage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmitConfig {
    /// [`super::VERSION`].
    pub version: u32,
    /// The folder of the reports, absolute.
    pub reports: String,
    /// The inputs that there must be a report of.
    pub inputs: Vec<AdmittedInput>,
    /// How long an outage of the store is waited out, in seconds.
    pub outage_seconds: u32,
}

impl AdmitConfig {
    /// What is told to whoever reads the reports of these checks.
    pub fn of(checks: &CheckConfig, outage_seconds: u32) -> Self {
        let admitted = |input: &InputCheck| AdmittedInput {
            input: input.input.clone(),
            contract: input.contract.clone(),
            revision: input.revision.clone(),
        };
        Self {
            version: super::VERSION,
            reports: checks.reports.clone(),
            inputs: checks.inputs.iter().map(admitted).collect(),
            outage_seconds,
        }
    }
}

/// An input, and what its report must be about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmittedInput {
    /// The input's name.
    pub input: String,
    /// The contract, `namespace/name`.
    pub contract: String,
    /// The contract's revision.
    pub revision: String,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputConfig {
    /// The input's name, as reported back.
    pub name: String,
    /// The folder that the files are put into, absolute.
    pub folder: String,
    /// Where the data is.
    pub source: InputSource,
}

impl InputConfig {
    /// An input in the folder that inputs of its name have.
    pub fn new(name: &str, source: InputSource) -> Self {
        Self { name: name.to_owned(), folder: format!("{}/{name}", super::paths::INPUTS), source }
    }
}

/// Where an input's data is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum InputSource {
    /// An artifact that Seatrial wrote: a listing and objects by content, verified against the digest.
    Artifact {
        /// The prefix of the store that holds it: an entry of `stores`.
        store: String,
        /// The artifact's digest.
        digest: Digest,
    },
    /// Whatever is at a URI: one object, or, where the URI ends in `/`, all beneath it (S3 only).
    Uri {
        /// The prefix of the store that the URI lies in: an entry of `stores`.
        store: String,
        /// The URI itself.
        uri: String,
    },
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputConfig {
    /// The output's name.
    pub name: String,
    /// The output's type.
    #[serde(rename = "type")]
    pub kind: OutputType,
    /// The folder that holds the output's files, absolute.
    pub folder: String,
}

/// One store, and how the agent authenticates to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreConfig {
    /// The name of the Store object; absent where there is none: the cluster's default store, and prefixes that everyone
    /// may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What every URI of this store begins with, ending in `/`: `s3://bucket/folder/`, `https://host/folder/`.
    pub prefix: String,
    /// The S3 endpoint's URL; absent for AWS itself, and for HTTP stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The S3 region; [`DEFAULT_REGION`] where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How the agent authenticates to it.
    pub authentication: Authentication,
    /// The certificate authorities that are trusted for the store's certificate.
    #[serde(default, skip_serializing_if = "Authorities::is_public")]
    pub authorities: Authorities,
    /// The hosts that answers of an HTTP(S) store may redirect to: `host`, `host:port`, or `*.domain` for one label before
    /// a domain. Redirects within a host need none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_hosts: Vec<String>,
}

/// The S3 region where a Store names none; services that are not AWS take any.
pub const DEFAULT_REGION: &str = "us-east-1";

/// The key of a Store's Secret with the key's id.
pub const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// The key of a Store's Secret with the secret key.
pub const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// The key of a Store's Secret with the token of a session, where the keys are of one.
pub const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

/// How the agent authenticates to a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum Authentication {
    /// Without credentials.
    Anonymous,
    /// Keys from the files of a mounted Secret, named [`KEY_ID`], [`SECRET_KEY`] and, where there is one,
    /// [`SESSION_TOKEN`]. They are read for each request, so that renewed keys count from when they arrive.
    Keys {
        /// The folder of the files, in the agent's containers only.
        folder: String,
    },
    /// A projected token of the pod's service account, exchanged for short-lived keys.
    WebIdentity {
        /// The token's file, in a folder of the store's own, in the agent's containers only: its audience is one store's.
        token_file: String,
        /// The STS endpoint's URL; `https` only.
        sts_endpoint: String,
        /// The role that is asked for.
        role: String,
    },
}

/// The certificate authorities that are trusted for a store. A file is followed: another content counts from the next
/// request on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Authorities {
    /// The usual public ones.
    #[default]
    Public,
    /// The public ones, and those of a file (PEM).
    PublicAnd(String),
    /// Those of a file (PEM) alone.
    Only(String),
}

impl Authorities {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Public => None,
            Self::PublicAnd(file) | Self::Only(file) => Some(file),
        }
    }

    fn is_public(&self) -> bool {
        *self == Self::Public
    }
}

impl StoreConfig {
    /// The folders that the agent's container needs to get into the store.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let trust = self.authorities.file().and_then(|file| file.rsplit_once('/'));
        self.authentication.folder().into_iter().chain(trust.map(|(folder, _)| folder))
    }
}

impl Authentication {
    /// The folder of the files that it needs; `None` where it needs none.
    pub fn folder(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Keys { folder } => Some(folder),
            Self::WebIdentity { token_file, .. } => token_file.rsplit_once('/').map(|(folder, _)| folder),
        }
    }
}
