//! Webhooks: how a vendor signs what its servers send.

use http::HeaderName;

/// Where the signature of a webhook is, and of what. It is made of the body's bytes as they come over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSignature {
    pub header: HeaderName,
    /// What stands in the header before the signature's lower-case hexadecimal digits, such as `sha1=`.
    pub prefix: String,
    pub algorithm: WebhookAlgorithm,
    /// The header with the time of sending, in Unix seconds. The signature is then of the time, a dot and the body.
    pub timestamp: Option<HeaderName>,
}

/// By what a webhook is signed: an HMAC (RFC 2104) under a secret that sender and receiver have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookAlgorithm {
    /// Old, and as an HMAC not broken: what breaks SHA-1 are collisions, which help nobody without the key.
    HmacSha1,
    HmacSha256,
}

impl WebhookAlgorithm {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            WebhookAlgorithm::HmacSha1 => "HMAC-SHA1",
            WebhookAlgorithm::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// The length of a signature, in bytes.
    #[must_use]
    pub fn tag_bytes(self) -> usize {
        match self {
            WebhookAlgorithm::HmacSha1 => 20,
            WebhookAlgorithm::HmacSha256 => 32,
        }
    }
}
