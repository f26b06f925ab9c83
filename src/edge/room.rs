//! Room for the bodies that are held in memory: one budget for all requests together.
//!
//! Bytes count as they come, not as they are announced, so that whoever announces much and sends nothing takes nothing from others; what is
//! announced is only asked whether it would fit. Each byte counts [`HELD_PER_BODY_BYTE`] times, since what is judged is held beside what came and
//! what is written. Who finds no room is refused at once and waits for nobody, so that requests never wait for each other.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::per_address::{PerAddress, network};
use crate::policy::{HELD_PER_BODY_BYTE, ROOM_SHARE};

/// The least that is taken at a time: small bodies ask once.
const STEP_BYTES: usize = 16 * 1024;

/// The budget. One value for the process; how large it is the policy says, each time anew.
#[derive(Debug, Default)]
pub struct Room {
    taken: AtomicUsize,
    per_address: PerAddress,
    refused: AtomicU64,
}

/// There is no room. It passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for the body beside the others")]
pub struct NoRoom;

/// What one request has taken. It is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    room: Arc<Room>,
    address: IpAddr,
    bytes_max: usize,
    taken: usize,
}

impl Room {
    /// Nothing taken yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Begins to hold the body of a request from `address`, of which `announced` bytes are to come, within `bytes_max` for all.
    ///
    /// # Errors
    ///
    /// What is announced would not fit; nothing is taken.
    pub fn admit(self: &Arc<Self>, address: IpAddr, announced: Option<u64>, bytes_max: usize) -> Result<Held, NoRoom> {
        let address = network(address);
        let announced =
            usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX).saturating_mul(HELD_PER_BODY_BYTE);
        let fits = self.taken.load(Ordering::Relaxed).saturating_add(announced) <= bytes_max
            && self.per_address.of(address).saturating_add(announced) <= self.share(address, bytes_max);
        if !fits {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(NoRoom);
        }
        Ok(Held { room: Arc::clone(self), address, bytes_max, taken: 0 })
    }

    /// Bytes that are taken now.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed) as u64
    }

    /// How often there was none, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The most that an address may hold: a part of what all others leave. So no few of them take all, and the next finds something.
    fn share(&self, address: IpAddr, bytes_max: usize) -> usize {
        let others = self.taken.load(Ordering::Relaxed).saturating_sub(self.per_address.of(address));
        bytes_max.saturating_sub(others) / ROOM_SHARE
    }

    fn take(&self, address: IpAddr, bytes: usize, bytes_max: usize) -> Result<(), NoRoom> {
        let share = self.share(address, bytes_max);
        if self.taken.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > bytes_max {
            self.taken.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NoRoom);
        }
        if !self.per_address.give(address, bytes, share) {
            self.taken.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NoRoom);
        }
        Ok(())
    }

    fn give_back(&self, address: IpAddr, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        self.per_address.take_back(address, bytes);
    }
}

impl Held {
    /// Takes room for a body that is `length` bytes long by now.
    ///
    /// # Errors
    ///
    /// There is none left, for this address or for anybody.
    pub fn cover(&mut self, length: usize) -> Result<(), NoRoom> {
        let wanted = length.saturating_mul(HELD_PER_BODY_BYTE);
        if wanted <= self.taken {
            return Ok(());
        }
        // In steps that grow, so that a body in many pieces asks a few times; near the end of the room just what is needed.
        let needed = wanted - self.taken;
        for more in [needed.max(STEP_BYTES).max(self.taken / 4), needed] {
            if self.room.take(self.address, more, self.bytes_max).is_ok() {
                self.taken += more;
                return Ok(());
            }
        }
        self.room.refused.fetch_add(1, Ordering::Relaxed);
        Err(NoRoom)
    }

    /// From now on `bytes` are held, and nothing else: fewer than came, or more where what came was compressed.
    ///
    /// # Errors
    ///
    /// They are more, and there is no room left for them.
    pub fn settle(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if let Some(more) = bytes.checked_sub(self.taken) {
            if self.room.take(self.address, more, self.bytes_max).is_err() {
                self.room.refused.fetch_add(1, Ordering::Relaxed);
                return Err(NoRoom);
            }
            self.taken = bytes;
            return Ok(());
        }
        self.room.give_back(self.address, self.taken - bytes);
        self.taken = bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.give_back(self.address, self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1024 * 1024;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn what_is_taken_never_exceeds_the_budget_and_all_of_it_comes_back() {
        let room = Room::new();
        let mut held = Vec::new();
        for last in 0..10 {
            let Ok(mut one) = room.admit(address(last), None, BYTES_MAX) else { continue };
            while one.cover(one.taken / HELD_PER_BODY_BYTE + 1).is_ok() {
                assert!(room.taken() <= BYTES_MAX as u64);
            }
            assert!(one.taken <= BYTES_MAX / ROOM_SHARE, "no address has more than its share");
            held.push(one);
        }
        assert!(room.taken() > BYTES_MAX as u64 * 3 / 4 && room.refused() > 0);
        drop(held);
        assert_eq!((room.taken(), room.per_address.len()), (0, 0));
    }

    #[test]
    fn whoever_announces_and_sends_nothing_takes_nothing() {
        let room = Room::new();
        let _silent: Vec<_> =
            (0..1_000).map(|_| room.admit(address(1), Some(100_000), BYTES_MAX).expect("room")).collect();
        assert_eq!(room.taken(), 0);
        // What would not fit is refused before a byte of it is read.
        let too_much = (BYTES_MAX / ROOM_SHARE / HELD_PER_BODY_BYTE) as u64 + 1;
        assert_eq!(room.admit(address(2), Some(too_much), BYTES_MAX).err(), Some(NoRoom));
        assert_eq!(room.admit(address(2), Some(u64::MAX), BYTES_MAX).err(), Some(NoRoom));
    }

    #[test]
    fn the_longest_body_that_has_its_place_finds_it_alone() {
        let room = Room::new();
        let longest = BYTES_MAX / ROOM_SHARE / HELD_PER_BODY_BYTE;
        let mut held = room.admit(address(1), Some(longest as u64), BYTES_MAX).expect("room");
        for length in (0..=longest).step_by(1_000).chain([longest]) {
            assert_eq!(held.cover(length), Ok(()), "{length} of {longest}");
        }
    }

    #[test]
    fn a_few_addresses_leave_room_for_a_small_body_of_the_next() {
        let room = Room::new();
        let mut floods = Vec::new();
        for last in 0..4 {
            let mut flood = room.admit(address(last), None, BYTES_MAX).expect("room");
            while flood.cover(flood.taken / HELD_PER_BODY_BYTE + 1).is_ok() {}
            floods.push(flood);
        }
        let mut small = room.admit(address(200), Some(4_000), BYTES_MAX).expect("room for somebody else");
        assert_eq!(small.cover(4_000), Ok(()));
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let room = Room::new();
        let mut slow = room.admit(address(1), None, BYTES_MAX).expect("room");
        while slow.cover(slow.taken / HELD_PER_BODY_BYTE + 1).is_ok() {}
        assert_eq!(room.admit(address(1), Some(100_000), BYTES_MAX).err(), Some(NoRoom));
        let mut other = room.admit(address(2), Some(80_000), BYTES_MAX).expect("room for somebody else");
        assert_eq!(other.cover(80_000), Ok(()));
        assert_eq!((other.settle(7), other.taken), (Ok(()), 7));
        // What was compressed may come to more than what came.
        assert_eq!((other.settle(200_000), other.taken), (Ok(()), 200_000));
        assert_eq!((other.settle(BYTES_MAX), other.taken), (Err(NoRoom), 200_000));
    }

    #[test]
    fn a_smaller_budget_holds_at_once() {
        let room = Room::new();
        let mut before = room.admit(address(1), None, BYTES_MAX).expect("room");
        before.cover(100_000).expect("room");
        assert_eq!(room.admit(address(2), Some(1), 1_024).err(), Some(NoRoom));
        drop(before);
        assert!(room.admit(address(2), Some(1), 1_024).is_ok());
    }
}
