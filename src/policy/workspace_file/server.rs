//! `[server]` of a workspace: its own servers, known by their client certificates.

use schemars::JsonSchema;

use crate::policy::client_identity::ClientIdentity;
use crate::policy::finding::Findings;
use crate::policy::gateway::Gateway;
use crate::policy::keywords::keywords;
use crate::policy::listener_tls::ClientCertificates;
use crate::policy::reader::{Placed, Table, Value};
use crate::policy::source::Source;
use crate::policy::workspace::{ServerLocks, ServerPolicy, Workspace};

keywords!(ServerLocks: "hold" => ServerLocks::Hold, "lift" => ServerLocks::Lift);

/// The workspace's own servers.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawServer {
    /// Who they are: a DNS name, URI or e-mail address of the certificate, `sha256:…` of it, or `key-sha256:…` of its key.
    #[schemars(required, with = "Option<Vec<String>>", length(min = 1))]
    client_certificates: Option<Placed<Vec<Placed<ClientIdentity>>>>,
    /// Whether they may write locked attributes without a token. Default: hold.
    locks: Option<Placed<ServerLocks>>,
}

impl RawServer {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            client_certificates: table.required("client_certificates", |value| {
                if value.is_empty_list() {
                    value.error("expected at least one");
                }
                value.list(|value| value.parsed(|text| ClientIdentity::try_from(text)))
            }),
            locks: table.optional("locks", Value::keyword),
        }
    }

    /// What it means. `None` after a mistake that is already among the findings.
    pub(super) fn resolve(self) -> Option<ServerPolicy> {
        let Self { client_certificates, locks } = self;
        Some(ServerPolicy {
            client_certificates: client_certificates?.value.into_iter().map(|identity| identity.value).collect(),
            locks: locks.map_or(ServerLocks::Hold, |word| word.value),
        })
    }
}

/// Servers that can show no certificate.
pub(in crate::policy) fn lint(
    workspace: &Workspace,
    gateway: Option<&Gateway>,
    span: std::ops::Range<usize>,
    source: &Source,
    findings: &mut Findings,
) {
    let is_asked = |gateway: &Gateway| {
        let asks = |certificates: &ClientCertificates| match certificates {
            ClientCertificates::Asked { .. } => true,
            ClientCertificates::Off => false,
        };
        gateway.listeners.iter().any(|listener| asks(&listener.tls.client_certificates))
    };
    if !workspace.server.client_certificates.is_empty() && gateway.is_some_and(|gateway| !is_asked(gateway)) {
        findings.warning(source, span, "`server.client_certificates`: no listener asks clients for certificates").help(
            "none of these servers can show one: `client_certificates` of `[[listeners]]` in `gateway.toml` asks",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::{GATEWAY, WORKSPACE, lines, read, with};

    const ASKING: &str = "[[listeners]]\nclient_certificates = { mode = \"optional\", ca = [\"ca.pem\"] }\n";

    #[track_caller]
    fn check(server: &str, expected: Result<&ServerPolicy, &str>) {
        let workspace = format!("{WORKSPACE}[server]\n{server}\n");
        let (set, findings) = read(&with(GATEWAY, "[[listeners]]\n", ASKING), &[&workspace]);
        match expected {
            Ok(policy) => assert_eq!(&set.unwrap_or_else(|| panic!("{findings:?}")).workspaces[0].server, policy),
            Err(line) => assert_eq!(lines(&findings), [line]),
        }
    }

    #[test]
    fn servers_are_named_one_by_one_and_hold_to_the_locks_unless_told_otherwise() {
        let identity = |text: &str| ClientIdentity::try_from(text).expect("an identity");
        let mut policy = ServerPolicy {
            client_certificates: vec![identity("spiffe://acme/backend"), identity("billing.acme.example")],
            locks: ServerLocks::Hold,
        };
        let list = r#"client_certificates = ["spiffe://acme/backend", "billing.acme.example"]"#;
        check(list, Ok(&policy));
        policy.locks = ServerLocks::Lift;
        check(&format!("{list}\nlocks = \"lift\""), Ok(&policy));
        check("", Err("error: a.toml:18:1: `server.client_certificates` is missing"));
        check(
            "client_certificates = []",
            Err("error: a.toml:19:23: `server.client_certificates`: expected at least one"),
        );
        check(
            r#"client_certificates = ["*.acme.example"]"#,
            Err(
                "error: a.toml:19:24: `server.client_certificates[0]`: expected a whole name: nothing stands for another, found `*.acme.example`",
            ),
        );
    }

    #[test]
    fn servers_that_nobody_asks_are_warned_of() {
        let workspace = format!("{WORKSPACE}[server]\nclient_certificates = [\"a.example\"]\n");
        let (_, findings) = read(GATEWAY, &[&workspace]);
        let lines = lines(&findings);
        assert!(lines.len() == 1 && lines[0].contains("no listener asks clients for certificates"), "{lines:?}");
    }
}
