//! An issuer of keys over real TLS that does what a test tells it to: publish, be silent, break off, never end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::clock::now_seconds;
use countersign::edge::dev_certificates::make_dev;
use countersign::identity::{KeyMaterial, SigningKey};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::tls_server::acceptor;

/// What the issuer does with the next connection.
#[derive(Clone)]
pub enum Manner {
    /// 200 with this body.
    Publishes(String),
    /// These bytes, whatever they are.
    Says(String),
    /// 200, and a body without end.
    NeverEnds,
    /// Nothing, and the connection stays open.
    IsSilent,
    /// The connection is closed before TLS.
    IsGone,
}

pub struct Issuer {
    pub address: SocketAddr,
    /// For whoever trusts it.
    pub ca_pem: String,
    manner: Arc<Mutex<Manner>>,
    /// Requests that came, by their first line.
    asked: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicUsize>,
    /// Of its own: while a test waits for a gateway to start, its own runtime stands still.
    runtime: Option<Runtime>,
}

impl Issuer {
    pub async fn start(manner: Manner) -> Self {
        let certificates = make_dev(&[], now_seconds()).expect("certificates");
        let acceptor = acceptor(&certificates);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.spawn(TcpListener::bind("127.0.0.1:0")).await.expect("no panic").expect("a port");
        let address = listener.local_addr().expect("an address");
        let manner = Arc::new(Mutex::new(manner));
        let (asked, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        runtime.spawn({
            let (manner, asked, sent) = (Arc::clone(&manner), Arc::clone(&asked), Arc::clone(&sent));
            async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let manner = manner.lock().expect("unpoisoned").clone();
                    if matches!(manner, Manner::IsGone) {
                        continue;
                    }
                    let (acceptor, asked, sent) = (acceptor.clone(), Arc::clone(&asked), Arc::clone(&sent));
                    tokio::spawn(async move {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            drop(answer(tls, manner, &asked, &sent).await);
                        }
                    });
                }
            }
        });
        Self { address, ca_pem: certificates.ca_pem, manner, asked, sent, runtime: Some(runtime) }
    }

    pub async fn publishing(keys: &[(&str, &SigningKey)]) -> Self {
        Self::start(Manner::Publishes(set(keys))).await
    }

    pub fn now(&self, manner: Manner) {
        *self.manner.lock().expect("unpoisoned") = manner;
    }

    pub fn publish(&self, keys: &[(&str, &SigningKey)]) {
        self.now(Manner::Publishes(set(keys)));
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/jwks.json", self.address.port())
    }

    /// The first lines of the requests that came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }

    /// How many bytes of endless bodies the other side has taken.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    manner: Manner,
    asked: &Mutex<Vec<String>>,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("unpoisoned").push(line);
    match manner {
        Manner::Publishes(body) => stream.write_all(ok(&body).as_bytes()).await?,
        Manner::Says(text) => stream.write_all(text.as_bytes()).await?,
        Manner::NeverEnds => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
                sent.fetch_add(0x1000, Ordering::SeqCst);
            }
        }
        Manner::IsSilent | Manner::IsGone => std::future::pending().await,
    }
    stream.shutdown().await
}

/// A whole answer.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The document of a set of these keys.
pub fn set(keys: &[(&str, &SigningKey)]) -> String {
    json!({ "keys": keys.iter().map(|(kid, key)| jwk(kid, key)).collect::<Vec<_>>() }).to_string()
}

/// The public half of a key as a JWK without `alg`: RSA, P-256 or Ed25519.
pub fn jwk(kid: &str, key: &SigningKey) -> Value {
    let pem = pem(key);
    let digits: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(digits).expect("base64");
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).expect("a key");
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let bits: &[u8] = &info.subject_public_key.data;
    match info.parsed().expect("a key") {
        PublicKey::RSA(rsa) => {
            let modulus = rsa.modulus.strip_prefix(&[0]).unwrap_or(rsa.modulus);
            json!({"kty": "RSA", "kid": kid, "use": "sig", "n": encode(modulus), "e": encode(rsa.exponent)})
        }
        PublicKey::EC(_) => {
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": encode(&bits[1..33]), "y": encode(&bits[33..])})
        }
        PublicKey::Unknown(_) | PublicKey::DSA(_) | PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_) => {
            json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": encode(bits)})
        }
    }
}

/// The public half of a key as PEM.
pub fn pem(key: &SigningKey) -> String {
    let KeyMaterial::PublicKey(pem) = key.material().expect("material") else { panic!("a secret") };
    String::from_utf8(pem).expect("PEM")
}
