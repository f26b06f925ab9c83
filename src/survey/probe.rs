//! One question: a connection, a hello, and the answer, within limits of bytes and time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{Answer, Progress, read};

/// The longest answer: a chain of large certificates is a tenth of it.
const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// What is read at once.
const PIECE_BYTES: usize = 16 * 1024;

/// What came of one question.
#[derive(Debug)]
pub(super) enum Reply {
    Chosen(Answer),
    /// An alert, with its number.
    Refused(u8),
    /// Closed without a word, as some servers refuse and as all do whose limits are reached.
    Closed,
    /// Nothing came in time.
    Silent,
    /// It could not be asked.
    Unreachable,
    /// No TLS.
    Garbage,
}

/// Asks once.
pub(super) async fn ask(address: SocketAddr, hello: &[u8], within: Duration) -> Reply {
    let mut stream = match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Reply::Unreachable,
        Err(_) => return Reply::Silent,
    };
    let mut seen = Vec::new();
    let exchange = async {
        if stream.write_all(hello).await.is_err() {
            return Reply::Closed;
        }
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            // A reset is an end like any other.
            let count = stream.read(&mut piece).await.unwrap_or(0);
            seen.extend_from_slice(piece.get(..count).unwrap_or_default());
            let is_over = count == 0 || seen.len() > ANSWER_BYTES_MAX;
            match read(&seen) {
                Progress::Done(answer) => return Reply::Chosen(answer),
                Progress::Refused(number) => return Reply::Refused(number),
                Progress::Garbage => return Reply::Garbage,
                Progress::More(Some(answer)) if is_over => return Reply::Chosen(answer),
                Progress::More(None) if is_over => return Reply::Closed,
                Progress::More(_) => {}
            }
        }
    };
    timeout(within, exchange).await.unwrap_or(Reply::Silent)
}
