//! Objects as files. The library's own file backend would not do: there, several writers can all be the first.
//!
//! ```text
//! <data>/lock                 held by the one process that may write
//! <data>/objects/<bucket>.<UID of its namespace>/…   objects, see `names`
//! <data>/uploads/<id>/…       uploads in parts, see `target`, `multipart`, `parts`, `plan` and `join`
//! <data>/drafts/<nonce>       what is being written
//! ```

mod body;
mod checksums;
mod conditions;
mod disk;
mod files;
mod folders;
mod join;
#[cfg(test)]
mod join_tests;
mod list;
mod multipart;
mod names;
mod parts;
mod plan;
mod s3;
mod slots;
mod syncs;
mod target;
mod usage;
mod volume;
mod windows;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use futures::StreamExt;
use s3s::dto::{CompletedPart, ETag, StreamingBlob};
use s3s::{S3Result, s3_error};

use body::Body;
use conditions::Condition;
use files::{Commits, Content, Draft};
use join::Joined;
use list::{Item, Query};
use multipart::{Completed, Uploads};
use usage::{Origin, Room};
use windows::Windows;

use crate::durable::sync;
use crate::keys::Namespace;

pub(crate) use checksums::{Expected, Sums};
pub use usage::Usage;

/// The largest page of a list, S3's own.
const PAGE: i32 = 1000;
/// How long an upload may lie before it is swept: where there is room, and where there is not.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
const ABANDONED_AND_IN_THE_WAY: Duration = Duration::from_secs(3600);
/// How long a draft may lie that nobody writes to.
const STALE: Duration = Duration::from_secs(3600);
/// The longest body that is read though it is refused, in bytes: a large part.
const READ_IN_VAIN: i64 = 64 << 20;
/// How long a client waits for an answer without a sign of life, at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The store's files.
#[derive(Clone, Debug)]
pub struct Backend {
    data: PathBuf,
    objects: PathBuf,
    drafts: PathBuf,
    uploads: Arc<Uploads>,
    commits: Arc<Commits>,
    usage: Arc<Usage>,
    windows: Arc<Windows>,
    answer_within: Duration,
    /// Kept as long as anything here may write.
    _lock: Arc<File>,
}

impl Backend {
    /// Opens a data folder for this process alone, and removes what a crash left half done. Each bucket may hold as many
    /// bytes as the quota says.
    ///
    /// # Errors
    /// Where it cannot be read or written, is another process's, or is on a volume that cannot keep promises.
    pub fn open(data: &Path, quota: Option<u64>) -> anyhow::Result<Self> {
        fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
        let lock = disk::claim(data)?;
        let folder = |name: &str| {
            let folder = data.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            anyhow::Ok(folder)
        };
        let (objects, uploads, drafts) = (folder("objects")?, folder("uploads")?, folder("drafts")?);
        sync(data).with_context(|| format!("{} cannot be put on the disk", data.display()))?;
        for draft in fs::read_dir(&drafts)? {
            fs::remove_file(draft?.path())?;
        }
        disk::probe(&drafts, &objects)?;
        let usage = Arc::new(Usage::new(quota, objects.clone(), uploads.clone()));
        let backend = Self {
            data: data.to_owned(),
            objects,
            drafts,
            uploads: Arc::new(Uploads::new(uploads, usage.clone())),
            commits: Arc::new(Commits::counted(usage.clone())),
            usage,
            windows: Arc::default(),
            answer_within: ANSWER_WITHIN,
            _lock: Arc::new(lock),
        };
        backend.uploads.sweep_remains()?;
        backend.sweep()?;
        Ok(backend)
    }

    /// Removes uploads that were abandoned, and drafts that nobody writes to. It blocks.
    ///
    /// # Errors
    /// Where the folders cannot be read.
    pub fn sweep(&self) -> io::Result<()> {
        self.sweep_at(SystemTime::now(), disk::is_tight(&self.data))
    }

    fn sweep_at(&self, now: SystemTime, is_tight: bool) -> io::Result<()> {
        self.uploads.sweep(now, if is_tight { ABANDONED_AND_IN_THE_WAY } else { ABANDONED })?;
        for draft in fs::read_dir(&self.drafts)? {
            let draft = draft?.path();
            if disk::unchanged_for(&draft, now).is_some_and(|age| age > STALE) {
                let _ = fs::remove_file(draft);
            }
        }
        Ok(())
    }

    /// What its buckets hold, where there is a quota.
    pub fn usage(&self) -> Arc<Usage> {
        self.usage.clone()
    }

    /// The folder of a namespace's objects.
    fn bucket(&self, namespace: &Namespace) -> PathBuf {
        self.objects.join(namespace.folder())
    }

    /// The folder of a namespace's objects, and the file of one.
    fn place(&self, namespace: &Namespace, key: &str) -> S3Result<Place> {
        let bucket = self.bucket(namespace);
        let file = names::file(&bucket, key)?;
        Ok(Place { bucket, file })
    }

    /// Does what blocks, beside what does not.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let own = self.clone();
        tokio::task::spawn_blocking(move || work(&own)).await.map_err(|error| s3_error!(error, InternalError))?
    }

    /// Room for a body. One that is refused is read all the same, if it is no longer than a part: a client whose
    /// connection breaks while it sends hears of no refusal.
    async fn admit(
        &self,
        body: Option<StreamingBlob>,
        length: Option<i64>,
        ask: impl FnOnce(&Self) -> S3Result<Room> + Send + 'static,
    ) -> S3Result<(Room, Option<StreamingBlob>)> {
        let asked = match self.usage.quota() {
            Some(_) => self.blocking(ask).await,
            None => self.usage.reserve("", None, 0),
        };
        match (asked, body) {
            (Ok(room), body) => Ok((room, body)),
            (Err(refusal), Some(mut body)) if length.is_some_and(|length| length <= READ_IN_VAIN) => {
                while let Some(Ok(_)) = body.next().await {}
                Err(refusal)
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// A draft with a body, on the disk, and its size. Where sums are expected, the body has them.
    async fn draft(&self, body: Body<StreamingBlob>) -> S3Result<(Draft, u64)> {
        let (draft, file) = self.blocking(|own| Draft::create(&own.drafts)).await?;
        let size = body.fill(file).await?;
        Ok((draft, size))
    }

    /// Room for a body that becomes an object. Who may not write, since the object is there, needs none.
    fn room(&self, bucket: &str, length: Option<i64>, place: &Place, condition: &Condition) -> S3Result<Room> {
        let replaced = match condition {
            Condition::Absent => 0,
            Condition::Always | Condition::Is(_) => usage::size(&place.file),
        };
        self.usage.reserve(bucket, length, replaced).or_else(|refusal| {
            self.commits.check(Path::new(""), &place.file, condition)?;
            Err(refusal)
        })
    }

    fn commit(&self, content: &Content<'_>, place: &Place, condition: &Condition) -> S3Result<ETag> {
        self.commits.commit(content, &place.file, &place.bucket, condition)
    }

    /// Makes an object of an upload's parts. One that was completed stays so.
    fn complete(&self, asked: &Completion) -> S3Result<Completed> {
        let Completion { id, bucket, key, parts, place, condition } = asked;
        if let Some(completed) = self.uploads.completed(id, bucket, key) {
            return Ok(completed);
        }
        let upload = self.uploads.find(id, bucket, key)?;
        // An object that is there already would be found too late.
        self.commits.check(&upload.whole()?.unwrap_or_default(), &place.file, condition)?;
        let Joined { file: whole, size, copied } = upload.join(parts)?;
        tracing::debug!(id, size, copied, "parts are put together");
        let sum = checksums::at(&whole);
        let content = Content { draft: &whole, size, origin: Origin::Upload(id) };
        let completed = Completed { e_tag: self.commit(&content, place, condition)?, sum };
        self.uploads.remember(id, bucket, key, &completed);
        if let Err(error) = upload.end() {
            tracing::warn!(id, %error, "a completed upload could not be removed: the next sweep will");
        }
        Ok(completed)
    }

    async fn page(
        &self,
        namespace: &Namespace,
        prefix: Option<String>,
        by_folder: bool,
        after: String,
        limit: i32,
    ) -> S3Result<(Vec<Item>, bool)> {
        let folder = self.bucket(namespace);
        let limit = usize::try_from(limit.clamp(0, PAGE)).unwrap_or_default();
        let prefix = prefix.unwrap_or_default();
        self.blocking(move |own| {
            list::page(&own.windows, &folder, &Query { prefix: &prefix, by_folder, after: &after, limit })
        })
        .await
    }
}

/// Where an object is.
#[derive(Clone, Debug)]
struct Place {
    bucket: PathBuf,
    file: PathBuf,
}

/// An upload that a client says is complete.
#[derive(Debug)]
struct Completion {
    id: String,
    bucket: String,
    key: String,
    parts: Vec<CompletedPart>,
    place: Place,
    condition: Condition,
}

#[cfg(feature = "testing")]
impl Backend {
    /// Answers with a sign of life at once, or later than usual.
    pub fn answer_within(&mut self, answer_within: Duration) {
        self.answer_within = answer_within;
    }

    /// Keeps all others from doing anything to an upload, as a long join does.
    pub async fn hold_upload(&self, id: &str) -> impl Drop + Send + 'static {
        self.uploads.turn(id).await
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[tokio::test]
    async fn what_nobody_goes_on_with_is_swept_sooner_where_it_is_in_the_way() {
        let data = TempDir::new().unwrap();
        let backend = Backend::open(data.path(), None).unwrap();
        let in_hours = |hours: u64| SystemTime::now() + Duration::from_secs(hours * 3600);
        let (uploads, drafts) = (data.path().join("uploads"), data.path().join("drafts"));
        let begin = || backend.uploads.begin("growth", "large").unwrap();
        let (_, draft) = (begin(), Draft::create(&drafts).unwrap().0);
        backend.sweep_at(in_hours(0), true).unwrap();
        assert!(draft.path().exists());
        backend.sweep_at(in_hours(2), false).unwrap();
        assert_eq!((names(&uploads).len(), draft.path().exists()), (1, false));
        backend.sweep_at(in_hours(2), true).unwrap();
        assert!(names(&uploads).is_empty());
        // Nothing is taken from whoever works on it, and what cannot be removed keeps nothing else.
        let held = begin();
        let turn = backend.uploads.turn(&held).await;
        fs::write(uploads.join("no-upload"), "").unwrap();
        for _ in 0..9 {
            begin();
        }
        backend.sweep_at(in_hours(25), false).unwrap();
        let mut left = names(&uploads);
        left.retain(|name| name != "no-upload");
        assert_eq!(left, [held]);
        drop(turn);
        backend.sweep_at(in_hours(25), false).unwrap();
        assert!(names(&uploads).iter().all(|name| name == "no-upload"));
    }

    #[test]
    fn a_start_removes_what_a_crash_left_half_done() {
        let data = TempDir::new().unwrap();
        let backend = Backend::open(data.path(), None).unwrap();
        let id = backend.uploads.begin("growth", "large").unwrap();
        drop(backend);
        fs::create_dir(data.path().join("uploads/half-begun")).unwrap();
        fs::write(data.path().join("drafts/half-written"), "half").unwrap();
        Backend::open(data.path(), None).unwrap();
        assert_eq!(names(&data.path().join("uploads")), [id]);
        assert!(names(&data.path().join("drafts")).is_empty());
    }
}
