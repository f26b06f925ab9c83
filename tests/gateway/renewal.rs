//! What is renewed on disk while the gateway runs: certificates, volumes, links, secrets.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::client::{connect_tls, form_request};
use crate::support::gateway::{ACME, BINARY, write_whole};
use crate::support::token::now;
use crate::support::{Bench, Client, Protocol, SECRET, Setup, TestGateway, TestUpstream, Token, ping_form};

const PING: &str = "/messenger/web/ping";

/// A change on disk is seen within a second; the regular look would come after 30.
const PATIENCE: Duration = Duration::from_secs(20);

/// Certificates of a test, in a folder beside the policies.
struct Certs {
    folder: PathBuf,
    serial: Vec<u8>,
    ca_pem: String,
}

impl Certs {
    /// New ones for `localhost`, from an authority of their own.
    fn make(setup: &Setup, folder: &str) -> Self {
        let folder = beside(setup, folder);
        let made = Command::new(BINARY).args(["certs", "dev", "--out"]).arg(&folder).stdout(Stdio::null()).status();
        assert!(made.expect("started").success(), "certs dev");
        Self::read(&folder)
    }

    /// A new one that is valid from `begins` (seconds since 1970) on, and its own authority.
    fn valid_from(setup: &Setup, folder: &str, begins: i64) -> Self {
        Self::valid(setup, folder, "localhost", begins, i64::from(u32::MAX))
    }

    /// The same for another host, from `begins` to `ends`.
    fn valid(setup: &Setup, folder: &str, name: &str, begins: i64, ends: i64) -> Self {
        let folder = beside(setup, folder);
        std::fs::create_dir(&folder).expect("a folder");
        let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
        let at = |seconds: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.unsigned_abs());
        (params.not_before, params.not_after) = (at(begins), at(ends));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        for (name, text) in
            [("dev.pem", &certificate), ("dev-ca.pem", &certificate), ("dev-key.pem", &key.serialize_pem())]
        {
            std::fs::write(folder.join(name), text).expect("written");
        }
        Self::read(&folder)
    }

    fn read(folder: &Path) -> Self {
        let chain = CertificateDer::from_pem_file(folder.join("dev.pem")).expect("a certificate");
        let ca_pem = std::fs::read_to_string(folder.join("dev-ca.pem")).expect("the CA");
        Self { folder: folder.to_owned(), serial: serial(&chain), ca_pem }
    }

    /// Renames one of the files over that of `folder`.
    fn take_the_place(&self, name: &str, folder: &Path) {
        std::fs::rename(self.folder.join(name), folder.join(name)).expect("renamed");
    }
}

fn beside(setup: &Setup, name: &str) -> PathBuf {
    setup.policies().with_file_name(name)
}

fn serial(certificate: &CertificateDer<'_>) -> Vec<u8> {
    X509Certificate::from_der(certificate).expect("a certificate").1.raw_serial().to_vec()
}

/// The serial number that a new connection sees.
async fn serial_shown(gateway: &TestGateway, known: &[&Certs]) -> Vec<u8> {
    let ca_pem: String = known.iter().map(|certs| certs.ca_pem.as_str()).collect();
    let stream = connect_tls(gateway.address, &ca_pem, "localhost", &[b"http/1.1"]).await.expect("a TLS connection");
    let (_, connection) = stream.get_ref();
    serial(connection.peer_certificates().expect("certificates").first().expect("a certificate"))
}

/// Waits until new connections see the certificate of `next` rather than that of `last`.
async fn await_renewal(gateway: &TestGateway, last: &Certs, next: &Certs) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = serial_shown(gateway, &[last, next]).await;
        if shown == next.serial {
            return;
        }
        assert_eq!(shown, last.serial, "neither the old certificate nor the new one");
        assert!(Instant::now() < deadline, "still the old certificate");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn still_works(connections: &mut [Client]) {
    for connection in connections {
        assert_eq!(connection.post_form(PING, ping_form(r#"{"nickname":"bob"}"#)).await.status, 200);
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_signal_and_connections_of_before_stay() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    let certs = beside(&gateway.setup, "certs");
    let first = Certs::read(&certs);
    let mut kept = [gateway.http1().await, gateway.http2().await];
    still_works(&mut kept).await;
    assert_eq!(serial_shown(&gateway, &[&first]).await, first.serial);
    let renewed = Certs::make(&gateway.setup, "renewed");
    assert_ne!(renewed.serial, first.serial);
    for name in ["dev-key.pem", "dev.pem"] {
        renewed.take_the_place(name, &certs);
    }
    await_renewal(&gateway, &first, &renewed).await;
    still_works(&mut kept).await;
    gateway.await_metric("countersign_policy_reload_failed 0");
}

#[tokio::test]
async fn a_volume_that_kubernetes_swaps_is_taken_up_each_time() {
    let upstream = TestUpstream::start().await;
    let setup = Setup::acme(upstream.address);
    // The files are links through `..data`, and `..data` is swapped by a rename.
    let volume = beside(&setup, "certs");
    let fill = |setup: &Setup, version: &str| {
        let certs = Certs::make(setup, &format!("certs/{version}"));
        symlink(version, volume.join("..data_tmp")).expect("linked");
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("renamed");
        certs
    };
    let mut last = fill(&setup, "..2026_11_20");
    for name in ["dev.pem", "dev-key.pem", "dev-ca.pem"] {
        symlink(Path::new("..data").join(name), volume.join(name)).expect("linked");
    }
    let gateway = setup.start();
    let mut kept = [gateway.http1().await];
    for (reloads, version) in [(1, "..2026_11_21"), (2, "..2026_11_22")] {
        let next = fill(&gateway.setup, version);
        std::fs::remove_dir_all(&last.folder).expect("removed");
        await_renewal(&gateway, &last, &next).await;
        still_works(&mut kept).await;
        // Once for each swap: what a reload reads and watches is no change.
        gateway.await_metric(&format!("countersign_policy_reloads_total{{result=\"ok\"}} {reloads}"));
        last = next;
    }
    gateway.await_metric("countersign_policy_reload_failed 0");
}

#[tokio::test]
async fn a_bad_pair_keeps_the_last_good_one_until_it_is_mended() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let certs = beside(&gateway.setup, "certs");
    let first = Certs::read(&certs);
    let renewed = Certs::make(&gateway.setup, "renewed");
    let mut kept = [gateway.http1().await, gateway.http2().await];
    let key = certs.join("dev-key.pem");
    let mut half_of_the_key = std::fs::read(&key).expect("there");
    half_of_the_key.truncate(half_of_the_key.len() / 2);
    let breaks: [(&dyn Fn(), &str); 3] = [
        (&|| renewed.take_the_place("dev.pem", &certs), "is not that of the first certificate in"),
        (&|| std::fs::write(&key, &half_of_the_key).expect("written"), "dev-key.pem` is not PEM"),
        (&|| std::fs::remove_file(&key).expect("removed"), "cannot read `"),
    ];
    for (break_it, words) in breaks {
        break_it();
        gateway.await_log("policy_reload_failed");
        let mistake = gateway.await_log("policy_mistake");
        assert!(mistake.contains(words) && mistake.contains("dev-key.pem"), "{mistake}");
        gateway.await_metric("countersign_policy_reload_failed 1");
        assert_eq!(serial_shown(&gateway, &[&first]).await, first.serial);
        still_works(&mut kept).await;
    }
    renewed.take_the_place("dev-key.pem", &certs);
    await_renewal(&gateway, &first, &renewed).await;
    gateway.await_log("policy_reloaded");
    gateway.await_metric("countersign_policy_reload_failed 0");
    still_works(&mut kept).await;
}

#[tokio::test]
async fn a_certificate_that_comes_before_its_time_is_taken_up_when_it_begins() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let certs = beside(&gateway.setup, "certs");
    let first = Certs::read(&certs);
    let next = Certs::valid_from(&gateway.setup, "next", now() + 8);
    for name in ["dev-key.pem", "dev.pem"] {
        next.take_the_place(name, &certs);
    }
    let mistake = loop {
        let mistake = gateway.await_log("policy_mistake");
        // Between the two renames the pair is none.
        if !mistake.contains("is not that of") {
            break mistake;
        }
    };
    assert!(mistake.contains("begins only at"), "{mistake}");
    assert_eq!(serial_shown(&gateway, &[&first]).await, first.serial);
    // Nobody touches a file, and nobody asks.
    await_renewal(&gateway, &first, &next).await;
    gateway.await_metric("countersign_policy_reload_failed 0");
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_keeps_nobody_waiting() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let certs = beside(&gateway.setup, "certs");
    let first = Certs::read(&certs);
    let policies = gateway.setup.policies();
    for name in [certs.join("dev.pem"), certs.join("dev-key.pem"), policies.join("workspaces/acme.toml")] {
        let (aside, pipe) = (name.with_extension("aside"), name.with_extension("pipe"));
        std::fs::hard_link(&name, &aside).expect("linked");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        std::fs::rename(&pipe, &name).expect("renamed");
        let file = name.file_name().expect("a name").to_string_lossy().into_owned();
        let mistake = gateway.await_log("policy_mistake");
        assert!(mistake.contains(&file) && mistake.contains("it is no regular file"), "{mistake}");
        gateway.await_metric("countersign_policy_reload_failed 1");
        assert_eq!(serial_shown(&gateway, &[&first]).await, first.serial);
        std::fs::rename(&aside, &name).expect("renamed");
        gateway.await_metric("countersign_policy_reload_failed 0");
    }
}

#[tokio::test]
async fn a_certificate_that_has_ended_keeps_nothing_new_from_coming_into_force() {
    let upstream = TestUpstream::start().await;
    let pair = |folder| format!("{{ certificate = \"../{folder}/dev.pem\", key = \"../{folder}/dev-key.pem\" }}");
    let setup = Setup::acme(upstream.address).listens(&format!(
        "address = \"127.0.0.1:0\"\ncertificates = [{}, {}]",
        pair("certs"),
        pair("ending")
    ));
    setup.write();
    let ends = now() + 6;
    let ending = Certs::valid(&setup, "ending", "other.example", now() - 60, ends);
    let mut gateway = setup.start();
    let certs = beside(&gateway.setup, "certs");
    let first = Certs::read(&certs);
    while now() <= ends {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Another certificate of the same listener is renewed, and a policy changes.
    let renewed = Certs::make(&gateway.setup, "renewed");
    for name in ["dev-key.pem", "dev.pem"] {
        renewed.take_the_place(name, &certs);
    }
    await_renewal(&gateway, &first, &renewed).await;
    let told = gateway.await_log("certificate_ended");
    assert!(told.contains("ERROR") && told.contains("ending/dev.pem"), "{told}");
    let mut client = Client::connect(gateway.address, &renewed.ca_pem, Protocol::Http1).await;
    let unlocked = ACME.replace("plan = { lock = \"enforce\"", "plan = { lock = \"off\"");
    write_whole(&gateway.setup.policies().join("workspaces/acme.toml"), &unlocked);
    let deadline = Instant::now() + PATIENCE;
    loop {
        upstream.forget();
        client.post_form(PING, ping_form(r#"{"plan":"pro"}"#)).await;
        if upstream.only().user_data() == json!({"plan": "pro"}) {
            break;
        }
        assert!(Instant::now() < deadline, "still the old policy");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = gateway.admin_get("/status");
    assert!(status.contains("certificate_ended") && !status.contains("reload_failed\""), "{status}");

    // One that has ended and was not in force is another matter, and so is a start.
    let never = Certs::valid(&gateway.setup, "never", "other.example", now() - 60, now() - 1);
    for name in ["dev-key.pem", "dev.pem"] {
        never.take_the_place(name, &ending.folder);
    }
    loop {
        let mistake = gateway.await_log("policy_mistake");
        // Between the two renames the pair is none.
        if !mistake.contains("is not that of") {
            assert!(mistake.contains("expired at") && mistake.contains("ending/dev.pem"), "{mistake}");
            break;
        }
    }
    let start = Command::new(BINARY)
        .args(["serve", "--policies"])
        .arg(gateway.setup.policies())
        .env("TEST_SECRET", SECRET)
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&start.stderr).into_owned();
    assert!(start.status.code() == Some(2) && told.contains("expired at"), "{told}");
    let good = Certs::valid(&gateway.setup, "good", "other.example", now() - 60, now() + 3600);
    for name in ["dev-key.pem", "dev.pem"] {
        good.take_the_place(name, &ending.folder);
    }
    gateway.await_metric("countersign_policy_reload_failed 0");
}

#[tokio::test]
async fn a_link_to_the_policies_may_be_swapped_and_what_it_leads_to_then_is_watched() {
    let upstream = TestUpstream::start().await;
    let setup = Setup::acme(upstream.address);
    setup.write();
    let policies = setup.policies();
    let version = |name: &str| policies.with_file_name(name);
    std::fs::rename(&policies, version("v1")).expect("renamed");
    symlink("v1", &policies).expect("linked");
    let mut gateway = setup.start();
    // Another release, and the link swapped by a rename, as deployments do it.
    let copied = Command::new("cp").arg("-r").args([version("v1"), version("v2")]).status();
    assert!(copied.expect("cp").success());
    let unlock = |text: &str, lock: &str| {
        let text = text.replace("plan = { lock = \"enforce\"", &format!("plan = {{ lock = \"{lock}\""));
        write_whole(&version("v2").join("workspaces/acme.toml"), &text);
    };
    let text = std::fs::read_to_string(version("v1").join("workspaces/acme.toml")).expect("there");
    unlock(&text, "observe");
    symlink("v2", version("next")).expect("linked");
    std::fs::rename(version("next"), &policies).expect("renamed");
    gateway.await_log("policy_reloaded");
    unlock(&text, "off");
    gateway.await_log("policy_reloaded");
}

#[tokio::test]
async fn files_that_a_reload_brings_are_watched_from_then_on_even_before_they_are_there() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let first = Certs::read(&beside(&gateway.setup, "certs"));
    let settings = gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&settings).expect("there");
    write_whole(&settings, &text.replace("../certs/", "../later/on/"));
    let mistake = gateway.await_log("policy_mistake");
    assert!(mistake.contains("later/on/dev.pem"), "{mistake}");
    let second = Certs::make(&gateway.setup, "later/on");
    await_renewal(&gateway, &first, &second).await;
    let third = Certs::make(&gateway.setup, "later/on");
    await_renewal(&gateway, &second, &third).await;
    // The whole folder at once.
    let fourth = Certs::make(&gateway.setup, "later/new");
    std::fs::rename(beside(&gateway.setup, "later/on"), beside(&gateway.setup, "later/old")).expect("renamed");
    std::fs::rename(&fourth.folder, beside(&gateway.setup, "later/on")).expect("renamed");
    await_renewal(&gateway, &third, &fourth).await;
    let fifth = Certs::make(&gateway.setup, "later/on");
    await_renewal(&gateway, &fourth, &fifth).await;
}

#[tokio::test]
async fn a_replaced_secret_decides_which_tokens_hold() {
    let other = "rotated-secret-0123456789abcdef012345678";
    let mut bench = Bench::acme(|setup| {
        write_whole(&beside(&setup, "acme.secret"), SECRET);
        setup.with(r#"{ env = "TEST_SECRET" }"#, r#"{ file = "../acme.secret" }"#)
    })
    .await;
    let secret = beside(&bench.gateway.setup, "acme.secret");
    let tokens = [SECRET, other].map(|secret| Token::saying(r#""plan":"pro""#).secret(secret).text());
    assert_eq!(proofs(&mut bench, &tokens).await, ["valid", "bad_signature"]);
    write_whole(&secret, other);
    // The record lies beside the secret and is written all the while: that wakes nobody, and puts nothing off.
    let deadline = Instant::now() + PATIENCE;
    while proofs(&mut bench, &tokens).await != ["bad_signature", "valid"] {
        assert!(Instant::now() < deadline, "still the old secret");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.gateway.await_log("policy_reloaded");
    bench.gateway.await_metric("countersign_policy_reloads_total{result=\"ok\"} 1");

    // Rights are part of what is read: a secret that others can read is refused, and `chmod` alone mends it.
    for (mode, told) in [(0o644, "policy_mistake"), (0o600, "policy_reloaded")] {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).expect("mode set");
        let line = bench.gateway.await_log(told);
        assert!(!line.contains(other), "{line}");
        assert_eq!(proofs(&mut bench, &tokens).await, ["bad_signature", "valid"]);
    }
    bench.gateway.await_metric("countersign_policy_reload_failed 0");
}

/// What the record says of each token.
async fn proofs(bench: &mut Bench, tokens: &[String]) -> Vec<String> {
    let mut proofs = Vec::new();
    for token in tokens {
        let data = json!({"user_id": "user-42", "plan": "pro", "intercom_user_jwt": token}).to_string();
        bench.send(form_request(PING, ping_form(&data))).await;
        proofs.push(bench.record()["proof"].as_str().expect("text").to_owned());
    }
    proofs
}

#[tokio::test]
async fn a_key_that_others_can_read_is_used_and_told_each_time() {
    let upstream = TestUpstream::start().await;
    let setup = Setup::acme(upstream.address);
    setup.write();
    let key = beside(&setup, "certs").join("dev-key.pem");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("mode set");
    assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600, "`certs dev` wrote it");
    mode(0o644);
    let mut gateway = setup.start();
    let told = gateway.log();
    assert_eq!(told.matches("run `chmod 600 ").count(), 1, "{told}");
    assert!(told.contains("dev-key.pem` can be read by others"), "{told}");
    mode(0o600);
    gateway.await_log("policy_reloaded");
    let since_the_start = gateway.log();
    assert_eq!(since_the_start.matches("run `chmod 600 ").count(), 1, "{since_the_start}");
    mode(0o640);
    let told = gateway.await_log("run `chmod 600 ");
    assert!(told.contains("WARN") && told.contains("dev-key.pem"), "{told}");
    still_works(&mut [gateway.http1().await]).await;
}
