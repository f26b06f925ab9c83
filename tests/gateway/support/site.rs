//! Somebody's website over real TLS: it answers whatever a test wants, and remembers who asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use countersign::clock::{UnixSeconds, now_seconds};
use countersign::edge::dev_certificates::make_dev;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::tls_server::acceptor;

pub struct Site {
    pub address: SocketAddr,
    /// For whoever trusts it.
    pub ca_pem: String,
    asked: Arc<Mutex<Vec<String>>>,
    head: Arc<Mutex<String>>,
    /// Of its own, so that it answers while a test waits for a command.
    runtime: Option<Runtime>,
}

impl Site {
    /// A site with this name, whose certificate was made so many days ago (it is valid for 90), and which answers this head.
    pub fn start(name: &str, made_days_ago: i64, head: &str) -> Self {
        let made_at = UnixSeconds(now_seconds().0 - made_days_ago * 86_400);
        let certificates = make_dev(&[name.to_owned()], made_at).expect("certificates");
        let acceptor = acceptor(&certificates);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a socket");
        let (asked, head) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(head.to_owned())));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.spawn({
            let (asked, head) = (Arc::clone(&asked), Arc::clone(&head));
            async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((tcp, _)) = listener.accept().await {
                    let (acceptor, asked, head) = (acceptor.clone(), Arc::clone(&asked), Arc::clone(&head));
                    tokio::spawn(async move {
                        let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                        let mut request = Vec::new();
                        while !request.ends_with(b"\r\n\r\n") {
                            let Ok(byte) = tls.read_u8().await else { return };
                            request.push(byte);
                        }
                        asked.lock().expect("unpoisoned").push(String::from_utf8_lossy(&request).into_owned());
                        let answer = format!("{}\r\n\r\n", head.lock().expect("unpoisoned"));
                        drop(tls.write_all(answer.as_bytes()).await);
                        drop(tls.shutdown().await);
                    });
                }
            }
        });
        Self { address, ca_pem: certificates.ca_pem, asked, head, runtime: Some(runtime) }
    }

    /// From now on it answers this head.
    pub fn answers(&self, head: &str) {
        head.clone_into(&mut self.head.lock().expect("unpoisoned"));
    }

    /// The heads of the requests that came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
