use http::Request;

use super::*;

fn parts(version: Version, method: &str, target: &str, headers: &[(&str, &[u8])]) -> Parts {
    let mut request = Request::builder().version(version).method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

#[track_caller]
fn check(method: &str, target: &str, headers: &[(&str, &[u8])], expected: Result<(), HygieneError>) {
    let parts = parts(Version::HTTP_11, method, target, headers);
    assert_eq!(inspect(&parts).map(|_| ()), expected, "{method} {target}");
}

#[track_caller]
fn check_http2(target: &str, headers: &[(&str, &[u8])], expected: Result<(), HygieneError>) {
    let parts = parts(Version::HTTP_2, "GET", target, headers);
    assert_eq!(inspect(&parts).map(|_| ()), expected, "{target}");
}

const HOST: (&str, &[u8]) = ("host", b"a.example");

#[test]
fn methods_that_make_tunnels_or_echoes_are_refused() {
    check("POST", "/x", &[HOST], Ok(()));
    check("CONNECT", "a.example:443", &[HOST], Err(HygieneError::Connect));
    check("TRACE", "/x", &[HOST], Err(HygieneError::Trace));
}

#[test]
fn targets_are_paths() {
    check("GET", "/x?a=1&b={2}", &[HOST], Ok(()));
    check("OPTIONS", "*", &[HOST], Err(HygieneError::Target));
    check("GET", "https://a.example/x", &[HOST], Ok(()));
    check("GET", "https://b.example/x", &[HOST], Err(HygieneError::HostMismatch));
    check("GET", "https://a.example/x", &[], Err(HygieneError::HostMissing));
    check("GET", "http://a.example/x", &[HOST], Err(HygieneError::Target));
    check("GET", "/x//y", &[HOST], Err(HygieneError::Path(PathError::EmptySegment)));
    check("GET", "/x/", &[HOST], Err(HygieneError::Path(PathError::EmptySegment)));
    check("GET", "/x?a=\u{f1}", &[HOST], Err(HygieneError::Query));
}

#[test]
fn there_is_one_host_and_it_is_a_host() {
    for host in ["a.example", "A.Example:8443", "192.0.2.1", "[::1]:8443", "localhost", "xn--bcher-kva.example"] {
        check("GET", "/", &[("host", host.as_bytes())], Ok(()));
    }
    for host in [
        "",
        "a..example",
        "a.example.",
        ".a.example",
        "a.example:",
        "a.example:65536",
        "a.example:+80",
        "a.example:080000",
        "user@a.example",
        "a.example/x",
        "a.example a",
        "a.example,b.example",
        "a_b.example",
        "-a.example",
        "[::1",
        "[::1]8443",
        "[fe80::1%25eth0]",
        "::1",
        "127.1",
        "0x7f.0.0.1",
        "1.2.3.4.5",
        "a.0x7f",
    ] {
        check("GET", "/", &[("host", host.as_bytes())], Err(HygieneError::HostSyntax));
    }
    check("GET", "/", &[("host", b"b\xfccher.example")], Err(HygieneError::Value("host")));
    check("GET", "/", &[], Err(HygieneError::HostMissing));
    check("GET", "/", &[HOST, HOST], Err(HygieneError::Repeated("host")));
    check("GET", "/", &[("host", &[b'a'; 64])], Err(HygieneError::HostSyntax));
}

#[test]
fn http2_names_its_host_in_the_target() {
    check_http2("https://a.example/x", &[], Ok(()));
    check_http2("https://a.example/x", &[HOST], Ok(()));
    check_http2("https://A.example/x", &[HOST], Ok(()));
    check_http2("https://a.example/x", &[("host", b"b.example")], Err(HygieneError::HostMismatch));
    check_http2("https://a.example:8443/x", &[HOST], Err(HygieneError::HostMismatch));
    check_http2("https://user@a.example/x", &[], Err(HygieneError::HostSyntax));
    check_http2("http://a.example/x", &[], Err(HygieneError::Target));
    check_http2("/x", &[], Err(HygieneError::HostMissing));
    check_http2("/x", &[HOST], Ok(()));
}

#[test]
fn the_length_of_a_body_is_said_in_one_way() {
    fn framing(version: Version, headers: &[(&str, &[u8])]) -> Result<Framing, HygieneError> {
        let headers: Vec<_> = [HOST].iter().chain(headers).copied().collect();
        inspect(&parts(version, "POST", "/x", &headers)).map(|head| head.framing())
    }
    fn http1(headers: &[(&str, &[u8])]) -> Result<Framing, HygieneError> {
        framing(Version::HTTP_11, headers)
    }
    assert_eq!(http1(&[]), Ok(Framing::None));
    assert_eq!(http1(&[("content-length", b"0")]), Ok(Framing::None));
    assert_eq!(http1(&[("content-length", b"12")]), Ok(Framing::Length(12)));
    assert_eq!(http1(&[("transfer-encoding", b"Chunked")]), Ok(Framing::Open));
    for value in ["+1", "-1", "1,1", "1, 1", " 1", "0x1", "", "18446744073709551616"] {
        assert_eq!(http1(&[("content-length", value.as_bytes())]), Err(HygieneError::ContentLength), "{value}");
    }
    let twice: &[(&str, &[u8])] = &[("content-length", b"1"), ("content-length", b"1")];
    assert_eq!(http1(twice), Err(HygieneError::ContentLength));
    for value in ["gzip, chunked", "chunked, chunked", "identity", "chunked;q=1", "xchunked", ""] {
        let header: &[(&str, &[u8])] = &[("transfer-encoding", value.as_bytes())];
        assert_eq!(http1(header), Err(HygieneError::TransferEncoding), "{value}");
    }
    let twice: &[(&str, &[u8])] = &[("transfer-encoding", b"chunked"), ("transfer-encoding", b"chunked")];
    assert_eq!(http1(twice), Err(HygieneError::TransferEncoding));
    let both: &[(&str, &[u8])] = &[("transfer-encoding", b"chunked"), ("content-length", b"1")];
    assert_eq!(http1(both), Err(HygieneError::LengthAndTransferEncoding));
    let chunked: &[(&str, &[u8])] = &[("transfer-encoding", b"chunked")];
    assert_eq!(framing(Version::HTTP_10, chunked), Err(HygieneError::TransferEncoding));
    assert_eq!(framing(Version::HTTP_2, chunked), Err(HygieneError::TransferEncoding));
    assert_eq!(framing(Version::HTTP_2, &[]), Ok(Framing::Open));
    assert_eq!(framing(Version::HTTP_2, &[("content-length", b"12")]), Ok(Framing::Length(12)));
    assert_eq!(framing(Version::HTTP_09, &[]), Err(HygieneError::Version));
}

#[test]
fn headers_that_we_read_come_once_and_in_ascii() {
    for name in SINGLE.iter().map(HeaderName::as_str) {
        if !["content-length", "transfer-encoding", "host"].contains(&name) {
            check("POST", "/x", &[HOST, (name, b"a"), (name, b"a")], Err(HygieneError::Repeated(name)));
            check("POST", "/x", &[HOST, (name, b"\xc3\xb1")], Err(HygieneError::Value(name)));
        }
    }
    check("POST", "/x", &[HOST, ("user-agent", b"\xc3\xb1"), ("user-agent", b"a")], Ok(()));
    check("POST", "/x", &[HOST, ("origin", b"https://a.example")], Ok(()));
}

#[test]
fn connection_takes_no_judged_header_away() {
    for value in ["keep-alive", "close", "Keep-Alive, Upgrade", "TE"] {
        check("GET", "/", &[HOST, ("connection", value.as_bytes())], Ok(()));
    }
    for value in ["authorization", "close, x-auth-token", "cookie", "", "close,"] {
        check("GET", "/", &[HOST, ("connection", value.as_bytes())], Err(HygieneError::ConnectionOption));
    }
    check("POST", "/", &[HOST, ("expect", b"100-Continue")], Ok(()));
    check("POST", "/", &[HOST, ("expect", b"200-ok")], Err(HygieneError::Expectation));
}

#[track_caller]
fn scrubbed(name: &str, kept: bool) {
    let mut parts = parts(Version::HTTP_11, "GET", "/", &[HOST, (name, b"a")]);
    let keep = ["api_access_token", "x-countersign-token"].map(HeaderName::from_static);
    scrub(&mut parts, &keep, &Limits::default()).expect("few headers");
    assert_eq!(parts.headers.contains_key(name), kept, "{name}");
}

#[test]
fn what_a_client_cannot_say_is_taken_away_in_every_spelling() {
    for name in ["x-forwarded-for", "X-Forwarded_For", "x_forwarded_for", "Forwarded", "x-real_ip", "X-Request-ID"] {
        scrubbed(name, false);
    }
    for name in ["x-countersign-decision", "x_countersign_decision", "X-Countersign", "x-countersignature"] {
        scrubbed(name, false);
    }
    for name in ["X-HTTP-Method-Override", "x_http_method", "x-method-override", "proxy", "some_header"] {
        scrubbed(name, false);
    }
    for name in ["x_countersign_token", "x-countersign-token2", "X-Countersign_Token", "api-access_token"] {
        scrubbed(name, false);
    }
    for name in [
        "x-countersign-token",
        "api_access_token",
        "x-auth-token",
        "user-agent",
        "x-forward",
        "x-real-ip-not",
        "forwarded-not",
    ] {
        scrubbed(name, true);
    }
}

#[test]
fn crumbs_are_joined_on_http2_alone_and_counted_before() {
    let crumbs: &[(&str, &[u8])] = &[HOST, ("cookie", b"a=1"), ("cookie", b"b=2"), ("cookie", b"c=3")];
    let limits = Limits { headers_max: 4, ..Limits::default() };
    let mut http2 = parts(Version::HTTP_2, "GET", "/", crumbs);
    scrub(&mut http2, &[], &limits).expect("few headers");
    assert_eq!(http2.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    let mut http1 = parts(Version::HTTP_11, "GET", "/", crumbs);
    scrub(&mut http1, &[], &limits).expect("few headers");
    assert_eq!(inspect(&http1).map(|_| ()), Err(HygieneError::Repeated("cookie")));
    let limits = Limits { headers_max: 3, ..limits };
    let mut http2 = parts(Version::HTTP_2, "GET", "/", crumbs);
    assert_eq!(scrub(&mut http2, &[], &limits), Err(HygieneError::TooManyHeaders));
}

#[test]
fn a_head_says_what_was_read() {
    let parts = parts(Version::HTTP_11, "GET", "/a/b?c=d", &[("host", b"A.Example:8443")]);
    let head = inspect(&parts).expect("a head");
    assert_eq!((head.host(), head.port(), head.path().as_str()), ("a.example", Some(8443), "/a/b"));
    assert_eq!((head.query(), head.content_length()), (Some("c=d"), Some(0)));
    assert_eq!(head.authority(), "a.example:8443");
}
