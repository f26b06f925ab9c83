//! An upstream that knows no HTTP library: it keeps every byte that it got, and answers each request that it can make out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A backend on a port of its own.
pub struct RawUpstream {
    pub address: SocketAddr,
    /// By connection.
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl RawUpstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                let connection = {
                    let mut log = log.lock().expect("unpoisoned");
                    log.push(Vec::new());
                    log.len() - 1
                };
                tokio::spawn(async move {
                    let (mut buffer, mut answered) = ([0; 4096], 0);
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        let whole = {
                            let mut log = log.lock().expect("unpoisoned");
                            log[connection].extend_from_slice(&buffer[..count]);
                            cut(&log[connection]).0.len()
                        };
                        for _ in answered..whole {
                            let answer =
                                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                            if stream.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                        answered = whole;
                    }
                });
            }
        });
        Self { address, received, task }
    }

    /// Every request, head and body, as text. Panics where there is any byte that belongs to none, or a head says more than one thing.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let connections = self.received.lock().expect("unpoisoned").clone();
        let mut all = Vec::new();
        for bytes in &connections {
            let (requests, rest) = cut(bytes);
            assert!(rest.is_empty(), "bytes of no request: {:?}", String::from_utf8_lossy(rest));
            for request in requests {
                let text = String::from_utf8(request.to_vec()).expect("text");
                let (head, _) = text.split_once("\r\n\r\n").expect("a head");
                assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']), "{head:?}");
                let lower = head.to_ascii_lowercase();
                for name in ["content-length", "host", "content-type"] {
                    assert!(lower.matches(&format!("\r\n{name}:")).count() <= 1, "{name} twice: {head}");
                }
                assert!(!lower.contains("\r\ntransfer-encoding"), "{head}");
                all.push(text);
            }
        }
        all
    }
}

/// The whole requests at the beginning, and what follows them. As strict as can be: `Content-Length` is the only framing that it knows.
fn cut(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut requests = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |value| value.trim().parse().expect("a length"));
        if bytes.len() < end + 4 + length {
            break;
        }
        let (request, rest) = bytes.split_at(end + 4 + length);
        requests.push(request);
        bytes = rest;
    }
    (requests, bytes)
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
