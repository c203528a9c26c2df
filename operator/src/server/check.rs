//! `seatrial-operator check`: asks a running operator how it is.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many requests that get no answer fit into the timeout. A Service may send a connection to a pod that has just gone,
/// where no answer ever comes: the next connection reaches another.
const ASKINGS: u32 = 10;

/// Asks until the answer is 200.
///
/// # Errors
/// What the last asking met, when `timeout` has passed.
pub async fn check(url: String, timeout: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let asked = url.clone();
        let ask = move || ureq::get(&asked).config().timeout_global(Some(timeout / ASKINGS)).build().call();
        match tokio::task::spawn_blocking(ask).await? {
            Ok(answer) => {
                println!("{url} answers {}", answer.status());
                return Ok(());
            }
            Err(error) if Instant::now() + PAUSE >= deadline => bail!("{url} does not answer well: {error}"),
            Err(error) => println!("{url} does not answer well yet: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_nobody_answers_does_not_use_up_the_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (_silent, _) = listener.accept().unwrap();
            let (mut second, _) = listener.accept().unwrap();
            let _ = second.read(&mut [0; 4096]).unwrap();
            second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        check(url, Duration::from_secs(10)).await.unwrap();
    }
}
