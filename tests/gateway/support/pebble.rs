//! A real ACME server, Pebble, with a name server that leads every name to the test, on addresses of the test's own.
//!
//! Pebble keeps nothing: one that is started anew knows no account and has other roots.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign::clock::now_seconds;
use countersign::edge::dev_certificates::make_dev;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::connect_tls;
use super::place::Place;

impl Place {
    /// Where Pebble looks for challenges over TLS.
    pub fn tls(self) -> SocketAddr {
        self.at(5001)
    }

    /// Where Pebble looks for challenges over plain HTTP.
    pub fn plain(self) -> SocketAddr {
        self.at(5002)
    }

    /// Pebble's own.
    pub fn directory(self) -> SocketAddr {
        self.at(14000)
    }

    fn management(self) -> SocketAddr {
        self.at(15000)
    }

    fn names(self) -> SocketAddr {
        self.at(8053)
    }
}

/// What a test wants its Pebble to be.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// How long certificates are good.
    pub validity_seconds: Option<u64>,
    /// The key of the one customer, `kid-1`; nobody else gets an account.
    pub customer_key: Option<String>,
}

pub struct Pebble {
    place: Place,
    /// For whoever asks its directory.
    pub ca_pem: String,
    /// For whoever sees what it issued.
    pub root_pem: String,
    /// Its log.
    lines: Arc<Mutex<Vec<String>>>,
    pebble: Child,
    names: Child,
    _files: tempfile::TempDir,
}

const PATIENCE: Duration = Duration::from_secs(120);

#[track_caller]
fn start(program: &str, command: &mut Command) -> Child {
    let started = command.stdin(Stdio::null()).spawn();
    started
        .unwrap_or_else(|error| panic!("`{program}` cannot be started: {error}; on Debian: `apt-get install pebble`"))
}

impl Pebble {
    pub async fn start(place: Place, wish: &Wish) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let made = make_dev(&[place.ip().to_string()], now_seconds()).expect("certificates");
        let paths = made.write(files.path()).expect("written");
        let config = files.path().join("pebble.json");
        let mut settings = json!({
            "listenAddress": place.directory(),
            "managementListenAddress": place.management(),
            "certificate": paths.chain,
            "privateKey": paths.key,
            "httpPort": place.plain().port(),
            "tlsPort": place.tls().port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": wish.customer_key.is_some(),
        });
        if let Some(seconds) = wish.validity_seconds {
            settings["certificateValidityPeriod"] = seconds.into();
        }
        if let Some(key) = &wish.customer_key {
            settings["externalAccountMACKeys"] = json!({ "kid-1": key });
        }
        std::fs::write(&config, json!({ "pebble": settings }).to_string()).expect("written");
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv4", &place.ip().to_string(), "-defaultIPv6", "", "-dns01", &place.names().to_string()]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", &place.at(8055).to_string()]);
        let names = start("pebble-challtestsrv", names.stdout(Stdio::null()).stderr(Stdio::null()));
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(&config).args(["-strict", "-dnsserver", &place.names().to_string()]);
        // Without its random pauses; a twentieth of all nonces are refused all the same, as it does by default.
        pebble.env("PEBBLE_VA_NOSLEEP", "1").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut pebble = start("pebble", &mut pebble);
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = BufReader::new(pebble.stdout.take().expect("piped"));
        std::thread::spawn({
            let lines = Arc::clone(&lines);
            move || log.lines().map_while(Result::ok).for_each(|line| lines.lock().expect("whole").push(line))
        });
        let mut started =
            Self { place, ca_pem: made.ca_pem, root_pem: String::new(), lines, pebble, names, _files: files };
        started.root_pem = started.root().await;
        started
    }

    /// The address of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.place.directory())
    }

    /// How many orders were begun.
    pub fn orders(&self) -> usize {
        self.count("Added order ")
    }

    /// How often a line of its log has `text`.
    pub fn count(&self, text: &str) -> usize {
        self.lines.lock().expect("whole").iter().filter(|line| line.contains(text)).count()
    }

    /// The root of what it issues, once it is there.
    async fn root(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut stream) =
                connect_tls(self.place.management(), &self.ca_pem, &self.place.ip().to_string(), &[b"http/1.1"]).await
            {
                let request = format!("GET /roots/0 HTTP/1.0\r\nHost: {}\r\n\r\n", self.place.management());
                stream.write_all(request.as_bytes()).await.expect("sent");
                let mut answer = Vec::new();
                // Go ends the connection without a word.
                drop(stream.read_to_end(&mut answer).await);
                let answer = String::from_utf8(answer).expect("text");
                let (_, root) = answer.split_once("\r\n\r\n").expect("an answer");
                assert!(root.starts_with("-----BEGIN"), "no root: {answer}");
                return root.to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "pebble does not answer:\n{}",
                self.lines.lock().expect("whole").join("\n")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in [&mut self.pebble, &mut self.names] {
            // Already ended is as good.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
