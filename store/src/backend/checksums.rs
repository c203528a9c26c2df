//! Sums of contents, checked while they arrive. SHA-256 is kept beside a content as an attribute of its file, and given
//! back; MD5 (`Content-MD5`) is checked alone.
//!
//! Of an object that came in parts S3 has the sum of its parts' sums, with their number behind it.

use std::fs::File;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;
use s3s::dto::{ChecksumMode, ChecksumType};
use s3s::{S3Result, s3_error};

/// The attribute of a file.
const ATTRIBUTE: &str = "user.seatrial.sha256";
/// The longest sum in bytes: 44 letters of base64, a hyphen and the number of parts.
const LONGEST: usize = 64;

/// The bytes of an MD5.
const MD5_OUTPUT_LEN: usize = 16;

/// The sums that a client says its body has, each of which may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    sha256: Option<[u8; SHA256_OUTPUT_LEN]>,
    md5: Option<[u8; MD5_OUTPUT_LEN]>,
}

impl Expected {
    /// Of the values of `x-amz-checksum-sha256` and `Content-MD5`.
    ///
    /// # Errors
    /// Values that are no such sums: `InvalidRequest` and `InvalidDigest`.
    pub(crate) fn of(sha256: Option<&str>, md5: Option<&str>) -> S3Result<Self> {
        let sha256 = sha256.map(|header| {
            decode(header).ok_or_else(|| {
                s3_error!(InvalidRequest, "x-amz-checksum-sha256 is no SHA-256 in base64, but {header:?}")
            })
        });
        let md5 = md5.map(|header| {
            let message = "Content-MD5 is no MD5 in base64 (24 letters)";
            decode(header).ok_or_else(|| s3_error!(InvalidDigest, "{message}, but {header:?}"))
        });
        Ok(Self { sha256: sha256.transpose()?, md5: md5.transpose()? })
    }

    /// What computes the sums that are expected.
    pub(crate) fn start(self) -> Sums {
        let sha256 = self.sha256.map(|_| Context::new(&SHA256));
        Sums { expected: self, sha256, md5: self.md5.map(|_| Md5::new()) }
    }
}

/// Computes the sums of a body that is being read.
pub(crate) struct Sums {
    expected: Expected,
    sha256: Option<Context>,
    md5: Option<Md5>,
}

impl Sums {
    /// The next piece of the body.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(piece);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(piece);
        }
    }

    /// The body's SHA-256 in base64, if its client sent one.
    ///
    /// # Errors
    /// `BadDigest` where the body has another sum than its client says.
    pub(crate) fn check(self) -> S3Result<Option<String>> {
        let md5 = self.md5.map(|md5| <[u8; MD5_OUTPUT_LEN]>::from(md5.finalize()));
        if md5 != self.expected.md5 {
            let real = md5.map(|md5| BASE64_STANDARD.encode(md5)).unwrap_or_default();
            return Err(s3_error!(BadDigest, "the body's MD5 is {real}, not as Content-MD5 says: send it again"));
        }
        let (Some(expected), Some(sha256)) = (self.expected.sha256, self.sha256) else { return Ok(None) };
        let real = sha256.finish();
        let text = BASE64_STANDARD.encode(real);
        if real.as_ref() == expected {
            return Ok(Some(text));
        }
        Err(s3_error!(BadDigest, "the body's SHA-256 is {text}, not as x-amz-checksum-sha256 says: send it again"))
    }
}

/// Keeps a file's sum, or that there is none. It is on the disk once the file is. A volume without attributes keeps none.
pub(super) fn keep(file: &File, sum: Option<&str>) -> io::Result<()> {
    let kept = match sum {
        Some(sum) => fsetxattr(file, ATTRIBUTE, sum.as_bytes(), XattrFlags::empty()),
        None => fremovexattr(file, ATTRIBUTE),
    };
    match kept {
        Err(Errno::NOTSUP | Errno::NODATA) => Ok(()),
        other => Ok(other?),
    }
}

/// The sum of a file's content that was checked when it came, if one was.
pub(super) fn of(file: &File) -> Option<String> {
    let mut sum = [0; LONGEST];
    let length = fgetxattr(file, ATTRIBUTE, &mut sum).ok()?;
    std::str::from_utf8(sum.get(..length)?).ok().map(str::to_owned)
}

/// The sum of the file of a path.
pub(super) fn at(path: &Path) -> Option<String> {
    of(&File::open(path).ok()?)
}

/// The sum of a whole, by the sums of its parts. One without a sum leaves the whole without.
pub(super) fn composite<'a>(parts: impl ExactSizeIterator<Item = Option<&'a str>>) -> Option<String> {
    let count = parts.len();
    let mut whole = Context::new(&SHA256);
    for part in parts {
        whole.update(&decode::<SHA256_OUTPUT_LEN>(part?)?);
    }
    Some(format!("{}-{count}", BASE64_STANDARD.encode(whole.finish())))
}

/// True where a reader asks for the sum.
pub(super) fn is_wanted(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str().eq_ignore_ascii_case(ChecksumMode::ENABLED))
}

/// What a sum is of: the whole content, or the sums of its parts.
pub(super) fn kind(sum: &str) -> ChecksumType {
    ChecksumType::from_static(if sum.contains('-') { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT })
}

fn decode<const LENGTH: usize>(sum: &str) -> Option<[u8; LENGTH]> {
    BASE64_STANDARD.decode(sum).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// By `printf abc | openssl dgst -sha256 -binary | base64`.
    const ABC: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    /// By `printf abc | openssl dgst -md5 -binary | base64`.
    const ABC_MD5: &str = "kAFQmDzST7DWlj99KOF/cg==";

    fn check(sha256: Option<&str>, md5: Option<&str>, body: &str) -> Result<Option<String>, String> {
        let checked = Expected::of(sha256, md5).and_then(|expected| {
            let mut sums = expected.start();
            body.as_bytes().chunks(2).for_each(|piece| sums.update(piece));
            sums.check()
        });
        checked.map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_body_has_the_sums_that_its_client_says() {
        assert_eq!(check(None, None, "abc"), Ok(None));
        assert_eq!(check(Some(ABC), None, "abc"), Ok(Some(ABC.to_owned())));
        assert_eq!(check(None, Some(ABC_MD5), "abc"), Ok(None));
        assert_eq!(check(Some(ABC), Some(ABC_MD5), "abc"), Ok(Some(ABC.to_owned())));
        for (sha256, md5) in [(Some(ABC), None), (None, Some(ABC_MD5)), (Some(ABC), Some(ABC_MD5))] {
            assert_eq!(check(sha256, md5, "abd"), Err("BadDigest".to_owned()));
        }
        for text in ["", "abc", "YWJj", &ABC[1..], &ABC_MD5[1..]] {
            assert_eq!(check(Some(text), None, "abc"), Err("InvalidRequest".to_owned()), "{text}");
            assert_eq!(check(None, Some(text), "abc"), Err("InvalidDigest".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_whole_has_a_sum_if_all_its_parts_have_one() {
        // By `(printf abc | openssl dgst -sha256 -binary; …) | openssl dgst -sha256 -binary | base64`.
        let twice = composite([Some(ABC), Some(ABC)].into_iter()).unwrap();
        assert!(twice.ends_with("=-2") && kind(&twice).as_str() == "COMPOSITE", "{twice}");
        assert_eq!(kind(ABC).as_str(), "FULL_OBJECT");
        assert_eq!(composite([Some(ABC), None].into_iter()), None);
    }

    #[test]
    fn a_sum_stays_with_its_file() {
        let folder = TempDir::new().unwrap();
        let (path, renamed) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&path).unwrap();
        assert_eq!(of(&file), None);
        keep(&file, None).unwrap();
        keep(&file, Some(ABC)).unwrap();
        std::fs::rename(path, &renamed).unwrap();
        assert_eq!(at(&renamed).as_deref(), Some(ABC));
        keep(&file, None).unwrap();
        assert_eq!(at(&renamed), None);
    }
}
