//! What the demo sends, and what became of it.
//!
//! A scenario says what is sent and expects nothing: what arrived is read from the API, why is read from the gateway's verdicts.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::api::ReceivedRequest;
use super::wire::{WireRequest, readable};
use crate::decision::{Code, Force};

/// The workspace that the demo's requests name.
pub const APP_ID: &str = "demo0001";
/// The user whose attributes change.
pub const USER_ID: &str = "user-42";
/// The site that the demo's policy must trust.
pub const TRUSTED_ORIGIN: &str = "https://app.acme.example";
/// One that it must not: it begins like the trusted one.
pub const FOREIGN_ORIGIN: &str = "https://app.acme.example.evil.test";

/// One request that the demo can send.
#[derive(Clone)]
pub struct DemoRequest {
    pub title: String,
    pub call: Call,
    pub spelling: Spelling,
    pub site: Site,
    pub proof: Proof,
    /// In the order of the wire; `user_id` and the proof are added.
    pub attributes: Vec<DemoAttribute>,
}

/// One attribute: what stands in the plain payload, and what in the token.
#[derive(Clone)]
pub struct DemoAttribute {
    pub name: String,
    pub plain: Option<Value>,
    pub signed: Option<Value>,
}

/// Which call of the messenger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Ping,
    /// Another one that carries the same payload.
    Open,
}

/// How the payload is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `user_data={"plan":"pro"}`, as the widget does.
    UserData,
    /// `user_data[plan]=pro`, which many frameworks read as the same.
    Brackets,
}

/// The page on which the widget claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    Trusted,
    Foreign,
}

impl Site {
    /// The value of the `Origin` header.
    #[must_use]
    pub fn origin(self) -> &'static str {
        match self {
            Site::Trusted => TRUSTED_ORIGIN,
            Site::Foreign => FOREIGN_ORIGIN,
        }
    }
}

/// What proves the user.
#[derive(Clone)]
pub enum Proof {
    /// It says who, and signs no attribute.
    UserHash,
    /// Carries every [`DemoAttribute::signed`].
    Token,
    /// One whose payload was changed after it was signed.
    AlteredToken { name: String, value: Value },
}

/// A request with a name, for the command line and the page's buttons.
#[derive(Clone)]
pub struct Scenario {
    /// In addresses and on the command line.
    pub id: &'static str,
    /// What somebody tries, in one sentence.
    pub story: &'static str,
    pub request: DemoRequest,
}

/// The requests of the demo, in the order in which they make sense.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let ordinary = |title: &str, proof, attributes| DemoRequest {
        title: title.to_owned(),
        call: Call::Ping,
        spelling: Spelling::UserData,
        site: Site::Trusted,
        proof,
        attributes,
    };
    let attack = || vec![plain("plan", "enterprise"), plain("nickname", "Ada")];
    vec![
        Scenario {
            id: "unsigned",
            story: "Somebody types an update of the plan into the browser's console. Who it is was proven; what was not.",
            request: ordinary("Unsigned update", Proof::UserHash, attack()),
        },
        Scenario {
            id: "signed",
            story: "The site's own server signed the plan.",
            request: ordinary(
                "Signed update",
                Proof::Token,
                vec![both("plan", "pro", "pro"), plain("nickname", "Ada")],
            ),
        },
        Scenario {
            id: "tampered",
            story: "The plan inside the token is changed after it was signed, so the signature no longer fits.",
            request: ordinary(
                "Tampered token",
                Proof::AlteredToken { name: "plan".into(), value: "enterprise".into() },
                vec![both("plan", "enterprise", "pro"), plain("nickname", "Ada")],
            ),
        },
        Scenario {
            id: "overridden",
            story: "The token is genuine and says `pro`; the plain value beside it says `enterprise`.",
            request: ordinary(
                "Another value beside the token",
                Proof::Token,
                vec![both("plan", "enterprise", "pro"), plain("nickname", "Ada")],
            ),
        },
        Scenario {
            id: "foreign",
            story: "The widget runs on a site whose name begins like the trusted one.",
            request: DemoRequest { site: Site::Foreign, ..ordinary("Foreign origin", Proof::UserHash, attack()) },
        },
        Scenario {
            id: "unknown",
            story: "An attribute that nobody listed.",
            request: ordinary(
                "Unknown attribute",
                Proof::UserHash,
                vec![plain("is_admin", true), plain("nickname", "Ada")],
            ),
        },
        Scenario {
            id: "erase",
            story: "A locked attribute is not set but cleared.",
            request: ordinary("Erasing a locked attribute", Proof::UserHash, vec![plain("plan", Value::Null)]),
        },
        Scenario {
            id: "observed",
            story: "The lock on the phone number only observes: it is recorded what enforcing would do, and nothing is left out.",
            request: ordinary("Observed lock", Proof::UserHash, vec![plain("phone", "+44 20 7946 0958")]),
        },
        Scenario {
            id: "elsewhere",
            story: "The first attack again, on another call that carries the same payload.",
            request: DemoRequest { call: Call::Open, ..ordinary("Another endpoint", Proof::UserHash, attack()) },
        },
        Scenario {
            id: "brackets",
            story: "The first attack again, spelled with form brackets rather than as JSON.",
            request: DemoRequest {
                spelling: Spelling::Brackets,
                ..ordinary("Form brackets", Proof::UserHash, attack())
            },
        },
    ]
}

fn plain(name: &str, value: impl Into<Value>) -> DemoAttribute {
    DemoAttribute { name: name.to_owned(), plain: Some(value.into()), signed: None }
}

fn both(name: &str, plain: &str, signed: &str) -> DemoAttribute {
    DemoAttribute { name: name.to_owned(), plain: Some(plain.into()), signed: Some(signed.into()) }
}

/// What the client was told.
#[derive(Clone, Serialize)]
pub struct Answer {
    pub status: u16,
    /// Why the gateway refused; `None` where the request was sent on.
    pub refusal: Option<Refusal>,
}

/// Why a request was refused as a whole.
#[derive(Clone, Serialize)]
pub struct Refusal {
    /// The stable name, as in the record.
    pub code: String,
    pub words: String,
}

/// One verdict, as the gateway recorded it.
#[derive(Clone)]
pub struct DemoVerdict {
    pub name: String,
    pub code: Code,
    pub force: Force,
}

impl DemoVerdict {
    /// Why, in one sentence for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self.force {
            Force::Applied => self.code.words().to_owned(),
            Force::Recorded => format!("{} (only observed: sent on as it came)", self.code.words()),
        }
    }
}

/// What became of one request.
#[derive(Clone, Serialize)]
pub struct DemoOutcome {
    pub title: String,
    pub call: String,
    pub origin: &'static str,
    pub answer: Answer,
    pub attributes: Vec<AttributeOutcome>,
    /// The body that was sent, for people.
    pub sent: String,
    /// The body that arrived at the API; `None` if nothing did.
    pub arrived: Option<String>,
}

/// What became of one attribute.
#[derive(Clone, Serialize)]
pub struct AttributeOutcome {
    pub name: String,
    /// In the plain payload, as JSON text.
    pub sent: Option<String>,
    /// In the token.
    pub signed: Option<String>,
    /// As the API read it.
    pub arrived: Option<String>,
    pub fate: Fate,
    /// `None` where the request was refused before anything was judged.
    #[serde(serialize_with = "code_and_words")]
    pub verdict: Option<DemoVerdict>,
}

/// What can be seen at the API, whatever the verdict says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The value that was sent, or signed, is there.
    Arrived,
    /// Another one is there.
    Replaced,
    Absent,
}

impl DemoOutcome {
    /// Puts together what was sent, what the client was told, what arrived (if anything) and the verdicts.
    #[must_use]
    pub fn new(
        request: &DemoRequest,
        sent: &WireRequest,
        answer: Answer,
        arrived: Option<&ReceivedRequest>,
        verdicts: &[DemoVerdict],
    ) -> Self {
        let attributes = request
            .attributes
            .iter()
            .map(|attribute| {
                let found = arrived.and_then(|request| request.attributes.get(&attribute.name));
                let asked = attribute.plain.as_ref().or(attribute.signed.as_ref());
                let fate = match found {
                    None => Fate::Absent,
                    Some(found) if asked.is_some_and(|asked| reads_as(found, asked)) => Fate::Arrived,
                    Some(_) => Fate::Replaced,
                };
                AttributeOutcome {
                    name: attribute.name.clone(),
                    sent: attribute.plain.as_ref().map(shown),
                    signed: attribute.signed.as_ref().map(shown),
                    arrived: found.map(shown),
                    fate,
                    verdict: verdicts.iter().find(|verdict| verdict.name == attribute.name).cloned(),
                }
            })
            .collect();
        Self {
            title: request.title.clone(),
            call: format!("{} {}", sent.method, sent.path),
            origin: sent.origin,
            answer,
            attributes,
            sent: readable(sent.body.as_bytes()),
            arrived: arrived.map(|request| readable(&request.body)),
        }
    }
}

/// Brackets make every value a text: `true` arrives as `"true"`.
fn reads_as(found: &Value, asked: &Value) -> bool {
    found == asked || found.as_str().is_some_and(|found| *found == *asked.to_string())
}

const SHOWN_CHARS_MAX: usize = 80;

/// JSON text, so that `5` and `"5"` look different; long ones are cut.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text,
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn code_and_words<S: Serializer>(verdict: &Option<DemoVerdict>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Verdict {
        code: &'static str,
        words: String,
    }
    let verdict = verdict.as_ref();
    verdict.map(|verdict| Verdict { code: verdict.code.as_str(), words: verdict.words() }).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use serde_json::json;

    use super::*;
    use crate::clock::UnixSeconds;
    use crate::demo::wire::DemoSigner;

    fn received(attributes: Value) -> ReceivedRequest {
        let Value::Object(attributes) = attributes else { panic!("an object") };
        ReceivedRequest {
            number: 1,
            method: Method::POST,
            path_and_query: "/messenger/web/ping".into(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"user_data={}"),
            attributes,
        }
    }

    fn locked(force: Force) -> DemoVerdict {
        DemoVerdict { name: "plan".into(), code: Code::Locked, force }
    }

    #[track_caller]
    fn check(attribute: DemoAttribute, arrived: Option<Value>, fate: Fate) {
        let request = DemoRequest { attributes: vec![attribute], ..scenarios().remove(0).request };
        let sent = request.on_the_wire(&DemoSigner::new(b"secret"), UnixSeconds(0));
        let answer = Answer { status: 200, refusal: None };
        let arrived = arrived.map(|plan| received(json!({ "plan": plan })));
        let outcome = DemoOutcome::new(&request, &sent, answer, arrived.as_ref(), &[locked(Force::Applied)]);
        assert_eq!(outcome.attributes[0].fate, fate);
        assert_eq!(outcome.attributes[0].verdict.as_ref().map(|verdict| verdict.code), Some(Code::Locked));
    }

    #[test]
    fn the_fate_is_what_is_seen_at_the_api() {
        check(plain("plan", "pro"), Some(json!("pro")), Fate::Arrived);
        check(plain("plan", "pro"), Some(json!("free")), Fate::Replaced);
        check(plain("plan", "pro"), None, Fate::Absent);
        check(plain("plan", Value::Null), Some(Value::Null), Fate::Arrived);
        check(plain("plan", true), Some(json!("true")), Fate::Arrived);
        check(DemoAttribute { plain: None, ..both("plan", "", "pro") }, Some(json!("pro")), Fate::Arrived);
    }

    #[test]
    fn scenarios_have_names_of_their_own() {
        let scenarios = scenarios();
        let ids: HashSet<_> = scenarios.iter().map(|scenario| scenario.id).collect();
        assert_eq!(ids.len(), scenarios.len());
    }

    #[test]
    fn each_scenario_says_what_it_sends() {
        let signer = DemoSigner::new(b"secret");
        let sent: Vec<String> = scenarios()
            .iter()
            .map(|scenario| {
                let sent = scenario.request.on_the_wire(&signer, UnixSeconds(0));
                format!("{} {} {}", scenario.id, sent.path, readable(sent.body.as_bytes()).replace('\n', " "))
            })
            .collect();
        let find = |id: &str| sent.iter().find(|line| line.starts_with(id)).unwrap();
        assert!(find("unsigned").contains(r#""plan":"enterprise","nickname":"Ada","user_hash""#));
        assert!(find("signed").contains("intercom_user_jwt"));
        assert!(find("erase").contains(r#""plan":null"#));
        assert!(find("elsewhere").contains("/messenger/web/open"));
        assert!(find("brackets").contains("user_data[plan] = enterprise"));
        assert!(!find("brackets").contains("user_data = "));
    }

    #[test]
    fn the_page_gets_the_words_of_the_code() {
        let outcome = AttributeOutcome {
            name: "plan".into(),
            sent: None,
            signed: None,
            arrived: None,
            fate: Fate::Absent,
            verdict: Some(locked(Force::Applied)),
        };
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json["verdict"], json!({ "code": "locked", "words": Code::Locked.words() }));
        assert!(locked(Force::Recorded).words().ends_with("(only observed: sent on as it came)"));
        assert_eq!(json["fate"], "absent");
    }
}
