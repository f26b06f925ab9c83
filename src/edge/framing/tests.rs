use super::*;

/// Whole, and byte by byte: where the pieces of a stream break changes nothing.
#[track_caller]
fn check(stream: &str, expected: Result<(), Fault>) {
    let mut whole = StrictReader::new(256, 8);
    assert_eq!(whole.feed(stream.as_bytes()), expected, "{stream:?}");
    for size in [1, 2, 3, 7] {
        let mut pieces = StrictReader::new(256, 8);
        let result = stream.as_bytes().chunks(size).try_for_each(|piece| pieces.feed(piece));
        assert_eq!(result, expected, "{stream:?} in pieces of {size}");
        if expected.is_ok() {
            assert_eq!((whole.state, &whole.partial), (pieces.state, &pieces.partial), "{stream:?}");
        }
    }
}

#[track_caller]
fn check_headers(headers: &str, expected: Result<(), Fault>) {
    check(&format!("POST /x HTTP/1.1\r\n{headers}\r\n\r\n"), expected);
}

#[test]
fn well_formed_requests_pass_one_after_another() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b?c HTTP/1.0\r\n\r\n", Ok(()));
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\nGET / HTTP/1.1\r\n\r\n", Ok(()));
    check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\n\n\nGET / HTTP/1.1\r\n\r\n", Ok(()));
    check(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1",
        Ok(()),
    );
    check("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Ok(()));
    check_headers("x:\u{fc}\r\ny: \ta b\t", Ok(()));
}

#[test]
fn lines_end_in_one_way() {
    check("GET / HTTP/1.1\nHost: a\n\n", Err(Fault::LineEnd));
    check("GET / HTTP/1.1\r\nHost: a\n\r\n", Err(Fault::LineEnd));
    check("GET / HTTP/1.1\r\nHost: a\r\nx: y\n", Err(Fault::LineEnd));
    check("\nGET / HTTP/1.1\r\n\r\n", Err(Fault::LineEnd));
    check_headers("a: b\rc: d", Err(Fault::LineEnd));
    check_headers("a: b\r", Err(Fault::LineEnd));
    check_headers("a: b\r\r\nc: d", Err(Fault::LineEnd));
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n", Err(Fault::LineEnd));
}

#[test]
fn request_lines_have_three_words() {
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET /\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET /<a> HTTP/1.1",
        "GET /` HTTP/1.1",
        "GET /?\" HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET @ HTTP/1.1",
        "GET a:b:c HTTP/1.1",
        "GET https:///a HTTP/1.1",
        "GET https://[::1/a HTTP/1.1",
        "GET http://%5b/ HTTP/1.1",
        "GET https:/x HTTP/1.1",
        "GET /\u{fc} HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / http/1.1",
        "G(T / HTTP/1.1",
        " GET / HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        check(&format!("{line}\r\nHost: a\r\n\r\n"), Err(Fault::RequestLine));
    }
}

#[test]
fn header_lines_have_a_name_and_a_value() {
    check_headers("a: b\r\n c", Err(Fault::Folded));
    check_headers(" a: b", Err(Fault::Folded));
    check_headers("a : b", Err(Fault::HeaderLine));
    check_headers("a", Err(Fault::HeaderLine));
    check_headers(": b", Err(Fault::HeaderLine));
    check_headers("a: b\0c", Err(Fault::HeaderLine));
    check_headers("a\u{fc}: b", Err(Fault::HeaderLine));
}

#[test]
fn the_length_is_said_in_exactly_one_way() {
    check_headers("Content-Length: 0\r\nContent-Length: 0", Err(Fault::Length));
    check_headers("content-length: 0\r\nContent-Length: 5", Err(Fault::Length));
    check_headers("Content-Length: 0, 0", Err(Fault::Length));
    check_headers("Content-Length: +0", Err(Fault::Length));
    check_headers("Content-Length:", Err(Fault::Length));
    check_headers("Content-Length: 18446744073709551613", Ok(()));
    check_headers("Content-Length: 18446744073709551614", Err(Fault::Length));
    check_headers("Content-Length: 18446744073709551615", Err(Fault::Length));
    check_headers("Content-Length: 0\r\nTransfer-Encoding: chunked", Err(Fault::Length));
    check_headers("Transfer-Encoding: chunked\r\nContent-Length: 0", Err(Fault::Length));
    check_headers("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(Fault::Length));
    check_headers("Transfer-Encoding: gzip, chunked", Err(Fault::Length));
    check_headers("Transfer-Encoding: \x0bchunked", Err(Fault::HeaderLine));
    check_headers("Transfer-Encoding: identity", Err(Fault::Length));
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Fault::Length));
}

#[test]
fn chunks_are_counted_to_the_byte() {
    let chunked = |rest: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    check(&chunked("0\r\n\r\n"), Ok(()));
    for rest in ["5\r\nhelloX\r\n", "+5\r\nhello\r\n", "0x5\r\n", " 5\r\n", "5 \r\n", "\r\n", "g\r\n", ";a\r\n"] {
        check(&chunked(rest), Err(Fault::Chunk));
    }
    check(&chunked("0000000000000005\r\nhello"), Err(Fault::Chunk));
    check(&chunked(&format!("5;{}\r\n", "a".repeat(CHUNK_LINE_BYTES_MAX))), Err(Fault::Chunk));
    check(&chunked("0\r\n x\r\n\r\n"), Err(Fault::Folded));
}

#[test]
fn heads_have_limits() {
    check(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(8)), Ok(()));
    check(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(9)), Err(Fault::TooManyHeaders));
    check(&format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(256 - 23)), Ok(()));
    check(&format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(256 - 22)), Err(Fault::HeadTooLarge));
    check(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(256)), Err(Fault::HeadTooLarge));
}

#[test]
fn no_target_or_name_is_longer_than_the_next_reader_takes() {
    let read = |target: usize, name: usize| {
        let head = format!("GET /{} HTTP/1.1\r\n{}: b\r\n\r\n", "a".repeat(target - 1), "a".repeat(name));
        StrictReader::new(1 << 20, 8).feed(head.as_bytes())
    };
    assert_eq!(read(65_534, 65_535), Ok(()));
    assert_eq!(read(65_535, 1), Err(Fault::RequestLine));
    assert_eq!(read(1, 65_536), Err(Fault::HeadTooLarge));
}

#[test]
fn a_tunnel_is_nobodys_business() {
    let mut reader = StrictReader::new(256, 8);
    assert_eq!(reader.feed(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), Ok(()));
    assert!(!reader.is_within_head());
    reader.become_tunnel();
    assert_eq!(reader.feed(b"\n\n\x81\x05"), Ok(()));
    let mut reader = StrictReader::new(256, 8);
    assert_eq!(reader.feed(b"GET / HT"), Ok(()));
    assert!(reader.is_within_head());
}
