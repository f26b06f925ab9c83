//! Files and profiles for the tests of this room. A test changes one line of a good file and says what is found.

use std::path::PathBuf;
use std::sync::Arc;

use http::Method;

use super::finding::{Findings, Severity};
use super::set::{PolicyFiles, PolicySet, parse_with};
use super::source::Source;
use crate::decision::{Folding, Spelling, TokenReader};
use crate::profile::{
    Accepts, Body, Class, Document, DocumentAt, GroupRule, IdentityPlaces, Members, Nested, Operation, PathPattern,
    Platform, PlatformSource, Profile, RefusalShapes, Replaces, Rest, Serves, Shape, Teaches, TokenPlaces, Upgrade,
    WhenEmpty,
};

pub(super) const GATEWAY: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:8443"
certificates = [{ certificate = "../certs/dev.pem", key = "../certs/dev-key.pem" }]
[upstreams.attributes]
url = "http://127.0.0.1:9000"
"#;

pub(super) const WORKSPACE: &str = r#"
profile = "web"
app_ids = ["abc12345"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
[identity]
require = "identified"
max_lifetime = "2h"
[[identity.keys]]
id = "one"
algorithm = "HS256"
secret = { env = "ACME_SECRET" }
use = ["jwt"]
[attributes]
plan = { lock = "enforce" }
"#;

pub(super) const JSON_WORKSPACE: &str = r#"
profile = "json"
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
[identity]
require = "never"
[[routes]]
path = "/users/{id}"
methods = ["PATCH"]
attributes = "/user"
subject = "path:id"
"#;

fn members(prefix: &str, group: Option<GroupRule>, nested: Vec<(String, Nested)>) -> Arc<Shape> {
    Arc::new(Shape::Members(Members {
        prefix: prefix.into(),
        spelling: Spelling::Own,
        group,
        settings: vec!["user_id".into()],
        credentials: Vec::new(),
        nested,
        rest: Rest::Attributes,
        accepts: Accepts::Any,
    }))
}

/// Profiles whose text says nothing: `web` has companies, aliases and containers and is always the web, `pages` has files too, `json` has no operations,
/// `broken` has a mistake.
pub(super) fn parse_profile(source: &Source, findings: &mut Findings) -> Option<Profile> {
    if source.stem() == "broken" {
        findings.error(source, 0..1, "broken");
        return None;
    }
    let company = GroupRule {
        name: "company".into(),
        id: vec!["company_id".into()],
        required: vec![vec!["company_id".into(), "id".into()], vec!["name".into()]],
    };
    let company = members("company", Some(company), Vec::new());
    let user = members("", None, vec![("company".into(), Nested::One(company))]);
    let ping = Operation {
        name: "ping".into(),
        methods: vec![Method::POST],
        path: PathPattern::try_from("/ping").unwrap(),
        class: Class::Update,
        body: Body::Form,
        documents: vec![Document { at: DocumentAt::Field("user_data".into()), shape: Arc::clone(&user) }],
        context: Vec::new(),
        subject: Vec::new(),
        when_empty: WhenEmpty::Send,
        replaces: Replaces::Nothing,
        upgrade: Upgrade::Never,
        serves: Serves::Anything,
        teaches: Teaches::Nothing,
        exchange: None,
        webhook: None,
    };
    let files = Operation {
        name: "files".into(),
        methods: vec![Method::GET],
        path: PathPattern::try_from("/files/**").unwrap(),
        class: Class::Pass,
        body: Body::None,
        documents: Vec::new(),
        ..ping.clone()
    };
    let operations = match source.stem() {
        "json" => Vec::new(),
        "pages" => vec![Arc::new(ping), Arc::new(files)],
        _ => vec![Arc::new(ping)],
    };
    Some(Profile {
        id: source.stem().into(),
        title: source.stem().into(),
        folding: Folding {
            replaced: vec!['.', ' '],
            replacement: Some('_'),
            containers: vec!["custom_attributes".into()],
        },
        aliases: vec![("signed_up_at".into(), "created_at".into())],
        token_reader: TokenReader::Upstream,
        widget_origin: crate::profile::WidgetOrigin::Page,
        platform: if source.stem() == "web" { PlatformSource::Always(Platform::Web) } else { PlatformSource::Untold },
        workspace_at: Vec::new(),
        identity: IdentityPlaces::default(),
        tokens: TokenPlaces::default(),
        claims: user,
        claim_names: Vec::new(),
        roles: None,
        operations,
        refusals: RefusalShapes::default(),
    })
}

/// The files `gateway.toml` and `a.toml`, `b.toml` … with the profiles `web` and `json`.
pub(super) fn files(gateway: &str, workspaces: &[&str]) -> PolicyFiles {
    let workspaces = ('a'..='z').zip(workspaces).map(|(name, text)| Source::new(format!("{name}.toml"), *text));
    PolicyFiles {
        gateway: Some(Source::new("gateway.toml", gateway)),
        profiles: vec![Source::new("web.toml", ""), Source::new("json.toml", "")],
        workspaces: workspaces.collect(),
        addresses: Vec::new(),
        base: PathBuf::from("policies"),
    }
}

/// Reads such files.
pub(super) fn read(gateway: &str, workspaces: &[&str]) -> (Option<PolicySet>, Findings) {
    let (set, findings) = parse_with(&files(gateway, workspaces), parse_profile);
    assert_eq!(set.is_none(), findings.has_errors(), "{findings:?}");
    (set, findings)
}

/// The findings in one line each: severity, place and message, and the help in parentheses.
pub(super) fn lines(findings: &Findings) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            match &finding.help {
                Some(help) => format!("{severity}: {finding} ({help})"),
                None => format!("{severity}: {finding}"),
            }
        })
        .collect()
}

/// Puts `new` in the place of `old`, which must be there.
#[track_caller]
pub(super) fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}
