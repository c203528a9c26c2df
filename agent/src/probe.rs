//! `probe`: the readiness of `publish`.

use std::io::Read;

use seatrial_core::contract::paths;

use crate::pod::volume::Volume;

/// How much of a reason is passed on, in bytes. It ends up in an event.
const REASON: u64 = 500;

/// The exit code: 0 while the store can be reached, or has not been needed.
pub(crate) fn probe(volume: &Volume) -> i32 {
    if !volume.path(paths::STORE_AWAY).exists() {
        return 0;
    }
    let mut reason = vec![];
    // Opened as all that lies where the user's code may write.
    let file = volume.beneath().ok().and_then(|volume| volume.file(&Volume::relative(paths::STORE_AWAY)).ok());
    if let Some(file) = file {
        let _ = file.take(REASON).read_to_end(&mut reason);
    }
    println!("the store cannot be used, the upload is tried again: {}", String::from_utf8_lossy(&reason));
    1
}
