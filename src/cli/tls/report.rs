//! A grade for people, on one screen, and for programs.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::policy::TlsGrade;
use crate::survey::{Effect, Facts, GUIDE, Graded, HstsFacts, Offer, PublicKey, Shown, Trust};

/// Whether somebody was asked, and where.
pub(super) enum Listened {
    At(SocketAddr),
    /// It does not run: the configuration alone was looked at.
    Nowhere,
    /// Somebody is there, and could not be asked.
    Otherwise(String),
}

/// One server with its grade.
pub(super) struct Report {
    pub of: String,
    pub listened: Listened,
    pub facts: Facts,
    pub graded: Graded,
    pub floor: TlsGrade,
    pub is_fine: bool,
}

impl Report {
    pub(super) fn is_fine(&self) -> bool {
        self.is_fine
    }
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Names of one certificate, and suites of one version; more are counted. Programs are told all of them.
const NAMES_MAX: usize = 6;
const SUITES_MAX: usize = 6;

fn more(count: usize, shown: usize) -> String {
    match count.saturating_sub(shown) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// The text for people.
pub(super) fn render(reports: &[Report]) -> String {
    reports.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn one(report: &Report) -> String {
    let Report { of, listened, facts, graded, floor, is_fine } = report;
    let whence = match listened {
        Listened::At(address) => format!("asked on {address}"),
        Listened::Nowhere => "by its configuration; nobody answers on its address, so it was not asked".to_owned(),
        Listened::Otherwise(why) => format!("by its configuration; it could not be asked: {why}"),
    };
    let mut text = format!("{of}: {}, {whence}\n\n", graded.shown.as_str());
    let mut line = |name: &str, words: &str| text.push_str(&format!("{name:<13}{words}\n"));
    let aside = match graded.shown {
        Shown::Letter(_) => String::new(),
        Shown::Untrusted | Shown::Mismatch => format!(", {} if trust is ignored", graded.letter.as_str()),
    };
    line("grade", &format!("{}{aside} ({GUIDE})", graded.shown.as_str()));
    let scores = graded.scores;
    line(
        "scores",
        &format!(
            "protocols {}, key exchange {}, ciphers {}: {} of 100",
            scores.protocols, scores.key_exchange, scores.ciphers, scores.total
        ),
    );
    for Offer { version, suites, server_prefers } in &facts.offers {
        let names = suites.iter().take(SUITES_MAX).map(|suite| suite.name.trim_start_matches("TLS_"));
        let names: Vec<&str> = names.collect();
        let more = more(suites.len(), SUITES_MAX);
        let order = match server_prefers {
            Some(true) => " (the server's order)",
            Some(false) => " (the client's order counts)",
            None => "",
        };
        line(version.as_str(), &format!("{}{more}{order}", names.join(" ")));
    }
    if !facts.groups.is_empty() {
        line("groups", &facts.groups.iter().map(|group| group.name).collect::<Vec<_>>().join(" "));
    }
    if let Some(bits) = facts.dh_bits {
        line("DH", &format!("{bits} bits"));
    }
    for certificate in &facts.certificates {
        let days = (certificate.ends - facts.at).div_euclid(DAY_SECONDS);
        let trust = match certificate.trust {
            Trust::Trusted => "believed",
            Trust::SelfSigned => "vouches for itself",
            Trust::UnknownIssuer => "issuer not believed here",
            Trust::Broken => "chain does not hold",
            Trust::Unasked => "belief not asked",
        };
        let shown: Vec<&str> = certificate.names.iter().take(NAMES_MAX).map(String::as_str).collect();
        let more = more(certificate.names.len(), NAMES_MAX);
        line(
            "certificate",
            &format!("{}, {days} days left, {trust}, for {}{more}", key(certificate.key), shown.join(" ")),
        );
    }
    if let Some(alpn) = &facts.alpn {
        line("ALPN", alpn);
    }
    line("HSTS", &hsts(&facts.hsts));
    let (lowering, notes): (Vec<_>, Vec<_>) = graded.findings.iter().partition(|finding| finding.lowers());
    text.push('\n');
    if lowering.is_empty() {
        text.push_str("nothing lowers the grade\n");
    } else {
        text.push_str("lowers the grade:\n");
    }
    for finding in lowering {
        text.push_str(&format!("  {:<6}{finding}\n", effect(finding.effect)));
    }
    for finding in notes {
        text.push_str(&format!("  note  {finding}\n"));
    }
    if !is_fine {
        text.push_str(&format!("below the floor: {} is asked for\n", floor.as_str()));
    }
    text
}

/// What a finding makes of the grade, in a word.
fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Cap(grade) => grade.as_str(),
        Effect::Untrusted => "T",
        Effect::Mismatch => "M",
        Effect::Warning => "A-",
        Effect::NoPlus => "A",
        Effect::Note => "",
    }
}

fn key(key: PublicKey) -> String {
    match key {
        PublicKey::Rsa(bits) => format!("RSA {bits}"),
        PublicKey::Ec(bits) => format!("EC {bits}"),
        PublicKey::Other => "a key of another kind".to_owned(),
    }
}

fn hsts(hsts: &HstsFacts) -> String {
    match hsts {
        HstsFacts::Unknown => "not known".to_owned(),
        HstsFacts::Absent => "none".to_owned(),
        HstsFacts::Malformed => "not as browsers take it".to_owned(),
        HstsFacts::Says { max_age_seconds, include_subdomains, preload } => {
            let subdomains = if *include_subdomains { ", with subdomains" } else { "" };
            let preload = if *preload { ", preload" } else { "" };
            format!("{} days{subdomains}{preload}", max_age_seconds / DAY_SECONDS.unsigned_abs())
        }
    }
}

/// The same for programs: one object, times in Unix seconds.
pub(super) fn json(reports: &[Report]) -> Value {
    json!({ "guide": GUIDE, "servers": reports.iter().map(of_one).collect::<Vec<_>>() })
}

fn of_one(report: &Report) -> Value {
    let Report { of, listened, facts, graded, floor, is_fine } = report;
    let offers: Vec<Value> = facts
        .offers
        .iter()
        .map(|offer| {
            let suites: Vec<&str> = offer.suites.iter().map(|suite| suite.name).collect();
            json!({ "version": offer.version.as_str(), "suites": suites, "server_prefers": offer.server_prefers })
        })
        .collect();
    let certificates: Vec<Value> = facts
        .certificates
        .iter()
        .map(|certificate| {
            json!({
                "key": key(certificate.key),
                "ends": certificate.ends,
                "names": certificate.names,
                "covers_name": certificate.covers_name,
                "trusted": match certificate.trust {
                    Trust::Trusted => Some(true),
                    Trust::SelfSigned | Trust::UnknownIssuer | Trust::Broken => Some(false),
                    Trust::Unasked => None,
                },
                "names_responder": certificate.names_responder,
            })
        })
        .collect();
    let hsts = match &facts.hsts {
        HstsFacts::Says { max_age_seconds, include_subdomains, preload } => {
            json!({ "max_age": max_age_seconds, "include_subdomains": include_subdomains, "preload": preload })
        }
        HstsFacts::Unknown | HstsFacts::Absent | HstsFacts::Malformed => Value::Null,
    };
    let findings: Vec<Value> = graded
        .findings
        .iter()
        .map(|finding| {
            json!({
                "code": finding.code,
                "lowers_to": finding.lowers().then(|| effect(finding.effect)),
                "told": finding.told,
                "remedy": finding.remedy,
            })
        })
        .collect();
    json!({
        "server": of,
        "address": match listened {
            Listened::At(address) => Some(address.to_string()),
            Listened::Nowhere | Listened::Otherwise(_) => None,
        },
        "grade": graded.shown.as_str(),
        "grade_trust_ignored": graded.letter.as_str(),
        "floor": floor.as_str(),
        "fine": is_fine,
        "scores": {
            "protocols": graded.scores.protocols,
            "key_exchange": graded.scores.key_exchange,
            "ciphers": graded.scores.ciphers,
            "total": graded.scores.total,
        },
        "offers": offers,
        "groups": facts.groups.iter().map(|group| group.name).collect::<Vec<_>>(),
        "dh_bits": facts.dh_bits,
        "compresses": facts.compresses,
        "renegotiates_safely": facts.renegotiates_safely,
        "refuses_fallback": facts.refuses_fallback,
        "staples": facts.staples,
        "alpn": facts.alpn,
        "certificates": certificates,
        "hsts": hsts,
        "unanswered": facts.unanswered,
        "findings": findings,
    })
}
