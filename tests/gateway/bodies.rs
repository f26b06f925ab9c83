//! Bodies that must not pass: each is a 4xx with a code of its own, and nothing of it reaches the upstream.

use std::io::Write;

use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::{Bench, form, ping_form};

const PING: &str = "/messenger/web/ping";

/// JSON texts that no two parsers read alike, or that are no JSON at all; written for this test.
fn bad_documents() -> Vec<Vec<u8>> {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let texts: Vec<String> = [
        r#"{"plan":"free","plan":"pro"}"#,
        r#"{"plan":"free","pl\u0061n":"pro"}"#,
        r#"{"company":{"plan":"free","plan":"pro"}}"#,
        r#"{"a":[{"b":1,"b":2}]}"#,
        "",
        " ",
        "null",
        "[]",
        "\"{}\"",
        "7",
        "undefined",
        "{",
        "{}}",
        "{} {}",
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a" 1}"#,
        r#"{"a":}"#,
        r"{a:1}",
        r"{'a':1}",
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":+1}"#,
        r#"{"a":-}"#,
        r#"{"a":1e}"#,
        r#"{"a":0x10}"#,
        r#"{"a":NaN}"#,
        r#"{"a":Infinity}"#,
        r#"{"a":-Infinity}"#,
        r#"{"a":tru}"#,
        r#"{"a":True}"#,
        r#"{"a":"\x41"}"#,
        r#"{"a":"\u12"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"a":"\udc00\ud800"}"#,
        r#"{"a\ud800":1}"#,
        r#"{"a":"\u0000"}"#,
        r#"{"pl\u0000an":1}"#,
        "{\"a\":\"tab\there\"}",
        "{\"a\":\"line\nbreak\"}",
        "{\"a\":1}\0",
        "\u{feff}{}",
        "{/**/}",
        "{} // x",
        r#"{"a":"open}"#,
        r#"{"a":[1,2}"#,
        r#"{"a":[1 2]}"#,
        "{\u{a0}}",
    ]
    .iter()
    .map(|text| (*text).to_owned())
    .chain([
        format!(r#"{{"a":{deep}}}"#),
        format!(r#"{{"a":{}}}"#, "9".repeat(65)),
        format!(r#"{{"{}":1}}"#, "n".repeat(257)),
        format!(r#"{{"a":"{}"}}"#, "x".repeat(64 * 1024 + 1)),
        format!(r#"{{"a":[{}1]}}"#, "1,".repeat(20_000)),
    ])
    .collect();
    let mut documents: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    documents.extend([
        b"{\"a\":\"\xff\"}".to_vec(),
        b"{\"a\":\"\xc0\xaf\"}".to_vec(),
        b"{\"a\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"a\":\"\xf4\x90\x80\x80\"}".to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
    ]);
    documents
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn documents_that_parsers_read_differently_are_refused() {
    let mut bench = Bench::acme(|setup| setup).await;
    for document in bad_documents() {
        let body = format!("app_id=abc12345&user_data={}", percent(&document));
        let shown = String::from_utf8_lossy(&document).chars().take(60).collect::<String>();
        let code = bench.refused(form_request(PING, body), 400).await;
        assert!(!code.is_empty(), "{shown}");
    }
    bench.passes(form_request(PING, ping_form("{}"))).await;
}

#[tokio::test]
async fn forms_that_parsers_read_differently_are_refused() {
    let mut bench = Bench::acme(|setup| setup).await;
    let data = percent(br#"{"nickname":"bob"}"#);
    let locked = percent(br#"{"plan":"pro"}"#);
    for body in [
        format!("app_id=abc12345&user_data={data}&user_data={locked}"),
        format!("app_id=abc12345&user_data={data}&user_data[plan]=pro"),
        format!("app_id=abc12345&user_data[plan]=pro&user_data={data}"),
        format!("app_id=abc12345&User_Data={locked}"),
        format!("app_id=abc12345&user_data%20={locked}"),
        format!("app_id=abc12345&%20user_data={locked}"),
        format!("app_id=abc12345&user.data={locked}"),
        format!("app_id=abc12345&user+data={locked}"),
        format!("app_id=abc12345&user%5Bdata={locked}"),
        format!("app_id=abc12345&user_data%00={locked}"),
        format!("app_id=abc12345&user_data[]={locked}"),
        "app_id=abc12345&user_data.plan=pro".to_owned(),
        "app_id=abc12345&user_data[plan=pro".to_owned(),
        "app_id=abc12345&user_data[plan]x=pro".to_owned(),
        "app_id=abc12345&user_data[][plan]=pro".to_owned(),
        "app_id=abc12345&user_data[plan][]=pro".to_owned(),
        "app_id=abc12345&user_data[plan]=pro&user_data[plan]=free".to_owned(),
        "app_id=abc12345&user_data[plan]=pro&user_data[plan][a]=free".to_owned(),
        format!("app_id=abc12345&user_data={data}%zz"),
        format!("app_id=abc12345&user_data={data}%"),
        "app_id=abc12345&x=%ff".to_owned(),
        format!("app_id=abc12345&{}user_data={data}", "a=1&".repeat(200)),
    ] {
        bench.refused(form_request(PING, body), 400).await;
    }
    let beside = format!("app_id=abc12345&user_data={data}");
    for target in [
        format!("{PING}?user_data={locked}"),
        format!("{PING}?user_data[plan]=pro"),
        format!("{PING}?x=1&User_Data={locked}"),
        format!("{PING}?user%5Fdata={locked}"),
    ] {
        bench.refused(form_request(&target, beside.clone()), 400).await;
    }
}

#[tokio::test]
async fn other_content_types_and_codings_are_refused() {
    let mut bench = Bench::acme(|setup| setup).await;
    let request = |content_type: &str, coding: Option<&str>, body: Vec<u8>| {
        let mut request = Request::post(PING).header("origin", "https://app.acme.example");
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        if let Some(coding) = coding {
            request = request.header("content-encoding", coding);
        }
        request.body(body).expect("a request")
    };
    let form_type = "application/x-www-form-urlencoded";
    let body = ping_form(r#"{"plan":"pro"}"#).into_bytes();
    for content_type in [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-8; charset=utf-16",
        "application/x-www-form-urlencoded, application/json",
        "",
    ] {
        bench.refused(request(content_type, None, body.clone()), 415).await;
    }
    for coding in ["zstd", "compress", "gzip, gzip", "br, gzip", "x"] {
        bench.refused(request(form_type, Some(coding), body.clone()), 415).await;
    }
    bench.refused(request(form_type, Some("gzip"), body.clone()), 400).await;
    bench.refused(request(form_type, Some("gzip"), gzip(&vec![b'a'; 3 << 20])), 413).await;
    let mut trailing = gzip(&body);
    trailing.extend(b"user_data=x");
    bench.refused(request(form_type, Some("gzip"), trailing), 400).await;
    bench.passes(request(form_type, Some("gzip"), gzip(&body))).await;
    let received = bench.upstream.only();
    assert_eq!(received.user_data(), json!({}));
    assert_eq!(received.header("content-encoding"), None);
    assert_eq!(received.header("content-length"), Some(received.body.len().to_string().as_str()));
    bench.passes(request("Application/X-WWW-Form-Urlencoded; Charset=\"UTF-8\"", None, body)).await;
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

#[tokio::test]
async fn two_gzip_members_are_one_body() {
    let mut bench = Bench::acme(|setup| setup).await;
    let mut body = gzip(b"app_id=abc12345&user_data=%7B%22nick");
    body.extend(gzip(b"name%22%3A%22bob%22%2C%22plan%22%3A%22pro%22%7D"));
    let request = Request::post(PING)
        .header("origin", "https://app.acme.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-encoding", "gzip")
        .body(body)
        .expect("a request");
    bench.passes(request).await;
    assert_eq!(bench.upstream.only().user_data(), json!({"nickname": "bob"}));
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_those_at_it_pass() {
    let limits = "[limits]\nbody_bytes_max = 4096\n";
    let mut bench = Bench::acme(|setup| setup.gateway(limits)).await;
    let body = |bytes: usize| {
        let start = form(&[("app_id", "abc12345"), ("user_data", "{}"), ("page_title", "")]);
        format!("{start}{}", "x".repeat(bytes - start.len()))
    };
    bench.refused(form_request(PING, body(4097)), 413).await;
    bench.passes(form_request(PING, body(4096))).await;
}

#[tokio::test]
async fn the_workspace_must_be_one_of_ours_and_only_one() {
    let mut bench = Bench::acme(|setup| setup).await;
    for body in [
        form(&[("app_id", "other"), ("user_data", "{}")]),
        form(&[("user_data", "{}")]),
        form(&[("app_id", "abc12345"), ("app_id", "other"), ("user_data", "{}")]),
        form(&[("app_id", "abc12345"), ("user_data", r#"{"app_id":"other"}"#)]),
    ] {
        let answer = bench.client.send(form_request(PING, body)).await;
        assert!(answer.status.is_client_error(), "{}", answer.status);
    }
    assert!(bench.upstream.received().is_empty());
}
