//! Rates: who asks too often is told so, nobody else is, and nothing of it reaches the upstream.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use serde_json::json;
use tokio::net::TcpSocket;

use crate::addresses::site;
use crate::support::client::form_request;
use crate::support::gateway::write_whole;
use crate::support::token::{now, user_hash};
use crate::support::{Answer, Bench, Client, Setup, Token, ping_form};

const PING: &str = "/messenger/web/ping";

/// What comes back so slowly that no test waits for it.
const NEVER: &str = "rate = \"1/h\"";

fn ping(data: &serde_json::Value) -> Request<String> {
    form_request(PING, ping_form(&data.to_string()))
}

fn nameless() -> Request<String> {
    ping(&json!({"nickname": "ada"}))
}

fn proven(token: &str) -> Request<String> {
    ping(&json!({"user_id": "user-42", "nickname": "ada", "intercom_user_jwt": token}))
}

fn guess() -> Request<String> {
    proven(&Token::saying("").secret("nobodys-0123456789abcdef0123456789abcdef").text())
}

/// As many guesses as are too many where three may fail.
async fn bring_penalty(bench: &mut Bench) {
    for _ in 0..3 {
        bench.passes(guess()).await;
    }
    assert_eq!(bench.refused(guess(), 429).await, "rate_failing_proofs");
}

/// Asks until there is one too many of the few that are looked at in a penalty, also on a slow machine.
async fn refused_unread(bench: &mut Bench, request: impl Fn() -> Request<String>) -> Answer {
    for _ in 0..1_000 {
        let answer = bench.send(request()).await;
        if bench.record()["outcome"] == "proof_penalty" {
            assert_eq!(answer.status, 429);
            bench.upstream.forget();
            return answer;
        }
    }
    panic!("each was looked at")
}

async fn with_rates(rates: &str) -> Bench {
    Bench::acme(|setup| setup.gateway(&format!("[rates]\n{rates}\n"))).await
}

/// What a browser asks before the call of a trusted page.
fn preflight() -> Request<String> {
    Request::options(PING)
        .header("origin", "https://app.acme.example")
        .header("access-control-request-method", "POST")
        .body(String::new())
        .expect("a request")
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let mut bench = with_rates(&format!("requests_per_address = {{ {NEVER}, burst = 3 }}")).await;
    for _ in 0..3 {
        bench.passes(nameless()).await;
    }
    bench.upstream.forget();
    let answer = bench.send(nameless()).await;
    assert_eq!(answer.status, 429);
    assert!(bench.upstream.received().is_empty());
    let wait: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    assert_eq!(answer.header("ratelimit"), Some(&*format!("\"address\";r=0;t={wait}")));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"address\";q=3;w=10800"));
    // The page that sent it may read why.
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.acme.example"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("RateLimit, RateLimit-Policy, Retry-After"));
    assert!(answer.header("content-type").is_some_and(|kind| kind == "application/problem+json"));
    assert_eq!(bench.record()["outcome"], "rate_address");
    assert_eq!(bench.record()["operation"], "ping");

    // Whatever comes counts, and is answered for what it is; a preflight too.
    assert_eq!(bench.send(preflight()).await.status, 204);
    let untrusted = Request::post(PING).header("origin", "https://evil.example").body(String::new()).expect("ok");
    assert_eq!(bench.refused(untrusted, 403).await, "origin_untrusted");
    // Another address is somebody else.
    let mut other = Client::connect_from([127, 0, 0, 9], bench.gateway.address, &bench.gateway.ca_pem).await;
    bench.count_one();
    assert_eq!(other.send(nameless()).await.status, 200);
    let metrics = bench.gateway.admin_get("/metrics");
    for line in [
        // The preflight and the untrusted origin found it reached too, and were not refused for it.
        r#"countersign_rate_exceeded_total{limit="address",applied="true"} 1"#,
        r#"countersign_rate_exceeded_total{limit="address",applied="false"} 0"#,
        r#"countersign_rate_keys{limit="address"} 2"#,
        r#"countersign_rate_keys_shared_total{limit="address"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
    let status = bench.gateway.admin_get("/status");
    assert!(status.contains(r#"{"limit":"address","refused":1,"observed":0,"keys":2}"#), "{status}");
}

#[tokio::test]
async fn a_client_of_whose_rate_little_is_left_is_told_so() {
    for (burst, expected) in [(16, &["\"address\";r=1", "\"address\";r=0"][..]), (4, &["\"address\";r=0"])] {
        let mut bench = with_rates(&format!("requests_per_address = {{ {NEVER}, burst = {burst} }}")).await;
        let mut told = Vec::new();
        for _ in 0..burst {
            let answer = bench.send(nameless()).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("ratelimit").is_some(), answer.header("ratelimit-policy").is_some());
            told.extend(answer.header("ratelimit").map(str::to_owned));
        }
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn what_is_observed_is_recorded_and_nothing_is_refused() {
    let mut bench = with_rates(&format!(
        "requests_per_address = {{ {NEVER}, burst = 1, mode = \"observe\" }}\n\
         requests_per_workspace = {{ {NEVER}, burst = 1, mode = \"observe\" }}\n\
         failing_proofs = {{ {NEVER}, burst = 1, mode = \"observe\" }}"
    ))
    .await;
    bench.passes(nameless()).await;
    assert_eq!(bench.record()["would_refuse"], json!(null));
    bench.passes(nameless()).await;
    assert_eq!(bench.record()["would_refuse"], "rate_address");
    for _ in 0..4 {
        bench.passes(guess()).await;
    }
    // What has no rate's consequence is not counted as if it had, and its record says nothing of it either.
    assert_eq!(bench.send(preflight()).await.status, 204);
    assert_eq!(bench.record()["would_refuse"], json!(null));
    let nowhere = Request::get("/nowhere").body(String::new()).expect("a request");
    assert_eq!(bench.send(nowhere).await.status, 404);
    assert_eq!(bench.record()["would_refuse"], json!(null));
    let metrics = bench.gateway.admin_get("/metrics");
    for line in [
        r#"countersign_rate_exceeded_total{limit="address",applied="false"} 5"#,
        r#"countersign_rate_exceeded_total{limit="workspace",applied="false"} 5"#,
        r#"countersign_rate_exceeded_total{limit="failing_proofs",applied="false"} 3"#,
        r#"countersign_rate_exceeded_total{limit="penalty",applied="true"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

#[tokio::test]
async fn workspace_origin_and_user_have_rates_of_their_own() {
    let mut bench = with_rates(&format!("requests_per_workspace = {{ {NEVER}, burst = 2 }}")).await;
    for _ in 0..2 {
        bench.passes(nameless()).await;
    }
    assert_eq!(bench.refused(nameless(), 429).await, "rate_workspace");
    assert_eq!(bench.record()["workspace"], "acme");

    let mut bench = with_rates(&format!("requests_per_origin = {{ {NEVER}, burst = 2 }}")).await;
    for _ in 0..2 {
        bench.passes(nameless()).await;
    }
    assert_eq!(bench.refused(nameless(), 429).await, "rate_origin");
    let mut elsewhere = nameless();
    elsewhere.headers_mut().insert("origin", "https://shop.acme.example".parse().expect("a value"));
    bench.passes(elsewhere).await;

    let mut bench = with_rates(&format!("requests_per_subject = {{ {NEVER}, burst = 2 }}")).await;
    let token = Token::saying("").text();
    bench.passes(proven(&token)).await;
    // Another token is the same user, and so is none at all nobody.
    bench.passes(proven(&Token::saying(r#""plan":"pro""#).text())).await;
    assert_eq!(bench.refused(proven(&token), 429).await, "rate_subject");
    bench.passes(nameless()).await;
}

#[tokio::test]
async fn a_workspace_may_have_rates_of_its_own() {
    let own = |setup: Setup| {
        setup
            .with("[attributes]", &format!("[rates]\nrequests = {{ {NEVER}, burst = 1 }}\n[attributes]"))
            .gateway("[rates]\nrequests_per_workspace = { mode = \"off\" }\n")
    };
    let mut bench = Bench::acme(own).await;
    bench.passes(nameless()).await;
    assert_eq!(bench.refused(nameless(), 429).await, "rate_workspace");
}

#[tokio::test]
async fn what_names_no_workspace_counts_where_it_can_be_for_one_alone() {
    let rate = format!("[rates]\nrequests = {{ {NEVER}, burst = 1 }}");
    let both = |upstream| {
        Setup::new(upstream).workspace("a", &site("chatwoot", "a1", &rate)).workspace(
            "z",
            &site("chatwoot", "z1", "").replace("\"https://app", "\"https://z.example\", \"https://app"),
        )
    };
    let mut bench = Bench::start(both).await;
    let load = |target: &str, origin: &str| {
        Request::get(target).header("origin", origin).body(String::new()).expect("a request")
    };
    // Pages of both, and of the other one alone.
    for origin in ["https://app.acme.example", "https://app.acme.example", "https://z.example"] {
        bench.passes(load("/api/v1/widget/messages", origin)).await;
    }
    let own = "/api/v1/widget/messages?website_token=a1";
    bench.passes(load(own, "https://app.acme.example")).await;
    assert_eq!(bench.refused(load(own, "https://app.acme.example"), 429).await, "rate_workspace");

    // A page that only one of them trusts is that one's.
    let both = |upstream| {
        Setup::new(upstream)
            .workspace("a", &site("chatwoot", "a1", &rate))
            .workspace("z", &site("chatwoot", "z1", "").replace("app.acme.example", "z.example"))
    };
    let mut bench = Bench::start(both).await;
    bench.passes(load("/api/v1/widget/messages", "https://app.acme.example")).await;
    assert_eq!(bench.refused(load(own, "https://app.acme.example"), 429).await, "rate_workspace");
}

#[tokio::test]
async fn whom_a_workspace_refuses_uses_up_nothing_of_its_rate() {
    let mut bench = Bench::acme(|setup| {
        let others = setup.text("acme").replace("abc12345", "def67890").replace("app.acme.example\"", "b.example\"");
        let own = format!(
            "[rates]\nrequests = {{ {NEVER}, burst = 2 }}\n[[addresses]]\nfrom = [\"127.0.0.1\"]\n[attributes]"
        );
        setup.with("[attributes]", &own).workspace("other", &others)
    })
    .await;
    for _ in 0..3 {
        let mut foreign = nameless();
        foreign.headers_mut().insert("origin", "https://b.example".parse().expect("a value"));
        assert_eq!(bench.refused(foreign, 403).await, "origin_untrusted");
        let mut stranger = Client::connect_from([127, 0, 0, 9], bench.gateway.address, &bench.gateway.ca_pem).await;
        bench.count_one();
        assert_eq!(stranger.send(nameless()).await.status, 403);
        assert_eq!(bench.record()["outcome"], "address_not_allowed");
        assert_eq!(bench.record()["workspace"], "acme");
    }
    for _ in 0..2 {
        bench.passes(nameless()).await;
    }
    assert_eq!(bench.refused(nameless(), 429).await, "rate_workspace");
}

#[tokio::test]
async fn repeated_bad_proofs_are_refused_unread_and_others_behind_the_same_address_go_on() {
    let mut bench = with_rates(&format!("failing_proofs = {{ {NEVER}, burst = 24 }}")).await;
    let colleague = Token::saying(r#""seats":"7""#).text();
    bench.passes(proven(&colleague)).await;
    for _ in 0..24 {
        let answer = bench.send(guess()).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit")), (200, None), "how it failed nobody tells");
        assert_eq!(bench.upstream.only().user_data()["nickname"], "ada");
        assert_eq!(bench.record()["proof"], "bad_signature");
    }
    let answer = bench.send(guess()).await;
    assert_eq!((answer.status.as_u16(), &bench.record()["outcome"]), (429, &json!("rate_failing_proofs")));
    let wait: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!(wait > 3_500, "{wait}");
    let answer = refused_unread(&mut bench, guess).await;
    assert_eq!((answer.header("retry-after"), &bench.record()["proof"]), (Some("1"), &json!(null)));
    // What held before goes on, and so does whoever proves nothing.
    bench.passes(proven(&colleague)).await;
    assert_eq!(bench.record()["proof"], "valid");
    bench.passes(nameless()).await;
    // A good token that is new is refused as well: which it is could only be told by verifying it. Elsewhere it is not.
    let number = AtomicUsize::new(0);
    let fresh = || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        Token::saying(&format!(r#""seats":"fresh {number}""#)).text()
    };
    refused_unread(&mut bench, || proven(&fresh())).await;
    let mut elsewhere = Client::connect_from([127, 0, 0, 9], bench.gateway.address, &bench.gateway.ca_pem).await;
    bench.count_one();
    assert_eq!(elsewhere.send(proven(&fresh())).await.status, 200);
    // Somebody else's good token in the place of one's own makes nobody known.
    refused_unread(&mut bench, || proven(&format!("{colleague}x"))).await;
}

#[tokio::test]
async fn whoever_comes_anew_gets_through_while_somebody_at_the_same_address_guesses() {
    let rates = format!("failing_proofs = {{ {NEVER}, burst = 3 }}\npenalty = {{ first = \"1h\", longest = \"1h\" }}");
    let mut bench = with_rates(&rates).await;
    bring_penalty(&mut bench).await;
    refused_unread(&mut bench, guess).await;
    let (address, ca_pem) = (bench.gateway.address, bench.gateway.ca_pem.clone());
    let mut attacker = Client::connect_from([127, 0, 0, 1], address, &ca_pem).await;
    let attack = async {
        loop {
            assert_eq!(attacker.send(guess()).await.status, 429);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut newcomer = Client::connect_from([127, 0, 0, 1], address, &ca_pem).await;
    let token = Token::saying("").text();
    let obeys = async {
        loop {
            let answer = newcomer.send(proven(&token)).await;
            if answer.status == 200 {
                break;
            }
            let wait = answer.header("retry-after").expect("a time").parse().expect("seconds");
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    };
    tokio::select! {
        () = attack => {}
        through = tokio::time::timeout(Duration::from_secs(60), obeys) => through.expect("got through"),
    }
    // And is known from then on.
    for _ in 0..10 {
        assert_eq!(newcomer.send(proven(&token)).await.status, 200);
    }
}

#[tokio::test]
async fn a_proof_that_held_goes_on_in_a_penalty_whatever_stands_beside_it() {
    let mut bench = with_rates(&format!("failing_proofs = {{ {NEVER}, burst = 3 }}")).await;
    let colleague = Token::saying(r#""seats":"7""#).text();
    let by_mail = json!({"email": "ada@example.com", "nickname": "ada", "user_hash": user_hash("ada@example.com")});
    bench.passes(proven(&colleague)).await;
    bench.passes(ping(&by_mail)).await;
    bring_penalty(&mut bench).await;
    for beside in [
        json!({"nickname": "ada", "intercom_user_jwt": colleague}),
        json!({"user_id": "user-42", "nickname": "ada", "intercom_user_jwt": colleague, "user_hash": ""}),
        json!({"email": "other@example.com", "user_id": "user-42", "nickname": "ada", "intercom_user_jwt": colleague}),
    ] {
        bench.passes(ping(&beside)).await;
        assert_eq!(bench.record()["proof"], "valid", "{beside}");
    }
    bench.passes(ping(&by_mail)).await;
    assert_eq!(bench.record()["proof"], "hash_valid");
    // That it is known makes it nobody else's.
    let others = json!({"user_id": "user-43", "nickname": "ada", "intercom_user_jwt": colleague});
    assert_eq!(bench.refused(ping(&others), 429).await, "rate_failing_proofs");
    assert_eq!(bench.record()["proof"], "subject_mismatch");
}

#[tokio::test]
async fn nobody_floods_what_is_known_with_good_proofs_of_their_own() {
    let few = |setup: Setup| {
        setup.gateway(&format!("[limits]\nrate_keys_max = 64\n[rates]\nfailing_proofs = {{ {NEVER}, burst = 3 }}\n"))
    };
    let mut bench = Bench::acme(few).await;
    let colleague = Token::saying("").text();
    bench.passes(proven(&colleague)).await;
    for number in 0..200 {
        let own = Token::of(&format!(r#"{{"user_id":"user-9","exp":{},"n":{}}}"#, now() + 600, number / 2)).text();
        let hash = format!("{number:064x}");
        let varied = json!({"user_id": "user-9", "nickname": "eve", "intercom_user_jwt": own, "user_hash": hash});
        bench.passes(ping(&varied)).await;
    }
    bring_penalty(&mut bench).await;
    bench.passes(proven(&colleague)).await;
    assert_eq!(bench.record()["proof"], "valid");
}

#[tokio::test]
async fn whoever_asks_too_often_makes_no_further_proof_known() {
    let rates = format!("failing_proofs = {{ {NEVER}, burst = 3 }}\nrequests_per_subject = {{ {NEVER}, burst = 1 }}");
    let mut bench = with_rates(&rates).await;
    bench.passes(proven(&Token::saying("").text())).await;
    let another = Token::saying(r#""seats":"7""#).text();
    assert_eq!(bench.refused(proven(&another), 429).await, "rate_subject");
    bring_penalty(&mut bench).await;
    refused_unread(&mut bench, || proven(&another)).await;
}

#[tokio::test]
async fn a_reload_takes_back_a_penalty_that_was_meant_too_long() {
    let long = "{ first = \"1h\", longest = \"1h\" }";
    let mut bench = with_rates(&format!("failing_proofs = {{ rate = \"1/s\", burst = 3 }}\npenalty = {long}")).await;
    let told = async |bench: &mut Bench| loop {
        let answer = bench.send(guess()).await;
        if answer.status == 429 {
            break answer.header("retry-after").expect("a time").parse::<u64>().expect("seconds");
        }
    };
    assert!(told(&mut bench).await > 3_500);
    let path = bench.gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&path).expect("the file");
    write_whole(&path, &text.replace(long, "{ first = \"1s\", longest = \"2s\" }"));
    bench.gateway.await_metric("countersign_policy_reloads_total{result=\"ok\"} 1");
    assert!(told(&mut bench).await <= 2);
}

#[tokio::test]
async fn tokens_that_have_merely_ended_bring_no_penalty() {
    let mut bench = with_rates(&format!("failing_proofs = {{ {NEVER}, burst = 1 }}")).await;
    let ended = Token::of(r#"{"user_id":"user-42","exp":1700000000}"#).text();
    for _ in 0..5 {
        bench.passes(proven(&ended)).await;
        assert_eq!(bench.record()["proof"], "expired");
    }
}

#[tokio::test]
async fn a_workspace_that_only_observes_refuses_no_proof() {
    let observing = |setup: Setup| {
        setup
            .with("mode = \"enforce\"", "mode = \"observe\"")
            .gateway(&format!("[rates]\nfailing_proofs = {{ {NEVER}, burst = 1 }}\n"))
    };
    let mut bench = Bench::acme(observing).await;
    for _ in 0..1_000 {
        bench.passes(guess()).await;
        if bench.record()["would_refuse"] == "proof_penalty" {
            return;
        }
    }
    panic!("nothing would be refused");
}

#[tokio::test]
async fn handshakes_beyond_the_rate_are_closed_before_they_begin() {
    let bench = with_rates(&format!("handshakes_per_address = {{ {NEVER}, burst = 2 }}")).await;
    // From an address that neither the bench nor the gateway's look at itself uses.
    let connect = async || {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 8], 0))).expect("an address of this machine");
        let stream = socket.connect(bench.gateway.address).await.expect("a connection");
        crate::support::client::over_tls(stream, &bench.gateway.ca_pem, "localhost", &[]).await
    };
    for _ in 0..2 {
        assert!(connect().await.is_ok());
    }
    for _ in 0..3 {
        assert!(connect().await.is_err());
    }
    drop(Client::connect_from([127, 0, 0, 9], bench.gateway.address, &bench.gateway.ca_pem).await);
    let metrics = bench.gateway.admin_get("/metrics");
    for line in [
        r#"countersign_handshakes_failed_total{reason="rate"} 3"#,
        r#"countersign_rate_exceeded_total{limit="handshakes_per_address",applied="true"} 3"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

#[tokio::test]
async fn rates_change_under_load_without_a_failed_request_and_forget_nobody() {
    const REWRITES: usize = 8;
    let mut bench = with_rates("requests_per_address = { rate = \"100000/s\", burst = 100000 }").await;
    let path = bench.gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&path).expect("the file");
    let answered = AtomicUsize::new(0);
    let load = async {
        let (mut first, mut second) = (bench.gateway.http1().await, bench.gateway.http2().await);
        let until = Instant::now() + Duration::from_secs(60);
        let mut reloads = 0;
        while reloads < REWRITES && Instant::now() < until {
            let rewritten = text.replace("100000", &(90_000 + reloads).to_string());
            write_whole(&path, &rewritten);
            let before = bench.gateway.admin_get("/metrics");
            let count = |metrics: &str| {
                let line =
                    metrics.lines().find(|line| line.starts_with("countersign_policy_reloads_total{result=\"ok\"}"));
                line.and_then(|line| line.rsplit_once(' ')).map_or(0, |(_, number)| number.parse().unwrap_or(0))
            };
            let reloaded: usize = count(&before);
            while count(&bench.gateway.admin_get("/metrics")) == reloaded && Instant::now() < until {
                for client in [&mut first, &mut second] {
                    assert_eq!(client.send(nameless()).await.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            reloads += 1;
        }
        assert_eq!(reloads, REWRITES);
    };
    load.await;
    let answered = answered.into_inner();
    assert!(answered > REWRITES, "{answered}");
    assert_eq!(bench.upstream.received().len(), answered);
    let records = bench.gateway.records(answered);
    assert!(records.iter().all(|record| record["outcome"] == "sent"));
    // Down to next to nothing: what was asked before counts, so the next one is too many.
    write_whole(&path, &text.replace("rate = \"100000/s\", burst = 100000", "rate = \"1/h\", burst = 1"));
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = bench.client.send(nameless()).await;
        if answer.status == 429 {
            break;
        }
        assert!(Instant::now() < until, "the new rate is not in force");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // And up again: nobody is locked out by what they owed under the other rate.
    write_whole(&path, &text);
    loop {
        let answer = bench.client.send(nameless()).await;
        if answer.status == 200 {
            break;
        }
        assert!(Instant::now() < until, "the old rate is not in force again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
