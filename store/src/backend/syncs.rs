//! Waits for folders on the disk, once for all who wait at the same time: whoever comes while the disk works waits for
//! the next turn, and shares it with all others who came.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::durable::sync;

/// The turns of each folder that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    folders: Mutex<HashMap<PathBuf, Turns>>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    /// How many were begun.
    begun: u64,
    /// The last that succeeded.
    done: u64,
    is_running: bool,
    waiting: usize,
}

impl Syncs {
    /// Waits until the names that a folder holds now are on the disk. It blocks.
    pub(super) fn wait(&self, folder: &Path) -> io::Result<()> {
        self.wait_for(folder, || sync(folder))
    }

    fn wait_for(&self, folder: &Path, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut folders = self.folders();
        let turns = folders.entry(folder.to_owned()).or_default();
        turns.waiting = turns.waiting.saturating_add(1);
        // One that runs already may have begun before the name was there.
        let wanted = turns.begun.saturating_add(1);
        let result = loop {
            let Some(turns) = folders.get_mut(folder) else { break work() };
            if turns.done >= wanted {
                break Ok(());
            }
            if turns.is_running {
                folders = self.ended.wait(folders).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            turns.is_running = true;
            turns.begun = turns.begun.saturating_add(1);
            let own = turns.begun;
            drop(folders);
            let result = work();
            folders = self.folders();
            if let Some(turns) = folders.get_mut(folder) {
                turns.is_running = false;
                if result.is_ok() {
                    turns.done = own;
                }
            }
            // Those who wait try for themselves what failed.
            self.ended.notify_all();
            break result;
        };
        if let Some(turns) = folders.get_mut(folder) {
            turns.waiting = turns.waiting.saturating_sub(1);
            if turns.waiting == 0 {
                folders.remove(folder);
            }
        }
        result
    }

    fn folders(&self) -> MutexGuard<'_, HashMap<PathBuf, Turns>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const WRITERS: usize = 16;

    /// Sixteen wait for one folder. The first turn begins alone, and goes on until all others came.
    fn turns(first: impl Fn() -> io::Result<()> + Sync) -> (usize, usize) {
        let (syncs, folder, turns) = (Syncs::default(), Path::new("folder"), AtomicUsize::new(0));
        let waiting = || syncs.folders().get(folder).map_or(0, |turns| turns.waiting);
        let work = || {
            if turns.fetch_add(1, Ordering::SeqCst) > 0 {
                return Ok(());
            }
            while waiting() < WRITERS {
                thread::yield_now();
            }
            first()
        };
        let failed = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| syncs.wait_for(folder, work))).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).filter(Result::is_err).count()
        });
        assert!(syncs.folders().is_empty(), "nobody waits for anything");
        (turns.into_inner(), failed)
    }

    #[test]
    fn those_who_come_meanwhile_share_the_next_turn() {
        assert_eq!(turns(|| Ok(())), (2, 0));
    }

    #[test]
    fn who_waits_is_not_told_that_another_ones_turn_succeeded_or_failed() {
        assert_eq!(turns(|| Err(io::Error::other("the disk is gone"))), (2, 1));
    }
}
