//! `workspaces/*.toml`: what the file says, and what it means.

mod attributes;
mod identity;
mod routes;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use url::Host;

use self::attributes::RawAttribute;
use self::identity::RawIdentity;
use self::routes::RawRoute;
pub(super) use self::routes::share_a_call;
use super::finding::Findings;
use super::keywords::keywords;
use super::reader::{self, Named, Placed, Value, closest, one_of, quoted};
use super::source::Source;
use super::trusted_domains::{TrustedDomain, TrustedDomains};
use super::workspace::{Admission, OnMisfit, OnReplace, Workspace};
use crate::decision::{Catalogue, Mode, Unlisted};
use crate::profile::Profile;

/// One tenant of the messenger: its domains, keys and attributes.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Countersign: a workspace", deny_unknown_fields)]
pub(super) struct RawWorkspace {
    /// What its messenger looks like on the wire: the name of a profile.
    #[schemars(required)]
    profile: Option<Placed<String>>,
    /// The ids by which requests name the workspace. Default: whatever reaches its hosts and paths is its own.
    app_ids: Option<Placed<Vec<Placed<String>>>>,
    /// The host names that it answers on, lower case, without port. Default: any.
    hosts: Option<Placed<Vec<Placed<String>>>>,
    /// The backend: a name of `[upstreams]` in `gateway.toml`.
    #[schemars(required)]
    upstream: Option<Placed<String>>,
    /// The ceiling over every lock below.
    #[schemars(required)]
    mode: Option<Placed<Mode>>,
    /// The web origins from which its widget may speak. An empty list trusts nobody.
    #[schemars(required, with = "Option<Vec<String>>")]
    trusted_domains: Option<Placed<Vec<Placed<TrustedDomain>>>>,
    /// A request without `Origin`: native applications send none.
    #[schemars(required)]
    missing_origin: Option<Placed<Admission>>,
    /// `Origin: null`: sandboxed frames send it. Default: refuse.
    null_origin: Option<Placed<Admission>>,
    /// What happens to attributes that are not listed below. Default: drop.
    unlisted: Option<Placed<Unlisted>>,
    /// What happens to unlisted attributes that a token signs. Default: drop.
    signed_unlisted: Option<Placed<SignedUnlisted>>,
    /// What a value of the wrong type costs: the attribute, or the whole request. Default: drop.
    on_misfit: Option<Placed<OnMisfit>>,
    /// Requests that clear all they do not name, while locked attributes are among those. Default: refuse.
    on_replace: Option<Placed<OnReplace>>,
    #[schemars(required)]
    identity: Option<Placed<RawIdentity>>,
    /// The attributes that the workspace knows, each with its lock.
    #[schemars(with = "Option<BTreeMap<String, RawAttribute>>")]
    attributes: Option<Placed<Vec<Named<RawAttribute>>>>,
    /// The calls of the profile `json`, which knows none of its own.
    routes: Option<Placed<Vec<Placed<RawRoute>>>>,
}

/// What a signed name may do that nobody listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignedUnlisted {
    Drop,
    Keep,
}

keywords!(SignedUnlisted: "drop" => SignedUnlisted::Drop, "keep" => SignedUnlisted::Keep);

/// Where in the file stands what findings of several files, and lints, speak of.
pub(super) struct Landmarks {
    pub(super) profile: Range<usize>,
    pub(super) app_ids: Vec<Placed<String>>,
    pub(super) trusted_domains: Range<usize>,
    pub(super) missing_origin: Range<usize>,
    pub(super) identity: Range<usize>,
    /// In the order of the catalogue.
    pub(super) attributes: Vec<Range<usize>>,
    pub(super) unlisted: Unlisted,
}

/// What a workspace may refer to.
pub(super) struct Surroundings<'a> {
    pub(super) profiles: &'a [Arc<Profile>],
    /// Profiles that are there and have mistakes of their own: to name one is no second mistake.
    pub(super) broken_profiles: &'a [String],
    /// `None` where `gateway.toml` cannot be read.
    pub(super) upstreams: Option<&'a [String]>,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
}

impl RawWorkspace {
    /// Reads the file; `None` where it has syntax errors.
    pub(super) fn read(source: &Source, findings: &mut Findings) -> Option<Self> {
        reader::read(source, findings, |table| Self {
            profile: table.required("profile", Value::text),
            app_ids: table.optional("app_ids", |value| value.list(Value::text)),
            hosts: table.optional("hosts", |value| value.list(|value| value.parsed(parse_host))),
            upstream: table.required("upstream", Value::text),
            mode: table.required("mode", Value::keyword),
            trusted_domains: table.required("trusted_domains", |value| {
                value.list(|value| value.parsed(|text| TrustedDomain::try_from(text)))
            }),
            missing_origin: table.required("missing_origin", Value::keyword),
            null_origin: table.optional("null_origin", Value::keyword),
            unlisted: table.optional("unlisted", Value::keyword),
            signed_unlisted: table.optional("signed_unlisted", Value::keyword),
            on_misfit: table.optional("on_misfit", Value::keyword),
            on_replace: table.optional("on_replace", Value::keyword),
            identity: table.required("identity", |value| value.table(RawIdentity::read)),
            attributes: table.optional("attributes", |value| value.named_tables("attribute", RawAttribute::read)),
            routes: table.optional("routes", |value| value.list(|value| value.table(RawRoute::read))),
        })
    }

    /// The places of the file, which its meaning no longer knows.
    pub(super) fn landmarks(&self) -> Landmarks {
        fn place<T>(placed: Option<&Placed<T>>) -> Range<usize> {
            placed.map_or(0..0, |placed| placed.span.clone())
        }
        Landmarks {
            profile: place(self.profile.as_ref()),
            app_ids: self.app_ids.as_ref().map(|ids| ids.value.clone()).unwrap_or_default(),
            trusted_domains: place(self.trusted_domains.as_ref()),
            missing_origin: place(self.missing_origin.as_ref()),
            identity: place(self.identity.as_ref()),
            attributes: self
                .attributes
                .iter()
                .flat_map(|attributes| &attributes.value)
                .map(|attribute| attribute.name.span.clone())
                .collect(),
            unlisted: self.unlisted.as_ref().map_or(Unlisted::Drop, |word| word.value),
        }
    }

    /// What the file means. `None` after a mistake that is already among the findings.
    pub(super) fn resolve(
        self,
        source: &Source,
        surroundings: &Surroundings<'_>,
        findings: &mut Findings,
    ) -> Option<Workspace> {
        let Self {
            profile,
            app_ids,
            hosts,
            upstream,
            mode,
            trusted_domains,
            missing_origin,
            null_origin,
            unlisted,
            signed_unlisted,
            on_misfit,
            on_replace,
            identity,
            attributes,
            routes,
        } = self;
        let routes = routes.map(|routes| routes::resolve(routes, source, findings));
        let upstream = upstream.and_then(|upstream| find_upstream(upstream, source, surroundings, findings));
        let identity = identity.and_then(|identity| identity.value.resolve(source, surroundings.base, findings));
        let profile = find_profile(profile?, source, surroundings, findings)?;
        let operations = routes::of_profile(&profile, routes, source, findings);
        let attributes = attributes.map(|attributes| attributes.value).unwrap_or_default();
        let attributes = attributes::resolve(attributes, &profile, source, findings);
        let catalogue = Catalogue::new(
            mode?.value,
            unlisted.map_or(Unlisted::Drop, |word| word.value),
            match signed_unlisted.map_or(SignedUnlisted::Drop, |word| word.value) {
                SignedUnlisted::Drop => Unlisted::Drop,
                SignedUnlisted::Keep => Unlisted::Keep,
            },
            profile.folding.clone(),
            &profile.aliases,
            attributes?,
        );
        if let Err(error) = &catalogue {
            findings.error(source, source.line_at(0), error.to_string());
        }
        let domains = trusted_domains?.value.into_iter().map(|domain| domain.value).collect();
        Some(Workspace {
            id: source.stem().to_owned(),
            app_ids: plain(app_ids),
            hosts: plain(hosts),
            upstream: upstream?,
            trusted_domains: TrustedDomains::new(domains),
            missing_origin: missing_origin?.value,
            null_origin: null_origin.map_or(Admission::Refuse, |word| word.value),
            identity: identity?,
            catalogue: catalogue.ok()?,
            on_misfit: on_misfit.map_or(OnMisfit::Drop, |word| word.value),
            on_replace: on_replace.map_or(OnReplace::Refuse, |word| word.value),
            operations: operations?,
            profile,
        })
    }
}

fn plain(list: Option<Placed<Vec<Placed<String>>>>) -> Vec<String> {
    list.map(|list| list.value.into_iter().map(|item| item.value).collect()).unwrap_or_default()
}

fn find_profile(
    name: Placed<String>,
    source: &Source,
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Arc<Profile>> {
    if let Some(profile) = surroundings.profiles.iter().find(|profile| profile.id == name.value) {
        return Some(Arc::clone(profile));
    }
    if !surroundings.broken_profiles.contains(&name.value) {
        let known = || surroundings.profiles.iter().map(|profile| profile.id.as_str());
        let finding =
            findings.error(source, name.span, format!("`profile`: there is no profile {}", quoted(&name.value)));
        finding.help(did_you_mean(&name.value, known()));
    }
    None
}

fn find_upstream(
    name: Placed<String>,
    source: &Source,
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let known = surroundings.upstreams?;
    if known.contains(&name.value) {
        return Some(name.value);
    }
    let message = format!("`upstream`: `gateway.toml` has no upstream {}", quoted(&name.value));
    findings.error(source, name.span, message).help(did_you_mean(&name.value, known.iter().map(String::as_str)));
    None
}

fn did_you_mean<'w>(word: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
    match closest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there is {}", one_of(known)),
    }
}

/// Takes only the spelling in which `Host` is compared: lower case, punycode, no port.
fn parse_host(text: &str) -> Result<String, String> {
    match Host::parse(text) {
        Ok(host) if host.to_string() == text && !text.ends_with('.') => Ok(text.to_owned()),
        Ok(host) => Err(format!("expected the spelling `{}`", host.to_string().trim_end_matches('.'))),
        Err(_) => Err("expected a host name without port".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Paint;
    use super::super::fixtures::{GATEWAY, JSON_WORKSPACE, WORKSPACE, lines, read, with};
    use super::*;

    #[track_caller]
    fn found(text: &str, expected: &[&str]) {
        let (_, findings) = read(GATEWAY, &[text]);
        assert_eq!(lines(&findings), expected, "{text}");
    }

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        found(&with(WORKSPACE, old, new), expected);
    }

    #[track_caller]
    fn workspace(text: &str) -> Workspace {
        let (set, findings) = read(GATEWAY, &[text]);
        assert!(findings.is_empty(), "{findings:?}");
        set.and_then(|set| set.workspaces.into_iter().next()).expect("a workspace")
    }

    #[test]
    fn the_least_file_means_the_strictest_workspace() {
        let workspace = workspace(WORKSPACE);
        assert_eq!(workspace.id, "a");
        assert_eq!(workspace.null_origin, Admission::Refuse);
        assert_eq!(workspace.on_replace, OnReplace::Refuse);
        assert_eq!(workspace.on_misfit, OnMisfit::Drop);
        assert_eq!(workspace.identity.leeway, std::time::Duration::from_secs(30));
        assert_eq!(workspace.identity.expiry, super::super::workspace::Expiry::Required);
        assert_eq!(workspace.catalogue.mode(), Mode::Enforce);
        assert_eq!(workspace.operations.len(), 1);
    }

    #[test]
    fn a_wrong_word_is_shown_with_its_line() {
        let text = with(WORKSPACE, "plan = { lock = \"enforce\" }", "plan = { lock = \"enforced\" }");
        let (_, findings) = read(GATEWAY, &[&text]);
        assert_eq!(
            findings.render(Paint::Plain),
            "error: attribute `plan`: `lock`: expected `off`, `observe` or `enforce`, found `enforced`
  --> a.toml:17:17
   |
17 | plan = { lock = \"enforced\" }
   |                 ^^^^^^^^^^
   |
   = help: did you mean `enforce`?"
        );
    }

    #[test]
    fn security_settings_have_no_defaults() {
        found(
            "",
            &[
                "error: a.toml:1:1: `profile` is missing",
                "error: a.toml:1:1: `upstream` is missing",
                "error: a.toml:1:1: `mode` is missing",
                "error: a.toml:1:1: `trusted_domains` is missing",
                "error: a.toml:1:1: `missing_origin` is missing",
                "error: a.toml:1:1: `identity` is missing",
            ],
        );
        check("require = \"identified\"\n", "", &["error: a.toml:8:1: `identity.require` is missing"]);
        check(
            "plan = { lock = \"enforce\" }",
            "plan = {}",
            &["error: a.toml:17:8: attribute `plan`: `lock` is missing"],
        );
    }

    #[test]
    fn mistakes_of_every_kind_are_found_at_once() {
        found(
            &WORKSPACE
                .replace("profile = \"web\"", "profile = \"wbe\"")
                .replace("upstream = \"attributes\"", "upstream = \"attribute\"")
                .replace("app_ids", "app_id")
                .replace("max_lifetime = \"2h\"", "leeway = \"6m\"\nmode = \"off\""),
            &[
                "error: a.toml:2:11: `profile`: there is no profile `wbe` (did you mean `web`?)",
                "error: a.toml:3:1: unknown key `app_id` (did you mean `app_ids`?)",
                "error: a.toml:4:12: `upstream`: `gateway.toml` has no upstream `attribute` (did you mean `attributes`?)",
                "error: a.toml:10:10: `identity.leeway`: expected at most `5m`: a token lives that much longer than it says",
                "error: a.toml:11:1: unknown key `identity.mode` (`mode` belongs above the first `[table]`)",
            ],
        );
        check(
            "\"web\"",
            "\"chat\"",
            &["error: a.toml:2:11: `profile`: there is no profile `chat` (there is `web` or `json`)"],
        );
        check("max_lifetime = \"2h\"", "max_lifetime = \"2h\"\nleeway = \"5m\"", &[]);
    }

    #[test]
    fn trusted_domains_say_why_they_are_refused() {
        let domain = "https://app.acme.example";
        check(domain, "https://*.acme.example", &[]);
        check(
            domain,
            "*",
            &[
                "error: a.toml:6:20: `trusted_domains[0]`: expected an origin such as `https://app.example.com`, found `*`",
            ],
        );
        check(
            domain,
            "https://*.example",
            &[
                "error: a.toml:6:20: `trusted_domains[0]`: `example` is a public suffix: anybody can get a name below it, \
               found `https://*.example`",
            ],
        );
        check(
            "[\"https://app.acme.example\"]",
            "[]",
            &["warning: a.toml:6:19: `trusted_domains`: an empty list trusts nobody (every request that brings an \
               `Origin` is refused)"],
        );
    }

    #[test]
    fn hosts_have_one_spelling() {
        let host = |host: &str| format!("app_ids = [\"abc12345\"]\nhosts = [\"{host}\"]");
        check("app_ids = [\"abc12345\"]", &host("chat.acme.example"), &[]);
        check(
            "app_ids = [\"abc12345\"]",
            &host("Chat.Acme.example"),
            &["error: a.toml:4:10: `hosts[0]`: expected the spelling `chat.acme.example`, found `Chat.Acme.example`"],
        );
        check(
            "app_ids = [\"abc12345\"]",
            &host("chat.acme.example:8443"),
            &["error: a.toml:4:10: `hosts[0]`: expected a host name without port, found `chat.acme.example:8443`"],
        );
    }

    #[test]
    fn a_secret_in_clear_text_is_refused_and_not_repeated() {
        let elsewhere = "error: a.toml:14:10: `identity.keys[0].secret`: a secret does not belong in a policy file: say where \
                         it is, with `{ env = \"NAME\" }` or `{ file = \"path\" }`";
        let old = "secret = { env = \"ACME_SECRET\" }";
        check(old, "secret = \"hunter2!\"", &[elsewhere]);
        check(
            old,
            "secret = { env = \"hunter2!\" }",
            &["error: a.toml:14:18: `identity.keys[0].secret.env`: expected the name of an environment variable: \
               letters, digits and `_`"],
        );
        check(old, "secret = { file = \"/run/secrets/acme\" }", &[]);
        check(
            old,
            "secret = { env = \"A\", file = \"b\" }",
            &["error: a.toml:14:10: `identity.keys[0].secret`: expected one of `env` and `file`"],
        );
        for secret in [
            "secret = \"hunter2!\"",
            "secret = { env = \"hunter2!\" }",
            "secret = { text = \"hunter2!\" }",
            "sekret = \"hunter2!\"",
            "value = \"hunter2!\"",
            "secret = { env = \"A\" }\nkey = \"hunter2!\"",
            "secret = [\"hunter2!\"]",
            "secret = \"hunter2!",
            "secret = \"\"\"\nhunter2!\"\"\"",
        ] {
            let (set, findings) = read(GATEWAY, &[&with(WORKSPACE, old, secret)]);
            assert!(set.is_none());
            let shown = format!(
                "{} {} {findings:?} {}",
                findings.render(Paint::Plain),
                serde_json::to_string(&findings).expect("JSON"),
                lines(&findings).join("\n")
            );
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn keys_are_told_apart_and_have_a_use() {
        check(
            "use = [\"jwt\"]",
            "use = []",
            &[
                "error: a.toml:15:7: `identity.keys[0].use`: a key that verifies nothing: expected `jwt`, `user_hash` or both",
            ],
        );
        check("HS256", "none", &["error: a.toml:13:13: `identity.keys[0].algorithm`: expected `HS256`, found `none`"]);
        let second = "[[identity.keys]]\nid = \"one\"\nalgorithm = \"HS256\"\nsecret = { env = \"B\" }\nuse = [\"jwt\"]\n[attributes]";
        check("[attributes]", second, &["error: a.toml:17:6: two keys are called `one`"]);
        check("[attributes]", &second.replace("one", "two"), &[]);
    }

    #[test]
    fn names_that_a_backend_may_take_for_one_are_refused() {
        let plan = "plan = { lock = \"enforce\" }";
        check(plan, &format!("{plan}\n\"plan tier\" = {{ lock = \"off\" }}"), &[]);
        check(
            plan,
            &format!("{plan}\nPlan = {{ lock = \"off\" }}"),
            &[
                "error: a.toml:18:1: `Plan` and `plan` are one name to the backend (keep one of the two: its lock covers \
               every spelling)",
            ],
        );
        check(plan, "created_at = { lock = \"enforce\" }", &[]);
        for alias in ["signed_up_at", "Signed_Up_At", "Created_At"] {
            check(
                plan,
                &format!("{alias} = {{ lock = \"enforce\" }}"),
                &[&format!("error: a.toml:17:1: attribute `{alias}`: is spelled `created_at` on this wire")],
            );
        }
        check(
            plan,
            "\"custom_attributes.plan\" = { lock = \"enforce\" }",
            &["error: a.toml:17:1: attribute `custom_attributes.plan`: is spelled `plan` on this wire"],
        );
    }

    #[test]
    fn options_fit_the_type() {
        let plan = "plan = { lock = \"enforce\" }";
        check(plan, "plan = { lock = \"enforce\", type = \"integer\", one_of = [\"1\", \"2\"] }", &[]);
        check(
            plan,
            "plan = { lock = \"enforce\", type = \"integer\", one_of = [\"1\", \"two\"] }",
            &["error: a.toml:17:61: attribute `plan`: `one_of`: `two` does not fit its `type` and `max_length`"],
        );
        check(
            plan,
            "plan = { lock = \"enforce\", one_of = [] }",
            &["error: a.toml:17:37: attribute `plan`: `one_of`: expected at least one value: nothing could be written"],
        );
    }

    #[test]
    fn routes_belong_to_json_and_to_nobody_else() {
        found(JSON_WORKSPACE, &[]);
        let operation = &workspace(JSON_WORKSPACE).operations[0];
        assert_eq!(operation.path.as_str(), "/users/{id}");
        assert_eq!(operation.replaces, crate::profile::Replaces::Nothing);
        found(
            &with(JSON_WORKSPACE, "\"json\"", "\"web\""),
            &["error: a.toml:9:1: `routes` belong only to the profile `json`: `web` has its own"],
        );
        let (without, _) = JSON_WORKSPACE.split_once("[[routes]]").expect("routes");
        found(without, &["error: a.toml:1:1: `routes` is missing: the profile `json` knows none of its own"]);
        found(
            &with(without, "[identity]", "routes = []\n[identity]"),
            &["error: a.toml:7:10: `routes`: expected at least one"],
        );
    }

    #[test]
    fn routes_and_their_near_misses() {
        let route = |old: &str, new: &str, expected: &[&str]| found(&with(JSON_WORKSPACE, old, new), expected);
        route("\"/user\"", "\"\"", &[]);
        route(
            "\"/user\"",
            "\"user\"",
            &[
                "error: a.toml:12:14: `routes[0].attributes`: expected a JSON pointer such as `/user/attributes`, found `user`",
            ],
        );
        route(
            "\"PATCH\"",
            "\"GET\"",
            &["error: a.toml:11:12: `routes[0].methods[0]`: expected `POST`, `PUT` or `PATCH`, found `GET`"],
        );
        route("path:id", "path:user", &["error: a.toml:13:11: `subject`: the path has no segment `{user}`"]);
        route("path:id", "body:/id", &[]);
        route(
            "/users/{id}",
            "users/{id}",
            &["error: a.toml:10:8: `routes[0].path`: a path that does not begin with a slash, found `users/{id}`"],
        );
        let second = |path: &str| {
            format!("{JSON_WORKSPACE}[[routes]]\npath = \"{path}\"\nmethods = [\"PATCH\"]\nattributes = \"\"\n")
        };
        found(&second("/users/{id}/plan"), &[]);
        found(&second("/users/{name}"), &["error: a.toml:14:1: two routes take the same method at `/users/{name}`"]);
    }
}
