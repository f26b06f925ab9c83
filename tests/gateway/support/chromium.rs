//! A real browser: Chromium without a window, before pages of the test's own on many hosts, all of them on loopback.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::gateway::TestGateway;

/// A browser on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

/// The host of the gateway in every test: of one site with `app.acme.example`.
pub const CHAT: &str = "chat.acme.example";

/// The hosts for which the gateway and the pages have a certificate.
pub const HOSTS: [&str; 4] = [CHAT, "app.acme.example", "shop.other.example", "evil.foreign.example"];

struct Chromium {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Chromium {
    fn open(url: &str, gateway: SocketAddr, pages: SocketAddr) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        // Nothing else has an address: the browser reaches nobody but these two.
        let hosts = format!("MAP {CHAT} {gateway}, MAP *.example {pages}, MAP * ~NOTFOUND");
        let child = Command::new("chromium")
            .args(["--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            // Tests may run as root, where Chromium has no sandbox; it sees pages of ours alone.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--ignore-certificate-errors"])
            .arg(format!("--host-resolver-rules={hosts}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its helpers end with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`chromium` is needed for this test (Debian: chromium): {error}"));
        Self { child, _profile: profile }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-s", "KILL", "--", &group]).status());
        drop(self.child.wait());
    }
}

/// Opens `https://{host}/`, whose page is `html`, and waits for what its script posts to `/report` there. `headers` are the page's own.
pub async fn report_of(gateway: &TestGateway, host: &str, headers: &'static [(&str, &str)], html: String) -> Value {
    let (reports, mut reported) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let pages = listener.local_addr().expect("an address");
    let acceptor = acceptor(gateway);
    let html = Arc::new(html);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, html, reports) = (acceptor.clone(), Arc::clone(&html), reports.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request: Request<Incoming>| {
                    let (html, reports) = (Arc::clone(&html), reports.clone());
                    async move {
                        let is_report = request.uri().path() == "/report";
                        let body = request.into_body().collect().await?.to_bytes();
                        if is_report {
                            drop(reports.send(body));
                        }
                        let mut response = Response::builder().header("content-type", "text/html; charset=utf-8");
                        for (name, value) in headers {
                            response = response.header(*name, *value);
                        }
                        Ok::<_, hyper::Error>(response.body(Full::new(Bytes::from(html.to_string()))).expect("a page"))
                    }
                });
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    let browser = Chromium::open(&format!("https://{host}/"), gateway.address, pages);
    let report = tokio::time::timeout(PATIENCE, reported.recv()).await.expect("a report in time").expect("a report");
    drop(browser);
    serving.abort();
    std::str::from_utf8(&report).expect("text").parse().expect("JSON")
}

fn acceptor(gateway: &TestGateway) -> TlsAcceptor {
    let certs = gateway.setup.policies().join("../certs");
    let chain = CertificateDer::pem_file_iter(certs.join("dev.pem")).expect("a chain").collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_file(certs.join("dev-key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key);
    TlsAcceptor::from(Arc::new(config.expect("a pair")))
}
