//! HTTP/2 clients that send too much of something, over real TLS: what reaches the upstream, and what they are told.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::client::{connect_tls, form_request};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, post,
};
use crate::support::{Client, Setup, TestGateway, TestUpstream, form, ping_form};

const PING_PATH: &str = "/messenger/web/ping";
const CANCEL: [u8; 4] = [0, 0, 0, 8];

async fn start(change: impl FnOnce(Setup) -> Setup) -> (TestUpstream, TestGateway) {
    let upstream = TestUpstream::start().await;
    let gateway = change(Setup::acme(upstream.address)).start();
    (upstream, gateway)
}

async fn frames(gateway: &TestGateway) -> Frames<TlsStream<TcpStream>> {
    let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"h2"]).await.expect("TLS");
    Frames::begin(stream, &[]).await
}

/// A whole request on this stream.
fn ping(stream: u32) -> Vec<u8> {
    // Short, since this client looks at no window of the gateway's.
    let body = form(&[("app_id", "abc12345"), ("user_data", "{}")]);
    let head = frame(HEADERS, END_HEADERS, stream, &block(&post(PING_PATH)));
    [head, frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

/// Opens and resets streams until the gateway has enough of it; gives how many.
async fn reset_rapidly(client: &mut Frames<TlsStream<TcpStream>>, streams: u32) -> u32 {
    for number in 0..streams {
        let stream = 2 * number + 1;
        if !client.send(&ping(stream)).await {
            return number;
        }
        // So that the request is looked at before it is taken back.
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if !client.send(&frame(RST_STREAM, 0, stream, &CANCEL)).await {
            return number;
        }
    }
    streams
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_reach_the_upstream_hardly_at_all() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = frames(&gateway).await;
    let opened = reset_rapidly(&mut client, 4_000).await;
    assert!(opened < 4_000, "the connection ends");
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    let reached = upstream.received().len();
    assert!(reached <= 1_500, "{reached} of {opened}");
    // Somebody else is served, also from the same address.
    assert_eq!(gateway.http2().await.post_form(PING_PATH, ping_form("{}")).await.status, 200);
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.contains(r#"countersign_connections_excessive_total{reason="resets"} 1"#), "{metrics}");
}

#[tokio::test]
async fn coming_back_makes_nobody_innocent() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut left = 4_000;
    for _ in 0..200 {
        let mut client = frames(&gateway).await;
        left -= reset_rapidly(&mut client, left.min(200)).await;
        if left == 0 {
            break;
        }
    }
    let reached = upstream.received().len();
    assert!(reached <= 1_500, "{reached}, {left} left");
    // Whoever is elsewhere notices nothing; who shares the address waits some seconds at most.
    let mut other = elsewhere(&gateway).await;
    let mut neighbour = gateway.http2().await;
    assert_eq!(other.post_form(PING_PATH, ping_form("{}")).await.status, 200);
    served_soon(&mut neighbour).await;
    for client in [&mut other, &mut neighbour] {
        for _ in 0..5 {
            assert_eq!(client.post_form(PING_PATH, ping_form("{}")).await.status, 200);
        }
    }
}

async fn elsewhere(gateway: &TestGateway) -> Client {
    Client::connect_from([127, 0, 0, 9], gateway.address, &gateway.ca_pem).await
}

/// Asks until it is no longer told to wait.
async fn served_soon(client: &mut Client) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.post_form(PING_PATH, ping_form("{}")).await.status != 200 {
        assert!(Instant::now() < deadline, "the places stay taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An upstream that works long on what comes from here, and not on what comes from [`elsewhere`].
async fn slow_upstream() -> TestUpstream {
    TestUpstream::answering(|received| {
        let is_elsewhere = received.header("x-forwarded-for") == Some("127.0.0.9");
        let delay = if is_elsewhere { Duration::ZERO } else { Duration::from_secs(600) };
        (delay, http::Response::new("{}".into()))
    })
    .await
}

#[tokio::test]
async fn who_closes_the_connection_takes_back_no_more_than_who_resets_its_streams() {
    for last_words in [&[][..], &frame(GOAWAY, 0, 0, &[0; 8])] {
        let upstream = slow_upstream().await;
        let gateway = Setup::acme(upstream.address).start();
        let mut other = elsewhere(&gateway).await;
        for _ in 0..40 {
            let mut client = frames(&gateway).await;
            let hundred: Vec<u8> =
                (0..100).flat_map(|number| ping(2 * number + 1)).chain(last_words.to_vec()).collect();
            assert!(client.send(&hundred).await);
            tokio::time::sleep(Duration::from_millis(60)).await;
            drop(client);
            assert_eq!(other.post_form(PING_PATH, ping_form("{}")).await.status, 200);
        }
        let reached = upstream.received().len() - 40;
        assert!((1..=1_500).contains(&reached), "{reached} of 4000");
    }
}

#[tokio::test]
async fn who_leaves_connection_after_connection_is_told_to_wait() {
    let upstream = slow_upstream().await;
    let limits = "[limits]\nrequests_at_once_per_address_max = 8\n";
    let gateway = Setup::acme(upstream.address).gateway(limits).start();
    let mut left = 0;
    let refused = loop {
        let mut client = gateway.http1().await;
        let request = form_request(PING_PATH, ping_form("{}"));
        match tokio::time::timeout(Duration::from_millis(100), client.send(request)).await {
            Ok(answer) => break answer,
            Err(_) => left += 1,
        }
        assert!(left <= 16, "twice the limit");
        client.leave().await;
    };
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.acme.example"));
    assert_eq!(upstream.received().len(), left);
    assert_eq!(elsewhere(&gateway).await.post_form(PING_PATH, ping_form("{}")).await.status, 200);
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.contains(r#"outcome="requests_abandoned""#), "{metrics}");
}

#[tokio::test]
async fn what_some_clients_of_a_trusted_proxy_leave_ends_nothing_of_the_others() {
    let proxies = "[client_address]\ntrusted_proxies = [\"127.0.0.1\"]\nheader = \"x-forwarded-for\"\n";
    let (_upstream, gateway) = start(|setup| setup.gateway(proxies)).await;
    let mut proxy = frames(&gateway).await;
    let ask = |stream: u32| {
        let client = format!("198.51.{}.{}", stream / 200, stream % 200);
        let fields = [post(PING_PATH), vec![("x-forwarded-for", &*client)]].concat();
        let body = form(&[("app_id", "abc12345"), ("user_data", "{}")]);
        [frame(HEADERS, END_HEADERS, stream, &block(&fields)), frame(DATA, END_STREAM, stream, body.as_bytes())]
            .concat()
    };
    for stream in (0..1_200).map(|number| 2 * number + 1) {
        assert!(proxy.send(&ask(stream)).await, "{stream}");
        if stream % 10 == 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(proxy.send(&frame(RST_STREAM, 0, stream, &CANCEL)).await, "{stream}");
    }
    assert!(proxy.send(&ask(2_401)).await);
    loop {
        let frame = proxy.next().await.expect("the connection stays");
        assert_ne!(frame.kind, GOAWAY, "{}", gateway.admin_get("/metrics"));
        if frame.kind == HEADERS && frame.stream == 2_401 {
            // `:status: 200`, by its index.
            assert_eq!(frame.payload[0], 0x88);
            break;
        }
    }
}

#[tokio::test]
async fn resets_that_a_client_makes_us_send_count_as_its_own() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = frames(&gateway).await;
    for number in 0..4_000 {
        let stream = 2 * number + 1;
        // A window beyond all bounds is an error of the stream (RFC 9113 §6.9.1).
        let too_wide = frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
        if !client.send(&[ping(stream), too_wide].concat()).await {
            break;
        }
    }
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    let reached = upstream.received().len();
    assert!(reached <= 1_500, "{reached}");
}

#[tokio::test]
async fn a_browser_that_leaves_a_page_three_times_goes_on() {
    let (_upstream, gateway) = start(|setup| setup).await;
    let mut client = frames(&gateway).await;
    for page in 0..3 {
        for number in 0..80 {
            let stream = 2 * (page * 80 + number) + 1;
            let sent = [ping(stream), frame(RST_STREAM, 0, stream, &CANCEL)].concat();
            assert!(client.send(&sent).await);
        }
    }
    assert!(client.send(&ping(481)).await);
    loop {
        let Some(frame) = client.next().await else { panic!("the connection ends: {}", gateway.admin_get("/metrics")) };
        assert_ne!(frame.kind, GOAWAY, "{} {}", frame.code(), gateway.admin_get("/metrics"));
        if frame.kind == HEADERS && frame.stream == 481 {
            // `:status: 200`, by its index.
            assert_eq!(frame.payload[0], 0x88);
            break;
        }
    }
}

#[tokio::test]
async fn each_flood_ends_its_connection_and_nothing_else() {
    let (upstream, gateway) = start(|setup| setup).await;
    let open = frame(HEADERS, END_HEADERS, 1, &block(&post(PING_PATH)));
    // What comes first, what comes again and again, and how it is counted.
    let empty = frame(DATA, 0, 1, b"");
    let unfinished = frame(HEADERS, 0, 1, &block(&post(PING_PATH)));
    let floods: [(&[u8], Vec<u8>, &str); 8] = [
        (&[], frame(PING, 0, 0, &[0; 8]), "pings"),
        (&[], frame(SETTINGS, 0, 0, &[]), "settings"),
        (&[], frame(0x2, 0, 1, &[0, 0, 0, 0, 9]), "idle_frames"),
        (&[], frame(0x42, 0, 0, &[0; 16]), "idle_frames"),
        (&open, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), "window_updates"),
        (&open, frame(DATA, 0, 1, b"x"), "small_data"),
        (&unfinished, frame(CONTINUATION, 0, 1, b""), "continuations"),
        (&open, empty, ""),
    ];
    for (first, again, of) in floods {
        let mut client = frames(&gateway).await;
        assert!(client.send(first).await);
        let hundred = again.repeat(100);
        for _ in 0..1_000 {
            if !client.send(&hundred).await {
                break;
            }
        }
        assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM), "{of}");
        if !of.is_empty() {
            let metrics = gateway.admin_get("/metrics");
            let line = format!("countersign_connections_excessive_total{{reason=\"{of}\"}} ");
            let count = metrics.lines().find_map(|metric| metric.strip_prefix(&line)).expect("a counter");
            assert_ne!(count, "0", "{of}");
        }
    }
    assert!(upstream.received().is_empty());
    assert_eq!(gateway.http2().await.post_form(PING_PATH, ping_form("{}")).await.status, 200);
}

#[tokio::test]
async fn a_head_beyond_the_limit_gets_our_words_and_one_far_beyond_gets_none() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = gateway.http2().await;
    let mut many = form_request(PING_PATH, ping_form("{}"));
    for _ in 0..110 {
        many.headers_mut().append("cookie", "a=b".parse().expect("a header"));
    }
    let mut long = form_request(PING_PATH, ping_form("{}"));
    long.headers_mut().insert("x-long", "x".repeat(40_000).parse().expect("a header"));
    for request in [many, long] {
        // The client asserts HSTS and `nosniff` on every answer.
        let answer = client.send(request).await;
        assert_eq!(answer.status, 431);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let outcomes: Vec<_> = gateway.records(2).iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["too_many_headers", "head_too_large"]);

    // A field of one byte that stands for four thousand, again and again: the table is filled once, then referred to.
    let entry = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'v'; 3_968]].concat();
    let mut bomb = block(&post(PING_PATH));
    bomb.extend(entry);
    bomb.extend([0xbe; 10_000]);
    let mut client = frames(&gateway).await;
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    let crumbs: Vec<_> = (0..5_000).map(|_| ("cookie", "a")).collect();
    let mut client = frames(&gateway).await;
    for piece in [block(&post(PING_PATH)), block(&crumbs)].concat().chunks(16_000).enumerate() {
        let kind = if piece.0 == 0 { HEADERS } else { CONTINUATION };
        client.send(&frame(kind, 0, 1, piece.1)).await;
    }
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    assert!(upstream.received().is_empty());
}

/// An upstream whose answers are longer than any window that a client has at the beginning.
async fn long_answers() -> TestUpstream {
    TestUpstream::streaming(|_| {
        let body = http_body_util::Full::new(bytes::Bytes::from(vec![b'x'; 4 << 20]));
        (Duration::ZERO, http::Response::new(body.map_err(|never| match never {}).boxed()))
    })
    .await
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_its_neighbours_go_on() {
    let upstream = long_answers().await;
    let gateway = Setup::acme(upstream.address).gateway("[limits]\nidle_timeout = \"1s\"\n").start();
    let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"h2"]).await.expect("TLS");
    // SETTINGS_INITIAL_WINDOW_SIZE of zero: nothing of any answer may be sent.
    let mut client = Frames::begin(stream, &[0, 4, 0, 0, 0, 0]).await;
    assert!(client.send(&ping(1)).await);
    let (mut next, mut served, mut is_reset) = (3, 0, false);
    // Meanwhile something else moves all the time.
    while !is_reset {
        assert!(next < 2_000, "the stalled stream stays");
        assert!(client.send(&[ping(next), frame(WINDOW_UPDATE, 0, next, &[0, 0, 1, 0])].concat()).await);
        loop {
            let frame = client.next().await.expect("the connection stays");
            is_reset |= frame.kind == RST_STREAM && frame.stream == 1;
            if frame.kind == DATA && frame.stream == next {
                served += 1;
                break;
            }
        }
        assert!(client.send(&frame(RST_STREAM, 0, next, &CANCEL)).await);
        next += 2;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(served > 1);
}

#[tokio::test]
async fn who_reads_no_answers_holds_no_more_of_the_upstream_than_its_share() {
    const MOST: usize = 8;
    let upstream = long_answers().await;
    let limits = format!("[limits]\nrequests_at_once_per_address_max = {MOST}\n");
    let gateway = Setup::acme(upstream.address).gateway(&limits).start();
    let mut floods = Vec::new();
    for _ in 0..2 {
        let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"h2"]).await.expect("TLS");
        let mut client = Frames::begin(stream, &[0, 4, 0, 0, 0, 0]).await;
        for stream in (0..20).map(|number| 1 + 2 * number) {
            assert!(client.send(&ping(stream)).await);
        }
        // Heads come where no window is left; each stream gets one.
        for _ in 0..20 {
            client.next_of(HEADERS).await.expect("a head");
        }
        floods.push(client);
    }
    assert_eq!(upstream.received().len(), MOST);
    let mut other = Client::connect_from([127, 0, 0, 9], gateway.address, &gateway.ca_pem).await;
    assert_eq!(other.post_form(PING_PATH, ping_form("{}")).await.status, 200);
    let mut same = gateway.http1().await;
    let refused = same.post_form(PING_PATH, ping_form("{}")).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.acme.example"));
    // Gone is gone.
    drop(floods);
    served_soon(&mut same).await;
}

#[tokio::test]
async fn an_answer_that_is_taken_byte_by_byte_ends() {
    let upstream = long_answers().await;
    let limits = "[limits]\nanswer_bytes_per_second_min = 100000\nrate_grace = \"500ms\"\n";
    let gateway = Setup::acme(upstream.address).gateway(limits).start();
    let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"h2"]).await.expect("TLS");
    let mut client = Frames::begin(stream, &[0, 4, 0, 0, 0, 1]).await;
    assert!(client.send(&ping(1)).await);
    let (began, mut taken) = (std::time::Instant::now(), 0);
    while let Some(got) = client.next().await {
        assert!(began.elapsed() < Duration::from_secs(15), "{taken} bytes");
        match got.kind {
            DATA => {
                taken += got.payload.len();
                tokio::time::sleep(Duration::from_millis(20)).await;
                let four = [0, 1].map(|stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 4, 0])).concat();
                client.send(&four).await;
            }
            RST_STREAM => break,
            _ => {}
        }
    }
    assert!(taken < 4 << 20, "cut before its end");
    let quick = gateway.http2().await.send(Request::post(PING_PATH).body("").expect("a request")).await;
    assert!(quick.status.is_client_error());
}
