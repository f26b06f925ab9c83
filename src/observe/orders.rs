//! How ordered certificates (ACME) are doing.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::clock::UnixSeconds;

/// How one of them is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderReading {
    /// Its first name.
    pub name: String,
    /// How many names it has.
    pub names: usize,
    /// When what is held ends; `None`: there is none that can be shown.
    pub ends: Option<UnixSeconds>,
    /// When the next one is ordered; in the past while that is done.
    pub next: UnixSeconds,
    pub last_success: Option<UnixSeconds>,
    pub last_failure: Option<UnixSeconds>,
    /// Since the start.
    pub failures: u64,
    /// Why the last try failed, by its stable name; `None`: it did not.
    pub failure: Option<&'static str>,
}

/// Name, help, and the value where there is one.
type Gauge = (&'static str, &'static str, fn(&OrderReading) -> Option<i64>);

/// The metrics of all of them.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, orders: &[OrderReading]) -> fmt::Result {
    if orders.is_empty() {
        return Ok(());
    }
    let gauges: [Gauge; 4] = [
        ("acme_certificate_usable", "1 while there is a certificate that can be shown", |order| {
            Some(i64::from(order.ends.is_some()))
        }),
        ("acme_next_order_timestamp_seconds", "When a certificate is ordered next, in seconds since 1970", |order| {
            Some(order.next.0)
        }),
        ("acme_last_success_timestamp_seconds", "When a certificate was issued last, in seconds since 1970", |order| {
            order.last_success.map(|at| at.0)
        }),
        ("acme_last_failure_timestamp_seconds", "When an order came to nothing last, in seconds since 1970", |order| {
            order.last_failure.map(|at| at.0)
        }),
    ];
    for (name, help, value) in gauges {
        let values: Vec<_> = orders.iter().filter_map(|order| Some((order.name.as_str(), value(order)?))).collect();
        if values.is_empty() {
            continue;
        }
        let gauge_type = ConstGauge::new(0_i64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, gauge_type)?;
        for (certificate, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&[("certificate", certificate)])?)?;
        }
    }
    let counter_type = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor("acme_failures", "Orders that came to nothing", None, counter_type)?;
    for order in orders {
        ConstCounter::new(order.failures).encode(family.encode_family(&[("certificate", order.name.as_str())])?)?;
    }
    Ok(())
}
