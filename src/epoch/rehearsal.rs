//! An epoch that is never served: its keys were drawn a moment ago, and it knows no upstream.

use std::collections::HashMap;
use std::sync::Arc;

use super::build::{BuildError, Epoch};
use super::key_sets::KeySetBuildError;
use super::secrets::SecretError;
use crate::identity::{KeyMaterial, KeySet, PublishedKeys, Secret, SigningKey};
use crate::observe::Metrics;
use crate::policy::{Algorithm, KeySource, PolicySet, SecretEncoding, Workspace};

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
    /// By workspace and key, or set of keys.
    keys: HashMap<(String, String), SigningKey>,
    /// By workspace and key.
    webhook_secrets: HashMap<(String, String), Secret>,
}

/// The `kid` of the one key of each set. Tokens of a rehearsal name none.
const REHEARSED_KID: &str = "rehearsed";

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
        let (mut keys, mut webhook_secrets) = (HashMap::new(), HashMap::new());
        for workspace in &mut set.workspaces {
            for key in &mut workspace.identity.keys {
                // Drawn anew each time: should one ever get out, it opens nothing.
                let drawn = SigningKey::draw(key.algorithm).map_err(|_| BuildError::Random)?;
                keys.insert((workspace.id.clone(), key.id.clone()), drawn);
                // However the real one is written down, this one stands for itself.
                if let KeySource::Secret { encoding, source: _ } = &mut key.source {
                    *encoding = SecretEncoding::Text;
                }
            }
            for key in &mut workspace.webhooks.keys {
                let drawn = SigningKey::draw(Algorithm::Hs256).and_then(|drawn| drawn.material());
                if let Ok(KeyMaterial::Secret(secret)) = drawn {
                    webhook_secrets.insert((workspace.id.clone(), key.id.clone()), secret);
                }
                key.encoding = SecretEncoding::Text;
            }
            for set in &workspace.identity.key_sets {
                // No issuer is asked and no file is read: one key of the set's first algorithm stands for all that are published.
                if let Some(algorithm) = set.algorithms.first() {
                    let drawn = SigningKey::draw(*algorithm).map_err(|_| BuildError::Random)?;
                    keys.insert((workspace.id.clone(), set.id.clone()), drawn);
                }
            }
        }
        let material_of = |workspace: &Workspace, id: &str| {
            let drawn = keys.get(&(workspace.id.clone(), id.to_owned()));
            let material = drawn.and_then(|drawn| drawn.material().ok());
            // Nothing was drawn: nothing verifies.
            material.unwrap_or(KeyMaterial::PublicKey(Vec::new()))
        };
        let epoch = Epoch::assemble(
            digest,
            set,
            &Metrics::new(),
            |workspace, key| Ok::<_, SecretError>(material_of(workspace, &key.id)),
            |workspace, key| {
                let drawn = webhook_secrets.get(&(workspace.id.clone(), key.id.clone()));
                // Nothing was drawn: nothing verifies.
                Ok::<_, SecretError>(drawn.cloned().unwrap_or_else(|| Secret::from(Vec::new())))
            },
            |workspace, set| {
                let one = set
                    .algorithms
                    .first()
                    .map(|algorithm| KeySet::of_one(REHEARSED_KID, *algorithm, &material_of(workspace, &set.id)));
                Ok::<_, KeySetBuildError>(Arc::new(match one {
                    Some(Ok(keys)) => PublishedKeys::fixed(keys),
                    Some(Err(_)) | None => PublishedKeys::new(|| ()),
                }))
            },
        )?;
        Ok(Self { epoch, keys, webhook_secrets })
    }

    /// The epoch, for the steps of the gateway.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The secret with which a vendor would sign webhooks for a workspace.
    #[must_use]
    pub fn webhook_secret(&self, workspace: &str, key: &str) -> Option<&Secret> {
        self.webhook_secrets.get(&(workspace.to_owned(), key.to_owned()))
    }

    /// A key, or the one that stands for a set, to sign with.
    #[must_use]
    pub fn key(&self, workspace: &str, key: &str) -> Option<&SigningKey> {
        self.keys.get(&(workspace.to_owned(), key.to_owned()))
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
            addresses: Vec::new(),
            base: "nowhere".into(),
        });
        RehearsalEpoch::build("test", set.unwrap_or_else(|| panic!("{findings:?}"))).expect("built")
    }

    #[test]
    fn neither_secrets_nor_files_are_needed_and_no_two_runs_share_a_key() {
        let [one, other] = [rehearsal(), rehearsal()];
        assert_eq!(one.epoch().tenants().len(), 1);
        let token = |rehearsal: &RehearsalEpoch| {
            rehearsal.key("acme", "web-2026-11").map(|key| key.token(b"{}").expect("signed"))
        };
        assert!(token(&one).is_some());
        assert_ne!(token(&one), token(&other));
        assert!(one.key("acme", "another").is_none());
    }
}
