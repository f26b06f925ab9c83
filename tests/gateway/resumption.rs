//! Session tickets: what they outlive, and what they do not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::SupportedProtocolVersion;

use crate::support::client::form_request;
use crate::support::gateway::{BINARY, write_whole};
use crate::support::tls_client::{Authority, TLS12, TLS13, TlsClient};
use crate::support::{Setup, TestGateway, TestUpstream, ping_form};

const PING: &str = "/messenger/web/ping";

/// A change on disk is seen within a second.
const PATIENCE: Duration = Duration::from_secs(20);

const SHARED: &str = "tickets = { file = \"../tickets.keys\" }";

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn beside(setup: &Setup, name: &str) -> PathBuf {
    setup.policies().with_file_name(name)
}

/// The secrets, each told by a number.
fn secrets(numbers: &[u8]) -> String {
    numbers.iter().map(|number| format!("{}\n", STANDARD.encode([*number; 48]))).collect()
}

/// One request over a new connection; whether that resumed a session.
async fn visit(client: &TlsClient, gateway: &TestGateway) -> bool {
    let (mut connection, resumed) = client.connect(gateway.address).await.expect("a connection");
    let answer = connection.send(form_request(PING, ping_form(r#"{"nickname":"bob"}"#))).await;
    assert_eq!(answer.status, 200);
    resumed
}

/// Waits until a reload has been told of.
fn await_reload(gateway: &mut TestGateway) {
    gateway.await_log("policy_reloaded");
}

async fn shared() -> (TestUpstream, TestGateway) {
    let upstream = TestUpstream::start().await;
    let setup = Setup::acme(upstream.address).listener(SHARED);
    std::fs::create_dir_all(setup.policies()).expect("made");
    write_whole(&beside(&setup, "tickets.keys"), &secrets(&[1]));
    (upstream, setup.start())
}

#[tokio::test]
async fn a_shared_secret_outlives_the_process_and_holds_at_another() {
    let (_upstream, mut gateway) = shared().await;
    let other = gateway.again();
    for version in VERSIONS {
        let client = TlsClient::new(&gateway.ca_pem, version, None);
        assert!(!visit(&client, &gateway).await, "the first has nothing to resume");
        assert!(visit(&client, &gateway).await);
        assert!(visit(&client, &other).await, "another gateway");
        assert!(visit(&client, &gateway).await);
        gateway.kill_and_start();
        assert!(visit(&client, &gateway).await, "another process");
    }
}

#[tokio::test]
async fn a_secret_of_the_process_ends_with_it_and_holds_nowhere_else() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let other = gateway.again();
    for version in VERSIONS {
        let client = TlsClient::new(&gateway.ca_pem, version, None);
        assert!(!visit(&client, &gateway).await);
        assert!(visit(&client, &gateway).await);
        assert!(!visit(&client, &other).await);
        visit(&client, &gateway).await;
        gateway.kill_and_start();
        assert!(!visit(&client, &gateway).await);
    }
}

#[tokio::test]
async fn a_reload_of_something_else_keeps_sessions_and_a_renewed_certificate_ends_them() {
    for listener in ["", SHARED] {
        let upstream = TestUpstream::start().await;
        let setup = Setup::acme(upstream.address).listener(listener);
        std::fs::create_dir_all(setup.policies()).expect("made");
        write_whole(&beside(&setup, "tickets.keys"), &secrets(&[1]));
        let mut gateway = setup.start();
        let clients = VERSIONS.map(|version| TlsClient::new(&gateway.ca_pem, version, None));
        for client in &clients {
            visit(client, &gateway).await;
        }
        gateway.setup.clone().with("max_length = 64", "max_length = 65").write();
        await_reload(&mut gateway);
        for client in &clients {
            assert!(visit(client, &gateway).await, "nothing of TLS has changed");
        }
        // The same authority, the same key, another certificate: from one of the same names whose key is known to nobody any more.
        let next = beside(&gateway.setup, "next");
        let made = Command::new(BINARY).args(["certs", "dev", "--out"]).arg(&next).stdout(Stdio::null()).status();
        assert!(made.expect("started").success());
        for name in ["dev.pem", "dev-key.pem"] {
            std::fs::rename(next.join(name), beside(&gateway.setup, "certs").join(name)).expect("renamed");
        }
        await_reload(&mut gateway);
        let both = format!("{}{}", gateway.ca_pem, std::fs::read_to_string(next.join("dev-ca.pem")).expect("the CA"));
        let config_of_before = &clients;
        for client in config_of_before {
            // They trust the authority of before alone: had the session been resumed, no certificate would have been shown.
            assert!(client.connect(gateway.address).await.is_err());
        }
        let client = TlsClient::new(&both, &TLS13, None);
        assert!(!visit(&client, &gateway).await);
        assert!(visit(&client, &gateway).await);
    }
}

#[tokio::test]
async fn a_new_secret_in_front_keeps_the_sessions_of_the_old_ones() {
    let (_upstream, mut gateway) = shared().await;
    let clients = VERSIONS.map(|version| TlsClient::new(&gateway.ca_pem, version, None));
    let keys = beside(&gateway.setup, "tickets.keys");
    for client in &clients {
        assert!(!visit(client, &gateway).await);
    }
    for lines in [&[2, 1][..], &[3, 2, 1]] {
        write_whole(&keys, &secrets(lines));
        await_reload(&mut gateway);
        for client in &clients {
            assert!(visit(client, &gateway).await, "{lines:?}");
        }
    }
    // All of them gone at once: nothing opens.
    write_whole(&keys, &secrets(&[9, 8, 7]));
    await_reload(&mut gateway);
    for client in &clients {
        assert!(!visit(client, &gateway).await);
        assert!(visit(client, &gateway).await);
    }
    // A file that is no such file changes nothing.
    write_whole(&keys, "half a sec");
    let line = gateway.await_log("policy_mistake");
    assert!(line.contains("line 1 of the ticket file") && !line.contains("half"), "{line}");
    for client in &clients {
        assert!(visit(client, &gateway).await);
    }
}

#[tokio::test]
async fn other_authorities_of_clients_end_sessions_and_so_does_a_list_of_revoked_ones() {
    let upstream = TestUpstream::start().await;
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let asked = "client_certificates = { mode = \"optional\", ca = [\"../clients.pem\"], crl = [\"../clients.crl\"] }";
    let setup = Setup::acme(upstream.address).listener(SHARED).listener(asked);
    std::fs::create_dir_all(setup.policies()).expect("made");
    let (ca, crl) = (beside(&setup, "clients.pem"), beside(&setup, "clients.crl"));
    write_whole(&beside(&setup, "tickets.keys"), &secrets(&[1]));
    write_whole(&ca, &one.ca_pem);
    write_whole(&crl, &one.revoked(1, &[]));
    let mut gateway = setup.start();
    let identity = one.issue(7, &["spiffe://acme/backend"]);
    for version in VERSIONS {
        let client = TlsClient::new(&gateway.ca_pem, version, Some(&identity));
        let plain = TlsClient::new(&gateway.ca_pem, version, None);
        for client in [&client, &plain] {
            assert!(!visit(client, &gateway).await);
            assert!(visit(client, &gateway).await);
        }
        // A certificate that was taken back has no session left to hide behind.
        write_whole(&crl, &one.revoked(2, &[&identity]));
        await_reload(&mut gateway);
        assert!(!visit(&plain, &gateway).await);
        assert!(!is_served(&client, &gateway).await);
        write_whole(&crl, &one.revoked(1, &[]));
        await_reload(&mut gateway);
        visit(&client, &gateway).await;
        // Nor has one whose authority is trusted no longer.
        write_whole(&ca, &other.ca_pem);
        await_reload(&mut gateway);
        assert!(!visit(&plain, &gateway).await);
        assert!(!is_served(&client, &gateway).await);
        write_whole(&ca, &one.ca_pem);
        await_reload(&mut gateway);
    }
}

/// Whether a request is answered at all: a refused certificate ends a connection of TLS 1.3 only after the client thinks that it is there.
async fn is_served(client: &TlsClient, gateway: &TestGateway) -> bool {
    match client.connect(gateway.address).await {
        Ok((mut connection, _)) => connection.try_send(form_request(PING, ping_form("{}"))).await.is_ok(),
        Err(_) => false,
    }
}

/// A connection by the real `openssl`; whether it resumed the session in `from`, and keeps the one that it is given in `to`.
fn openssl(gateway: &TestGateway, version: &str, from: Option<&Path>, to: &Path) -> bool {
    let ca = beside(&gateway.setup, "certs").join("dev-ca.pem");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &gateway.address.to_string(), "-servername", "localhost", version]);
    command.arg("-CAfile").arg(ca).arg("-verify_return_error").arg("-sess_out").arg(to);
    if let Some(from) = from {
        command.arg("-sess_in").arg(from);
    }
    // It reads until the gateway closes: by then the tickets of TLS 1.3 have come.
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut child = command
        .arg("-ign_eof")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), request.as_bytes()).expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child").is_none() {
        assert!(Instant::now() < deadline, "openssl did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("output");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("HTTP/1.1 404"), "{text}");
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    text.contains("\nReused, ")
}

#[tokio::test]
async fn openssl_resumes_at_another_gateway_and_after_a_restart_and_not_with_another_secret() {
    let (_upstream, mut gateway) = shared().await;
    let other = gateway.again();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = beside(&gateway.setup, "session.pem");
        assert!(!openssl(&gateway, version, None, &session));
        assert!(openssl(&gateway, version, Some(&session), &session));
        assert!(openssl(&other, version, Some(&session), &session));
        gateway.kill_and_start();
        assert!(openssl(&gateway, version, Some(&session), &session));
    }
    let session = beside(&gateway.setup, "session.pem");
    write_whole(&beside(&gateway.setup, "tickets.keys"), &secrets(&[5]));
    await_reload(&mut gateway);
    assert!(!openssl(&gateway, "-tls1_3", Some(&session), &session));
}
