//! What is not counted but looked up at each scrape: the epoch, certificates, the record.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;

use crate::clock::UnixSeconds;

/// When one certificate in force ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReading {
    /// Its name for operators, such as the file's.
    pub name: String,
    pub not_after: UnixSeconds,
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
    /// Cut because what came was not HTTP that every server reads alike.
    pub malformed: u64,
    /// Cut because the client did not do what was its turn.
    pub timed_out: u64,
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

/// What is looked up at each scrape.
#[derive(Default)]
pub(super) struct Readings {
    pub epoch: ArcSwapOption<String>,
    pub certificates: ArcSwap<Vec<CertificateReading>>,
    pub audit: OnceLock<Arc<dyn Fn() -> AuditReading + Send + Sync>>,
    pub connections: OnceLock<Arc<dyn Fn() -> ConnectionsReading + Send + Sync>>,
    pub state: OnceLock<Arc<dyn Fn() -> StateReading + Send + Sync>>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings(..)")
    }
}

/// The registry's own end of [`Readings`].
#[derive(Debug)]
pub(super) struct ReadingsCollector(pub Arc<Readings>);

impl Collector for ReadingsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        build.encode(encoder.encode_descriptor("build", "This program", None, build.metric_type())?)?;
        if let Some(digest) = &*self.0.epoch.load() {
            let epoch = Info::new([("digest", digest.as_str())]);
            let help = "The policies in force, by the digest of their files";
            epoch.encode(encoder.encode_descriptor("policy_epoch", help, None, epoch.metric_type())?)?;
        }
        let certificates = self.0.certificates.load();
        if let Some(first) = certificates.first() {
            let help = "When a certificate in force ends, in seconds since 1970";
            let gauge_type = ConstGauge::new(first.not_after.0).metric_type();
            let mut family = encoder.encode_descriptor("certificate_not_after_seconds", help, None, gauge_type)?;
            for certificate in certificates.iter() {
                let labels = [("certificate", certificate.name.as_str())];
                ConstGauge::new(certificate.not_after.0).encode(family.encode_family(&labels)?)?;
            }
        }
        if let Some(read) = self.0.audit.get() {
            let AuditReading { written, lost, disk_errors } = read();
            let counters = [
                ("audit_records_written", "Records that the disk has taken", written),
                ("audit_records_lost", "Records that found no room or were never written", lost),
                ("audit_disk_errors", "Failed writes, rotations and reopenings of the record", disk_errors),
            ];
            encode_counters(&mut encoder, &counters)?;
        }
        if let Some(read) = self.0.state.get() {
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
        if let Some(read) = self.0.connections.get() {
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
            for (reason, number) in [("failed", reading.handshakes_failed), ("timeout", reading.handshakes_timed_out)] {
                ConstCounter::new(number).encode(family.encode_family(&[("reason", reason)])?)?;
            }
        }
        Ok(())
    }
}

fn encode_counters(encoder: &mut DescriptorEncoder, counters: &[(&str, &str, u64)]) -> fmt::Result {
    for (name, help, number) in counters {
        let counter = ConstCounter::new(*number);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    Ok(())
}
