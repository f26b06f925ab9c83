//! One request's record while it is being made (P6: every request ends in exactly one).

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use tokio::time::Instant;
use uuid::Uuid;

use super::line::{Attributes, Line, Micros, to_line};
use super::name::{AttributeVerdict, ORIGIN_CHARACTERS_MAX, RecordedName, harmless};
use super::recorder::Recorder;
use super::subject::Hash;
use crate::decision::{Catalogue, Code, Judged, Update, Verdict};
use crate::profile::Class;

/// What is known when a request's head has come.
#[derive(Clone)]
pub struct Begin<'a> {
    /// The wall clock, read once for the whole request.
    pub time: SystemTime,
    pub listener: Arc<str>,
    /// The client's address, after PROXY protocol.
    pub client: IpAddr,
    pub method: &'a Method,
    /// The digest of the policies in force.
    pub epoch: Arc<str>,
    /// Who counts the outcome, until [`Event::counted_by`] names another.
    pub tally: Option<Arc<dyn Tally>>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The stable code of the reason.
    pub code: &'static str,
    /// The status that the client was given.
    pub status: u16,
}

/// How a request ended, for those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: &'static str,
    /// `None`: nobody was there to be answered.
    pub status: Option<u16>,
    pub total: Duration,
    /// Waiting for the upstream.
    pub upstream: Option<Duration>,
    /// Envelope, proofs and judgement.
    pub judge: Option<Duration>,
}

/// Hears of every outcome, exactly once: also when the client left or the request's task panicked.
pub trait Tally: Send + Sync {
    /// The request has ended.
    fn ended(&self, ended: &Ended);
}

/// The client went away before there was an answer.
const CLIENT_GONE: &str = "client_gone";

/// A bug: the request's task panicked.
const PANICKED: &str = "panicked";

/// The record of one request. Dropped unfinished it says that the client is gone.
#[must_use = "dropping it records that the client is gone"]
pub struct Event {
    recorder: Recorder,
    started: Instant,
    time: SystemTime,
    id: Uuid,
    epoch: Arc<str>,
    listener: Arc<str>,
    client: IpAddr,
    method: &'static str,
    workspace: Option<Box<str>>,
    operation: Option<Box<str>>,
    class: Option<Class>,
    origin: Option<Box<str>>,
    proof: Option<&'static str>,
    key: Option<Box<str>>,
    subject: Option<Hash>,
    attributes: Attributes,
    bytes_in: u64,
    bytes_out: u64,
    upstream_status: Option<u16>,
    upstream: Option<Duration>,
    judge: Option<Duration>,
    would_refuse: Option<&'static str>,
    tally: Option<Arc<dyn Tally>>,
    /// Set by `finish`; what `drop` finds otherwise tells the rest.
    outcome: Option<Outcome>,
}

impl Event {
    pub(super) fn begin(recorder: Recorder, begin: Begin<'_>) -> Self {
        let Begin { time, listener, client, method, epoch, tally } = begin;
        Self {
            id: decision_id(time),
            started: Instant::now(),
            method: known_method(method),
            recorder,
            time,
            epoch,
            listener,
            client,
            tally,
            workspace: None,
            operation: None,
            class: None,
            origin: None,
            proof: None,
            key: None,
            subject: None,
            attributes: Attributes::default(),
            bytes_in: 0,
            bytes_out: 0,
            upstream_status: None,
            upstream: None,
            judge: None,
            would_refuse: None,
            outcome: None,
        }
    }

    /// The decision's id (UUID version 7, RFC 9562 §5.7): the same in the record and in the answer.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Since the request's head came.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The workspace's id, as the policy names it.
    pub fn workspace(&mut self, id: &str) {
        self.workspace = Some(id.into());
    }

    /// The operation, as the profile names it.
    pub fn operation(&mut self, name: &str, class: Class) {
        self.operation = Some(name.into());
        self.class = Some(class);
    }

    /// The request's origin, admitted or not.
    pub fn origin(&mut self, origin: &str) {
        let key = self.recorder.subject_key();
        self.origin = Some(harmless(origin, ORIGIN_CHARACTERS_MAX, |origin| key.origin(origin)).into());
    }

    /// What verification said, and the policy's name of the key that was used.
    pub fn proof(&mut self, verdict: &'static str, key_id: Option<&str>) {
        self.proof = Some(verdict);
        self.key = key_id.map(Into::into);
    }

    /// The user whose attributes change. The id is hashed here and not kept.
    pub fn subject(&mut self, id: &str) {
        self.subject = Some(self.recorder.subject_key().subject(id));
    }

    /// The verdicts, by name. Credentials are never recorded.
    pub fn verdicts<'v>(&mut self, verdicts: impl IntoIterator<Item = AttributeVerdict<'v>>) {
        for verdict in verdicts {
            if verdict.code != Code::Credential {
                self.attributes.push(&verdict);
            }
        }
    }

    /// The verdicts of one judgement, on what the payload names and on what only the token carries.
    pub fn judged(&mut self, catalogue: &Catalogue, update: &Update<'_>, judged: &Judged<'_>) {
        let recorder = self.recorder.clone();
        let recorded = |spelled: Cow<'_, str>, verdict: &Verdict<'_>, attributes: &mut Attributes| {
            if verdict.code == Code::Credential {
                return;
            }
            let listed = verdict.attribute.and_then(|index| catalogue.attributes().get(index));
            let name = match listed {
                Some(attribute) => RecordedName::of_catalogue(&attribute.name),
                None => RecordedName::foreign(&spelled, recorder.subject_key()),
            };
            attributes.push(&AttributeVerdict { name, code: verdict.code, force: verdict.force });
        };
        for (write, verdict) in update.writes.iter().zip(judged.verdicts()) {
            recorded(write.full_name(), verdict, &mut self.attributes);
        }
        for (name, verdict) in judged.unnamed() {
            recorded(Cow::Borrowed(name), verdict, &mut self.attributes);
        }
    }

    /// In a workspace that only observes: the code with which the request would have been refused. The first one stays.
    pub fn would_refuse(&mut self, code: &'static str) {
        self.would_refuse.get_or_insert(code);
    }

    /// Bytes of the request's body on the wire.
    pub fn bytes_in(&mut self, bytes: u64) {
        self.bytes_in = bytes;
    }

    /// Bytes of the answer's body.
    pub fn bytes_out(&mut self, bytes: u64) {
        self.bytes_out = bytes;
    }

    /// The status with which the upstream answered.
    pub fn upstream_status(&mut self, status: u16) {
        self.upstream_status = Some(status);
    }

    /// How long the upstream took, from the first byte sent to the answer's head.
    pub fn upstream_time(&mut self, duration: Duration) {
        self.upstream = Some(duration);
    }

    /// How long envelope, proofs and judgement took.
    pub fn judge_time(&mut self, duration: Duration) {
        self.judge = Some(duration);
    }

    /// Who counts the outcome, now that workspace and operation are known.
    pub fn counted_by(&mut self, tally: Arc<dyn Tally>) {
        self.tally = Some(tally);
    }

    /// The end: writes the record.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let total = self.started.elapsed();
        let (code, status) = match self.outcome {
            Some(Outcome { code, status }) => (code, Some(status)),
            None if std::thread::panicking() => (PANICKED, None),
            None => (CLIENT_GONE, None),
        };
        let line = Line {
            time: self.time,
            id: self.id,
            epoch: &self.epoch,
            listener: &self.listener,
            client: self.client,
            method: self.method,
            workspace: self.workspace.as_deref(),
            operation: self.operation.as_deref(),
            class: self.class.map(Class::as_str),
            origin: self.origin.as_deref(),
            proof: self.proof,
            key: self.key.as_deref(),
            subject: self.subject,
            attributes: &self.attributes,
            attributes_omitted: self.attributes.omitted(),
            outcome: code,
            status,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            upstream_status: self.upstream_status,
            micros: Micros { total, upstream: self.upstream, judge: self.judge },
            would_refuse: self.would_refuse,
        };
        self.recorder.record(to_line(&line, LINE_BYTES + self.attributes.line_bytes()));
        if let Some(tally) = &self.tally {
            tally.ended(&Ended { code, status, total, upstream: self.upstream, judge: self.judge });
        }
    }
}

/// A line without attributes, so that most need one allocation.
const LINE_BYTES: usize = 768;

/// The random numbers of a thread's next ids. One draw costs as much as a whole record, whether it is for ten bytes or for a thousand.
struct Randomness {
    bytes: [u8; ID_RANDOM_BYTES * 100],
    used: usize,
}

/// What an id takes beside its time; six bits of it are lost to version and variant.
const ID_RANDOM_BYTES: usize = 10;

thread_local! {
    static RANDOMNESS: RefCell<Randomness> =
        const { RefCell::new(Randomness { bytes: [0; ID_RANDOM_BYTES * 100], used: ID_RANDOM_BYTES * 100 }) };
}

impl Randomness {
    fn next(&mut self) -> [u8; ID_RANDOM_BYTES] {
        if self.used >= self.bytes.len() {
            // Without new random numbers ids repeat their random part, which is better than no record.
            let _ = aws_lc_rs::rand::fill(&mut self.bytes);
            self.used = 0;
        }
        let next = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk()).copied();
        self.used += ID_RANDOM_BYTES;
        next.unwrap_or_default()
    }
}

fn decision_id(time: SystemTime) -> Uuid {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let random = RANDOMNESS.with_borrow_mut(Randomness::next);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// A method is any token (RFC 9110 §9.1), so what is not a registered one could be anything.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;
    use crate::audit::recorder::Capture;
    use crate::decision::{
        Additions, Attribute, Change, Channel, Circumstances, Collect, Folding, Force, Lock, Mode, Role, Spelling,
        Subject, TokenReader, Unlisted, Value as Given, ValueRule, Write, judge,
    };

    fn begin(method: &Method) -> Begin<'_> {
        Begin {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_007),
            listener: "public".into(),
            client: IpAddr::from([192, 0, 2, 1]),
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
            "method",
            "workspace",
            "operation",
            "class",
            "origin",
            "proof",
            "key",
            "subject",
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
            AttributeVerdict {
                name: RecordedName::of_catalogue(canary),
                code: Code::Credential,
                force: Force::Applied,
            },
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
        let attribute = |name: &str, lock| Attribute {
            name: name.into(),
            lock,
            rule: ValueRule::default(),
            collect: Collect::Never,
        };
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
            event.judged(&catalogue, &update, &judge(&catalogue, circumstances, None, &update));
            event.finish(DONE);
        });
        assert_eq!(
            line["attributes"],
            json!([
                {"name": "plan", "verdict": "locked", "applied": true},
                {"name": "plan", "verdict": "alias", "applied": true},
                {"name": "nickname", "verdict": "open", "applied": true},
                {"name": "made\u{fffd}up", "verdict": "unlisted", "applied": true},
            ])
        );
        assert!(!text.contains("canary"), "{text}");
    }
}
