//! `recover`: reads the record of an attempt whose report is lost, and reports it.

use seatrial_core::contract::{ExitCode, Message, RecoverConfig};

use crate::error::AgentError;
use crate::publish::kept;
use crate::remote::outage::Outages;
use crate::remote::store::Remote;

/// How long `recover` waits for a store that is unavailable, in seconds. The operator starts it again after that.
const OUTAGE: u32 = 300;

/// Reads the record of the attempt.
///
/// # Errors
/// `InputNotFound` where there is no record, `CorruptArtifact` where something else lies at its key.
pub(crate) async fn recover(config: &RecoverConfig) -> Result<Message, AgentError> {
    let store = Remote::open_to_read(&config.store)?;
    let outputs: Vec<&str> = config.outputs.iter().map(String::as_str).collect();
    let record = kept::read_record(&store, &config.attempt, &outputs, &Outages::new(OUTAGE, None)).await?;
    let record = record.ok_or_else(|| {
        AgentError::new(ExitCode::InputNotFound, format!("there is no record of the attempt {}", config.attempt))
    })?;
    Ok(record.message())
}
