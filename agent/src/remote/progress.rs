//! A timeout for requests with large bodies: a request fails when no byte of it was sent for some time. The whole request
//! may take any time.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse};
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::{Body, Client, Request};
use tokio::time::{Instant, sleep_until, timeout};

/// The size of the pieces that a body is sent in, in bytes.
const PIECE: usize = 128 << 10;
/// How many bytes of a body kernels and libraries may hold that are not sent yet.
const BUFFERED: u64 = 4 << 20;
/// The slowest link on which those bytes are waited for, in bytes a second.
const SLOWEST: u64 = 64 << 10;

/// The error of a server that takes nothing more, or does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the server took nothing more, or did not answer what it took, for {} s", .0.as_secs())]
pub(crate) struct Stalled(Duration);

/// Sends a request. It fails if the connection takes no byte of the body for the time `stall`, or if no answer comes for so
/// long after the last byte.
pub(crate) async fn send(client: &Client, request: HttpRequest, stall: Duration) -> Result<HttpResponse, HttpError> {
    let (parts, body) = request.into_parts();
    let length = body.content_length();
    let url = parts.uri.to_string().parse().map_err(|error: url::ParseError| final_error(error.into()))?;
    let mut request = Request::new(parts.method, url);
    *request.headers_mut() = parts.headers;
    // A body in the form of a stream does not know its length.
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    let progress = Arc::new(Progress::new(stall, length as u64));
    *request.body_mut() = Some(Body::wrap_stream(noted(body, progress.clone())));
    let answer = tokio::select! {
        answer = client.execute(request) => http::Response::from(answer.map_err(of)?),
        () = progress.ends() => return Err(final_error(Stalled(stall).into())),
    };
    // What answers such a request is short.
    let (parts, body) = answer.into_parts();
    let body = timeout(stall, body.collect()).await.map_err(|_| final_error(Stalled(stall).into()))?;
    Ok(HttpResponse::from_parts(parts, body.map_err(of)?.to_bytes().into()))
}

/// The body in pieces. When the connection asks for a piece, the ones before it are on their way: that is noted as progress.
fn noted(body: HttpRequestBody, progress: Arc<Progress>) -> impl Stream<Item = Result<Bytes, HttpError>> {
    let whole = body.into_data_stream().flat_map(|frame| {
        let (frame, error) = frame.map_or_else(|error| (Bytes::new(), Some(error)), |frame| (frame, None));
        let pieces = stream::unfold(frame, |mut frame| async move {
            let piece = frame.split_to(PIECE.min(frame.len()));
            (!piece.is_empty()).then_some((Ok(piece), frame))
        });
        pieces.chain(stream::iter(error.map(Err)))
    });
    whole.inspect(move |piece| progress.taken(piece.as_ref().map_or(0, Bytes::len) as u64))
}

/// How far a request is.
struct Progress {
    stall: Duration,
    /// The bytes of the body that are left, and when the last were taken.
    state: Mutex<(u64, Instant)>,
    /// How long the last bytes may be on their way after they were taken.
    drain: Duration,
}

impl Progress {
    fn new(stall: Duration, length: u64) -> Self {
        let drain = Duration::from_secs(length.min(BUFFERED) / SLOWEST);
        Self { stall, state: Mutex::new((length, Instant::now())), drain }
    }

    fn taken(&self, bytes: u64) {
        let mut state = self.state();
        *state = (state.0.saturating_sub(bytes), Instant::now());
    }

    /// Returns once there was no progress for too long.
    async fn ends(&self) {
        loop {
            let (left, since) = *self.state();
            let until = since + self.stall + if left == 0 { self.drain } else { Duration::ZERO };
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, (u64, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error that the library does not retry by itself: `outage.rs` retries it, and shows that it does.
fn final_error(error: Box<dyn Error + Send + Sync>) -> HttpError {
    HttpError::new_boxed(HttpErrorKind::Unknown, error)
}

/// An error of the client, for the library.
fn of(error: reqwest::Error) -> HttpError {
    let kind = match &error {
        error if error.is_connect() => HttpErrorKind::Connect,
        error if error.is_redirect() => HttpErrorKind::Unknown,
        // Most often a connection that the server closed while nobody used it.
        _ => HttpErrorKind::Request,
    };
    HttpError::new(kind, error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_counts_from_the_last_piece_and_not_from_the_first() {
        let minute = Duration::from_secs(60);
        let ends = async |progress: Progress, pieces: u64, bytes: u64| {
            let (progress, began) = (Arc::new(progress), Instant::now());
            let ended = tokio::spawn({
                let progress = progress.clone();
                async move { progress.ends().await }
            });
            for _ in 0..pieces {
                tokio::time::sleep(minute / 2).await;
                progress.taken(bytes);
            }
            ended.await.unwrap();
            began.elapsed().as_secs()
        };
        let part = 8 << 20;
        assert_eq!(ends(Progress::new(minute, part), 0, 0).await, 60, "nothing is taken");
        assert_eq!(ends(Progress::new(minute, part), 100, 1 << 10).await, 50 * 60 + 60, "it is slow, and then stops");
        assert_eq!(
            ends(Progress::new(minute, part), 1, part).await,
            30 + 60 + 64,
            "what is buffered may be on its way"
        );
        assert_eq!(ends(Progress::new(minute, 256 << 10), 1, 256 << 10).await, 30 + 60 + 4);
    }
}
