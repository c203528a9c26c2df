//! Timeouts for clients that stop sending or receiving, such as one whose node died.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::StdError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::Limits;

/// Measures how long one side waits for the other.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    is_waiting: bool,
    end: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self { limit, is_waiting: false, end: Box::pin(tokio::time::sleep(limit)) }
    }

    /// The other side did something, or the wait goes on: true once it was too long.
    fn is_over<T>(&mut self, poll: &Poll<T>, context: &mut Context<'_>) -> bool {
        if poll.is_ready() {
            self.is_waiting = false;
            return false;
        }
        if !self.is_waiting {
            // From now on: while nobody asked, nobody was waited for.
            self.is_waiting = true;
            self.end.as_mut().reset(Instant::now() + self.limit);
        }
        self.end.as_mut().poll(context).is_ready()
    }
}

/// A request's body, which ends with an error where its next piece does not come.
#[derive(Debug)]
pub(crate) struct PatientBody {
    body: Incoming,
    patience: Patience,
}

impl PatientBody {
    pub(crate) fn new(body: Incoming, limit: Duration) -> Self {
        Self { body, patience: Patience::new(limit) }
    }
}

impl Body for PatientBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let own = self.get_mut();
        let poll = Pin::new(&mut own.body).poll_frame(context);
        if own.patience.is_over(&poll, context) {
            return Poll::Ready(Some(Err("the client sent nothing more".into())));
        }
        poll.map(|frame| frame.map(|frame| frame.map_err(StdError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that ends with an error where the client takes nothing.
#[derive(Debug)]
pub(crate) struct PatientStream<S> {
    stream: S,
    patience: Patience,
}

impl<S> PatientStream<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, patience: Patience::new(limit) }
    }

    fn bounded<T>(&mut self, poll: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.patience.is_over(&poll, context) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing more")));
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let poll = Pin::new(&mut own.stream).poll_write(context, bytes);
        own.bounded(poll, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let poll = Pin::new(&mut own.stream).poll_write_vectored(context, pieces);
        own.bounded(poll, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let poll = Pin::new(&mut own.stream).poll_flush(context);
        own.bounded(poll, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let poll = Pin::new(&mut own.stream).poll_shutdown(context);
        own.bounded(poll, context)
    }
}

/// Whether a connection has requests under way, and since when it has none.
#[derive(Debug)]
pub(crate) struct Activity {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    requests: usize,
    since: Instant,
    had_any: bool,
}

impl Activity {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::new(State { requests: 0, since: Instant::now(), had_any: false }) })
    }

    /// A request is under way until what this gives is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> Busy {
        self.change(|state| {
            state.requests = state.requests.saturating_add(1);
            state.had_any = true;
        });
        Busy(self.clone())
    }

    /// Waits until there was no request for too long.
    pub(crate) async fn idle(&self) {
        loop {
            let now = Instant::now();
            let until = self.change(|state| match (state.requests, state.had_any) {
                (0, false) => state.since + self.limits.first,
                (0, true) => state.since + self.limits.idle,
                _ => now + self.limits.idle,
            });
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.requests = state.requests.saturating_sub(1);
            state.since = Instant::now();
        });
    }
}

/// An answer's body; its request is under way until it was sent.
#[derive(Debug)]
pub(crate) struct BusyBody {
    body: s3s::Body,
    _request: Busy,
}

impl BusyBody {
    pub(crate) fn new(body: s3s::Body, request: Busy) -> Self {
        Self { body, _request: request }
    }
}

impl Body for BusyBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
