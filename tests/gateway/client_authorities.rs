//! Whose client certificates hold, and until when: lists of revoked ones, authorities, and the time of both.

use std::path::PathBuf;
use std::time::Duration;

use crate::client_certificates::{PROFILE, WORKSPACE, beside, contact};
use crate::support::gateway::write_whole;
use crate::support::tls_client::{Authority, Identity, TLS12, TLS13, TlsClient, end};
use crate::support::token::now;
use crate::support::{Setup, TestGateway, TestUpstream};

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
