//! Takes an artifact from a stream and puts it on disk: all of it verified, none of it outside the folder.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use seatrial_core::contract::{Digest, Entry, Hasher, Listing, MAX_LISTING_BYTES};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// The listing that an answer begins with, verified.
pub(crate) async fn listing(answer: &mut (dyn AsyncRead + Send + Unpin), digest: &Digest) -> anyhow::Result<Listing> {
    let length = answer.read_u64().await.context("the answer ended before the listing")?;
    if length > MAX_LISTING_BYTES {
        bail!("the listing has {length} bytes: no artifact of ours is as large");
    }
    let mut json = vec![];
    let read = answer.take(length).read_to_end(&mut json).await?;
    if u64::try_from(read).unwrap_or_default() != length {
        bail!("the answer ended within the listing");
    }
    if Digest::of(&json) != *digest {
        bail!("the listing is not what its digest {digest} says, but {}", Digest::of(&json));
    }
    // Refuses whatever path could leave the folder.
    Ok(Listing::parse(&json)?)
}

/// A folder that artifacts are put into.
pub(crate) struct Folder {
    path: PathBuf,
    /// Where they are until they are whole: beside it, so that moving copies nothing.
    partial: TempDir,
}

impl Folder {
    /// Looks whether the folder can take them, before anything is asked of a cluster.
    pub(crate) fn new(path: &Path, overwrite: bool) -> anyhow::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_dir() => bail!("{} is no folder: name another by --into", path.display()),
            Ok(_) if !overwrite && fs::read_dir(path)?.next().is_some() => {
                bail!("{} is not empty: name another folder by --into, or say --overwrite", path.display())
            }
            _ => {}
        }
        let path = std::path::absolute(path)?;
        let parent = path.parent().with_context(|| format!("{} is no folder for files", path.display()))?;
        fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        let partial = tempfile::Builder::new().prefix(".seatrial-").tempdir_in(parent);
        let partial = partial.with_context(|| format!("{} cannot be written to", parent.display()))?;
        Ok(Self { path, partial })
    }

    /// Takes the files of a listing, and puts them where they belong once all are verified.
    pub(crate) async fn take(
        self,
        answer: &mut (dyn AsyncRead + Send + Unpin),
        listing: &Listing,
    ) -> anyhow::Result<()> {
        let mut progress = Progress::new(listing.total_size());
        for entry in listing.entries() {
            let path = self.partial.path().join(&entry.path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            }
            receive(answer, &entry, &path, &mut progress).await?;
        }
        progress.end();
        make_folder(&self.path)?;
        for entry in listing.entries() {
            place(&self.partial.path().join(&entry.path), &self.path, &entry.path)?;
        }
        Ok(())
    }
}

/// Takes the files of a listing, verifies each, and keeps none.
pub(crate) async fn verify(answer: &mut (dyn AsyncRead + Send + Unpin), listing: &Listing) -> anyhow::Result<()> {
    let mut progress = Progress::new(listing.total_size());
    for entry in listing.entries() {
        copy(answer, &entry, &mut tokio::io::sink(), &mut progress).await?;
    }
    progress.end();
    Ok(())
}

/// One file.
async fn receive(
    answer: &mut (dyn AsyncRead + Send + Unpin),
    entry: &Entry,
    path: &Path,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let unwritten = || format!("{} cannot be written", path.display());
    let mut file = File::create_new(path).await.with_context(unwritten)?;
    copy(answer, entry, &mut file, progress).await?;
    file.flush().await.with_context(unwritten)
}

/// The content of one, verified.
async fn copy(
    answer: &mut (dyn AsyncRead + Send + Unpin),
    entry: &Entry,
    into: &mut (dyn AsyncWrite + Send + Unpin),
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let (mut hasher, mut left, mut piece) = (Hasher::new(), entry.size, vec![0; PIECE]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = answer.read(piece.get_mut(..most).unwrap_or_default()).await?;
        let content = piece.get(..read).filter(|content| !content.is_empty());
        let content = content.with_context(|| format!("the answer ended within {}", entry.path))?;
        hasher.update(content);
        into.write_all(content).await.with_context(|| format!("{} cannot be written", entry.path))?;
        let read = u64::try_from(read).unwrap_or_default();
        left -= read;
        progress.add(read);
    }
    if hasher.digest().hex() != entry.sha256 {
        bail!("{} is not what its digest says: it was damaged on the way or in the store", entry.path);
    }
    Ok(())
}

/// Moves a file to its place beneath a folder. What lies there is replaced, links are not followed.
fn place(from: &Path, folder: &Path, name: &str) -> anyhow::Result<()> {
    let mut to = folder.to_owned();
    let mut names = name.split('/').peekable();
    while let Some(name) = names.next() {
        to.push(name);
        if names.peek().is_some() {
            make_folder(&to)?;
        }
    }
    fs::rename(from, &to).with_context(|| format!("{} cannot be put there", to.display()))
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => bail!("{} is a link or a file, where the artifact has a folder: remove it", path.display()),
        Err(_) => fs::create_dir(path).with_context(|| format!("{} cannot be made", path.display())),
    }
}

/// How far it is, for people at a terminal.
struct Progress {
    done: u64,
    total: u64,
    shown: Option<Instant>,
}

impl Progress {
    fn new(total: u64) -> Self {
        Self { done: 0, total, shown: std::io::stderr().is_terminal().then(Instant::now) }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if let Some(shown) = &mut self.shown
            && shown.elapsed().as_millis() >= 200
        {
            *shown = Instant::now();
            eprint!("\r{} of {} MiB", self.done >> 20, self.total >> 20);
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 2] = [("a/b", "large"), ("c", "small")];

    fn made() -> Listing {
        let entry = |(path, content): (&str, &str)| Entry {
            path: path.into(),
            size: content.len() as u64,
            sha256: Digest::of(content.as_bytes()).hex().into(),
        };
        Listing::new(FILES.map(entry).to_vec()).unwrap()
    }

    fn sent(json: &[u8]) -> Vec<u8> {
        [&(json.len() as u64).to_be_bytes(), json, b"largesmall"].concat()
    }

    async fn get(answer: &[u8], digest: &Digest, into: &Path, overwrite: bool) -> anyhow::Result<()> {
        let folder = Folder::new(into, overwrite)?;
        let mut answer = answer;
        let listing = listing(&mut answer, digest).await?;
        folder.take(&mut answer, &listing).await
    }

    #[tokio::test]
    async fn files_arrive_in_a_new_folder_and_nothing_else() {
        let folder = TempDir::new().unwrap();
        let into = folder.path().join("new/out");
        get(&sent(&made().canonical_json()), &made().digest(), &into, false).await.unwrap();
        assert_eq!(fs::read_to_string(into.join("a/b")).unwrap(), "large");
        assert_eq!(fs::read_to_string(into.join("c")).unwrap(), "small");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_is_damaged_or_cut_leaves_nothing() {
        let folder = TempDir::new().unwrap();
        let into = folder.path().join("out");
        let whole = sent(&made().canonical_json());
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() = b'!';
        let escaping = br#"[{"path":"../x","size":1,"sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}]"#;
        for (answer, digest, expected) in [
            (damaged.as_slice(), made().digest(), "c is not what its digest says"),
            (&whole[..whole.len() - 1], made().digest(), "ended within c"),
            (&whole[..20], made().digest(), "within the listing"),
            (&[], made().digest(), "before the listing"),
            (&whole, Digest::of(b"other"), "is not what its digest"),
            (&sent(escaping), Digest::of(escaping), "\"../x\" is not allowed"),
            (&u64::MAX.to_be_bytes(), made().digest(), "no artifact of ours"),
        ] {
            let error = get(answer, &digest, &into, false).await.unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{expected}: {error:#}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{expected}");
        }
    }

    #[tokio::test]
    async fn a_folder_with_files_is_left_alone_unless_told() {
        let folder = TempDir::new().unwrap();
        let (into, outside) = (folder.path().join("out"), folder.path().join("outside"));
        for path in [&into, &outside] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("c"), "own").unwrap();
        }
        fs::write(into.join("kept"), "own").unwrap();
        let answer = sent(&made().canonical_json());
        let error = get(&answer, &made().digest(), &into, false).await.unwrap_err();
        assert!(error.to_string().contains("--overwrite"), "{error}");
        // A link in the place of a folder is not followed; one in the place of a file is replaced.
        std::os::unix::fs::symlink(&outside, into.join("a")).unwrap();
        let error = get(&answer, &made().digest(), &into, true).await.unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        fs::remove_file(into.join("a")).unwrap();
        fs::remove_file(into.join("c")).unwrap();
        std::os::unix::fs::symlink(outside.join("c"), into.join("c")).unwrap();
        get(&answer, &made().digest(), &into, true).await.unwrap();
        let texts =
            [into.join("c"), into.join("kept"), outside.join("c")].map(|path| fs::read_to_string(path).unwrap());
        assert_eq!(texts, ["small", "own", "own"]);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
