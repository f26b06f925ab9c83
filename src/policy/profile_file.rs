//! A profile file: text → what it says → a [`Profile`]. It knows the keys of the file; what they do to a request it does not know.

mod operations;
mod raw;
mod roles;
mod shapes;
#[cfg(test)]
mod shipped_tests;

use http::StatusCode;

pub(super) use self::raw::RawProfile;
use self::raw::{RawFolding, RawIdentity, RawRefusal, RawRefusals, RawTokens};
use self::shapes::Shapes;
use super::finding::Findings;
use super::reader::{Named, Placed, quoted};
use super::source::Source;
use crate::decision::Folding;
use crate::profile::{
    IdentityPlaces, Place, Platform, PlatformSource, Profile, Refusal, RefusalBody, RefusalShapes, Shape, TokenPlaces,
    WidgetOrigin,
};

/// Reads a profile file. The profile's id is the file's name without its ending.
///
/// `None` where the file has a mistake; all of its mistakes are then among the findings.
pub fn parse_profile(source: &Source, findings: &mut Findings) -> Option<Profile> {
    let before = findings.error_count();
    let raw = RawProfile::read(source, findings)?;
    let unused = unused_shapes(&raw);
    let profile = build(raw, source, findings).filter(|_| findings.error_count() == before)?;
    // Where nothing else is wrong: a mistake in a reference would be reported here once more.
    for name in unused {
        // Most likely a document is not judged as the file's author thinks.
        findings.warning(source, name.span, format!("shape {}: nothing refers to it", quoted(&name.value)));
    }
    Some(profile)
}

fn build(raw: RawProfile, source: &Source, findings: &mut Findings) -> Option<Profile> {
    let RawProfile {
        title,
        token_reader,
        widget_origin,
        platform,
        platform_at,
        platform_words,
        workspace_at,
        claims,
        claim_names,
        identity,
        tokens,
        folding,
        aliases,
        refusals,
        roles,
        shapes,
        operations,
    } = raw;
    let folding = folding.map(|folding| build_folding(folding.value, source, findings));
    let platform = build_platform(platform, platform_at, platform_words, source, findings);
    let aliases = build_aliases(or_none(aliases), source, findings);
    let shapes = Shapes::build(or_none(shapes), source, findings);
    let taught = roles::taught(operations.as_ref());
    roles::admit_exchanges(operations.as_ref(), tokens.as_ref(), source, findings);
    let operations = operations::build(or_none(operations), &shapes, source, findings);
    let has_roles = roles.is_some();
    roles::admit_teachers(&taught, roles.as_ref().map(|roles| roles.span.clone()), source, findings);
    let roles = roles.and_then(|roles| roles::build(roles.value, source, findings));
    let claims = claims.and_then(|name| {
        let shape = shapes.find(&name, "`claims`", source, findings)?;
        if !matches!(*shape, Shape::Members(_)) {
            findings.error(
                source,
                name.span,
                format!("`claims`: expected a shape of kind `object`, found {}", quoted(&name.value)),
            );
        }
        Some(shape)
    });
    Some(Profile {
        id: source.stem().to_owned(),
        title: title?.value,
        folding: folding.unwrap_or_default(),
        aliases,
        token_reader: token_reader?.value,
        widget_origin: widget_origin.map_or(WidgetOrigin::Page, |word| word.value),
        platform,
        workspace_at: values(workspace_at?),
        identity: build_identity(identity?.value)?,
        tokens: build_tokens(tokens?.value)?,
        claims: claims?,
        claim_names: or_none(claim_names).into_iter().map(|claim| (claim.name.value, claim.value.value)).collect(),
        // Half of it would be none.
        roles: if has_roles { Some(roles?) } else { None },
        operations,
        refusals: refusals.map(|refusals| build_refusals(refusals.value)).unwrap_or_default(),
    })
}

/// The shapes that nothing refers to.
fn unused_shapes(raw: &RawProfile) -> Vec<Placed<String>> {
    let shapes = || raw.shapes.iter().flat_map(|shapes| &shapes.value);
    let nested = shapes().flat_map(|shape| &shape.value.nested);
    let operations = raw.operations.iter().flat_map(|operations| &operations.value);
    let documents = operations.flat_map(|operation| &operation.value.documents);
    let used: Vec<&str> = nested
        .chain(documents)
        .flat_map(|named| &named.value)
        .map(|named| &named.value)
        .chain(&raw.claims)
        .map(|name| name.value.trim_end_matches("[]"))
        .collect();
    let names = shapes().map(|shape| &shape.name);
    names.filter(|name| !used.contains(&name.value.as_str())).cloned().collect()
}

fn build_folding(raw: RawFolding, source: &Source, findings: &mut Findings) -> Folding {
    let RawFolding { replaced, replacement, containers } = raw;
    let mut replacement_char = None;
    if let Some(replacement) = &replacement {
        let mut chars = replacement.value.chars();
        replacement_char = chars.next().filter(|_| chars.next().is_none());
        if replacement_char.is_none() {
            let message =
                format!("`folding.replacement`: expected one character, found {}", quoted(&replacement.value));
            findings.error(source, replacement.span.clone(), message);
        }
    }
    match (&replaced, &replacement) {
        (Some(replaced), None) => {
            findings.error(source, replaced.span.clone(), "`folding.replaced`: expected a `replacement` beside it");
        }
        (None, Some(replacement)) => {
            findings.error(source, replacement.span.clone(), "`folding.replacement`: expected `replaced` beside it");
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    Folding {
        replaced: replaced.map(|replaced| replaced.value.chars().collect()).unwrap_or_default(),
        replacement: replacement_char,
        containers: containers.map(values).unwrap_or_default(),
    }
}

/// It is always the same, or said at places in words.
fn build_platform(
    always: Option<Placed<Platform>>,
    at: Option<Placed<Vec<Placed<Place>>>>,
    words: Option<Placed<Vec<Named<Placed<Platform>>>>>,
    source: &Source,
    findings: &mut Findings,
) -> PlatformSource {
    match (always, at, words) {
        (None, None, None) => PlatformSource::Untold,
        (Some(platform), None, None) => PlatformSource::Always(platform.value),
        (Some(platform), Some(_), _) | (Some(platform), None, Some(_)) => {
            let message = "`platform`: expected this alone, or `platform_at` and `platform_words`";
            findings.error(source, platform.span, message);
            PlatformSource::Untold
        }
        (None, Some(at), None) => {
            findings.error(source, at.span, "`platform_at`: expected `platform_words` beside it");
            PlatformSource::Untold
        }
        (None, None, Some(words)) => {
            findings.error(source, words.span, "`platform_words`: expected `platform_at` beside it");
            PlatformSource::Untold
        }
        (None, Some(at), Some(words)) => {
            let words = words.value.into_iter().map(|word| (word.name.value, word.value.value)).collect();
            PlatformSource::Said { at: values(at), words }
        }
    }
}

fn build_aliases(raw: Vec<Named<Placed<String>>>, source: &Source, findings: &mut Findings) -> Vec<(String, String)> {
    let names: Vec<String> = raw.iter().map(|alias| alias.name.value.clone()).collect();
    for Named { name: alias, value: name } in &raw {
        // Aliases are followed once.
        if name.value.is_empty() || names.contains(&name.value) {
            let whose = format!("`aliases.{}`", alias.value);
            let message = format!("{whose}: expected a name that is no alias itself, found {}", quoted(&name.value));
            findings.error(source, name.span.clone(), message);
        }
    }
    raw.into_iter().map(|alias| (alias.name.value, alias.value.value)).collect()
}

fn build_identity(raw: RawIdentity) -> Option<IdentityPlaces> {
    let RawIdentity { user_id, email, session, user_id_claims, email_claims } = raw;
    Some(IdentityPlaces {
        user_id: values(user_id?),
        email: values(email?),
        session: values(session?),
        user_id_claims: values(user_id_claims?),
        email_claims: values(email_claims?),
    })
}

fn build_tokens(raw: RawTokens) -> Option<TokenPlaces> {
    let RawTokens { jwt, user_hash, session, sealed } = raw;
    Some(TokenPlaces {
        jwt: values(jwt?),
        user_hash: values(user_hash?),
        session: session.map(values).unwrap_or_default(),
        sealed: sealed.map(values).unwrap_or_default(),
    })
}

fn build_refusals(raw: RawRefusals) -> RefusalShapes {
    let RawRefusals { identity_missing, identity_bad } = raw;
    let refusal = |raw: Option<Placed<RawRefusal>>| {
        let RawRefusal { status, json } = raw?.value;
        Some(Refusal {
            status: StatusCode::from_u16(status?.value).ok()?,
            body: json.map_or(RefusalBody::Problem, |json| RefusalBody::Json(json.value)),
        })
    };
    RefusalShapes { identity_missing: refusal(identity_missing), identity_bad: refusal(identity_bad) }
}

fn or_none<T>(found: Option<Placed<Vec<T>>>) -> Vec<T> {
    found.map(|found| found.value).unwrap_or_default()
}

fn values<T>(found: Placed<Vec<Placed<T>>>) -> Vec<T> {
    found.value.into_iter().map(|found| found.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest profile, with keys of the top level before and tables behind it.
    fn profile(above: &str, below: &str) -> String {
        let identity = "user_id = []\nemail = []\nsession = []\nuser_id_claims = [\"sub\"]\nemail_claims = []\n";
        format!(
            "title = \"T\"\ntoken_reader = \"gateway\"\nworkspace_at = []\nclaims = \"user\"\n{above}\
             [identity]\n{identity}[tokens]\njwt = []\nuser_hash = []\n[shapes.user]\nkind = \"object\"\n{below}"
        )
    }

    /// The findings as lines, without the file's name and place.
    #[track_caller]
    fn check(text: &str, messages: &[&str]) {
        let mut findings = Findings::default();
        let profile = parse_profile(&Source::new("profiles/p.toml", text), &mut findings);
        findings.sort();
        let found: Vec<String> = findings
            .iter()
            .map(|finding| match &finding.help {
                Some(help) => format!("{} ({help})", finding.message),
                None => finding.message.clone(),
            })
            .collect();
        assert_eq!(found, messages, "{text}");
        assert_eq!(profile.is_some(), !findings.has_errors());
    }

    #[track_caller]
    fn check_operation(keys: &str, messages: &[&str]) {
        check(&profile("", &format!("[operations.o]\n{keys}")), messages);
    }

    #[test]
    fn the_smallest_profile_is_one() {
        check(&profile("", ""), &[]);
        check(&profile("aliases = { a = \"b\", c = \"b\" }\n", ""), &[]);
        check_operation("on = \"GET HEAD /a\"\nclass = \"pass\"\nbody = \"stream\"", &[]);
    }

    #[test]
    fn what_decides_safety_has_no_default() {
        check(
            "# Nothing\n[identity]\n[tokens]\n",
            &[
                "`title` is missing",
                "`token_reader` is missing",
                "`workspace_at` is missing",
                "`claims` is missing",
                "`shapes` is missing",
                "`identity.user_id` is missing",
                "`identity.email` is missing",
                "`identity.session` is missing",
                "`identity.user_id_claims` is missing",
                "`identity.email_claims` is missing",
                "`tokens.jwt` is missing",
                "`tokens.user_hash` is missing",
            ],
        );
        check_operation(
            "",
            &[
                "operation `o`: `on` is missing",
                "operation `o`: `class` is missing",
                "operation `o`: `body` is missing",
            ],
        );
    }

    #[test]
    fn nothing_unknown_is_ignored() {
        check(
            &profile("tittle = \"T\"\n", "[shapes.a]\nkind = \"names\"\nsettings = []\n"),
            &[
                "unknown key `tittle` (did you mean `title`?)",
                "shape `a`: `settings` belongs to `object`, not to `names`",
            ],
        );
    }

    #[test]
    fn places_and_names_are_read_where_they_stand() {
        check(
            &profile("", "[shapes.b]\nkind = \"objekt\"\nprefix = \"x\"\nname = \"y\"\n")
                .replace("jwt = []", "jwt = [\"app\"]"),
            &[
                "`tokens.jwt[0]`: expected `document:`, `body:`, `field:`, `query:`, `header:`, `bearer:`, `cookie:` or `path:` and a name, found `app`",
                "shape `b`: `kind`: expected `object`, `answer`, `answers` or `names`, found `objekt` (did you mean `object`?)",
            ],
        );
        check(
            &profile("folding = { replaced = \".\", replacement = \"__\" }\naliases = { a = \"b\", b = \"c\" }\n", ""),
            &[
                "`folding.replacement`: expected one character, found `__`",
                "`aliases.a`: expected a name that is no alias itself, found `b`",
            ],
        );
        check(
            &profile("folding = { replaced = \".\" }\n", ""),
            &["`folding.replaced`: expected a `replacement` beside it"],
        );
        check(
            &profile("refusals = { identity_bad = { status = 200, json = \"{\" } }\n", ""),
            &[
                "`refusals.identity_bad.status`: expected 400 to 499, found 200",
                "`refusals.identity_bad.json`: expected JSON, found `{`",
            ],
        );
    }

    #[test]
    fn a_platform_is_one_or_is_said_in_words() {
        for keys in [
            "platform = \"ios\"\n",
            "platform_at = [\"field:platform\"]\nplatform_words = { web = \"web\", \"mobile web\" = \"web\" }\n",
        ] {
            check(&profile(keys, ""), &[]);
        }
        check(
            &profile("platform = \"iOS\"\n", ""),
            &["`platform`: expected `web`, `ios` or `android`, found `iOS` (did you mean `ios`?)"],
        );
        check(
            &profile("platform_at = [\"field:platform\"]\nplatform_words = { web = \"wbe\" }\n", ""),
            &["`platform_words.web`: expected `web`, `ios` or `android`, found `wbe` (did you mean `web`?)"],
        );
        check(
            &profile("platform_at = []\nplatform_words = {}\n", ""),
            &[
                "`platform_at`: nothing in it says a platform: leave it out",
                "`platform_words`: nothing in it says a platform: leave it out",
            ],
        );
        check(&profile("platform_at = [\"field:p\"]\n", ""), &["`platform_at`: expected `platform_words` beside it"]);
        check(
            &profile("platform_words = { a = \"web\" }\n", ""),
            &["`platform_words`: expected `platform_at` beside it"],
        );
        let alone = "`platform`: expected this alone, or `platform_at` and `platform_words`";
        check(&profile("platform = \"web\"\nplatform_at = [\"field:p\"]\n", ""), &[alone]);
        check(&profile("platform = \"web\"\nplatform_words = { a = \"web\" }\n", ""), &[alone]);
    }

    #[test]
    fn a_shape_that_nobody_defined_is_no_shape() {
        check(
            &profile("", "nested = { company = \"compnay[]\", x = \"opaque\" }\n[shapes.company]\nkind = \"object\"\n"),
            &["shape `user`: `nested.company`: unknown shape `compnay` (did you mean `company`?)"],
        );
        check(
            &profile("", "").replace("claims = \"user\"", "claims = \"claims\""),
            &["`claims`: unknown shape `claims` (known here: `opaque` or `user`)"],
        );
        check(
            &profile("", "[shapes.n]\nkind = \"names\"").replace("claims = \"user\"", "claims = \"n\""),
            &["`claims`: expected a shape of kind `object`, found `n`"],
        );
        check(
            &profile("", "[shapes.opaque]\nkind = \"names\"\n"),
            &["shape `opaque`: is there in every profile and cannot be another"],
        );
    }

    #[test]
    fn a_shape_cannot_hold_itself() {
        check(
            &profile("", "nested = { user = \"user\" }\n"),
            &["shape `user`: `nested.user`: a shape cannot hold itself: `user` in `user`"],
        );
        check(
            &profile(
                "",
                "nested = { a = \"a\" }\n[shapes.a]\nkind = \"object\"\nnested = { b = \"b[]\" }\n\
                 [shapes.b]\nkind = \"object\"\nnested = { a = \"a\" }\n",
            ),
            &["shape `b`: `nested.a`: a shape cannot hold itself: `a` in `b` in `a`"],
        );
        // Twice in one tree is no ring.
        check(
            &profile(
                "",
                "nested = { a = \"a\", b = \"b\" }\n[shapes.a]\nkind = \"object\"\nnested = { b = \"b\" }\n[shapes.b]\nkind = \"object\"\n",
            ),
            &[],
        );
    }

    #[test]
    fn a_shape_that_nothing_refers_to_is_a_doubt() {
        check(&profile("", "[shapes.spare]\nkind = \"names\"\n"), &["shape `spare`: nothing refers to it"]);
    }

    #[test]
    fn a_member_is_one_thing() {
        check(
            &profile("", "settings = [\"a\"]\ncredentials = [\"a\"]\nnested = { a = \"opaque\" }\n"),
            &["shape `user`: `a` stands here twice", "shape `user`: `a` stands here twice"],
        );
        check(
            &profile("", "group = { name = \"g\", id = [], required = [[\"a\"], []] }\n"),
            &[
                "shape `user`: `group.id`: expected at least one name",
                "shape `user`: `group.required`: expected a name in every list",
            ],
        );
    }

    #[test]
    fn calls_are_methods_and_a_path() {
        check_operation(
            "on = \"POST messenger\"\nclass = \"update\"\nbody = \"json\"",
            &["operation `o`: `on`: the path does not begin with a slash, found `POST messenger`"],
        );
        for on in ["/a", "OPTIONS /a", "post /a", "GET  /a"] {
            check_operation(
                &format!("on = \"{on}\"\nclass = \"update\"\nbody = \"json\""),
                &[&format!(
                    "operation `o`: `on`: expected methods (`GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`) and a path, found `{on}`"
                )],
            );
        }
        check_operation(
            "on = \"GET /a\"\nclass = \"pass\"\nbody = \"none\"\n[operations.P]\non = \"PUT GET /a\"\nclass = \"pass\"\nbody = \"none\"",
            &[
                "operation `P`: expected a name of lower-case letters, digits and `_`",
                "operation `P`: `on`: `o` answers this already",
            ],
        );
    }

    #[test]
    fn the_parts_of_an_operation_fit_together() {
        check_operation(
            "on = \"POST /a\"\nclass = \"update\"\nbody = \"stream\"",
            &["operation `o`: `body`: only `pass`, `server_api` and `webhook` stream, not `update`"],
        );
        check_operation(
            "on = \"POST /a\"\nclass = \"server_api\"\nbody = \"json\"",
            &["operation `o`: `body`: `server_api` is never opened: expected `none` or `stream`"],
        );
        check_operation(
            "on = \"POST /a/{id}\"\nclass = \"update\"\nbody = \"json\"\ncontext = [\"path:id\"]\nsubject = [\"path:user\"]",
            &["operation `o`: `context`: only for `class = \"collect\"`", "operation `o`: the path has no `{user}`"],
        );
        check_operation(
            "on = \"POST /a/{id}\"\nclass = \"collect\"\nbody = \"json\"",
            &["operation `o`: `class`: a `collect` needs a `context`"],
        );
        check_operation(
            "on = \"POST /a\"\nclass = \"delete\"\nbody = \"json\"",
            &["operation `o`: `class`: a `delete` needs a document that names what to delete"],
        );
        check_operation(
            "on = \"GET HEAD /a\"\nclass = \"pass\"\nbody = \"none\"\nupgrade = \"websocket\"",
            &["operation `o`: `upgrade`: expected `class = \"pass\"` and `GET` alone"],
        );
        check_operation("on = \"GET HEAD /a\"\nclass = \"pass\"\nbody = \"none\"\nserves = \"frame\"", &[]);
        for call in [
            "on = \"POST /a\"\nclass = \"pass\"\nbody = \"stream\"",
            "on = \"GET /a\"\nclass = \"event\"\nbody = \"none\"",
        ] {
            check_operation(
                &format!("{call}\nserves = \"frame\""),
                &["operation `o`: `serves`: a frame is loaded: expected `class = \"pass\"` and `GET` or `HEAD`"],
            );
        }
    }

    #[test]
    fn what_says_where_the_role_is_and_who_says_it_come_together() {
        let roles = "[roles]\nat = \"/user/role\"\nsession = \"/session\"\nwords = { u = \"user\", l = \"lead\" }\n";
        let ping = "[operations.ping]\non = \"POST /a\"\nclass = \"update\"\nbody = \"json\"\nteaches = \"role\"\n";
        check(&profile("", &format!("{roles}{ping}")), &[]);
        check(
            &profile("", roles),
            &["`roles`: no operation has `teaches = \"role\"`: nobody would ever be known to be a lead"],
        );
        check(&profile("", ping), &["operation `ping`: `teaches`: `[roles]` says where, and is missing"]);
        let mistaken = roles.replace("u = \"user\", ", "").replace("\"lead\"", "\"laed\"");
        check(
            &profile("", &format!("{mistaken}{ping}")),
            &[
                "`roles.words`: expected a word that means `user`",
                "`roles.words.l`: expected `visitor`, `lead` or `user`, found `laed` (did you mean `lead`?)",
            ],
        );
        check(
            &profile("", &format!("{}{ping}", roles.replace("/user/role", "").replace("/session", "/a~2"))),
            &[
                "`roles.at`: expected a JSON pointer such as `/user/role`, found ``",
                "`roles.session`: `~` in a pointer stands only in `~0` and `~1` (RFC 6901 section 3), found `/a~2`",
            ],
        );
        check(
            &profile("", &format!("{roles}{}", ping.replace("update", "pass").replace("\"json\"", "\"none\""))),
            &["operation `ping`: `teaches`: `pass` is never opened, and nobody knows who asks"],
        );
    }

    #[test]
    fn an_exchange_gives_a_session_that_requests_bring() {
        let call = "[operations.o]\non = \"POST /a\"\nclass = \"identify\"\nbody = \"json\"\n";
        let exchange = "exchange = { token = [\"body:/jwt\"], session = [\"/session\"] }\n";
        let brings =
            |text: String| text.replace("user_hash = []", "user_hash = []\nsession = [\"bearer:authorization\"]");
        check(&brings(profile("", &format!("{call}{exchange}"))), &[]);
        check(
            &profile("", &format!("{call}{exchange}")),
            &["operation `o`: `exchange`: `tokens.session` says where requests bring what it gives, and is missing"],
        );
        check(&brings(profile("", call)), &["`tokens.session`: no operation has an `exchange` that gives one"]);
        let update = call.replace("identify", "update");
        check(
            &brings(profile("", &format!("{update}{exchange}"))),
            &["operation `o`: `exchange`: only for `class = \"identify\"`"],
        );
        check(
            &brings(profile("", &format!("{call}exchange = {{ token = [\"path:x\"], session = [] }}\n"))),
            &[
                "operation `o`: the path has no `{x}`",
                "operation `o`: `exchange.session`: expected at least one pointer",
            ],
        );
        check(
            &brings(profile("", &format!("{call}exchange = {{ session = [\"\"] }}\n"))),
            &[
                "operation `o`: `exchange.token` is missing",
                "operation `o`: `exchange.session[0]`: expected a JSON pointer such as `/user/role`, found ``",
            ],
        );
    }

    #[test]
    fn a_document_fits_the_body_and_is_read_once() {
        check_operation(
            "on = \"POST /a\"\nclass = \"update\"\nbody = \"json\"\ndocuments = { \"field:u\" = \"user\", plain = \"user\", \"body:/a~\" = \"usre\" }",
            &[
                "operation `o`: `field:u` needs `body = \"form\"`",
                "operation `o`: `documents`: expected `body`, `body:/a/b` or `field:name`, found `plain`",
                "operation `o`: `documents`: `~` in a pointer stands only in `~0` and `~1` (RFC 6901 section 3)",
                "operation `o`: `documents.body:/a~`: unknown shape `usre` (did you mean `user`?)",
            ],
        );
        check_operation(
            "on = \"POST /a\"\nclass = \"update\"\nbody = \"json\"\ndocuments = { body = \"user\", \"body:/a\" = \"user\" }",
            &["operation `o`: `documents`: `body:/a` is read twice"],
        );
        check_operation(
            "on = \"POST /a\"\nclass = \"update\"\nbody = \"json\"\ndocuments = { \"body:/a\" = \"user\", \"body:/b\" = \"user\" }",
            &[],
        );
        check_operation(
            "on = \"POST /a\"\nclass = \"update\"\nbody = \"form\"\ndocuments = { \"field:email\" = \"user\" }\nfields = { email = \"email\" }",
            &["operation `o`: `fields`: a document is read from one of them"],
        );
    }

    #[test]
    fn several_mistakes_are_found_at_once_and_with_their_places() {
        let mut findings = Findings::default();
        let text =
            profile("", "nested = { a = \"b\" }\n[operations.o]\non = \"/a\"\nclass = \"update\"\nbody = \"json\"\n");
        assert!(parse_profile(&Source::new("profiles/p.toml", text), &mut findings).is_none());
        findings.sort();
        assert_eq!(
            findings.iter().map(|finding| (finding.line, finding.column)).collect::<Vec<_>>(),
            [(16, 16), (18, 6)]
        );
    }
}
