//! Clients whose certificate was not taken: counted, and told now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::alarm::Alarm;

/// Both labels are ours: the policy's listeners, and a few reasons.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ClientLabels {
    listener: String,
    reason: &'static str,
}

/// By listener and reason.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedClients {
    pub(super) counts: Family<ClientLabels, Counter>,
    alarms: Arc<Mutex<HashMap<ClientLabels, Alarm>>>,
}

impl RefusedClients {
    /// Counts one. Whether it may be told now: then with how many that were not.
    pub(super) fn refused(&self, listener: &str, reason: &'static str, now: Instant) -> Option<u64> {
        let labels = ClientLabels { listener: listener.to_owned(), reason };
        self.counts.get_or_create(&labels).inc();
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.entry(labels).or_default().raise(now)
    }
}
