//! The attribute API behind every proxy: reads each request whole and answers with the same bytes. Its CPU is not counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::http1::Reader;

/// About 200 bytes, with what a `ping` wants to see.
const ANSWER: &str = concat!(
    r#"{"user":{"role":"user_role","id":"5f1e2d3c4b5a69788796a5b4","anonymous_id":"22222222-3333-4444-8555-666666666666"},"#,
    r#""anonymous_session":"c2Vzc2lvbi1mb3ItYS1iZW5jaG1hcms","identity_verified":true,"modules":{}}"#
);

/// A backend on a port of its own. It runs on the load's thread, which stays [awake](super::load::awake) for both.
pub struct Backend {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answered: AtomicU64,
    last_body: Mutex<Vec<u8>>,
}

impl Backend {
    pub fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        tokio::spawn(serve(TcpListener::from_std(listener)?, Arc::clone(&shared)));
        Ok(Self { address, shared })
    }

    /// How many requests arrived until now.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// The body that arrived last.
    pub fn last_body(&self) -> Vec<u8> {
        self.shared.last_body.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer_all(stream, Arc::clone(&shared)));
    }
}

async fn answer_all(stream: TcpStream, shared: Arc<Shared>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let mut reader = Reader::new(stream);
    let mut head = String::new();
    while let Some(message) = reader.read(&mut head).await? {
        *shared.last_body.lock().unwrap_or_else(PoisonError::into_inner) = message.body;
        // Before the answer, so that whoever has all answers finds all of them counted.
        shared.answered.fetch_add(1, Ordering::Relaxed);
        reader.stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
