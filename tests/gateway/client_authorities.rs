//! Whose client certificates hold, and until when: lists of revoked ones, authorities, and the time of both.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, IsCa};
use serde_json::json;
use tokio::net::TcpStream;

use crate::client_certificates::{PROFILE, WORKSPACE, beside, contact, update, with};
use crate::support::gateway::write_whole;
use crate::support::tls_client::{Authority, Identity, TLS12, TLS13, TlsClient, begin, end};
use crate::support::token::now;
use crate::support::{Setup, TestGateway, TestUpstream, Token};

const NAME: &str = "spiffe://acme/backend";

/// A gateway whose listener asks like this, with `clients.pem` and `clients.crl` beside its policies.
struct World {
    upstream: TestUpstream,
    gateway: TestGateway,
    ca: PathBuf,
    crl: PathBuf,
}

const LISTED: &str =
    r#"client_certificates = { mode = "required", ca = ["../clients.pem"], crl = ["../clients.crl"] }"#;
const UNLISTED: &str = r#"client_certificates = { mode = "required", ca = ["../clients.pem"] }"#;

async fn prepare(asked: &str, ca_pem: &str, crl_pem: &str) -> (TestUpstream, Setup) {
    let upstream = TestUpstream::start().await;
    let setup = Setup::new(upstream.address).profile("server", PROFILE).workspace("acme", WORKSPACE).listener(asked);
    std::fs::create_dir_all(setup.policies()).expect("made");
    write_whole(&beside(&setup, "clients.pem"), ca_pem);
    write_whole(&beside(&setup, "clients.crl"), crl_pem);
    (upstream, setup)
}

impl World {
    async fn start(asked: &str, ca_pem: &str, crl_pem: &str) -> Self {
        let (upstream, setup) = prepare(asked, ca_pem, crl_pem).await;
        let (ca, crl) = (beside(&setup, "clients.pem"), beside(&setup, "clients.crl"));
        Self { upstream, gateway: setup.start(), ca, crl }
    }

    /// Whether a new client with this certificate is served, in both versions of TLS.
    async fn serves(&self, identity: &Identity) -> bool {
        let mut served = Vec::new();
        for version in [&TLS12, &TLS13] {
            let client = TlsClient::new(&self.gateway.ca_pem, version, Some(identity));
            served.push(match client.connect(self.gateway.address).await {
                Ok((mut connection, _)) => {
                    connection.try_send(contact()).await.is_ok_and(|answer| answer.status == 200)
                }
                Err(_) => false,
            });
        }
        assert_eq!(served[0], served[1]);
        served[0]
    }
}

#[tokio::test]
async fn of_two_lists_of_an_authority_the_newer_counts_wherever_it_stands() {
    let authority = Authority::new("Acme's servers");
    let (kept, lost) = (authority.issue(1, &[NAME]), authority.issue(2, &[NAME]));
    let (old, new) = (authority.revoked(9, &[]), authority.revoked(10, &[&lost]));
    let mut world = World::start(LISTED, &authority.ca_pem, &format!("{old}{new}")).await;
    for lists in [format!("{new}{old}"), format!("{old}# again\n{new}{old}{new}")] {
        assert!(world.serves(&kept).await);
        assert!(!world.serves(&lost).await);
        write_whole(&world.crl, &lists);
        world.gateway.await_log("policy_reloaded");
    }
    assert!(!world.serves(&lost).await);
    // Which of these is newer cannot be said, and a list that is passed over is none: what was in force stays.
    let same = authority.revoked(10, &[]);
    for lists in [format!("{new}{same}"), format!("\u{feff}{new}{old}"), format!("-{new}{old}")] {
        write_whole(&world.crl, &lists);
        world.gateway.await_log("policy_reload_failed");
        assert!(!world.serves(&lost).await);
        assert!(world.serves(&kept).await);
    }
    assert!(world.upstream.received().len() >= 8);
}

#[tokio::test]
async fn no_request_outlives_the_list_or_the_authority_between() {
    const LIFE: i64 = 9;
    let authority = Authority::new("Acme's servers");
    let ends = now() + LIFE;
    let between = authority.below("Acme's backends", |params| end(params, ends));
    let (direct, indirect) = (authority.issue(1, &[NAME]), between.issue(2, &[NAME]));
    let list = authority.revoked_until(1, &[], ends);
    let listed = World::start(LISTED, &authority.ca_pem, &list).await;
    let unlisted = World::start(UNLISTED, &authority.ca_pem, &list).await;
    let mut open = Vec::new();
    for (world, identity, outcome) in
        [(&listed, &direct, "client_certificate_withdrawn"), (&unlisted, &indirect, "client_certificate_expired")]
    {
        for version in [&TLS12, &TLS13] {
            let client = TlsClient::new(&world.gateway.ca_pem, version, Some(identity));
            let (mut connection, _) = client.connect(world.gateway.address).await.expect("a connection");
            assert_eq!(connection.send(contact()).await.status, 200);
            open.push((world, client, connection, outcome));
        }
    }
    assert!(now() < ends, "time for a first request");
    tokio::time::sleep(Duration::from_secs(u64::try_from(ends + 2 - now()).unwrap_or(0))).await;
    for (served, (world, client, connection, outcome)) in [2, 4, 2, 4].into_iter().zip(&mut open) {
        assert_eq!(connection.send(contact()).await.status, 403, "a connection of before: {outcome}");
        let (mut again, resumed) = client.connect(world.gateway.address).await.expect("a connection");
        assert!(resumed);
        assert_eq!(again.send(contact()).await.status, 403, "a session of before: {outcome}");
        let records = world.gateway.records(served + 2);
        assert!(records[served..].iter().all(|record| record["outcome"] == *outcome), "{records:?}");
    }
    assert!(!listed.serves(&direct).await && !unlisted.serves(&indirect).await);
    assert_eq!((listed.upstream.received().len(), unlisted.upstream.received().len()), (2, 2));
}

#[tokio::test]
async fn the_certificate_of_a_client_is_no_authority() {
    let own = Authority::new("Acme's servers");
    let mut world = World::start(UNLISTED, &own.ca_pem, "").await;
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let partner = Authority::with("a partner's server", |params| {
            params.is_ca = is_ca;
            params.key_usages = Vec::new();
        });
        write_whole(&world.ca, &format!("{}{}", own.ca_pem, partner.ca_pem));
        world.gateway.await_log("policy_reload_failed");
        let status = world.gateway.admin_get("/status");
        assert!(status.contains("certificate 2 of") && status.contains("sha256:"), "{status}");
        assert!(!world.serves(&partner.issue(1, &[NAME])).await);
    }
    assert!(world.serves(&own.issue(2, &[NAME])).await);
}

#[tokio::test]
async fn an_authority_issues_while_its_time_is_and_for_as_many_below_it_as_it_says() {
    let begins = now() + 8;
    let ends = begins + 8;
    let short = Authority::with("Short", |params| end(params, ends));
    let late = Authority::with("Late", |params| begin(params, begins));
    let shallow = Authority::with("Shallow", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let below = |authority: &Authority, name: &str| authority.below(name, |_| {});
    let one = Authority::with("One", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    let (first, unlimited) = (below(&one, "First"), Authority::new("Unlimited"));
    let ca_pem = [&short, &late, &shallow, &one, &unlimited].map(|authority| authority.ca_pem.as_str()).concat();
    let world = World::start(UNLISTED, &ca_pem, "").await;
    let of_late = late.issue(1, &[NAME]);
    assert!(!world.serves(&of_late).await, "its time is to come");
    let of_short = short.issue(2, &[NAME]);
    let client = TlsClient::new(&world.gateway.ca_pem, &TLS13, Some(&of_short));
    let (mut open, _) = client.connect(world.gateway.address).await.expect("a connection");
    assert_eq!(open.send(contact()).await.status, 200);
    assert!(world.serves(&of_short).await);
    assert!(world.serves(&shallow.issue(3, &[NAME])).await);
    assert!(!world.serves(&below(&shallow, "Below").issue(4, &[NAME])).await, "nobody may stand below");
    assert!(world.serves(&first.issue(5, &[NAME])).await);
    assert!(!world.serves(&below(&first, "Second").issue(6, &[NAME])).await, "one may stand below");
    assert!(world.serves(&below(&below(&unlimited, "Third"), "Fourth").issue(7, &[NAME])).await);
    // Many clients show the authority too, and what belongs to nothing.
    let mut whole = first.issue(8, &[NAME]);
    whole.chain_pem = format!("{}{}{}", whole.chain_pem, short.ca_pem, one.ca_pem);
    assert!(world.serves(&whole).await);
    let mut whole = first.issue(9, &[NAME]);
    whole.chain_pem = format!("{}{}", whole.chain_pem, below(&unlimited, "Another").ca_pem);
    assert!(world.serves(&whole).await);
    tokio::time::sleep(Duration::from_secs(u64::try_from(begins + 1 - now()).unwrap_or(0))).await;
    assert!(world.serves(&of_late).await);
    tokio::time::sleep(Duration::from_secs(u64::try_from(ends + 2 - now()).unwrap_or(0))).await;
    assert!(!world.serves(&of_short).await);
    assert_eq!(open.send(contact()).await.status, 403);
    assert!(world.serves(&of_late).await);
}

#[tokio::test]
async fn where_certificates_are_demanded_by_now_a_connection_of_before_without_one_is_over() {
    let authority = Authority::new("Acme's servers");
    let asked = |mode: &str| UNLISTED.replace("required", mode);
    for before in [asked("optional"), "client_certificates = { mode = \"off\" }".to_owned()] {
        let mut world = World::start(&before, &authority.ca_pem, "").await;
        let token = Token::of(&json!({"sub": "user-42", "exp": now() + 600}).to_string()).text();
        let request = || {
            let request = update(&json!({"nickname": "bob"}));
            with(with(request, "origin", "https://app.acme.example"), "authorization", &format!("Bearer {token}"))
        };
        let waiting = TcpStream::connect(world.gateway.address).await.expect("a connection");
        let (mut first, mut second) = (world.gateway.http1().await, world.gateway.http2().await);
        for client in [&mut first, &mut second] {
            assert_eq!(client.send(request()).await.status, 200);
        }
        let policy = world.gateway.setup.policies().join("gateway.toml");
        let text = std::fs::read_to_string(&policy).expect("text");
        write_whole(&policy, &text.replace(&before, &asked("required")));
        world.gateway.await_log("policy_reloaded");
        let answer = first.send(request()).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["connection"]), (403, &"close".parse().expect("a value")));
        assert_eq!(second.send(request()).await.status, 403);
        let records = world.gateway.records(4);
        assert!(records[2..].iter().all(|record| record["outcome"] == "client_certificate_missing"), "{records:?}");
        assert!(first.try_send(request()).await.is_err(), "it is closed");
        let stranger = TlsClient::new(&world.gateway.ca_pem, &TLS12, None);
        assert!(stranger.connect_over(waiting).await.is_err(), "a socket of before");
        assert!(world.serves(&authority.issue(1, &[NAME])).await);
        assert_eq!(world.upstream.received().len(), 4);
    }
}

#[tokio::test]
async fn an_operator_is_told_why_clients_are_not_let_in() {
    let (authority, other, ended) = (
        Authority::new("Acme's servers"),
        Authority::new("without a list"),
        Authority::with("ended", |params| end(params, now() - 60)),
    );
    let lost = authority.issue(1, &[NAME]);
    let late = authority.issue_until(2, &[NAME], now() - 60);
    let crl_pem = format!("{}{}", authority.revoked(1, &[&lost]), ended.revoked(1, &[]));
    let ca_pem = [&authority, &other, &ended].map(|authority| authority.ca_pem.as_str()).concat();
    let mut world = World::start(LISTED, &ca_pem, &crl_pem).await;
    let strangers = Authority::new("a stranger");
    for (identity, reason) in [
        (&lost, "revoked"),
        (&late, "ended"),
        (&other.issue(3, &[NAME]), "no_list"),
        (&ended.issue(4, &[NAME]), "ended"),
        (&strangers.issue(5, &[NAME]), "unknown_authority"),
    ] {
        assert!(!world.serves(identity).await, "{reason}");
    }
    for (reason, count) in [("revoked", 2), ("ended", 4), ("no_list", 2), ("unknown_authority", 2)] {
        world.gateway.await_metric(&format!(
            "countersign_client_certificates_refused_total{{listener=\"public\",reason=\"{reason}\"}} {count}"
        ));
    }
    assert!(!world.gateway.admin_get("/status").contains("client_list_ended"));
    assert!(world.gateway.admin_get("/status").contains("client_authority_ended"));
    write_whole(&world.ca, &authority.ca_pem);
    write_whole(&world.crl, &authority.revoked_until(2, &[], now() - 60));
    world.gateway.await_log("policy_reloaded");
    assert!(!world.serves(&authority.issue(6, &[NAME])).await);
    let status = world.gateway.admin_get("/status");
    assert!(status.contains("client_list_ended") && !status.contains("client_authority_ended"), "{status}");
    world
        .gateway
        .await_metric("countersign_client_certificates_refused_total{listener=\"public\",reason=\"list_ended\"} 2");
    let log = world.gateway.log();
    let told = |text: &str| assert!(log.contains(text), "no {text} in {log}");
    told("`crl` has no list of the authority that is certificate 2 of");
    told("certificate 3 of");
    told("list 1 of");
    told("client_certificate_refused: its authority has taken it back");
    assert_eq!(log.matches("client_certificate_refused: its authority has taken it back").count(), 1, "{log}");
}
