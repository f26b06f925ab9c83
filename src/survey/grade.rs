//! The grade: a function of what was seen, by the SSL Server Rating Guide 2009r of SSL Labs. It asks nobody and reads no clock.
//!
//! Three scores make a letter; caps and warnings lower it; nothing but a long HSTS on top of a good letter makes an A+. Trust stands beside
//! it: T for a certificate that a browser would not believe, M for another name, whatever the letter. What the guide grades and we do not try
//! is what takes an attack to see: Heartbleed, ROBOT, padding oracles, a renegotiation by the client.

use std::fmt;

use super::facts::{CertificateFacts, Facts, HstsFacts, PublicKey, SignatureHash, Trust, Version};
use super::suites::{Agreement, Suite};
use crate::policy::TlsGrade;

/// The edition of the guide.
pub const GUIDE: &str = "SSL Server Rating Guide 2009r";

/// HSTS for an A+: 180 days.
pub const HSTS_SECONDS_MIN: u64 = 180 * 24 * 60 * 60;

/// What a stranger's report would show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The certificate is not believed: its issuer, its time, or its signature.
    Untrusted,
    /// The certificate is for another name.
    Mismatch,
    Letter(TlsGrade),
}

impl Shown {
    /// The letter, with those for trust.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "T",
            Self::Mismatch => "M",
            Self::Letter(grade) => grade.as_str(),
        }
    }
}

/// What a finding does to the grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No better than this.
    Cap(TlsGrade),
    /// T, whatever else is good.
    Untrusted,
    /// M, whatever else is good.
    Mismatch,
    /// A warning of the guide: A becomes A-.
    Warning,
    /// A, but no A+.
    NoPlus,
    /// Nothing: for the operator to know.
    Note,
}

/// One thing that lowers the grade, or is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable name.
    pub code: &'static str,
    pub effect: Effect,
    /// What was seen.
    pub told: String,
    /// What to change.
    pub remedy: &'static str,
}

impl Finding {
    /// Whether it lowers the grade.
    #[must_use]
    pub fn lowers(&self) -> bool {
        self.effect != Effect::Note
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.told, self.code, self.remedy)
    }
}

/// The three scores, each of 100, and what they make together: 30, 30 and 40 parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scores {
    pub protocols: u8,
    pub key_exchange: u8,
    pub ciphers: u8,
    pub total: u8,
}

/// A grade with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graded {
    pub shown: Shown,
    /// The letter if trust is ignored: what a configuration alone can tell, and what a floor is held against.
    pub letter: TlsGrade,
    pub scores: Scores,
    /// The worst first.
    pub findings: Vec<Finding>,
}

/// Grades what was seen.
#[must_use]
pub fn grade(facts: &Facts) -> Graded {
    let suites = facts.suites();
    let mut findings = Vec::new();
    let mut find = |code, effect, told: String, remedy| findings.push(Finding { code, effect, told, remedy });
    versions(facts, &mut find);
    ciphers(facts, &suites, &mut find);
    connection(facts, &mut find);
    let scores = scores(facts, &suites);
    if !suites.is_empty() {
        keys(scores.key_exchange, &mut find);
    }
    for certificate in &facts.certificates {
        trust(certificate, facts.at, &mut find);
    }
    hsts(&facts.hsts, &mut find);
    if facts.unanswered > 0 {
        let told = format!(
            "{} of the questions got no answer in time: the server may take more than is known",
            facts.unanswered
        );
        find("unanswered", Effect::NoPlus, told, "ask again, or with a longer `--timeout`");
    }
    findings.sort_by_key(|finding| severity(finding.effect));
    let letter = letter(scores, &findings);
    let has = |effect| findings.iter().any(|finding| finding.effect == effect);
    let shown = if has(Effect::Untrusted) {
        Shown::Untrusted
    } else if has(Effect::Mismatch) {
        Shown::Mismatch
    } else {
        Shown::Letter(letter)
    };
    Graded { shown, letter, scores, findings }
}

fn severity(effect: Effect) -> u8 {
    match effect {
        Effect::Untrusted => 0,
        Effect::Mismatch => 1,
        Effect::Cap(grade) => 2 + grade.number(),
        Effect::Warning => 20,
        Effect::NoPlus => 21,
        Effect::Note => 22,
    }
}

fn letter(scores: Scores, findings: &[Finding]) -> TlsGrade {
    let by_score = match scores.total {
        80.. => TlsGrade::A,
        65.. => TlsGrade::B,
        50.. => TlsGrade::C,
        35.. => TlsGrade::D,
        20.. => TlsGrade::E,
        _ => TlsGrade::F,
    };
    let mut letter = by_score;
    let mut is_exceptional = by_score == TlsGrade::A;
    for finding in findings {
        let at_most = match finding.effect {
            Effect::Cap(grade) => grade,
            Effect::Warning => TlsGrade::AMinus,
            Effect::NoPlus => TlsGrade::A,
            // Trust is no matter of the letter.
            Effect::Untrusted | Effect::Mismatch | Effect::Note => continue,
        };
        is_exceptional = false;
        letter = letter.min(at_most);
    }
    if is_exceptional { TlsGrade::APlus } else { letter }
}

fn scores(facts: &Facts, suites: &[Suite]) -> Scores {
    let of_version = |version: Version| match version {
        Version::Ssl3 => 80,
        Version::Tls10 => 90,
        Version::Tls11 => 95,
        Version::Tls12 | Version::Tls13 => 100,
    };
    let versions = || facts.offers.iter().map(|offer| of_version(offer.version));
    let protocols = u8::midpoint(versions().max().unwrap_or(0), versions().min().unwrap_or(0));
    let of_bits = |bits: u16| match bits {
        0 => 0,
        1..128 => 20,
        128..256 => 80,
        256.. => 100,
    };
    let bits = || suites.iter().map(|suite| of_bits(suite.bits()));
    let ciphers = u8::midpoint(bits().max().unwrap_or(0), bits().min().unwrap_or(0));
    let key_exchange = key_exchange(facts, suites);
    // A zero anywhere is a zero.
    let total = if protocols == 0 || key_exchange == 0 || ciphers == 0 {
        0
    } else {
        let weighted =
            u16::from(protocols) * 30 / 100 + u16::from(key_exchange) * 30 / 100 + u16::from(ciphers) * 40 / 100;
        u8::try_from(weighted).unwrap_or(100)
    };
    Scores { protocols, key_exchange, ciphers, total }
}

/// By the weakest of the keys and groups that anybody can bring the server to use.
fn key_exchange(facts: &Facts, suites: &[Suite]) -> u8 {
    if suites.is_empty() || suites.iter().any(|suite| suite.agreement() == Agreement::Anonymous) {
        return 0;
    }
    // Strengths of RSA and of curves as NIST SP 800-57 equates them.
    let of_finite = |bits: usize| match bits {
        ..512 => 20,
        512..1024 => 40,
        1024..2048 => 80,
        2048..4096 => 90,
        4096.. => 100,
    };
    let of_curve = |bits: usize| match bits {
        ..112 => 20,
        112..160 => 40,
        160..224 => 80,
        224..384 => 90,
        384.. => 100,
    };
    let keys = facts.certificates.iter().filter_map(|certificate| match certificate.key {
        PublicKey::Rsa(bits) => Some(of_finite(bits)),
        PublicKey::Ec(bits) => Some(of_curve(bits)),
        PublicKey::Other => None,
    });
    let groups = facts.groups.iter().map(|group| of_curve(group.curve_bits.into()));
    let finite = facts.dh_bits.map(of_finite);
    let export = suites.iter().any(|suite| suite.is_export()).then_some(40);
    keys.chain(groups).chain(finite).chain(export).min().unwrap_or(100)
}

fn versions(facts: &Facts, find: &mut impl FnMut(&'static str, Effect, String, &'static str)) {
    let Some(best) = facts.offers.iter().map(|offer| offer.version).max() else {
        let told = "no version of TLS was accepted".to_owned();
        find("nothing_accepted", Effect::Cap(TlsGrade::F), told, "is it a TLS server, and is this its name?");
        return;
    };
    let has = |version| facts.offer(version).is_some();
    if let Some(ssl3) = facts.offer(Version::Ssl3) {
        let cap = if best == Version::Ssl3 { TlsGrade::F } else { TlsGrade::B };
        find("ssl3", Effect::Cap(cap), "SSL 3 is accepted".to_owned(), "turn SSL 3 off (RFC 7568)");
        if ssl3.suites.iter().any(|suite| suite.is_cbc()) {
            let told = "SSL 3 with CBC: a byte of a cookie leaks with every 256 tries (POODLE)".to_owned();
            find("poodle", Effect::Cap(TlsGrade::C), told, "turn SSL 3 off (RFC 7568)");
        }
    }
    if has(Version::Tls10) {
        find("tls10", Effect::Cap(TlsGrade::B), "TLS 1.0 is accepted".to_owned(), "turn TLS 1.0 off (RFC 8996)");
    }
    if has(Version::Tls11) {
        find("tls11", Effect::Cap(TlsGrade::B), "TLS 1.1 is accepted".to_owned(), "turn TLS 1.1 off (RFC 8996)");
    }
    if best < Version::Tls12 {
        let told = "neither TLS 1.2 nor TLS 1.3 is accepted".to_owned();
        find("no_tls12", Effect::Cap(TlsGrade::C), told, "turn TLS 1.2 and TLS 1.3 on");
    }
    if best < Version::Tls13 {
        find("no_tls13", Effect::Warning, "TLS 1.3 is not accepted".to_owned(), "turn TLS 1.3 on");
    }
}

fn ciphers(facts: &Facts, suites: &[Suite], find: &mut impl FnMut(&'static str, Effect, String, &'static str)) {
    if suites.is_empty() {
        return;
    }
    let named = |is: fn(&Suite) -> bool| -> Option<String> {
        let mut names = suites.iter().filter(|suite| is(suite)).map(|suite| suite.name);
        let first = names.next()?;
        Some(match names.count() {
            0 => first.to_owned(),
            more => format!("{first} and {more} more"),
        })
    };
    let f = Effect::Cap(TlsGrade::F);
    if let Some(names) = named(|suite| suite.bits() == 0) {
        find("null_cipher", f, format!("nothing is encrypted with {names}"), "take NULL suites out");
    }
    if let Some(names) = named(|suite| suite.agreement() == Agreement::Anonymous) {
        find("anonymous", f, format!("anybody can be the server with {names}"), "take anonymous suites out");
    }
    if let Some(names) = named(|suite| suite.is_export()) {
        find("export", f, format!("made weak on purpose: {names}"), "take EXPORT suites out");
    }
    if let Some(names) = named(|suite| (1..112).contains(&suite.bits()) && !suite.is_export()) {
        find("weak_cipher", f, format!("less than 112 bits: {names}"), "take suites with DES and short keys out");
    }
    // Which versions decides: a client of today must never end up with these.
    let with_modern = |is: fn(&Suite) -> bool| {
        let modern = facts.offers.iter().filter(|offer| offer.version >= Version::Tls11);
        modern.flat_map(|offer| &offer.suites).any(is)
    };
    if let Some(names) = named(|suite| suite.is_rc4()) {
        let cap = if suites.iter().all(|suite| suite.is_rc4()) {
            TlsGrade::F
        } else if with_modern(|suite| suite.is_rc4()) {
            TlsGrade::C
        } else {
            TlsGrade::B
        };
        find("rc4", Effect::Cap(cap), format!("what RC4 hides can be guessed: {names}"), "take RC4 out (RFC 7465)");
    }
    if let Some(names) = named(|suite| suite.has_small_blocks()) {
        let modern = with_modern(|suite| suite.has_small_blocks());
        let effect = if modern { Effect::Cap(TlsGrade::C) } else { Effect::Note };
        find(
            "small_blocks",
            effect,
            format!("blocks of 64 bits repeat (SWEET32): {names}"),
            "take 3DES, DES, IDEA and RC2 out",
        );
    }
    let is_forward_secret = |suite: &Suite| matches!(suite.agreement(), Agreement::Ecdhe | Agreement::Dhe);
    if !suites.iter().any(is_forward_secret) {
        let told = "no forward secrecy: whoever gets the key reads all that was recorded before".to_owned();
        find("no_forward_secrecy", Effect::Cap(TlsGrade::B), told, "put ECDHE suites in front");
    } else if let Some(names) = named(|suite| suite.agreement() == Agreement::Static) {
        find("static_keys", Effect::Note, format!("no forward secrecy with {names}"), "take suites without ECDHE out");
    }
    if !suites.iter().any(|suite| suite.is_aead()) {
        let told = "no suite with authenticated encryption".to_owned();
        find("no_aead", Effect::Cap(TlsGrade::B), told, "turn on AES-GCM or ChaCha20-Poly1305");
    } else if let Some(names) = named(|suite| suite.is_cbc()) {
        find("cbc", Effect::Note, format!("no authenticated encryption with {names}"), "take CBC suites out");
    }
}

fn connection(facts: &Facts, find: &mut impl FnMut(&'static str, Effect, String, &'static str)) {
    if facts.compresses == Some(true) {
        let told = "TLS compresses: secrets can be guessed by length (CRIME)".to_owned();
        find("compression", Effect::Cap(TlsGrade::C), told, "turn TLS compression off");
    }
    if facts.renegotiates_safely == Some(false) {
        let told = "a renegotiation is not bound to its connection".to_owned();
        find("renegotiation", Effect::Warning, told, "update the TLS library (RFC 5746)");
    }
    if facts.refuses_fallback == Some(false) {
        let told = "a client can be brought to an older version than both speak".to_owned();
        find("fallback", Effect::Note, told, "turn old versions off, or support TLS_FALLBACK_SCSV (RFC 7507)");
    }
    if facts.staples == Some(false) && facts.certificates.iter().any(|certificate| certificate.names_responder) {
        let told = "the certificate names a responder (OCSP), and its answer is not stapled".to_owned();
        find("no_staple", Effect::Note, told, "turn OCSP stapling on, so that browsers need not ask");
    }
    // With strong suites alone it is a matter of taste, which is why the guide has no rule for it.
    if facts.offers.iter().any(|offer| offer.server_prefers == Some(false)) {
        find(
            "client_order",
            Effect::Note,
            "the client's order of suites counts".to_owned(),
            "let the server's order count",
        );
    }
}

fn keys(score: u8, find: &mut impl FnMut(&'static str, Effect, String, &'static str)) {
    let remedy = "RSA and DH of 2048 bits at least, curves of 224 bits at least; best a certificate with P-256";
    match score {
        ..=40 => find("insecure_key", Effect::Cap(TlsGrade::F), "a key or group that can be broken".to_owned(), remedy),
        41..=80 => {
            find("weak_key", Effect::Cap(TlsGrade::B), "a key or group below 112 bits of strength".to_owned(), remedy);
        }
        81.. => {}
    }
}

fn trust(certificate: &CertificateFacts, now: i64, find: &mut impl FnMut(&'static str, Effect, String, &'static str)) {
    match certificate.hash {
        SignatureHash::Md5 => {
            let told = "the certificate is signed with MD5 or MD2: anybody can make another one".to_owned();
            find("md5", Effect::Cap(TlsGrade::F), told, "have it issued anew, with SHA-256");
        }
        SignatureHash::Sha1 => {
            let told = "the certificate is signed with SHA-1, which no browser believes".to_owned();
            find("sha1", Effect::Untrusted, told, "have it issued anew, with SHA-256");
        }
        SignatureHash::Strong | SignatureHash::Other => {}
    }
    if now > certificate.ends {
        find("expired", Effect::Untrusted, "the certificate or one of its chain has ended".to_owned(), "renew it");
    } else if now < certificate.begins {
        let told = "the certificate or one of its chain begins in the future".to_owned();
        find("not_yet", Effect::Untrusted, told, "wait, or look at the clock");
    }
    match certificate.trust {
        Trust::Trusted | Trust::Unasked => {}
        Trust::SelfSigned => {
            let told = "the certificate vouches for itself".to_owned();
            find("self_signed", Effect::Untrusted, told, "have one issued by an authority that clients know");
        }
        Trust::UnknownIssuer => {
            let told =
                "nobody whom this machine trusts has issued the certificate, or one between is missing".to_owned();
            find("untrusted", Effect::Untrusted, told, "send the whole chain; for an authority of your own `--ca`");
        }
        Trust::Broken => {
            let told = "the chain does not hold: a signature, a purpose or a constraint".to_owned();
            find("chain", Effect::Untrusted, told, "send the certificate with exactly its chain");
        }
    }
    if certificate.covers_name == Some(false) {
        let told = format!("the certificate is for {}", certificate.names.join(", "));
        find("name", Effect::Mismatch, told, "show a certificate with this name");
    }
}

fn hsts(hsts: &HstsFacts, find: &mut impl FnMut(&'static str, Effect, String, &'static str)) {
    let remedy = "answer with `Strict-Transport-Security: max-age=63072000`";
    match hsts {
        HstsFacts::Unknown => {
            find("hsts_unknown", Effect::NoPlus, "no answer over HTTPS: HSTS is not known".to_owned(), remedy);
        }
        HstsFacts::Absent => find("no_hsts", Effect::NoPlus, "no HSTS".to_owned(), remedy),
        HstsFacts::Malformed => {
            find("hsts_malformed", Effect::NoPlus, "HSTS that browsers do not take".to_owned(), remedy);
        }
        HstsFacts::Says { max_age_seconds: 0, .. } => {
            find("hsts_off", Effect::NoPlus, "HSTS tells browsers to forget (`max-age=0`)".to_owned(), remedy);
        }
        HstsFacts::Says { max_age_seconds, .. } if *max_age_seconds < HSTS_SECONDS_MIN => {
            let told = format!("HSTS for {} days, less than 180", max_age_seconds / 86_400);
            find("hsts_short", Effect::NoPlus, told, remedy);
        }
        HstsFacts::Says { .. } => {}
    }
}

#[cfg(test)]
mod tests;
