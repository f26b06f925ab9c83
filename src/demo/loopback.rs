//! A small HTTP/1.1 server on the loopback interface, for the demo's API and page: limits, deadlines and a clean stop.
//!
//! It knows nothing of what it serves, and it never listens where another machine could reach it.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONNECTIONS_MAX: usize = 256;
const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Also how long a kept-alive connection may stay silent.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Loopback {
    /// Listens on `127.0.0.1`; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// The port cannot be had.
    pub async fn bind(port: u16) -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    }

    /// Serves `answer` on `listener`. `stopping` is what open-ended answers must watch.
    ///
    /// # Errors
    ///
    /// The listener has no address.
    pub fn serve<A, F, B>(listener: TcpListener, stopping: CancellationToken, answer: A) -> io::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let address = listener.local_addr()?;
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, stopping.clone(), tasks.clone(), answer));
        tasks.close();
        Ok(Self { address, stopping, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets open requests end, and returns when all is quiet.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn accept<A, F, B>(listener: TcpListener, stopping: CancellationToken, tasks: TaskTracker, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            () = stopping.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (stopping, answer) = (stopping.clone(), answer.clone());
        tasks.spawn(async move {
            let _place = place;
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, std::convert::Infallible>(answered.await) }
            });
            let mut connection = std::pin::pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_headers(HEADERS_MAX)
                    .max_buf_size(HEAD_BYTES_MAX)
                    .serve_connection(TokioIo::new(stream), service)
            );
            // How a connection ended is the peer's affair: whoever waits for an answer sees it there.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is too large")]
    TooLarge,
    #[error("the body came too slowly")]
    Slow,
    #[error("the body broke off")]
    Broken,
}

impl BodyError {
    /// What that means to the client.
    #[must_use]
    pub fn status(self) -> http::StatusCode {
        match self {
            BodyError::TooLarge => http::StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Slow => http::StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a whole body of at most `bytes_max` bytes.
///
/// # Errors
///
/// It is longer, too slow, or breaks off.
pub async fn read_at_most<B>(body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect());
    match whole.await {
        Err(_) => Err(BodyError::Slow),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_of_the_limit_passes_and_one_byte_more_does_not() {
        let body = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes()));
        assert_eq!(read_at_most(body("four"), 4).await, Ok(Bytes::from_static(b"four")));
        assert_eq!(read_at_most(body("fives"), 4).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn it_stops_when_told_and_listens_on_loopback_alone() {
        let listener = Loopback::bind(0).await.unwrap();
        let server = Loopback::serve(listener, CancellationToken::new(), |_| async {
            Response::new(Full::new(Bytes::from_static(b"here")))
        })
        .unwrap();
        assert!(server.address().ip().is_loopback());
        server.stop().await;
        assert!(tokio::net::TcpStream::connect(server.address()).await.is_err());
    }
}
