//! Certificates by ACME, against a real server of it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::acme_front::{AcmeFront, Says};
use crate::support::client::{connect_tls, form_request};
use crate::support::gateway::{BINARY, status_of, write_whole};
use crate::support::pebble::{Pebble, Wish};
use crate::support::place::Place;
use crate::support::{Client, Protocol, Setup, TestGateway, TestUpstream, ping_form};

const PING: &str = "/messenger/web/ping";
const CHAT: &str = "chat.example.com";

/// An order takes a second or two.
const PATIENCE: Duration = Duration::from_secs(120);

/// A gateway whose listener orders `names` of the authority at `directory`, believing `ca_pem` there.
fn ordering(upstream: &TestUpstream, place: Place, names: &[&str], directory: &str, ca_pem: &str, more: &str) -> Setup {
    let setup = Setup::acme(upstream.address)
        .listens(&listener(place, names))
        .gateway(&format!(
            "[acme]\ndirectory = \"{directory}\"\nterms_of_service = \"agreed\"\nstore = \"../acme\"\nca = \"../acme-ca.pem\"\n\
             contact = [\"mailto:ops@example.com\"]\n{more}\n"
        ));
    write_whole(&beside(&setup, "acme-ca.pem"), ca_pem);
    setup
}

fn listener(place: Place, names: &[&str]) -> String {
    format!("address = \"{}\"\ncertificates = [{{ acme = {names:?} }}]", place.tls())
}

fn beside(setup: &Setup, name: &str) -> PathBuf {
    setup.policies().with_file_name(name)
}

/// The certificate that a new connection for `name` sees.
async fn shown(gateway: &TestGateway, root_pem: &str, name: &str) -> std::io::Result<CertificateDer<'static>> {
    let stream = connect_tls(gateway.address, root_pem, name, &[b"http/1.1"]).await?;
    let (_, connection) = stream.get_ref();
    Ok(connection.peer_certificates().expect("certificates")[0].clone().into_owned())
}

fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).expect("a certificate");
    let names = certificate.subject_alternative_name().expect("readable").expect("names").value;
    let mut names: Vec<String> = names.general_names.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

fn serial(certificate: &CertificateDer<'_>) -> Vec<u8> {
    X509Certificate::from_der(certificate).expect("a certificate").1.raw_serial().to_vec()
}

fn status(gateway: &TestGateway) -> Value {
    let answer = gateway.admin_get("/status");
    answer.split_once("\r\n\r\n").expect("an answer").1.parse().expect("JSON")
}

/// Waits until what `/status` says of the one ordered certificate is as `wanted`.
fn await_status(gateway: &TestGateway, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(gateway);
        if wanted(&status["acme"][0]) {
            return status["acme"][0].clone();
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until this process has been issued so many. On a machine that is busy with others a try may come too late for the authority, and
/// the next one would be minutes away: an operator would ask for it, and so does this.
fn await_issued(gateway: &mut TestGateway, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut asks_at = Instant::now() + PATIENCE / 6;
    loop {
        let log = gateway.log();
        if log.matches("acme_certificate_issued").count() >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{log}");
        if Instant::now() > asks_at {
            asks_at += PATIENCE / 6;
            gateway.signal("HUP");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn await_ready(gateway: &TestGateway) {
    let deadline = Instant::now() + PATIENCE;
    while status_of(&gateway.admin_get("/readyz")) != 200 {
        assert!(Instant::now() < deadline, "not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn works(gateway: &TestGateway, root_pem: &str, name: &str) {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut client = Client::connect_to(name, gateway.address, root_pem, protocol).await.expect("a connection");
        assert_eq!(client.post_form(PING, ping_form(r#"{"nickname":"bob"}"#)).await.status, 200);
    }
}

/// No key has come out of its file.
fn assert_silent(gateway: &mut TestGateway, log_only: &[&str]) {
    let log = gateway.log();
    for secret in log_only.iter().chain(&["PRIVATE KEY", "key_pkcs8", "panicked"]) {
        assert!(!log.contains(secret), "`{secret}` in:\n{log}");
    }
}

#[tokio::test]
async fn a_certificate_is_issued_by_tls_alpn_01_kept_and_used_again() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish::default()).await;
    let upstream = TestUpstream::start().await;
    let names = [CHAT, "www.example.com"];
    let mut gateway = ordering(&upstream, place, &names, &pebble.directory(), &pebble.ca_pem, "").start();
    await_issued(&mut gateway, 1);
    await_ready(&gateway);
    let certificate = shown(&gateway, &pebble.root_pem, CHAT).await.expect("a certificate");
    assert_eq!(names_of(&certificate), names.map(|name| format!("DNSName({name})")));
    assert!(shown(&gateway, &pebble.root_pem, "other.example.com").await.is_err(), "nobody's name");
    works(&gateway, &pebble.root_pem, "www.example.com").await;

    // Everything in the store is for its owner alone.
    let folder = beside(&gateway.setup, "acme").join(format!("{}-dir", place.directory()).replace(':', "-"));
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&beside(&gateway.setup, "acme")), mode(&folder)), (0o700, 0o700));
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("listed").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let file_names: Vec<_> = files.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
    assert_eq!(file_names, ["account.json", "chat.example.com.pem", "chat.example.com.tries.json", "lock"]);
    assert!(files.iter().all(|path| mode(path) == 0o600));
    assert_silent(&mut gateway, &[]);

    // A certificate's challenge is over: strangers are refused, whatever else they offer.
    for offered in [&[&b"acme-tls/1"[..]][..], &[b"acme-tls/1", b"http/1.1"]] {
        assert!(connect_tls(gateway.address, &pebble.root_pem, CHAT, offered).await.is_err());
    }

    let told = await_status(&gateway, |order| order["failures"] == 0);
    assert_eq!((&told["name"], &told["names"], &told["last_error"]), (&CHAT.into(), &2.into(), &Value::Null));
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.contains("countersign_acme_certificate_usable{certificate=\"chat.example.com\"} 1"), "{metrics}");
    assert!(metrics.contains("countersign_acme_failures_total{certificate=\"chat.example.com\"} 0"), "{metrics}");
    for name in ["next_order", "last_success"] {
        assert!(
            metrics.contains(&format!("countersign_acme_{name}_timestamp_seconds{{certificate=")),
            "{name}\n{metrics}"
        );
    }

    // A restart orders nothing.
    assert_eq!((pebble.orders(), pebble.count("There are now 1 accounts in memory")), (1, 1));
    gateway.kill_and_start();
    await_ready(&gateway);
    assert_eq!(serial(&shown(&gateway, &pebble.root_pem, CHAT).await.expect("a certificate")), serial(&certificate));
    await_status(&gateway, |order| order["ends"].is_string());
    assert_eq!(pebble.orders(), 1);
}

#[tokio::test]
async fn a_certificate_is_issued_by_http_01_and_the_plain_listener_stays_what_it_is() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish::default()).await;
    let upstream = TestUpstream::start().await;
    let more = format!("challenge = \"http-01\"\n[plain]\naddress = \"{}\"\n", place.plain());
    let mut gateway = ordering(&upstream, place, &[CHAT], &pebble.directory(), &pebble.ca_pem, &more).start();
    await_issued(&mut gateway, 1);
    await_ready(&gateway);
    works(&gateway, &pebble.root_pem, CHAT).await;
    assert!(pebble.count("/.well-known/acme-challenge/") > 0, "pebble looked");
    // No listener speaks a protocol that nobody needs.
    assert!(connect_tls(gateway.address, &pebble.root_pem, CHAT, &[b"acme-tls/1"]).await.is_err());
    let ask = |path: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(place.plain()).expect("the plain listener");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {CHAT}\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        status_of(&answer)
    };
    assert_eq!(ask("/.well-known/acme-challenge/unknown"), 308);
    assert_eq!(ask("/.well-known/acme-challenge/"), 400);
}

#[tokio::test]
async fn certificates_are_renewed_in_time_and_nobody_notices_though_policies_and_other_files_are_broken() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish { validity_seconds: Some(24), ..Wish::default() }).await;
    let upstream = TestUpstream::start().await;
    let listener = format!(
        "address = \"{}\"\ntickets = {{ file = \"../tickets.keys\" }}\n\
         certificates = [{{ acme = [{CHAT:?}] }}, {{ certificate = \"../certs/dev.pem\", key = \"../certs/dev-key.pem\" }}]",
        place.tls()
    );
    let setup = ordering(&upstream, place, &[CHAT], &pebble.directory(), &pebble.ca_pem, "").listens(&listener);
    let tickets = beside(&setup, "tickets.keys");
    write_whole(&tickets, &format!("{}\n", "AAAA".repeat(16)));
    let own_ca = setup.write();
    let mut gateway = setup.start();
    await_issued(&mut gateway, 1);
    let deadline = Instant::now() + PATIENCE;
    while shown(&gateway, &pebble.root_pem, CHAT).await.is_err() {
        assert!(Instant::now() < deadline, "never shown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut kept = [
        Client::connect_to(CHAT, gateway.address, &pebble.root_pem, Protocol::Http1).await.expect("a connection"),
        Client::connect_to(CHAT, gateway.address, &pebble.root_pem, Protocol::Http2).await.expect("a connection"),
    ];
    // What cannot come into force keeps no certificate from being shown.
    write_whole(&gateway.setup.policies().join("workspaces/acme.toml"), "profile = ");
    gateway.await_log("policy_reload_failed");
    std::fs::set_permissions(&tickets, std::fs::Permissions::from_mode(0o644)).expect("mode set");
    std::fs::remove_file(beside(&gateway.setup, "certs").join("dev-key.pem")).expect("removed");
    let mut seen = vec![serial(&shown(&gateway, &pebble.root_pem, CHAT).await.expect("a certificate"))];
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < 3 {
        for connection in &mut kept {
            let sent = connection.send(form_request(PING, ping_form(r#"{"nickname":"bob"}"#))).await;
            assert_eq!(sent.status, 200);
        }
        let serial = serial(&shown(&gateway, &pebble.root_pem, CHAT).await.expect("a certificate that is good"));
        if seen.last() != Some(&serial) {
            assert!(!seen.contains(&serial), "an old one came back");
            seen.push(serial);
        }
        assert!(Instant::now() < deadline, "{} certificates\n{}", seen.len(), gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shown(&gateway, &own_ca, "localhost").await.expect("the other certificate, as before");
    assert!(pebble.orders() <= 4, "{} orders for three certificates", pebble.orders());
    assert_silent(&mut gateway, &[]);
}

#[tokio::test]
async fn who_starts_before_the_authority_waits_and_one_that_forgot_us_gets_a_new_account() {
    let place = Place::new();
    let upstream = TestUpstream::start().await;
    let directory = format!("https://{}/dir", place.directory());
    let unknown = countersign::edge::dev_certificates::make_dev(&[], countersign::clock::now_seconds());
    let unknown = unknown.expect("certificates").ca_pem;
    let mut gateway = ordering(&upstream, place, &[CHAT], &directory, &unknown, "").start();
    let failed = gateway.await_log("acme_order_failed");
    assert!(failed.contains("\"reason\":\"connect\"") && failed.contains("\"ERROR\""), "{failed}");
    let ready = gateway.admin_get("/readyz");
    assert!(status_of(&ready) == 503 && ready.ends_with("a certificate is awaited\n"), "{ready}");
    assert_eq!(status_of(&gateway.admin_get("/livez")), 200);
    assert!(shown(&gateway, &unknown, CHAT).await.is_err(), "nothing to show");
    let order = await_status(&gateway, |order| order["failures"] == 1);
    assert_eq!((&order["ends"], &order["last_error"]), (&Value::Null, &"connect".into()));

    // It comes, but nobody vouches for it; then somebody does. A file that is named is taken up by itself.
    let first = Pebble::start(place, &Wish::default()).await;
    gateway.signal("HUP");
    let failed = gateway.await_log("acme_order_failed");
    assert!(failed.contains("\"reason\":\"tls\""), "{failed}");
    write_whole(&beside(&gateway.setup, "acme-ca.pem"), &first.ca_pem);
    await_issued(&mut gateway, 1);
    await_ready(&gateway);
    let before = shown(&gateway, &first.root_pem, CHAT).await.expect("a certificate");

    // Another that knows no account of ours, and one more name: what was good is shown until the new one is there.
    let (root, ca) = (first.root_pem.clone(), first.ca_pem.clone());
    drop(first);
    let settings = gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&settings).expect("there");
    write_whole(&settings, &text.replace(&format!("{:?}", [CHAT]), &format!("{:?}", [CHAT, "www.example.com"])));
    gateway.await_log("acme_order_failed");
    assert_eq!(shown(&gateway, &root, CHAT).await.expect("the last good one"), before);
    let second = Pebble::start(place, &Wish::default()).await;
    assert_ne!(second.ca_pem, ca);
    write_whole(&beside(&gateway.setup, "acme-ca.pem"), &second.ca_pem);
    gateway.await_log("acme_account_created");
    await_issued(&mut gateway, 2);
    let deadline = Instant::now() + PATIENCE;
    while shown(&gateway, &second.root_pem, "www.example.com").await.is_err() {
        assert!(Instant::now() < deadline, "still the old one");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_silent(&mut gateway, &[]);
}

#[tokio::test]
async fn a_listener_of_files_begins_to_order_and_shows_what_it_has_until_then() {
    let place = Place::new();
    let upstream = TestUpstream::start().await;
    let made = countersign::edge::dev_certificates::make_dev(&[CHAT.to_owned()], countersign::clock::now_seconds());
    let made = made.expect("certificates");
    let files = "certificates = [{ certificate = \"../own/dev.pem\", key = \"../own/dev-key.pem\" }]";
    let setup = Setup::acme(upstream.address).listens(&format!("address = \"{}\"\n{files}", place.tls()));
    made.write(&beside(&setup, "own")).expect("written");
    let mut gateway = setup.start();
    let own = shown(&gateway, &made.ca_pem, CHAT).await.expect("its own");
    // A listener that orders nothing speaks no protocol of challenges.
    assert!(connect_tls(gateway.address, &made.ca_pem, CHAT, &[b"acme-tls/1"]).await.is_err());

    let settings = gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&settings).expect("there");
    write_whole(&beside(&gateway.setup, "acme-ca.pem"), &made.ca_pem);
    let acme = format!(
        "\n[acme]\ndirectory = \"https://{}/dir\"\nterms_of_service = \"agreed\"\nstore = \"../acme\"\nca = \"../acme-ca.pem\"\n",
        place.directory()
    );
    write_whole(&settings, &(text.replace(files, &format!("certificates = [{{ acme = [{CHAT:?}] }}]")) + &acme));
    gateway.await_log("acme_order_failed");
    assert_eq!(shown(&gateway, &made.ca_pem, CHAT).await.expect("its own still"), own);
    assert_eq!(status_of(&gateway.admin_get("/readyz")), 200);
    let pebble = Pebble::start(place, &Wish::default()).await;
    write_whole(&beside(&gateway.setup, "acme-ca.pem"), &pebble.ca_pem);
    await_issued(&mut gateway, 1);
    let deadline = Instant::now() + PATIENCE;
    while shown(&gateway, &pebble.root_pem, CHAT).await.is_err() {
        assert!(Instant::now() < deadline, "still its own");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn of_two_processes_on_one_store_one_orders_and_both_show_it() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let pebble = Pebble::start(place, &Wish { validity_seconds: Some(20), ..Wish::default() }).await;
    let upstream = TestUpstream::start().await;
    let mut first = ordering(&upstream, place, &[CHAT], &pebble.directory(), &pebble.ca_pem, "").start();
    await_issued(&mut first, 1);
    await_ready(&first);
    // On another address, where no authority looks, with the same store.
    let setup = ordering(&upstream, elsewhere, &[CHAT], &pebble.directory(), &pebble.ca_pem, "");
    std::os::unix::fs::symlink(beside(&first.setup, "acme"), beside(&setup, "acme")).expect("linked");
    let mut second = setup.start();
    second.await_log("acme_store_in_use");
    assert_eq!(status_of(&second.admin_get("/readyz")), 200);
    let before = shown(&second, &pebble.root_pem, CHAT).await.expect("a certificate");
    await_issued(&mut first, 2);
    let deadline = Instant::now() + PATIENCE;
    while shown(&second, &pebble.root_pem, CHAT).await.expect("a certificate that is good") == before {
        assert!(Instant::now() < deadline, "still the old one");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!second.log().contains("acme_order_begun"));
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_found_before_anything_is_ordered() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish::default()).await;
    let upstream = TestUpstream::start().await;
    let setup = ordering(&upstream, place, &[CHAT], &pebble.directory(), &pebble.ca_pem, "");
    // A folder where a file is to be: root may write everywhere else.
    let folder = beside(&setup, "acme").join(format!("{}-dir", place.directory()).replace(':', "-"));
    std::fs::create_dir_all(folder.join(format!("{CHAT}.tries.json"))).expect("made");
    for path in [&beside(&setup, "acme"), &folder] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("mode set");
    }
    let mut gateway = setup.start();
    let failed = gateway.await_log("acme_order_failed");
    assert!(failed.contains("\"reason\":\"store\""), "{failed}");
    assert_eq!(pebble.orders(), 0);
    std::fs::remove_dir(folder.join(format!("{CHAT}.tries.json"))).expect("removed");
    tokio::time::sleep(Duration::from_secs(3)).await;
    gateway.signal("HUP");
    await_issued(&mut gateway, 1);
}

#[tokio::test]
async fn a_store_that_others_can_write_starts_nothing() {
    let upstream = TestUpstream::start().await;
    let setup = ordering(&upstream, Place::new(), &[CHAT], "https://127.0.0.1:1/dir", "", "");
    let ca_pem = setup.write();
    write_whole(&beside(&setup, "acme-ca.pem"), &ca_pem);
    std::fs::create_dir(beside(&setup, "acme")).expect("made");
    std::fs::set_permissions(beside(&setup, "acme"), std::fs::Permissions::from_mode(0o777)).expect("mode set");
    let mut serve = std::process::Command::new(BINARY);
    serve.args(["serve", "--policies"]).arg(setup.policies()).env("TEST_SECRET", crate::support::SECRET);
    let output = serve.output().expect("started");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("can be written by others: run `chmod go-w"), "{told}");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_told_in_the_authority_s_words() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let pebble = Pebble::start(place, &Wish::default()).await;
    let upstream = TestUpstream::start().await;
    // Pebble finds nobody where it looks.
    let mut gateway = ordering(&upstream, elsewhere, &[CHAT], &pebble.directory(), &pebble.ca_pem, "").start();
    let failed: Value = gateway.await_log("acme_order_failed").parse().expect("JSON");
    let fields = &failed["fields"];
    assert_eq!((&fields["reason"], &fields["looks"]), (&"unauthorized".into(), &0.into()), "{failed}");
    assert!(fields["detail"].as_str().expect("text").starts_with("Failed to connect to 127."), "{failed}");
    assert!(fields["next_try_seconds"].as_i64().expect("a number") >= 300, "{failed}");
}

#[tokio::test]
async fn check_tells_of_mistakes_and_asks_nobody() {
    let upstream = TestUpstream::start().await;
    let check = |names: &[&str], more: &str| {
        let place = Place::new();
        let setup = ordering(&upstream, place, names, "https://127.0.0.1:1/dir", "no certificate", more);
        setup.write();
        let output = std::process::Command::new(BINARY).arg("check").arg(setup.policies()).output().expect("started");
        assert!(!beside(&setup, "acme").exists(), "nothing is made");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(check(&[CHAT], "").0, Some(0));
    let (code, told) = check(&["*.example.com"], "challenge = \"http-01\"");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("a wildcard takes the challenge dns-01"), "{told}");
    assert!(told.contains("`http-01` is answered on the plain listener"), "{told}");
}

#[tokio::test]
async fn an_authority_of_customers_wants_their_key_and_a_wrong_one_is_told() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    const WRONG: &str = "b10lLJs8l1GPIzsLP0s6pMt8O0XVGnfTaCeROxQM0BIt2XrJMDHJZBM5NuQmQJQH";
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish { customer_key: Some(KEY.into()), ..Wish::default() }).await;
    let upstream = TestUpstream::start().await;
    let more = "eab = { key_id = \"kid-1\", secret = { file = \"../eab.key\" } }";
    let setup = ordering(&upstream, place, &[CHAT], &pebble.directory(), &pebble.ca_pem, more);
    write_whole(&beside(&setup, "eab.key"), WRONG);
    let mut gateway = setup.start();
    let failed = gateway.await_log("acme_order_failed");
    assert!(failed.contains("\"reason\":\"unauthorized\""), "{failed}");
    assert_eq!(pebble.orders(), 0);
    write_whole(&beside(&gateway.setup, "eab.key"), KEY);
    await_issued(&mut gateway, 1);
    await_ready(&gateway);
    works(&gateway, &pebble.root_pem, CHAT).await;
    assert_silent(&mut gateway, &[KEY, WRONG]);
}

#[tokio::test]
async fn a_certificate_is_renewed_when_the_authority_says_so() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish { validity_seconds: Some(3600), ..Wish::default() }).await;
    let front = AcmeFront::start(place.directory(), &pebble.ca_pem);
    // Far away, and then one that is past already.
    front.advise(1800, 2400);
    let upstream = TestUpstream::start().await;
    let mut gateway = ordering(&upstream, place, &[CHAT], &front.directory(), &front.ca_pem, "").start();
    await_issued(&mut gateway, 1);
    await_ready(&gateway);
    let first = shown(&gateway, &pebble.root_pem, CHAT).await.expect("a certificate");
    // The moment lies in the window.
    let deadline = Instant::now() + PATIENCE;
    while front.asked("/renewal-info/").is_empty() {
        assert!(Instant::now() < deadline, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let advised = await_status(&gateway, |order| {
        let next: jiff::Timestamp = order["next_order"].as_str().expect("a moment").parse().expect("a moment");
        (1700..2500).contains(&(next.as_second() - countersign::clock::now_seconds().0))
    });
    assert_eq!(advised["failures"], 0);
    let asked = front.asked("/renewal-info/");
    let (_, parsed) = X509Certificate::from_der(&first).expect("a certificate");
    let serial_of_id = asked[0].path.rsplit('.').next().expect("an id").to_owned();
    assert_eq!(
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, serial_of_id).expect("base64url"),
        parsed.raw_serial(),
        "RFC 9773 §4.1"
    );
    assert_eq!(asked[0].method, "GET");

    // The authority must take it back soon. However that is asked for, one that was just issued is kept for a while.
    front.advise(-7200, -3600);
    gateway.signal("HUP");
    let advised = await_status(&gateway, |order| {
        let next: jiff::Timestamp = order["next_order"].as_str().expect("a moment").parse().expect("a moment");
        next.as_second() - countersign::clock::now_seconds().0 <= 900
    });
    let next: jiff::Timestamp = advised["next_order"].as_str().expect("a moment").parse().expect("a moment");
    assert!(next.as_second() - countersign::clock::now_seconds().0 > 600, "a quarter of an hour's life");
    assert_eq!(pebble.orders(), 1);
}

#[tokio::test]
async fn a_renewal_says_which_certificate_it_replaces() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish { validity_seconds: Some(40), ..Wish::default() }).await;
    let front = AcmeFront::start(place.directory(), &pebble.ca_pem);
    front.advise(-7200, -3600);
    let upstream = TestUpstream::start().await;
    let more = "profile = \"shortlived\"";
    let mut gateway = ordering(&upstream, place, &[CHAT], &front.directory(), &front.ca_pem, more).start();
    await_issued(&mut gateway, 1);
    await_issued(&mut gateway, 2);
    let mut orders = front.asked("/order-plz");
    // One whose nonce Pebble has refused, as it likes to do, came twice.
    orders.dedup_by(|one, other| one.payload == other.payload);
    assert_eq!(orders.len(), 2, "{orders:#?}\n{}", gateway.log());
    let id = front.asked("/renewal-info/")[0].path.trim_start_matches("/renewal-info/").to_owned();
    assert!(orders[0].payload["replaces"].is_null());
    assert_eq!(orders[1].payload["replaces"], id.as_str());
    for order in &orders {
        assert_eq!(order.payload["identifiers"], serde_json::json!([{ "type": "dns", "value": CHAT }]));
        assert_eq!(order.payload["profile"], "shortlived");
    }
    let accounts = front.asked("/sign-me-up");
    assert_eq!(accounts[0].payload["contact"], serde_json::json!(["mailto:ops@example.com"]));
    assert_eq!(accounts[0].payload["termsOfServiceAgreed"], true);
}

#[tokio::test]
async fn what_no_honest_authority_says_harms_nobody_and_the_last_good_certificate_stays() {
    let place = Place::new();
    let pebble = Pebble::start(place, &Wish::default()).await;
    let front = AcmeFront::start(place.directory(), &pebble.ca_pem);
    let upstream = TestUpstream::start().await;
    let mut gateway = ordering(&upstream, place, &[CHAT], &front.directory(), &front.ca_pem, "").start();
    await_issued(&mut gateway, 1);
    await_ready(&gateway);
    let good = shown(&gateway, &pebble.root_pem, CHAT).await.expect("a certificate");
    let says = |path, status, header: (&'static str, &str), body: &str| Says {
        path,
        status,
        headers: vec![(header.0, header.1.to_owned())],
        body: body.to_owned(),
    };
    let none = ("x-nothing", "");
    let directory =
        |address: &str| format!(r#"{{"newNonce":"{address}","newAccount":"{address}","newOrder":"{address}"}}"#);
    let order = |authorizations: &str| {
        format!(
            r#"{{"status":"pending","authorizations":[{authorizations}],"finalize":"https://{}/x","identifiers":[]}}"#,
            front.address
        )
    };
    let location = ("location", &*format!("https://{}/my-order/x", front.address));
    let mut failures = 0;
    for (what, expected) in [
        (says("/dir", 200, none, "<html>"), "answer"),
        (says("/dir", 200, none, "{}"), "answer"),
        (says("/dir", 200, none, &"{".repeat(300 * 1024)), "too_long"),
        (says("/dir", 200, ("content-encoding", "gzip"), "{}"), "coding"),
        (says("/dir", 200, none, &directory("not an address")), "answer"),
        (says("/dir", 200, none, &directory("http://127.0.0.1:1/")), "address"),
        (says("/dir", 302, ("location", "https://127.0.0.1:1/"), ""), "answer"),
        (says("/order-plz", 500, none, "gone"), "answer"),
        (says("/order-plz", 400, none, r#"{"type":"urn:ietf:params:acme:error:badNonce"}"#), "bad_nonce"),
        (says("/order-plz", 201, location, &order("")), "answer"),
        (says("/order-plz", 201, location, &order(r#""a","b","c","d""#)), "answer"),
        (
            says(
                "/authZ/",
                200,
                none,
                r#"{"status":"pending","identifier":{"type":"dns","value":"bank.example"},"challenges":[{"type":"tls-alpn-01","url":"https://127.0.0.1/","token":"x","status":"pending"}]}"#,
            ),
            "answer",
        ),
        (
            says(
                "/authZ/",
                200,
                none,
                &format!(
                    r#"{{"status":"pending","identifier":{{"type":"dns","value":"{CHAT}"}},"challenges":[{{"type":"dns-01","url":"https://127.0.0.1/","token":"x","status":"pending"}}]}}"#
                ),
            ),
            "no_challenge",
        ),
        (says("/my-order/", 200, ("retry-after", "18446744073709551615"), &order("")), "timeout"),
        (says("/certZ/", 200, none, &good_chain_of_another()), "certificate"),
        (
            says(
                "/order-plz",
                429,
                ("retry-after", "7"),
                r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"enough"}"#,
            ),
            "rate_limited",
        ),
    ] {
        let (path, body) = (what.path, what.body.chars().take(60).collect::<String>());
        front.say(Some(what));
        // Another name each time, so that each is an order of its own and none waits for the last.
        failures += 1;
        let settings = gateway.setup.policies().join("gateway.toml");
        let names = [CHAT.to_owned(), format!("n{failures}.example.com")];
        let text = std::fs::read_to_string(&settings).expect("there");
        let (before, rest) = text.split_once("acme = [").expect("an entry");
        let (_, after) = rest.split_once(']').expect("its end");
        write_whole(&settings, &format!("{before}acme = {names:?}{after}"));
        let failed = gateway.await_log("acme_order_failed");
        assert!(failed.contains(&format!("\"reason\":\"{expected}\"")), "{path} {body}\n{failed}");
        assert_eq!(shown(&gateway, &pebble.root_pem, CHAT).await.expect("the last good one"), good, "{path} {body}");
    }
    let order = await_status(&gateway, |order| order["failures"] == failures);
    assert_eq!(order["last_error"], "rate_limited");
    works(&gateway, &pebble.root_pem, CHAT).await;
    // Once it is itself again, whoever runs the gateway says so.
    front.say(None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    gateway.signal("HUP");
    await_issued(&mut gateway, 2);
    assert_silent(&mut gateway, &[]);
}

/// A chain that is good, for a key that is not ours.
fn good_chain_of_another() -> String {
    let made = countersign::edge::dev_certificates::make_dev(&[CHAT.to_owned()], countersign::clock::now_seconds());
    made.expect("certificates").chain_pem
}
