//! The pod's shared volume, wherever it is mounted.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use seatrial_core::contract::paths;

use crate::error::AgentError;
use crate::pod::beneath::Beneath;

/// The volume's root.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    root: PathBuf,
}

impl Volume {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a path of the contract, beneath [`paths::ROOT`], really is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new(path).strip_prefix(paths::ROOT).map_or_else(|_| PathBuf::from(path), |inner| self.root.join(inner))
    }

    /// The same, as a name beneath the volume.
    pub(crate) fn relative(path: &str) -> PathBuf {
        Path::new(path).strip_prefix(paths::ROOT).unwrap_or(Path::new(path)).to_path_buf()
    }

    /// The volume, for opening what is not trusted.
    pub(crate) fn beneath(&self) -> Result<Beneath, AgentError> {
        Beneath::volume(&self.root)
            .map_err(|error| AgentError::internal(format!("{} cannot be opened: {error}", self.root.display())))
    }

    /// The bytes of the file system that are free, and all that it has.
    pub(crate) fn free_and_total_bytes(&self) -> Result<(u64, u64), AgentError> {
        let space = statvfs(&self.root)
            .map_err(|error| AgentError::internal(format!("{} cannot be measured: {error}", self.root.display())))?;
        #[expect(clippy::useless_conversion, reason = "the width of these fields differs between platforms")]
        let (free, total) = (u64::from(space.blocks_available()), u64::from(space.blocks()));
        let size = space.fragment_size();
        Ok((free.saturating_mul(size), total.saturating_mul(size)))
    }

    /// What the user's container needs: the program that runs its command, the lock, and folders that any user may
    /// write to.
    pub(crate) fn prepare(&self, exec: &Path) -> Result<(), AgentError> {
        let program = self.path(paths::EXEC);
        for folder in [program.parent(), Some(&self.path(paths::STATE))].into_iter().flatten() {
            make_folder(folder, 0o755)?;
        }
        // Under another name first: a fetch that is started again must not write to a program that is in use.
        let draft = program.with_extension("new");
        let copied =
            fs::copy(exec, &draft).and_then(|_| set_mode(&draft, 0o755)).and_then(|()| fs::rename(&draft, &program));
        copied.map_err(|error| AgentError::writing(&program, &error))?;
        // Sticky: who may write to it must not rename or replace the lock, which is ours.
        set_mode(&self.path(paths::STATE), 0o1777).map_err(|error| AgentError::writing(&self.root, &error))?;
        let lock = self.path(paths::LOCK);
        File::options()
            .create(true)
            .append(true)
            .open(&lock)
            .and_then(|_| set_mode(&lock, 0o666))
            .map_err(|error| AgentError::writing(&lock, &error))?;
        // Open, and sticky as well: `exec` makes the outputs' folders in it as the command's user.
        make_folder(&self.path(paths::OUTPUTS), 0o1777)
    }
}

impl Volume {
    /// Says that nothing needs to be read of what `fetch` brought, or, of an earlier start of this container, does not.
    pub(crate) fn say_unchanged(&self, is_unchanged: bool) -> Result<(), AgentError> {
        let file = self.path(paths::UNCHANGED);
        let said = match is_unchanged {
            true => File::create(&file).map(|_| ()),
            false => match fs::remove_file(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
        };
        said.map_err(|error| AgentError::writing(&file, &error))
    }

    /// Whether `fetch` said so.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.path(paths::UNCHANGED).exists()
    }
}

/// Makes a folder and those above it, of this mode whatever the umask says.
pub(crate) fn make_folder(folder: &Path, mode: u32) -> Result<(), AgentError> {
    let made = fs::create_dir_all(folder).and_then(|()| set_mode(folder, mode));
    made.map_err(|error| AgentError::writing(folder, &error))
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}
