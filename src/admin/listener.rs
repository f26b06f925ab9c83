//! The admin listener's socket.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::revocations::Revoking;
use super::routes::router;
use super::state::AdminState;
use crate::policy::AdminListener;

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("the admin listener has no authentication: expected a loopback address, found `{0}`")]
    NotLoopback(SocketAddr),
    #[error("the admin listener cannot listen on `{address}`")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// Connections at once; more are closed as they come.
const CONNECTIONS_MAX: usize = 64;

/// How long a peer may take.
#[derive(Clone, Copy)]
struct Deadlines {
    /// From a connection, or an answer, to the end of the next head.
    head: Duration,
    /// A connection's whole life. A scraper opens a new one.
    connection: Duration,
    /// For the answer that is under way when a connection is to end.
    grace: Duration,
}

const DEADLINES: Deadlines =
    Deadlines { head: Duration::from_secs(10), connection: Duration::from_secs(60), grace: Duration::from_secs(5) };

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// After an accept that failed: most likely there are no more file descriptors, and an instant later there still are none.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens, on loopback only.
///
/// # Errors
///
/// The address is not loopback, or cannot be had.
pub async fn bind(settings: &AdminListener) -> Result<TcpListener, AdminError> {
    let address = settings.address;
    if !address.ip().is_loopback() {
        return Err(AdminError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| AdminError::Listen { address, source })
}

/// Answers until told to stop, then ends what is under way.
pub async fn serve(listener: TcpListener, state: Arc<AdminState>, revoking: Revoking, stop: CancellationToken) {
    serve_within(DEADLINES, listener, state, revoking, stop).await;
}

async fn serve_within(
    deadlines: Deadlines,
    listener: TcpListener,
    state: Arc<AdminState>,
    revoking: Revoking,
    stop: CancellationToken,
) {
    let router = router(state, revoking);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            let (router, stop) = (router.clone(), stop.clone());
            connections.spawn(async move {
                answer(deadlines, stream, router, stop).await;
                drop(place);
            });
        }
    }
    connections.close();
    connections.wait().await;
}

/// One connection, to its end or its deadline. What goes wrong on it is the peer's own business.
async fn answer(deadlines: Deadlines, stream: TcpStream, router: Router, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(deadlines.head).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let deadline = async {
        let _ = tokio::time::timeout(deadlines.connection, stop.cancelled()).await;
    };
    tokio::select! {
        _ = connection.as_mut() => return,
        () = deadline => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(deadlines.grace, connection).await;
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::admin::{AdminToken, EpochFacts, ReloadFacts, WorkspaceFacts};
    use crate::audit::{Begin, Outcome, Recorder, RecorderTask, SubjectKey};
    use crate::clock::UnixSeconds;
    use crate::observe::{CertificateReading, ConnectionsReading, Metrics, ReloadResult};
    use crate::policy::AuditSettings;
    use crate::state::{Memory, MemoryLimits};

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    struct TestAdmin {
        address: SocketAddr,
        state: Arc<AdminState>,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        stop: CancellationToken,
        serving: JoinHandle<()>,
        _task: RecorderTask,
        _directory: tempfile::TempDir,
    }

    impl TestAdmin {
        async fn start() -> Self {
            Self::start_within(DEADLINES).await
        }

        async fn start_within(deadlines: Deadlines) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let settings = AuditSettings {
                file: Some(directory.path().join("audit.jsonl")),
                rotate_bytes: 1_000_000,
                keep: 1,
                queue_records_max: 16,
                subject_key: None,
            };
            let (recorder, task) = Recorder::start(&settings, SubjectKey::random().unwrap()).unwrap();
            let metrics = Metrics::new();
            let state = AdminState::new(metrics.clone(), recorder.clone(), UNIX_EPOCH);
            let listener = bind(&AdminListener { address: ([127, 0, 0, 1], 0).into(), token: None }).await.unwrap();
            let stop = CancellationToken::new();
            let store = Arc::new(Memory::new(MemoryLimits::default()));
            let revoking = Revoking { store, token: Some(AdminToken::new(TOKEN.as_bytes()).unwrap()) };
            Self {
                address: listener.local_addr().unwrap(),
                serving: tokio::spawn(serve_within(deadlines, listener, state.clone(), revoking, stop.clone())),
                state,
                metrics,
                recorder,
                stop,
                _task: task,
                _directory: directory,
            }
        }

        fn epoch(&self) {
            self.state.epoch_in_force(EpochFacts {
                digest: "3fa9".into(),
                since: UNIX_EPOCH,
                workspaces: 2,
                upstreams: vec!["attributes".into()],
                facts: vec![WorkspaceFacts {
                    workspace: "acme".into(),
                    keys: vec!["web".into()],
                    enforces: true,
                    mode: "enforce",
                    trusted_domains: crate::policy::TrustedDomains::default(),
                    trusted_domains_at: crate::policy::FileLine { file: "workspaces/acme.toml".into(), line: 7 },
                }],
                connections_max: 100,
            });
        }

        /// Head and body of the answer.
        async fn ask(&self, head: &str) -> (String, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("cache-control: no-store") && !head.contains("access-control"), "{head}");
            (head.to_owned(), body.to_owned())
        }

        #[track_caller]
        fn check(&self, head: &str, status: u16) -> impl Future<Output = String> {
            let caller = std::panic::Location::caller();
            async move {
                let (answer, body) = self.ask(head).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{caller}: {head}: {answer}");
                body
            }
        }
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost:9000")
    }

    #[tokio::test]
    async fn ready_is_from_the_first_epoch_to_the_drain() {
        let admin = TestAdmin::start().await;
        assert_eq!(admin.check(&get("/livez"), 200).await, "alive\n");
        assert_eq!(admin.check(&get("/readyz"), 503).await, "no policies in force\n");
        admin.epoch();
        assert_eq!(admin.check(&get("/readyz"), 200).await, "ready\n");
        // A reload that failed leaves the last good epoch in force.
        admin.state.reloaded(ReloadFacts {
            at: UNIX_EPOCH,
            result: ReloadResult::Failed,
            findings: 3,
            mistakes: vec![],
        });
        assert_eq!(admin.check(&get("/readyz"), 200).await, "ready\n");
        admin.state.drain();
        assert_eq!(admin.check(&get("/readyz"), 503).await, "draining\n");
        assert_eq!(admin.check(&get("/livez"), 200).await, "alive\n");
    }

    #[tokio::test]
    async fn metrics_are_openmetrics_text() {
        let admin = TestAdmin::start().await;
        admin.epoch();
        let (head, body) = admin.ask(&get("/metrics")).await;
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
        assert!(
            body.contains("countersign_policy_epoch_info{digest=\"3fa9\"} 1\n") && body.ends_with("# EOF\n"),
            "{body}"
        );
        assert!(body.contains("countersign_audit_records_lost_total 0\n"), "{body}");
    }

    #[tokio::test]
    async fn the_status_says_what_is_in_force() {
        let admin = TestAdmin::start().await;
        let empty: serde_json::Value = admin.check(&get("/status"), 200).await.parse().unwrap();
        assert!(empty["epoch"].is_null() && empty["reload"].is_null());
        admin.epoch();
        admin.state.reloaded(ReloadFacts { at: UNIX_EPOCH, result: ReloadResult::Ok, findings: 1, mistakes: vec![] });
        admin.state.certificates_in_force(vec![CertificateReading { name: "site".into(), not_after: UnixSeconds(0) }]);
        admin.metrics.read_connections(|| ConnectionsReading { open: 1, ..Default::default() });
        let event = admin.recorder.begin(Begin {
            time: SystemTime::UNIX_EPOCH,
            listener: "public".into(),
            client: [192, 0, 2, 1].into(),
            client_source: "socket",
            method: &http::Method::GET,
            epoch: "3fa9".into(),
            tally: None,
        });
        event.finish(Outcome { code: "sent", status: 200 });
        let status: serde_json::Value = admin.check(&get("/status"), 200).await.parse().unwrap();
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(status["state"], "ready");
        let epoch = serde_json::json!({"digest": "3fa9", "since": "1970-01-01T00:00:00Z", "workspaces": 2});
        assert_eq!(status["epoch"], epoch);
        let reload = serde_json::json!({"at": "1970-01-01T00:00:00Z", "result": "ok", "findings": 1, "mistakes": []});
        assert_eq!(status["reload"], reload);
        assert_eq!(status["upstreams"], serde_json::json!(["attributes"]));
        assert_eq!(status["certificates"][0]["name"], "site");
        assert!(status["certificates"][0]["days_left"].as_i64().unwrap() < -20_000);
        assert_eq!((&status["audit"]["lost"], &status["connections_open"]), (&0.into(), &1.into()));
    }

    #[tokio::test]
    async fn the_use_of_keys_is_told_to_whoever_reads_it_back() {
        let admin = TestAdmin::start().await;
        admin.epoch();
        let told = admin.check(&get("/keys"), 200).await;
        let read: crate::observe::UsageReport = serde_json::from_str(&told).unwrap();
        assert_eq!((read.started, read.epoch.as_deref(), read.workspaces.len()), (0, Some("3fa9"), 0), "{told}");
        admin.check("POST /keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405).await;
    }

    #[tokio::test]
    async fn web_pages_and_other_names_are_refused() {
        let admin = TestAdmin::start().await;
        for path in ["/livez", "/status", "/keys", "/metrics", "/nowhere"] {
            admin.check(&format!("GET {path} HTTP/1.1\r\nHost: evil.example:9000"), 421).await;
            admin.check(&format!("{}\r\nOrigin: https://evil.example", get(path)), 403).await;
            admin.check(&format!("{}\r\nOrigin: null", get(path)), 403).await;
        }
        admin.check("GET /livez HTTP/1.1", 421).await;
        admin.check("GET http://evil.example/livez HTTP/1.1\r\nHost: localhost", 421).await;
        admin.check(&get("/nowhere"), 404).await;
        admin.check("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405).await;
    }

    #[tokio::test]
    async fn connections_are_bounded_and_come_free_again() {
        let admin = TestAdmin::start().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(admin.address).await.unwrap());
        }
        // One more is closed without an answer.
        let mut refused = TcpStream::connect(admin.address).await.unwrap();
        assert!(matches!(refused.read(&mut [0]).await, Ok(0) | Err(_)));
        drop(silent);
        loop {
            let mut stream = TcpStream::connect(admin.address).await.unwrap();
            let asked = stream.write_all(format!("{}\r\n\r\n", get("/livez")).as_bytes()).await;
            if asked.is_ok() && stream.read(&mut [0]).await.is_ok_and(|read| read == 1) {
                break;
            }
        }
    }

    #[tokio::test]
    async fn slow_connections_end_at_their_deadlines_and_all_when_told() {
        const LONG: Duration = Duration::from_secs(3600);
        const SHORT: Duration = Duration::from_millis(5);
        for deadlines in [
            Deadlines { head: SHORT, connection: LONG, grace: LONG },
            Deadlines { head: LONG, connection: SHORT, grace: SHORT },
        ] {
            let admin = TestAdmin::start_within(deadlines).await;
            for sent in [
                "",
                "GET /livez HTTP/1.1
",
            ] {
                let mut slow = TcpStream::connect(admin.address).await.unwrap();
                slow.write_all(sent.as_bytes()).await.unwrap();
                // Its end, or 408 and then its end.
                let _ = slow.read_to_end(&mut Vec::new()).await;
            }
        }
        let admin = TestAdmin::start_within(Deadlines { head: LONG, connection: LONG, grace: SHORT }).await;
        let _idle = TcpStream::connect(admin.address).await.unwrap();
        admin.stop.cancel();
        admin.serving.await.unwrap();
    }

    #[tokio::test]
    async fn it_listens_on_loopback_only() {
        let refused = bind(&AdminListener { address: ([0, 0, 0, 0], 0).into(), token: None }).await;
        assert!(matches!(refused, Err(AdminError::NotLoopback(_))));
    }
}
