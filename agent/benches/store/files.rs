//! The files that are transferred.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

pub(crate) const MIB: u64 = 1 << 20;

/// Files of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) files: u64,
    pub(crate) size: u64,
}

impl Load {
    pub(crate) fn bytes(self) -> u64 {
        self.files * self.size
    }

    pub(crate) fn name(self) -> String {
        let Self { files, size } = self;
        if size >= MIB { format!("{files} x {} MiB", size / MIB) } else { format!("{files} x {} KiB", size / 1024) }
    }

    /// Writes them: no two have the same content, and a thousand are in a folder.
    pub(crate) fn fill(self, folder: &Path) {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut block = vec![0_u8; usize::try_from(self.size.min(MIB)).unwrap()];
        for file in 0..self.files {
            let within = folder.join(format!("{:03}", file / 1000));
            fs::create_dir_all(&within).unwrap();
            let mut file = File::create(within.join(format!("{file:06}.bin"))).unwrap();
            let mut left = self.size;
            while left > 0 {
                for word in block.chunks_exact_mut(8) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    word.copy_from_slice(&state.to_le_bytes());
                }
                let piece = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                file.write_all(&block[..piece]).unwrap();
                left -= piece as u64;
            }
        }
    }

    /// Fails unless all of them are beneath a folder.
    pub(crate) fn must_be_in(self, folder: &Path, whose: &str) {
        assert_eq!(count(folder), (self.files, self.bytes()), "{whose} lost something in {}", folder.display());
    }
}

/// How many files there are beneath a folder, and how many bytes they have.
fn count(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (more_files, more_bytes) =
            if path.is_dir() { count(&path) } else { (1, fs::metadata(path).unwrap().len()) };
        files += more_files;
        bytes += more_bytes;
    }
    (files, bytes)
}
