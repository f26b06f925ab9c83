//! Certificates, secrets of session tickets and authorities of clients are renewed while clients keep sending: none of them notices.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::support::client::form_request;
use crate::support::gateway::write_whole;
use crate::support::tls_client::{Authority, TLS12, TLS13, TlsClient};
use crate::support::{Client, Setup, TestGateway, TestUpstream, ping_form};

const ROUNDS: u8 = 4;

/// Each round waits for so many requests beside its changes, so that each change is met by some.
const REQUESTS_BETWEEN: usize = 20;

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a volume's version as Kubernetes does, and swaps the link to it.
fn mount(certs: &Path, version: u8, issuer: &Issuer<'_, KeyPair>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    params.serial_number = Some(u64::from(version).into());
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
    let key = KeyPair::generate().expect("a key");
    let chain = params.signed_by(&key, issuer).expect("a certificate").pem();
    let folder = certs.join(format!("..v{version}"));
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("dev.pem"), chain).expect("written");
    std::fs::write(folder.join("dev-key.pem"), key.serialize_pem()).expect("written");
    let beside = certs.join("..data_tmp");
    symlink(format!("..v{version}"), &beside).expect("linked");
    std::fs::rename(beside, certs.join("..data")).expect("swapped");
}

/// What all clients have done.
#[derive(Default)]
struct Count {
    stop: AtomicBool,
    answered: AtomicUsize,
    resumed: AtomicUsize,
}

impl Count {
    async fn send(&self, client: &mut Client) {
        let answer = client.try_send(form_request("/messenger/web/ping", ping_form(r#"{"nickname":"bob"}"#))).await;
        assert_eq!(answer.expect("an answer").status, 200);
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Waits for some more requests.
    async fn more(&self) {
        let (enough, deadline) = (self.answered.load(Ordering::SeqCst) + REQUESTS_BETWEEN, Instant::now() + PATIENCE);
        while self.answered.load(Ordering::SeqCst) < enough {
            assert!(Instant::now() < deadline, "the clients have stopped");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn await_serial(gateway: &TestGateway, version: u8) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stream =
            crate::support::client::connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await;
        let stream = stream.expect("a connection");
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned()).expect("a chain");
        let (_, certificate) = x509_parser::parse_x509_certificate(&shown).expect("a certificate");
        if certificate.raw_serial() == [version] {
            return;
        }
        assert!(Instant::now() < deadline, "still {:?}", certificate.raw_serial());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_certificates_tickets_and_authorities_are_renewed() {
    let upstream = TestUpstream::start().await;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "An authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca_pem = ca.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(ca, key);
    let clients = Authority::new("clients");

    let asked = "client_certificates = { mode = \"optional\", ca = [\"../clients.pem\"] }";
    let shared = "tickets = { file = \"../tickets.keys\" }";
    // All clients are at one address.
    let rates = "[rates]\nhandshakes_per_address = { mode = \"off\" }\n";
    let setup = Setup::acme(upstream.address).listener(asked).listener(shared).gateway(rates);
    let certs = setup.policies().with_file_name("certs");
    std::fs::create_dir_all(&certs).expect("made");
    std::fs::create_dir_all(setup.policies()).expect("made");
    mount(&certs, 1, &issuer);
    for name in ["dev.pem", "dev-key.pem"] {
        symlink(format!("..data/{name}"), certs.join(name)).expect("linked");
    }
    std::fs::write(certs.join("dev-ca.pem"), &ca_pem).expect("written");
    let (tickets, authorities) = (certs.with_file_name("tickets.keys"), certs.with_file_name("clients.pem"));
    let secret = |number: u8| format!("{}\n", STANDARD.encode([number; 48]));
    write_whole(&tickets, &secret(0));
    write_whole(&authorities, &clients.ca_pem);
    let mut gateway = setup.start();

    let count = Arc::new(Count::default());
    let mut tasks = Vec::new();
    let identity = clients.issue(1, &["spiffe://acme/backend"]);
    // Connections that are kept, over both protocols.
    for mut kept in [gateway.http1().await, gateway.http2().await] {
        let count = Arc::clone(&count);
        tasks.push(tokio::spawn(async move {
            while count.goes_on() {
                count.send(&mut kept).await;
            }
        }));
    }
    // New ones all the time, which resume what they can, with a certificate and without.
    for (version, identity) in [(&TLS12, None), (&TLS13, None), (&TLS13, Some(&identity))] {
        let (client, address) = (TlsClient::new(&ca_pem, version, identity), gateway.address);
        let count = Arc::clone(&count);
        tasks.push(tokio::spawn(async move {
            while count.goes_on() {
                let (mut connection, resumed) = client.connect(address).await.expect("a connection");
                count.send(&mut connection).await;
                count.resumed.fetch_add(usize::from(resumed), Ordering::SeqCst);
            }
        }));
    }

    count.more().await;
    for round in 1..=ROUNDS {
        mount(&certs, round + 1, &issuer);
        gateway.await_log("policy_reloaded");
        await_serial(&gateway, round + 1).await;
        count.more().await;
        write_whole(&tickets, &(secret(round) + &secret(round - 1)));
        gateway.await_log("policy_reloaded");
        count.more().await;
        let more = Authority::new(&format!("authority {round}")).ca_pem;
        write_whole(&authorities, &format!("{}{more}", clients.ca_pem));
        gateway.await_log("policy_reloaded");
        count.more().await;
        gateway.setup.clone().with("max_length = 64", &format!("max_length = {}", 64 + u32::from(round))).write();
        gateway.await_log("policy_reloaded");
        count.more().await;
    }
    count.stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.expect("a client that was served to the end");
    }
    let (answered, resumed) = (count.answered.load(Ordering::SeqCst), count.resumed.load(Ordering::SeqCst));
    assert_eq!(upstream.received().len(), answered, "each request once");
    assert!(answered > usize::from(ROUNDS) * 4 * REQUESTS_BETWEEN && resumed > 0, "{answered} {resumed}");
    let log = gateway.log();
    assert!(!log.contains("policy_reload_failed"), "{log}");
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.contains(r#"countersign_handshakes_failed_total{reason="failed"} 0"#), "{metrics}");
    let counted = metrics.lines().filter(|line| line.starts_with("countersign_handshakes_total{"));
    let resumptions = counted.filter(|line| line.contains(r#"resumption="resumed""#));
    let number =
        |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<usize>().ok()).expect("a number");
    assert_eq!(resumptions.map(number).sum::<usize>(), resumed);
}
