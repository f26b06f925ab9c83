//! What the upstream received, read by other languages' own parsers: none of them sees a locked value that nobody signed.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::client::form_request;
use crate::support::{Setup, TestUpstream, ping_form};

/// Reads a form on standard input and prints `user_data` as its own JSON reader understands it. Rack reads forms for Rails, and so for
/// Chatwoot and for Intercom.
const READERS: [(&str, &[&str], &str); 5] = [
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
    (
        "ruby",
        &["-rrack", "-rjson", "-e"],
        "t=Rack::Utils.parse_nested_query(STDIN.read)['user_data'];puts JSON.generate(JSON.parse(t)) if t",
    ),
    (
        "php",
        &["-r"],
        "parse_str(stream_get_contents(STDIN),$f);if(isset($f['user_data']))echo json_encode(json_decode($f['user_data'],false,512,JSON_BIGINT_AS_STRING|JSON_THROW_ON_ERROR),JSON_PRESERVE_ZERO_FRACTION),\"\\n\";",
    ),
];

/// Reads lines of body and query and prints those whose parameters, as a framework merges them, name a document, a token, an identity or
/// another method with a value in which `EVIL` stands.
const FRAMEWORKS: [(&str, &[&str], &str); 2] = [
    (
        "ruby",
        &["-rrack", "-e"],
        "STDIN.each_line(chomp: true){|l| b,q=l.split(' ',-1); p=Rack::Utils.parse_nested_query(q).merge(Rack::Utils.parse_nested_query(b)); puts l if %w[user_data form_params intercom_user_jwt user_id app_id _method].any?{|k| p[k].inspect.include?('EVIL')}}",
    ),
    (
        "php",
        &["-r"],
        "while(($l=fgets(STDIN))!==false){[$b,$q]=explode(' ',rtrim($l,\"\\n\"));parse_str($b,$p);parse_str($q,$r);$p=array_merge($r,$p);foreach(['user_data','form_params','intercom_user_jwt','user_id','app_id','_method'] as $k)if(isset($p[$k])&&strpos(json_encode($p[$k]),'EVIL')!==false){echo $l;break;}}",
    ),
];

fn read_by(program: &str, arguments: &[&str], script: &str, body: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("`{program}` is needed for this test (Debian: python3, nodejs, perl, ruby-rack, php-cli): {error}")
        });
    let mut stdin = child.stdin.take().expect("piped");
    let body_to_write = body.to_vec();
    // Beside the reading, or both wait once the pipes are full.
    let writing = std::thread::spawn(move || stdin.write_all(&body_to_write));
    let output = child.wait_with_output().expect("ended");
    writing.join().expect("no panic").expect("written");
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
    assert_eq!(passed, 45);
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

/// What frameworks trim, fold, decode twice, take for a divider or for the beginning of a list, put into names of fields.
const INSERTED: [&str; 40] = [
    "+",
    "%20",
    "%09",
    "%0A",
    "%0D",
    "%0B",
    "%0C",
    "%7F",
    "%01",
    "%00",
    ".",
    "%2E",
    "[",
    "]",
    "[]",
    "[plan]",
    "%5B",
    "%5D",
    "%5B%5D",
    "%255B",
    "%25",
    "%2500",
    "_",
    "-",
    ";",
    "%3B",
    "&",
    "%26",
    "=",
    "%3D",
    "%22",
    "%27",
    "%5C",
    "/",
    "$",
    "%23",
    "%C2%A0",
    "%E2%80%8B",
    "%EF%BB%BF",
    "%EF%BC%BF",
];

#[tokio::test]
async fn no_name_that_passes_is_a_document_or_token_to_a_framework() {
    let upstream = TestUpstream::start().await;
    // Who names a user must prove it, so that what passes names none.
    let gateway = Setup::acme(upstream.address).with(r#"require = "never""#, r#"require = "identified""#).start();
    let mut client = gateway.http1().await;
    let evil = "%7B%22user_id%22%3A%22user-42%22%2C%22plan%22%3A%22EVIL%22%7D";
    let (mut passed, mut refused) = (0, 0);
    for name in ["user_data", "form_params", "intercom_user_jwt", "user_id", "_method"] {
        let with = |place: usize, inserted: &str| {
            let (before, after) = name.split_at(place);
            format!("{before}{inserted}{after}")
        };
        let everywhere = INSERTED.iter().flat_map(|inserted| (0..=name.len()).map(move |place| with(place, inserted)));
        let (first, rest) = name.split_at(1);
        let recased =
            [name.to_uppercase(), first.to_uppercase() + rest, name.replacen('_', "-", 1), format!("+[{name}")];
        let in_body =
            everywhere.chain(recased).map(|spelled| ("/messenger/web/ping".to_owned(), format!("&{spelled}={evil}")));
        let around = INSERTED.iter().flat_map(|inserted| [with(0, inserted), with(name.len(), inserted)]);
        let in_query = around.map(|spelled| (format!("/messenger/web/ping?{spelled}={evil}"), String::new()));
        for (target, field) in in_body.chain(in_query) {
            let answer = client.send(form_request(&target, format!("app_id=abc12345{field}"))).await;
            match answer.status.as_u16() {
                200 => passed += 1,
                400 | 403 => refused += 1,
                other => panic!("{other} for {target} {field}"),
            }
        }
    }
    let lines: Vec<u8> = upstream
        .received()
        .iter()
        .flat_map(|received| {
            let query = received.target.split_once('?').map_or("", |(_, query)| query);
            [&received.body[..], b" ", query.as_bytes(), b"\n"].concat()
        })
        .collect();
    assert_eq!(upstream.received().len(), passed);
    assert!(passed > 500 && refused > 500, "{passed} passed, {refused} were refused: this test looks at both");
    for (program, arguments, script) in FRAMEWORKS {
        assert_eq!(read_by(program, arguments, script, &lines), "", "{program} takes these for what they must not be");
        // The near miss: a line that both must find.
        let found = format!("user_data={evil} \n");
        assert_eq!(read_by(program, arguments, script, found.as_bytes()), found, "{program}");
    }
}
