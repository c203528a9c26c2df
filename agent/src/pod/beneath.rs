//! Opens files beneath a folder of the pod's volume, and refuses links that lead out of it.
//!
//! The user's code may write to the volume while this process, which holds credentials, reads from it. So nothing is
//! opened by a whole path: the volume's root is a mount point that nobody can put a link in place of; from there the
//! kernel resolves names beneath a descriptor and refuses links of every kind, in every part of a name and at the
//! moment of opening. What is opened is looked at before it is read: a pipe or a device is no data, and is never
//! waited for.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

/// For all that is opened: not handed on to other programs, and not waited for where it is a pipe.
const ALWAYS: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NONBLOCK).union(OFlag::O_NOFOLLOW).union(OFlag::O_NOCTTY);

/// An open folder.
#[derive(Debug)]
pub(crate) struct Beneath {
    folder: OwnedFd,
    /// What it is called, for people.
    pub(crate) path: PathBuf,
}

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Other,
}

impl Beneath {
    /// The volume itself: the one folder that is opened by its path.
    pub(crate) fn volume(path: &Path) -> io::Result<Self> {
        let folder = open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self { folder, path: path.to_path_buf() })
    }

    /// A folder beneath this one.
    pub(crate) fn folder(&self, name: &Path) -> io::Result<Self> {
        let folder = self.open(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        Ok(Self { folder, path: self.path.join(name) })
    }

    /// A regular file beneath this folder, for reading.
    pub(crate) fn file(&self, name: &Path) -> io::Result<File> {
        self.regular(name, OFlag::O_RDONLY)
    }

    /// A regular file beneath this folder; `how` says for what.
    pub(crate) fn regular(&self, name: &Path, how: OFlag) -> io::Result<File> {
        let file = File::from(self.open(name, how)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is a link or a special file, no regular file"));
        }
        Ok(file)
    }

    /// Whether there is anything of this name directly in the folder.
    pub(crate) fn has(&self, name: &str) -> bool {
        fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// What the kernel knows of the folder.
    pub(crate) fn stat(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.folder)?)
    }

    /// Calls `each` with every name directly in the folder.
    pub(crate) fn for_each<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(&OsStr, Kind) -> Result<(), E>,
    ) -> Result<(), E> {
        use std::os::unix::ffi::OsStrExt;
        // A descriptor of its own: reading moves its position.
        let again = self.open(Path::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut entries = Dir::from_fd(again).map_err(io::Error::from)?;
        for entry in entries.iter() {
            let entry = entry.map_err(io::Error::from)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                Some(Type::File) => Kind::File,
                Some(Type::Directory) => Kind::Folder,
                Some(_) => Kind::Other,
                // Some file systems do not say.
                None => self.kind(name)?,
            };
            each(name, kind)?;
        }
        Ok(())
    }

    fn kind(&self, name: &OsStr) -> io::Result<Kind> {
        let stat = fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Folder,
            _ => Kind::Other,
        })
    }

    fn open(&self, name: &Path, how: OFlag) -> io::Result<OwnedFd> {
        match resolved_by_the_kernel(&self.folder, name, how) {
            // Kernels before 5.6 lack the call, and the filters of old container runtimes forbid what they do not know.
            Err(Errno::ENOSYS | Errno::EPERM) => Ok(part_by_part(&self.folder, name, how)?),
            opened => Ok(opened?),
        }
    }
}

fn resolved_by_the_kernel(folder: impl AsFd, name: &Path, how: OFlag) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(folder, name, OpenHow::new().flags(how | ALWAYS).mode(mode(how)).resolve(resolve))
}

/// The same by older means: each part of the name is opened beneath the one before, and none may be a link.
fn part_by_part(folder: impl AsFd, name: &Path, how: OFlag) -> nix::Result<OwnedFd> {
    let mut parts = name.components().peekable();
    let mut above: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        let part = match part {
            Component::Normal(part) => part,
            Component::CurDir => OsStr::new("."),
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return Err(Errno::EXDEV),
        };
        let is_last = parts.peek().is_none();
        let how = if is_last { how } else { OFlag::O_PATH | OFlag::O_DIRECTORY };
        let beneath = above.as_ref().map_or_else(|| folder.as_fd(), AsFd::as_fd);
        let opened = openat(beneath, part, how | ALWAYS, mode(how))?;
        if is_last {
            return Ok(opened);
        }
        above = Some(opened);
    }
    Err(Errno::ENOENT)
}

/// The mode of what is made; the kernel refuses one where nothing is.
fn mode(how: OFlag) -> Mode {
    if how.contains(OFlag::O_CREAT) { Mode::from_bits_truncate(0o644) } else { Mode::empty() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use nix::unistd::mkfifo;
    use tempfile::TempDir;

    use super::*;

    type Open = fn(&Beneath, &Path, OFlag) -> nix::Result<OwnedFd>;

    /// Both ways of opening keep to the folder.
    const WAYS: [Open; 2] = [
        |beneath, name, how| resolved_by_the_kernel(&beneath.folder, name, how),
        |beneath, name, how| part_by_part(&beneath.folder, name, how),
    ];

    #[test]
    fn files_are_opened_beneath_the_folder_and_through_no_link() {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("folder/a/b")).unwrap();
        fs::write(root.path().join("folder/a/b/c"), "good").unwrap();
        fs::write(root.path().join("token"), "secret").unwrap();
        symlink("../token", root.path().join("folder/link")).unwrap();
        symlink("..", root.path().join("folder/up")).unwrap();
        symlink("a/b", root.path().join("folder/inner")).unwrap();
        symlink("/proc/self", root.path().join("folder/self")).unwrap();
        let folder = Beneath::volume(root.path()).unwrap().folder(Path::new("folder")).unwrap();
        for open in WAYS {
            let mut text = String::new();
            let good = open(&folder, Path::new("a/b/c"), OFlag::O_RDONLY).unwrap();
            File::from(good).read_to_string(&mut text).unwrap();
            assert_eq!(text, "good");
            let token = root.path().join("token");
            for name in ["link", "up/token", "inner/c", "../token", "self/environ", "a/../a/b/c/..", ""] {
                assert!(open(&folder, Path::new(name), OFlag::O_RDONLY).is_err(), "{name}");
            }
            assert!(open(&folder, &token, OFlag::O_RDONLY).is_err(), "an absolute path");
        }
    }

    /// Between the walk and the read, a folder becomes a link to where secrets are.
    #[test]
    fn a_folder_that_is_swapped_for_a_link_is_not_followed() {
        let root = TempDir::new().unwrap();
        for folder in ["output/d", "secrets"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("token"), folder).unwrap();
        }
        let output = Beneath::volume(root.path()).unwrap().folder(Path::new("output")).unwrap();
        fs::rename(root.path().join("output/d"), root.path().join("output/aside")).unwrap();
        symlink(root.path().join("secrets"), root.path().join("output/d")).unwrap();
        for open in WAYS {
            assert!(open(&output, Path::new("d/token"), OFlag::O_RDONLY).is_err());
        }
    }

    #[test]
    fn pipes_are_refused_and_not_waited_for() {
        let root = TempDir::new().unwrap();
        mkfifo(&root.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let folder = Beneath::volume(root.path()).unwrap();
        let error = folder.file(Path::new("pipe")).unwrap_err();
        assert!(error.to_string().contains("special file"), "{error}");
        assert!(folder.file(Path::new(".")).is_err());
    }
}
