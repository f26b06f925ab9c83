//! What TLS is looked up for at each scrape: handshakes, the secrets of session tickets, the issuers' word of certificates.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::clock::{self, UnixSeconds};

/// How often a handshake ended like this, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeReading {
    pub version: &'static str,
    pub group: &'static str,
    pub resumption: &'static str,
    pub number: u64,
}

/// The secrets of one listener's session tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketReading {
    pub listener: String,
    /// Whether they come from a file, for other gateways too.
    pub is_shared: bool,
    /// For how long the newest has been in use.
    pub age_seconds: i64,
}

/// The lists of revoked client certificates of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReading {
    pub listener: String,
    /// When the first of them is out of date.
    pub ends: UnixSeconds,
}

/// The authorities of client certificates of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityReading {
    pub listener: String,
    /// The last second of the one that ends first.
    pub ends: UnixSeconds,
}

/// What the issuer of one certificate said of it by OCSP, where it can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StapleReading {
    /// The certificate's name for operators.
    pub certificate: String,
    /// When the issuer knew what is shown now; `None`: nothing is shown.
    pub this_update: Option<UnixSeconds>,
    /// Until when it may be shown.
    pub next_update: Option<UnixSeconds>,
    pub is_revoked: bool,
    /// Why there was no good answer the last time, by its stable name.
    pub failure: Option<&'static str>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsReading {
    pub handshakes: Vec<HandshakeReading>,
    pub tickets: Vec<TicketReading>,
    pub staples: Vec<StapleReading>,
    pub lists: Vec<ListReading>,
    pub authorities: Vec<AuthorityReading>,
}

/// Who knows it.
pub(super) type ReadTls = Arc<dyn Fn() -> TlsReading + Send + Sync>;

/// The registry's own end.
pub(super) struct TlsCollector(pub Arc<OnceLock<ReadTls>>);

impl fmt::Debug for TlsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsCollector(..)")
    }
}

impl Collector for TlsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let TlsReading { handshakes, tickets, staples, lists, authorities } =
            self.0.get().map_or_else(TlsReading::default, |read| read());
        if !handshakes.is_empty() {
            let help = "TLS handshakes that ended well";
            let mut family =
                encoder.encode_descriptor("handshakes", help, None, ConstCounter::new(0_u64).metric_type())?;
            for HandshakeReading { version, group, resumption, number } in handshakes {
                let labels = [("version", version), ("group", group), ("resumption", resumption)];
                ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
            }
        }
        let ages = tickets.iter().map(|ticket| (ticket.listener.as_str(), ticket.age_seconds));
        let help = "For how long the newest secret for session tickets has been in use";
        encode_gauges(&mut encoder, "ticket_secret_age_seconds", help, "listener", ages)?;
        let now = clock::now_seconds().0;
        let help = "Until the first list of revoked client certificates is out of date, and lets nobody in";
        let left = lists.iter().map(|list| (list.listener.as_str(), list.ends.0.saturating_sub(now)));
        encode_gauges(&mut encoder, "client_list_left_seconds", help, "listener", left)?;
        let help = "Until the first authority of client certificates ends, and lets nobody in";
        let left =
            authorities.iter().map(|authority| (authority.listener.as_str(), authority.ends.0.saturating_sub(now)));
        encode_gauges(&mut encoder, "client_authority_left_seconds", help, "listener", left)?;
        let known = |at: fn(&StapleReading) -> Option<UnixSeconds>| {
            staples.iter().filter_map(move |staple| Some((staple.certificate.as_str(), at(staple)?.0)))
        };
        let help = "How old the issuer's word is that is shown with a certificate";
        let ages = known(|staple| staple.this_update).map(|(name, time)| (name, now.saturating_sub(time)));
        encode_gauges(&mut encoder, "staple_age_seconds", help, "certificate", ages)?;
        let help = "For how long it may still be shown";
        let left = known(|staple| staple.next_update).map(|(name, time)| (name, time.saturating_sub(now)));
        encode_gauges(&mut encoder, "staple_left_seconds", help, "certificate", left)?;
        let help = "1 while the issuer of a certificate says that it is revoked";
        let revoked = staples.iter().map(|staple| (staple.certificate.as_str(), i64::from(staple.is_revoked)));
        encode_gauges(&mut encoder, "certificate_revoked", help, "certificate", revoked)
    }
}

fn encode_gauges<'n>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'n str, i64)>,
) -> fmt::Result {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, ConstGauge::new(0_i64).metric_type())?;
    for (named, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&[(label, named)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixSeconds;
    use crate::observe::{HandshakeReading, ListReading, Metrics, StapleReading, TicketReading, TlsReading};

    #[test]
    fn what_nobody_knows_is_not_said() {
        let metrics = Metrics::new();
        assert_eq!(metrics.tls(), TlsReading::default());
        let staple = |certificate: &str, is_revoked| StapleReading {
            certificate: certificate.into(),
            this_update: None,
            next_update: None,
            is_revoked,
            failure: Some("timeout"),
        };
        let reading = TlsReading {
            handshakes: vec![HandshakeReading { version: "TLSv1.3", group: "X25519", resumption: "full", number: 3 }],
            tickets: vec![TicketReading { listener: "public".into(), is_shared: true, age_seconds: 17 }],
            staples: vec![staple("a", false), staple("b", true)],
            lists: vec![ListReading { listener: "public".into(), ends: UnixSeconds(0) }],
            authorities: Vec::new(),
        };
        metrics.read_tls(move || reading.clone());
        metrics.ocsp_fetched("timeout");
        let text = metrics.encode();
        for line in [
            r#"countersign_handshakes_total{version="TLSv1.3",group="X25519",resumption="full"} 3"#,
            r#"countersign_ticket_secret_age_seconds{listener="public"} 17"#,
            r#"countersign_certificate_revoked{certificate="a"} 0"#,
            r#"countersign_certificate_revoked{certificate="b"} 1"#,
            r#"countersign_ocsp_fetches_total{result="timeout"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("countersign_staple"), "{text}");
        assert!(text.contains(r#"countersign_client_list_left_seconds{listener="public"} -"#), "{text}");
    }
}
