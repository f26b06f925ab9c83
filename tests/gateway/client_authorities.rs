//! Whose client certificates hold, and until when: lists of revoked ones, authorities, and the time of both.

use std::path::PathBuf;

use crate::client_certificates::{PROFILE, WORKSPACE, beside, contact};
use crate::support::gateway::write_whole;
use crate::support::tls_client::{Authority, Identity, TLS12, TLS13, TlsClient};
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
