//! Makes one file of the parts of an upload, so that a crash in the middle harms nothing.
//!
//! ```text
//! <upload>/plan       which parts, in which order, of which size: written before anything is changed, and never changed
//! <upload>/whole      parts in their places, and those that were copied to theirs
//! <upload>/copied     how many of the parts that were not in their place the whole holds, on the disk
//! <upload>/part-N     removed once it is counted there
//! <upload>/gathered   instead of the whole where its places are wrong: a copy of all parts, once it is complete
//! ```
//!
//! Parts that came to their place are not touched. Whoever goes on after a crash keeps what is certain and copies the
//! others again. What does not add up is given up: the client is told that there is no such upload, and sends it anew.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use s3s::dto::{CompletedPart, ETag};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::checksums::{self, composite};
use super::parts::{self, part_file, whole_file};
use super::volume::{is_full, storage};
use crate::durable::sync;

/// How much is copied before it is put on the disk and its parts are removed, in bytes: the room that a join needs
/// beside the parts.
const STEP: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    number: i32,
    e_tag: ETag,
    size: u64,
    /// The sum of its content, if its client sent one.
    #[serde(default)]
    sum: Option<String>,
    /// Where it began in the whole when this was planned, if it was there.
    #[serde(default)]
    offset: Option<u64>,
}

/// What becomes of an upload's parts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    parts: Vec<Planned>,
}

/// All parts in one file, on the disk.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) file: PathBuf,
    pub(super) size: u64,
    /// How many bytes were copied for it.
    pub(super) copied: u64,
}

/// Why there is no whole.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be tried again.
    Storage(io::Error),
    /// The folder holds something else than the plan says: it was completed, or its disk lost something.
    Lost,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

/// How many bytes an upload has: all that its client sent, or, once it is being completed, what it becomes.
pub(super) fn held(upload: &Path) -> io::Result<u64> {
    match Plan::read(upload) {
        Ok(Some(plan)) => Ok(plan.size()),
        _ => parts::held(upload),
    }
}

/// What must be there, since the plan says so.
fn expected<T>(found: io::Result<T>) -> Result<T, Failure> {
    found.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Lost,
        _ => Failure::Storage(error),
    })
}

/// Puts a small file of an upload on the disk, whole or not at all.
fn keep(upload: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let draft = upload.join(format!("{name}.new"));
    let written = fs::write(&draft, content).and_then(|()| sync(&draft)).and_then(|()| {
        fs::rename(&draft, upload.join(name))?;
        sync(upload)
    });
    written.inspect_err(|_| drop(fs::remove_file(&draft)))
}

impl Plan {
    /// The plan of an upload, if one was made.
    pub(super) fn read(upload: &Path) -> S3Result<Option<Self>> {
        match fs::read(upload.join("plan")) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| s3_error!(error, InternalError)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(storage(error)),
        }
    }

    /// A new one: the parts must be there, and be those that the client sent.
    pub(super) fn make(upload: &Path, asked: &[CompletedPart]) -> S3Result<Self> {
        if asked.is_empty() {
            return Err(s3_error!(MalformedXML, "an upload has at least one part"));
        }
        let mut parts: Vec<Planned> = Vec::with_capacity(asked.len());
        for part in asked {
            let number = part.part_number.unwrap_or_default();
            if parts.last().is_some_and(|last| number <= last.number) {
                return Err(s3_error!(InvalidPartOrder));
            }
            let found = parts::find(upload, number).map_err(storage)?;
            let found = found.ok_or_else(|| s3_error!(InvalidPart, "there is no part {number}"))?;
            let parts::Part { size, e_tag, sum, offset } = found;
            if part.e_tag.as_ref().is_some_and(|expected| *expected != e_tag) {
                return Err(s3_error!(InvalidPart, "the part {number} is another"));
            }
            if part.checksum_sha256.as_ref().is_some_and(|expected| Some(expected) != sum.as_ref()) {
                return Err(s3_error!(InvalidPart, "the part {number} has not the SHA-256 that is asked for"));
            }
            parts.push(Planned { number, e_tag, size, sum, offset });
        }
        Ok(Self { parts })
    }

    /// Puts it on the disk. From now on, parts of this upload are neither added nor replaced.
    pub(super) fn keep(&self, upload: &Path) -> S3Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| s3_error!(error, InternalError))?;
        // Whoever finds the plan and no whole knows that it was completed.
        let whole = File::options().create(true).truncate(false).write(true).open(whole_file(upload));
        whole.and_then(|_| keep(upload, "plan", &json)).map_err(storage)
    }

    /// True where a client asks for what was planned.
    pub(super) fn is_for(&self, asked: &[CompletedPart]) -> bool {
        let same = |(planned, asked): (&Planned, &CompletedPart)| {
            asked.part_number == Some(planned.number)
                && asked.e_tag.as_ref().is_none_or(|expected| *expected == planned.e_tag)
        };
        self.parts.len() == asked.len() && self.parts.iter().zip(asked).all(same)
    }

    /// How many bytes all parts have.
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.size))
    }

    /// The file that becomes the object.
    pub(super) fn file(&self, upload: &Path) -> PathBuf {
        if self.is_in_place() { whole_file(upload) } else { upload.join("gathered") }
    }

    /// The parts, and where each begins in the object.
    fn placed(&self) -> impl Iterator<Item = (&Planned, u64)> {
        self.parts.iter().scan(0_u64, |end, part| {
            let start = *end;
            *end = start.saturating_add(part.size);
            Some((part, start))
        })
    }

    /// True where the places that parts have are those that they need.
    fn is_in_place(&self) -> bool {
        self.placed().all(|(part, start)| part.offset.is_none_or(|offset| offset == start))
    }

    /// Puts the parts together, or goes on with it.
    pub(super) fn join(&self, upload: &Path) -> Result<Joined, Failure> {
        let path = self.file(upload);
        let (file, copied) = if self.is_in_place() { self.complete(upload)? } else { self.gather(upload, &path)? };
        // A file that is an object already, since a crash came, keeps its time.
        if file.metadata()?.len() != self.size() {
            file.set_len(self.size())?;
        }
        checksums::keep(&file, composite(self.parts.iter().map(|part| part.sum.as_deref())).as_deref())?;
        file.sync_all()?;
        sync(upload)?;
        Ok(Joined { file: path, size: self.size(), copied })
    }

    /// Copies to the whole what came to no place in it.
    fn complete(&self, upload: &Path) -> Result<(File, u64), Failure> {
        let file = expected(File::options().read(true).write(true).open(whole_file(upload)))?;
        let length = file.metadata()?.len();
        let held = match fs::read_to_string(upload.join("copied")) {
            Ok(text) => text.parse().map_err(|_| Failure::Lost)?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0_usize,
            Err(error) => return Err(error.into()),
        };
        let mut copy = Copy { file, upload, held, open: vec![], copied: 0 };
        let mut before = 0_usize;
        for (part, start) in self.placed() {
            let is_there = part.offset.is_some() || before < held;
            if is_there && length < start.saturating_add(part.size) {
                return Err(Failure::Lost);
            }
            if !is_there {
                copy.add(part, start)?;
            }
            before = before.saturating_add(usize::from(part.offset.is_none()));
        }
        Ok((copy.file, copy.copied))
    }

    /// Copies all parts, from wherever they are, unless that was done. They stay until the upload ends.
    fn gather(&self, upload: &Path, path: &Path) -> Result<(File, u64), Failure> {
        match File::options().write(true).open(path) {
            // It may be an object already, which is never changed.
            Ok(file) => return Ok((file, 0)),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Err(_) => {}
        }
        let mut whole = expected(File::open(whole_file(upload)))?;
        let draft = upload.join("gathered.new");
        let mut file = File::create(&draft)?;
        for part in &self.parts {
            let copied = match part.offset {
                Some(offset) => {
                    whole.seek(SeekFrom::Start(offset))?;
                    io::copy(&mut whole.by_ref().take(part.size), &mut file)?
                }
                None => io::copy(&mut expected(File::open(part_file(upload, part.number)))?, &mut file)?,
            };
            if copied != part.size {
                return Err(Failure::Lost);
            }
        }
        file.sync_all()?;
        fs::rename(draft, path)?;
        Ok((file, self.size()))
    }
}

/// Copies parts to their places.
struct Copy<'a> {
    file: File,
    upload: &'a Path,
    /// How many parts the whole holds, on the disk.
    held: usize,
    /// The parts whose bytes may not be on the disk yet.
    open: Vec<&'a Planned>,
    copied: u64,
}

impl<'a> Copy<'a> {
    fn add(&mut self, part: &'a Planned, start: u64) -> Result<(), Failure> {
        match self.copy(part, start) {
            // Parts that it holds already make room.
            Err(Failure::Storage(error)) if is_full(&error) && !self.open.is_empty() => {
                // What was copied of this one takes room that the rest needs.
                parts::clear(&self.file, start, part.size);
                self.settle()?;
                self.copy(part, start)?;
            }
            other => other?,
        }
        self.copied = self.copied.saturating_add(part.size);
        self.open.push(part);
        if self.open.iter().map(|part| part.size).sum::<u64>() >= STEP {
            self.settle()?;
        }
        Ok(())
    }

    fn copy(&mut self, part: &Planned, start: u64) -> Result<(), Failure> {
        let mut source = expected(File::open(part_file(self.upload, part.number)))?;
        if source.metadata()?.len() != part.size {
            return Err(Failure::Lost);
        }
        self.file.seek(SeekFrom::Start(start))?;
        // The kernel copies, without a way through this process.
        let copied = io::copy(&mut source, &mut self.file)?;
        if copied == part.size { Ok(()) } else { Err(Failure::Lost) }
    }

    /// Puts on the disk what was copied, says so there, and removes the parts.
    fn settle(&mut self) -> Result<(), Failure> {
        self.file.sync_all()?;
        self.held = self.held.saturating_add(self.open.len());
        keep(self.upload, "copied", self.held.to_string().as_bytes())?;
        for part in self.open.drain(..) {
            fs::remove_file(part_file(self.upload, part.number))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::backend::parts::Record;

    const SLOT: u64 = 7;

    /// An upload of parts of these sizes, of which some are in their places, and what it is all together.
    fn upload(sizes: &[usize], is_placed: impl Fn(usize) -> bool) -> (TempDir, Vec<CompletedPart>, Vec<u8>) {
        let folder = TempDir::new().unwrap();
        let (mut asked, mut whole) = (vec![], vec![]);
        for (index, size) in sizes.iter().enumerate() {
            let number = i32::try_from(index).unwrap() + 1;
            let content = vec![b'a' + u8::try_from(index).unwrap(); *size];
            if is_placed(index) {
                write(&folder, &content, SLOT * index as u64);
                let e_tag = ETag::Strong(format!("placed {number}"));
                let record = Record { slot: SLOT, size: *size as u64, e_tag, sum: None };
                parts::keep(folder.path(), number, &record).unwrap();
            } else {
                fs::write(part_file(folder.path(), number), &content).unwrap();
            }
            let e_tag = Some(parts::find(folder.path(), number).unwrap().unwrap().e_tag);
            asked.push(CompletedPart { part_number: Some(number), e_tag, ..CompletedPart::default() });
            whole.extend(content);
        }
        (folder, asked, whole)
    }

    /// Writes to the whole.
    fn write(folder: &TempDir, content: &[u8], start: u64) {
        let whole = File::options().create(true).truncate(false).write(true).open(whole_file(folder.path())).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&whole, content, start).unwrap();
    }

    fn planned(sizes: &[usize], is_placed: impl Fn(usize) -> bool) -> (TempDir, Vec<CompletedPart>, Vec<u8>) {
        let (folder, asked, whole) = upload(sizes, is_placed);
        Plan::make(folder.path(), &asked).unwrap().keep(folder.path()).unwrap();
        (folder, asked, whole)
    }

    /// What a client gets that asks, or asks again after a crash, and how many bytes were copied for it.
    fn join(folder: &TempDir, asked: &[CompletedPart]) -> Option<(Vec<u8>, u64)> {
        let plan = Plan::read(folder.path()).unwrap().expect("the plan was made");
        assert!(plan.is_for(asked));
        match plan.join(folder.path()) {
            Ok(Joined { file, size, copied }) => {
                let content = fs::read(file).unwrap();
                assert_eq!(content.len() as u64, size);
                Some((content, copied))
            }
            Err(Failure::Lost) => None,
            Err(Failure::Storage(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn only_what_is_not_in_its_place_is_copied() {
        for (sizes, placed, expected) in [
            (&[7, 7, 7, 3][..], &[0, 1, 2, 3][..], 0),
            (&[7, 7, 7, 3], &[0, 2, 3], 7),
            (&[7, 7, 7, 3], &[], 24),
            (&[7, 7, 7, 30], &[0, 1, 2], 30),
            (&[7], &[0], 0),
            // Parts that are shorter than the first and not the last are in wrong places.
            (&[7, 5, 7, 3], &[0, 1, 2, 3], 22),
            (&[7, 5, 9, 3], &[0, 1], 12),
        ] {
            let (folder, asked, whole) = planned(sizes, |index| placed.contains(&index));
            // What is in the places that nobody asks for.
            write(&folder, b"?", 1000);
            assert_eq!(join(&folder, &asked), Some((whole.clone(), expected)), "{sizes:?} {placed:?}");
            assert_eq!(join(&folder, &asked).unwrap().0, whole, "again");
        }
    }

    /// All that a crash can leave, for each choice of parts in their places: so many of the others counted as copied, of
    /// them so many removed, in any order, and those that come next torn, or not.
    #[test]
    fn a_join_goes_on_wherever_a_crash_came() {
        const SIZES: [usize; 5] = [7, 7, 7, 7, 2];
        for placed in 0..1_u32 << SIZES.len() {
            let others: Vec<usize> = (0..SIZES.len()).filter(|index| placed >> index & 1 == 0).collect();
            for held in 0..=others.len() {
                for removed in 0..1_u32 << held {
                    for torn in [false, true] {
                        let (folder, asked, whole) = planned(&SIZES, |index| placed >> index & 1 == 1);
                        for index in others.iter().take(held) {
                            write(&folder, &vec![whole[index * 7]; SIZES[*index]], *index as u64 * SLOT);
                        }
                        for index in others.iter().skip(held).filter(|_| torn) {
                            write(&folder, b"?", *index as u64 * SLOT);
                        }
                        if held > 0 {
                            fs::write(folder.path().join("copied"), held.to_string()).unwrap();
                        }
                        for (_, index) in others.iter().enumerate().filter(|(place, _)| removed >> place & 1 == 1) {
                            fs::remove_file(part_file(folder.path(), i32::try_from(*index).unwrap() + 1)).unwrap();
                        }
                        let content = join(&folder, &asked).map(|(content, _)| content);
                        let state = format!("{placed:b} in place, {held} held, {removed:b} removed, torn: {torn}");
                        assert_eq!(content.as_deref(), Some(&*whole), "{state}");
                        // The same again, since no answer came.
                        assert_eq!(join(&folder, &asked).unwrap().0, whole, "{state}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_copy_that_a_crash_cut_off_is_made_anew_and_a_complete_one_stays() {
        let (folder, asked, whole) = planned(&[7, 5, 7, 3], |_| true);
        fs::write(folder.path().join("gathered.new"), "half").unwrap();
        assert_eq!(join(&folder, &asked), Some((whole.clone(), 22)));
        // It is the object now, and the client asks again.
        let before = fs::metadata(folder.path().join("gathered")).unwrap().modified().unwrap();
        assert_eq!(join(&folder, &asked), Some((whole, 0)));
        assert_eq!(fs::metadata(folder.path().join("gathered")).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn what_does_not_add_up_is_given_up() {
        for is_placed in [true, false] {
            let plan = || planned(&[7, 7, 3], |_| is_placed);
            // It was completed, and the whole has another name.
            let (folder, asked, _) = plan();
            assert!(join(&folder, &asked).is_some());
            fs::remove_file(whole_file(folder.path())).unwrap();
            assert_eq!(join(&folder, &asked), None);
            // The whole lost what is in its place, or what its parts were removed for.
            let (folder, asked, _) = plan();
            fs::write(folder.path().join("copied"), "3").unwrap();
            File::options().write(true).open(whole_file(folder.path())).unwrap().set_len(9).unwrap();
            assert_eq!(join(&folder, &asked), None);
        }
        // A part is gone, or another than it was.
        let (folder, asked, _) = planned(&[7, 7, 3], |index| index == 0);
        fs::remove_file(part_file(folder.path(), 2)).unwrap();
        assert_eq!(join(&folder, &asked), None);
        for content in ["", "longer than it was"] {
            let (folder, asked, _) = planned(&[7, 7, 3], |index| index == 0);
            fs::write(part_file(folder.path(), 3), content).unwrap();
            assert_eq!(join(&folder, &asked), None);
        }
    }

    #[test]
    fn a_plan_is_made_of_parts_that_are_there_in_their_order() {
        let (folder, asked, _) = upload(&[7, 7, 7, 2], |index| index % 2 == 0);
        let refused =
            |asked: &[CompletedPart]| Plan::make(folder.path(), asked).unwrap_err().code().as_str().to_owned();
        assert_eq!(refused(&[]), "MalformedXML");
        assert_eq!(refused(&[asked[1].clone(), asked[0].clone()]), "InvalidPartOrder");
        assert_eq!(refused(&[asked[0].clone(), asked[0].clone()]), "InvalidPartOrder");
        let another = CompletedPart { e_tag: asked[1].e_tag.clone(), ..asked[0].clone() };
        let absent = CompletedPart { part_number: Some(9), ..asked[0].clone() };
        for parts in [[another], [absent], [CompletedPart::default()]] {
            assert_eq!(refused(&parts), "InvalidPart", "{parts:?}");
        }
        let plan = Plan::make(folder.path(), &asked[1..3]).unwrap();
        assert!(plan.is_for(&asked[1..3]) && !plan.is_for(&asked[..2]) && !plan.is_for(&asked[1..2]));
    }
}
