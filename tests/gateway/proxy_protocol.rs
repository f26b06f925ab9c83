//! PROXY protocol before TLS: from raw sockets, from HAProxy and from nginx.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::form_request;
use crate::support::proxies::OtherProxy;
use crate::support::{Bench, Client, Protocol, Setup, TestGateway, ping_form};

const PING: &str = "/messenger/web/ping";

/// 127.0.0.1 is the balancer; all others of this machine are not.
const FROM: &str = "proxy_protocol = { from = [\"127.0.0.1\"] }";

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short");
    [V2, &[command, family], &length.to_be_bytes(), rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 187];

async fn connect(gateway: &TestGateway, source: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((source, 0).into()).expect("an address of this machine");
    let stream = socket.connect(gateway.address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// The counter of a reason for which a connection was closed.
fn refused(gateway: &TestGateway, reason: &str) -> u64 {
    let metrics = gateway.admin_get("/metrics");
    let name = format!("countersign_proxy_protocol_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("a counter");
    line.parse().expect("a number")
}

/// Reads what comes until the gateway closes.
async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    // A reset says as well that it is closed.
    drop(read.expect("it is closed"));
    answer
}

/// Says these bytes, then a good request over TLS on the same connection.
async fn client_of(bench: &mut Bench, header: &[u8]) -> (String, String) {
    let mut stream = connect(&bench.gateway, [127, 0, 0, 1]).await;
    stream.write_all(header).await.expect("sent");
    bench.client = Client::over(stream, &bench.gateway.ca_pem, Protocol::Http1).await;
    recorded(bench).await
}

/// What the upstream is told of the client, and what the record says.
async fn recorded(bench: &mut Bench) -> (String, String) {
    let mut request = form_request(PING, ping_form("{}"));
    request.headers_mut().insert("x-forwarded-for", "6.6.6.6".parse().expect("a header"));
    assert_eq!(bench.send(request).await.status, 200);
    let told = bench.upstream.only().header("x-forwarded-for").expect("an address").to_owned();
    let record = bench.record();
    assert_eq!(record["client"], json!(told));
    (told, record["client_source"].as_str().expect("a source").to_owned())
}

/// A bench whose own connections begin with a header.
async fn behind(listener: &str, more: impl FnOnce(Setup) -> Setup) -> Bench {
    let upstream = crate::support::TestUpstream::start().await;
    let gateway = more(Setup::acme(upstream.address).listener(listener)).start();
    let mut stream = connect(&gateway, [127, 0, 0, 1]).await;
    stream.write_all(b"PROXY UNKNOWN\r\n").await.expect("sent");
    let client = Client::over(stream, &gateway.ca_pem, Protocol::Http1).await;
    Bench::of(upstream, gateway, client)
}

#[tokio::test]
async fn a_balancer_says_whom_a_connection_is_from() {
    let mut bench = behind(FROM, |setup| setup).await;
    let proxied = |client: &str| (client.to_owned(), "proxy_protocol".to_owned());
    let own = ("127.0.0.1".to_owned(), "socket".to_owned());
    assert_eq!(recorded(&mut bench).await, own);
    assert_eq!(client_of(&mut bench, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n").await, proxied("192.0.2.7"));
    assert_eq!(client_of(&mut bench, b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n").await, proxied("2001:db8::7"));
    assert_eq!(client_of(&mut bench, b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n").await, proxied("192.0.2.7"));
    assert_eq!(client_of(&mut bench, &v2(0x21, 0x11, &IPV4)).await, proxied("192.0.2.7"));
    let with_more = [&IPV4[..], &[0xea, 0, 3, 1, 2, 3, 4, 0, 2, 0, 0]].concat();
    assert_eq!(client_of(&mut bench, &v2(0x21, 0x11, &with_more)).await, proxied("192.0.2.7"));
    assert_eq!(client_of(&mut bench, &v2(0x20, 0x00, &[])).await, own);
    assert_eq!(client_of(&mut bench, &v2(0x20, 0x11, &IPV4)).await, own);
}

#[tokio::test]
async fn a_header_in_pieces_is_one_and_what_follows_it_is_the_clients() {
    let mut bench = behind(FROM, |setup| setup).await;
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n".to_vec(), v2(0x21, 0x11, &IPV4)] {
        let mut stream = connect(&bench.gateway, [127, 0, 0, 1]).await;
        for byte in header {
            stream.write_all(&[byte]).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.client = Client::over(stream, &bench.gateway.ca_pem, Protocol::Http2).await;
        assert_eq!(recorded(&mut bench).await.0, "192.0.2.7");
    }
}

#[tokio::test]
async fn what_begins_with_no_good_header_is_closed_without_an_answer() {
    let bench = behind(FROM, |setup| setup).await;
    let gateway = &bench.gateway;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh";
    let malformed = [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 70000\r\n".to_vec(),
        [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat(),
        v2(0x21, 0x12, &IPV4),
        v2(0x21, 0x31, &[b'x'; 216]),
        v2(0x31, 0x11, &IPV4),
        v2(0x21, 0x11, &vec![0; 4000]),
    ];
    for bytes in [&hello[..], b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = connect(gateway, [127, 0, 0, 1]).await;
        stream.write_all(bytes).await.expect("sent");
        assert_eq!(read_to_end(stream).await, b"");
    }
    for bytes in &malformed {
        let mut stream = connect(gateway, [127, 0, 0, 1]).await;
        stream.write_all(bytes).await.expect("sent");
        assert_eq!(read_to_end(stream).await, b"", "{bytes:?}");
    }
    // Half of one, and then nothing more.
    let mut stream = connect(gateway, [127, 0, 0, 1]).await;
    stream.write_all(b"PROXY TCP4 192.0").await.expect("sent");
    stream.shutdown().await.expect("shut");
    assert_eq!(read_to_end(stream).await, b"");
    assert_eq!(refused(gateway, "absent"), 2);
    assert_eq!(refused(gateway, "malformed"), malformed.len() as u64 + 1);
    // A second header is the client's, and no TLS.
    let mut stream = connect(gateway, [127, 0, 0, 1]).await;
    stream.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\nPROXY TCP4 6.6.6.6 10.0.0.1 1 2\r\n").await.expect("sent");
    // An alert of TLS at most.
    assert!(read_to_end(stream).await.len() <= 7);
    gateway.await_metric("countersign_handshakes_failed_total{reason=\"failed\"} 1");
    assert!(bench.upstream.received().is_empty());
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let short = |setup: Setup| setup.gateway("[limits]\nhandshake_timeout = \"2s\"\n");
    let bench = behind(FROM, short).await;
    let mut slow = connect(&bench.gateway, [127, 0, 0, 1]).await;
    slow.write_all(b"PROXY TCP4").await.expect("sent");
    let silent = connect(&bench.gateway, [127, 0, 0, 1]).await;
    assert_eq!((read_to_end(slow).await, read_to_end(silent).await), (vec![], vec![]));
    assert_eq!(refused(&bench.gateway, "timeout"), 2);
    // The handshake that follows a header has what is left of the same time.
    let mut stream = connect(&bench.gateway, [127, 0, 0, 1]).await;
    stream.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n").await.expect("sent");
    assert_eq!(read_to_end(stream).await, b"");
    bench.gateway.await_metric("countersign_handshakes_failed_total{reason=\"timeout\"} 1");
}

#[tokio::test]
async fn nobody_else_comes_in_and_nobody_elses_header_is_taken() {
    let bench = behind(FROM, |setup| setup).await;
    let stream = connect(&bench.gateway, [127, 0, 0, 2]).await;
    assert_eq!(read_to_end(stream).await, b"");
    let mut stream = connect(&bench.gateway, [127, 0, 0, 2]).await;
    // It may be closed already.
    drop(stream.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n").await);
    assert_eq!(read_to_end(stream).await, b"");
    assert_eq!(refused(&bench.gateway, "unlisted"), 2);

    let open = "proxy_protocol = { from = [\"127.0.0.1\"], others = \"allow\" }";
    let mut bench = behind(open, |setup| setup).await;
    let stream = connect(&bench.gateway, [127, 0, 0, 2]).await;
    bench.client = Client::over(stream, &bench.gateway.ca_pem, Protocol::Http1).await;
    assert_eq!(recorded(&mut bench).await, ("127.0.0.2".to_owned(), "socket".to_owned()));
    let mut stream = connect(&bench.gateway, [127, 0, 0, 2]).await;
    stream.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n").await.expect("sent");
    assert!(read_to_end(stream).await.len() <= 7);
    assert_eq!(refused(&bench.gateway, "unlisted"), 0);
}

#[tokio::test]
async fn connections_count_for_whom_they_are_from_and_not_for_the_balancer() {
    let few = |setup: Setup| setup.gateway("[limits]\nconnections_per_address_max = 2\n");
    let bench = behind(FROM, few).await;
    let open = async |client: &str| {
        let mut stream = connect(&bench.gateway, [127, 0, 0, 1]).await;
        stream.write_all(format!("PROXY TCP4 {client} 10.0.0.1 1 2\r\n").as_bytes()).await.expect("sent");
        stream
    };
    let mut clients = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"] {
        clients.push(Client::over(open(client).await, &bench.gateway.ca_pem, Protocol::Http1).await);
    }
    assert_eq!(read_to_end(open("192.0.2.1").await).await, b"");
    bench.gateway.await_metric("countersign_connections_refused_total 1");
    clients.remove(0).leave().await;
    bench.gateway.await_metric("countersign_connections_open 5");
    clients.push(Client::over(open("192.0.2.1").await, &bench.gateway.ca_pem, Protocol::Http1).await);
}

#[tokio::test]
async fn the_plain_listener_stands_behind_a_balancer_too() {
    let plain = format!("[plain]\naddress = \"127.0.0.1:0\"\n{FROM}\n");
    let bench = Bench::acme(|setup| setup.gateway(&plain)).await;
    let address = bench.gateway.plain.expect("a plain listener");
    let ask = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(bytes).await.expect("sent");
        String::from_utf8(read_to_end(stream).await).expect("text")
    };
    let get = "GET /a HTTP/1.1\r\nHost: gw.acme.example\r\n\r\n";
    let header = "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n";
    assert!(ask(format!("{header}{get}").as_bytes()).await.starts_with("HTTP/1.1 308"));
    assert_eq!(ask(get.as_bytes()).await, "");
    assert!(ask(format!("{header}{header}{get}").as_bytes()).await.starts_with("HTTP/1.1 400"));
}

/// A connection through another proxy, from 127.0.0.3.
async fn through(bench: &mut Bench, proxy: &OtherProxy) -> (String, String) {
    bench.client = Client::connect_from([127, 0, 0, 3], proxy.address, &bench.gateway.ca_pem).await;
    recorded(bench).await
}

#[tokio::test]
async fn haproxy_is_understood_in_both_versions_and_its_checks_too() {
    let mut bench = behind(FROM, |setup| setup).await;
    for send in
        ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn", "send-proxy-v2 proxy-v2-options unique-id,crc32c"]
    {
        let configuration = format!(
            "global\n  stats socket @DIRECTORY@/stats\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             frontend f\n  bind @ADDRESS@\n  unique-id-format %{{+X}}o%pid\n  default_backend b\n\
             backend b\n  server gateway {} {send} check check-ssl verify none check-send-proxy inter 100ms rise 2 fall 1\n",
            bench.gateway.address
        );
        let proxy = OtherProxy::haproxy(&configuration);
        assert_eq!(through(&mut bench, &proxy).await, ("127.0.0.3".to_owned(), "proxy_protocol".to_owned()), "{send}");
        let checked = |proxy: &OtherProxy| {
            let mut socket = UnixStream::connect(proxy.directory.path().join("stats")).expect("a socket");
            socket.write_all(b"show stat\n").expect("asked");
            let mut answer = String::new();
            socket.read_to_string(&mut answer).expect("told");
            answer.lines().find(|line| line.starts_with("b,gateway,")).expect("the server").to_owned()
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !checked(&proxy).contains(",L6OK,") {
            assert!(Instant::now() < deadline, "{send}: {}", checked(&proxy));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(checked(&proxy).contains(",UP,"), "{send}");
    }
    for reason in ["absent", "malformed", "timeout", "unlisted"] {
        assert_eq!(refused(&bench.gateway, reason), 0, "{reason}");
    }
}

#[tokio::test]
async fn nginx_is_understood() {
    let mut bench = behind(FROM, |setup| setup).await;
    let configuration = |server: &str| {
        format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nmaster_process off;\npid @DIRECTORY@/pid;\n\
             events {{}}\nstream {{ server {{ listen @ADDRESS@; {server} }} }}\n"
        )
    };
    let proxy = format!("proxy_protocol on; proxy_pass {};", bench.gateway.address);
    let nginx = OtherProxy::nginx(&configuration(&proxy));
    assert_eq!(through(&mut bench, &nginx).await, ("127.0.0.3".to_owned(), "proxy_protocol".to_owned()));
}

#[tokio::test]
async fn a_proxy_that_speaks_http_names_the_client_in_a_header() {
    let trusting = "[client_address]\ntrusted_proxies = [\"127.0.0.1\"]\nheader = \"x-forwarded-for\"\n";
    let mut bench = Bench::acme(|setup| setup.gateway(trusting)).await;
    let certs = bench.gateway.setup.policies().join("../certs");
    let both = ["dev.pem", "dev-key.pem"].map(|name| std::fs::read_to_string(certs.join(name)).expect("PEM"));
    std::fs::write(certs.join("both.pem"), both.concat()).expect("written");
    let configuration = format!(
        "defaults\n  mode http\n  option forwardfor\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         listen f\n  bind @ADDRESS@ ssl crt {} alpn http/1.1\n  http-request set-header Host localhost\n\
         server gateway {} ssl verify none sni str(localhost)\n",
        certs.join("both.pem").display(),
        bench.gateway.address
    );
    let haproxy = OtherProxy::haproxy(&configuration);
    // What the client itself claims (6.6.6.6) stands to the left of what HAProxy adds.
    assert_eq!(through(&mut bench, &haproxy).await, ("127.0.0.3".to_owned(), "x_forwarded_for".to_owned()));
}
