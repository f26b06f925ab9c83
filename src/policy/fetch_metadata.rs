//! What a workspace does with a request that its browser's own words (`Sec-Fetch-…`) speak against.

use super::keywords::keywords;

/// What to do with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FetchMetadataRule {
    /// Refuse it.
    #[default]
    Enforce,
    /// Record that it would be refused, and go on.
    Observe,
    /// Do not look.
    Off,
}

keywords!(
    FetchMetadataRule: "enforce" => FetchMetadataRule::Enforce,
    "observe" => FetchMetadataRule::Observe,
    "off" => FetchMetadataRule::Off,
);
