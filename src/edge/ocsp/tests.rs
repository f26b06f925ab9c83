use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;

use super::*;
use crate::clock;

/// An authority with a certificate of its own, a responder of its own, and what `openssl` answers in their name.
struct Authority {
    directory: tempfile::TempDir,
    chain: Vec<CertificateDer<'static>>,
}

/// `id-pe-authorityInfoAccess` with one responder.
fn access(uri: &str) -> CustomExtension {
    let method = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
    let description = element(SEQUENCE, &[&method, &element(0x86, &[uri.as_bytes()])]);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], element(SEQUENCE, &[&description]))
}

fn must_staple() -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![SEQUENCE, 3, INTEGER, 1, 5])
}

const SERIAL: u8 = 0x42;

impl Authority {
    fn new(responder: Option<&str>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "An authority");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca_pem = ca.self_signed(&ca_key).expect("an authority").pem();
        std::fs::write(directory.path().join("ca.key"), ca_key.serialize_pem()).expect("written");
        let issuer = Issuer::new(ca, ca_key);
        let leaf = |name: &str, serial: u8, usage: Option<ExtendedKeyUsagePurpose>, more: Vec<CustomExtension>| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            params.serial_number = Some(SerialNumber::from(u64::from(serial)));
            params.extended_key_usages = usage.into_iter().collect();
            params.custom_extensions = more;
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2090, 1, 1);
            let key = KeyPair::generate().expect("a key");
            let pem = params.signed_by(&key, &issuer).expect("a certificate").pem();
            std::fs::write(directory.path().join(format!("{name}.pem")), &pem).expect("written");
            std::fs::write(directory.path().join(format!("{name}.key")), key.serialize_pem()).expect("written");
            pem
        };
        let chain = leaf("leaf", SERIAL, None, responder.map(access).into_iter().chain([must_staple()]).collect());
        leaf("responder", 0x43, Some(ExtendedKeyUsagePurpose::OcspSigning), vec![]);
        leaf("stranger", 0x44, Some(ExtendedKeyUsagePurpose::ServerAuth), vec![]);
        std::fs::write(directory.path().join("ca.pem"), &ca_pem).expect("written");
        let chain = [chain, ca_pem].map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate"));
        Self { directory, chain: chain.to_vec() }
    }

    fn question(&self) -> Question {
        match Asking::of(&self.chain) {
            Asking::Somebody(question) => *question,
            other @ (Asking::Nobody | Asking::NoIssuer) => panic!("{other:?}"),
        }
    }

    /// What `openssl ocsp` answers, signed by one of the certificates here, about a certificate of this status (`V`, `R`).
    fn answer(&self, signer: &str, status: &str, request: &[u8], more: &[&str]) -> Vec<u8> {
        let path = |name: &str| self.directory.path().join(name);
        let revoked = if status == "R" { "250101000000Z" } else { "" };
        let index = format!("{status}\t900101000000Z\t{revoked}\t{SERIAL:02X}\tunknown\t/CN=leaf\n");
        std::fs::write(path("index.txt"), index).expect("written");
        std::fs::write(path("request.der"), request).expect("written");
        let run = |command: &mut Command| {
            let output = command.output().expect("openssl is installed");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-index"]).arg(path("index.txt")).arg("-CA").arg(path("ca.pem"));
        command.arg("-rsigner").arg(path(&format!("{signer}.pem"))).arg("-rkey").arg(path(&format!("{signer}.key")));
        command.arg("-reqin").arg(path("request.der")).arg("-respout").arg(path("answer.der")).args(more);
        run(&mut command);
        std::fs::read(path("answer.der")).expect("an answer")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

const RESPONDER: Option<&str> = Some("http://127.0.0.1:9/ocsp");

#[track_caller]
fn check(authority: &Authority, signer: &str, status: &str, expected: Result<(), OcspError>) {
    let question = authority.question();
    let answer = authority.answer(signer, status, &question.request(), &["-ndays", "1"]);
    assert_eq!(question.verify(&answer, clock::now_seconds()).map(drop), expected, "{signer} {status}");
}

#[test]
fn the_issuer_or_its_responder_says_that_a_certificate_is_good() {
    let authority = Authority::new(RESPONDER);
    for signer in ["ca", "responder"] {
        check(&authority, signer, "V", Ok(()));
        check(&authority, signer, "R", Err(OcspError::Revoked));
    }
    // Of the same authority, and not given the right to answer for it.
    check(&authority, "stranger", "V", Err(OcspError::Signature));
    check(&authority, "leaf", "V", Err(OcspError::Signature));
}

#[test]
fn an_answer_counts_for_its_certificate_and_its_time() {
    let (authority, other) = (Authority::new(RESPONDER), Authority::new(RESPONDER));
    let (question, now) = (authority.question(), clock::now_seconds());
    let answer = authority.answer("ca", "V", &question.request(), &["-ndays", "1"]);
    let staple = question.verify(&answer, now).expect("good");
    assert_eq!(staple.response(), answer);
    let Staple { this_update, next_update, .. } = staple;
    assert_eq!(next_update.0 - this_update.0, 86_400);
    assert_eq!(question.verify(&answer, UnixSeconds(next_update.0 - 1)), Ok(staple));
    for time in [next_update.0, this_update.0 - LEEWAY_SECONDS - 1] {
        assert_eq!(question.verify(&answer, UnixSeconds(time)), Err(OcspError::Time));
    }
    assert_eq!(other.question().verify(&answer, now), Err(OcspError::Signature));
    let another = Question { serial: vec![SERIAL + 1], ..question.clone() };
    assert_eq!(another.verify(&answer, now), Err(OcspError::OtherCertificate));
    let unknown = authority.answer("ca", "V", &another.request(), &["-ndays", "1"]);
    assert_eq!(another.verify(&unknown, now), Err(OcspError::Unknown));
    let endless = authority.answer("ca", "V", &question.request(), &[]);
    assert_eq!(question.verify(&endless, now), Err(OcspError::NoNextUpdate));
}

#[test]
fn what_was_changed_cut_or_refused_is_no_answer() {
    let authority = Authority::new(RESPONDER);
    let (question, now) = (authority.question(), clock::now_seconds());
    let answer = authority.answer("responder", "V", &question.request(), &["-ndays", "1"]);
    for at in 0..answer.len() {
        assert!(question.verify(&answer[..at], now).is_err(), "{at}");
    }
    let basic_at = answer.windows(BASIC.len()).position(|window| window == BASIC).expect("basic");
    let signed = Signed::read(basic(&answer).expect("an answer")).expect("signed");
    let message_at = answer.windows(8).position(|window| window == &signed.message.whole[..8]).expect("the message");
    for at in [basic_at, message_at, message_at + 20, message_at + signed.message.whole.len() - 1] {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        assert!(question.verify(&changed, now).is_err(), "{at}");
    }
    let refusal = [SEQUENCE, 3, ENUMERATED, 1, 6];
    assert_eq!(question.verify(&refusal, now), Err(OcspError::Unsuccessful(6)));
    assert_eq!(question.verify(&[SEQUENCE, 3, ENUMERATED, 1, 0], now), Err(OcspError::Malformed));
    assert_eq!(question.verify(b"<html>", now), Err(OcspError::Malformed));
    assert_eq!(question.verify(&vec![0; RESPONSE_BYTES_MAX + 1], now), Err(OcspError::TooLong));
}

#[test]
fn only_a_certificate_that_names_a_responder_is_asked_about() {
    let asking = |responder: Option<&str>| Asking::of(&Authority::new(responder).chain);
    assert!(matches!(asking(None), Asking::Nobody));
    assert!(matches!(asking(Some("https://127.0.0.1/ocsp")), Asking::Nobody));
    assert!(matches!(asking(Some("ldap://127.0.0.1/ocsp")), Asking::Nobody));
    let authority = Authority::new(RESPONDER);
    assert!(matches!(Asking::of(&authority.chain[..1]), Asking::NoIssuer));
    assert!(matches!(Asking::of(&[]), Asking::Nobody));
    assert_eq!(authority.question().responder, "http://127.0.0.1:9/ocsp");
    assert!(must_be_stapled(&authority.chain) && !must_be_stapled(&authority.chain[1..]));
    // The same question as openssl's own.
    let asked = authority.path().join("asked.der");
    let status = Command::new("openssl")
        .args(["ocsp", "-no_nonce", "-issuer"])
        .arg(authority.path().join("ca.pem"))
        .arg("-cert")
        .arg(authority.path().join("leaf.pem"))
        .arg("-reqout")
        .arg(&asked)
        .output();
    assert!(status.expect("openssl is installed").status.success());
    assert_eq!(authority.question().request(), std::fs::read(asked).expect("a request"));
}

#[test]
fn the_next_one_is_asked_for_halfway() {
    let staple = Staple { response: vec![], this_update: UnixSeconds(1000), next_update: UnixSeconds(2000) };
    assert_eq!(staple.due(UnixSeconds(1000)), UnixSeconds(1500));
    assert_eq!(staple.due(UnixSeconds(1499)), UnixSeconds(1500));
    assert_eq!(staple.due(UnixSeconds(1600)), UnixSeconds(1800));
}
