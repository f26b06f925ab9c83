use std::path::Path;

use super::super::fixtures::{GATEWAY, lines, read, with};
use super::*;

const ENTRY: &str = "{ certificate = \"../certs/dev.pem\", key = \"../certs/dev-key.pem\" }";

const ACME: &str = r#"
[acme]
directory = "https://acme.example/dir"
terms_of_service = "agreed"
store = "../acme"
"#;

fn ordering(entry: &str, more: &str) -> String {
    format!("{}{ACME}{more}", with(GATEWAY, ENTRY, entry))
}

#[track_caller]
fn check(entry: &str, more: &str, found: &[&str]) {
    let (set, findings) = read(&ordering(entry, more), &[]);
    assert_eq!(lines(&findings), found);
    assert_eq!(set.is_none(), found.iter().any(|line| line.starts_with("error")));
}

#[test]
fn what_is_ordered_and_where_it_will_be() {
    let entries = format!("{ENTRY}, {{ acme = [\"chat.example.com\", \"www.example.com\"] }}");
    let (set, findings) = read(&ordering(&entries, ""), &[]);
    assert_eq!(lines(&findings), Vec::<String>::new());
    let gateway = set.expect("a set").gateway;
    let file = Path::new("policies/../acme/acme.example-dir/chat.example.com.pem");
    let listener = &gateway.listeners[0];
    assert_eq!(listener.certificates.len(), 2);
    assert_eq!((&*listener.certificates[1].certificate, &*listener.certificates[1].key), (file, file));
    assert_eq!(listener.ordered[0].names, ["chat.example.com", "www.example.com"]);
    assert_eq!(listener.ordered[0].file, file);
    let acme = gateway.acme.expect("acme");
    assert_eq!((acme.challenge, acme.external_account, acme.ca), (AcmeChallenge::TlsAlpn01, None, None));
    assert!(acme.contact.is_empty() && acme.profile.is_none());
}

#[test]
fn everything_that_can_be_said() {
    let more = "challenge = \"http-01\"\ncontact = [\"mailto:ops@example.com\"]\nca = \"ca.pem\"\nprofile = \"shortlived\"\n\
                eab = { key_id = \"kid-1\", secret = { file = \"eab.key\" } }\n[plain]\naddress = \"[::]:80\"\n";
    let (set, findings) = read(&ordering("{ acme = [\"localhost\"] }", more), &[]);
    assert_eq!(lines(&findings), Vec::<String>::new());
    let acme = set.expect("a set").gateway.acme.expect("acme");
    assert_eq!((acme.challenge, acme.profile.as_deref()), (AcmeChallenge::Http01, Some("shortlived")));
    assert_eq!(acme.ca.as_deref(), Some(Path::new("policies/ca.pem")));
    assert_eq!(acme.contact, ["mailto:ops@example.com"]);
    assert_eq!(acme.external_account.expect("an account").key_id, "kid-1");
}

#[test]
fn names_and_their_near_misses() {
    let name = |name: &str| format!("{{ acme = [\"{name}\"] }}");
    for good in [
        "chat.example.com",
        "localhost",
        "xn--bcher-kva.example",
        "a-b.1.example",
        &format!("{}.example", "a".repeat(63)),
    ] {
        check(&name(good), "", &[]);
    }
    let wildcard = "a wildcard takes the challenge dns-01, which is not spoken here: name each host, or bring the \
                    certificate as files";
    let address = "expected a host name; the certificate of an address comes as files";
    let host = "expected a host name such as `chat.example.com`";
    for (bad, why) in [
        ("*.example.com", wildcard),
        ("192.0.2.1", address),
        ("[::1]", address),
        ("::1", address),
        ("Chat.example.com", "expected a host name in lower case"),
        ("bücher.example", "expected a host name in ASCII (`xn--…`)"),
        ("https://chat.example.com", host),
        ("chat.example.com.", host),
        ("chat..example.com", host),
        (".example.com", host),
        ("chat_1.example.com", host),
        ("-chat.example.com", host),
        ("chat.example.com:443", host),
        ("../../etc/passwd", host),
        ("192.0.2", host),
        ("chat example", host),
        (&"a.".repeat(140), host),
        (&format!("{}.example", "a".repeat(64)), host),
    ] {
        let found = format!("error: gateway.toml:5:27: `listeners[0].certificates[0].acme[0]`: {why}, found `{bad}`");
        let (set, findings) = read(&ordering(&name(bad), ""), &[]);
        assert!(set.is_none());
        let found: String = found.chars().take(120).collect();
        assert!(lines(&findings)[0].starts_with(&found), "{bad}: {findings:?}");
    }
}

#[test]
fn a_section_that_nobody_uses_is_told() {
    check(
        ENTRY,
        "",
        &["warning: gateway.toml:9:1: `acme`: no listener orders a certificate (`certificates = [{ acme = \
           [\"chat.example.com\"] }]` in a listener does)"],
    );
}

#[test]
fn an_entry_is_of_one_kind_and_its_names_make_one_file() {
    check(
        "{ acme = [\"a.example\"], key = \"a.key\" }",
        "",
        &[
            "error: gateway.toml:5:17: `listeners[0].certificates[0]`: expected either `acme`, or `certificate` and `key`",
        ],
    );
    check(
        "{ acme = [] }",
        "",
        &["error: gateway.toml:5:26: `listeners[0].certificates[0].acme`: expected at least one"],
    );
    check(
        "{ key = \"a.key\" }",
        "",
        &["error: gateway.toml:5:17: `listeners[0].certificates[0].certificate` is missing"],
    );
    check("{ acme = [\"a.example\", \"a.example\"] }", "", &["error: gateway.toml:5:40: `a.example` is here twice"]);
    check("{ acme = [\"a.example\"] }, { acme = [\"a.example\"] }", "", &[]);
    check(
        "{ acme = [\"a.example\"] }, { acme = [\"a.example\", \"b.example\"] }",
        "",
        &[
            "error: gateway.toml:5:52: another certificate with other names begins with `a.example` (the first name says where \
           a certificate is kept: begin with another, or order the same names)",
        ],
    );
    let many: Vec<String> = (0..=ORDERED_NAMES_MAX).map(|at| format!("\"h{at}.example\"")).collect();
    let (_, findings) = read(&ordering(&format!("{{ acme = [{}] }}", many.join(", ")), ""), &[]);
    assert!(lines(&findings)[0].ends_with("expected at most 100 names, found 101"), "{findings:?}");
}

#[test]
fn a_certificate_by_acme_needs_somebody_who_issues_it() {
    let (_, findings) = read(&with(GATEWAY, ENTRY, "{ acme = [\"a.example\"] }"), &[]);
    assert_eq!(
        lines(&findings),
        ["error: gateway.toml:5:26: a certificate by ACME needs `[acme]` (`[acme]` says who issues it: `directory`, \
          `terms_of_service`, `store`)"]
    );
    // A section with a mistake is there all the same.
    let entry = "{ acme = [\"a.example\"] }";
    let broken = |old: &str, new: &str, found: &str| {
        let (_, findings) = read(&with(&ordering(entry, ""), old, new), &[]);
        assert_eq!(lines(&findings), [found]);
    };
    broken("terms_of_service = \"agreed\"\n", "", "error: gateway.toml:9:1: `acme.terms_of_service` is missing");
    broken(
        "\"agreed\"",
        "\"yes\"",
        "error: gateway.toml:11:20: `acme.terms_of_service`: expected `agreed`, found `yes`",
    );
    broken("store = \"../acme\"\n", "", "error: gateway.toml:9:1: `acme.store` is missing");
    let expected = "expected the `https://` address of a directory, such as \
                    `https://acme-staging-v02.api.letsencrypt.org/directory`";
    for url in ["http://acme.example/dir", "acme.example", "ftp://acme.example", "https://acme.example/#dir"] {
        let found = format!("error: gateway.toml:10:13: `acme.directory`: {expected}, found `{url}`");
        broken("https://acme.example/dir", url, &found);
    }
    broken(
        "https://acme.example/dir",
        "https://me:hunter2@acme.example/dir",
        "error: gateway.toml:10:13: `acme.directory`: expected no user and password",
    );
    check(
        entry,
        "challenge = \"dns-01\"\n",
        &["error: gateway.toml:13:13: `acme.challenge`: expected `tls-alpn-01` or `http-01`, \
                                              found `dns-01`"],
    );
    check(
        entry,
        "challenge = \"http-01\"\n",
        &[
            "error: gateway.toml:13:13: `acme.challenge`: `http-01` is answered on the plain listener (add `[plain]` with an \
           address that the authority reaches at port 80, or use `tls-alpn-01`)",
        ],
    );
    for contact in ["ops@example.com", "mailto:ops", "mailto:a@b.example,c@d.example", "mailto:a@b.example?subject=x"] {
        let found = format!(
            "error: gateway.toml:13:12: `acme.contact[0]`: expected an address such as `mailto:ops@example.com`, found `{contact}`"
        );
        check(entry, &format!("contact = [\"{contact}\"]\n"), &[&found]);
    }
    let (_, findings) = read(&ordering(entry, "eab = { key_id = \"a\", secret = \"c2VjcmV0\" }\n"), &[]);
    assert!(lines(&findings)[0].contains("a secret does not belong in a policy file"), "{findings:?}");
    assert!(!format!("{findings:?}").contains("c2VjcmV0"));
}
