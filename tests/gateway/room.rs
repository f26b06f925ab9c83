//! The room for bodies: a flood of large and slow ones fills it and no more, and whoever finds none is told so before sending.

use std::time::{Duration, Instant};

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::client::{form_request, over_tls};
use crate::support::{Bench, Client, Setup, TestGateway, ping_form};

const PING: &str = "/messenger/web/ping";

/// The budget of these tests, in bytes.
const BUDGET: usize = 16 * 1024 * 1024;

fn small() -> Request<String> {
    form_request(PING, ping_form(r#"{"nickname":"ada"}"#))
}

fn budget(setup: Setup) -> Setup {
    setup.gateway("[limits]\nbuffered_bytes_max = \"16 MiB\"\nbody_timeout = \"60s\"\n")
}

fn gauge(gateway: &TestGateway, name: &str) -> usize {
    let metrics = gateway.admin_get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().expect("a number")
}

/// Sends the head of a request with so long a body, and so much of the body, and leaves the rest to come.
async fn begin(
    gateway: &TestGateway,
    source: [u8; 4],
    length: usize,
    sent: usize,
) -> impl AsyncReadExt + AsyncWriteExt + Unpin + use<> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((std::net::IpAddr::from(source), 0).into()).expect("an address of this machine");
    let stream = socket.connect(gateway.address).await.expect("a connection");
    let mut stream = over_tls(stream, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS");
    let head = format!(
        "POST {PING} HTTP/1.1\r\nhost: localhost\r\norigin: https://app.acme.example\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The gateway may refuse it and close.
    drop(stream.write_all(&vec![b'a'; sent]).await);
    drop(stream.flush().await);
    stream
}

#[tokio::test]
async fn a_flood_of_large_slow_bodies_fills_the_room_and_no_more() {
    let mut bench = Bench::acme(budget).await;
    bench.passes(small()).await;
    let before = bench.gateway.resident_kib();
    let mut slow = Vec::new();
    // From eight addresses, ten each, of a megabyte less one byte that never comes: fifteen times the budget.
    for last in 0..8 {
        for _ in 0..10 {
            slow.push(begin(&bench.gateway, [127, 0, 1, last + 1], 1024 * 1024, 1024 * 1024 - 1).await);
            bench.count_one();
            let taken = gauge(&bench.gateway, "countersign_buffered_bytes");
            assert!(taken <= BUDGET, "{taken}");
        }
    }
    assert!(gauge(&bench.gateway, "countersign_buffered_bytes_exceeded_total") > 40);
    // All of it would be 80 MiB; beside the budget there are the connections, whose buffers TLS and HTTP have.
    let grown = bench.gateway.resident_kib().saturating_sub(before);
    assert!(grown < (BUDGET / 1024) * 2, "{grown} KiB");
    // Somebody else is served, or told to come back: never left waiting.
    let answer = bench.send(small()).await;
    assert!(answer.status == 200 || answer.status == 503, "{}", answer.status);
    // Those that are gone leave nothing behind.
    drop(slow);
    let until = Instant::now() + Duration::from_secs(30);
    while gauge(&bench.gateway, "countersign_buffered_bytes") > 0 {
        assert!(Instant::now() < until, "room is lost");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut client = bench.gateway.http1().await;
    bench.count_one();
    assert_eq!(client.send(small()).await.status, 200);
    assert_eq!(gauge(&bench.gateway, "countersign_buffered_bytes"), 0);
}

#[tokio::test]
async fn one_address_cannot_take_it_all_and_who_finds_no_room_is_refused_before_sending() {
    let mut bench = Bench::acme(budget).await;
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(begin(&bench.gateway, [127, 0, 1, 1], 1024 * 1024, 300 * 1024).await);
        bench.count_one();
    }
    let until = Instant::now() + Duration::from_secs(30);
    while gauge(&bench.gateway, "countersign_buffered_bytes_exceeded_total") == 0 {
        assert!(Instant::now() < until, "all found room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gauge(&bench.gateway, "countersign_buffered_bytes") <= BUDGET / 2);
    // The address itself: its next large body is refused by its length alone, without a byte of it.
    let mut refused = begin(&bench.gateway, [127, 0, 1, 1], 1024 * 1024, 0).await;
    bench.count_one();
    let mut answer = Vec::new();
    drop(refused.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for header in
        ["retry-after: 5", "connection: close", "strict-transport-security: ", "access-control-allow-origin: "]
    {
        assert!(answer.contains(header), "no {header}: {answer}");
    }
    // Another address has the other half.
    bench.passes(small()).await;
    let large = ping_form(&format!(r#"{{"nickname":"ada","unlisted":"{}"}}"#, "a".repeat(60_000)));
    bench.passes(form_request(PING, large)).await;
    drop(slow);
    let mut client = Client::connect_from([127, 0, 1, 1], bench.gateway.address, &bench.gateway.ca_pem).await;
    assert_eq!(client.send(small()).await.status, 200);
}

#[tokio::test]
async fn whoever_announces_much_and_sends_nothing_takes_nothing() {
    let mut bench = Bench::acme(budget).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(begin(&bench.gateway, [127, 0, 1, 1], 1024 * 1024, 0).await);
        bench.count_one();
    }
    bench.passes(small()).await;
    // What is too long in any case is told so.
    let mut endless = begin(&bench.gateway, [127, 0, 1, 1], 1024 * 1024 * 1024, 0).await;
    bench.count_one();
    let mut answer = Vec::new();
    drop(endless.read_to_end(&mut answer).await);
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(gauge(&bench.gateway, "countersign_buffered_bytes_exceeded_total"), 0);
    drop(silent);
}
