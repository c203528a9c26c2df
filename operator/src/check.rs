//! `seatrial-operator check`: asks a running operator how it is.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks until the answer is 200.
pub(crate) async fn check(url: String, timeout: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let asked = url.clone();
        let ask = move || ureq::get(&asked).config().timeout_global(Some(timeout)).build().call();
        match tokio::task::spawn_blocking(ask).await? {
            Ok(answer) => {
                println!("{url} answers {}", answer.status());
                return Ok(());
            }
            Err(error) if Instant::now() + PAUSE >= deadline => bail!("{url} does not answer well: {error}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
