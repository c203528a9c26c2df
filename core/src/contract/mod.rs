//! What the operator and the agent say to each other, in one place and versioned.
//!
//! - [`ExitCode`]: whose fault it was that an agent's container ended;
//! - [`ExecArguments`] and [`Exit`]: what the program around a step's command is told, and how the command ended;
//! - [`Message`]: what a container leaves as its termination message;
//! - [`Record`] and [`Try`]: what the store keeps of an attempt and of each of its pods;
//! - [`PodConfig`], [`RecoverConfig`] and [`ReadConfig`]: what the agent is told to do, by the environment variable [`CONFIG_VARIABLE`];
//! - [`JudgeConfig`] and [`JudgeMessage`]: what a judge is told, and what it measured;
//! - [`check`]: what the program that checks data is told, and what it says;
//! - [`Listing`]: what an artifact is, and its digest; [`Draft`]: one that is being made;
//! - [`ListingObject`]: how a listing lies in a store;
//! - [`paths`]: where things are inside a pod;
//! - [`log`]: how what a step printed is kept;
//! - [`layout`]: where things are inside a store.
//!
//! A run pins the agent's image, so both ends of a conversation were usually built together. An agent refuses a
//! config of a version it does not know, and the operator treats a message that it cannot read as lost.

pub mod check;
mod compared;
mod config;
mod counts;
mod digest;
mod entry;
mod exec;
mod exit_code;
mod files;
mod index;
mod judge;
pub mod layout;
mod listing;
pub mod log;
mod message;
pub mod paths;
mod read;
mod record;

pub use compared::{Compared, ComparedFold};
pub use config::{
    AdmitConfig, AdmittedInput, Authentication, Authorities, DEFAULT_REGION, InputConfig, InputSource, KEY_ID,
    KnownInput, LOG_SECONDS, OutputConfig, PodConfig, RecoverConfig, SECRET_KEY, SESSION_TOKEN, StepConfig,
    StoreConfig,
};
pub use digest::{Digest, DigestError, Hasher};
pub use entry::{Entry, ListingError, MAX_FILES, MAX_LISTING_BYTES, MAX_PATH_BYTES, MAX_PATHS_BYTES};
pub use exec::{ExecArguments, Exit, ExitReason, GRACE_SECONDS};
pub use exit_code::{Cause, ExitCode};
pub use files::Draft;
pub use index::{ListingIndex, ListingObject, MAX_PIECE_BYTES, PIECE_FILES};
pub use judge::{
    DuelConfig, JUDGE_VERSION, JudgeConfig, JudgeMessage, JudgeMessageError, LabelsConfig, MAX_JUDGE_BYTES, Measured,
};
pub use listing::Listing;
pub use message::{
    Failure, MAX_MESSAGE_BYTES, MAX_RECOVERED_BYTES, MESSAGE_VERSION, Message, MessageError, ReportedInput,
    ReportedMetric, ReportedOutput,
};
pub use read::{ReadConfig, Reading};
pub use record::{AttemptKey, MAX_RECORD_BYTES, RECORD_VERSION, Record, RecordError, Try};

/// The version of the configs; messages have [`MESSAGE_VERSION`] and records [`RECORD_VERSION`]. Each grows when an older
/// reader would misunderstand a newer writer.
pub const VERSION: u32 = 3;

/// The environment variable that carries the JSON of a [`PodConfig`], [`RecoverConfig`] or [`ReadConfig`].
pub const CONFIG_VARIABLE: &str = "SEATRIAL_CONFIG";
/// The environment variable that tells a model server from which score to take somebody for positive, a decimal. Absent
/// where no costs choose a threshold.
pub const THRESHOLD_VARIABLE: &str = "SEATRIAL_THRESHOLD";
