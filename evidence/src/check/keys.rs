//! Rows with the same values, counted exactly however many there are: hashes on disk, by their first byte, looked through
//! one byte's share at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest::{SHA256, digest};
use seatrial_core::contract::check::MAX_POSITIONS;

use super::disk::Disk;
use super::tally::Place;
use crate::problem::Problem;

/// By the first byte of the hash.
const SHARES: usize = 256;
/// Bytes of a record: half of a SHA-256, part, row. Ten million values have two with the same half with a probability of
/// 10⁻²⁵.
const RECORD: usize = 24;
/// Records that a share gathers before it writes them.
const CHUNK: usize = 256;

/// One row's key.
pub(super) fn hash(key: &[u8]) -> [u8; 16] {
    let whole = digest(&SHA256, key);
    let mut half = [0; 16];
    half.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
    half
}

/// The keys of a rule.
#[derive(Debug)]
pub(super) struct Keys {
    shares: Vec<Share>,
    file: Option<File>,
    written: u64,
}

#[derive(Debug, Default)]
struct Share {
    records: Vec<u8>,
    /// Where its chunks lie in the file.
    chunks: Vec<u64>,
}

/// What was found of a rule's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeated {
    /// Rows whose key an earlier row has.
    pub(super) surplus: u64,
    /// Rows that have a key.
    pub(super) rows: u64,
    /// The first rows whose key an earlier row has, and the first row that has it.
    pub(super) first: Vec<(Place, Place)>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { shares: (0..SHARES).map(|_| Share::default()).collect(), file: None, written: 0 }
    }

    /// Adds the keys of rows.
    pub(super) fn add(&mut self, keys: &[([u8; 16], Place)], scratch: &Path, disk: &Disk) -> Result<(), Problem> {
        for (hash, (part, row)) in keys {
            let [first, ..] = hash;
            let Some(share) = self.shares.get_mut(usize::from(*first)) else { continue };
            share.records.extend_from_slice(hash);
            share.records.extend_from_slice(&part.to_be_bytes());
            share.records.extend_from_slice(&row.to_be_bytes());
            if share.records.len() >= CHUNK * RECORD {
                disk.take((CHUNK * RECORD) as u64, "the keys of the rows")?;
                let file = match &self.file {
                    Some(file) => file,
                    None => self.file.insert(temporary(scratch).map_err(failed)?),
                };
                file.write_all_at(&share.records, self.written).map_err(failed)?;
                share.chunks.push(self.written);
                self.written += share.records.len() as u64;
                share.records.clear();
            }
        }
        Ok(())
    }

    /// Looks for keys that several rows have.
    pub(super) fn repeated(mut self) -> Result<Repeated, Problem> {
        let mut found = Repeated::default();
        for mut share in std::mem::take(&mut self.shares) {
            let mut records = std::mem::take(&mut share.records);
            let mut chunk = [0; CHUNK * RECORD];
            if let Some(file) = &self.file {
                for offset in share.chunks {
                    file.read_exact_at(&mut chunk, offset).map_err(failed)?;
                    records.extend_from_slice(&chunk);
                }
            }
            let (whole, _) = records.as_chunks::<RECORD>();
            let mut records: Vec<[u64; 3]> = whole.iter().map(numbers).collect();
            records.sort_unstable();
            found.rows += records.len() as u64;
            for same in records.chunk_by(|[one, two, _], [first, second, _]| one == first && two == second) {
                if let [first, others @ ..] = same {
                    found.surplus += others.len() as u64;
                    found.first.extend(others.iter().take(MAX_POSITIONS).map(|other| (place(other), place(first))));
                }
            }
            found.first.sort_unstable();
            found.first.truncate(MAX_POSITIONS);
        }
        Ok(found)
    }
}

/// A record as three numbers, which compare as its bytes do.
fn numbers(record: &[u8; RECORD]) -> [u64; 3] {
    let (words, _) = record.as_chunks::<8>();
    let mut numbers = [0; 3];
    numbers.iter_mut().zip(words).for_each(|(number, word)| *number = u64::from_be_bytes(*word));
    numbers
}

#[expect(clippy::cast_possible_truncation, reason = "each half is a number of 32 bits")]
const fn place([_, _, place]: &[u64; 3]) -> Place {
    ((*place >> 32) as u32, *place as u32)
}

/// A file that is gone when it is closed.
fn temporary(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("keys-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn failed(error: io::Error) -> Problem {
    Problem::Failed(format!("the keys of the rows cannot be kept on disk: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repeated(numbers: &[u16], at_once: usize) -> Repeated {
        let folder = tempfile::tempdir().unwrap();
        let (mut keys, disk) = (Keys::new(), Disk::new(1 << 30));
        let all: Vec<([u8; 16], Place)> =
            numbers.iter().enumerate().map(|(row, key)| (hash(&key.to_be_bytes()), (0, row as u32))).collect();
        for part in all.chunks(at_once) {
            keys.add(part, folder.path(), &disk).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        keys.repeated().unwrap()
    }

    proptest! {
        #[test]
        fn what_repeats_is_counted_as_a_set_would(numbers in prop::collection::vec(0_u16..300, 0..400), at_once in 1_usize..50) {
            let mut seen = std::collections::HashMap::new();
            let mut expected = Repeated { rows: numbers.len() as u64, ..Repeated::default() };
            for (row, number) in numbers.iter().enumerate() {
                let row = row as u32;
                if let Some(first) = seen.get(number) {
                    expected.surplus += 1;
                    expected.first.push(((0, row), (0, *first)));
                } else {
                    seen.insert(*number, row);
                }
            }
            expected.first.truncate(MAX_POSITIONS);
            prop_assert_eq!(repeated(&numbers, at_once), expected);
        }
    }

    #[test]
    fn many_keys_go_to_disk_and_come_back() {
        // Each number twice, far apart.
        let numbers: Vec<u16> = (0..=u16::MAX).chain((0..=u16::MAX).rev()).chain(0..=u16::MAX).collect();
        let found = repeated(&numbers, 1000);
        assert_eq!((found.surplus, found.rows), (131_072, 196_608));
        assert_eq!(found.first[0], ((0, 65_536), (0, 65_535)));
    }

    #[test]
    fn the_disk_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let same = [(hash(b"x"), (0, 0)); CHUNK];
        let (mut keys, disk) = (Keys::new(), Disk::new((CHUNK * RECORD) as u64));
        keys.add(&same, folder.path(), &disk).unwrap();
        assert!(
            matches!(keys.add(&same, folder.path(), &disk), Err(Problem::Failed(why)) if why.contains("smaller inputs"))
        );
    }
}
