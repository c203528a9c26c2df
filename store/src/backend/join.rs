//! Puts the parts of an upload together without a second copy of them, so that a crash in the middle harms nothing.
//!
//! ```text
//! <upload>/plan     which parts, in which order, of which size: written before a part is touched, and never changed
//! <upload>/whole    the first part, to which the others are appended
//! <upload>/part-N   removed once the whole holds it, on the disk
//! ```
//!
//! Whoever goes on after a crash keeps what is certain, the parts that are gone, and appends the others again. What
//! does not add up is given up: the client is told that there is no such upload, and sends it anew.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use s3s::dto::{CompletedPart, ETag};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::checksums::{self, composite};
use super::files::{etag, is_full, storage};
use crate::durable::sync;

/// How much is appended before it is put on the disk and its parts are removed, in bytes: the room that a join needs
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
}

/// What becomes of an upload's parts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    parts: Vec<Planned>,
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
            let found = fs::metadata(part_file(upload, number))
                .map_err(|_| s3_error!(InvalidPart, "there is no part {number}"))?;
            let e_tag = etag(&found);
            if part.e_tag.as_ref().is_some_and(|expected| *expected != e_tag) {
                return Err(s3_error!(InvalidPart, "the part {number} is another"));
            }
            let sum = checksums::at(&part_file(upload, number));
            if part.checksum_sha256.as_ref().is_some_and(|expected| Some(expected) != sum.as_ref()) {
                return Err(s3_error!(InvalidPart, "the part {number} has not the SHA-256 that is asked for"));
            }
            parts.push(Planned { number, e_tag, size: found.len(), sum });
        }
        Ok(Self { parts })
    }

    /// Puts it on the disk. From now on, parts of this upload are neither added nor replaced.
    pub(super) fn keep(&self, upload: &Path) -> S3Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| s3_error!(error, InternalError))?;
        let draft = upload.join("plan.new");
        let written = fs::write(&draft, json).and_then(|()| sync(&draft)).and_then(|()| {
            fs::rename(&draft, upload.join("plan"))?;
            sync(upload)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&draft);
            storage(error)
        })
    }

    /// True where a client asks for what was planned.
    pub(super) fn is_for(&self, asked: &[CompletedPart]) -> bool {
        let same = |(planned, asked): (&Planned, &CompletedPart)| {
            asked.part_number == Some(planned.number)
                && asked.e_tag.as_ref().is_none_or(|expected| *expected == planned.e_tag)
        };
        self.parts.len() == asked.len() && self.parts.iter().zip(asked).all(same)
    }

    /// Puts the parts together, or goes on with it. Gives the whole and its size.
    pub(super) fn join(&self, upload: &Path) -> Result<(PathBuf, u64), Failure> {
        let path = whole_file(upload);
        // A part is removed once the whole holds it on the disk, and with it all parts before.
        let is_gone = |part: &Planned| part_file(upload, part.number).try_exists().map(|there| !there);
        let gone: Vec<bool> = self.parts.iter().map(is_gone).collect::<Result<_, _>>()?;
        let mut done = gone.iter().rposition(|gone| *gone).map_or(0, |last| last.saturating_add(1));
        if let (0, Some(first)) = (done, self.parts.first()) {
            fs::rename(part_file(upload, first.number), &path)?;
            sync(upload)?;
            done = 1;
        }
        let file = File::options().write(true).open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Lost,
            _ => Failure::Storage(error),
        })?;
        let mut whole =
            Whole { file, upload, size: self.parts.iter().take(done).map(|part| part.size).sum(), open: vec![] };
        if whole.file.metadata()?.len() < whole.size {
            return Err(Failure::Lost);
        }
        whole.file.set_len(whole.size)?;
        for part in self.parts.iter().skip(done) {
            whole.append(part)?;
        }
        // The first part's own sum, of which the file is, would be a wrong one.
        checksums::keep(&whole.file, composite(self.parts.iter().map(|part| part.sum.as_deref())).as_deref())?;
        whole.file.sync_all()?;
        if whole.file.metadata()?.len() == whole.size { Ok((path, whole.size)) } else { Err(Failure::Lost) }
    }
}

/// What is being put together.
struct Whole<'a> {
    file: File,
    upload: &'a Path,
    /// How many bytes it has that belong to it.
    size: u64,
    /// The parts whose bytes may not be on the disk yet.
    open: Vec<&'a Planned>,
}

impl<'a> Whole<'a> {
    fn append(&mut self, part: &'a Planned) -> Result<(), Failure> {
        match self.copy(part) {
            // Parts that it holds already make room.
            Err(Failure::Storage(error)) if is_full(&error) && !self.open.is_empty() => {
                self.settle()?;
                self.copy(part)?;
            }
            other => other?,
        }
        self.size = self.size.saturating_add(part.size);
        self.open.push(part);
        if self.open.iter().map(|part| part.size).sum::<u64>() >= STEP {
            self.settle()?;
        }
        Ok(())
    }

    /// Writes a part behind what belongs to it, over what does not.
    fn copy(&mut self, part: &Planned) -> Result<(), Failure> {
        let mut source = File::open(part_file(self.upload, part.number))?;
        self.file.set_len(self.size)?;
        self.file.seek(SeekFrom::Start(self.size))?;
        // The kernel copies, without a way through this process.
        let copied = io::copy(&mut source, &mut self.file)?;
        if copied == part.size { Ok(()) } else { Err(Failure::Lost) }
    }

    /// Puts on the disk what belongs to it, and removes the parts that it holds now.
    fn settle(&mut self) -> Result<(), Failure> {
        self.file.set_len(self.size)?;
        self.file.sync_all()?;
        for part in self.open.drain(..) {
            fs::remove_file(part_file(self.upload, part.number))?;
        }
        Ok(())
    }
}

/// The file of a part.
pub(super) fn part_file(upload: &Path, number: i32) -> PathBuf {
    upload.join(format!("part-{number}"))
}

/// The file that holds the parts together.
pub(super) fn whole_file(upload: &Path) -> PathBuf {
    upload.join("whole")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const SIZES: [usize; 5] = [3, 5, 7, 11, 2];

    /// An upload of five parts, and what it is all together.
    fn upload() -> (TempDir, Vec<CompletedPart>, Vec<u8>) {
        let folder = TempDir::new().unwrap();
        let (mut asked, mut whole) = (vec![], vec![]);
        for (number, size) in (1..).zip(SIZES) {
            let content = vec![b'a' + u8::try_from(number).unwrap(); size];
            let file = part_file(folder.path(), number);
            fs::write(&file, &content).unwrap();
            let e_tag = Some(etag(&fs::metadata(file).unwrap()));
            asked.push(CompletedPart { part_number: Some(number), e_tag, ..CompletedPart::default() });
            whole.extend(content);
        }
        (folder, asked, whole)
    }

    /// What a client gets that asks again after a crash.
    fn again(folder: &TempDir, asked: &[CompletedPart]) -> Option<Vec<u8>> {
        let plan = Plan::read(folder.path()).unwrap().expect("the plan was made");
        assert!(plan.is_for(asked));
        match plan.join(folder.path()) {
            Ok((whole, size)) => {
                let content = fs::read(whole).unwrap();
                assert_eq!(content.len() as u64, size);
                Some(content)
            }
            Err(Failure::Lost) => None,
            Err(Failure::Storage(error)) => panic!("{error}"),
        }
    }

    fn planned() -> (TempDir, Vec<CompletedPart>, Vec<u8>) {
        let (folder, asked, whole) = upload();
        Plan::make(folder.path(), &asked).unwrap().keep(folder.path()).unwrap();
        (folder, asked, whole)
    }

    /// All that a crash can leave: so many parts in the whole, of them so many removed, in any order, and behind them a
    /// part of the next one, or nonsense.
    #[test]
    fn a_join_goes_on_wherever_a_crash_came() {
        for held in 0..=SIZES.len() {
            for removed in 0..1_u32 << held {
                for torn in [0, 1, 100] {
                    let (folder, asked, whole) = planned();
                    if held > 0 {
                        fs::remove_file(part_file(folder.path(), 1)).unwrap();
                        let size: usize = SIZES.iter().take(held).sum();
                        fs::write(whole_file(folder.path()), [&whole[..size], &vec![b'?'; torn]].concat()).unwrap();
                    }
                    for number in (1..).take(held).filter(|number| removed >> (number - 1) & 1 == 1) {
                        let _ = fs::remove_file(part_file(folder.path(), number));
                    }
                    let content = again(&folder, &asked);
                    assert_eq!(content.as_deref(), Some(&*whole), "{held} held, {removed:b} removed, {torn} torn");
                }
            }
        }
    }

    #[test]
    fn what_does_not_add_up_is_given_up() {
        // It was completed, and the whole has another name.
        let (folder, asked, _) = planned();
        assert!(again(&folder, &asked).is_some());
        fs::remove_file(whole_file(folder.path())).unwrap();
        assert_eq!(again(&folder, &asked), None);
        // The whole lost what its parts were removed for.
        let (folder, asked, _) = planned();
        fs::write(whole_file(folder.path()), "b").unwrap();
        for number in 1..3 {
            fs::remove_file(part_file(folder.path(), number)).unwrap();
        }
        assert_eq!(again(&folder, &asked), None);
        // A part is another than it was.
        for content in ["", "longer than it was"] {
            let (folder, asked, _) = planned();
            fs::write(part_file(folder.path(), 3), content).unwrap();
            assert_eq!(again(&folder, &asked), None);
        }
    }

    #[test]
    fn a_plan_is_made_of_parts_that_are_there_in_their_order() {
        let (folder, asked, _) = upload();
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
