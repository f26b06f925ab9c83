//! `countersign tls check`, the grade in the running process, and the floor below which nothing comes into force.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::gateway::{BINARY, write_whole};
use crate::support::place::Place;
use crate::support::site::Site;
use crate::support::{NOBODY, SECRET, Setup, TestUpstream};

fn tls_check(options: &[&str], ca: Option<&Path>) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["tls", "check"]).args(options);
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    command.output().expect("the binary starts")
}

#[track_caller]
fn answer(output: &Output, code: i32) -> Value {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told.parse().expect("JSON")
}

fn codes(server: &Value) -> Vec<&str> {
    let findings = server["findings"].as_array().expect("a list").iter();
    findings.filter(|finding| !finding["lowers_to"].is_null()).filter_map(|finding| finding["code"].as_str()).collect()
}

fn versions(server: &Value) -> Vec<&str> {
    server["offers"].as_array().expect("a list").iter().filter_map(|offer| offer["version"].as_str()).collect()
}

#[tokio::test]
async fn a_gateway_as_it_is_shipped_is_an_a_plus_to_whoever_asks() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    let ca = gateway.setup.policies().join("../certs/dev-ca.pem");
    let host = format!("localhost:{}", gateway.address.port());
    let output = tls_check(&[&host, "--resolve", "localhost=127.0.0.1", "--floor", "A+", "--json"], Some(&ca));
    let answer = answer(&output, 0);
    let server = &answer["servers"][0];
    assert_eq!((&server["grade"], codes(server)), (&Value::from("A+"), Vec::new()), "{server}");
    assert_eq!(versions(server), ["TLS 1.3", "TLS 1.2"]);
    let suites: Vec<usize> = server["offers"]
        .as_array()
        .expect("offers")
        .iter()
        .map(|offer| offer["suites"].as_array().expect("suites").len())
        .collect();
    assert_eq!(suites, [3, 3]);
    assert!(server["offers"].as_array().expect("offers").iter().all(|offer| offer["server_prefers"] == true));
    assert_eq!(server["groups"].to_string(), r#"["X25519MLKEM768","X25519","secp256r1","secp384r1"]"#);
    assert_eq!((&server["compresses"], &server["renegotiates_safely"]), (&Value::from(false), &Value::from(true)));
    assert_eq!(server["hsts"]["max_age"], 63_072_000);

    // By another name, and to whoever does not believe the authority.
    let address = gateway.address.to_string();
    let options = ["other.example", "--connect", &address, "--json"];
    let output = tls_check(&options, Some(&ca));
    assert_eq!(output.status.code(), Some(1), "a name that no certificate has gets none: nothing is accepted");
    let stranger = Site::start("stranger.example", 3, "HTTP/1.1 200 OK");
    let other_ca = gateway.setup.policies().join("../other-ca.pem");
    write_whole(&other_ca, &stranger.ca_pem);
    let output = tls_check(&[&host, "--connect", &address, "--json"], Some(&other_ca));
    let untrusted: Value = String::from_utf8_lossy(&output.stdout).parse().expect("JSON");
    let server = &untrusted["servers"][0];
    assert_eq!((&server["grade"], &server["grade_trust_ignored"]), (&Value::from("T"), &Value::from("A+")), "{server}");
    assert_eq!((output.status.code(), codes(server)), (Some(1), vec!["untrusted"]));
    let told = String::from_utf8_lossy(&tls_check(&[&host, "--connect", &address], Some(&ca)).stdout).into_owned();
    assert!(
        told.contains("nothing lowers the grade") && told.lines().count() < 30 && !told.contains('\u{1b}'),
        "{told}"
    );
}

#[tokio::test]
async fn another_server_is_told_what_it_lacks() {
    let site = Site::start("site.example", 0, "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=86400");
    let directory = tempfile::tempdir().expect("a directory");
    let ca = directory.path().join("ca.pem");
    write_whole(&ca, &site.ca_pem);
    let resolve = format!("site.example={}", site.address);
    let output = tls_check(&["site.example", "--resolve", &resolve, "--floor", "A+", "--json"], Some(&ca));
    let answered = answer(&output, 1);
    assert_eq!(
        (codes(&answered["servers"][0]), &answered["servers"][0]["grade"]),
        (vec!["hsts_short"], &Value::from("A"))
    );
    assert_eq!(
        answer(&tls_check(&["site.example", "--resolve", &resolve, "--json"], Some(&ca)), 0)["servers"][0]["floor"],
        "A"
    );
    // It was asked for a page once each time; all else were hellos.
    assert_eq!(site.asked().len(), 2);
}

/// A server of OpenSSL, which still speaks what rustls does not.
struct OpenSsl {
    child: Child,
    address: SocketAddr,
}

impl OpenSsl {
    fn start(certificates: &Path, options: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(certificates.join("dev.pem"))
            .arg("-key")
            .arg(certificates.join("dev-key.pem"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned))
            .expect("openssl listens");
        // Whoever does not read it lets it stand.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.trim().parse().expect("an address") }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn old_versions_and_weak_suites_are_seen_although_we_do_not_speak_them() {
    let setup = Setup::acme(NOBODY);
    setup.write();
    let certificates = setup.policies().join("../certs");
    let check = |options: &[&str]| {
        let server = OpenSsl::start(&certificates, options);
        let output = tls_check(
            &["localhost", "--connect", &server.address.to_string(), "--json", "--timeout", "20s"],
            Some(&certificates.join("dev-ca.pem")),
        );
        answer(&output, 1)["servers"][0].clone()
    };
    let old = check(&["-tls1_1", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"]);
    assert_eq!(versions(&old), ["TLS 1.1"], "{old}");
    assert_eq!(old["grade"], "C");
    assert_eq!(codes(&old), ["no_tls12", "tls11", "no_aead", "no_tls13", "hsts_unknown"]);
    let weak = check(&["-no_tls1_3", "-cipher", "ALL:eNULL:aNULL:@SECLEVEL=0"]);
    assert_eq!(versions(&weak), ["TLS 1.2", "TLS 1.1", "TLS 1.0"], "{weak}");
    assert_eq!(weak["grade"], "F");
    for code in ["null_cipher", "anonymous", "insecure_key", "tls10", "tls11", "no_tls13"] {
        assert!(codes(&weak).contains(&code), "no `{code}`: {weak}");
    }
}

#[test]
fn who_is_not_there_or_speaks_no_tls_is_2() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let plain = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let plain_address = plain.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in plain.incoming().flatten() {
            drop((&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_address = mute.local_addr().expect("an address").to_string();
    for (options, words) in [
        (&[gone.as_str()][..], "nobody answers on"),
        (&[plain_address.as_str()], "does not speak TLS"),
        (&[mute_address.as_str(), "--timeout", "1s"], "no answer from"),
        (&["a.example/path"], "expected a host name or address"),
        (&["a.example", "--ca", "nowhere.pem"], "nowhere.pem"),
        (&["a.example", "--floor", "A++"], "expected one of A+"),
        (&["--policies", "nowhere"], "nowhere"),
    ] {
        let output = tls_check(options, None);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {told}");
        // A machine without authorities says that first.
        assert!(
            told.contains(words) || told.contains("the system's certificate authorities"),
            "no `{words}` in {told}"
        );
    }
}

#[test]
fn listeners_are_graded_by_their_configuration_where_nothing_runs() {
    let setup = Setup::acme(NOBODY);
    setup.write();
    let ca = setup.policies().join("../certs/dev-ca.pem");
    let policies = setup.policies();
    let options = ["--policies", policies.to_str().expect("text"), "--json"];
    let answered = answer(&tls_check(&options, Some(&ca)), 0);
    let server = &answered["servers"][0];
    assert_eq!(
        (&server["server"], &server["grade"], &server["address"]),
        (&"listener `public`".into(), &"A+".into(), &Value::Null)
    );
    let setup = setup.settings("tls_floor = \"A+\"").gateway("[hsts]\nmax_age = \"30d\"\n");
    setup.write();
    let answered = answer(&tls_check(&options, Some(&ca)), 1);
    assert_eq!((codes(&answered["servers"][0]), &answered["servers"][0]["floor"]), (vec!["hsts_short"], &"A+".into()));
}

/// Behind a balancer nobody else may speak: that says nothing of the listener's TLS.
#[tokio::test]
async fn a_listener_that_only_balancers_may_speak_to_is_graded_by_its_configuration() {
    let upstream = TestUpstream::start().await;
    let place = Place::new();
    let listens = format!(
        "address = \"{}\"\ncertificates = [{{ certificate = \"../certs/dev.pem\", key = \"../certs/dev-key.pem\" }}]",
        place.at(8443)
    );
    let setup = Setup::acme(upstream.address).listens(&listens).listener("proxy_protocol = { from = [\"192.0.2.1\"] }");
    let gateway = setup.start();
    let output = tls_check(&["--json", "--policies", gateway.setup.policies().to_str().expect("text")], None);
    let server = &answer(&output, 0)["servers"][0];
    assert_eq!((&server["grade_trust_ignored"], &server["address"]), (&Value::from("A+"), &Value::Null), "{server}");
}

#[test]
fn a_listener_below_the_floor_does_not_start() {
    let setup = Setup::acme(NOBODY).settings("tls_floor = \"A+\"").gateway("[hsts]\nmax_age = \"0s\"\n");
    setup.write();
    let output = Command::new(BINARY)
        .args(["serve", "--policies"])
        .arg(setup.policies())
        .env("TEST_SECRET", SECRET)
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("listener `public`: TLS would be A, and `tls_floor` is A+: HSTS tells browsers to forget"),
        "{told}"
    );
}

#[tokio::test]
async fn a_reload_below_the_floor_is_refused_and_one_above_it_shows_its_grade() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).settings("tls_floor = \"A+\"").start();
    assert!(gateway.admin_get("/metrics").contains(r#"countersign_tls_grade{listener="public",grade="A+"} 7"#));
    assert!(
        gateway
            .admin_get("/status")
            .contains(r#""tls":[{"listener":"public","grade":"A+","findings":[],"handshake":"ok"}]"#)
    );

    let file = gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&file).expect("there");
    write_whole(&file, &format!("{text}\n[hsts]\nmax_age = \"179d\"\n"));
    gateway.await_log("policy_reload_failed");
    let mistake = gateway.await_log("policy_mistake");
    assert!(mistake.contains("TLS would be A, and `tls_floor` is A+: HSTS for 179 days"), "{mistake}");
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.contains("countersign_policy_reload_failed 1"));
    assert!(metrics.contains(r#"countersign_tls_grade{listener="public",grade="A+"} 7"#), "what is in force is graded");
    let answer = gateway.http1().await.post_form("/nowhere", String::new()).await;
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000"), "the last good one stays");

    // Whoever lowers the floor has the lower grade, and is told.
    let lowered = text.replace("tls_floor = \"A+\"", "tls_floor = \"A\"");
    write_whole(&file, &format!("{lowered}\n[hsts]\nmax_age = \"179d\"\n"));
    gateway.await_log("policy_reloaded");
    gateway.await_log("tls_grade_fell");
    assert!(gateway.await_log("tls_finding").contains("hsts_short"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !gateway.admin_get("/metrics").contains(r#"countersign_tls_grade{listener="public",grade="A"} 6"#) {
        assert!(std::time::Instant::now() < deadline, "the grade of now");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
