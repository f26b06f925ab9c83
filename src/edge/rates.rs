//! Rates: how often each may ask, and what follows when one asks more often.
//!
//! The arithmetic is GCRA, of the crate `governor`; what was asked is kept in a table of ours, which never grows. What is allowed is the
//! policy's to say, each time anew, so that a reload changes it at once and forgets nobody: what is kept is by when a debt is paid, at the rate at
//! which it was made. Time is monotonic and told by whoever asks.

mod exceeded;
mod penalties;
mod table;

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::per_address::network;
use crate::decision::Mode;
use crate::policy::{self, Penalty, Rate};
pub use exceeded::{Exceeded, Limited, Nearly};
use penalties::{KnownProofs, Penalties};
use table::{Table, WhenFull};

/// What was asked so far, of all listeners and workspaces. One value for the process.
pub struct Rates {
    hasher: RandomState,
    began: Instant,
    tables: [Table<PaidBy>; Limited::ALL.len()],
    penalties: Penalties,
    known_proofs: KnownProofs,
    tally: [Tally; Limited::ALL.len()],
}

/// Nanoseconds since the table was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// What became of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It may go on; told where little is left.
    Allowed(Option<Nearly>),
    /// It may go on, and would be refused were the rate enforced.
    Observed(Exceeded),
    Refused(Exceeded),
}

/// How often a limit was reached since the start, and it was of consequence.
#[derive(Debug, Default)]
struct Tally {
    refused: AtomicU64,
    observed: AtomicU64,
}

/// How one limit is doing, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub limited: Limited,
    pub refused: u64,
    pub observed: u64,
    /// Places of its table that hold a key, also one that is forgotten when its place is wanted.
    pub keys: u64,
    /// How often a key found all its places held, and shared one.
    pub shared: u64,
}

/// By when a key has paid for all that it asked: GCRA's theoretical arrival time.
#[derive(Clone, Copy, Debug, Default)]
struct PaidBy(u64);

impl table::Kept for PaidBy {
    fn until(&self) -> u64 {
        self.0
    }
}

impl Rates {
    /// Nobody has asked yet. Each kind counts at most about `keys_max` keys at once.
    #[must_use]
    pub fn new(keys_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            began: Instant::now(),
            tables: std::array::from_fn(|_| Table::new(keys_max, WhenFull::Inherit)),
            penalties: Penalties::new(keys_max),
            known_proofs: KnownProofs::new(keys_max),
            tally: std::array::from_fn(|_| Tally::default()),
        }
    }

    /// This moment. Read once for a request.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whether a client may begin a TLS handshake, which costs us more than it costs the client.
    #[must_use]
    pub fn admits_handshake(&self, rates: &policy::Rates, address: IpAddr, now: Moment) -> bool {
        // The address first: what it is refused shall not use up what belongs to all.
        let own = self.take(Limited::HandshakesPerAddress, &rates.handshakes_per_address, network(address), now);
        self.count(own);
        if matches!(own, Taken::Refused(_)) {
            return false;
        }
        let all = self.take(Limited::Handshakes, &rates.handshakes, (), now);
        self.count(all);
        !matches!(all, Taken::Refused(_))
    }

    /// Counts what becomes of a request that was `taken`: whoever asked knows whether it has any consequence.
    pub fn count(&self, taken: Taken) {
        let (counter, exceeded): (fn(&Tally) -> &AtomicU64, _) = match taken {
            Taken::Allowed(_) => return,
            Taken::Observed(exceeded) => (|tally| &tally.observed, exceeded),
            Taken::Refused(exceeded) => (|tally| &tally.refused, exceeded),
        };
        if let Some(tally) = self.tally.get(exceeded.limited as usize) {
            counter(tally).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether an address may ask once more.
    #[must_use]
    pub fn by_address(&self, rate: &Rate, address: IpAddr, now: Moment) -> Taken {
        self.take(Limited::Address, rate, network(address), now)
    }

    /// Whether the pages of an origin may ask once more.
    #[must_use]
    pub fn by_origin(&self, rate: &Rate, origin: &str, now: Moment) -> Taken {
        self.take(Limited::Origin, rate, origin, now)
    }

    /// Whether a workspace may be asked once more.
    #[must_use]
    pub fn by_workspace(&self, rate: &Rate, workspace: &str, now: Moment) -> Taken {
        self.take(Limited::Workspace, rate, workspace, now)
    }

    /// Whether a user whom a proof names may ask once more. The id is hashed and not kept.
    #[must_use]
    pub fn by_subject(&self, rate: &Rate, workspace: &str, subject: &str, now: Moment) -> Taken {
        self.take(Limited::Subject, rate, (workspace, subject), now)
    }

    /// Whether an address may present one more proof to a workspace that does not hold; where not, a penalty begins.
    #[must_use]
    pub fn failing_proof(&self, rate: &Rate, penalty: Penalty, address: IpAddr, workspace: &str, now: Moment) -> Taken {
        let taken = self.take(Limited::FailingProofs, rate, (network(address), workspace), now);
        match taken {
            // That little is left says that it failed, and to whoever guesses nobody says so.
            Taken::Allowed(_) => Taken::Allowed(None),
            Taken::Observed(exceeded) => {
                Taken::Observed(self.begin_penalty(penalty, exceeded, address, workspace, now))
            }
            Taken::Refused(exceeded) => Taken::Refused(self.begin_penalty(penalty, exceeded, address, workspace, now)),
        }
    }

    fn begin_penalty(
        &self,
        penalty: Penalty,
        exceeded: Exceeded,
        address: IpAddr,
        workspace: &str,
        now: Moment,
    ) -> Exceeded {
        let left = self.penalties.begin(self.key(Limited::Penalty, (network(address), workspace)), penalty, now.0);
        exceeded.not_before(left)
    }

    /// Whether an address may present to a workspace a proof that nobody has verified yet. `proof` is what will be
    /// verified, `None` where nothing can be.
    ///
    /// One that held a moment ago is looked at in any case: who shares an address with an attacker, and was here before, goes on. Of new ones
    /// a few are, so that whoever comes anew gets through while somebody else guesses, and guessing stays hopeless.
    #[must_use]
    pub fn new_proof(
        &self,
        rate: &Rate,
        penalty: Penalty,
        address: IpAddr,
        workspace: &str,
        proof: Option<impl Hash>,
        now: Moment,
    ) -> Taken {
        if rate.mode == Mode::Off {
            return Taken::Allowed(None);
        }
        let network = network(address);
        let lasts = self.penalties.ends(self.key(Limited::Penalty, (network, workspace)), penalty, now.0).is_some();
        let is_known = |proof| self.known_proofs.has(self.key(Limited::Penalty, (workspace, proof)), now.0);
        if !lasts || proof.is_some_and(is_known) {
            return Taken::Allowed(None);
        }
        let few = Rate {
            count: NEW_PROOFS_PER_SECOND_MAX,
            per: Duration::from_secs(1),
            burst: NEW_PROOFS_PER_SECOND_MAX,
            mode: rate.mode,
        };
        match self.take(Limited::Penalty, &few, (network, workspace), now) {
            Taken::Allowed(_) => Taken::Allowed(None),
            taken @ (Taken::Observed(_) | Taken::Refused(_)) => taken,
        }
    }

    /// Remembers for a while that a proof of `subject` held.
    pub fn held(&self, workspace: &str, subject: &str, proof: impl Hash, now: Moment) {
        let subject = self.key(Limited::Subject, (workspace, subject));
        self.known_proofs.remember(subject, self.key(Limited::Penalty, (workspace, proof)), now.0);
    }

    /// How each limit is doing.
    #[must_use]
    pub fn numbers(&self) -> Vec<Numbers> {
        let of = |(limited, (table, tally)): (Limited, (&Table<PaidBy>, &Tally))| Numbers {
            limited,
            refused: tally.refused.load(Ordering::Relaxed),
            observed: tally.observed.load(Ordering::Relaxed),
            keys: if limited == Limited::Penalty { self.penalties.keys() } else { table.keys() },
            shared: table.shared(),
        };
        Limited::ALL.into_iter().zip(self.tables.iter().zip(&self.tally)).map(of).collect()
    }

    fn key(&self, limited: Limited, key: impl Hash) -> u64 {
        self.hasher.hash_one((limited as u8, key))
    }

    fn take(&self, limited: Limited, rate: &Rate, key: impl Hash, now: Moment) -> Taken {
        if rate.mode == Mode::Off {
            return Taken::Allowed(None);
        }
        // The kinds stand in the order of their numbers.
        let Some(table) = self.tables.get(limited as usize) else { return Taken::Allowed(None) };
        let limiter: RateLimiter<u64, At<'_>, AtZero, StateInformationMiddleware> =
            RateLimiter::new(quota(rate), At { table, now: now.0, most: most(rate) }, AtZero);
        match limiter.check_key(&self.key(limited, key)) {
            Ok(state) => Taken::Allowed(Nearly::of(limited, rate, state.remaining_burst_capacity())),
            Err(refused) => {
                let wait = refused.wait_time_from(Nanos::from(0));
                let exceeded = Exceeded::of(limited, rate, wait);
                match rate.mode {
                    Mode::Off => Taken::Allowed(None),
                    Mode::Observe => Taken::Observed(exceeded),
                    Mode::Enforce => Taken::Refused(exceeded),
                }
            }
        }
    }
}

/// Of new proofs from one address to one workspace, so many are looked at each second while a penalty lasts.
const NEW_PROOFS_PER_SECOND_MAX: NonZeroU32 = match NonZeroU32::new(5) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// `governor`'s words for a rate.
fn quota(rate: &Rate) -> Quota {
    let period = rate.period().max(Duration::from_nanos(1));
    Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(rate.burst)
}

/// What a key can owe under a rate, in nanoseconds.
fn most(rate: &Rate) -> u64 {
    u64::try_from(rate.period().saturating_mul(rate.burst.get()).as_nanos()).unwrap_or(u64::MAX)
}

/// The table as `governor` sees it at one moment, which for it is the beginning of time.
///
/// It keeps times relative to when a limiter was made, and a limiter cannot change its rate. Ours lives for one question: then every moment
/// is relative to that question, and a debt that was paid before is none.
struct At<'t> {
    table: &'t Table<PaidBy>,
    now: u64,
    /// A debt under a rate that is no longer in force counts as no more than this: a rate that was too low locks nobody out beyond its end.
    most: u64,
}

impl StateStore for At<'_> {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.table.update(*key, self.now, |there| {
            let owed = there.map(|PaidBy(until)| until.saturating_sub(self.now));
            let debt = owed.map(|owed| owed.min(self.most));
            match decide(debt.map(Nanos::from)) {
                Ok((outcome, debt)) => (Some(PaidBy(self.now.saturating_add(debt.as_u64()))), Ok(outcome)),
                // From now on it is paid off.
                Err(refused) if owed > debt => (debt.map(|debt| PaidBy(self.now.saturating_add(debt))), Err(refused)),
                Err(refused) => (None, Err(refused)),
            }
        })
    }
}

/// A clock that stands still.
#[derive(Clone, Copy, Debug)]
struct AtZero;

impl Clock for AtZero {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(0)
    }
}

/// Says nothing of who asked.
impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rates(..)")
    }
}

#[cfg(test)]
mod tests;
