//! The issuer's word that a certificate is good, from a real responder to a real client.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::support::{Setup, TestGateway, TestUpstream};

const PATIENCE: Duration = Duration::from_secs(30);

const SERIAL: u64 = 0x4711;

/// An authority with `openssl`'s responder, which takes a port of all addresses of this machine.
struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    port: u16,
}

struct Responder(Child);

impl Drop for Responder {
    fn drop(&mut self) {
        // Already ended is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "An authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca_pem = params.self_signed(&key).expect("an authority").pem();
        std::fs::write(directory.path().join("ca.pem"), &ca_pem).expect("written");
        std::fs::write(directory.path().join("ca.key"), key.serialize_pem()).expect("written");
        // Below those that the system gives to others, so that it is still free when the responder comes back.
        let port = 20_000 + u16::try_from(std::process::id() % 10_000).expect("small");
        Self { directory, issuer: Issuer::new(params, key), ca_pem, port }
    }

    /// A responder that says of our certificate that it is good (`V`) or revoked (`R`).
    fn respond(&self, status: &str) -> Responder {
        let path = |name: &str| self.directory.path().join(name);
        let revoked = if status == "R" { "250101000000Z" } else { "" };
        let index = format!("{status}\t900101000000Z\t{revoked}\t{SERIAL:04X}\tunknown\t/CN=leaf\n");
        std::fs::write(path("index.txt"), index).expect("written");
        let mut child = Command::new("openssl")
            .args(["ocsp", "-port", &self.port.to_string(), "-ndays", "1", "-index"])
            .arg(path("index.txt"))
            .arg("-CA")
            .arg(path("ca.pem"))
            .arg("-rsigner")
            .arg(path("ca.pem"))
            .arg("-rkey")
            .arg(path("ca.key"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        // `ACCEPT [::]:20197 PID=…`
        let mut lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.starts_with("ACCEPT"))), "it does not listen");
        Responder(child)
    }

    /// A certificate that names a responder at this port, where the gateway finds it.
    fn issue(&self, setup: &Setup, port: u16) {
        let uri = format!("http://127.0.0.1:{port}/ocsp");
        let length = |content: &[u8]| u8::try_from(content.len()).expect("short");
        let mut description = vec![0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
        description.extend([0x86, length(uri.as_bytes())]);
        description.extend(uri.as_bytes());
        let description = [&[0x30, length(&description)], &description[..]].concat();
        let access = [&[0x30, length(&description)], &description[..]].concat();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.serial_number = Some(SERIAL.into());
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let certs = certs(setup);
        std::fs::create_dir_all(&certs).expect("made");
        for (name, text) in [
            ("dev-key.pem", key.serialize_pem()),
            ("dev-ca.pem", self.ca_pem.clone()),
            ("dev.pem", leaf + &self.ca_pem),
        ] {
            std::fs::write(certs.join(name), text).expect("written");
        }
    }
}

fn certs(setup: &Setup) -> PathBuf {
    setup.policies().with_file_name("certs")
}

/// What a client sees that asks for the issuer's word.
fn shown(gateway: &TestGateway) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &gateway.address.to_string(), "-servername", "localhost", "-status", "-CAfile"])
        .arg(certs(&gateway.setup).join("dev-ca.pem"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let mut text = String::new();
    child.stdout.as_mut().expect("piped").read_to_string(&mut text).expect("text");
    child.wait().expect("ended");
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    text
}

const GOOD: &str = "Cert Status: good";
const NOTHING: &str = "OCSP response: no response sent";

#[track_caller]
fn await_shown(gateway: &TestGateway, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = shown(gateway);
        if text.contains(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "no `{expected}`: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn status(gateway: &TestGateway) -> serde_json::Value {
    let answer = gateway.admin_get("/status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status: serde_json::Value = body.parse().expect("JSON");
    status["certificates"][0]["ocsp"].clone()
}

#[tokio::test]
async fn a_good_certificate_is_shown_with_its_issuers_word_until_that_changes() {
    let upstream = TestUpstream::start().await;
    let (authority, setup) = (Authority::new(), Setup::acme(upstream.address));
    let responder = authority.respond("V");
    authority.issue(&setup, authority.port);
    let mut gateway = setup.start();
    gateway.await_log("\"stapled\"");
    await_shown(&gateway, GOOD);
    let metrics = gateway.admin_get("/metrics");
    for name in ["staple_age_seconds", "staple_left_seconds", "certificate_revoked"] {
        assert!(metrics.contains(&format!("countersign_{name}{{certificate=\"public: ")), "{name}: {metrics}");
    }
    assert!(metrics.contains("countersign_ocsp_fetches_total{result=\"ok\"} 1"), "{metrics}");
    let known = status(&gateway);
    assert!(known["left_seconds"].as_i64().is_some_and(|left| left > 80_000), "{known}");
    assert_eq!((&known["revoked"], &known["last_error"]), (&false.into(), &serde_json::Value::Null));

    // A reload asks nobody and forgets nothing; a responder that is away takes nothing away.
    drop(responder);
    gateway.setup.clone().with("max_length = 64", "max_length = 65").write();
    gateway.await_log("policy_reloaded");
    await_shown(&gateway, GOOD);
    gateway.signal("HUP");
    gateway.await_log("ocsp_failed");
    await_shown(&gateway, GOOD);
    assert_eq!(status(&gateway)["last_error"], "connect");

    // What its issuer takes back is not called good any longer.
    let _responder = authority.respond("R");
    gateway.signal("HUP");
    gateway.await_log("certificate_revoked");
    await_shown(&gateway, NOTHING);
    assert_eq!(status(&gateway)["revoked"], true);
    let metrics = gateway.admin_get("/metrics");
    let revoked = metrics.lines().find(|line| line.starts_with("countersign_certificate_revoked{")).expect("a gauge");
    assert!(revoked.ends_with(" 1"), "{revoked}");
}

#[tokio::test]
async fn nobody_waits_for_a_responder_and_nobody_asks_one_where_the_policy_says_so() {
    let upstream = TestUpstream::start().await;
    let (authority, setup) = (Authority::new(), Setup::acme(upstream.address));
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let port = silent.local_addr().expect("an address").port();
    authority.issue(&setup, port);
    let gateway = setup.clone().start();
    assert!(shown(&gateway).contains(NOTHING));
    let (asked, _) = silent.accept().expect("it was asked");
    drop(asked);
    drop(gateway);

    silent.set_nonblocking(true).expect("a socket");
    let gateway = setup.listener("ocsp = \"off\"").start();
    assert!(shown(&gateway).contains(NOTHING));
    std::thread::sleep(Duration::from_millis(300));
    assert!(silent.accept().is_err(), "it was asked");
    assert_eq!(status(&gateway), serde_json::Value::Null);
}
