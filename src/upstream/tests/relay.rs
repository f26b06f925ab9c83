//! What crosses, in both directions.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use super::*;

/// What an upstream receives for `outbound`.
async fn received(tweak: impl FnOnce(&mut policy::Upstream), outbound: Outbound) -> String {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let port = listen(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            sender.send(read_request(&mut stream).await).unwrap();
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let mut upstream = upstream("http", port);
    tweak(&mut upstream);
    upstreams(upstream).send("api", outbound).await.unwrap();
    receiver.recv().await.unwrap()
}

#[tokio::test]
async fn the_upstream_receives_the_judged_body_and_only_what_may_cross() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "evil.example"),
        ("content-length", "999"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x_forwarded_for", "10.0.0.1"),
        ("x-countersign-decision", "forged"),
        ("expect", "100-continue"),
        ("x-auth-token", "session"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    headers.append("cookie", "a=1".parse().unwrap());
    headers.append("cookie", "b=2".parse().unwrap());
    let head = head(Method::POST, "/api/v1/users?website_token=x%20y", headers);
    let body = JudgedBody::new(Bytes::from_static(b"{\"plan\":1.10}"), Some("application/json"));
    let received = received(|_| {}, Outbound::Judged { head, body }).await;
    let (received_head, received_body) = received.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = received_head.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "POST /api/v1/users?website_token=x%20y HTTP/1.1",
            "content-length: 13",
            "content-type: application/json",
            "cookie: a=1; b=2",
            "forwarded: for=192.0.2.7;host=api.acme.example;proto=https",
            "host: api.acme.example",
            "traceparent: 00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-00",
            "x-auth-token: session",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: api.acme.example",
            "x-forwarded-proto: https",
            "x-request-id: request-1",
        ]
    );
    assert_eq!(received_body, "{\"plan\":1.10}");
}

#[tokio::test]
async fn an_empty_judged_body_says_that_it_is_empty() {
    let empty = |method| Outbound::Judged {
        head: head(method, "/ping", HeaderMap::new()),
        body: JudgedBody::new(Bytes::new(), None),
    };
    assert!(received(|_| {}, empty(Method::POST)).await.contains("content-length: 0\r\n"));
    assert!(!received(|_| {}, empty(Method::GET)).await.contains("content-length"));
}

#[tokio::test]
async fn the_host_is_the_policys() {
    let named =
        received(|upstream| upstream.host_header = HostHeader::Named("in.example".to_owned()), post("{}")).await;
    assert!(named.contains("\r\nhost: in.example\r\n"), "{named}");
    let own = received(|upstream| upstream.host_header = HostHeader::Upstream, post("{}")).await;
    assert!(own.contains("\r\nhost: 127.0.0.1:"), "{own}");
    assert!(own.contains("\r\nx-forwarded-host: api.acme.example\r\n"), "{own}");
}

#[tokio::test]
async fn answers_are_cleaned_and_informational_ones_passed_over() {
    let port = listen(|stream, _| {
        answer_all(
            stream,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
              HTTP/1.1 201 Done\r\nserver: x\r\nconnection: x-debug\r\nx-debug: 1\r\naccess-control-allow-origin: *\r\n\
              set-cookie: a=1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n",
        )
    })
    .await;
    let upstreams = upstreams(upstream("http", port));
    let response = upstreams.send("api", post("{}")).await.unwrap();
    assert_eq!(response.status(), 201);
    let names: Vec<_> = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(names, ["set-cookie"]);
    let collected = response.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_none());
    assert_eq!(collected.to_bytes(), "abc");
}

/// What an upstream's answer is relayed as.
async fn relayed(answer: &'static [u8]) -> Response<UpstreamBody> {
    let port = listen(move |mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(answer).await.unwrap();
    })
    .await;
    upstreams(upstream("http", port)).send("api", post("{}")).await.unwrap()
}

#[tokio::test]
async fn the_framing_of_answers_is_ours() {
    // By its version a client would take the end of the connection for the end of the answer.
    let old = relayed(b"HTTP/1.0 200 OK\r\nproxy-status: countersign; error=x\r\n\r\nok").await;
    assert_eq!((old.version(), old.headers().len()), (http::Version::HTTP_11, 0));
    assert_eq!(text(old.into_body()).await, "ok");
    let twice = relayed(b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok").await;
    assert_eq!(twice.headers()["content-length"], "2");
    assert_eq!(text(twice.into_body()).await, "ok");
}

/// How many connections two requests take, one after the other.
async fn connections(answer: &'static [u8]) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let port = listen(move |stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        answer_all(stream, answer)
    })
    .await;
    let upstreams = upstreams(upstream("http", port));
    for _ in 0..2 {
        let response = upstreams.send("api", post("{}")).await.unwrap();
        assert_eq!(text(response.into_body()).await, "ok");
    }
    count.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_for_the_next_request_where_the_upstream_keeps_it() {
    assert_eq!(connections(OK).await, 1);
    assert_eq!(connections(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await, 1);
    assert_eq!(connections(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await, 2);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_is_not_kept() {
    let port = listen(|stream, _| answer_all(stream, OK)).await;
    let upstreams = upstreams(upstream("http", port));
    drop(upstreams.send("api", post("{}")).await.unwrap());
    let Protocol::Http1(pool) = &upstreams.find("api").unwrap().protocol else { panic!("http/1.1") };
    assert_eq!(pool.len(), 0);
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_connection_stays_with_its_runtime_and_makes_room_for_anothers() {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (accepted, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let port = server.block_on(listen({
        let (accepted, open) = (Arc::clone(&accepted), Arc::clone(&open));
        move |stream, _| {
            accepted.fetch_add(1, Ordering::SeqCst);
            open.fetch_add(1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            async move {
                answer_all(stream, OK).await;
                open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }));
    let upstreams = upstreams(policy::Upstream { connections_max: 2, ..upstream("http", port) });
    let worker = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second, third) = (worker(), worker(), worker());
    let send = |worker: &tokio::runtime::Runtime, expected: usize| {
        let sent = async { text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await };
        assert_eq!(worker.block_on(sent), "ok");
        assert_eq!(accepted.load(Ordering::SeqCst), expected);
    };
    send(&first, 1);
    send(&first, 1);
    send(&second, 2);
    send(&first, 2);
    send(&second, 2);
    // No more than two: a connection that nobody uses closes for the third.
    send(&third, 3);
    let Protocol::Http1(pool) = &upstreams.find("api").unwrap().protocol else { panic!("http/1.1") };
    assert_eq!(pool.len(), 2);
    let closed = async {
        while open.load(Ordering::SeqCst) > 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    server.block_on(async { tokio::time::timeout(Duration::from_secs(10), closed).await }).expect("one is closed");
    send(&third, 3);
}

#[tokio::test]
async fn unused_connections_are_closed_after_the_idle_timeout() {
    let closed = Arc::new(Notify::new());
    let told = Arc::clone(&closed);
    let port = listen(move |stream, _| {
        let told = Arc::clone(&told);
        async move {
            answer_all(stream, OK).await;
            told.notify_one();
        }
    })
    .await;
    let mut upstream = upstream("http", port);
    upstream.idle_timeout = Duration::from_millis(100);
    let upstreams = upstreams(upstream);
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    closed.notified().await;
    let Protocol::Http1(pool) = &upstreams.find("api").unwrap().protocol else { panic!("http/1.1") };
    assert_eq!(pool.len(), 0);
}

#[tokio::test]
async fn an_answer_streams_on_before_it_is_complete() {
    let arrived = Arc::new(Notify::new());
    let wait = Arc::clone(&arrived);
    let port = listen(move |mut stream, _| {
        let wait = Arc::clone(&wait);
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst").await.unwrap();
            wait.notified().await;
            stream.write_all(b"later").await.unwrap();
        }
    })
    .await;
    let mut body = upstreams(upstream("http", port)).send("api", post("{}")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    arrived.notify_one();
    assert_eq!(text(body).await, "later");
}

#[tokio::test]
async fn a_passed_body_streams_on_before_it_is_complete() {
    let arrived = Arc::new(Notify::new());
    let tell = Arc::clone(&arrived);
    let port = listen(move |mut stream, _| {
        let tell = Arc::clone(&tell);
        async move {
            let head = read_until(&mut stream, "first").await;
            assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
            tell.notify_one();
            read_until(&mut stream, "later\r\n0\r\n\r\n").await;
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let gateway = gateway(Arc::new(upstreams(upstream("http", port))), Body::Stream).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    let head = b"POST /up HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    client.write_all(head).await.unwrap();
    arrived.notified().await;
    client.write_all(b"5\r\nlater\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut client, "\r\n\r\nok").await;
}

#[tokio::test]
async fn a_passed_body_of_known_length_keeps_its_length() {
    let port = listen(|mut stream, _| async move {
        let request = read_request(&mut stream).await;
        assert!(request.contains("\r\ncontent-length: 5\r\n") && request.ends_with("hello"), "{request}");
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let gateway = gateway(Arc::new(upstreams(upstream("http", port))), Body::Stream).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(b"POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
    read_until(&mut client, "\r\n\r\nok").await;
}

#[tokio::test]
async fn a_connection_that_still_sends_an_early_answered_body_is_not_kept() {
    let port = listen(|mut stream, _| async move {
        read_until(&mut stream, "hel").await;
        stream.write_all(OK).await.unwrap();
        assert_eq!(read_request(&mut stream).await, "", "closed, and nobody else's request follows the half body");
    })
    .await;
    let upstreams = Arc::new(upstreams(upstream("http", port)));
    let gateway = gateway(Arc::clone(&upstreams), Body::Stream).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nhel").await.unwrap();
    read_until(&mut client, "\r\n\r\nok").await;
    let Protocol::Http1(pool) = &upstreams.find("api").unwrap().protocol else { panic!("http/1.1") };
    assert_eq!(pool.len(), 0);
}

#[tokio::test]
async fn a_connection_is_free_at_the_last_byte_and_not_only_when_asked_for_more() {
    let port = listen(|stream, _| answer_all(stream, OK)).await;
    let upstreams = upstreams(upstream("http", port));
    let mut body = upstreams.send("api", post("{}")).await.unwrap().into_body();
    let Protocol::Http1(pool) = &upstreams.find("api").unwrap().protocol else { panic!("http/1.1") };
    assert_eq!(pool.len(), 0);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
    assert_eq!(pool.len(), 1, "hyper asks for no more than the length it was told");
}

#[tokio::test]
async fn connections_that_the_upstream_closed_are_not_kept_until_the_idle_timeout() {
    let close = Arc::new(Notify::new());
    let told = Arc::clone(&close);
    let port = listen(move |mut stream, _| {
        let told = Arc::clone(&told);
        async move {
            read_request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            told.notified().await;
        }
    })
    .await;
    let upstreams = upstreams(upstream("http", port));
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    let Protocol::Http1(pool) = &upstreams.find("api").unwrap().protocol else { panic!("http/1.1") };
    pool.reap();
    assert_eq!(pool.len(), 1);
    close.notify_one();
    while pool.len() > 0 {
        tokio::task::yield_now().await;
        pool.reap();
    }
}
