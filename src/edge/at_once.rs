//! How many requests of one address are under way at once, and how many it leaves before they are answered.
//!
//! A request takes a place until its answer has been read, for so long may it hold a connection to the upstream. Whoever opens many and reads
//! none of them (an HTTP/2 window of zero, for one) would otherwise take all there are. WebSockets give their place back with the switch.
//!
//! Who leaves takes nothing back: the upstream goes on with what it was given. So a request that is left before its answer begins keeps its
//! place for some seconds, and whoever leaves many is refused for a while, however he left: by a reset, or with the whole connection.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::allowance::{Allowance, Overspent, SpentByAddress};
use super::per_address::{PerAddress, network};

/// Requests that an address may leave before it has their answers, for each that it may have under way: of 250 that is 1,000, and 20 a second.
/// A page that is closed leaves some; behind an address there may be an office.
const ABANDONED_AT_ONCE_FACTOR: u32 = 4;
const ABANDONED_PER_SECOND_PART: u32 = 12;
/// For so long the upstream may work on what nobody waits for any more. Most are done sooner.
pub const ABANDONED_FOR: Duration = Duration::from_secs(5);
/// With those that it has left, an address may have so many times its limit, so that who has left a few pages is served at the next.
pub const WITH_ABANDONED_FACTOR: usize = 2;
/// Abandoned places of all addresses. Beyond that the oldest is given back before its time.
const HELD_MAX: usize = 65_536;

/// What an address may leave that may have `most` under way.
fn may_leave(most: usize) -> Allowance {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let per_second = (most / ABANDONED_PER_SECOND_PART).max(1);
    Allowance { at_once: most.saturating_mul(ABANDONED_AT_ONCE_FACTOR), per_second }
}

/// The requests under way. One value for the process; how many an address may have the policy says, each time anew.
#[derive(Debug)]
pub struct AtOnce {
    started: Instant,
    under_way: PerAddress,
    /// Left before their answer began, not long ago.
    held: PerAddress,
    held_until: Mutex<VecDeque<(Instant, IpAddr)>>,
    /// How many those are, so that nobody takes a lock to find that there are none.
    held_count: AtomicUsize,
    abandoned: SpentByAddress,
}

/// The address has as many as the limit, or leaves too many. Either passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyAtOnce {
    #[error("the address has as many requests under way as the limit")]
    UnderWay,
    #[error("the address left too many requests before they were answered")]
    Abandoned,
}

/// The place of one request. It is free again when this is dropped, or some seconds later where its client left before the answer.
#[derive(Debug)]
pub struct Place {
    at_once: Arc<AtOnce>,
    address: IpAddr,
    /// How many its address may have.
    most: usize,
    answer: Answered,
}

/// How much of the answer there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Nothing,
    Begun,
    Whole,
}

impl AtOnce {
    /// None yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            under_way: PerAddress::default(),
            held: PerAddress::default(),
            held_until: Mutex::default(),
            held_count: AtomicUsize::new(0),
            abandoned: SpentByAddress::default(),
        })
    }

    /// Takes a place for a request from `address`, which may have `most`.
    ///
    /// # Errors
    ///
    /// It has, or it left too many of late.
    pub fn admit(self: &Arc<Self>, address: IpAddr, most: usize) -> Result<Place, TooManyAtOnce> {
        let address = network(address);
        if self.abandoned.is_spent(address, may_leave(most), self.started.elapsed()) {
            return Err(TooManyAtOnce::Abandoned);
        }
        if self.held_count.load(Ordering::Acquire) > 0 {
            self.give_back(Instant::now());
            let all = self.held.of(address) + self.under_way.of(address);
            if all >= most.saturating_mul(WITH_ABANDONED_FACTOR) {
                return Err(TooManyAtOnce::Abandoned);
            }
        }
        let is_given = self.under_way.give(address, 1, most);
        let place = || Place { at_once: Arc::clone(self), address, most, answer: Answered::Nothing };
        is_given.then(place).ok_or(TooManyAtOnce::UnderWay)
    }

    fn hold(&self, address: IpAddr) {
        // It has room: how many there may be is asked of who comes next.
        if self.held.give(address, 1, usize::MAX) {
            let mut until = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
            until.push_back((Instant::now() + ABANDONED_FOR, address));
            let oldest = if until.len() > HELD_MAX { until.pop_front() } else { None };
            self.held_count.store(until.len(), Ordering::Release);
            if let Some((_, oldest)) = oldest {
                self.held.take_back(oldest, 1);
            }
        }
    }

    /// Gives back what was held long enough.
    fn give_back(&self, now: Instant) {
        let mut until = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, address)) = until.pop_front_if(|(until, _)| *until <= now) {
            self.held.take_back(address, 1);
        }
        self.held_count.store(until.len(), Ordering::Release);
    }
}

impl Place {
    /// There is an answer: nobody works on it any more, or whoever does sees that its reader is gone.
    pub fn answer_begins(&mut self) {
        self.answer = Answered::Begun;
    }

    /// The whole answer is on its way.
    pub fn answer_ends(&mut self) {
        self.answer = Answered::Whole;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let at_once = &self.at_once;
        if self.answer == Answered::Nothing {
            at_once.hold(self.address);
        }
        if self.answer != Answered::Whole {
            // Who has overspent learns it with the next request.
            let (Ok(()) | Err(Overspent)) =
                at_once.abandoned.spend(self.address, may_leave(self.most), at_once.started.elapsed());
        }
        at_once.under_way.take_back(self.address, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn serve(at_once: &Arc<AtOnce>, last: u8, most: usize) -> Result<(), TooManyAtOnce> {
        at_once.admit(address(last), most).map(|mut place| place.answer_ends())
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_answer_has_gone() {
        let at_once = AtOnce::new();
        let mut first = at_once.admit(address(1), 2).expect("a place");
        let mut second = at_once.admit(address(1), 2).expect("a place");
        assert_eq!(serve(&at_once, 1, 2), Err(TooManyAtOnce::UnderWay));
        assert_eq!(serve(&at_once, 2, 2), Ok(()));
        // A limit that was lowered takes nothing away.
        first.answer_ends();
        drop(first);
        assert_eq!(serve(&at_once, 1, 1), Err(TooManyAtOnce::UnderWay));
        // An answer that nobody reads to its end was made all the same.
        second.answer_begins();
        drop(second);
        assert_eq!(serve(&at_once, 1, 1), Ok(()));
        assert_eq!((at_once.under_way.len(), at_once.held.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_before_its_answer_counts_for_some_seconds_more() {
        let at_once = AtOnce::new();
        let leave = |count: usize| (0..count).filter(|_| at_once.admit(address(1), 3).is_ok()).count();
        assert_eq!(leave(5), 5);
        assert_eq!(serve(&at_once, 1, 3), Ok(()), "a few pages were left");
        assert_eq!(leave(5), 1);
        assert_eq!(serve(&at_once, 1, 3), Err(TooManyAtOnce::Abandoned));
        assert_eq!(serve(&at_once, 2, 3), Ok(()));
        tokio::time::advance(ABANDONED_FOR).await;
        assert_eq!(serve(&at_once, 1, 3), Ok(()));
        assert_eq!((at_once.under_way.len(), at_once.held.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_too_many_is_refused_until_time_has_passed() {
        let at_once = AtOnce::new();
        let leave = || at_once.admit(address(1), 250).map(|mut place| place.answer_begins());
        assert_eq!((0..1_500).filter(|_| leave().is_ok()).count(), 1_000);
        assert_eq!(serve(&at_once, 1, 250), Err(TooManyAtOnce::Abandoned));
        assert_eq!(serve(&at_once, 2, 250), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..100).filter(|_| leave().is_ok()).count(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_places_are_held_than_there_is_room_for() {
        let at_once = AtOnce::new();
        for number in 0..u32::try_from(HELD_MAX).expect("some thousand") + 9 {
            drop(at_once.admit(IpAddr::from(number.to_be_bytes()), 250));
        }
        assert_eq!(at_once.held.len(), HELD_MAX);
    }
}
