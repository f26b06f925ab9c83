//! Proofs: who vouches for what.
//!
//! A request may present a token (a JWT that the company's own server signed), settings that the server encrypted, or a `user_hash` (an HMAC of the user's id). This room finds
//! out whether they hold, at a moment it is told, and says so in types that nobody else can make: [`Proofs`], and in it
//! [`VerifiedClaims`]. A token signs attributes, and so does what is encrypted; a hash says only who somebody is; a session never proves anything.
//!
//! Two files serve people rather than requests: `diagnosis.rs` explains to an operator what is wrong with a token, and `mint.rs` makes one to
//! try an installation with. Neither makes a proof.
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
mod diagnosis;
mod issue;
mod jwt;
mod keys;
mod material;
mod mint;
mod proofs;
mod public_key;
mod sealed;
mod seen;
mod signing;
mod subject;
mod times;
mod token_id;
mod user_hash;
mod verdict;
mod verifier;

pub use claims::{TokenFacts, VerifiedClaims};
pub use configured::{ConfiguredSecrets, DRAWN_BYTES, Owner, SECRET_BYTES_WITHIN_MIN};
pub use demand::{IdentityError, demand};
pub use diagnosis::{Diagnosis, Examined, Examiner, Outline, Question, TimeOutline, claimed_token_id, diagnose};
pub use jwt::SignedPayload;
pub use keys::{KEYS_MAX, KeyError, SECRET_BYTES_MIN};
pub use material::KeyMaterial;
pub use mint::{MintError, Minting, mint, signing_key};
pub use proofs::{Presented, Proofs, SessionPresence};
pub use public_key::{PublicKeyError, RSA_BITS_MAX, RSA_BITS_MIN};
pub use sealed::SEALED_CHARS_MAX;
pub use signing::SigningKey;
pub use verdict::{HashError, ProofError, ProofVerdict, SealedError, TimeClaim, TokenError, Withdrawal};
pub use verifier::Verifier;

/// The bytes of a shared secret: wiped when dropped, and never shown.
pub type Secret = secrecy::SecretSlice<u8>;

#[cfg(test)]
mod testing;
