//! The pure rooms name no runtime, socket, file, lock, log or clock.

use crate::nothing;
use crate::rust::{code, paths};
use crate::tree::{File, sources};

const PURE: [&str; 4] = ["decision", "envelope", "policy", "profile"];

/// Paths that no pure room begins a path with.
const FOREIGN: [&str; 19] = [
    "anyhow",
    "arc_swap",
    "dashmap",
    "http_body_util",
    "hyper",
    "hyper_util",
    "log",
    "notify",
    "rustls",
    "socket2",
    "std::env",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tracing",
];

/// Names that no pure room has in any path: however they were brought in, they are a lock, a socket, a clock or an output.
const NAMES: [&str; 18] = [
    "Condvar",
    "Instant",
    "LazyLock",
    "Mutex",
    "OnceLock",
    "RwLock",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "UnixStream",
    "dbg",
    "eprint",
    "eprintln",
    "print",
    "println",
    "thread_local",
];

/// What is no contact with the world although its name says so, file by file.
const EXCEPTIONS: [(&str, &str); 1] = [
    // The decoders of gzip and Brotli are readers over bytes that are in memory already.
    ("src/envelope/coding.rs", "std::io::Read"),
];

fn impurities(file: &File) -> Vec<String> {
    let room = file.name.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default();
    if !PURE.contains(&room) {
        return Vec::new();
    }
    let tokens = code(&file.text);
    let mut found = Vec::new();
    for path in paths(&tokens) {
        let full = path.names.join("::");
        let begins = |with: &&str| full == *with || full.strip_prefix(*with).is_some_and(|rest| rest.starts_with("::"));
        let foreign = FOREIGN.iter().any(begins) || path.names.iter().any(|name| NAMES.contains(name));
        if foreign && !EXCEPTIONS.contains(&(file.name.as_str(), full.as_str())) {
            found.push(format!("{}:{}: `{room}` is pure and may not name `{full}`", file.name, path.line));
        }
    }
    found
}

#[test]
fn the_pure_rooms_touch_nothing_outside() {
    nothing(&sources().iter().flat_map(impurities).collect::<Vec<_>>());
}

#[test]
fn an_impurity_is_found() {
    #[track_caller]
    fn check(name: &str, text: &str, count: usize) {
        let file = File { name: name.to_owned(), text: text.to_owned() };
        assert_eq!(impurities(&file).len(), count, "{:?}", impurities(&file));
    }
    check("src/policy/reader.rs", "use std::net::SocketAddr; use std::time::Duration;", 0);
    check("src/policy/reader.rs", "use std::{fs, net::TcpStream, time::{Duration, Instant}};", 3);
    check("src/policy/reader.rs", "fn f() { tracing::info!(\"{x}\"); println!(); let a = std::env::var(\"A\"); }", 3);
    check("src/policy/reader.rs", "use std::sync::{Arc, Mutex};", 1);
    check("src/policy/reader.rs", "#[cfg(test)] mod tests { fn f() { std::fs::read(\"a\"); } }", 0);
    check("src/policy/reader.rs", "use std::io::Read;", 1);
    check("src/envelope/coding.rs", "use std::io::Read;", 0);
    check("src/envelope/coding.rs", "use std::io::{Read, Write};", 1);
    check("src/edge/tls.rs", "use std::fs;", 0);
}
