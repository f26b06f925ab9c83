//! Properties over every carrier of attributes, without sockets: what leaves is searched for canaries by other readers than our own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use countersign::clock;
use countersign::decision::{Judged, Update, Value};
use countersign::edge::hygiene;
use countersign::edge::origin::RequestOrigin;
use countersign::envelope::json;
use countersign::epoch::{Epoch, Epochs, Tenant};
use countersign::gateway::{Judgement, Open, Witness};
use countersign::identity::Proofs;
use countersign::observe::Metrics;
use countersign::policy::Limits;
use countersign::profile::Operation;
use countersign::rejection::Rejection;
use countersign::state::{Memory, MemoryLimits};
use futures_util::FutureExt;
use http::Request;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::gateway::write_whole;
use crate::support::token::now;
use crate::support::{SECRET, Token};

const LOCKED: [&str; 3] = ["plan", "seats", "tier"];
const OPEN: [&str; 3] = ["nickname", "score", "note"];

const WORKSPACE: &str = r#"
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
profile = "PROFILE"

[identity]
require = "never"

[[identity.keys]]
id = "one"
algorithm = "HS256"
secret = { file = "../secret" }
use = ["jwt"]

[attributes]
plan = { lock = "enforce" }
seats = { lock = "enforce" }
tier = { lock = "enforce" }
nickname = { lock = "off" }
score = { lock = "off" }
note = { lock = "off" }
"#;

/// A profile whose form fields are attributes themselves.
const FIELDS: &str = r#"
title = "Fields"
token_reader = "gateway"
workspace_at = []
claims = "claims"
[identity]
user_id = []
email = []
session = []
user_id_claims = ["user_id"]
email_claims = []
[tokens]
jwt = ["bearer:authorization"]
user_hash = []
[folding]
containers = ["custom_attributes"]
[shapes.claims]
kind = "object"
settings = ["user_id", "exp"]
[operations.fields]
on = "POST /fields"
class = "update"
body = "form"
fields = { plan = "plan", seats = "seats", tier = "tier", nickname = "nickname", score = "score", note = "note" }
"#;

/// How a request carries its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    FormJson,
    Brackets,
    Body,
    Pointer,
    Fields,
}

const CARRIERS: [Carrier; 5] = [Carrier::FormJson, Carrier::Brackets, Carrier::Body, Carrier::Pointer, Carrier::Fields];

impl Carrier {
    fn is_json(self) -> bool {
        matches!(self, Carrier::Body | Carrier::Pointer)
    }

    /// Whether values are anything but texts.
    fn has_kinds(self) -> bool {
        matches!(self, Carrier::FormJson | Carrier::Body | Carrier::Pointer)
    }

    fn target(self) -> &'static str {
        match self {
            Carrier::FormJson | Carrier::Brackets => "/messenger/web/ping",
            Carrier::Body => "/root",
            Carrier::Pointer => "/pointer",
            Carrier::Fields => "/fields",
        }
    }
}

/// The spelling of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Own,
    /// With an escape, which is the same name to every reader of JSON.
    Escaped,
    Upper,
    Space,
    FullWidth,
    /// Within an object that some backends keep attributes in.
    Contained,
}

#[derive(Clone, Debug)]
struct Member {
    name: &'static str,
    spelling: Spelling,
    /// Which kind of value carries the canary.
    kind: u8,
}

/// The members of a payload, and for which of the locked attributes there is a signed value.
#[derive(Clone, Debug)]
struct Case {
    members: Vec<Member>,
    signed: [bool; 3],
}

fn cases() -> impl Strategy<Value = Case> {
    let name = prop::sample::select(LOCKED.iter().chain(&OPEN).copied().chain(["is_admin"]).collect::<Vec<_>>());
    let spelling = prop_oneof![
        6 => Just(Spelling::Own),
        1 => Just(Spelling::Escaped),
        1 => Just(Spelling::Upper),
        1 => Just(Spelling::Space),
        1 => Just(Spelling::FullWidth),
        1 => Just(Spelling::Contained),
    ];
    let member = (name, spelling, 0..6_u8).prop_map(|(name, spelling, kind)| Member { name, spelling, kind });
    (prop::collection::vec(member, 0..9), any::<[bool; 3]>()).prop_map(|(mut members, signed)| {
        // A name twice is another test's matter.
        let mut seen = HashSet::new();
        let spelled = |spelling| if spelling == Spelling::Escaped { Spelling::Own } else { spelling };
        members.retain(|member| seen.insert((member.name, format!("{:?}", spelled(member.spelling)))));
        Case { members, signed }
    })
}

/// Digits that stand in no other value and in no name.
fn canary(index: usize) -> String {
    format!("70{index}909{index}07")
}

fn signed_canary(index: usize) -> String {
    format!("80{index}808{index}08")
}

impl Member {
    /// The name as a reader of the carrier finds it.
    fn read_name(&self) -> String {
        match self.spelling {
            Spelling::Own | Spelling::Escaped | Spelling::Contained => self.name.to_owned(),
            Spelling::Upper => self.name.to_uppercase(),
            Spelling::Space => format!("{} ", self.name),
            Spelling::FullWidth => {
                let (first, rest) = self.name.split_at(1);
                let wide = char::from_u32(0xff41 + u32::from(first.as_bytes()[0] - b'a')).expect("a letter");
                format!("{wide}{rest}")
            }
        }
    }

    fn json_name(&self) -> String {
        match self.spelling {
            Spelling::Escaped => {
                let (first, rest) = self.name.split_at(1);
                format!("\\u{:04x}{rest}", first.as_bytes()[0])
            }
            Spelling::Own | Spelling::Contained | Spelling::Upper | Spelling::Space | Spelling::FullWidth => {
                self.read_name()
            }
        }
    }

    fn text(&self, index: usize) -> String {
        let canary = canary(index);
        match self.kind {
            0 => canary,
            1 => format!("a&user_data={{\"plan\":\"{canary}\"}}+%zz"),
            2 => format!("\u{e9}\u{1f600}\"\\\n{canary}"),
            _ => format!(" {canary};{canary}"),
        }
    }

    fn json_value(&self, index: usize) -> String {
        let canary = canary(index);
        match self.kind {
            0..=2 => serde_json::to_string(&self.text(index)).expect("text"),
            3 => format!("{canary}.10"),
            4 => format!("[{canary}]"),
            _ => format!("{{\"plan\":{canary}}}"),
        }
    }

    /// Whether a value of this kind is a scalar in the carrier.
    fn is_scalar(&self, carrier: Carrier) -> bool {
        !carrier.has_kinds() || self.kind < 4
    }
}

fn document(members: &[Member]) -> String {
    let entry = |(index, member): (usize, &Member)| format!("\"{}\":{}", member.json_name(), member.json_value(index));
    let is_contained = |member: &Member| member.spelling == Spelling::Contained;
    let mut entries: Vec<String> =
        members.iter().enumerate().filter(|(_, member)| !is_contained(member)).map(entry).collect();
    let contained: Vec<String> =
        members.iter().enumerate().filter(|(_, member)| is_contained(member)).map(entry).collect();
    if !contained.is_empty() {
        entries.push(format!("\"custom_attributes\":{{{}}}", contained.join(",")));
    }
    format!("{{{}}}", entries.join(","))
}

fn body(carrier: Carrier, members: &[Member]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    match carrier {
        Carrier::Body => return document(members),
        Carrier::Pointer => {
            return format!(r#"{{"b":[1.10],"user":{{"a":0,"attributes":{}}},"c":""}}"#, document(members));
        }
        Carrier::FormJson => {
            form.append_pair("app_id", "abc12345").append_pair("user_data", &document(members));
        }
        Carrier::Brackets => {
            form.append_pair("app_id", "abc12345");
            for (index, member) in members.iter().enumerate() {
                let within = if member.spelling == Spelling::Contained { "[custom_attributes]" } else { "" };
                form.append_pair(&format!("user_data{within}[{}]", member.read_name()), &member.text(index));
            }
        }
        Carrier::Fields => {
            for (index, member) in members.iter().enumerate() {
                let name = match member.spelling {
                    Spelling::Contained => format!("custom_attributes[{}]", member.name),
                    Spelling::Own | Spelling::Escaped | Spelling::Upper | Spelling::Space | Spelling::FullWidth => {
                        member.read_name()
                    }
                };
                form.append_pair(&name, &member.text(index));
            }
        }
    }
    form.finish()
}

fn token(claims: &[String]) -> String {
    let claims: String = claims.iter().map(|claim| format!(",{claim}")).collect();
    Token::of(&format!(r#"{{"user_id":"user-42","sub":"user-42","exp":{}{claims}}}"#, now() + 600)).text()
}

/// Counts verdicts (P1).
#[derive(Default)]
struct Counter {
    judged: Option<(usize, usize)>,
}

impl Witness for Counter {
    fn tenant(&mut self, _: &Tenant, _: &Operation) {}
    fn proofs(&mut self, _: &Tenant, _: &Proofs<'_>) {}
    fn would_refuse(&mut self, _: &'static str) {}
    fn judged(&mut self, _: &Tenant, update: &Update<'_>, judged: &Judged<'_>) {
        assert!(self.judged.is_none(), "a request is judged once");
        self.judged = Some((update.writes.len(), judged.verdicts().len()));
    }
}

struct Gate {
    epoch: std::sync::Arc<Epoch>,
    state: Memory,
    _directory: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let policies = directory.path().join("policies");
        for folder in ["workspaces", "profiles"] {
            std::fs::create_dir_all(policies.join(folder)).expect("made");
        }
        let gateway = "[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\ncertificates = [{ certificate = \"a.pem\", key = \"b.pem\" }]\n[upstreams.attributes]\nurl = \"http://127.0.0.1:9\"\n";
        let route = |path: &str, at: &str| {
            format!("[[routes]]\npath = \"{path}\"\nmethods = [\"POST\"]\nattributes = \"{at}\"\n")
        };
        let json = format!("{WORKSPACE}{}{}", route("/root", ""), route("/pointer", "/user/attributes"));
        write_whole(&directory.path().join("secret"), SECRET);
        for (file, text) in [
            ("gateway.toml", gateway.to_owned()),
            ("profiles/fields.toml", FIELDS.to_owned()),
            ("workspaces/fields.toml", WORKSPACE.replace("PROFILE", "fields")),
            ("workspaces/json.toml", json.replace("PROFILE", "json")),
            (
                "workspaces/web.toml",
                format!("app_ids = [\"abc12345\"]\n{}", WORKSPACE.replace("PROFILE", "intercom-web")),
            ),
        ] {
            write_whole(&policies.join(file), &text);
        }
        let epochs = Epochs::start(&policies, &Metrics::new()).unwrap_or_else(|error| panic!("{error}"));
        Self { epoch: epochs.current(), state: Memory::new(MemoryLimits::default()), _directory: directory }
    }

    /// What leaves of a request, and how many verdicts there were.
    fn pass(&self, carrier: Carrier, body: &str, token: &str) -> Result<(String, usize), Rejection> {
        let mut target = carrier.target().to_owned();
        let mut request = Request::post("/").header("host", "gw.test").header("origin", "https://app.acme.example");
        match carrier {
            _ if token.is_empty() => {}
            Carrier::FormJson | Carrier::Brackets => target = format!("{target}?intercom_user_jwt={token}"),
            Carrier::Body | Carrier::Pointer | Carrier::Fields => {
                request = request.header("authorization", format!("Bearer {token}"));
            }
        }
        let content_type = if carrier.is_json() { "application/json" } else { "application/x-www-form-urlencoded" };
        let request = request
            .uri(target)
            .header("content-type", content_type)
            .header("content-length", body.len())
            .body(())
            .expect("a request");
        let (parts, ()) = request.into_parts();
        let head = hygiene::inspect(&parts)?;
        let route = self.epoch.route(&parts.method, head.host(), head.path())?;
        let judgement = Judgement {
            epoch: &self.epoch,
            head: &head,
            parts: &parts,
            route: &route,
            client: None,
            certificate: None,
        };
        let origin = RequestOrigin::read(&parts.headers)?;
        let mut counter = Counter::default();
        let mut open = Open;
        let cleared =
            judgement.clear(body.as_bytes(), &origin, clock::now_seconds(), &self.state, &mut open, &mut counter);
        let cleared = cleared.now_or_never().expect("memory never waits")?;
        let (writes, verdicts) = counter.judged.expect("judged");
        assert_eq!(writes, verdicts, "each member has one verdict");
        Ok((String::from_utf8(cleared.rewritten.body().to_vec()).expect("text"), verdicts))
    }
}

/// Everything that Rust's ordinary readers find in a body, as one text.
fn seen_by_rust(carrier: Carrier, body: &str) -> String {
    let flat = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON").to_string();
    if carrier.is_json() {
        return flat(body);
    }
    let pairs = form_urlencoded::parse(body.as_bytes());
    pairs
        .map(|(name, value)| {
            let value = if name == "user_data" { flat(&value) } else { value.into_owned() };
            format!("{name}={value}\n")
        })
        .collect()
}

/// Name and value of the open attributes in a body, in order; numbers by their digits.
fn open_attributes(carrier: Carrier, body: &str) -> Vec<(String, String)> {
    let limits = Limits::default();
    let of_document = |text: &str, below: &[&str]| {
        let value = json::read(text.as_bytes(), &limits).expect("JSON");
        let found = below.iter().try_fold(&value, |at, name| at.member(name));
        let entries = found.and_then(Value::as_object).unwrap_or_default();
        let entry = |(name, value): &(_, Value<'_>)| {
            let mut text = Vec::new();
            json::write(value, &mut text);
            (
                String::clone(&std::borrow::Cow::into_owned(std::borrow::Cow::clone(name))),
                String::from_utf8(text).expect("text"),
            )
        };
        entries.iter().map(entry).collect::<Vec<_>>()
    };
    let pairs = || form_urlencoded::parse(body.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()));
    let all = match carrier {
        Carrier::Body => of_document(body, &[]),
        Carrier::Pointer => of_document(body, &["user", "attributes"]),
        Carrier::FormJson => of_document(&pairs().find(|(name, _)| name == "user_data").expect("user_data").1, &[]),
        Carrier::Brackets => pairs()
            .map(|(name, value)| (name.trim_start_matches("user_data[").trim_end_matches(']').to_owned(), value))
            .collect(),
        Carrier::Fields => pairs().collect(),
    };
    all.into_iter().filter(|(name, _)| OPEN.contains(&name.as_str())).collect()
}

/// What one reader found, and what must not be in it.
struct Left {
    carrier: Carrier,
    body: String,
    forbidden: Vec<String>,
}

fn check(gate: &Gate, carrier: Carrier, case: &Case, left: &RefCell<Vec<Left>>) -> Result<(), TestCaseError> {
    let claims: Vec<String> = (0..3)
        .filter(|index| case.signed[*index])
        .map(|index| format!("\"{}\":\"{}\"", LOCKED[index], signed_canary(index)))
        .collect();
    let token = if claims.is_empty() { String::new() } else { token(&claims) };
    let sent = body(carrier, &case.members);
    let (out, verdicts) = match gate.pass(carrier, &sent, &token) {
        Ok(passed) => passed,
        Err(Rejection::Internal) => return Err(TestCaseError::fail(format!("our own fault: {sent}"))),
        // Nothing of it leaves.
        Err(_) => return Ok(()),
    };
    // P1. To an API that knows no containers the object around some members is one member.
    let contained = case.members.iter().filter(|member| member.spelling == Spelling::Contained).count();
    let named = case.members.len() - if carrier.is_json() { contained.saturating_sub(1) } else { 0 };
    if carrier != Carrier::Fields {
        prop_assert_eq!(verdicts, named, "{}", sent);
    }
    // P2
    let seen = seen_by_rust(carrier, &out);
    let is_open = |member: &Member| OPEN.contains(&member.name);
    // Among fields that are attributes themselves a field that the profile does not name is none.
    let is_attribute = |member: &Member| {
        carrier != Carrier::Fields || member.spelling != Spelling::Contained && LOCKED.contains(&member.name)
    };
    let forbidden: Vec<String> = case
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| !is_open(member) && is_attribute(member))
        .map(|(index, _)| canary(index))
        .collect();
    for canary in &forbidden {
        prop_assert!(!seen.contains(canary) && !out.contains(canary), "{sent}\n{out}");
    }
    // What is signed arrives where the payload named it, and everywhere else only if we are the token's one reader.
    for (index, name) in LOCKED.iter().enumerate() {
        let own =
            |member: &Member| member.name == *name && matches!(member.spelling, Spelling::Own | Spelling::Escaped);
        let arrived = seen.contains(&signed_canary(index));
        prop_assert!(case.signed[index] || !arrived);
        if case.signed[index] && case.members.iter().any(own) {
            prop_assert!(arrived, "{sent}\n{out}");
        }
    }
    // P3
    let kept = case.members.iter().enumerate().filter(|(_, member)| {
        is_open(member) && member.is_scalar(carrier) && matches!(member.spelling, Spelling::Own | Spelling::Escaped)
    });
    let kept: Vec<(String, String)> = kept
        .map(|(index, member)| {
            let value = if carrier.has_kinds() { canonical(&member.json_value(index)) } else { member.text(index) };
            (member.name.to_owned(), value)
        })
        .collect();
    prop_assert_eq!(open_attributes(carrier, &out), kept);
    match gate.pass(carrier, &out, &token) {
        Ok((again, _)) => prop_assert_eq!(&again, &out, "writing it again changes nothing"),
        Err(rejection) => prop_assert!(false, "what was sent on is refused: {} {out}", rejection.code()),
    }
    left.borrow_mut().push(Left { carrier, body: out, forbidden });
    Ok(())
}

fn canonical(text: &str) -> String {
    let mut out = Vec::new();
    json::write(&json::read(text.as_bytes(), &Limits::default()).expect("JSON"), &mut out);
    String::from_utf8(out).expect("text")
}

/// Reads `[kind, body]` pairs and prints, for each, one line with everything that was read.
const PYTHON: &str = r"
import sys, json, urllib.parse as u
for kind, body in json.load(sys.stdin):
    if kind == 'json':
        read = json.loads(body)
    else:
        read = [(k, json.loads(v) if k == 'user_data' else v) for k, v in u.parse_qsl(body, keep_blank_values=True)]
    print(json.dumps(read))
";

fn seen_by_python(left: &[Left]) -> Vec<String> {
    let bodies: Vec<_> =
        left.iter().map(|left| (if left.carrier.is_json() { "json" } else { "form" }, left.body.as_str())).collect();
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`python3` is needed for this test: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let text = serde_json::to_vec(&bodies).expect("JSON");
    let writer = std::thread::spawn(move || stdin.write_all(&text));
    let output = child.wait_with_output().expect("ended");
    writer.join().expect("joined").expect("written");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// Runs a property over generated cases, always the same ones.
fn run(cases_of_each: u32, property: impl Fn(Carrier, &Case) -> Result<(), TestCaseError>) {
    for carrier in CARRIERS {
        let config = Config { cases: cases_of_each, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        if let Err(error) = runner.run(&cases(), |case| property(carrier, &case)) {
            panic!("{carrier:?}: {error}");
        }
    }
}

#[test]
fn no_carrier_lets_an_unsigned_locked_value_out_and_none_changes_what_is_kept() {
    let gate = Gate::new();
    let left = RefCell::new(Vec::new());
    run(384, |carrier, case| check(&gate, carrier, case, &left));
    let left = left.into_inner();
    for carrier in CARRIERS {
        let passed = left.iter().filter(|left| left.carrier == carrier).count();
        assert!(passed >= 20, "only {passed} of {carrier:?} passed: the property says little");
    }
    let seen = seen_by_python(&left);
    assert_eq!(seen.len(), left.len());
    for (left, seen) in left.iter().zip(seen) {
        for canary in &left.forbidden {
            assert!(!seen.contains(canary), "python reads {seen}");
        }
    }
}

#[test]
fn a_token_that_signs_everything_lets_everything_through() {
    let gate = Gate::new();
    let passed = RefCell::new(0);
    run(64, |carrier, case| {
        let mut members = case.members.clone();
        members.retain(|member| {
            matches!(member.spelling, Spelling::Own | Spelling::Escaped)
                && member.is_scalar(carrier)
                && member.name != "is_admin"
        });
        let claim = |(index, member): (usize, &Member)| {
            let value = if carrier.has_kinds() {
                member.json_value(index)
            } else {
                serde_json::to_string(&member.text(index)).expect("text")
            };
            format!("\"{}\":{value}", member.name)
        };
        let claims: Vec<String> = members.iter().enumerate().map(claim).collect();
        let sent = body(carrier, &members);
        let (out, _) = gate.pass(carrier, &sent, &token(&claims)).map_err(|error| TestCaseError::fail(error.code()))?;
        prop_assert_eq!(seen_by_rust(carrier, &out), seen_by_rust(carrier, &sent));
        *passed.borrow_mut() += 1;
        Ok(())
    });
    assert!(*passed.borrow() >= 300);
}
