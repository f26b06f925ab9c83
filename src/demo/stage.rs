//! The stage: the attribute API, the real gateway in front of it with policies of its own, and a client that sends over TLS.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::api::DemoApi;
use super::page::{FactAttribute, Facts, SendError};
use super::scenario::{APP_ID, Answer, DemoOutcome, DemoRequest, DemoVerdict, FOREIGN_ORIGIN, Refusal, TRUSTED_ORIGIN};
use super::wire::DemoSigner;
use crate::clock;
use crate::decision::{Code, Force, Lock};
use crate::edge::dev_certificates::make_dev;
use crate::server::{Server, StartError};

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("cannot prepare the demo's files: {0}")]
    Files(#[from] io::Error),
    #[error("cannot make the demo's certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    #[error("the port {0} is already in use: give the gateway another with `--port`")]
    InUse(u16),
    #[error(transparent)]
    Gateway(StartError),
    #[error("cannot make a TLS client: {0}")]
    Client(#[from] rustls::Error),
    #[error("there are no random numbers to be had")]
    Random,
}

/// All that the demo runs. The gateway stops, and the files go, when it is dropped.
pub struct Stage {
    api: DemoApi,
    gateway: SocketAddr,
    admin: SocketAddr,
    connector: TlsConnector,
    signer: DemoSigner,
    directory: TempDir,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

const SECRET_BYTES: usize = 32;

/// Threads of the gateway: more than one request at a time nobody sends here.
const WORKERS: NonZeroUsize = NonZeroUsize::MIN;

/// A request of the demo, its record included, takes less.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer of the demo's API is short.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The demo's catalogue; the policy file is written from it.
const ATTRIBUTES: [(&str, Lock, &str); 6] = [
    ("name", Lock::Off, "max_length = 64"),
    ("email", Lock::Enforce, "type = \"email\""),
    ("plan", Lock::Enforce, "one_of = [\"free\", \"pro\", \"enterprise\"]"),
    ("nickname", Lock::Off, "max_length = 64"),
    ("seats", Lock::Enforce, "type = \"integer\""),
    ("phone", Lock::Observe, "type = \"text\""),
];

impl Stage {
    /// Starts everything on loopback; the gateway on `port`, 0 for any.
    ///
    /// # Errors
    ///
    /// A port is taken, or files cannot be written.
    pub async fn start(port: u16) -> Result<Self, StageError> {
        let directory = tempfile::Builder::new().prefix("countersign-demo-").tempdir()?;
        let mut random = [0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| StageError::Random)?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode(random);
        let signer = || DemoSigner::new(secret.as_bytes());
        let api = DemoApi::start_reading_tokens(signer()).await?;

        let certificates = make_dev(&[], clock::now_seconds())?;
        let certs = directory.path().join("certs");
        certificates.write(&certs)?;
        let policies = directory.path().join("policies");
        std::fs::create_dir_all(policies.join("workspaces"))?;
        write_secret(&directory.path().join("demo.secret"), &secret)?;
        std::fs::write(policies.join("gateway.toml"), gateway_file(port, api.address))?;
        std::fs::write(policies.join("workspaces/demo.toml"), workspace_file())?;

        let server = Server::bind(&policies).map_err(|error| {
            if matches!(error, StartError::InUse { .. }) { StageError::InUse(port) } else { StageError::Gateway(error) }
        })?;
        let address = |name: &str| server.listening().into_iter().find(|listening| listening.name == name);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let gateway = address("demo").map_or(nowhere, |listening| listening.address);
        let admin = address("admin").map_or(nowhere, |listening| listening.address);
        let stop = CancellationToken::new();
        let running = {
            let stop = stop.clone();
            tokio::spawn(async move {
                if let Err(error) = server.run(WORKERS, stop).await {
                    tracing::error!(error = %error, "the gateway stopped");
                }
            })
        };
        let connector = connector(&certificates.ca_pem)?;
        Ok(Self { api, gateway, admin, connector, signer: signer(), directory, stop, running })
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Where the gateway tells its health and metrics.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The certificate authority that clients must trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("certs/dev-ca.pem")
    }

    /// The policy files, to be read and played with.
    #[must_use]
    pub fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    /// Where the API shows what it keeps of a user, for lines to paste.
    #[must_use]
    pub fn kept(&self, user_id: &str) -> String {
        format!("http://{}/v1/users/{user_id}", self.api.address)
    }

    /// The older proof, which says who and signs no attribute, for lines to paste.
    #[must_use]
    pub fn user_hash(&self, user_id: &str) -> String {
        self.signer.user_hash(user_id)
    }

    /// A token that signs `claims`, for lines to paste.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.signer.token(claims)
    }

    /// What the page says about the stage.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            gateway: format!("https://localhost:{}", self.gateway.port()),
            api: format!("http://{}", self.api.address),
            trusted_origin: TRUSTED_ORIGIN.to_owned(),
            foreign_origin: FOREIGN_ORIGIN.to_owned(),
            attributes: ATTRIBUTES.iter().map(|(name, lock, _)| FactAttribute::new(name, *lock)).collect(),
        }
    }

    /// Sends one request through the gateway, and reads what arrived at the API and what the gateway recorded.
    ///
    /// # Errors
    ///
    /// The gateway cannot be reached, or writes no record.
    pub async fn send(&self, request: &DemoRequest) -> Result<DemoOutcome, SendError> {
        let sending = timeout(PATIENCE, self.send_and_read(request));
        match sending.await {
            Ok(outcome) => outcome.map_err(SendError::Unreachable),
            Err(elapsed) => Err(SendError::Unreachable(elapsed.into())),
        }
    }

    async fn send_and_read(&self, request: &DemoRequest) -> Result<DemoOutcome, BoxError> {
        let sent = request.on_the_wire(&self.signer, clock::now_seconds());
        let stream = TcpStream::connect(self.gateway).await?;
        let stream = self.connector.connect(ServerName::try_from("localhost")?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let wire: Request<Full<Bytes>> = Request::builder()
            .method(sent.method)
            .uri(sent.path)
            .header(header::HOST, format!("localhost:{}", self.gateway.port()))
            .header(header::ORIGIN, sent.origin)
            .header(header::CONTENT_TYPE, sent.content_type)
            .body(Full::from(sent.body.clone()))?;
        let response = sender.send_request(wire).await?;
        let status = response.status().as_u16();
        let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
        driving.abort();

        let record = self.record(&id).await?;
        let code = record.get("outcome").and_then(Value::as_str).unwrap_or_default().to_owned();
        let refusal = (code != "sent").then(|| Refusal { code, words: refusal_words(&body) });
        let recorded = record.get("attributes").and_then(Value::as_array);
        let verdicts: Vec<_> = recorded.into_iter().flatten().filter_map(verdict).collect();
        let arrived = self.api.received().since(0).into_iter().find(|received| {
            received.headers.get("x-request-id").is_some_and(|value| value.as_bytes() == id.as_bytes())
        });
        Ok(DemoOutcome::new(request, &sent, Answer { status, refusal }, arrived.as_deref(), &verdicts))
    }

    /// The record of the decision `id`. Records are written beside the requests, so it may take a moment.
    async fn record(&self, id: &str) -> Result<Value, BoxError> {
        let path = self.directory.path().join("audit.jsonl");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let found = text.lines().rev().filter(|line| line.contains(id)).find_map(|line| line.parse().ok());
            if let Some(record) = found {
                return Ok(record);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Err("the gateway wrote no record of the request".into())
    }

    /// Drains the gateway and stops the API.
    pub async fn stop(self) {
        self.stop.cancel();
        drop(self.running.await);
        self.api.stop().await;
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One verdict of a record.
fn verdict(recorded: &Value) -> Option<DemoVerdict> {
    let code = recorded.get("verdict")?.as_str()?;
    let force = if recorded.get("applied")?.as_bool()? { Force::Applied } else { Force::Recorded };
    Some(DemoVerdict {
        name: recorded.get("name")?.as_str()?.to_owned(),
        code: Code::ALL.into_iter().find(|known| known.as_str() == code)?,
        force,
    })
}

/// The title of our problem document, or the message of a messenger's own shape.
fn refusal_words(body: &[u8]) -> String {
    let body: Value = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let words = [body.pointer("/title"), body.pointer("/errors/0/message"), body.pointer("/error")];
    words.into_iter().flatten().find_map(Value::as_str).unwrap_or("refused").to_owned()
}

fn connector(ca_pem: &str) -> Result<TlsConnector, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()).flatten() {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())
}

fn gateway_file(port: u16, api: SocketAddr) -> String {
    format!(
        r#"[[listeners]]
name = "demo"
address = "127.0.0.1:{port}"
certificates = [{{ certificate = "../certs/dev.pem", key = "../certs/dev-key.pem" }}]

[admin]
address = "127.0.0.1:0"

[upstreams.attributes]
url = "http://{api}"

[audit]
file = "../audit.jsonl"
"#
    )
}

fn workspace_file() -> String {
    let mut text = format!(
        r#"profile = "intercom-web"
app_ids = ["{APP_ID}"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["{TRUSTED_ORIGIN}"]
missing_origin = "refuse"

[identity]
require = "identified"
max_lifetime = "2h"

[[identity.keys]]
id = "demo-key"
algorithm = "HS256"
secret = {{ file = "../demo.secret" }}
use = ["jwt", "user_hash"]

[attributes]
"#
    );
    for (name, lock, rule) in ATTRIBUTES {
        let lock = match lock {
            Lock::Off => "off",
            Lock::Observe => "observe",
            Lock::Enforce => "enforce",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{name} = {{ lock = \"{lock}\", {rule} }}");
    }
    text
}
