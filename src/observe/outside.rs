//! What the process looks at from outside: the grades of its own listeners, and the trusted domains.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

/// The grade of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GradeReading {
    pub listener: String,
    /// The letter, with `T` where a certificate has ended.
    pub grade: &'static str,
    /// 7 is A+, 0 is F and T.
    pub number: u8,
    /// The codes of what lowers it.
    pub findings: Vec<&'static str>,
    /// `ok`, or why the handshake with ourselves says otherwise.
    pub handshake: &'static str,
}

/// One trusted domain when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainReading {
    /// The origin, as the policies have it.
    pub domain: String,
    /// Whether browsers will keep to HTTPS for long enough.
    pub has_hsts: bool,
    /// When its certificate ends; `None` where there was none to be had.
    pub not_after: Option<i64>,
    /// The codes of what somebody has to do something about.
    pub findings: Vec<&'static str>,
}

/// The last of each.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub grades: ArcSwap<Vec<GradeReading>>,
    pub domains: ArcSwap<Vec<DomainReading>>,
}

/// The registry's own end of [`Outside`].
#[derive(Debug)]
pub(super) struct OutsideCollector(pub Arc<Outside>);

impl Collector for OutsideCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let grades = self.0.grades.load();
        let values = grades.iter().map(|reading| {
            let labels = vec![("listener", reading.listener.as_str()), ("grade", reading.grade)];
            (labels, i64::from(reading.number))
        });
        encode(&mut encoder, "tls_grade", "The grade of a listener: 7 is A+, 0 is F", values)?;
        let domains = self.0.domains.load();
        let of_domain = |reading: &'_ DomainReading| reading.domain.clone();
        let hsts = domains.iter().map(|reading| (of_domain(reading), i64::from(reading.has_hsts)));
        encode_domains(&mut encoder, "trusted_domain_hsts", "1 where a trusted domain serves HSTS for 180 days", hsts)?;
        let ends = domains.iter().filter_map(|reading| Some((of_domain(reading), reading.not_after?)));
        let help = "When the certificate of a trusted domain ends, in seconds since 1970";
        encode_domains(&mut encoder, "trusted_domain_certificate_not_after_seconds", help, ends)?;
        let findings = domains
            .iter()
            .map(|reading| (of_domain(reading), i64::try_from(reading.findings.len()).unwrap_or(i64::MAX)));
        encode_domains(&mut encoder, "trusted_domain_findings", "What is to be done about a trusted domain", findings)
    }
}

fn encode_domains(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (String, i64)>,
) -> fmt::Result {
    let values: Vec<_> = values.collect();
    encode(encoder, name, help, values.iter().map(|(domain, value)| (vec![("domain", domain.as_str())], *value)))
}

/// A family without a value does not show.
fn encode<'l>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Vec<(&'static str, &'l str)>, i64)>,
) -> fmt::Result {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let gauge_type = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, gauge_type)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels.as_slice())?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn grades_and_domains_are_those_of_the_last_look() {
        let metrics = Metrics::new();
        assert!(!metrics.encode().contains("tls_grade") && !metrics.encode().contains("trusted_domain"));
        let reading = |grade, number| GradeReading {
            listener: "public".into(),
            grade,
            number,
            findings: Vec::new(),
            handshake: "ok",
        };
        metrics.grades(vec![reading("A+", 7)]);
        metrics.grades(vec![reading("A", 6)]);
        let domain = |domain: &str, not_after| DomainReading {
            domain: domain.into(),
            has_hsts: true,
            not_after,
            findings: vec!["expires_soon"],
        };
        metrics.domains(vec![domain("https://a.example", Some(1_800_000_000)), domain("https://b.example", None)]);
        let text = metrics.encode();
        let has = |line: &str| assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        has(r#"countersign_tls_grade{listener="public",grade="A"} 6"#);
        has(r#"countersign_trusted_domain_hsts{domain="https://b.example"} 1"#);
        has(r#"countersign_trusted_domain_certificate_not_after_seconds{domain="https://a.example"} 1800000000"#);
        has(r#"countersign_trusted_domain_findings{domain="https://a.example"} 1"#);
        assert!(!text.contains(r#"grade="A+""#) && !text.contains(r#"not_after_seconds{domain="https://b.example""#));
    }
}
