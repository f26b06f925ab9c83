//! An epoch that is never served: its keys' secrets were drawn a moment ago, and it knows no upstream.

use std::collections::HashMap;

use aws_lc_rs::rand;

use super::build::{BuildError, Epoch};
use crate::identity::{SECRET_BYTES_MIN, Secret};
use crate::observe::Metrics;
use crate::policy::PolicySet;

/// An epoch to rehearse with.
///
/// Whoever has it can sign for every workspace, so it lends its epoch and never gives it away: nothing can put it in force.
///
/// ```compile_fail,E0308
/// # use std::sync::Arc;
/// # use countersign::epoch::{Epochs, RehearsalEpoch};
/// fn serve(epochs: &Epochs, rehearsal: RehearsalEpoch) { epochs.enforce(Arc::new(rehearsal)); }
/// ```
pub struct RehearsalEpoch {
    epoch: Epoch,
    /// By workspace and key.
    secrets: HashMap<(String, String), [u8; SECRET_BYTES_MIN]>,
}

impl RehearsalEpoch {
    /// Makes everything ready that a request meets before it is sent. No secret is fetched and no file is read: that a machine has neither
    /// must not keep it from testing policies.
    ///
    /// # Errors
    ///
    /// The system has no random numbers, or a workspace's keys cannot be in force together.
    pub fn build(digest: &str, mut set: PolicySet) -> Result<Self, BuildError> {
        // Nothing is sent, and nothing is counted.
        set.gateway.upstreams.clear();
        let mut secrets = HashMap::new();
        for workspace in &set.workspaces {
            for key in &workspace.identity.keys {
                // Drawn anew each time: should one ever get out, it opens nothing.
                let mut secret = [0; SECRET_BYTES_MIN];
                rand::fill(&mut secret).map_err(|_| BuildError::Random)?;
                secrets.insert((workspace.id.clone(), key.id.clone()), secret);
            }
        }
        let epoch = Epoch::assemble(digest, set, &Metrics::new(), |workspace, key| {
            let secret = secrets.get(&(workspace.id.clone(), key.id.clone()));
            Ok(Secret::from(secret.map(|secret| secret.to_vec()).unwrap_or_default()))
        })?;
        Ok(Self { epoch, secrets })
    }

    /// The epoch, for the steps of the gateway.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The secret of a key, to sign with.
    #[must_use]
    pub fn secret(&self, workspace: &str, key: &str) -> Option<&[u8]> {
        self.secrets.get(&(workspace.to_owned(), key.to_owned())).map(<[u8; SECRET_BYTES_MIN]>::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicyFiles, Source, parse};

    fn rehearsal() -> RehearsalEpoch {
        let gateway = r#"
            [[listeners]]
            name = "public"
            address = "127.0.0.1:8443"
            certificates = [{ certificate = "nowhere.pem", key = "nowhere.pem" }]
            [upstreams.attributes]
            url = "https://attributes.example"
            ca = "nowhere.pem"
        "#;
        let shipped = crate::profile::shipped();
        let (set, findings) = parse(&PolicyFiles {
            gateway: Some(Source::new("gateway.toml", gateway)),
            profiles: shipped.iter().map(|(id, text)| Source::new(format!("{id}.toml"), *text)).collect(),
            workspaces: vec![Source::new("acme.toml", include_str!("../../policies/workspaces/acme.toml"))],
            base: "nowhere".into(),
        });
        RehearsalEpoch::build("test", set.unwrap_or_else(|| panic!("{findings:?}"))).expect("built")
    }

    #[test]
    fn neither_secrets_nor_files_are_needed_and_no_two_runs_share_a_key() {
        let [one, other] = [rehearsal(), rehearsal()];
        assert_eq!(one.epoch().tenants().len(), 1);
        assert!(one.secret("acme", "web-2026-11").is_some());
        assert_ne!(one.secret("acme", "web-2026-11"), other.secret("acme", "web-2026-11"));
        assert_eq!(one.secret("acme", "another"), None);
    }
}
