//! The secrets of all keys of an epoch, to be found where a browser sends one.
//!
//! None of them is kept another time: what stays is a keyed hash of each, with a key that is drawn anew for each epoch.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use secrecy::ExposeSecret;

use super::Secret;
use crate::decision::{KnownSecrets, SecretIndex};

/// A secret of at least so many bytes is found wherever in a text it stands; a shorter one only where it is the whole text, because it
/// may be a word.
pub const SECRET_BYTES_WITHIN_MIN: usize = 16;

/// How much is drawn for the hashes.
pub const DRAWN_BYTES: usize = 64;

/// A shorter secret is not looked for: it might be anybody's plan or first name.
pub const SECRET_BYTES_SOUGHT_MIN: usize = 8;

/// The secrets of all keys of all workspaces, white space around them trimmed.
pub struct ConfiguredSecrets {
    draw: Draw,
    /// In the order of their lengths.
    short: Vec<Known>,
    short_lengths: u32,
    /// In the order of their windows.
    long: Vec<Known>,
    bytes_min: usize,
    long_bytes_min: usize,
    skips: Skips,
    owners: Vec<Owner>,
}

/// Whose secret it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub workspace: String,
    /// The policy's name of the key.
    pub key: String,
}

/// One secret, by hashes alone.
struct Known {
    bytes: usize,
    /// Of the first bytes of a long one: cheap, so that the dear hash is asked for where it is almost certain.
    window: u64,
    tag: hmac::Tag,
    owner: usize,
}

impl ConfiguredSecrets {
    /// None yet. `drawn` is the key of the hashes: random, and used for nothing else.
    #[must_use]
    pub fn new(drawn: &[u8; DRAWN_BYTES]) -> Self {
        Self {
            draw: Draw::new(drawn),
            short: Vec::new(),
            short_lengths: 0,
            long: Vec::new(),
            bytes_min: usize::MAX,
            long_bytes_min: usize::MAX,
            skips: Skips::new(0, SECRET_BYTES_WITHIN_MIN),
            owners: Vec::new(),
        }
    }

    /// All of these: each with its workspace and its key's id. Only what must stay secret belongs here: a public key is everybody's.
    #[must_use]
    pub fn of<'s>(
        drawn: &[u8; DRAWN_BYTES],
        secrets: impl IntoIterator<Item = (&'s str, &'s str, &'s Secret)>,
    ) -> Self {
        let mut known = Self::new(drawn);
        for (workspace, key, secret) in secrets {
            known.add(workspace, key, secret);
        }
        known.arrange();
        known
    }

    /// Adds a secret; it is found after [`arrange`](Self::arrange).
    pub fn add(&mut self, workspace: &str, key: &str, secret: &Secret) {
        let text = secret.expose_secret().trim_ascii();
        if text.len() < SECRET_BYTES_SOUGHT_MIN {
            return;
        }
        let owner = self.owners.len();
        self.owners.push(Owner { workspace: workspace.to_owned(), key: key.to_owned() });
        let tag = self.draw.tag(text);
        self.bytes_min = self.bytes_min.min(text.len());
        let known = |window| Known { bytes: text.len(), window, tag, owner };
        if let Some(window) = text.first_chunk() {
            self.skips.add(&self.draw, text);
            self.long_bytes_min = self.long_bytes_min.min(text.len());
            self.long.push(known(self.draw.window(window)));
        } else {
            self.short_lengths |= 1 << text.len();
            self.short.push(known(0));
        }
    }

    /// Makes ready what was added.
    pub fn arrange(&mut self) {
        self.short.sort_by_key(|known| known.bytes);
        self.long.sort_by_key(|known| (known.window, known.bytes));
        self.skips.arrange(self.long_bytes_min);
    }

    /// Whose secret was found.
    #[must_use]
    pub fn owner(&self, index: SecretIndex) -> Option<&Owner> {
        self.owners.get(index.0)
    }

    /// Whether `text` begins with a secret.
    fn at(&self, text: &[u8]) -> Option<SecretIndex> {
        let window = self.draw.window(text.first_chunk()?);
        let first = self.long.partition_point(|known| known.window < window);
        let same = self.long.get(first..)?.iter().take_while(|known| known.window == window);
        self.one_of(same, text)
    }

    fn one_of<'k>(&self, known: impl IntoIterator<Item = &'k Known>, text: &[u8]) -> Option<SecretIndex> {
        let mut tagged: Option<(usize, hmac::Tag)> = None;
        for known in known {
            let Some(begin) = text.get(..known.bytes) else { continue };
            let tag = match tagged {
                Some((bytes, tag)) if bytes == known.bytes => tag,
                Some(_) | None => self.draw.tag(begin),
            };
            tagged = Some((known.bytes, tag));
            if constant_time::verify_slices_are_equal(tag.as_ref(), known.tag.as_ref()).is_ok() {
                return Some(SecretIndex(known.owner));
            }
        }
        None
    }
}

impl KnownSecrets for ConfiguredSecrets {
    fn bytes_min(&self) -> usize {
        self.bytes_min
    }

    fn find(&self, text: &str) -> Option<SecretIndex> {
        if self.short_lengths != 0 {
            let text = text.as_bytes().trim_ascii();
            if text.len() < SECRET_BYTES_WITHIN_MIN && self.short_lengths & (1 << text.len()) != 0 {
                let first = self.short.partition_point(|known| known.bytes < text.len());
                let same = self.short.iter().skip(first).take_while(|known| known.bytes == text.len());
                if let Some(found) = self.one_of(same, text) {
                    return Some(found);
                }
            }
        }
        if text.len() < self.long_bytes_min {
            return None;
        }
        let text = text.as_bytes();
        let mut end = self.skips.window_bytes;
        while let Some(begun) = text.get(..end) {
            let skip = self.skips.after(&self.draw, begun);
            if skip > 0 {
                end += skip;
                continue;
            }
            let here = end.checked_sub(self.skips.window_bytes).and_then(|start| text.get(start..));
            if let Some(found) = here.and_then(|here| self.at(here)) {
                return Some(found);
            }
            end += 1;
        }
        None
    }
}

/// Says how many there are, and nothing of them.
impl fmt::Debug for ConfiguredSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfiguredSecrets({})", self.owners.len())
    }
}

/// The keys of the hashes.
struct Draw {
    tags: hmac::Key,
    windows: [u64; 2],
    blocks: [u64; 2],
}

impl Draw {
    fn new(drawn: &[u8; DRAWN_BYTES]) -> Self {
        let (tags, numbers) = drawn.split_at(32);
        let mut numbers = numbers.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut number = || numbers.next().unwrap_or_default();
        Self {
            tags: hmac::Key::new(hmac::HMAC_SHA256, tags),
            windows: [number(), number()],
            // Multiplying by an odd number loses nothing.
            blocks: [number(), number() | 1],
        }
    }

    fn tag(&self, text: &[u8]) -> hmac::Tag {
        hmac::sign(&self.tags, text)
    }

    fn window(&self, window: &[u8; SECRET_BYTES_WITHIN_MIN]) -> u64 {
        let ([low, high], [a, b]) = (halves(*window), self.windows);
        let product = u128::from(low ^ a) * u128::from(high ^ b);
        let [low, high] = halves(product.to_le_bytes());
        low ^ high
    }

    fn block(&self, block: [u8; BLOCK_BYTES]) -> u32 {
        let [a, b] = self.blocks;
        // The upper half of a product depends on all of its factors.
        u32::try_from((u64::from(u32::from_le_bytes(block)) ^ a).wrapping_mul(b) >> u32::BITS).unwrap_or_default()
    }
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let mut halves = bytes.as_chunks().0.iter().map(|half| u64::from_le_bytes(*half));
    [halves.next().unwrap_or_default(), halves.next().unwrap_or_default()]
}

/// By how much a search may go on: what stands before the place says where the first bytes of a secret cannot end (Wu and Manber, 1994).
///
/// Of a long text about one place in thirty is looked at, whatever the number of secrets.
struct Skips {
    /// Hashes of the blocks that secrets begin with, and where in the secret each ends; until they are arranged.
    blocks: Vec<(u32, usize)>,
    /// So many first bytes of each secret count.
    window_bytes: usize,
    table: Vec<u8>,
    /// Of a hash, to make an index of it.
    shift: u32,
}

const BLOCK_BYTES: usize = 4;

/// As much as the shortest secret that may sign tokens.
const WINDOW_BYTES_MAX: usize = 32;

/// So many places for each block: most that are looked at are empty.
const PLACES_PER_BLOCK: usize = 16;

const PLACES_MIN: usize = 4096;
const PLACES_MAX: usize = 1 << 22;

impl Skips {
    fn new(blocks: usize, window_bytes: usize) -> Self {
        let places = (blocks * PLACES_PER_BLOCK).next_power_of_two().clamp(PLACES_MIN, PLACES_MAX);
        // After a block that no window has.
        let farthest = u8::try_from(window_bytes + 1 - BLOCK_BYTES).unwrap_or(1);
        let shift = u32::BITS - places.trailing_zeros();
        Self { blocks: Vec::new(), window_bytes, table: vec![farthest; places], shift }
    }

    fn add(&mut self, draw: &Draw, secret: &[u8]) {
        let blocks = secret.windows(BLOCK_BYTES).zip(BLOCK_BYTES..=WINDOW_BYTES_MAX);
        let blocks = blocks.filter_map(|(block, end)| Some((draw.block(*block.first_chunk()?), end)));
        self.blocks.extend(blocks);
    }

    /// Makes the table. No secret is shorter than `bytes_min`.
    fn arrange(&mut self, bytes_min: usize) {
        let blocks = std::mem::take(&mut self.blocks);
        *self = Self::new(blocks.len(), bytes_min.clamp(SECRET_BYTES_WITHIN_MIN, WINDOW_BYTES_MAX));
        for (hash, end) in blocks {
            let (index, skip) = (self.index(hash), self.window_bytes.checked_sub(end));
            if let (Some(place), Some(skip)) =
                (self.table.get_mut(index), skip.and_then(|skip| u8::try_from(skip).ok()))
            {
                *place = skip.min(*place);
            }
        }
    }

    fn index(&self, hash: u32) -> usize {
        usize::try_from(hash >> self.shift).unwrap_or_default()
    }

    /// Nothing where a window may end with `begun`.
    fn after(&self, draw: &Draw, begun: &[u8]) -> usize {
        let skip = begun.last_chunk().and_then(|block| self.table.get(self.index(draw.block(*block))));
        usize::from(skip.copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::testing::{SECRET, secret};

    const OTHER: &[u8] = b" an-older-secret \n";

    fn known(secrets: &[&[u8]]) -> ConfiguredSecrets {
        let secrets: Vec<(String, Secret)> =
            secrets.iter().enumerate().map(|(index, bytes)| (format!("key-{index}"), secret(bytes))).collect();
        // Whatever is drawn, the same is found.
        let mut drawn = [0; DRAWN_BYTES];
        aws_lc_rs::rand::fill(&mut drawn).expect("random numbers");
        ConfiguredSecrets::of(&drawn, secrets.iter().map(|(id, secret)| ("acme", id.as_str(), secret)))
    }

    #[track_caller]
    fn check(known: &ConfiguredSecrets, text: &str, expected: Option<&str>) {
        let found = known.find(text).and_then(|index| known.owner(index)).map(|owner| owner.key.as_str());
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_long_secret_is_found_wherever_it_stands() {
        let known = known(&[OTHER, SECRET]);
        let secret = std::str::from_utf8(SECRET).expect("text");
        let found = Some("key-1");
        check(&known, secret, found);
        check(&known, &format!(" {secret}\n"), found);
        for around in [1, 15, 16, 17, 100] {
            check(&known, &format!("{}{secret}", "x".repeat(around)), found);
            check(&known, &format!("{secret}{}", "x".repeat(around)), found);
            check(&known, &format!("https://a.example/?key={}{secret}&b=1", "\u{e9}".repeat(around)), found);
        }
        // All but its first or its last character, another case, one character in between.
        check(&known, secret.strip_prefix('t').expect("a prefix"), None);
        check(&known, secret.strip_suffix('9').expect("a suffix"), None);
        check(&known, &secret.to_uppercase(), None);
        check(&known, &secret.replacen('-', "--", 1), None);
        check(&known, &secret.repeat(2).replace("test", "text"), None);
    }

    #[test]
    fn a_short_secret_is_found_where_it_is_the_whole_text() {
        let known = known(&[OTHER, b"acme2026", b"acme202"]);
        check(&known, "an-older-secret", Some("key-0"));
        check(&known, "\tan-older-secret ", Some("key-0"));
        check(&known, "an-older-secret?", None);
        check(&known, "acme2026", Some("key-1"));
        check(&known, "acme2027", None);
        check(&known, "https://acme2026.example", None);
        check(&known, "acme202", None);
        check(&known, "acme202 ", None);
    }

    #[test]
    fn secrets_that_begin_alike_are_told_apart() {
        let known = known(&[b"0123456789abcdef-one", b"0123456789abcdef-other", b"0123456789abcdef"]);
        check(&known, "0123456789abcdef-other", Some("key-2"));
        check(&known, "0123456789abcde", None);
    }

    #[test]
    fn without_secrets_nothing_is_found() {
        let none = known(&[]);
        for text in ["", "12345678", std::str::from_utf8(SECRET).expect("text")] {
            check(&none, text, None);
        }
        check(&known(&[b"", b" \n ", b"1234567"]), "1234567", None);
    }

    #[test]
    fn a_thousand_secrets_are_found_and_none_is_kept() {
        let secrets: Vec<String> = (0..1000).map(|number| format!("{number:032x}")).collect();
        let bytes: Vec<&[u8]> = secrets.iter().map(String::as_bytes).collect();
        let known = known(&bytes);
        for (number, secret) in secrets.iter().enumerate() {
            check(&known, &format!("x{secret}"), Some(&format!("key-{number}")));
        }
        check(&known, &format!("{:032x}", 1000), None);
        assert_eq!(format!("{known:?}"), "ConfiguredSecrets(1000)");
    }

    proptest! {
        #[test]
        fn a_search_finds_what_a_plain_one_finds(
            secrets in proptest::collection::vec("[ab]{16,40}", 1..4),
            text in "[ab]{0,60}",
            at in 0..60_usize,
            put in any::<bool>(),
        ) {
            let bytes: Vec<&[u8]> = secrets.iter().map(String::as_bytes).collect();
            let mut text = text;
            if put {
                text.insert_str(at.min(text.len()), &secrets[0]);
            }
            let expected = secrets.iter().any(|secret| text.contains(secret));
            prop_assert_eq!(known(&bytes).find(&text).is_some(), expected);
        }
    }
}
