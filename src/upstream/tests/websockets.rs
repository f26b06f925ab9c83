//! The realtime channel, from a client through us to an upstream and back.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;

const ASK: &[u8] = b"GET /cable HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\norigin: https://a\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: actioncable-v1-json\r\n\r\n";
const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nserver: x\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: actioncable-v1-json\r\n\r\n";

/// A gateway that makes every request a WebSocket and reports how each ends.
async fn front(upstreams: Upstreams, drain: CancellationToken) -> (TcpStream, mpsc::UnboundedReceiver<SpliceEnd>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, ends) = mpsc::unbounded_channel();
    let upstreams = Arc::new(upstreams);
    let permit = UpgradePermit::of(&operation(Class::Pass, Body::None, Upgrade::WebSocket)).unwrap();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (upstreams, drain, ended) = (Arc::clone(&upstreams), drain.clone(), ended.clone());
        async move {
            let client = hyper::upgrade::on(&mut request);
            let (parts, _) = request.into_parts();
            let handshake = Handshake::parse(&parts.method, parts.version, &parts.headers).unwrap();
            let head = head(parts.method, parts.uri.path(), parts.headers);
            Ok::<_, Infallible>(match upstreams.upgrade("api", head, handshake, permit, client).await {
                Ok(Switch::Switched { response, splice }) => {
                    tokio::spawn(async move { ended.send(splice.run(&drain).await) });
                    response.map(|()| String::new())
                }
                Ok(Switch::Answered(response)) => {
                    let (head, body) = response.into_parts();
                    Response::from_parts(head, text(body).await)
                }
                Err(error) => Response::builder().status(502).body(error.to_string()).unwrap(),
            })
        }
    });
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let server = hyper::server::conn::http1::Builder::new();
        server.serve_connection(TokioIo::new(stream), service).with_upgrades().await.unwrap();
    });
    (TcpStream::connect(address).await.unwrap(), ends)
}

/// An upstream that switches and sends back what it gets.
async fn echo(mut stream: TcpStream) {
    let request = read_request(&mut stream).await;
    for line in [
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-protocol: actioncable-v1-json",
        "origin: https://a",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
    }
    stream.write_all(SWITCHED).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    drop(tokio::io::copy(&mut reader, &mut writer).await);
}

#[tokio::test]
async fn bytes_go_both_ways_until_a_side_closes() {
    let port = listen(|stream, _| echo(stream)).await;
    let (mut client, mut ends) = front(upstreams(upstream("http", port)), CancellationToken::new()).await;
    client.write_all(ASK).await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("server"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    client.write_all(b"\x81\x05hello").await.unwrap();
    read_until(&mut client, "hello").await;
    client.shutdown().await.unwrap();
    assert_eq!(ends.recv().await, Some(SpliceEnd::Closed));
}

#[tokio::test]
async fn a_silent_websocket_and_one_that_is_drained_end() {
    let port = listen(|stream, _| echo(stream)).await;
    let quick = policy::Upstream { idle_timeout: Duration::from_millis(100), ..upstream("http", port) };
    let (mut client, mut ends) = front(upstreams(quick), CancellationToken::new()).await;
    client.write_all(ASK).await.unwrap();
    assert_eq!(ends.recv().await, Some(SpliceEnd::Idle));

    let drain = CancellationToken::new();
    let (mut client, mut ends) = front(upstreams(upstream("http", port)), drain.clone()).await;
    client.write_all(ASK).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    drain.cancel();
    assert_eq!(ends.recv().await, Some(SpliceEnd::Drained));
}

/// What the client sees when the upstream answers with these bytes.
async fn seen(answer: &'static [u8]) -> String {
    let port = listen(move |stream, _| answer_all(stream, answer)).await;
    let (mut client, _ends) = front(upstreams(upstream("http", port)), CancellationToken::new()).await;
    client.write_all(ASK).await.unwrap();
    read_until(&mut client, "\n\r\n").await + &read_until(&mut client, "!").await
}

#[tokio::test]
async fn another_answer_is_relayed_as_an_answer() {
    let seen = seen(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nnone!").await;
    assert!(seen.starts_with("HTTP/1.1 404") && seen.ends_with("none!"), "{seen}");
}

#[tokio::test]
async fn a_switch_without_the_right_accept_is_refused() {
    let port = listen(|stream, _| {
        answer_all(
            stream,
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        )
    })
    .await;
    let (mut client, _ends) = front(upstreams(upstream("http", port)), CancellationToken::new()).await;
    client.write_all(ASK).await.unwrap();
    read_until(&mut client, "the upstream switched protocols wrongly").await;
}

#[tokio::test]
async fn a_websocket_is_a_request_in_flight_until_it_ends() {
    let port = listen(|stream, _| echo(stream)).await;
    let one =
        policy::Upstream { connections_max: 1, connect_timeout: Duration::from_millis(100), ..upstream("http", port) };
    let upstreams = upstreams(one);
    let backend = Arc::clone(upstreams.find("api").unwrap());
    let (mut client, mut ends) = front(upstreams, CancellationToken::new()).await;
    client.write_all(ASK).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(backend.permits.available_permits(), 0);
    drop(client);
    ends.recv().await;
    assert_eq!(backend.permits.available_permits(), 1);
}
