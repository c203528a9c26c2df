//! SHA-256 of contents: checked while they arrive, kept beside them as an attribute of their file, and given back.
//!
//! Of an object that came in parts S3 has the sum of its parts' sums, with their number behind it.

use std::fs::File;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;
use s3s::dto::{ChecksumMode, ChecksumType};
use s3s::{S3Result, s3_error};

/// The attribute of a file.
const ATTRIBUTE: &str = "user.seatrial.sha256";
/// The longest sum in bytes: 44 letters of base64, a hyphen and the number of parts.
const LONGEST: usize = 64;

/// The sum that a client says its body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected([u8; SHA256_OUTPUT_LEN]);

impl Expected {
    /// Of a request's header.
    pub(super) fn of(header: Option<&str>) -> S3Result<Option<Self>> {
        let Some(header) = header else { return Ok(None) };
        match decode(header) {
            Some(sum) => Ok(Some(Self(sum))),
            None => Err(s3_error!(InvalidRequest, "x-amz-checksum-sha256 is no SHA-256 in base64: {header:?}")),
        }
    }

    /// Fails where the body had another sum.
    pub(super) fn check(self, body: Context) -> S3Result<String> {
        let real = body.finish();
        if real.as_ref() == self.0 {
            return Ok(BASE64_STANDARD.encode(self.0));
        }
        let real = BASE64_STANDARD.encode(real);
        Err(s3_error!(BadDigest, "the body's SHA-256 is {real}, not as x-amz-checksum-sha256 says: send it again"))
    }
}

/// What reads a body whose sum is to be checked.
pub(super) fn start() -> Context {
    Context::new(&SHA256)
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
    let mut whole = start();
    for part in parts {
        whole.update(&decode(part?)?);
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

fn decode(sum: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    BASE64_STANDARD.decode(sum).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// By `printf abc | openssl dgst -sha256 -binary | base64`.
    const ABC: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn a_body_has_the_sum_that_its_client_says() {
        let expected = Expected::of(Some(ABC)).unwrap().unwrap();
        let read = |body: &[u8]| {
            let mut context = start();
            context.update(body);
            context
        };
        assert_eq!(expected.check(read(b"abc")).unwrap(), ABC);
        assert_eq!(expected.check(read(b"abd")).unwrap_err().code().as_str(), "BadDigest");
        assert_eq!(Expected::of(None).unwrap(), None);
        for text in ["", "abc", "YWJj", &ABC[1..]] {
            assert_eq!(Expected::of(Some(text)).unwrap_err().code().as_str(), "InvalidRequest", "{text}");
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
