//! Runtimes: which of them serves the next connection.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

/// Runtimes that are given connections in turn, so that each has as many as the others, and a new connection wakes one and not all. None:
/// whoever accepts a connection serves it.
#[derive(Debug, Default)]
pub struct Runtimes {
    handles: Vec<Handle>,
    given: AtomicUsize,
}

impl Runtimes {
    /// These, in their order.
    #[must_use]
    pub fn new(handles: Vec<Handle>) -> Self {
        Self { handles, given: AtomicUsize::new(0) }
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> Option<&Handle> {
        let given = self.given.fetch_add(1, Ordering::Relaxed);
        self.handles.get(given.checked_rem(self.handles.len())?)
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn each_has_its_turn() {
        let runtimes: Vec<_> = (0..3).map(|_| Builder::new_current_thread().build().expect("a runtime")).collect();
        let ids: Vec<_> = runtimes.iter().map(|runtime| runtime.handle().id()).collect();
        let dealt = Runtimes::new(runtimes.iter().map(|runtime| runtime.handle().clone()).collect());
        let turns: Vec<_> = (0..7).filter_map(|_| dealt.next().map(Handle::id)).collect();
        assert_eq!(turns, [ids[0], ids[1], ids[2], ids[0], ids[1], ids[2], ids[0]]);
        assert!(Runtimes::default().next().is_none());
    }
}
