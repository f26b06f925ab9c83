//! How ordered certificates (ACME) are doing, as `/status` says it.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::state::rfc3339;
use crate::clock::UnixSeconds;
use crate::observe::OrderReading;

/// One ordered certificate.
#[derive(Serialize)]
pub(super) struct OrderStatus {
    /// Its first name, and how many it has.
    name: String,
    names: usize,
    /// When what is held ends; `null`: there is none that can be shown.
    ends: Option<String>,
    next_order: String,
    last_success: Option<String>,
    last_failure: Option<String>,
    /// Since the start.
    failures: u64,
    /// Why the last order failed; `null`: it did not.
    last_error: Option<&'static str>,
}

impl From<OrderReading> for OrderStatus {
    fn from(reading: OrderReading) -> Self {
        let OrderReading { name, names, ends, next, last_success, last_failure, failures, failure } = reading;
        Self {
            name,
            names,
            ends: ends.map(moment),
            next_order: moment(next),
            last_success: last_success.map(moment),
            last_failure: last_failure.map(moment),
            failures,
            last_error: failure,
        }
    }
}

fn moment(at: UnixSeconds) -> String {
    let since = Duration::from_secs(u64::try_from(at.0).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).map_or_else(String::new, rfc3339)
}
