//! What the store logs: its own lines. The protocol's library prints a request's query at `debug`, which may hold a
//! token, and at `error` a line for each object that is asked for and is not there.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Logs to standard error, as JSON, from this level on: one name, or one for each module.
pub fn start(level: &str) {
    let levels = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter_fn(is_ours)).with_filter(levels)).init();
}

/// Our own lines of every level, and warnings of libraries other than the one that prints requests.
fn is_ours(line: &Metadata<'_>) -> bool {
    let target = line.target();
    target.starts_with("seatrial_store") || (*line.level() <= Level::WARN && !target.starts_with("s3s"))
}
