//! How often things may be asked for: rates, each with its burst and its mode.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::decision::Mode;

/// `[rates]` of `gateway.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// TLS handshakes of all clients together.
    pub handshakes: Rate,
    pub handshakes_per_address: Rate,
    pub requests_per_address: Rate,
    /// By the origin that a request claims and a workspace trusts.
    pub requests_per_origin: Rate,
    /// Unless the workspace says otherwise.
    pub requests_per_workspace: Rate,
    /// By the user whom a proof names, in one workspace. Unless the workspace says otherwise.
    pub requests_per_subject: Rate,
    /// Proofs that do not hold, from one address to one workspace.
    pub failing_proofs: Rate,
    /// What follows when there are too many of them.
    pub penalty: Penalty,
}

/// So many in so much time, on average; and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    pub per: Duration,
    /// How many may come at once, by whoever did not ask for a while.
    pub burst: NonZeroU32,
    /// `Observe`: counted and recorded, never refused. `Off`: not even counted.
    pub mode: Mode,
}

/// For how long hardly any new proof of an address to a workspace is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// The first time.
    pub first: Duration,
    /// Each time it begins again it is twice as long, up to this; after so much time without one it is forgotten.
    pub longest: Duration,
}

/// What a workspace has of its own. `None`: as the gateway says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceRates {
    pub requests: Option<Rate>,
    pub requests_per_subject: Option<Rate>,
}

/// No burst is larger, and no rate counts more: a slip of the keyboard, and what times are counted in has an end.
pub const RATE_COUNT_MAX: u32 = 1_000_000;

impl Rate {
    /// As the defaults below are written.
    const fn per_second(count: u32, burst: u32, mode: Mode) -> Self {
        Self { count: above_zero(count), per: Duration::from_secs(1), burst: above_zero(burst), mode }
    }

    /// How long one takes to come back, once it is used up.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.per / self.count.get()
    }
}

const fn above_zero(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Generous: whole offices and mobile carriers share one address, and after a restart all clients come back at once.
impl Default for Rates {
    fn default() -> Self {
        Self {
            handshakes: Rate::per_second(5_000, 20_000, Mode::Enforce),
            handshakes_per_address: Rate::per_second(100, 1_000, Mode::Enforce),
            requests_per_address: Rate::per_second(500, 5_000, Mode::Enforce),
            // How large an honest site or tenant is nobody here knows.
            requests_per_origin: Rate::per_second(1_000, 10_000, Mode::Off),
            requests_per_workspace: Rate::per_second(1_000, 10_000, Mode::Off),
            requests_per_subject: Rate::per_second(20, 500, Mode::Enforce),
            failing_proofs: Rate::per_second(1, 100, Mode::Enforce),
            penalty: Penalty { first: Duration::from_secs(10), longest: Duration::from_secs(600) },
        }
    }
}
