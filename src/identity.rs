//! Proofs: who vouches for what.
//!
//! A request may present a token (a JWT that the company's own server signed), settings that the server encrypted, or a `user_hash` (an HMAC of the user's id). This room finds
//! out whether they hold, at a moment it is told, and says so in types that nobody else can make: [`Proofs`], and in it
//! [`VerifiedClaims`]. A token signs attributes, and so does what is encrypted; a hash says only who somebody is; a session proves nothing, and whose
//! each is, as the messenger's own answers said, [`Sessions`] remember.
//!
//! Two files serve people rather than requests: `diagnosis.rs` explains to an operator what is wrong with a token, and `mint.rs` makes one to
//! try an installation with. Neither makes a proof.
//!
//! It also knows the secrets of all keys again when a browser sends one: [`ConfiguredSecrets`].
//!
//! What a vendor's own server signs as a whole, a webhook, is a [`VerifiedWebhook`].
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
mod exchange;
mod guess;
mod issue;
mod jwt;
mod key_set;
mod keyring;
mod keys;
mod material;
mod mint;
mod proofs;
mod public_key;
mod published;
mod sealed;
mod seen;
mod session;
mod signing;
mod subject;
mod ticket;
mod times;
mod token_id;
mod user_hash;
mod verdict;
mod verifier;
mod webhook;

pub use claims::{TokenFacts, VerifiedClaims};
pub use configured::{ConfiguredSecrets, DRAWN_BYTES, Owner, SECRET_BYTES_WITHIN_MIN};
pub use demand::{IdentityError, demand};
pub use diagnosis::{
    Diagnosis, Examined, Examiner, Outline, Question, TimeOutline, claimed_token_id, counted, diagnose, moment, span,
};
pub use exchange::{Binding, EXCHANGE_SECONDS_MAX, Exchanged, Exchanges};
pub use jwt::SignedPayload;
pub use key_set::{KID_BYTES_MAX, KeySet, KeySetError, LeftOut, SET_BYTES_MAX, SET_KEYS_MAX};
pub use keyring::{KeyName, KeySetState};
pub use keys::{KEYS_MAX, KeyError, SECRET_BYTES_MIN};
pub use material::KeyMaterial;
pub use mint::{MintError, Minting, is_for_tickets, mint, signing_key};
pub use proofs::{Credential, Presented, Proofs};
pub use public_key::{PublicKeyError, RSA_BITS_MAX, RSA_BITS_MIN};
pub use published::{Publication, PublishedKeys};
pub use sealed::SEALED_CHARS_MAX;
pub use session::{Holder, SESSION_BYTES_MAX, SESSION_SECONDS, Sessions};
pub use signing::SigningKey;
pub use ticket::{PresentedTicket, TICKET_ATTRIBUTES_MAX, TICKET_LIFETIME_MAX, Ticket, TicketError};
pub use times::Times;
pub use verdict::{HashError, ProofError, ProofVerdict, SealedError, TimeClaim, TokenError, Withdrawal};
pub use verifier::Verifier;
pub use webhook::{
    PresentedSignature, SignedWebhook, UsedUp, VerifiedWebhook, WEBHOOK_SECRET_BYTES_MIN, WebhookError,
    WebhookKeyError, WebhookKeys, sign_webhook,
};

// What the tests of several rooms need: a set as an issuer would publish it.
#[cfg(test)]
pub(crate) use key_set::testing as key_set_testing;

/// The bytes of a shared secret: wiped when dropped, and never shown.
pub type Secret = secrecy::SecretSlice<u8>;

#[cfg(test)]
mod testing;
