//! A link with latency: what comes on one side leaves on the other one later. It has no bound of bandwidth, no losses, and
//! no slow start. In this process rather than by `tc netem`, which many kernels lack and only root may use.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How much is read at once, and how many of these are on their way in one direction of a connection: 16 MiB.
const PIECE: usize = 64 << 10;
const PIECES: usize = 256;

/// A link to a server, for as long as it lives.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

impl Link {
    /// To the server behind an address. Half of the latency is added in each direction.
    pub(crate) fn to(server: SocketAddr, latency: Duration) -> Self {
        let runtime = super::runtime();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(connect(client, server, latency));
            }
        });
        Self { address, _runtime: runtime }
    }
}

async fn connect(client: TcpStream, server: SocketAddr, latency: Duration) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Before it sends anything, a client of a real link waits until it is connected.
    let connected = Instant::now() + latency;
    tokio::join!(
        carry(from_client, to_server, latency / 2, connected),
        carry(from_server, to_client, latency / 2, connected)
    );
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, connected: Instant) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        loop {
            let mut piece = vec![0; PIECE];
            let Ok(read @ 1..) = from.read(&mut piece).await else { return };
            piece.truncate(read);
            if send.send((Instant::now().max(connected) + delay, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, piece)) = receive.recv().await {
            sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
