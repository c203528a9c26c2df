//! What a store sends.

use bytes::Bytes;
use futures::stream::BoxStream;

/// A file, or what was asked of it, as it comes in.
pub(crate) struct Answer {
    /// Where in the file the pieces begin.
    pub(crate) offset: u64,
    /// The size of the whole file, where the server says.
    pub(crate) total: Option<u64>,
    /// The tag of this version.
    pub(crate) tag: Option<String>,
    pub(crate) pieces: BoxStream<'static, Result<Bytes, String>>,
}
