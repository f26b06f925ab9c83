//! What the upstream received, read by other languages' own parsers: none of them sees a locked value that nobody signed.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::client::form_request;
use crate::support::{Setup, TestUpstream, ping_form};

/// Reads a form on standard input and prints `user_data` as its own JSON reader understands it.
const READERS: [(&str, &[&str], &str); 3] = [
    (
        "python3",
        &["-c"],
        "import sys,json,urllib.parse as u\nf=u.parse_qs(sys.stdin.read(),keep_blank_values=True)\nfor t in f.get('user_data',['{}']): print(json.dumps(json.loads(t)))",
    ),
    (
        "node",
        &["-e"],
        "let s=require('fs').readFileSync(0,'utf8');for(const t of new URLSearchParams(s).getAll('user_data'))console.log(JSON.stringify(JSON.parse(t)))",
    ),
    (
        "perl",
        &["-MJSON::PP", "-e"],
        "local $/;my $b=<STDIN>;for(split /&/,$b){my($k,$v)=split /=/,$_,2;for($k,$v){s/\\+/ /g;s/%([0-9A-Fa-f]{2})/chr hex $1/ge}print JSON::PP->new->canonical->utf8->encode(JSON::PP->new->utf8->decode($v)),\"\\n\" if $k eq 'user_data'}",
    ),
];

fn read_by(program: &str, arguments: &[&str], script: &str, body: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{program}` is needed for this test (Debian: python3, nodejs, perl): {error}"));
    child.stdin.take().expect("piped").write_all(body).expect("written");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{program} could not read {}", String::from_utf8_lossy(body));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn no_mainstream_parser_sees_a_locked_value_that_nobody_signed() {
    let upstream = TestUpstream::start().await;
    let gateway =
        Setup::acme(upstream.address).with(r#"mode = "enforce""#, "mode = \"enforce\"\nunlisted = \"keep\"").start();
    let mut client = gateway.http1().await;
    let mut passed = 0;
    for data in [
        r#"{"plan":"canary","nickname":"bob"}"#,
        r#"{"pl\u0061n":"canary","nickname":"bob"}"#,
        r#"{"Plan":"canary","PLAN":"canary","plan\u0020":"canary"}"#,
        r#"{"nickname":"bob","custom_attributes":{"plan":"canary"},"custom_data":{"plan":"canary"}}"#,
        r#"{"company":{"company_id":"1","name":"A","plan":"canary"},"companies":[{"company_id":"2","name":"B","plan":"canary"}]}"#,
        r#"{"__proto__":{"plan":"canary"},"constructor":{"plan":"canary"},"nickname":"b"}"#,
        r#"{"plan":["canary"],"nickname":"\ud83d\ude00 & = + % \" \\ \u2028"}"#,
        r#"{"nickname":"{\"plan\":\"free\"}&user_data={\"plan\":\"free\"}"}"#,
        r#"{"a":12345678901234567890123,"b":1.10,"c":-0.0,"d":1e5,"plan":"canary"}"#,
    ] {
        upstream.forget();
        let answer = client.send(form_request("/messenger/web/ping", ping_form(data))).await;
        assert_eq!(answer.status, 200, "{data}");
        let received = upstream.only();
        for (program, arguments, script) in READERS {
            let read = read_by(program, arguments, script, &received.body);
            assert_eq!(read.lines().count(), 1, "{program} sees {read}");
            assert!(!read.contains("canary"), "{program} sees {read} of {data}");
            let value: serde_json::Value = read.parse().expect("JSON");
            assert_eq!(value.get("plan"), None, "{program}");
            passed += 1;
        }
    }
    assert_eq!(passed, 27);
}

#[tokio::test]
async fn all_readers_agree_on_what_was_kept() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    let mut client = gateway.http1().await;
    let data =
        r#"{"nickname":"\u00e9 & = + % \" \\ 😀","name":"Ada","company":{"company_id":"1","name":"A","size":3}}"#;
    client.send(form_request("/messenger/web/ping", ping_form(data))).await;
    let received = upstream.only();
    let expected = json!({"nickname": "\u{e9} & = + % \" \\ \u{1f600}", "name": "Ada", "company": {"company_id": "1", "name": "A", "size": 3}});
    for (program, arguments, script) in READERS {
        let value: serde_json::Value = read_by(program, arguments, script, &received.body).parse().expect("JSON");
        assert_eq!(value, expected, "{program}");
    }
}
