use super::super::fixtures::{GATEWAY, lines, read, with};
use super::super::gateway::{HostHeader, OnFailure, StateSettings};
use super::super::limits::Limits;
use super::super::rates::{Rate, Rates};
use super::*;
use crate::decision::Mode;

#[track_caller]
fn check(old: &str, new: &str, found: &[&str]) {
    let (_, findings) = read(&with(GATEWAY, old, new), &[]);
    assert_eq!(lines(&findings), found);
}

#[track_caller]
fn gateway(text: &str) -> Gateway {
    let (set, findings) = read(text, &[]);
    assert!(findings.is_empty(), "{findings:?}");
    set.expect("a set").gateway
}

#[test]
fn what_is_not_said_has_a_default() {
    let gateway = gateway(GATEWAY);
    assert_eq!(gateway.limits, Limits::default());
    assert_eq!(gateway.hsts, Hsts::default());
    assert_eq!(gateway.read_back, ReadBack::On);
    assert_eq!(gateway.tls_floor, TlsGrade::A);
    assert!(gateway.plain.is_none() && gateway.admin.is_none() && gateway.key_cache.is_none());
    assert!(gateway.audit.file.is_none() && gateway.audit.subject_key.is_none());
    let upstream = &gateway.upstreams[0];
    assert_eq!(upstream.host_header, HostHeader::Upstream);
    assert_eq!(upstream.connect_timeout, Duration::from_secs(5));
}

#[test]
fn what_is_said_counts() {
    let gateway = gateway(&format!(
        "read_back = \"off\"\nkey_cache = \"../keys\"\n{GATEWAY}host = \"preserve\"\nhttp = \"2\"\nca = \"ca.pem\"\n
         [limits]\nbody_bytes_max = \"3 KiB\"\nidle_timeout = \"7s\"\nhttp2_streams_max = 5\n
         [audit]\nfile = \"/var/audit.jsonl\"\nsubject_key = {{ file = \"key\" }}\n
         [plain]\naddress = \"[::]:80\"\n[admin]\naddress = \"[::1]:9443\"\n[hsts]\nmax_age = \"0s\"\n"
    ));
    assert_eq!(gateway.read_back, ReadBack::Off);
    assert_eq!(gateway.key_cache.as_deref(), Some(Path::new("policies/../keys")));
    assert_eq!(
        gateway.limits,
        Limits {
            body_bytes_max: 3072,
            idle_timeout: Duration::from_secs(7),
            http2_streams_max: 5,
            ..Limits::default()
        }
    );
    assert_eq!(gateway.audit.file.as_deref(), Some(Path::new("/var/audit.jsonl")));
    assert_eq!(gateway.audit.subject_key, Some(super::super::workspace::SecretSource::File("policies/key".into())));
    assert_eq!(gateway.listeners[0].certificates[0].key, Path::new("policies/../certs/dev-key.pem"));
    assert_eq!(gateway.upstreams[0].ca.as_deref(), Some(Path::new("policies/ca.pem")));
    assert_eq!(gateway.plain.expect("plain").redirect_port, 443);
    assert_eq!(gateway.hsts.header_value(), "max-age=0");
}

#[test]
fn the_floor_of_tls_is_a_letter() {
    assert_eq!(gateway(&format!("tls_floor = \"A+\"\n{GATEWAY}")).tls_floor, TlsGrade::APlus);
    assert_eq!(gateway(&format!("tls_floor = \"F\"\n{GATEWAY}")).tls_floor, TlsGrade::F);
    let (_, findings) = read(&format!("tls_floor = \"A++\"\n{GATEWAY}"), &[]);
    assert_eq!(
        lines(&findings),
        [
            "error: gateway.toml:1:13: `tls_floor`: expected `A+`, `A`, `A-`, `B`, `C`, `D`, `E` or `F`, found `A++` (did you mean `A+`?)"
        ]
    );
}

#[test]
fn upstream_urls_and_their_near_misses() {
    let url = "http://127.0.0.1:9000";
    check(url, "https://api.example.com/", &[]);
    check(url, "http://localhost:9000", &[]);
    check(
        url,
        "http://api.example.com",
        &["warning: gateway.toml:7:7: upstream `attributes`: `url`: attributes and tokens go over the network in the \
           clear (use `https://`, and `ca` where the backend's certificate is your own)"],
    );
    check(
        url,
        "https://api.example.com/v1",
        &["error: gateway.toml:7:7: upstream `attributes`: `url`: expected no path: requests keep their own, found \
           `https://api.example.com/v1`"],
    );
    check(
        url,
        "ftp://api.example.com",
        &["error: gateway.toml:7:7: upstream `attributes`: `url`: expected `https://` or `http://`, a host and \
           perhaps a port, found `ftp://api.example.com`"],
    );
    let (_, findings) = read(&with(GATEWAY, url, "https://me:hunter2@api.example.com"), &[]);
    assert_eq!(
        lines(&findings),
        ["error: gateway.toml:7:7: upstream `attributes`: `url`: expected no user and password"]
    );
    assert!(!findings.render(super::super::finding::Paint::Plain).contains("hunter2"));
}

#[test]
fn the_host_header_is_one_of_three_things() {
    let url = "url = \"http://127.0.0.1:9000\"";
    check(url, &format!("{url}\nhost = \"api.example.com\""), &[]);
    check(
        url,
        &format!("{url}\nhost = \"preserved\""),
        &["error: gateway.toml:8:8: upstream `attributes`: `host`: expected `preserve`, `upstream` or a host name \
           such as `api.example.com`, found `preserved`"],
    );
}

#[test]
fn the_admin_listener_is_on_loopback() {
    check("[upstreams.attributes]", "[admin]\naddress = \"127.8.8.8:1\"\n[upstreams.attributes]", &[]);
    check(
        "[upstreams.attributes]",
        "[admin]\naddress = \"0.0.0.0:9443\"\n[upstreams.attributes]",
        &["error: gateway.toml:7:11: `admin.address`: expected a loopback address, found `0.0.0.0:9443` (whoever \
           reaches this listener sees health and metrics without a password)"],
    );
}

#[test]
fn no_limit_is_zero() {
    check(
        "[upstreams.attributes]",
        "[limits]\nbody_bytes_max = 0\nheaders_max = 0\nidle_timeout = \"0s\"\nhttp2_streams_max = 1\n[upstreams.attributes]",
        &[
            "error: gateway.toml:7:18: `limits.body_bytes_max`: expected a size above zero",
            "error: gateway.toml:8:15: `limits.headers_max`: expected 1 to 10000, found 0",
            "error: gateway.toml:9:16: `limits.idle_timeout`: expected a duration above zero",
        ],
    );
}

#[test]
fn preload_needs_its_rules() {
    let section = |rest: &str| format!("[hsts]\npreload = true\n{rest}[upstreams.attributes]");
    check("[upstreams.attributes]", &section("include_subdomains = true\n"), &[]);
    check(
        "[upstreams.attributes]",
        &section(""),
        &["error: gateway.toml:7:11: `hsts`: `preload` needs `include_subdomains`"],
    );
}

#[test]
fn listeners_are_told_apart() {
    let second = |name: &str, port: u16| {
        format!(
            "[[listeners]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\n\
             certificates = [{{ certificate = \"a\", key = \"b\" }}]\n[upstreams.attributes]"
        )
    };
    check("[upstreams.attributes]", &second("other", 8444), &[]);
    check(
        "[upstreams.attributes]",
        &second("public", 8443),
        &[
            "error: gateway.toml:7:8: two listeners are called `public`",
            "error: gateway.toml:8:11: two listeners have the address `127.0.0.1:8443`",
        ],
    );
    check(
        "[{ certificate = \"../certs/dev.pem\", key = \"../certs/dev-key.pem\" }]",
        "[]",
        &["error: gateway.toml:5:16: `listeners[0].certificates`: expected at least one"],
    );
}

#[test]
fn an_empty_file_lacks_what_has_no_default() {
    let (_, findings) = read("", &[]);
    assert_eq!(
        lines(&findings),
        ["error: gateway.toml:1:1: `listeners` is missing", "error: gateway.toml:1:1: `upstreams` is missing"]
    );
}

#[test]
fn what_was_bound_at_the_start_awaits_a_restart_and_nothing_else_does() {
    let tables = |more: &str| {
        let started =
            gateway(&format!("{GATEWAY}[plain]\naddress = \"127.0.0.1:80\"\n[admin]\naddress = \"[::1]:9443\"\n"));
        gateway(&format!("{GATEWAY}{more}")).awaiting_restart(&started)
    };
    let as_before = "[plain]\naddress = \"127.0.0.1:80\"\n[admin]\naddress = \"[::1]:9443\"\n";
    assert_eq!(tables(as_before), Vec::<&str>::new());
    let of_requests = "[limits]\nbody_bytes_max = \"3 KiB\"\n[hsts]\nmax_age = \"0s\"\n";
    assert_eq!(tables(&format!("{as_before}{of_requests}")), Vec::<&str>::new());
    assert_eq!(tables("[limits]\nidle_timeout = \"7s\"\n[audit]\nkeep = 3\n"), ["plain", "admin", "audit", "limits"]);
    let elsewhere = with(GATEWAY, "8443", "8444");
    assert_eq!(gateway(&elsewhere).awaiting_restart(&gateway(GATEWAY)), ["listeners"]);
    let kept = format!("key_cache = \"keys\"\n{GATEWAY}");
    assert_eq!(gateway(&kept).awaiting_restart(&gateway(GATEWAY)), ["key_cache"]);
}

#[test]
fn the_state_and_its_near_misses() {
    let text = format!(
        "{GATEWAY}[state]\ndirectory = \"../state\"\nentries_max = 7\ncache_bytes_max = \"1 MiB\"\non_failure = \"open\"\n"
    );
    let state = gateway(&text).state;
    assert_eq!(state.directory.as_deref(), Some(Path::new("policies/../state")));
    assert_eq!((state.entries_max, state.cache_bytes_max, state.on_failure), (7, 1 << 20, OnFailure::Open));
    assert_eq!(gateway(GATEWAY).state, StateSettings::default());
    for (lines_of_state, found) in [
        (
            "directory = \"\"",
            "error: gateway.toml:9:13: `state.directory`: expected text, found nothing between the quotes",
        ),
        ("entries_max = 0", "error: gateway.toml:9:15: `state.entries_max`: expected 1 to 100000000, found 0"),
        (
            "on_failure = \"close\"",
            "error: gateway.toml:9:14: `state.on_failure`: expected `closed` or `open`, found `close` (did you mean `closed`?)",
        ),
        (
            "dir = \"a\"",
            "error: gateway.toml:9:1: unknown key `state.dir` (known here: `directory`, `entries_max`, `cache_bytes_max`, `on_failure`)",
        ),
    ] {
        let (_, findings) = read(&format!("{GATEWAY}[state]\n{lines_of_state}\n"), &[]);
        assert_eq!(lines(&findings), [found]);
    }
}

#[test]
fn a_token_of_the_admin_listener_is_somewhere_else_and_revocations_should_outlive_it() {
    let admin = |token: &str| format!("{GATEWAY}[admin]\naddress = \"127.0.0.1:9443\"\n{token}\n");
    let (_, findings) = read(&admin("token = \"0123456789abcdef\""), &[]);
    assert!(lines(&findings)[0].contains("a secret does not belong in a policy file"), "{findings:?}");
    assert!(!format!("{findings:?}").contains("0123456789abcdef"));
    let (set, findings) = read(&admin("token = { file = \"admin.token\" }"), &[]);
    let expected = "warning: gateway.toml:10:9: `admin.token`: revocations end with the process (`directory` in `[state]` \
                    keeps them)";
    assert_eq!(lines(&findings), [expected]);
    let token = set.expect("a set").gateway.admin.expect("admin").token;
    assert_eq!(token, Some(super::super::workspace::SecretSource::File("policies/admin.token".into())));
}

#[test]
fn rates_and_their_near_misses() {
    let text = format!(
        "{GATEWAY}[rates]\nhandshakes = {{ mode = \"off\" }}\nrequests_per_address = {{ rate = \"30/m\", burst = 7, mode = \"observe\" }}\n\
         requests_per_workspace = {{ rate = \"10/h\" }}\nrequests_per_origin = {{ mode = \"observe\" }}\n\
         [rates.penalty]\nfirst = \"1s\"\nlongest = \"1m\"\n"
    );
    let rates = gateway(&text).rates;
    let facts = |rate: Rate| (rate.count.get(), rate.per.as_secs(), rate.burst.get(), rate.mode);
    assert_eq!(facts(rates.handshakes), (5_000, 1, 20_000, Mode::Off));
    assert_eq!(facts(rates.requests_per_address), (30, 60, 7, Mode::Observe));
    // As many at once as it says, and whoever names a rate wants it kept.
    assert_eq!(facts(rates.requests_per_workspace), (10, 3_600, 10, Mode::Enforce));
    assert_eq!(facts(rates.requests_per_origin), (1_000, 1, 10_000, Mode::Observe));
    assert_eq!((rates.penalty.first.as_secs(), rates.penalty.longest.as_secs()), (1, 60));
    assert_eq!(gateway(GATEWAY).rates, Rates::default());
    for (lines_of_rates, found) in [
        (
            "requests_per_address = { rate = \"100\" }",
            "error: gateway.toml:9:33: `rates.requests_per_address.rate`: expected a rate such as `100/s`, `30/m` or `10/h`, found `100`",
        ),
        (
            "requests_per_address = { rate = 100 }",
            "error: gateway.toml:9:33: `rates.requests_per_address.rate`: expected text, found an integer",
        ),
        (
            "handshakes = { rate = \"0/s\" }",
            "error: gateway.toml:9:23: `rates.handshakes.rate`: expected a rate such as `100/s`, `30/m` or `10/h`, found `0/s`",
        ),
        (
            "handshakes = { burst = 0 }",
            "error: gateway.toml:9:24: `rates.handshakes.burst`: expected 1 to 1000000, found 0",
        ),
        (
            "handshakes = { mode = \"enforced\" }",
            "error: gateway.toml:9:23: `rates.handshakes.mode`: expected `off`, `observe` or `enforce`, found `enforced` (did you mean `enforce`?)",
        ),
        (
            "penalty = { first = \"1h\" }",
            "error: gateway.toml:9:21: `rates.penalty`: `longest` is shorter than `first`",
        ),
        ("penalty = { longest = \"2d\" }", "error: gateway.toml:9:23: `rates.penalty`: expected at most a day"),
        (
            "penalty = { first = \"0s\" }",
            "error: gateway.toml:9:21: `rates.penalty.first`: expected a duration above zero",
        ),
    ] {
        let (_, findings) = read(&format!("{GATEWAY}[rates]\n{lines_of_rates}\n"), &[]);
        assert_eq!(lines(&findings), [found]);
    }
    let (_, findings) = read(&format!("{GATEWAY}[rates]\nrequest_per_address = {{}}\n"), &[]);
    assert!(lines(&findings)[0].ends_with("(did you mean `requests_per_address`?)"), "{findings:?}");
}

#[test]
fn a_body_that_never_finds_room_is_a_warning() {
    let limits = |lines: &str| read(&format!("{GATEWAY}[limits]\n{lines}\n"), &[]).1;
    assert_eq!(lines(&limits("body_bytes_max = \"1 MiB\"\nbuffered_bytes_max = \"6 MiB\"")), [""; 0]);
    let found = limits("body_bytes_max = \"1 MiB\"\nbuffered_bytes_max = \"5 MiB\"");
    assert!(lines(&found)[0].contains("`body_bytes_max` never finds room"), "{found:?}");
}
