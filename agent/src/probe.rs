//! `probe`: what `publish` has to say to the kubelet, which makes an event of it.

use crate::pod::private::Private;

/// How much of a reason is passed on, in characters.
const REASON: usize = 500;

/// The exit code: 0 while the store can be reached, or has not been needed.
pub(crate) fn probe(private: &Private) -> i32 {
    match private.store_away() {
        None => 0,
        Some(reason) => {
            let one_line = reason.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
            println!("the upload is tried again: {}", one_line.take(REASON).collect::<String>());
            1
        }
    }
}
