//! The real binary, with policy files made for the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::client::{Client, Protocol};
use super::token::SECRET;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_countersign");

/// A start or a stop takes less.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a test wants its gateway to be: policy files in a directory of their own.
#[derive(Clone)]
pub struct Setup {
    directory: Arc<tempfile::TempDir>,
    upstream: String,
    listens: String,
    settings: String,
    listener: String,
    gateway: String,
    admin: String,
    workspaces: Vec<(String, String)>,
    profiles: Vec<(String, String)>,
    disk_may_fail: bool,
    /// Host names of the certificate beside `localhost`.
    names: Vec<String>,
}

/// Where most tests listen, and with which certificate.
const LISTENER: &str = r#"address = "127.0.0.1:0"
certificates = [{ certificate = "../certs/dev.pem", key = "../certs/dev-key.pem" }]"#;

/// The workspace of most tests: Intercom's web wire, everything enforced.
pub const ACME: &str = r#"
profile = "intercom-web"
app_ids = ["abc12345"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example", "https://*.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
max_lifetime = "2h"
leeway = "30s"

[[identity.keys]]
id = "web-2026-11"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt", "user_hash"]

[attributes]
email = { lock = "enforce", type = "email" }
name = { lock = "off", max_length = 64 }
plan = { lock = "enforce", one_of = ["free", "pro", "enterprise"] }
seats = { lock = "enforce" }
nickname = { lock = "off", max_length = 64 }
trial = { lock = "observe" }
phone = { lock = "enforce", collect = "leads" }
created_at = { lock = "enforce", type = "date" }
"company.company_id" = { lock = "off" }
"company.name" = { lock = "off" }
"company.plan" = { lock = "enforce" }
"company.size" = { lock = "off" }
"#;

impl Setup {
    /// One workspace [`ACME`] in front of `upstream`.
    pub fn acme(upstream: SocketAddr) -> Self {
        Self::new(upstream).workspace("acme", ACME)
    }

    /// No workspace yet.
    pub fn new(upstream: SocketAddr) -> Self {
        Self {
            directory: Arc::new(tempfile::tempdir().expect("a directory")),
            upstream: format!("url = \"http://{upstream}\""),
            listens: LISTENER.into(),
            settings: String::new(),
            listener: String::new(),
            gateway: String::new(),
            admin: String::new(),
            workspaces: Vec::new(),
            profiles: Vec::new(),
            disk_may_fail: false,
            names: Vec::new(),
        }
    }

    /// Adds or replaces a workspace file.
    pub fn workspace(mut self, name: &str, text: &str) -> Self {
        self.workspaces.retain(|(other, _)| other != name);
        self.workspaces.push((name.into(), text.into()));
        self
    }

    /// Adds a profile of the test's own.
    pub fn profile(mut self, name: &str, text: &str) -> Self {
        self.profiles.push((name.into(), text.into()));
        self
    }

    /// Changes a line of the workspace `acme`.
    #[track_caller]
    pub fn with(mut self, line: &str, instead: &str) -> Self {
        let (_, text) = self.workspaces.iter_mut().find(|(name, _)| name == "acme").expect("acme");
        assert!(text.contains(line), "no `{line}` in the workspace");
        *text = text.replace(line, instead);
        self
    }

    /// The text of a workspace.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        self.workspaces.iter().find(|(other, _)| other == name).expect("a workspace").1.clone()
    }

    /// Another address and other certificates for the listener `public`.
    pub fn listens(mut self, lines: &str) -> Self {
        self.listens = lines.into();
        self
    }

    /// More of `gateway.toml`: keys that stand in no table.
    pub fn settings(mut self, lines: &str) -> Self {
        self.settings.push_str(lines);
        self.settings.push('\n');
        self
    }

    /// More of the listener `public`.
    pub fn listener(mut self, lines: &str) -> Self {
        self.listener.push_str(lines);
        self.listener.push('\n');
        self
    }

    /// More of `gateway.toml`: whole tables.
    pub fn gateway(mut self, text: &str) -> Self {
        self.gateway.push_str(text);
        self
    }

    /// Revocations may be made by whoever shows [`ADMIN_TOKEN`].
    pub fn revoking(mut self) -> Self {
        write_whole(&self.directory.path().join("admin.token"), ADMIN_TOKEN);
        self.admin = "token = { file = \"../admin.token\" }".into();
        self
    }

    /// The certificate is for these host names too.
    pub fn named(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// [`TestGateway::limit_files`] will be used: the signal that comes with it would end the process.
    pub fn whose_disk_fails(mut self) -> Self {
        self.disk_may_fail = true;
        self
    }

    /// More of `[upstreams.attributes]`.
    pub fn upstream(mut self, lines: &str) -> Self {
        self.upstream.push('\n');
        self.upstream.push_str(lines);
        self
    }

    /// Where the policy files are, once written.
    pub fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    /// Writes the files, and a certificate for `localhost`; gives the CA.
    pub fn write(&self) -> String {
        let policies = self.policies();
        std::fs::create_dir_all(policies.join("workspaces")).expect("made");
        let certs = self.directory.path().join("certs");
        if !certs.exists() {
            let names = self.names.iter().flat_map(|name| ["--name", name]);
            let mut command = Command::new(BINARY);
            let status = command.args(["certs", "dev", "--out"]).arg(&certs).args(names).stdout(Stdio::null()).status();
            assert!(status.expect("started").success(), "certs dev");
        }
        let gateway = format!(
            r#"
{}
[[listeners]]
name = "public"
{}
{}

[admin]
address = "127.0.0.1:0"
{}

[upstreams.attributes]
{}

[audit]
file = "../audit.jsonl"
{}
"#,
            self.settings, self.listens, self.listener, self.admin, self.upstream, self.gateway
        );
        write_whole(&policies.join("gateway.toml"), &gateway);
        for (name, text) in &self.profiles {
            std::fs::create_dir_all(policies.join("profiles")).expect("made");
            write_whole(&policies.join(format!("profiles/{name}.toml")), text);
        }
        for (name, text) in &self.workspaces {
            write_whole(&policies.join(format!("workspaces/{name}.toml")), text);
        }
        std::fs::read_to_string(certs.join("dev-ca.pem")).expect("the CA")
    }

    pub fn start(self) -> TestGateway {
        let ca_pem = self.write();
        TestGateway::start(self, ca_pem)
    }
}

/// What opens the admin listener where a test wants it to.
pub const ADMIN_TOKEN: &str = "0123456789abcdef0123456789abcdef-admin";

/// Replaces a file at once, as an editor or `git` does.
pub fn write_whole(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("written");
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).expect("mode set");
    std::fs::rename(&beside, path).expect("renamed");
}

/// A running gateway.
pub struct TestGateway {
    pub setup: Setup,
    pub ca_pem: String,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub plain: Option<SocketAddr>,
    child: Child,
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
    /// How many lines of those a test has looked through.
    looked: usize,
}

/// Threads that serve, also where there are fewer cores: what crosses from one to another shall do so everywhere.
pub const WORKERS: usize = 3;

impl TestGateway {
    fn start(setup: Setup, ca_pem: String) -> Self {
        let (child, log) = launch(&setup);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            setup,
            ca_pem,
            address: nowhere,
            admin: nowhere,
            plain: None,
            child,
            log,
            seen: Vec::new(),
            looked: 0,
        };
        gateway.await_ready();
        gateway
    }

    /// Another process with the same files, beside this one or after it.
    pub fn again(&self) -> Self {
        Self::start(self.setup.clone(), self.ca_pem.clone())
    }

    fn await_ready(&mut self) {
        self.await_log("\"ready\"");
        self.address = self.listening("public").expect("a listener");
        self.admin = self.listening("admin").expect("an admin listener");
        self.plain = self.listening("plain");
        // What is done in the background may be told of before the process is ready, or after.
        self.looked = 0;
    }

    /// Kills the process where it stands, and starts another on the same files.
    pub fn kill_and_start(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
        self.start_again();
    }

    /// Starts another process on the same files, after the first has ended.
    pub fn start_again(&mut self) {
        self.seen.clear();
        self.looked = 0;
        (self.child, self.log) = launch(&self.setup);
        self.await_ready();
    }

    /// Where the listener of this name listens.
    pub fn listening(&self, name: &str) -> Option<SocketAddr> {
        self.seen.iter().find_map(|line| {
            let line: serde_json::Value = line.parse().ok()?;
            let fields = &line["fields"];
            (fields["message"] == "listening" && fields["listener"] == name)
                .then(|| fields["address"].as_str().expect("an address").parse().expect("an address"))
        })
    }

    /// Waits until a log line has `text` that comes after those looked through; the lines of the start are still to be looked through.
    #[track_caller]
    pub fn await_log(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(line) = self.seen.get(self.looked) {
                self.looked += 1;
                if line.contains(text) {
                    return line.clone();
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("no `{text}` in the log:\n{}", self.seen.join("\n"))
                }
            }
        }
    }

    /// Everything logged so far.
    pub fn log(&mut self) -> String {
        while let Ok(line) = self.log.try_recv() {
            self.seen.push(line);
        }
        self.looked = self.seen.len();
        self.seen.join("\n")
    }

    pub async fn http1(&self) -> Client {
        Client::connect(self.address, &self.ca_pem, Protocol::Http1).await
    }

    pub async fn http2(&self) -> Client {
        Client::connect(self.address, &self.ca_pem, Protocol::Http2).await
    }

    /// The records, once there are `count` of them.
    #[track_caller]
    pub fn records(&self, count: usize) -> Vec<serde_json::Value> {
        let path = self.setup.directory.path().join("audit.jsonl");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // The last line may still be being written.
            let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
            let lines: Vec<_> = whole.lines().map(|line| line.parse().expect("a record")).collect();
            if lines.len() >= count {
                assert_eq!(lines.len(), count, "{text}");
                return lines;
            }
            assert!(Instant::now() < deadline, "{} of {count} records:\n{text}", lines.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The one record's code.
    #[track_caller]
    pub fn only_record(&self) -> serde_json::Value {
        self.records(1).remove(0)
    }

    /// The process's number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.process().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// From here on the process cannot make a file longer than this many bytes (`unlimited`: as long as it likes).
    pub fn limit_files(&self, bytes: &str) {
        let status = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string(), &format!("--fsize={bytes}:")])
            .status();
        assert!(status.expect("prlimit").success());
    }

    /// The process's resident memory, in KiB.
    pub fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The names of the process's threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a process");
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn await_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the gateway did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A GET on the admin listener.
    pub fn admin_get(&self, path: &str) -> String {
        self.admin_send(&format!("GET {path}"), &format!("Host: {}", self.admin), "")
    }

    /// Waits until the metrics have this line. A connection is counted when it is over, which its peer may see a moment before.
    #[track_caller]
    pub fn await_metric(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.admin_get("/metrics");
            if metrics.lines().any(|other| other == line) {
                return;
            }
            assert!(Instant::now() < deadline, "no `{line}` in:\n{metrics}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A request on the admin listener: method and path, further lines of the head, and the body.
    pub fn admin_send(&self, request: &str, head: &str, body: &str) -> String {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(self.admin).expect("the admin listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(stream, "{request} HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n{body}").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Asks as the operator does; gives the status and the JSON.
    pub fn operate(&self, request: &str, body: &str) -> (u16, serde_json::Value) {
        let length = body.len();
        let head = format!(
            "Host: {}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {length}",
            self.admin
        );
        let answer = self.admin_send(request, &head, body);
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        (status_of(&answer), body.parse().unwrap_or_default())
    }

    /// Takes something back in the workspace `acme`; gives the revocation's id.
    #[track_caller]
    pub fn revoke(&self, members: &str) -> String {
        let (status, made) = self.operate("POST /revocations", &format!(r#"{{"workspace":"acme",{members}}}"#));
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    }
}

/// The status of an answer on the admin listener.
#[track_caller]
pub fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

fn launch(setup: &Setup) -> (Child, mpsc::Receiver<String>) {
    let mut command = if setup.disk_may_fail {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", BINARY]);
        shell
    } else {
        Command::new(BINARY)
    };
    let mut child = command
        .args(["serve", "--log", "json", "--policies"])
        .arg(setup.policies())
        .env("TEST_SECRET", SECRET)
        .env("COUNTERSIGN_WORKERS", WORKERS.to_string())
        .env("OTHER_SECRET", "another-secret-0123456789abcdef01234567")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    let (lines, log) = mpsc::channel();
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    (child, log)
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        // Already ended is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
