//! Origins that were refused: which ones, how often, since when. For operators who have forgotten one of their domains.
//!
//! What is counted here a stranger has chosen. So it is kept as a parsed origin, whose host is a name and nothing else, in a table whose size
//! does not grow, and it is never a metric's label. A flood of made-up origins of one workspace takes no place from another's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixSeconds;
use crate::policy::Origin;

/// Origins in the table, of all workspaces together.
pub const ORIGINS_MAX: usize = 512;

/// Origins of one workspace, and of those requests of which no workspace is known.
pub const ORIGINS_PER_WORKSPACE_MAX: usize = 64;

/// Origins that `countersign status` shows; it says how many more there are.
pub const ORIGINS_SHOWN: usize = 20;

/// One refused origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedOrigin {
    /// `None`: it was refused before the request said for whom it was.
    pub workspace: Option<String>,
    pub origin: Origin,
    /// Requests, at least: those of before it had a place are not known.
    pub requests: u64,
    pub first: UnixSeconds,
    pub last: UnixSeconds,
}

/// The table. It is the space-saving sketch (Metwally, Agrawal, El Abbadi 2005), one for each workspace: who takes the place of another
/// goes on from its count, so that what comes often stays.
#[derive(Debug, Default)]
pub struct RefusedOrigins(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    counted: HashMap<Key, Counted>,
    /// How many of each workspace there are.
    sizes: HashMap<Option<Box<str>>, usize>,
}

type Key = (Option<Box<str>>, Origin);

#[derive(Clone, Copy, Debug)]
struct Counted {
    count: u64,
    /// Of these, how many may be another's whose place it took.
    inherited: u64,
    first: UnixSeconds,
    last: UnixSeconds,
}

impl RefusedOrigins {
    /// Counts one request. `workspace` is the one that it was for, where that is known.
    pub fn count(&self, workspace: Option<&str>, origin: &Origin, now: UnixSeconds) {
        let mut table = self.table();
        let key: Key = (workspace.map(Into::into), origin.clone());
        if let Some(counted) = table.counted.get_mut(&key) {
            counted.count = counted.count.saturating_add(1);
            counted.last = now;
            return;
        }
        let inherited = table.make_room(&key);
        *table.sizes.entry(key.0.clone()).or_default() += 1;
        table.counted.insert(key, Counted { count: inherited.saturating_add(1), inherited, first: now, last: now });
    }

    /// All of them, the most frequent first.
    #[must_use]
    pub fn report(&self) -> Vec<RefusedOrigin> {
        let refused = |(key, counted): (&Key, &Counted)| RefusedOrigin {
            workspace: key.0.as_deref().map(str::to_owned),
            origin: key.1.clone(),
            requests: counted.count.saturating_sub(counted.inherited),
            first: counted.first,
            last: counted.last,
        };
        let mut all: Vec<RefusedOrigin> = self.table().counted.iter().map(refused).collect();
        all.sort_by(|a, b| {
            let order = b.requests.cmp(&a.requests).then_with(|| b.last.0.cmp(&a.last.0));
            order.then_with(|| a.origin.as_str().cmp(b.origin.as_str()))
        });
        all
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // It is whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Makes room for one more of its workspace, where there is none; gives the count from which it goes on.
    fn make_room(&mut self, (workspace, _): &Key) -> u64 {
        let is_full = self.sizes.get(workspace).is_some_and(|size| *size >= ORIGINS_PER_WORKSPACE_MAX);
        let loser = if is_full {
            workspace.clone()
        } else if self.counted.len() < ORIGINS_MAX {
            return 0;
        } else {
            // Whoever has most gives way.
            self.sizes.iter().max_by_key(|(_, size)| **size).and_then(|(of, _)| of.clone())
        };
        let of_loser = self.counted.iter().filter(|((of, _), _)| *of == loser);
        let least = of_loser.min_by_key(|(_, counted)| (counted.count, counted.last.0)).map(|(key, _)| key.clone());
        let gone = least.and_then(|key| self.counted.remove(&key));
        if let Some(size) = self.sizes.get_mut(&loser) {
            *size = size.saturating_sub(1);
        }
        self.sizes.retain(|_, size| *size > 0);
        gone.filter(|_| loser == *workspace).map_or(0, |gone| gone.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::try_from(text).expect("an origin")
    }

    fn count(refused: &RefusedOrigins, workspace: &str, text: &str, at: i64) {
        refused.count((!workspace.is_empty()).then_some(workspace), &origin(text), UnixSeconds(at));
    }

    #[test]
    fn each_origin_is_counted_for_its_workspace_with_its_first_and_last_time() {
        let refused = RefusedOrigins::default();
        for at in [10, 20, 30] {
            count(&refused, "acme", "https://new.acme.example", at);
        }
        count(&refused, "", "https://new.acme.example", 40);
        let report = refused.report();
        let found: Vec<_> =
            report.iter().map(|one| (one.workspace.as_deref(), one.requests, one.first.0, one.last.0)).collect();
        assert_eq!(found, [(Some("acme"), 3, 10, 30), (None, 1, 40, 40)]);
    }

    #[test]
    fn what_comes_often_stays_through_a_flood_of_others() {
        let refused = RefusedOrigins::default();
        for number in 0..20_000_u32 {
            count(&refused, "acme", &format!("https://x{number}.example"), 1);
            if number % 50 == 0 {
                count(&refused, "acme", "https://new.acme.example", 2);
            }
        }
        let report = refused.report();
        assert_eq!(report.len(), ORIGINS_PER_WORKSPACE_MAX);
        assert_eq!(report[0].origin.as_str(), "https://new.acme.example");
        // Some of the first may have been lost on the way.
        assert!((200..=400).contains(&report[0].requests), "{:?}", report[0]);
        assert!(report[1..].iter().all(|one| one.requests < 10), "{report:?}");
    }

    #[test]
    fn the_table_is_bounded_and_no_workspace_drives_out_another() {
        let refused = RefusedOrigins::default();
        count(&refused, "quiet", "https://new.quiet.example", 1);
        for workspace in 0..20 {
            for number in 0..70 {
                count(&refused, &format!("w{workspace}"), &format!("https://x{number}.example"), 2);
            }
        }
        let report = refused.report();
        assert_eq!(report.len(), ORIGINS_MAX);
        assert!(report.iter().any(|one| one.workspace.as_deref() == Some("quiet")));
    }
}
