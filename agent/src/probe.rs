//! `probe`: the readiness of `publish`.

use seatrial_core::contract::paths;

use crate::volume::Volume;

/// The exit code: 0 while the store can be reached, or has not been needed.
pub(crate) fn probe(volume: &Volume) -> i32 {
    let away = volume.path(paths::STORE_AWAY).exists();
    if away {
        println!("the store cannot be reached; the upload is tried again");
    }
    i32::from(away)
}
