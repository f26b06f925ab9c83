//! `workspaces/*.cases.toml`: what the file says, and the cases that it means.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use schemars::JsonSchema;

use super::cases::{
    AppId, Case, CaseFile, CaseRequest, Content, Expectation, ExpectedOutcome, ExpectedVerdict, ExpectedVerdicts,
    OBSERVED, Passage, Signer,
};
use super::client_identity::ClientIdentity;
use super::finding::Findings;
use super::keywords::keywords;
use super::reader::{self, Named, Placed, Table, Value, closest, quoted};
use super::schemas::{AnyValue, DocumentText, VerdictText};
use super::source::Source;
use crate::decision::{self, Code, Force};
use crate::profile::SessionRole;

keywords!(Passage: "sent" => Passage::Sent, "passed" => Passage::Passed, "answered" => Passage::Answered);

/// Reads the cases of one workspace. `None`: the file has mistakes, which are among the findings.
#[must_use]
pub fn parse_cases(source: &Source, findings: &mut Findings) -> Option<CaseFile> {
    let errors_before = findings.error_count();
    let file = RawCaseFile::read(source, findings)?.resolve(source, findings);
    (findings.error_count() == errors_before).then_some(file)
}

/// Test cases of a workspace: requests, and what is expected to become of them.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Countersign: the cases of a workspace", deny_unknown_fields)]
pub(super) struct RawCaseFile {
    /// What holds for every case that does not say otherwise.
    defaults: Option<Placed<RawDefaults>>,
    #[schemars(required)]
    cases: Option<Placed<Vec<Placed<RawCase>>>>,
}

/// What holds for every case that does not say otherwise.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawDefaults {
    /// Default: POST.
    #[schemars(with = "Option<String>")]
    method: Option<Placed<Method>>,
    /// With its query, where it has one.
    #[schemars(with = "Option<String>")]
    path: Option<Placed<PathAndQuery>>,
    /// Default: the workspace's first host.
    #[schemars(with = "Option<String>")]
    host: Option<Placed<HeaderValue>>,
    /// Default: none is sent.
    #[schemars(with = "Option<String>")]
    origin: Option<Placed<HeaderValue>>,
}

/// A request, and what is expected to become of it.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawCase {
    /// A sentence that says what is shown.
    #[schemars(required)]
    name: Option<Placed<String>>,
    /// Default: POST.
    #[schemars(with = "Option<String>")]
    method: Option<Placed<Method>>,
    /// With its query, where it has one.
    #[schemars(with = "Option<String>")]
    path: Option<Placed<PathAndQuery>>,
    /// Default: the workspace's first host.
    #[schemars(with = "Option<String>")]
    host: Option<Placed<HeaderValue>>,
    /// The header; `none` sends none, whatever the defaults say.
    #[schemars(with = "Option<String>")]
    origin: Option<Placed<HeaderValue>>,
    /// The id by which the request names the workspace; `none` names none. Default: the workspace's first, where the profile looks for it.
    app_id: Option<Placed<String>>,
    /// A name of the certificate that the client shows, as `[server]` spells it. Default: it shows none.
    #[schemars(with = "Option<String>")]
    client_certificate: Option<Placed<ClientIdentity>>,
    /// Further headers.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    headers: Option<Placed<Vec<Named<Placed<HeaderValue>>>>>,
    /// What the request wants to change, where the operation has its document: a table, or JSON as text.
    #[schemars(with = "Option<DocumentText>")]
    update: Option<Placed<decision::Value<'static>>>,
    /// Further fields of a form; a table becomes JSON text.
    #[schemars(with = "Option<BTreeMap<String, AnyValue>>")]
    form: Option<Placed<Vec<Named<Placed<decision::Value<'static>>>>>>,
    /// The whole body: a table is JSON, a text is sent to the letter.
    #[schemars(with = "Option<DocumentText>")]
    body: Option<Placed<decision::Value<'static>>>,
    /// Default: what the operation takes.
    #[schemars(with = "Option<String>")]
    content_type: Option<Placed<HeaderValue>>,
    /// The claims of a token that is signed for the case. Default of `exp`: in ten minutes.
    #[schemars(with = "Option<BTreeMap<String, AnyValue>>")]
    signed: Option<Placed<decision::Value<'static>>>,
    /// The id of a key, or `nobody` for a forged token. Default: the first key for tokens.
    signed_by: Option<Placed<String>>,
    /// The id of whom a `user_hash` is made and sent.
    user_hash_of: Option<Placed<String>>,
    /// The client's address. Default: one that the workspace lets in.
    #[schemars(with = "Option<String>")]
    client: Option<Placed<IpAddr>>,
    /// The request comes in a session of which the messenger said before that it is a `visitor`'s, a `lead`'s or a `user`'s. Default: none.
    session_role: Option<Placed<SessionRole>>,
    /// The request comes in a session that the messenger gave for a token with these claims. Default of `exp`: in ten minutes.
    #[schemars(with = "Option<BTreeMap<String, AnyValue>>")]
    exchanged: Option<Placed<decision::Value<'static>>>,
    /// The claims of a collector ticket that is signed for the case. Default of `exp`: in ten minutes; of `session`: the request's.
    #[schemars(with = "Option<BTreeMap<String, AnyValue>>")]
    ticket: Option<Placed<decision::Value<'static>>>,
    /// The time of the request, in seconds since 1970. Default: always the same.
    now: Option<Placed<i64>>,
    #[schemars(required)]
    expect: Option<Placed<RawExpectation>>,
}

/// What is expected. What is not named may be as it likes.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct RawExpectation {
    /// `sent` (the default), `passed` for what is never opened, `answered` for preflights.
    status: Option<Placed<Passage>>,
    /// The code of the refusal.
    refused: Option<Placed<String>>,
    /// The document as it goes on, all of it: a table, or JSON as text.
    #[schemars(with = "Option<DocumentText>")]
    goes_on: Option<Placed<decision::Value<'static>>>,
    /// The other fields of the form as they go on, all of them.
    #[schemars(with = "Option<BTreeMap<String, AnyValue>>")]
    form: Option<Placed<Vec<Named<Placed<decision::Value<'static>>>>>>,
    /// The JSON body as it goes on, all of it: a table, or JSON as text.
    #[schemars(with = "Option<DocumentText>")]
    body: Option<Placed<decision::Value<'static>>>,
    /// By attribute: `locked`, or `locked, observed`; a list where the name stands several times.
    #[schemars(with = "Option<BTreeMap<String, VerdictText>>")]
    verdicts: Option<Placed<Vec<Named<ExpectedVerdicts>>>>,
    /// What becomes of the proof: `valid`, `hash_valid`, `absent`, `expired`, …
    proof: Option<Placed<String>>,
    /// The code of the refusal that would come, were the workspace enforcing.
    would_refuse: Option<Placed<String>>,
}

fn read_claims(value: &Value<'_>) -> Option<Placed<decision::Value<'static>>> {
    if !value.is_table() {
        value.error("expected a table of claims");
        return None;
    }
    value.json()
}

/// A case says so where the defaults have something that it does not send.
const NONE: &str = "none";

impl RawCaseFile {
    pub(super) fn read(source: &Source, findings: &mut Findings) -> Option<Self> {
        reader::read(source, findings, |table| Self {
            defaults: table.optional("defaults", |value| {
                value.table(|table| RawDefaults {
                    method: table.optional("method", read_method),
                    path: table.optional("path", read_path),
                    host: table.optional("host", read_header),
                    origin: table.optional("origin", read_header),
                })
            }),
            cases: table.required("cases", |value| {
                if value.is_empty_list() {
                    value.error("expected at least one case");
                }
                value.list(|value| value.table(RawCase::read))
            }),
        })
    }

    fn resolve(self, source: &Source, findings: &mut Findings) -> CaseFile {
        let Self { defaults, cases } = self;
        let defaults = defaults.map(|defaults| defaults.value).unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        let cases = cases.map(|cases| cases.value).unwrap_or_default();
        let cases = cases.into_iter().filter_map(|case| {
            if let Some(name) = &case.value.name {
                if names.contains(&name.value) {
                    findings.error(source, name.span.clone(), format!("two cases are called {}", quoted(&name.value)));
                }
                names.push(name.value.clone());
            }
            case.value.resolve(&case.span, &defaults, source, findings)
        });
        let cases = cases.collect();
        let workspace = source.stem().strip_suffix(".cases").unwrap_or(source.stem()).to_owned();
        CaseFile { workspace, file: source.name.clone(), cases }
    }
}

impl RawCase {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            name: table.required("name", Value::text),
            method: table.optional("method", read_method),
            path: table.optional("path", read_path),
            host: table.optional("host", read_header),
            origin: table.optional("origin", read_header),
            app_id: table.optional("app_id", Value::text),
            client_certificate: table
                .optional("client_certificate", |value| value.parsed(|text| ClientIdentity::try_from(text))),
            headers: table.optional("headers", |value| value.entries(read_header)),
            update: table.optional("update", read_document),
            form: table.optional("form", |value| value.entries(Value::json)),
            body: table.optional("body", read_document),
            content_type: table.optional("content_type", read_header),
            signed: table.optional("signed", read_claims),
            signed_by: table.optional("signed_by", Value::text),
            user_hash_of: table.optional("user_hash_of", Value::text),
            client: table.optional("client", |value| {
                value.parsed(|text| text.parse::<IpAddr>().map_err(|_| "expected an address such as `192.0.2.7`"))
            }),
            session_role: table.optional("session_role", Value::keyword),
            exchanged: table.optional("exchanged", read_claims),
            ticket: table.optional("ticket", read_claims),
            now: table.optional("now", |value| value.integer(0..=i64::MAX)),
            expect: table.required("expect", |value| {
                value.table(|table| RawExpectation {
                    status: table.optional("status", Value::keyword),
                    refused: table.optional("refused", read_code),
                    goes_on: table.optional("goes_on", read_document),
                    form: table.optional("form", |value| value.entries(Value::json)),
                    body: table.optional("body", read_document),
                    verdicts: table.optional("verdicts", |value| value.entries(read_verdicts)),
                    proof: table.optional("proof", read_code),
                    would_refuse: table.optional("would_refuse", read_code),
                })
            }),
        }
    }

    fn resolve(
        self,
        span: &Range<usize>,
        defaults: &RawDefaults,
        source: &Source,
        findings: &mut Findings,
    ) -> Option<Case> {
        let Self {
            name,
            method,
            path,
            host,
            origin,
            app_id,
            client_certificate,
            headers,
            update,
            form,
            body,
            content_type,
            signed,
            signed_by,
            user_hash_of,
            client,
            session_role,
            exchanged,
            ticket,
            now,
            expect,
        } = self;
        let name = name?;
        let mut mistake = |span: &Range<usize>, message: &str| {
            findings.error(source, span.clone(), format!("case {}: {message}", quoted(&name.value)));
        };
        let path = path.or_else(|| defaults.path.clone());
        if path.is_none() {
            mistake(span, "`path` is missing, here and in `[defaults]`");
        }
        let content = match (update, form, body) {
            (None, None, Some(body)) => Content::Whole(body.value),
            (update, form, None) => Content::Told {
                update: update.map(|update| update.value),
                fields: entries_of(form).unwrap_or_default(),
            },
            (_, _, Some(body)) => {
                mistake(&body.span, "`body` is the whole body: `update` and `form` do not go with it");
                return None;
            }
        };
        let signer = match (&signed, signed_by) {
            (None, Some(by)) => {
                mistake(&by.span, "`signed_by` without `signed`");
                Signer::First
            }
            (_, None) => Signer::First,
            (Some(_), Some(by)) if by.value == "nobody" => Signer::Nobody,
            (Some(_), Some(by)) => Signer::Key(by.value),
        };
        let headers = headers.map(|headers| headers.value).unwrap_or_default();
        let headers = headers.into_iter().filter_map(|Named { name, value }| {
            if let Ok(header) = HeaderName::try_from(name.value.as_str()) {
                return Some((header, value.value));
            }
            mistake(&name.span, "expected the name of a header");
            None
        });
        let headers = headers.collect();
        let expect = expect.and_then(|expect| {
            let span = expect.span;
            expect.value.resolve().map_err(|message| mistake(&span, message)).ok()
        });
        let origin = origin.or_else(|| defaults.origin.clone()).map(|origin| origin.value);
        let request = CaseRequest {
            method: method.or_else(|| defaults.method.clone()).map_or(Method::POST, |method| method.value),
            path: path?.value,
            host: host.or_else(|| defaults.host.clone()).map(|host| host.value),
            origin: origin.filter(|origin| origin != NONE),
            app_id: match app_id {
                None => AppId::Own,
                Some(app_id) if app_id.value == NONE => AppId::Nowhere,
                Some(app_id) => AppId::Other(app_id.value),
            },
            client_certificate: client_certificate.map(|identity| identity.value),
            headers,
            content,
            content_type: content_type.map(|content_type| content_type.value),
            signed: signed.map(|signed| signed.value),
            signer,
            hashed: user_hash_of.map(|user| user.value),
            client: client.map(|client| client.value),
            session_role: session_role.map(|role| role.value),
            exchanged: exchanged.map(|claims| claims.value),
            ticket: ticket.map(|ticket| ticket.value),
            now: now.map(|now| now.value),
        };
        Some(Case { line: source.position(span.start).0, name: name.value, request, expect: expect? })
    }
}

impl RawExpectation {
    fn resolve(self) -> Result<Expectation, &'static str> {
        let Self { status, refused, goes_on, form, body, verdicts, proof, would_refuse } = self;
        let goes = status.is_some() || goes_on.is_some() || form.is_some() || body.is_some();
        if !goes && refused.is_none() && verdicts.is_none() && proof.is_none() && would_refuse.is_none() {
            return Err("`expect`: nothing is expected (`status = \"sent\"` says just that it goes on)");
        }
        let outcome = match refused {
            Some(_) if goes => {
                return Err("`expect`: what is `refused` has no `status`, and nothing of it goes on");
            }
            Some(code) => ExpectedOutcome::Refused(code.value),
            None => ExpectedOutcome::Goes(status.map_or(Passage::Sent, |status| status.value)),
        };
        let verdicts = verdicts.map(|verdicts| verdicts.value).unwrap_or_default();
        Ok(Expectation {
            outcome,
            goes_on: goes_on.map(|document| document.value),
            fields: entries_of(form),
            body: body.map(|body| body.value),
            verdicts: verdicts.into_iter().map(|Named { name, value }| (name.value, value)).collect(),
            proof: proof.map(|proof| proof.value),
            would_refuse: would_refuse.map(|code| code.value),
        })
    }
}

fn entries_of<T>(entries: Option<Placed<Vec<Named<Placed<T>>>>>) -> Option<Vec<(String, T)>> {
    let entries = entries?.value;
    Some(entries.into_iter().map(|Named { name, value }| (name.value, value.value)).collect())
}

fn read_method(value: &Value<'_>) -> Option<Placed<Method>> {
    value.parsed(|text| match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(method),
        Ok(_) | Err(_) => Err("expected a method such as `POST`"),
    })
}

fn read_path(value: &Value<'_>) -> Option<Placed<PathAndQuery>> {
    value.parsed(|text| {
        PathAndQuery::try_from(text)
            .ok()
            .filter(|_| text.starts_with('/'))
            .ok_or("expected a path such as `/messenger/web/ping`")
    })
}

fn read_header(value: &Value<'_>) -> Option<Placed<HeaderValue>> {
    value.parsed(|text| HeaderValue::try_from(text).map_err(|_| "expected what can stand in a header"))
}

/// A table, or text that stands for one.
fn read_document(value: &Value<'_>) -> Option<Placed<decision::Value<'static>>> {
    if value.is_table() || value.is_text() {
        return value.json();
    }
    value.error("expected a table, or JSON as text");
    None
}

/// A stable name, as records have it.
fn read_code(value: &Value<'_>) -> Option<Placed<String>> {
    value.parsed(|text| {
        let is_code = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if is_code { Ok(text.to_owned()) } else { Err("expected a code such as `origin_untrusted`") }
    })
}

fn read_verdicts(value: &Value<'_>) -> Option<ExpectedVerdicts> {
    if value.is_text() {
        return Some(ExpectedVerdicts::Each(value.parsed(parse_verdict)?.value));
    }
    let verdicts = value.list(|value| value.parsed(parse_verdict))?.value;
    Some(ExpectedVerdicts::InOrder(verdicts.into_iter().map(|verdict| verdict.value).collect()))
}

fn parse_verdict(text: &str) -> Result<ExpectedVerdict, String> {
    let (word, force) = match text.strip_suffix(OBSERVED) {
        Some(word) => (word, Force::Recorded),
        None => (text, Force::Applied),
    };
    if let Some(code) = Code::ALL.into_iter().find(|code| code.as_str() == word) {
        return Ok(ExpectedVerdict { code, force });
    }
    Err(match closest(word, Code::ALL.iter().map(|code| code.as_str())) {
        Some(meant) => format!("expected a verdict (did you mean `{meant}`?)"),
        None => "expected a verdict such as `locked`, or `locked, observed`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::lines;
    use super::*;

    const GOOD: &str = r#"
[defaults]
path = "/ping"
origin = "https://app.acme.example"

[[cases]]
name = "one"
update = { plan = "pro", seats = 9007199254740993, ratio = 1.10, tags = [1, "a"] }
signed = { user_id = "user-42" }
expect = { goes_on = { plan = "pro" }, verdicts = { plan = "locked", "company.plan" = ["open", "locked, observed"] } }
"#;

    fn read(text: &str) -> (Option<CaseFile>, Findings) {
        let mut findings = Findings::default();
        let file = parse_cases(&Source::new("workspaces/acme.cases.toml", text), &mut findings);
        findings.sort();
        (file, findings)
    }

    /// Changes one line of a good file and says what is found.
    #[track_caller]
    fn check(line: &str, instead: &str, expected: &[&str]) {
        assert!(GOOD.contains(line));
        let (file, findings) = read(&GOOD.replace(line, instead));
        assert_eq!(lines(&findings), expected);
        assert_eq!(file.is_none(), !expected.is_empty());
    }

    #[test]
    fn a_case_reads_as_it_is_written() {
        let (file, findings) = read(GOOD);
        assert!(findings.is_empty(), "{findings:?}");
        let file = file.expect("a good file");
        assert_eq!(file.workspace, "acme");
        let [case] = file.cases.as_slice() else { panic!("one case") };
        assert_eq!((case.name.as_str(), case.line), ("one", 6));
        assert_eq!((case.request.method.as_str(), case.request.path.as_str()), ("POST", "/ping"));
        assert_eq!(case.request.origin.as_ref().expect("the default"), "https://app.acme.example");
        let Content::Told { update: Some(update), .. } = &case.request.content else { panic!("an update") };
        assert_eq!(update.member("seats"), Some(&decision::Value::Number("9007199254740993".into())));
        assert_eq!(update.member("ratio"), Some(&decision::Value::Number("1.10".into())));
        let observed = ExpectedVerdict { code: Code::Locked, force: Force::Recorded };
        let [_, (name, verdicts)] = case.expect.verdicts.as_slice() else { panic!("two names") };
        let open = ExpectedVerdict { code: Code::Open, force: Force::Applied };
        assert_eq!((name.as_str(), verdicts), ("company.plan", &ExpectedVerdicts::InOrder(vec![open, observed])));
        assert_eq!(observed.to_string(), "locked, observed");
    }

    #[test]
    fn a_case_may_do_without_the_default_origin() {
        let (file, _) = read(&GOOD.replace("name = \"one\"", "name = \"one\"\norigin = \"none\""));
        assert_eq!(file.expect("a good file").cases[0].request.origin, None);
    }

    #[test]
    fn nothing_unknown_is_ignored() {
        check(
            "signed = ",
            "singed = ",
            &["error: workspaces/acme.cases.toml:9:1: unknown key `cases[0].singed` (did you mean `signed`?)"],
        );
        check(
            "\"locked\"",
            "\"loked\"",
            &["error: workspaces/acme.cases.toml:10:60: `cases[0].expect.verdicts.plan`: expected a verdict (did you \
               mean `locked`?), found `loked`"],
        );
    }

    #[test]
    fn a_case_needs_a_path_a_name_and_an_expectation() {
        check(
            "path = \"/ping\"",
            "",
            &["error: workspaces/acme.cases.toml:6:1: case `one`: `path` is missing, here and in `[defaults]`"],
        );
        check("name = \"one\"", "", &["error: workspaces/acme.cases.toml:6:1: `cases[0].name` is missing"]);
        check(
            "expect = {",
            "expect = {}\n#",
            &[
                "error: workspaces/acme.cases.toml:10:10: case `one`: `expect`: nothing is expected (`status = \"sent\"` says \
               just that it goes on)",
            ],
        );
    }

    #[test]
    fn what_contradicts_itself_is_a_mistake() {
        check(
            "goes_on = ",
            "refused = \"route_unknown\", goes_on = ",
            &[
                "error: workspaces/acme.cases.toml:10:10: case `one`: `expect`: what is `refused` has no `status`, and nothing \
               of it goes on",
            ],
        );
        check(
            "signed = ",
            "body = \"x\"\nsigned = ",
            &[
                "error: workspaces/acme.cases.toml:9:8: case `one`: `body` is the whole body: `update` and `form` do not go \
               with it",
            ],
        );
        check(
            "signed = { user_id = \"user-42\" }",
            "signed_by = \"nobody\"",
            &["error: workspaces/acme.cases.toml:9:13: case `one`: `signed_by` without `signed`"],
        );
        let twice = format!("{GOOD}[[cases]]\nname = \"one\"\nexpect = {{ status = \"sent\" }}\n");
        assert_eq!(lines(&read(&twice).1), ["error: workspaces/acme.cases.toml:12:8: two cases are called `one`"]);
    }
}
