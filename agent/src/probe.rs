//! `probe`: the probe of the container `seatrial-publish`. It prints why the store is unavailable; the kubelet puts that
//! into an event.

use crate::pod::private::Private;

/// How much of a reason is passed on, in characters.
const REASON: usize = 500;

/// The exit code: 0 while the store can be reached, or has not been needed.
pub(crate) fn probe(private: &Private) -> i32 {
    match private.store_unavailable() {
        None => 0,
        Some(reason) => {
            let one_line = reason.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
            println!("the upload is tried again: {}", one_line.take(REASON).collect::<String>());
            1
        }
    }
}
