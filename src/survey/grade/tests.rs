//! One test a rule of the guide: what was seen, changed in one thing, and the grade that comes of it.

use super::super::facts::{GROUPS, Group, Offer};
use super::*;

const NOW: i64 = 1_800_000_000;

fn suites(ids: &[u16]) -> Vec<Suite> {
    ids.iter().map(|id| Suite::of(*id).expect("known")).collect()
}

fn offer(version: Version, ids: &[u16]) -> Offer {
    Offer { version, suites: suites(ids), server_prefers: Some(true) }
}

/// What this gateway shows.
fn best() -> Facts {
    Facts {
        offers: vec![
            offer(Version::Tls13, &[0x1301, 0x1302, 0x1303]),
            offer(Version::Tls12, &[0xc02b, 0xc02c, 0xcca9]),
        ],
        groups: GROUPS.into_iter().take(1).collect(),
        dh_bits: None,
        compresses: Some(false),
        renegotiates_safely: Some(true),
        refuses_fallback: None,
        staples: Some(false),
        alpn: Some("h2".to_owned()),
        certificates: vec![certificate()],
        hsts: HstsFacts::Says { max_age_seconds: 63_072_000, include_subdomains: false, preload: false },
        at: NOW,
        unanswered: 0,
    }
}

fn certificate() -> CertificateFacts {
    CertificateFacts {
        key: PublicKey::Ec(256),
        hash: SignatureHash::Strong,
        begins: NOW - 1,
        ends: NOW,
        names: vec!["gateway.example".to_owned()],
        covers_name: Some(true),
        trust: Trust::Trusted,
        names_responder: false,
    }
}

/// What is seen after `change`: the grade that is shown, and the codes of what lowers it.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), shown: &str, codes: &[&str]) {
    let mut facts = best();
    change(&mut facts);
    let graded = grade(&facts);
    let found: Vec<_> = graded.findings.iter().filter(|finding| finding.lowers()).map(|finding| finding.code).collect();
    assert_eq!((graded.shown.as_str(), found.as_slice()), (shown, codes), "{graded:?}");
}

fn certified(change: impl FnOnce(&mut CertificateFacts)) -> impl FnOnce(&mut Facts) {
    move |facts| change(&mut facts.certificates[0])
}

#[test]
fn nothing_to_find_is_an_a_plus() {
    check(|_| {}, "A+", &[]);
    assert_eq!(grade(&best()).scores, Scores { protocols: 100, key_exchange: 90, ciphers: 90, total: 93 });
}

#[test]
fn an_a_plus_needs_hsts_for_180_days() {
    let says = |max_age_seconds| {
        move |facts: &mut Facts| {
            facts.hsts = HstsFacts::Says { max_age_seconds, include_subdomains: true, preload: true };
        }
    };
    check(says(15_552_000), "A+", &[]);
    check(says(15_551_999), "A", &["hsts_short"]);
    check(says(0), "A", &["hsts_off"]);
    check(|facts| facts.hsts = HstsFacts::Absent, "A", &["no_hsts"]);
    check(|facts| facts.hsts = HstsFacts::Malformed, "A", &["hsts_malformed"]);
    check(|facts| facts.hsts = HstsFacts::Unknown, "A", &["hsts_unknown"]);
}

#[test]
fn what_is_not_known_is_not_praised() {
    check(|facts| facts.unanswered = 1, "A", &["unanswered"]);
}

#[test]
fn without_tls_13_it_is_an_a_minus() {
    check(|facts| drop(facts.offers.remove(0)), "A-", &["no_tls13"]);
    check(|facts| drop(facts.offers.remove(1)), "A+", &[]);
}

#[test]
fn old_versions_cap_at_b() {
    check(|facts| facts.offers.push(offer(Version::Tls11, &[0xc009])), "B", &["tls11"]);
    check(|facts| facts.offers.push(offer(Version::Tls10, &[0xc009])), "B", &["tls10"]);
    check(|facts| facts.offers.push(offer(Version::Ssl3, &[0x0005])), "B", &["ssl3", "rc4"]);
}

#[test]
fn without_tls_12_and_13_it_is_a_c() {
    check(
        |facts| facts.offers = vec![offer(Version::Tls11, &[0xc009])],
        "C",
        &["no_tls12", "tls11", "no_aead", "no_tls13"],
    );
}

#[test]
fn ssl_3_with_cbc_is_a_c_and_alone_an_f() {
    check(|facts| facts.offers.push(offer(Version::Ssl3, &[0x002f])), "C", &["poodle", "ssl3"]);
    let alone = |facts: &mut Facts| facts.offers = vec![offer(Version::Ssl3, &[0x002f])];
    check(alone, "F", &["ssl3", "poodle", "no_tls12", "no_forward_secrecy", "no_aead", "no_tls13"]);
}

#[test]
fn nothing_at_all_is_an_f() {
    check(|facts| facts.offers.clear(), "F", &["nothing_accepted"]);
}

/// One more suite of TLS 1.2.
fn with(id: u16) -> impl FnOnce(&mut Facts) {
    move |facts| facts.offers[1].suites.extend(suites(&[id]))
}

#[test]
fn suites_that_hide_nothing_from_anybody_are_an_f() {
    check(with(0x003b), "F", &["null_cipher"]);
    check(with(0x0034), "F", &["anonymous", "insecure_key"]);
    check(with(0x0008), "F", &["export", "insecure_key", "small_blocks"]);
    check(with(0x0009), "F", &["weak_cipher", "small_blocks"]);
}

#[test]
fn rc4_is_a_b_with_old_versions_a_c_with_new_ones_and_alone_an_f() {
    check(|facts| facts.offers.push(offer(Version::Tls10, &[0x0005])), "B", &["tls10", "rc4"]);
    check(with(0x0005), "C", &["rc4"]);
    let alone = |facts: &mut Facts| facts.offers = vec![offer(Version::Tls12, &[0xc011])];
    check(alone, "F", &["rc4", "no_aead", "no_tls13"]);
}

#[test]
fn blocks_of_64_bits_are_a_c_with_tls_11_and_later() {
    check(with(0x000a), "C", &["small_blocks"]);
    check(|facts| facts.offers.push(offer(Version::Tls10, &[0x000a])), "B", &["tls10"]);
}

#[test]
fn without_forward_secrecy_or_aead_it_is_a_b() {
    check(|facts| facts.offers = vec![offer(Version::Tls12, &[0x009c])], "B", &["no_forward_secrecy", "no_tls13"]);
    check(|facts| facts.offers = vec![offer(Version::Tls12, &[0xc023])], "B", &["no_aead", "no_tls13"]);
    // Beside better ones they are worth a line, and no letter.
    check(with(0x009c), "A+", &[]);
    check(with(0xc023), "A+", &[]);
}

#[test]
fn compression_is_a_c() {
    check(|facts| facts.compresses = Some(true), "C", &["compression"]);
}

#[test]
fn a_renegotiation_that_is_not_bound_is_an_a_minus() {
    check(|facts| facts.renegotiates_safely = Some(false), "A-", &["renegotiation"]);
    check(|facts| facts.renegotiates_safely = None, "A+", &[]);
}

#[test]
fn weak_keys_are_a_b_and_broken_ones_an_f() {
    for (key, shown, codes) in [
        (PublicKey::Rsa(4096), "A+", &[][..]),
        (PublicKey::Rsa(2048), "A+", &[]),
        (PublicKey::Rsa(2047), "B", &["weak_key"]),
        (PublicKey::Rsa(1024), "B", &["weak_key"]),
        (PublicKey::Rsa(1023), "F", &["insecure_key"]),
        (PublicKey::Ec(224), "A+", &[]),
        (PublicKey::Ec(192), "B", &["weak_key"]),
        (PublicKey::Ec(112), "F", &["insecure_key"]),
        (PublicKey::Other, "A+", &[]),
    ] {
        check(certified(|certificate| certificate.key = key), shown, codes);
    }
}

#[test]
fn weak_groups_are_a_b_and_broken_ones_an_f() {
    for (bits, shown, codes) in
        [(2048, "A+", &[][..]), (2047, "B", &["weak_key"]), (1024, "B", &["weak_key"]), (768, "F", &["insecure_key"])]
    {
        check(|facts| facts.dh_bits = Some(bits), shown, codes);
    }
    check(|facts| facts.groups.extend(Group::of(0x0013)), "B", &["weak_key"]);
    check(|facts| facts.groups.extend(Group::of(0x0015)), "A+", &[]);
}

#[test]
fn what_no_browser_believes_is_a_t() {
    check(certified(|certificate| certificate.trust = Trust::SelfSigned), "T", &["self_signed"]);
    check(certified(|certificate| certificate.trust = Trust::UnknownIssuer), "T", &["untrusted"]);
    check(certified(|certificate| certificate.trust = Trust::Broken), "T", &["chain"]);
    check(certified(|certificate| certificate.trust = Trust::Unasked), "A+", &[]);
    check(certified(|certificate| certificate.ends = NOW - 1), "T", &["expired"]);
    check(certified(|certificate| certificate.begins = NOW + 1), "T", &["not_yet"]);
    check(certified(|certificate| certificate.hash = SignatureHash::Sha1), "T", &["sha1"]);
    check(certified(|certificate| certificate.hash = SignatureHash::Md5), "F", &["md5"]);
}

#[test]
fn another_name_is_an_m_unless_it_is_a_t() {
    check(certified(|certificate| certificate.covers_name = Some(false)), "M", &["name"]);
    check(certified(|certificate| certificate.covers_name = None), "A+", &[]);
    let both = |certificate: &mut CertificateFacts| {
        (certificate.covers_name, certificate.trust) = (Some(false), Trust::SelfSigned);
    };
    check(certified(both), "T", &["self_signed", "name"]);
}

#[test]
fn trust_stands_beside_the_letter() {
    let mut facts = best();
    facts.certificates[0].trust = Trust::UnknownIssuer;
    assert_eq!(grade(&facts).letter, TlsGrade::APlus);
    facts.compresses = Some(true);
    assert_eq!((grade(&facts).shown, grade(&facts).letter), (Shown::Untrusted, TlsGrade::C));
}

#[test]
fn what_is_worth_a_line_costs_no_letter() {
    let notes = |change: fn(&mut Facts)| {
        let mut facts = best();
        change(&mut facts);
        let graded = grade(&facts);
        assert_eq!(graded.shown.as_str(), "A+");
        graded.findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(notes(|facts| facts.refuses_fallback = Some(false)), ["fallback"]);
    assert_eq!(notes(|facts| facts.offers[1].server_prefers = Some(false)), ["client_order"]);
    assert_eq!(notes(|facts| facts.certificates[0].names_responder = true), ["no_staple"]);
    let stapled = |facts: &mut Facts| (facts.certificates[0].names_responder, facts.staples) = (true, Some(true));
    assert!(notes(stapled).is_empty());
}

#[test]
fn each_certificate_counts() {
    let mut facts = best();
    facts.certificates.push(CertificateFacts { key: PublicKey::Rsa(1024), ..certificate() });
    assert_eq!(grade(&facts).letter, TlsGrade::B);
}

#[test]
fn scores_below_80_are_lower_letters() {
    let of = |total| letter(Scores { protocols: 0, key_exchange: 0, ciphers: 0, total }, &[]);
    for (total, letter) in [
        (80, TlsGrade::APlus),
        (79, TlsGrade::B),
        (64, TlsGrade::C),
        (49, TlsGrade::D),
        (34, TlsGrade::E),
        (19, TlsGrade::F),
    ] {
        assert_eq!(of(total), letter, "{total}");
    }
}

proptest::proptest! {
    /// No suite, version or key more makes a grade better.
    #[test]
    fn nothing_that_is_added_makes_it_better(ids in proptest::collection::vec(0_usize..230, 0..6), versions in proptest::collection::vec(0_usize..4, 0..3)) {
        let before = grade(&best()).letter;
        let mut facts = best();
        let earlier: Vec<Suite> = Suite::of_earlier().collect();
        facts.offers[1].suites.extend(ids.iter().filter_map(|at| earlier.get(*at).copied()));
        facts.offers.extend(versions.iter().map(|at| offer(Version::ALL[*at], &[0xc009])));
        proptest::prop_assert!(grade(&facts).letter <= before);
    }
}
