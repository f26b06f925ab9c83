//! Proofs: who vouches for what.
//!
//! A request may present a token (a JWT that the company's own server signed) or a `user_hash` (an HMAC of the user's id). This room finds
//! out whether they hold, at a moment it is told, and says so in types that nobody else can make: [`Proofs`], and in it
//! [`VerifiedClaims`]. A token signs attributes; a hash says only who somebody is; a session never proves anything.
//!
//! It also knows the secrets of all keys again when a browser sends one: [`ConfiguredSecrets`].
//!
//! It must not know where in a request the texts stood, what a verdict means to a client, or which attributes are locked. It reads no
//! clock. `jsonwebtoken` is known to `jwt.rs` alone.
//!
//! ```text
//! text ─ UnverifiedToken (shape, header) ─ SignedPayload (signature) ─ VerifiedClaims (times, subject) ─ Signed
//! ```

mod claims;
mod compact;
mod configured;
mod demand;
mod jwt;
mod keys;
mod proofs;
mod subject;
mod times;
mod user_hash;
mod verdict;
mod verifier;

pub use claims::VerifiedClaims;
pub use configured::{ConfiguredSecrets, NoRandomness, Owner, SECRET_BYTES_WITHIN_MIN};
pub use demand::{IdentityError, demand};
pub use jwt::SignedPayload;
pub use keys::{KEYS_PER_USE_MAX, KeyError, SECRET_BYTES_MIN};
pub use proofs::{Presented, Proofs, SessionPresence};
pub use verdict::{HashError, ProofError, ProofVerdict, TimeClaim, TokenError};
pub use verifier::Verifier;

/// The bytes of a shared secret: wiped when dropped, and never shown.
pub type Secret = secrecy::SecretSlice<u8>;

#[cfg(test)]
mod testing;
