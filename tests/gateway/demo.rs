//! The demo as somebody tries it: its output, its page, and what is left when it has ended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::gateway::BINARY;

/// Each scenario with its status, and the verdict or refusal that it is there to show.
const SHOWN: [(&str, u64, &str); 10] = [
    ("unsigned", 200, "locked"),
    ("signed", 200, "signed"),
    ("tampered", 403, "bad_signature"),
    ("overridden", 200, "overridden"),
    ("foreign", 403, "origin_untrusted"),
    ("unknown", 200, "unlisted"),
    ("erase", 200, "erase_locked"),
    ("observed", 200, "locked"),
    ("elsewhere", 200, "locked"),
    ("brackets", 200, "locked"),
];

const PATIENCE: Duration = Duration::from_secs(20);

/// A demo whose files go into a directory of the test's.
struct Demo {
    child: Child,
    told: String,
    page: SocketAddr,
    temporary: tempfile::TempDir,
}

impl Demo {
    fn command(temporary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("demo").args(arguments).env("TMPDIR", temporary);
        command
    }

    /// Starts it and reads until it says that it is there.
    fn start() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut child = Self::command(temporary.path(), &[]).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut told = String::new();
        while !told.contains("Ctrl-C ends it.") {
            told.push_str(&lines.next().unwrap_or_else(|| panic!("it ended after:\n{told}")));
            told.push('\n');
        }
        let page = told.lines().find_map(|line| line.trim().strip_prefix("http://")?.strip_suffix('/')?.parse().ok());
        Self { child, page: page.expect("the page's address"), told, temporary }
    }

    fn request(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.page).expect("the page");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(stream, "{head} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.page).expect("sent");
        write!(stream, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn send(&self, scenario: &str) -> Value {
        let answer = self.request("POST /send", &json!({ "scenario": scenario }).to_string());
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        body.parse().unwrap_or_else(|_| panic!("{answer}"))
    }

    /// The directories that it made.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.temporary.path()).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    fn end(&mut self, signal: &str) -> ExitStatus {
        let status = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the demo did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Already ended is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What an outcome shows: the refusal's code, or the verdict on its first attribute.
fn shown(outcome: &Value) -> (u64, &str) {
    let refusal = &outcome["answer"]["refusal"];
    let code = if refusal.is_null() { &outcome["attributes"][0]["verdict"]["code"] } else { &refusal["code"] };
    (outcome["answer"]["status"].as_u64().expect("a status"), code.as_str().expect("a code"))
}

#[test]
fn once_it_shows_every_verdict_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().expect("a directory");
    let output = Demo::command(temporary.path(), &["--once"]).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    for (scenario, status, code) in SHOWN {
        assert!(told.contains(&format!("{status} ")) && told.contains(code), "{scenario}: {code} in:\n{told}");
    }
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(temporary.path()).expect("a directory").count(), 0);
}

#[test]
fn its_page_sends_real_requests_and_a_signal_ends_it() {
    let mut demo = Demo::start();
    assert!(demo.request("GET /", "").contains("<title>Countersign"));
    assert!(demo.request("GET /page.js", "").starts_with("HTTP/1.1 200"));
    for (scenario, status, code) in SHOWN {
        let outcome = demo.send(scenario);
        assert_eq!(shown(&outcome), (status, code), "{scenario}: {outcome}");
        let locked = &outcome["attributes"][0];
        let arrived = locked["arrived"].as_str();
        assert_ne!(arrived, Some("\"enterprise\""), "{scenario}: {outcome}");
        assert_eq!(
            arrived.is_some(),
            ["signed", "overridden", "observed"].contains(&scenario),
            "{scenario}: {outcome}"
        );
    }
    assert_eq!(demo.files().len(), 1);
    assert_eq!(demo.end("INT").code(), Some(0));
    assert!(demo.files().is_empty(), "{:?}", demo.files());
}

#[test]
fn requests_of_several_pages_at_once_do_not_mix() {
    let mut demo = Demo::start();
    std::thread::scope(|scope| {
        let sending: Vec<_> =
            SHOWN.iter().chain(&SHOWN).map(|shown| (shown, scope.spawn(|| demo.send(shown.0)))).collect();
        for ((scenario, status, code), outcome) in sending {
            let outcome = outcome.join().expect("an outcome");
            assert_eq!(shown(&outcome), (*status, *code), "{scenario}: {outcome}");
        }
    });
    assert_eq!(demo.end("TERM").code(), Some(0));
    assert!(demo.files().is_empty(), "{:?}", demo.files());
}

#[test]
fn the_lines_to_paste_do_what_they_say() {
    let demo = Demo::start();
    // A shell and curl read them, as they do in a terminal; where there is no curl nobody can paste them.
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    let pasted = demo.told.split("\n\n").filter(|lines| lines.contains("  curl "));
    let answers: BTreeMap<&str, String> = pasted
        .map(|lines| {
            let (title, line) = lines.trim_start().split_once('\n').expect("a title and lines");
            let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
            assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
            (title, String::from_utf8_lossy(&output.stdout).into_owned())
        })
        .collect();
    let answer = |title: &str| answers.iter().find(|(key, _)| key.starts_with(title)).expect("a line to paste").1;
    assert!(answer("A plan that nobody signed").contains(" 200 "));
    assert!(answer("A plan that the token signs").contains(" 200 "));
    assert!(answer("Metrics").contains("countersign_requests_total"));
    let kept = answer("What the API has");
    assert!(kept.contains(r#""plan":"free""#) && kept.contains(r#""nickname":"Grace""#), "{kept}");
}

#[test]
fn a_port_that_is_taken_is_told_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for option in ["--port", "--page-port"] {
        let temporary = tempfile::tempdir().expect("a directory");
        let output = Demo::command(temporary.path(), &[option, &port]).output().expect("the binary starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(&port) && told.contains(&format!("`{option}`")), "{told}");
        assert_eq!(std::fs::read_dir(temporary.path()).expect("a directory").count(), 0);
    }
}
