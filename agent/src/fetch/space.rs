//! How much of the pod's disk the inputs may take.

use std::cell::Cell;

use seatrial_core::contract::ExitCode;

use crate::error::AgentError;
use crate::pod::volume::Volume;

/// How many bytes of a disk stay free at least, unless the disk is small.
const LEAST: u64 = 1 << 30;

/// How many bytes may still be written.
///
/// The disk is the node's. Where less than a tenth of it is free, the kubelet evicts pods, other people's too, and ours
/// would be created again and fill it again. So a tenth of the file system stays free, and at least 1 GiB; of a file system
/// smaller than 4 GiB, such as a volume in memory, a quarter. A hundredth of what is free may always be used: a small
/// input is not refused for a disk that others have filled.
#[derive(Debug)]
pub(crate) struct Space {
    left: Cell<u64>,
    all: u64,
    free: u64,
}

impl Space {
    /// Measures the volume's file system as it is now.
    pub(crate) fn measure(volume: &Volume) -> Result<Self, AgentError> {
        let (free, total) = volume.free_and_total_bytes()?;
        let all = allowed(free, total);
        Ok(Self { left: Cell::new(all), all, free })
    }

    /// Reserves so many bytes.
    ///
    /// # Errors
    /// `InputTooLarge` where they do not fit.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), AgentError> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                let needed = (self.all - self.left.get()).saturating_add(bytes);
                Err(AgentError::new(
                    ExitCode::InputTooLarge,
                    format!(
                        "the inputs have {needed} bytes or more, the pod's disk has room for {}: {} are free, of which a tenth of the disk and at least 1 GiB stay free, since a node evicts pods when its disk is nearly full; read less data, or use nodes with larger disks",
                        self.all, self.free
                    ),
                ))
            }
        }
    }
}

fn allowed(free: u64, total: u64) -> u64 {
    let stays_free = (total / 10).max(LEAST).min(total / 4);
    free.saturating_sub(stays_free).max(free / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_stays_free_but_small_inputs_are_never_refused() {
        let gib = |count: u64| count << 30;
        for (free, total, expected) in [
            (gib(60), gib(500), gib(10)),
            (gib(500), gib(500), gib(450)),
            (gib(5), gib(8), gib(4)),
            (4000, 4000, 3000),
            // Others have filled the disk: small things still fit.
            (gib(40), gib(500), gib(40) / 100),
            (0, gib(500), 0),
            (0, 0, 0),
        ] {
            assert_eq!(allowed(free, total), expected, "{free} of {total}");
        }
    }

    #[test]
    fn what_is_taken_is_counted() {
        let space = Space { left: Cell::new(100), all: 100, free: 200 };
        space.take(60).unwrap();
        space.take(40).unwrap();
        let error = space.take(5).unwrap_err();
        assert_eq!(error.code, ExitCode::InputTooLarge);
        assert!(
            error.message.contains("have 105 bytes") && error.message.contains("room for 100"),
            "{}",
            error.message
        );
    }
}
