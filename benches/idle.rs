//! Ten thousand idle TLS connections, over HTTP/1.1 and over HTTP/2, from twenty addresses and under the shipped limits: what each of them
//! costs the gateway, and nginx beside it where that is installed.
//!
//! `cargo bench --bench idle` prints a table in markdown; `-- --connections 1000` opens fewer, `-- --check` fails where a connection takes
//! more than the aim. Each has sent one request before, and a sample of them sends another one at the end: none was given up.
//!
//! It raises the limit of open files with `prlimit`, within the hard limit of the shell that it is started from (`ulimit -Hn`).

#[path = "compare/process.rs"]
#[expect(dead_code, reason = "CPU time and placement are for the comparison")]
mod process;
#[path = "support/sample.rs"]
mod sample;

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use countersign::clock;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

/// Connections of a whole run.
const CONNECTIONS: usize = 10_000;

/// Addresses that they come from: `127.0.0.2` and on.
const ADDRESSES: usize = 20;

/// Connections that are opened at the same time.
const OPENING: usize = 32;

/// What an idle connection may take, in KiB. Of HTTP/2 the library keeps 16 for writing and 4 for reading heads, whatever we ask for.
const AIM_KIB: [(Protocol, f64); 2] = [(Protocol::Http1, 24.0), (Protocol::Http2, 40.0)];

/// Of so many connections one sends another request at the end.
const SAMPLED: usize = 50;

/// Nothing here takes longer; what hangs must not hang CI.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test --all-targets` runs this too, without that flag.
    if !has("--bench") {
        println!("nothing measured: cargo bench --bench idle");
        return Ok(ExitCode::SUCCESS);
    }
    let value = |flag: &str| arguments.iter().skip_while(|argument| *argument != flag).nth(1);
    let count = value("--connections").map_or(Ok(CONNECTIONS), |count| count.parse())?;
    allow_files(count + 1_000)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { timeout(PATIENCE, measure(count, has("--check"))).await.context("it hangs")? })
}

/// So many files may be open, here and in what is started from here.
fn allow_files(count: usize) -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    let output = Command::new("prlimit").args(["--pid", &own, &format!("--nofile={count}:")]).output()?;
    ensure!(
        output.status.success(),
        "{count} open files are needed, and `ulimit -Hn` allows fewer: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

async fn measure(count: usize, check: bool) -> anyhow::Result<ExitCode> {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let connector = Connector::prepare(directory.path())?;
    let backend = start_backend().await?;
    let mut verdict = ExitCode::SUCCESS;
    println!("| KiB per idle connection, of {count} | HTTP/1.1 | HTTP/2 |\n| --- | ---: | ---: |");
    for server in ["Countersign", "nginx"] {
        if server == "nginx" && Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            continue;
        }
        let mut cells = Vec::new();
        for (protocol, aim) in AIM_KIB {
            let running = Running::start(server, directory.path(), backend, &connector).await?;
            let each =
                idle(&running, &connector, protocol, count).await.with_context(|| format!("{server}, {protocol:?}"))?;
            if check && server == "Countersign" && each > aim {
                eprintln!("{protocol:?}: {each:.1} KiB, the aim is {aim:.1}");
                verdict = ExitCode::FAILURE;
            }
            cells.push(format!("{each:.1}"));
        }
        println!("| {server} | {} |", cells.join(" | "));
    }
    Ok(verdict)
}

async fn idle(running: &Running, connector: &Connector, protocol: Protocol, count: usize) -> anyhow::Result<f64> {
    // What a process needs once, whatever the number of connections.
    drop(connector.open(running.address, protocol, 100, 0).await?);
    sleep(Duration::from_secs(1)).await;
    let before = process::resident_kib(running.child.id())?;
    let mut tasks = JoinSet::new();
    for opener in 0..OPENING {
        let (connector, address) = (connector.clone(), running.address);
        let share = count / OPENING + usize::from(opener < count % OPENING);
        tasks.spawn(async move { connector.open(address, protocol, share, opener).await });
    }
    let mut senders = Vec::with_capacity(count);
    while let Some(opened) = tasks.join_next().await {
        senders.extend(opened??);
    }
    ensure!(senders.len() == count, "{} of {count} are open", senders.len());
    sleep(Duration::from_secs(2)).await;
    let grown = process::resident_kib(running.child.id())?.saturating_sub(before);
    for sender in senders.iter_mut().step_by(SAMPLED) {
        ask(sender, &connector.form).await.context("an idle connection was given up")?;
    }
    Ok(f64::from(u32::try_from(grown)?) / f64::from(u32::try_from(count)?))
}

/// Opens connections, from one address after the other.
#[derive(Clone)]
struct Connector {
    http1: TlsConnector,
    http2: TlsConnector,
    form: Bytes,
}

impl Connector {
    /// Writes a certificate for `localhost` to the directory, and trusts it.
    fn prepare(directory: &Path) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2049, 1, 1);
        let certificate = params.self_signed(&key)?.pem();
        for (name, text) in [("certificate.pem", &certificate), ("key.pem", &key.serialize_pem())] {
            let path = directory.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        let size = sample::Size { body_bytes: 1024, attributes: 10 };
        let form = Bytes::from(sample::form(size, 0, clock::now_seconds().0));
        Ok(Self { http1: speaking(b"http/1.1"), http2: speaking(b"h2"), form })
    }

    /// So many connections, each of which has had one request answered.
    async fn open(
        &self,
        address: SocketAddr,
        protocol: Protocol,
        count: usize,
        first: usize,
    ) -> anyhow::Result<Vec<Sender>> {
        let mut senders = Vec::with_capacity(count);
        for number in 0..count {
            let source = u8::try_from((first + number * OPENING) % ADDRESSES + 2)?;
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, source]), 0))?;
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost")?;
            let mut sender = match protocol {
                Protocol::Http1 => {
                    let stream = self.http1.connect(name, stream).await?;
                    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                    tokio::spawn(connection);
                    Sender::Http1(sender)
                }
                Protocol::Http2 => {
                    let stream = self.http2.connect(name, stream).await?;
                    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                    tokio::spawn(connection);
                    Sender::Http2(sender)
                }
            };
            ask(&mut sender, &self.form).await?;
            senders.push(sender);
        }
        Ok(senders)
    }
}

/// One request, which must be answered with 200.
async fn ask(sender: &mut Sender, form: &Bytes) -> anyhow::Result<()> {
    let request = Request::post("/messenger/web/ping")
        .header("origin", sample::ORIGIN)
        .header("content-type", "application/x-www-form-urlencoded");
    let body = Full::new(form.clone());
    let response = match sender {
        Sender::Http1(sender) => {
            sender.ready().await?;
            sender.send_request(request.header("host", "localhost").body(body)?).await?
        }
        Sender::Http2(sender) => {
            sender.ready().await?;
            sender.send_request(request.uri("https://localhost/messenger/web/ping").body(body)?).await?
        }
    };
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    response.into_body().collect().await?;
    Ok(())
}

/// Answers everything with a little JSON.
async fn start_backend() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                request.into_body().collect().await?;
                let response = Response::builder().header("content-type", "application/json");
                Ok::<_, anyhow::Error>(response.body(Full::new(Bytes::from_static(b"{}")))?)
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

/// A server on a port of its own; it ends with this.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    async fn start(server: &str, directory: &Path, backend: SocketAddr, connector: &Connector) -> anyhow::Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let place = directory.display();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if server == "nginx" {
            let config = directory.join("nginx.conf");
            fs::write(
                &config,
                format!(
                    "daemon off; worker_processes 1; worker_rlimit_nofile 30000; pid {place}/nginx.pid;\n\
                     error_log {place}/nginx.log warn; events {{ worker_connections 25000; }}\n\
                     http {{ access_log off; keepalive_timeout 1h; ssl_protocols TLSv1.3;\n\
                     client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;\n\
                     uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
                     upstream backend {{ server {backend}; keepalive 64; }}\n\
                     proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                     server {{ listen {address} ssl http2 backlog=4096;\n\
                     ssl_certificate {place}/certificate.pem; ssl_certificate_key {place}/key.pem;\n\
                     location / {{ proxy_pass http://backend; }} }} }}\n"
                ),
            )?;
            command.arg("nginx").arg("-c").arg(config);
        } else {
            let policies = directory.join("policies");
            fs::create_dir_all(policies.join("workspaces"))?;
            fs::write(
                policies.join("gateway.toml"),
                format!(
                    "[[listeners]]\nname = \"public\"\naddress = \"{address}\"\n\
                     certificates = [{{ certificate = \"../certificate.pem\", key = \"../key.pem\" }}]\n\
                     [upstreams.attributes]\nurl = \"http://{backend}\"\n\
                     [limits]\nidle_timeout = \"1h\"\n\
                     # All requests are one user's.\n[rates]\nrequests_per_subject = {{ mode = \"off\" }}\n\
                     [audit]\nfile = \"../record.jsonl\"\n"
                ),
            )?;
            fs::write(policies.join("workspaces/acme.toml"), sample::workspace())?;
            command
                .arg(env!("CARGO_BIN_EXE_countersign"))
                .args(["serve", "--workers", "1", "--policies"])
                .arg(policies);
            command.env(sample::SECRET_VARIABLE, sample::SECRET);
        }
        let said = directory.join("said");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said)?).spawn()?;
        let running = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(problem) = connector.open(address, Protocol::Http1, 1, 0).await {
            if Instant::now() > deadline {
                bail!("{server} does not serve ({problem}); it said: {}", fs::read_to_string(&said)?.trim());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not `Child::kill` at once: a killed master leaves its workers behind.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        for _ in 0..150 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
