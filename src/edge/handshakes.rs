//! How handshakes ended that ended well: by version, group, and whether a session was resumed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::peer::{Resumption, TlsFacts, TlsVersion};

/// The groups that our TLS agrees on, and what there is where none was needed or is known.
const GROUPS: [&str; 5] = ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1", "none"];

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

const RESUMPTIONS: [Resumption; 2] = [Resumption::Full, Resumption::Resumed];

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Handshakes([[[AtomicU64; GROUPS.len()]; VERSIONS.len()]; RESUMPTIONS.len()]);

impl Handshakes {
    pub(super) fn count(&self, facts: &TlsFacts) {
        let none = GROUPS.len() - 1;
        let group = facts.group.and_then(|name| GROUPS.iter().position(|group| *group == name)).unwrap_or(none);
        let resumption = RESUMPTIONS.iter().position(|resumption| *resumption == facts.resumption);
        let version = VERSIONS.iter().position(|version| *version == facts.version);
        let counter = resumption.zip(version).and_then(|(resumption, version)| {
            let of_version = self.0.get(resumption)?.get(version)?;
            of_version.get(group)
        });
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that happened: version, group, whether resumed, how often.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, u64)> {
        RESUMPTIONS.iter().zip(&self.0).flat_map(|(resumption, versions)| {
            VERSIONS.iter().zip(versions).flat_map(move |(version, groups)| {
                GROUPS.iter().zip(groups).filter_map(move |(group, counter)| {
                    let number = counter.load(Ordering::Relaxed);
                    (number > 0).then_some((version.as_str(), *group, resumption.as_str(), number))
                })
            })
        })
    }
}
