//! `countersign domains check`, and the same in the background: real policies, real TLS servers in the place of the trusted domains.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::gateway::{BINARY, write_whole};
use crate::support::site::Site;
use crate::support::{NOBODY, Setup, TestUpstream};

const GOOD: &str = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains";

/// A workspace that trusts these.
fn trusting(upstream: SocketAddr, domains: &[&str]) -> Setup {
    let list: Vec<String> = domains.iter().map(|domain| format!("\"{domain}\"")).collect();
    Setup::acme(upstream).with(
        r#"trusted_domains = ["https://app.acme.example", "https://*.acme.example"]"#,
        &format!("trusted_domains = [{}]", list.join(", ")),
    )
}

fn command(setup: &Setup, sites: &[(&str, &Site)], options: &[&str]) -> Output {
    setup.write();
    let bundle = setup.policies().join("../sites.pem");
    let pem: String = sites.iter().map(|(_, site)| site.ca_pem.as_str()).collect();
    write_whole(&bundle, &pem);
    let mut command = Command::new(BINARY);
    command.args(["domains", "check", "--policies"]).arg(setup.policies()).arg("--ca").arg(&bundle).args(options);
    for (name, site) in sites {
        command.arg("--resolve").arg(format!("{name}={}", site.address));
    }
    command.output().expect("the binary starts")
}

/// What it says of each domain: the codes of its findings.
#[track_caller]
fn codes(output: &Output, code: i32) -> Vec<(String, Vec<String>)> {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = told.parse().expect("JSON");
    let codes = |domain: &Value| -> Vec<String> {
        let findings = domain["findings"].as_array().expect("a list").iter();
        findings.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
    };
    let domains = answer["domains"].as_array().expect("a list").iter();
    domains.map(|domain| (domain["domain"].as_str().expect("text").to_owned(), codes(domain))).collect()
}

/// One site with this certificate and this answer, trusted as `entry`.
#[track_caller]
fn check(entry: &str, certified: &str, made_days_ago: i64, head: &str, code: i32, expected: &[&str]) {
    let site = Site::start(certified, made_days_ago, head);
    let output = command(&trusting(NOBODY, &[entry]), &[("app.acme.example", &site)], &["--json"]);
    assert_eq!(
        codes(&output, code),
        [("https://app.acme.example".to_owned(), expected.iter().map(ToString::to_string).collect())]
    );
}

const ENTRY: &str = "https://app.acme.example";

#[test]
fn a_domain_with_a_long_hsts_and_a_good_certificate_is_fine() {
    check(ENTRY, "app.acme.example", 0, GOOD, 0, &[]);
    check(ENTRY, "app.acme.example", 75, GOOD, 0, &[]);
}

#[test]
fn a_certificate_that_has_not_begun_is_a_finding() {
    check(ENTRY, "app.acme.example", -5, GOOD, 1, &["not_yet"]);
}

#[test]
fn certificates_that_end_soon_have_ended_or_are_for_another_name_are_findings() {
    check(ENTRY, "app.acme.example", 77, GOOD, 1, &["expires_soon"]);
    check(ENTRY, "app.acme.example", 91, GOOD, 1, &["expired"]);
    check(ENTRY, "app.acme.example.evil.test", 0, GOOD, 1, &["other_name"]);
}

#[test]
fn hsts_that_is_absent_short_off_or_broken_is_a_finding_and_a_redirect_is_not_followed() {
    let with = |hsts: &str| format!("HTTP/1.1 200 OK\r\nStrict-Transport-Security: {hsts}");
    check(ENTRY, "app.acme.example", 0, "HTTP/1.1 200 OK", 1, &["no_hsts"]);
    check(ENTRY, "app.acme.example", 0, &with("max-age=15551999"), 1, &["hsts_short"]);
    check(ENTRY, "app.acme.example", 0, &with("max-age=15552000"), 0, &[]);
    check(ENTRY, "app.acme.example", 0, &with("max-age=0"), 1, &["hsts_off"]);
    check(ENTRY, "app.acme.example", 0, &with("max-age=1; max-age=31536000"), 1, &["hsts_malformed"]);
    check(ENTRY, "app.acme.example", 0, &with("max-age=15552000; preload"), 0, &["preload"]);
    check(ENTRY, "app.acme.example", 0, "not HTTP at all", 1, &["hsts_unknown"]);
    let elsewhere = "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.invalid/";
    check(ENTRY, "app.acme.example", 0, elsewhere, 1, &["no_hsts"]);
    check(ENTRY, "app.acme.example", 0, &format!("{elsewhere}\r\nStrict-Transport-Security: max-age=31536000"), 0, &[]);
}

#[test]
fn what_a_site_answers_reaches_no_screen() {
    let site = Site::start(
        "app.acme.example",
        0,
        "HTTP/1.1 200 OK\r\nServer: \u{1b}[31mevil\r\nSet-Cookie: a=secret-of-theirs",
    );
    let output = command(&trusting(NOBODY, &[ENTRY]), &[("app.acme.example", &site)], &[]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!told.contains("evil") && !told.contains("secret-of-theirs") && !told.contains('\u{1b}'), "{told}");
    let asked = site.asked();
    assert!(asked.len() == 1 && asked[0].starts_with("GET / HTTP/1.1\r\n"), "{asked:?}");
    assert!(!asked[0].to_ascii_lowercase().contains("cookie") && !asked[0].contains("acme-"), "{asked:?}");
}

#[test]
fn of_a_wildcard_the_base_is_asked_and_each_name_once() {
    let site = Site::start("acme.example", 0, "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=31536000");
    let setup = trusting(NOBODY, &["https://*.acme.example", "https://acme.example"]);
    let other = setup.text("acme").replace("abc12345", "other123");
    let setup = setup.workspace("other", &other);
    let output = command(&setup, &[("acme.example", &site)], &[]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    for words in [
        "(the base of a wildcard alone)",
        "acme and 1 more",
        "advice: https://acme.example: hosts below",
        "1 of 1 domains are fine",
    ] {
        assert!(told.contains(words), "no `{words}` in:\n{told}");
    }
    assert_eq!(site.asked().len(), 1);
}

#[test]
fn who_is_not_there_not_believed_or_plain_is_told_apart() {
    let stranger = Site::start("app.acme.example", 0, GOOD);
    let known = Site::start("known.acme.example", 1, GOOD);
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let domains = [
        "https://app.acme.example",
        "https://mute.acme.example",
        "https://gone.acme.example",
        "http://localhost:3000",
        "https://nobody.invalid",
    ];
    let setup = trusting(NOBODY, &domains);
    setup.write();
    let bundle = setup.policies().join("../sites.pem");
    write_whole(&bundle, &known.ca_pem);
    let resolve = [
        format!("app.acme.example={}", stranger.address),
        format!("mute.acme.example={}", mute.local_addr().expect("an address")),
        format!("gone.acme.example={gone}"),
    ];
    let mut command = Command::new(BINARY);
    command
        .args(["domains", "check", "--json", "--timeout", "5s", "--policies"])
        .arg(setup.policies())
        .arg("--ca")
        .arg(&bundle);
    for resolve in resolve {
        command.arg("--resolve").arg(resolve);
    }
    let found = codes(&command.output().expect("the binary starts"), 1);
    let found: Vec<&str> = found.iter().map(|(_, codes)| codes[0].as_str()).collect();
    assert_eq!(found[..4], ["untrusted", "timeout", "connect", "plain"]);
    // Where there is no name server at all, the question may take longer than that.
    assert!(matches!(found[4], "name" | "timeout"), "{found:?}");
}

#[test]
fn broken_policies_and_wrong_usage_are_2() {
    let setup = trusting(NOBODY, &["https://app.acme.example"]);
    let site = Site::start("app.acme.example", 0, GOOD);
    for options in [&["--workspace", "nobody"][..], &["--resolve", "app.acme.example"], &["--expires-within", "soon"]] {
        let output = command(&setup, &[("app.acme.example", &site)], options);
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(site.asked().is_empty(), "nobody is asked");
}

#[tokio::test]
async fn in_the_background_findings_become_metrics_a_status_and_a_line_of_the_log() {
    let site = Site::start("localhost", 80, "HTTP/1.1 200 OK");
    let upstream = TestUpstream::start().await;
    let origin = format!("https://localhost:{}", site.address.port());
    let quiet = trusting(upstream.address, &[&origin]);
    let mut gateway = quiet.start();
    assert!(!gateway.admin_get("/metrics").contains("trusted_domain"), "off by default");

    let file = gateway.setup.policies().join("gateway.toml");
    write_whole(&file.with_file_name("../site.pem"), &site.ca_pem);
    let text = std::fs::read_to_string(&file).expect("there");
    write_whole(&file, &format!("{text}\n[domains]\ncheck = \"24h\"\nca = \"../site.pem\"\n"));
    let line = gateway.await_log("trusted_domain_unfit");
    assert!(line.contains(&origin) && line.contains("expires_soon no_hsts"), "{line}");
    gateway.await_log("trusted_domains_asked");
    let metrics = gateway.admin_get("/metrics");
    for line in [
        format!("countersign_trusted_domain_hsts{{domain=\"{origin}\"}} 0"),
        format!("countersign_trusted_domain_findings{{domain=\"{origin}\"}} 2"),
        format!("countersign_trusted_domain_certificate_not_after_seconds{{domain=\"{origin}\"}} "),
    ] {
        assert!(metrics.contains(&line), "no `{line}` in:\n{metrics}");
    }
    let status = gateway.admin_get("/status");
    // Ten days, or a second less.
    let told =
        |days: u8| status.contains(&format!(r#""domains":[{{"domain":"{origin}","hsts":false,"days_left":{days},"#));
    assert!(told(9) || told(10), "{status}");
    assert!(status.contains(r#""code":"domain_unfit""#), "{status}");
    assert_eq!(site.asked().len(), 1, "once, and not again with each reload");

    site.answers(GOOD);
    let text = std::fs::read_to_string(&file).expect("there");
    write_whole(&file, &text.replace("check = \"24h\"", "check = \"24h\"\nexpires_within = \"1d\""));
    gateway.await_log("trusted_domain_fine");
    assert!(
        gateway.admin_get("/metrics").contains(&format!("countersign_trusted_domain_hsts{{domain=\"{origin}\"}} 1"))
    );
    write_whole(&file, &text.replace("[domains]\ncheck = \"24h\"\nca = \"../site.pem\"\n", ""));
    gateway.await_log("policy_reloaded");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while gateway.admin_get("/metrics").contains("trusted_domain") {
        assert!(std::time::Instant::now() < deadline, "what nobody asks for is not shown");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
