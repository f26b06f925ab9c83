//! When an upstream, or the client of a streamed body, breaks.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::*;

const SHORT: Duration = Duration::from_millis(100);

/// The error of a request whose upstream answers with these bytes and closes.
async fn answered(bytes: &'static [u8]) -> UpstreamError {
    let port = listen(move |mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
    })
    .await;
    fails(&upstreams(upstream("http", port))).await
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    assert!(matches!(answered(b"").await, UpstreamError::Closed(_)));
    assert!(matches!(answered(b"HTTP/1.1 200 OK\r\ncontent-le").await, UpstreamError::Closed(_)));
    assert!(matches!(answered(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await, UpstreamError::Garbage(_)));
    assert!(matches!(answered(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").await, UpstreamError::Garbage(_)));
    let two = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok";
    assert!(matches!(answered(two).await, UpstreamError::Garbage(_)));
    for unclear in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok"[..],
        b"HTTP/1.1 204 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 304 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let error = answered(unclear).await;
        assert!(matches!(error, UpstreamError::Framing | UpstreamError::Garbage(_)), "{unclear:?}: {error:?}");
    }
    let unasked = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    assert!(matches!(answered(unasked).await, UpstreamError::Switched));
}

#[tokio::test]
async fn a_head_longer_than_the_limit_is_no_answer() {
    let port = listen(|mut stream, _| async move {
        read_request(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(http1::RESPONSE_HEAD_BYTES_MAX));
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    assert!(matches!(fails(&upstreams(upstream("http", port))).await, UpstreamError::Garbage(_)));
}

#[tokio::test]
async fn a_dead_upstream_cannot_be_connected_to() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let upstreams = upstreams(upstream("http", port));
    assert!(matches!(fails(&upstreams).await, UpstreamError::Connect(_)));
    let unknown = upstreams.send("other", post("{}")).await.map(|_| ()).unwrap_err();
    assert!(matches!(unknown, UpstreamError::Unknown));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_given_up() {
    let port = listen(|mut stream, _| async move {
        read_request(&mut stream).await;
        assert_eq!(read_request(&mut stream).await, "", "the connection is closed, not used again");
    })
    .await;
    let mut upstream = upstream("http", port);
    upstream.response_timeout = SHORT;
    let upstreams = upstreams(upstream);
    assert!(matches!(fails(&upstreams).await, UpstreamError::ResponseTimeout));
}

#[tokio::test]
async fn an_upstream_that_stops_in_the_middle_is_given_up_and_its_answer_is_an_error() {
    let port = listen(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst").await.unwrap();
        read_request(&mut stream).await;
    })
    .await;
    let mut upstream = upstream("http", port);
    upstream.idle_timeout = SHORT;
    let mut body = upstreams(upstream).send("api", post("{}")).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(matches!(body.frame().await.unwrap(), Err(ResponseBodyError::Idle)));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_not_a_short_answer() {
    for part in ["content-length: 10\r\n\r\nfirst", "transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"] {
        let port = listen(move |mut stream, _| async move {
            read_request(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{part}").as_bytes()).await.unwrap();
        })
        .await;
        let mut body = upstreams(upstream("http", port)).send("api", post("{}")).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(matches!(body.frame().await.unwrap(), Err(ResponseBodyError::Broken(_))), "{part}");
    }
}

#[tokio::test]
async fn a_write_that_may_have_arrived_is_never_sent_again() {
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let port = listen(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            // The first request is answered, so that the second comes over a connection that was used before.
            read_request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            if !read_request(&mut stream).await.is_empty() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let upstreams = upstreams(upstream("http", port));
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    assert!(matches!(fails(&upstreams).await, UpstreamError::Closed(_)));
    sleep(SHORT).await;
    assert_eq!(received.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_finds_its_connection_closed_goes_over_another() {
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
    for _ in 0..3 {
        text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
        close.notify_one();
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_an_upstream_says_unasked_is_not_the_next_requests_answer() {
    let port = listen(|mut stream, number| async move {
        read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        if number == 0 {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
        }
        read_request(&mut stream).await;
    })
    .await;
    let upstreams = upstreams(upstream("http", port));
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    sleep(Duration::from_millis(20)).await;
    assert_eq!(text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await, "ok");
}

#[tokio::test]
async fn more_requests_than_allowed_wait_for_a_permit_as_long_as_for_a_connection() {
    let port = listen(|stream, _| answer_all(stream, OK)).await;
    let mut upstream = upstream("http", port);
    upstream.connections_max = 1;
    upstream.connect_timeout = SHORT;
    let upstreams = upstreams(upstream);
    let first = upstreams.send("api", post("{}")).await.unwrap();
    assert!(matches!(fails(&upstreams).await, UpstreamError::Saturated), "an answer is in flight until it is read");
    text(first.into_body()).await;
    upstreams.send("api", post("{}")).await.unwrap();
}

#[tokio::test]
async fn work_for_a_client_that_went_away_is_dropped() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let port = listen(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            for _ in 0..2 {
                sender.send(read_request(&mut stream).await.is_empty()).unwrap();
            }
        }
    })
    .await;
    let upstreams = upstreams(upstream("http", port));
    {
        let sent = upstreams.send("api", post("{}"));
        tokio::select! {
            _ = sent => panic!("there is no answer"),
            arrived = receiver.recv() => assert_eq!(arrived, Some(false)),
        }
    }
    assert_eq!(receiver.recv().await, Some(true), "the connection is closed");
}

/// What a client of the passing gateway is told that sends these bytes.
async fn passed(allowed: Body, limits: &Limits, bytes: &[u8]) -> String {
    let port = listen(|mut stream, _| async move {
        let mut sink = Vec::new();
        stream.read_to_end(&mut sink).await.unwrap();
    })
    .await;
    let gateway = gateway(Arc::new(limited(upstream("http", port), limits)), allowed).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(bytes).await.unwrap();
    read_until(&mut client, "body").await
}

#[tokio::test]
async fn a_passed_body_has_a_limit_however_it_is_framed() {
    let limits = Limits { stream_bytes_max: 5, ..Limits::default() };
    let long = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nhello!";
    assert!(passed(Body::Stream, &limits, long).await.starts_with("HTTP/1.1 502"));
    let chunked = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    assert!(passed(Body::Stream, &limits, chunked).await.contains("the request's body"));
    let none = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n!";
    assert!(passed(Body::None, &limits, none).await.contains("the request's body"));
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_passed_body_is_given_up() {
    let limits = Limits { body_timeout: SHORT, ..Limits::default() };
    let port = listen(|mut stream, _| async move {
        let mut sink = Vec::new();
        stream.read_to_end(&mut sink).await.unwrap();
    })
    .await;
    let mut upstream = upstream("http", port);
    upstream.response_timeout = SHORT;
    let gateway = gateway(Arc::new(limited(upstream, &limits)), Body::Stream).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nhel").await.unwrap();
    read_until(&mut client, "the client took too long").await;
}

#[tokio::test]
async fn a_passed_body_that_trickles_is_given_up_though_it_never_stops() {
    let limits = Limits { body_bytes_per_second_min: 100_000, rate_grace: SHORT, ..Limits::default() };
    let port = listen(|mut stream, _| async move {
        let mut sink = Vec::new();
        stream.read_to_end(&mut sink).await.unwrap();
    })
    .await;
    let gateway = gateway(Arc::new(limited(upstream("http", port), &limits)), Body::Stream).await;
    let client = TcpStream::connect(gateway).await.unwrap();
    let (mut read, mut write) = client.into_split();
    write.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
    // As many as a deadline of ours would give it, and no more.
    let trickle = tokio::spawn(async move {
        for _ in 0..2_000 {
            sleep(Duration::from_millis(5)).await;
            if write.write_all(b"a").await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&answer).contains("the client took too long") {
        let count = read.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    trickle.abort();
}

#[tokio::test]
async fn a_slow_passed_body_may_take_longer_than_an_answer() {
    let port = listen(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let mut upstream = upstream("http", port);
    upstream.response_timeout = SHORT;
    let gateway = gateway(Arc::new(upstreams(upstream)), Body::Stream).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").await.unwrap();
    for byte in b"slow" {
        sleep(SHORT).await;
        client.write_all(&[*byte]).await.unwrap();
    }
    read_until(&mut client, "\r\n\r\nok").await;
}
