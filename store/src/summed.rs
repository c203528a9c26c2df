//! A body whose MD5 is checked before the library acts on what it read of it: it reads lists of keys whole, and does not
//! check them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method};
use hyper::body::{Body, Frame, SizeHint};
use s3s::{S3Error, S3Result, StdError};

use crate::backend::{Expected, Sums};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// The sums that a request says its body has, if it is one whose body the library reads whole: a list of keys to delete.
///
/// # Errors
/// `InvalidDigest` where what it says is no MD5.
pub(crate) fn expected(request: &Parts) -> S3Result<Expected> {
    let query = request.uri.query().unwrap_or_default();
    let is_list = request.method == Method::POST
        && url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "delete");
    let md5 = request.headers.get(CONTENT_MD5).filter(|_| is_list);
    // What is no text is no MD5, either.
    Expected::of(None, md5.map(|md5| md5.to_str().unwrap_or_default()))
}

/// Why a body was refused, once it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<Mutex<Option<S3Error>>>);

impl Refused {
    /// The error, of which the library knows no more than that there was one.
    pub(crate) fn take(&self) -> Option<S3Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that ends with an error where it has other sums than expected.
pub(crate) struct SummedBody<B> {
    body: B,
    /// Until they are checked.
    sums: Option<Sums>,
    refused: Refused,
}

impl<B: Body<Data = Bytes, Error = StdError> + Unpin> SummedBody<B> {
    pub(crate) fn new(body: B, expected: Expected, refused: Refused) -> Self {
        Self { body, sums: Some(expected.start()), refused }
    }

    fn check(&mut self) -> Result<(), StdError> {
        let checked = self.sums.take().map_or(Ok(None), Sums::check);
        checked.map(drop).map_err(|error| {
            *self.refused.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            "the body has another sum".into()
        })
    }
}

impl<B: Body<Data = Bytes, Error = StdError> + Unpin> Body for SummedBody<B> {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let own = self.get_mut();
        let poll = Pin::new(&mut own.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(sums)) = (&poll, &mut own.sums)
            && let Some(data) = frame.data_ref()
        {
            sums.update(data);
        }
        // Nobody asks again where this was the last piece.
        let is_over = matches!(poll, Poll::Ready(None)) || (poll.is_ready() && own.body.is_end_stream());
        match if is_over { own.check() } else { Ok(()) } {
            Ok(()) => poll,
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sums.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
