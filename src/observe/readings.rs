//! What is not counted but looked up at each scrape: the epoch, certificates, the record, the use of keys.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;

use super::orders::{self, OrderReading};
use super::usage::{TokenRisk, Usages};
use super::usage_report::{KeyReport, Risks, WorkspaceReport};
use crate::clock::{self, UnixSeconds};

/// When one certificate in force ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReading {
    /// Its name for operators, such as the file's.
    pub name: String,
    pub not_after: UnixSeconds,
}

impl CertificateReading {
    /// Whole days, rounded down: one that ended a second ago is not said to have 0 days left.
    #[must_use]
    pub fn days_left(&self, now: UnixSeconds) -> i64 {
        now.days_until(self.not_after)
    }
}

/// How one set of keys of one workspace is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetReading {
    pub workspace: String,
    /// The policy's name of it.
    pub set: String,
    /// How many of its keys verify tokens.
    pub keys: usize,
    /// How many were published and do not.
    pub left_out: usize,
    /// For how many seconds its issuer has not confirmed it; `None` for a file, and before the first answer.
    pub age_seconds: Option<i64>,
    /// Whether tokens are refused for it.
    pub is_stale: bool,
    /// Why its issuer could not be asked the last time, by its stable name.
    pub failure: Option<&'static str>,
}

/// How the record is doing, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditReading {
    pub written: u64,
    pub lost: u64,
    pub disk_errors: u64,
}

/// How the connections of all listeners are doing: those that are open now, everything else since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsReading {
    pub open: u64,
    pub accepted: u64,
    /// Closed at once, since there were as many as the limit.
    pub refused: u64,
    pub accept_errors: u64,
    pub handshakes_failed: u64,
    pub handshakes_timed_out: u64,
    /// Closed before a handshake, since there were too many of late.
    pub handshakes_limited: u64,
    /// Cut because what came was not HTTP that every server reads alike.
    pub malformed: u64,
    /// Cut because the client did not do what was its turn.
    pub timed_out: u64,
    /// From no balancer that is listed.
    pub proxy_unlisted: u64,
    /// From a balancer, without a PROXY header, with a wrong one, or with none in time.
    pub proxy_absent: u64,
    pub proxy_malformed: u64,
    pub proxy_timed_out: u64,
    /// Cut because an HTTP/2 client sent too much of something, by what it was.
    pub excesses: [(&'static str, u64); 10],
}

/// How the state is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateReading {
    /// Things that are kept until their end.
    pub entries: u64,
    /// Revocations that are kept.
    pub revocations: u64,
    /// Things that found no room on their way to the disk.
    pub unwritten: u64,
    pub disk_errors: u64,
}

/// How one rate is doing, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateReading {
    /// The stable name of what is limited.
    pub limit: &'static str,
    pub refused: u64,
    /// Would have been refused, were it enforced.
    pub observed: u64,
    /// Places of its table that were ever taken.
    pub keys: u64,
    /// How often a key found all its places held.
    pub shared: u64,
}

/// What bodies take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomReading {
    /// Bytes, now.
    pub taken: u64,
    /// How often there was no room, since the start.
    pub refused: u64,
}

/// What is looked up at each scrape.
#[derive(Default)]
pub(super) struct Readings {
    pub epoch: ArcSwapOption<String>,
    pub certificates: ArcSwap<Vec<CertificateReading>>,
    pub key_sets: OnceLock<Arc<dyn Fn() -> Vec<KeySetReading> + Send + Sync>>,
    pub orders: OnceLock<Arc<dyn Fn() -> Vec<OrderReading> + Send + Sync>>,
    pub audit: OnceLock<Arc<dyn Fn() -> AuditReading + Send + Sync>>,
    pub connections: OnceLock<Arc<dyn Fn() -> ConnectionsReading + Send + Sync>>,
    pub state: OnceLock<Arc<dyn Fn() -> StateReading + Send + Sync>>,
    pub rates: OnceLock<Arc<dyn Fn() -> Vec<RateReading> + Send + Sync>>,
    pub room: OnceLock<Arc<dyn Fn() -> RoomReading + Send + Sync>>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings(..)")
    }
}

/// The registry's own end of [`Readings`].
#[derive(Debug)]
pub(super) struct ReadingsCollector {
    pub readings: Arc<Readings>,
    pub usages: Arc<Usages>,
}

impl Collector for ReadingsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        build.encode(encoder.encode_descriptor("build", "This program", None, build.metric_type())?)?;
        if let Some(digest) = &*self.readings.epoch.load() {
            let epoch = Info::new([("digest", digest.as_str())]);
            let help = "The policies in force, by the digest of their files";
            epoch.encode(encoder.encode_descriptor("policy_epoch", help, None, epoch.metric_type())?)?;
        }
        let certificates = self.readings.certificates.load();
        if let Some(first) = certificates.first() {
            let help = "When a certificate in force ends, in seconds since 1970";
            let gauge_type = ConstGauge::new(first.not_after.0).metric_type();
            let mut family = encoder.encode_descriptor("certificate_not_after_seconds", help, None, gauge_type)?;
            for certificate in certificates.iter() {
                let labels = [("certificate", certificate.name.as_str())];
                ConstGauge::new(certificate.not_after.0).encode(family.encode_family(&labels)?)?;
            }
        }
        if let Some(first) = certificates.first() {
            let now = clock::now_seconds();
            let help = "Whole days until a certificate in force ends; negative once it has";
            let gauge_type = ConstGauge::new(first.days_left(now)).metric_type();
            let mut family = encoder.encode_descriptor("certificate_days_left", help, None, gauge_type)?;
            for certificate in certificates.iter() {
                let labels = [("certificate", certificate.name.as_str())];
                ConstGauge::new(certificate.days_left(now)).encode(family.encode_family(&labels)?)?;
            }
        }
        let key_sets = self.readings.key_sets.get().map_or_else(Vec::new, |read| read());
        let age = ("key_set_age_seconds", "For how long its issuer has not confirmed a set of keys");
        encode_key_sets(&mut encoder, age, &key_sets, |set| set.age_seconds)?;
        let keys = ("key_set_keys", "Keys of a set that verify tokens");
        encode_key_sets(&mut encoder, keys, &key_sets, |set| i64::try_from(set.keys).ok())?;
        let stale = ("key_set_stale", "1 while tokens are refused because nobody has confirmed a set of keys");
        encode_key_sets(&mut encoder, stale, &key_sets, |set| Some(i64::from(set.is_stale)))?;
        let orders = self.readings.orders.get().map_or_else(Vec::new, |read| read());
        orders::encode(&mut encoder, &orders)?;
        if let Some(read) = self.readings.audit.get() {
            let AuditReading { written, lost, disk_errors } = read();
            let counters = [
                ("audit_records_written", "Records that the disk has taken", written),
                ("audit_records_lost", "Records that found no room or were never written", lost),
                ("audit_disk_errors", "Failed writes, rotations and reopenings of the record", disk_errors),
            ];
            encode_counters(&mut encoder, &counters)?;
        }
        if let Some(read) = self.readings.state.get() {
            let StateReading { entries, revocations, unwritten, disk_errors } = read();
            let gauges = [
                ("state_entries", "Things that are kept until their end, such as used tokens", entries),
                ("state_revocations", "Revocations that are kept", revocations),
            ];
            for (name, help, number) in gauges {
                let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
            let counters = [
                ("state_unwritten", "Things that found no room on their way to the disk", unwritten),
                ("state_disk_errors", "Failed writes of the state", disk_errors),
            ];
            encode_counters(&mut encoder, &counters)?;
        }
        if let Some(read) = self.readings.connections.get() {
            let reading = read();
            let open = ConstGauge::new(i64::try_from(reading.open).unwrap_or(i64::MAX));
            let help = "Connections that are open";
            open.encode(encoder.encode_descriptor("connections_open", help, None, open.metric_type())?)?;
            let counters = [
                ("connections", "Connections that were accepted", reading.accepted),
                ("connections_refused", "Connections beyond a limit, closed at once", reading.refused),
                ("connections_malformed", "Connections cut for what is not HTTP", reading.malformed),
                ("connections_timed_out", "Connections cut because the client did not do its part", reading.timed_out),
                ("accept_errors", "Connections that could not be accepted", reading.accept_errors),
            ];
            encode_counters(&mut encoder, &counters)?;
            let help = "TLS handshakes that came to nothing";
            let counter_type = ConstCounter::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor("handshakes_failed", help, None, counter_type)?;
            for (reason, number) in [
                ("failed", reading.handshakes_failed),
                ("timeout", reading.handshakes_timed_out),
                ("rate", reading.handshakes_limited),
            ] {
                ConstCounter::new(number).encode(family.encode_family(&[("reason", reason)])?)?;
            }
            let help = "Connections closed for want of a good PROXY header";
            let mut family = encoder.encode_descriptor("proxy_protocol_refused", help, None, counter_type)?;
            for (reason, number) in [
                ("unlisted", reading.proxy_unlisted),
                ("absent", reading.proxy_absent),
                ("malformed", reading.proxy_malformed),
                ("timeout", reading.proxy_timed_out),
            ] {
                ConstCounter::new(number).encode(family.encode_family(&[("reason", reason)])?)?;
            }
            let help = "HTTP/2 connections cut because the client sent too much of something";
            let mut family = encoder.encode_descriptor("connections_excessive", help, None, counter_type)?;
            for (reason, number) in reading.excesses {
                ConstCounter::new(number).encode(family.encode_family(&[("reason", reason)])?)?;
            }
        }
        if let Some(read) = self.readings.rates.get() {
            encode_rates(&mut encoder, &read())?;
        }
        if let Some(read) = self.readings.room.get() {
            let RoomReading { taken, refused } = read();
            let gauge = ConstGauge::new(i64::try_from(taken).unwrap_or(i64::MAX));
            let help = "Room that is taken for bodies, of buffered_bytes_max";
            gauge.encode(encoder.encode_descriptor("buffered_bytes", help, None, gauge.metric_type())?)?;
            encode_counters(
                &mut encoder,
                &[("buffered_bytes_exceeded", "Bodies for which there was no room", refused)],
            )?;
        }
        encode_usages(&mut encoder, &self.usages.report())
    }
}

fn encode_rates(encoder: &mut DescriptorEncoder<'_>, rates: &[RateReading]) -> fmt::Result {
    let counter_type = ConstCounter::new(0_u64).metric_type();
    let help = "How often a rate was reached, refused or only observed";
    let mut family = encoder.encode_descriptor("rate_exceeded", help, None, counter_type)?;
    for rate in rates {
        for (applied, number) in [("true", rate.refused), ("false", rate.observed)] {
            let labels = [("limit", rate.limit), ("applied", applied)];
            ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "How often a key found its places in a full table and shared one";
    let mut family = encoder.encode_descriptor("rate_keys_shared", help, None, counter_type)?;
    for rate in rates {
        ConstCounter::new(rate.shared).encode(family.encode_family(&[("limit", rate.limit)])?)?;
    }
    let help = "Places that were ever taken in the table of a rate";
    let gauge_type = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor("rate_keys", help, None, gauge_type)?;
    for rate in rates {
        let number = ConstGauge::new(i64::try_from(rate.keys).unwrap_or(i64::MAX));
        number.encode(family.encode_family(&[("limit", rate.limit)])?)?;
    }
    Ok(())
}

/// Only what happened: of ten thousand workspaces most are quiet.
fn encode_usages(encoder: &mut DescriptorEncoder, workspaces: &[WorkspaceReport]) -> fmt::Result {
    let of_proofs = ("key_last_use_timestamp_seconds", "When a key signed last, in seconds since 1970");
    encode_last_uses(encoder, of_proofs, workspaces, |usage| &usage.keys)?;
    // Another name, since a key of either kind may have the id of one of the other.
    let of_webhooks =
        ("webhook_key_last_use_timestamp_seconds", "When a key for webhooks signed last, in seconds since 1970");
    encode_last_uses(encoder, of_webhooks, workspaces, |usage| &usage.webhooks.keys)?;
    let risks = workspaces.iter().flat_map(|usage| {
        let Risks { no_expiry, long_life, shared } = usage.risks;
        let numbers = [(TokenRisk::NoExpiry, no_expiry), (TokenRisk::LongLife, long_life), (TokenRisk::Shared, shared)];
        numbers.map(|(risk, number)| (usage.workspace.as_str(), risk.as_str(), number))
    });
    let mut risks = risks.filter(|(_, _, number)| *number > 0).peekable();
    if risks.peek().is_some() {
        let help = "What is unwise about tokens whose signature holds";
        let counter_type = ConstCounter::new(0_u64).metric_type();
        let mut family = encoder.encode_descriptor("token_risks", help, None, counter_type)?;
        for (workspace, risk, number) in risks {
            let labels = [("workspace", workspace), ("risk", risk)];
            ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_last_uses(
    encoder: &mut DescriptorEncoder,
    (name, help): (&str, &str),
    workspaces: &[WorkspaceReport],
    keys: impl Fn(&WorkspaceReport) -> &[KeyReport],
) -> fmt::Result {
    let keys = workspaces.iter().flat_map(|usage| keys(usage).iter().map(|key| (usage.workspace.as_str(), key)));
    let mut used = keys.filter_map(|(workspace, key)| Some((workspace, key.key.as_str(), key.last_use?))).peekable();
    if used.peek().is_some() {
        let gauge_type = ConstGauge::new(0_i64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, gauge_type)?;
        for (workspace, key, last_use) in used {
            let labels = [("workspace", workspace), ("key", key)];
            ConstGauge::new(last_use).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// One gauge of each set that has a value.
fn encode_key_sets(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    key_sets: &[KeySetReading],
    value: impl Fn(&KeySetReading) -> Option<i64>,
) -> fmt::Result {
    let values: Vec<_> = key_sets.iter().filter_map(|set| Some((set, value(set)?))).collect();
    if values.is_empty() {
        return Ok(());
    }
    let gauge_type = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, gauge_type)?;
    for (set, value) in values {
        let labels = [("workspace", set.workspace.as_str()), ("set", set.set.as_str())];
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_counters(encoder: &mut DescriptorEncoder, counters: &[(&str, &str, u64)]) -> fmt::Result {
    for (name, help, number) in counters {
        let counter = ConstCounter::new(*number);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_SECONDS: i64 = 24 * 60 * 60;

    #[track_caller]
    fn check(not_after: i64, now: i64, days: i64) {
        let certificate = CertificateReading { name: String::new(), not_after: UnixSeconds(not_after) };
        assert_eq!(certificate.days_left(UnixSeconds(now)), days);
    }

    #[test]
    fn days_are_whole_and_negative_once_it_is_over() {
        check(10 * DAY_SECONDS, 0, 10);
        check(10 * DAY_SECONDS - 1, 0, 9);
        check(100, 100, 0);
        check(100, 101, -1);
    }
}
