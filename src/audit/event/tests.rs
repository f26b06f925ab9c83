use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::audit::recorder::Capture;
use crate::decision::{
    Additions, Attribute, Change, Channel, Circumstances, Collect, Folding, Force, Lock, Mode, NoSecrets, Role,
    Spelling, Subject, TokenReader, Unlisted, Value as Given, ValueRule, Write, judge,
};

fn begin(method: &Method) -> Begin<'_> {
    Begin {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_007),
        listener: "public".into(),
        client: IpAddr::from([192, 0, 2, 1]),
        client_source: "socket",
        method,
        epoch: "3fa9".into(),
        tally: None,
    }
}

/// The one line that `fill` leaves, as text and as JSON.
fn line(fill: impl FnOnce(Event)) -> (String, Value) {
    let capture = Capture::start(16);
    fill(capture.recorder.begin(begin(&Method::POST)));
    let text = capture.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    let json: Value = text.parse().unwrap();
    (text, json)
}

const DONE: Outcome = Outcome { code: "sent", status: 200 };

#[test]
fn a_finished_event_is_one_line_with_every_key() {
    let (_, line) = line(|mut event| {
        event.workspace("acme");
        event.operation("ping", Class::Update);
        event.origin("https://app.acme.example");
        event.proof("valid", Some("web-2026"));
        event.subject("ada");
        event.verdicts([AttributeVerdict {
            name: RecordedName::of_catalogue("plan"),
            code: Code::Locked,
            force: Force::Applied,
        }]);
        event.would_refuse("identity_missing");
        event.would_refuse("later");
        event.bytes_in(10);
        event.bytes_out(20);
        event.upstream_status(201);
        event.upstream_time(Duration::from_micros(5));
        event.judge_time(Duration::from_micros(7));
        event.finish(DONE);
    });
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec![
        "time",
        "id",
        "epoch",
        "listener",
        "client",
        "client_source",
        "client_certificate",
        "method",
        "workspace",
        "operation",
        "class",
        "origin",
        "proof",
        "key",
        "subject",
        "ticket",
        "attributes",
        "outcome",
        "status",
        "bytes_in",
        "bytes_out",
        "upstream_status",
        "micros",
        "would_refuse",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(line["time"], "2026-11-18T11:06:40.007Z");
    assert_eq!(
        (&line["workspace"], &line["operation"], &line["class"]),
        (&json!("acme"), &json!("ping"), &json!("update"))
    );
    assert_eq!((&line["proof"], &line["key"]), (&json!("valid"), &json!("web-2026")));
    assert_eq!(line["subject"].as_str().map(str::len), Some(32));
    assert_eq!(line["attributes"], json!([{"name": "plan", "verdict": "locked", "applied": true}]));
    assert_eq!((&line["outcome"], &line["status"]), (&json!("sent"), &json!(200)));
    assert_eq!((&line["micros"]["upstream"], &line["micros"]["judge"]), (&json!(5), &json!(7)));
    assert!(line["micros"]["total"].is_u64());
    assert_eq!(line["would_refuse"], "identity_missing");
}

#[test]
fn the_id_is_the_one_of_the_record_and_of_its_time() {
    let mut id = None;
    let (_, line) = line(|event| {
        id = Some(event.id());
        event.finish(DONE);
    });
    let id = id.unwrap();
    assert_eq!(line["id"], id.to_string());
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_timestamp().map(|time| time.to_unix()), Some((1_795_000_000, 7_000_000)));
}

#[test]
fn ids_of_one_moment_differ() {
    let ids: std::collections::HashSet<Uuid> = (0..1000).map(|_| decision_id(SystemTime::UNIX_EPOCH)).collect();
    assert_eq!(ids.len(), 1000);
}

#[test]
fn an_event_dropped_unfinished_records_that_the_client_is_gone() {
    let (_, line) = line(drop);
    assert_eq!((&line["outcome"], &line["status"]), (&json!("client_gone"), &Value::Null));
}

#[test]
fn an_event_of_a_panicking_request_records_the_panic() {
    let (_, line) = line(|event| {
        std::thread::spawn(move || {
            let _event = event;
            panic!("a bug");
        })
        .join()
        .unwrap_err();
    });
    assert_eq!(line["outcome"], "panicked");
}

#[test]
fn the_last_tally_hears_of_the_outcome_once() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<Ended>>);
    impl Tally for Heard {
        fn ended(&self, ended: &Ended) {
            self.0.lock().unwrap().push(*ended);
        }
    }
    let (first, second) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    let capture = Capture::start(16);
    let mut event = capture.recorder.begin(Begin { tally: Some(first.clone()), ..begin(&Method::GET) });
    event.counted_by(second.clone());
    event.judge_time(Duration::from_micros(7));
    event.finish(DONE);
    drop(capture.recorder.begin(Begin { tally: Some(first.clone()), ..begin(&Method::GET) }));
    let code =
        |heard: &Heard| heard.0.lock().unwrap().iter().map(|ended| (ended.code, ended.status)).collect::<Vec<_>>();
    assert_eq!(code(&first), [("client_gone", None)]);
    assert_eq!(code(&second), [("sent", Some(200))]);
    assert_eq!(second.0.lock().unwrap()[0].judge, Some(Duration::from_micros(7)));
}

#[test]
fn nothing_that_a_peer_chose_stands_in_the_line() {
    let canary = "canary0123456789canary0123456789";
    let method = Method::from_bytes(canary.as_bytes()).unwrap();
    let capture = Capture::start(16);
    let mut event = capture.recorder.begin(begin(&method));
    event.subject(canary);
    event.origin(&format!("https://{canary}.example"));
    let name = RecordedName::foreign(canary, capture.recorder.subject_key());
    event.verdicts([
        AttributeVerdict { name, code: Code::Unlisted, force: Force::Applied },
        AttributeVerdict { name: RecordedName::of_catalogue(canary), code: Code::Credential, force: Force::Applied },
    ]);
    event.finish(DONE);
    let text = capture.text();
    let line: Value = text.trim_end().parse().unwrap();
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(line["method"], "other");
    assert_eq!(line["attributes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_judgement_is_recorded_by_the_catalogues_names_and_without_values() {
    let attribute =
        |name: &str, lock| Attribute { name: name.into(), lock, rule: ValueRule::default(), collect: Collect::Never };
    let catalogue = Catalogue::new(
        Mode::Enforce,
        Unlisted::Drop,
        Unlisted::Drop,
        Folding::default(),
        &[],
        vec![attribute("plan", Lock::Enforce), attribute("nickname", Lock::Off)],
    )
    .unwrap();
    let value = Given::Text("canary".into());
    let write = |name: &'static str, role| Write {
        prefix: "",
        name: name.into(),
        change: Change::Set(&value),
        role,
        spelling: Spelling::Own,
        group: None,
    };
    let update = Update {
        writes: vec![
            write("plan", Role::Attribute),
            write("PLAN", Role::Attribute),
            write("nickname", Role::Attribute),
            write("made\nup", Role::Attribute),
            write("user_hash", Role::Credential),
            write("-----BEGIN PRIVATE KEY-----canary", Role::Attribute),
        ],
        groups: vec![],
    };
    let circumstances = Circumstances {
        channel: Channel::Messenger,
        subject: Subject::NotLead,
        token_reader: TokenReader::Upstream,
        additions: Additions::Unwelcome,
    };
    let (text, line) = line(|mut event| {
        event.judged(&catalogue, &update, &judge(&catalogue, circumstances, &NoSecrets, None, &update));
        event.finish(DONE);
    });
    assert_eq!(
        line["attributes"],
        json!([
            {"name": "plan", "verdict": "locked", "applied": true},
            {"name": "plan", "verdict": "alias", "applied": true},
            {"name": "nickname", "verdict": "open", "applied": true},
            {"name": "made\u{fffd}up", "verdict": "unlisted", "applied": true},
            {"name": "(a secret)", "verdict": "secret", "applied": true},
        ])
    );
    assert!(!text.contains("canary"), "{text}");
}
