//! The floods, each over one connection, until the gateway lets go or the time is up.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::client::TlsStream;

use crate::support::client::connect_tls;
use crate::support::form;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame, post,
};

/// Whom a flood is sent to: always a gateway of our own on this machine.
pub struct Target {
    pub address: SocketAddr,
    pub ca_pem: String,
    /// How many it took.
    pub connections: AtomicU64,
}

type Running<'a> = Pin<Box<dyn Future<Output = Option<()>> + Send + 'a>>;

pub struct Flood {
    pub name: &'static str,
    pub run: fn(&Target) -> Running<'_>,
}

macro_rules! floods {
    ($($name:literal => $run:ident),* $(,)?) => {
        pub const FLOODS: &[Flood] = &[$(Flood { name: $name, run: |target| Box::pin($run(target)) }),*];
    };
}

floods! {
    "slow head" => slow_head,
    "slow body" => slow_body,
    "never-ending body" => endless_body,
    "rapid reset" => rapid_reset,
    "continuation" => continuation,
    "header bomb" => header_bomb,
    "ping" => ping,
    "settings" => settings,
    "empty data" => empty_data,
    "zero window" => zero_window,
    "window of one byte" => tiny_window,
}

const PATH: &str = "/messenger/web/ping";
const HEAD: &str = "POST /messenger/web/ping HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Type: application/x-www-form-urlencoded\r\n";
/// No flood goes on for longer over one connection.
const STEPS_MAX: u32 = 1_000_000;

async fn connect(target: &Target, protocol: &[u8]) -> Option<TlsStream<TcpStream>> {
    let stream = connect_tls(target.address, &target.ca_pem, "localhost", &[protocol]).await.ok()?;
    target.connections.fetch_add(1, Ordering::Relaxed);
    Some(stream)
}

async fn frames(target: &Target, settings: &[u8]) -> Option<Frames<TlsStream<TcpStream>>> {
    Some(Frames::begin(connect(target, b"h2").await?, settings).await)
}

/// Sends the same bytes again and again.
async fn repeat(client: &mut Frames<TlsStream<TcpStream>>, bytes: &[u8]) -> Option<()> {
    let many = bytes.repeat(50);
    for _ in 0..STEPS_MAX {
        client.send(&many).await.then_some(())?;
        tokio::task::yield_now().await;
    }
    Some(())
}

fn opened(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&post(PATH)))
}

fn whole(stream: u32, more: (&'static str, &'static str)) -> Vec<u8> {
    let body = form(&[("app_id", "abc12345"), ("user_data", "{}"), more]);
    [opened(stream), frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

async fn drip(target: &Target, head: &str) -> Option<()> {
    let mut stream = connect(target, b"http/1.1").await?;
    stream.write_all(HEAD.as_bytes()).await.ok()?;
    stream.write_all(head.as_bytes()).await.ok()?;
    for _ in 0..STEPS_MAX {
        stream.write_all(b"a").await.ok()?;
        stream.flush().await.ok()?;
        sleep(Duration::from_millis(100)).await;
    }
    Some(())
}

async fn slow_head(target: &Target) -> Option<()> {
    drip(target, "X: ").await
}

async fn slow_body(target: &Target) -> Option<()> {
    drip(target, "Content-Length: 100000\r\n\r\n").await
}

async fn endless_body(target: &Target) -> Option<()> {
    let mut stream = connect(target, b"http/1.1").await?;
    stream.write_all(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.ok()?;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..STEPS_MAX {
        stream.write_all(chunk.as_bytes()).await.ok()?;
    }
    Some(())
}

async fn rapid_reset(target: &Target) -> Option<()> {
    let mut client = frames(target, &[]).await?;
    for number in 0..STEPS_MAX {
        let stream = 2 * number + 1;
        let reset = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        client.send(&[whole(stream, ("v", "3")), reset].concat()).await.then_some(())?;
    }
    Some(())
}

async fn continuation(target: &Target) -> Option<()> {
    let mut client = frames(target, &[]).await?;
    client.send(&frame(HEADERS, 0, 1, &block(&post(PATH)))).await.then_some(())?;
    repeat(&mut client, &frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))).await
}

async fn header_bomb(target: &Target) -> Option<()> {
    let mut client = frames(target, &[]).await?;
    // An entry of four thousand bytes, then a reference of one byte to it, again and again.
    let entry = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'v'; 3_968]].concat();
    client
        .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &[block(&post(PATH)), entry].concat()))
        .await
        .then_some(())?;
    for number in 1..STEPS_MAX {
        let bomb = [block(&post(PATH)), vec![0xbe; 16_000]].concat();
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &bomb)).await.then_some(())?;
    }
    Some(())
}

async fn ping(target: &Target) -> Option<()> {
    repeat(&mut frames(target, &[]).await?, &frame(PING, 0, 0, &[0; 8])).await
}

async fn settings(target: &Target) -> Option<()> {
    repeat(&mut frames(target, &[]).await?, &frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])).await
}

async fn empty_data(target: &Target) -> Option<()> {
    let mut client = frames(target, &[]).await?;
    client.send(&opened(1)).await.then_some(())?;
    repeat(&mut client, &frame(DATA, 0, 1, b"")).await
}

/// Over one connection, so that all of them together leave some of the upstream's connections to others: each holds one until it is reset.
const UNREAD: u32 = 15;

/// Asks for large answers, and takes none.
async fn unread(target: &Target, window: u8) -> Option<Frames<TlsStream<TcpStream>>> {
    let mut client = frames(target, &[0, 4, 0, 0, 0, window]).await?;
    for number in 0..UNREAD {
        client.send(&whole(2 * number + 1, ("v", "large"))).await.then_some(())?;
    }
    Some(client)
}

async fn zero_window(target: &Target) -> Option<()> {
    let mut client = unread(target, 0).await?;
    while client.next().await.is_some() {}
    Some(())
}

async fn tiny_window(target: &Target) -> Option<()> {
    let mut client = unread(target, 1).await?;
    let one_each: Vec<u8> =
        (0..UNREAD).flat_map(|number| frame(WINDOW_UPDATE, 0, 2 * number + 1, &[0, 0, 0, 1])).collect();
    repeat(&mut client, &one_each).await
}
