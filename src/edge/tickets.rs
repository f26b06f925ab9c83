//! Session tickets: sealed with keys that change by themselves, that several gateways can share, and that are worth nothing for any other
//! listener, certificate or authority of clients (RFC 5077, RFC 8446 §4.6.1).
//!
//! A key is derived from a secret, from the time's window and from what the listener shows and asks ([`Binding`]). So every gateway with
//! the same secret and the same settings has the same keys without a word between them, and whoever changes the certificates, the
//! authorities or what they have revoked has other keys. Two old windows open what they sealed; after that it is lost.
//!
//! The secrets are the process's own, drawn anew for each window and forgotten after it, or those of a file that gateways share. What the
//! file holds can make the keys of every window that it was in force for: it is to be renewed too, see `docs/operating.md`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::private_file::PrivateFile;
use crate::clock::{self, UnixSeconds};

/// For how long one key seals, in seconds.
pub const WINDOW_SECONDS: i64 = 6 * 60 * 60;

/// How many old keys still open.
pub const OLD_WINDOWS: i64 = 2;

/// Clocks of several gateways differ: one whose clock is behind opens what another sealed a moment after the change.
const NEW_WINDOWS: i64 = 1;

/// A ticket, and what is sealed in one: a session with the certificates of its client.
const TICKET_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a secret in a file: what `openssl rand -base64 48` prints on one line.
pub const SECRET_BYTES: usize = 48;

/// Secrets of one file.
pub const SECRETS_MAX: usize = 3;

/// After so long the secret of a file should be renewed.
pub const SECRET_SECONDS_MAX: i64 = 30 * 24 * 60 * 60;

const FILE_BYTES_MAX: usize = 4 * 1024;

/// What group and world may do.
const OPEN_TO_OTHERS: u32 = 0o077;

type Secret = Zeroizing<Vec<u8>>;

/// The secrets from which the keys of one listener's tickets are derived.
#[derive(Clone)]
pub struct TicketSecrets {
    source: Source,
    /// Since when they are in use. `None`: as long as the window.
    since: Option<UnixSeconds>,
}

#[derive(Clone)]
enum Source {
    /// Of this process: one for each window.
    Own(Arc<Mutex<Vec<(i64, Secret)>>>),
    /// Of a file: the first seals, all of them open.
    Shared(Arc<[Secret]>),
}

/// Why a file gives no secrets. Nothing of it is repeated.
#[derive(Debug, thiserror::Error)]
pub enum TicketFileError {
    #[error("cannot read the ticket file `{}`: {source}; `openssl rand -base64 48` makes one", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the ticket file `{}` can be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    Permissions { path: PathBuf, mode: u32 },
    #[error(
        "line {line} of the ticket file `{}` is not {SECRET_BYTES} bytes in base64: `openssl rand -base64 48` prints such a line",
        path.display()
    )]
    Line { path: PathBuf, line: usize },
    #[error("the ticket file `{}` has {count} lines, expected one to {SECRETS_MAX}", path.display())]
    Count { path: PathBuf, count: usize },
    #[error("the ticket file `{}` has the same line twice", .0.display())]
    Twice(PathBuf),
}

impl TicketSecrets {
    /// Secrets of this process alone.
    #[must_use]
    pub fn own() -> Self {
        Self { source: Source::Own(Arc::default()), since: None }
    }

    /// Secrets that several gateways share.
    ///
    /// # Errors
    ///
    /// The file cannot be read, can be read by others, or holds something else.
    pub fn load(path: &Path) -> Result<Self, TicketFileError> {
        let unread = |source| TicketFileError::Read { path: path.to_owned(), source };
        let file = PrivateFile::open(path).map_err(unread)?;
        if file.mode() & OPEN_TO_OTHERS != 0 {
            return Err(TicketFileError::Permissions { path: path.to_owned(), mode: file.mode() });
        }
        let since = file.modified().map_err(unread)?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let text = file.read(FILE_BYTES_MAX).map_err(unread)?;
        let mut secrets: Vec<Secret> = Vec::new();
        for (line, text) in (1..).zip(text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n')) {
            let wrong = || TicketFileError::Line { path: path.to_owned(), line };
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let secret = Zeroizing::new(STANDARD.decode(text).map_err(|_| wrong())?);
            if secret.len() != SECRET_BYTES {
                return Err(wrong());
            }
            if secrets.contains(&secret) {
                return Err(TicketFileError::Twice(path.to_owned()));
            }
            secrets.push(secret);
        }
        if secrets.len() > SECRETS_MAX {
            return Err(TicketFileError::Count { path: path.to_owned(), count: secrets.len() });
        }
        let since = Some(UnixSeconds(i64::try_from(since).unwrap_or(i64::MAX)));
        Ok(Self { source: Source::Shared(secrets.into()), since })
    }

    /// Whether other gateways may have them too.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        matches!(self.source, Source::Shared(_))
    }

    /// For how long the newest of them has been in use, in seconds.
    #[must_use]
    pub fn age_seconds(&self, now: UnixSeconds) -> i64 {
        let since = self.since.map_or(window_of(now) * WINDOW_SECONDS, |since| since.0);
        now.0.saturating_sub(since).max(0)
    }

    /// The secret that seals in the current window `now`, and all that open what was sealed in `window`.
    fn of(&self, window: i64, now: i64) -> Option<Vec<Secret>> {
        match &self.source {
            Source::Shared(secrets) => Some(secrets.to_vec()),
            Source::Own(drawn) => {
                let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
                drawn.retain(|(window, _)| (now - OLD_WINDOWS..=now + NEW_WINDOWS).contains(window));
                if let Some((_, secret)) = drawn.iter().find(|(other, _)| *other == window) {
                    return Some(vec![secret.clone()]);
                }
                if window != now {
                    return Some(Vec::new());
                }
                let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
                rand::fill(&mut secret).ok()?;
                drawn.push((window, secret.clone()));
                Some(vec![secret])
            }
        }
    }
}

impl fmt::Debug for TicketSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecrets").field("shared", &self.are_shared()).finish_non_exhaustive()
    }
}

fn window_of(now: UnixSeconds) -> i64 {
    now.0.div_euclid(WINDOW_SECONDS)
}

/// What a ticket is good for: one listener, with these certificates and these authorities of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding([u8; digest::SHA256_OUTPUT_LEN]);

impl Binding {
    /// The digest of everything that must be the same. The order of `certificates` does not matter, since SNI picks among them.
    #[must_use]
    pub fn new<'c>(listener: &str, certificates: impl Iterator<Item = &'c [u8]>, clients: &[u8]) -> Self {
        let mut certificates: Vec<&[u8]> = certificates.collect();
        certificates.sort_unstable();
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [listener.as_bytes(), clients].into_iter().chain(certificates) {
            // Lengths first, so that no two lists make one sequence of bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

/// Seals and opens the tickets of one listener.
pub(super) struct Ticketer {
    secrets: TicketSecrets,
    binding: Binding,
    /// Those of the window in which a ticket was sealed or opened last.
    keys: ArcSwap<Keys>,
}

#[derive(Default)]
struct Keys {
    window: Option<i64>,
    /// The first seals.
    keys: Vec<Key>,
}

struct Key {
    name: [u8; NAME_BYTES],
    /// Nonces are random and come from several machines: GCM-SIV forgives two that are equal (RFC 8452 §9).
    key: LessSafeKey,
}

const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// What stands before the sealed bytes.
const HEAD_BYTES: usize = NAME_BYTES + NONCE_LEN;

impl Ticketer {
    pub(super) fn new(secrets: TicketSecrets, binding: Binding) -> Self {
        Self { secrets, binding, keys: ArcSwap::default() }
    }

    fn keys(&self, now: UnixSeconds) -> Arc<Keys> {
        let window = window_of(now);
        let current = self.keys.load_full();
        if current.window == Some(window) {
            return current;
        }
        let keys = Arc::new(self.derive(window));
        self.keys.store(Arc::clone(&keys));
        keys
    }

    /// The keys of a window and of those around it: the sealing one first. None at all where there is no randomness: then nothing is sealed.
    fn derive(&self, now: i64) -> Keys {
        let others = (now - OLD_WINDOWS..=now + NEW_WINDOWS).filter(|window| *window != now);
        let windows = std::iter::once(now).chain(others);
        let keys =
            windows.filter_map(|window| Some((window, self.secrets.of(window, now)?))).flat_map(|(window, secrets)| {
                secrets.into_iter().filter_map(move |secret| derive(&secret, self.binding, window)).collect::<Vec<_>>()
            });
        Keys { window: Some(now), keys: keys.collect() }
    }

    fn seal(&self, plain: &[u8], now: UnixSeconds) -> Option<Vec<u8>> {
        if plain.len() > TICKET_BYTES_MAX {
            return None;
        }
        let keys = self.keys(now);
        let Key { name, key } = keys.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed).ok()?;
        Some([name, &nonce[..], &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: UnixSeconds) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX + HEAD_BYTES + AES_256_GCM_SIV.tag_len() {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys(now);
        let Key { name, key } = keys.keys.iter().find(|key| key.name == *name)?;
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        Some(key.open_in_place(nonce, Aad::from(name), &mut bytes).ok()?.to_vec())
    }
}

fn derive(secret: &[u8], Binding(binding): Binding, window: i64) -> Option<Key> {
    let mut bytes = Zeroizing::new([0; NAME_BYTES + KEY_BYTES]);
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &binding).extract(secret);
    let info = [b"countersign session ticket 1".as_slice(), &window.to_be_bytes()];
    secret.expand(&info, Length).and_then(|okm| okm.fill(bytes.as_mut_slice())).ok()?;
    let (name, key) = bytes.split_first_chunk::<NAME_BYTES>()?;
    Some(Key { name: *name, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).ok()?) })
}

/// How much is derived at once.
struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        NAME_BYTES + KEY_BYTES
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    /// What is sealed now surely opens for so long.
    fn lifetime(&self) -> u32 {
        u32::try_from(OLD_WINDOWS * WINDOW_SECONDS).unwrap_or(0)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, clock::now_seconds())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, clock::now_seconds())
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticketer").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
