//! Lints: what is legal in a workspace, but unwise. They run on files without mistakes.

use std::sync::Arc;

use super::algorithm::{Algorithm, KEY_TRIES_MAX};
use super::fetch_metadata::FetchMetadataRule;
use super::finding::Findings;
use super::gateway::Gateway;
use super::keywords::word;
use super::reader::{Keyword, one_of, quoted};
use super::shapes;
use super::source::Source;
use super::workspace::{Admission, EncryptedPayload, KeyUse, OnSessionEnd, Replay, Workspace};
use super::workspace_file::{Landmarks, server};
use crate::decision::{Lock, Mode, Unlisted};
use crate::profile::{Class, Operation};

/// Looks at one workspace.
pub(super) fn lint(
    workspace: &Workspace,
    gateway: Option<&Gateway>,
    landmarks: &Landmarks,
    source: &Source,
    findings: &mut Findings,
) {
    // Where only servers call, there is no page to trust.
    let is_for_pages =
        workspace.operations.iter().any(|operation| !matches!(operation.class, Class::Webhook | Class::ServerApi));
    if workspace.trusted_domains.entries().is_empty() && is_for_pages {
        findings
            .warning(source, landmarks.trusted_domains.clone(), "`trusted_domains`: an empty list trusts nobody")
            .help("every request that brings an `Origin` is refused");
    }
    for entry in workspace.trusted_domains.entries() {
        if let Some(hoster) = entry.hoster() {
            let (entry, hoster) = (quoted(&entry.to_string()), quoted(hoster));
            let message =
                format!("`trusted_domains`: {entry} trusts everybody: whoever asks {hoster} gets a name below it");
            findings
                .warning(source, landmarks.trusted_domains.clone(), message)
                .help("name your own hosts there, one by one");
        }
    }
    match workspace.missing_origin {
        Admission::Refuse => {}
        Admission::Allow => {
            findings
                .warning(
                    source,
                    landmarks.missing_origin.clone(),
                    "`missing_origin`: `allow` lets in every program that is no browser",
                )
                .help("needed only where native applications speak to this workspace");
        }
    }
    if workspace.fetch_metadata == FetchMetadataRule::Off {
        findings
            .warning(
                source,
                landmarks.fetch_metadata.clone(),
                "`fetch_metadata`: `off` looks at nothing that browsers say by themselves",
            )
            .help("`observe` records what would be refused");
    }
    let signs = workspace.identity.keys.iter().any(|key| key.uses.contains(&KeyUse::Jwt))
        || !workspace.identity.key_sets.is_empty();
    if signs && workspace.identity.max_lifetime.is_none() {
        findings
            .warning(
                source,
                landmarks.identity.clone(),
                "`identity.max_lifetime` is missing: a token may be valid for years",
            )
            .help("two hours are usual: `max_lifetime = \"2h\"`");
    }
    if !workspace.identity.key_sets.is_empty() && workspace.identity.audiences.is_empty() {
        findings
            .warning(
                source,
                landmarks.identity.clone(),
                "`identity.audiences` is missing: whoever publishes `key_sets` signs for others too, and each of those tokens holds here",
            )
            .help("name whom the tokens are for: `audiences = [\"messenger\"]`");
    }
    let asks = workspace.identity.keys.iter().find(|key| key.uses.contains(&KeyUse::CollectorTicket));
    if let (Some(key), true) = (asks, workspace.identity.ticket_at.is_empty()) {
        let message = format!("`identity.ticket_at` is missing: key {} verifies nothing", quoted(&key.id));
        findings
            .warning(source, landmarks.identity.clone(), message)
            .help("say where tickets stand, such as `ticket_at = [\"header:x-bot-ticket\"]`");
    }
    let keeps_nothing = gateway.is_some_and(|gateway| gateway.state.directory.is_none());
    outside_the_wire(workspace, landmarks, source, findings);
    server::lint(workspace, gateway, landmarks.server.clone(), source, findings);
    let used = (workspace.identity.replay != Replay::Allow)
        .then_some("`identity.replay`: which tokens were used is forgotten with each restart");
    let ended = (workspace.identity.session_end == OnSessionEnd::Revoke)
        .then_some("`identity.session_end`: which tokens ended is forgotten with each restart");
    for message in used.into_iter().chain(ended).filter(|_| keeps_nothing) {
        findings
            .warning(source, landmarks.identity.clone(), message)
            .help("`directory` in `[state]` of `gateway.toml` keeps it");
    }
    many_keys(workspace, landmarks, source, findings);
    elsewhere(workspace, landmarks, source, findings);
    reserved(workspace, landmarks, source, findings);
    let opens = workspace.identity.encrypted_payload == EncryptedPayload::Open;
    if !signs && !opens && workspace.catalogue.mode() != Mode::Off {
        unsignable(workspace, landmarks, source, findings);
    }
    if workspace.catalogue.mode() != Mode::Off && landmarks.unlisted == Unlisted::Drop {
        incomplete_groups(workspace, landmarks, source, findings);
    }
}

/// A rule about sessions where the messenger's wire has none, or none that ends.
fn outside_the_wire(workspace: &Workspace, landmarks: &Landmarks, source: &Source, findings: &mut Findings) {
    if workspace.identity.replay == Replay::FirstSession && workspace.profile.identity.session.is_empty() {
        let message = "`identity.replay`: `first_session` binds nothing: the profile knows no session";
        findings
            .warning(source, landmarks.identity.clone(), message)
            .help("every request has the same one: none. `first_origin` and `single_use` do not need it");
    }
    let ends = |operation: &Arc<Operation>| operation.class == Class::SessionEnd;
    if workspace.identity.session_end == OnSessionEnd::Revoke && !workspace.operations.iter().any(ends) {
        let message = "`identity.session_end`: no request ends a session: no operation has the class `session_end`";
        findings
            .warning(source, landmarks.identity.clone(), message)
            .help("a profile of your own can name the call that does");
    }
}

/// More keys of one algorithm than a token that names none is tried with.
fn many_keys(workspace: &Workspace, landmarks: &Landmarks, source: &Source, findings: &mut Findings) {
    let tried = |algorithm| {
        let keys = workspace.identity.keys.iter();
        keys.filter(|key| key.algorithm == algorithm && key.uses.contains(&KeyUse::Jwt)).count()
    };
    for (word, algorithm) in Algorithm::WORDS {
        let count = tried(*algorithm);
        if count > KEY_TRIES_MAX {
            let message = format!(
                "`identity.keys`: {count} of `{word}`, and a token without `kid` is tried with {KEY_TRIES_MAX}"
            );
            findings
                .warning(source, landmarks.identity.clone(), message)
                .help("let the server name the key in the token's header, or remove those that no longer sign");
        }
    }
}

/// A key for platforms from which no request of the profile is known to come.
fn elsewhere(workspace: &Workspace, landmarks: &Landmarks, source: &Source, findings: &mut Findings) {
    let profile = &workspace.profile;
    let possible = profile.platform.possible();
    for key in workspace.identity.keys.iter().filter(|key| !profile.platform.admits(key.platforms)) {
        let (id, name) = (quoted(&key.id), quoted(&profile.id));
        let known: Vec<String> = possible.iter().map(|platform| quoted(word(platform))).collect();
        let known = if known.is_empty() { "no platform".to_owned() } else { known.join(", ") };
        let message = format!("key {id}: its `platforms` never occur: requests of profile {name} tell {known}");
        findings.warning(source, landmarks.identity.clone(), message).help("as it stands it verifies nothing");
    }
}

/// A name that is no attribute to this messenger.
fn reserved(workspace: &Workspace, landmarks: &Landmarks, source: &Source, findings: &mut Findings) {
    for (attribute, span) in workspace.catalogue.attributes().iter().zip(&landmarks.attributes) {
        if shapes::is_reserved(&workspace.profile, &attribute.name) {
            let message =
                format!("attribute {}: a setting of the messenger: no lock is applied to it", quoted(&attribute.name));
            findings
                .warning(source, span.clone(), message)
                .help("the profile passes it on as it is; who a user is, `[identity]` decides");
        }
    }
}

/// A lock that no key opens.
fn unsignable(workspace: &Workspace, landmarks: &Landmarks, source: &Source, findings: &mut Findings) {
    for (attribute, span) in workspace.catalogue.attributes().iter().zip(&landmarks.attributes) {
        match attribute.lock {
            Lock::Off => {}
            Lock::Observe | Lock::Enforce => {
                let message = format!("attribute {}: locked, but no key can sign it", quoted(&attribute.name));
                findings.warning(source, span.clone(), message).help(
                    "no `[[identity.keys]]` has `use = [\"jwt\"]`: nothing will ever change it through this gateway",
                );
                // One is enough: the rest have the same cause.
                return;
            }
        }
    }
}

/// An object that is sent only with its id and name, while those are not listed.
fn incomplete_groups(workspace: &Workspace, landmarks: &Landmarks, source: &Source, findings: &mut Findings) {
    let names = || workspace.catalogue.attributes().iter().map(|attribute| attribute.name.as_str());
    for group in shapes::groups(&workspace.profile) {
        let below = format!("{}.", group.name);
        let first = names().zip(&landmarks.attributes).find(|(name, _)| name.starts_with(&below));
        let Some((_, span)) = first.filter(|_| !names().any(|name| name == group.name)) else { continue };
        for alternatives in &group.required {
            let spelled: Vec<String> = alternatives.iter().map(|name| format!("{below}{name}")).collect();
            if !names().any(|name| spelled.iter().any(|spelled| spelled == name)) {
                let needed = one_of(spelled.iter().map(String::as_str));
                findings
                    .warning(
                        source,
                        span.clone(),
                        format!("every {} will be left out: {needed} is not listed", quoted(&group.name)),
                    )
                    .help("without it the rest of the object cannot stand");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{GATEWAY, JSON_WORKSPACE, WORKSPACE, lines, read, with};

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let (_, findings) = read(GATEWAY, &[&with(WORKSPACE, old, new)]);
        assert_eq!(lines(&findings), expected);
    }

    #[test]
    fn a_missing_origin_that_is_allowed_is_warned_of() {
        check(
            "missing_origin = \"refuse\"",
            "missing_origin = \"allow\"",
            &["warning: a.toml:7:18: `missing_origin`: `allow` lets in every program that is no browser (needed only \
               where native applications speak to this workspace)"],
        );
    }

    #[test]
    fn tokens_without_a_longest_life_are_warned_of() {
        check(
            "max_lifetime = \"2h\"\n",
            "",
            &[
                "warning: a.toml:8:1: `identity.max_lifetime` is missing: a token may be valid for years (two hours are \
               usual: `max_lifetime = \"2h\"`)",
            ],
        );
    }

    #[test]
    fn keys_that_sign_for_others_too_are_warned_of() {
        let set = "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"ES256\"]\nfile = \"idp.json\"\n[attributes]";
        check(
            "[attributes]",
            set,
            &[
                "warning: a.toml:8:1: `identity.audiences` is missing: whoever publishes `key_sets` signs for others too, and each \
               of those tokens holds here (name whom the tokens are for: `audiences = [\"messenger\"]`)",
            ],
        );
        let named = with(WORKSPACE, "max_lifetime", "audiences = [\"messenger\"]\nmax_lifetime");
        let (_, findings) = read(GATEWAY, &[&with(&named, "[attributes]", set)]);
        assert!(findings.is_empty());
        // A set signs: a lock needs no further key.
        let without_key = with(&named, "use = [\"jwt\"]", "use = [\"user_hash\"]");
        let (_, findings) = read(GATEWAY, &[&with(&without_key, "[attributes]", set)]);
        assert!(findings.is_empty());
    }

    #[test]
    fn ids_that_are_forgotten_with_a_restart_are_warned_of() {
        let replay = with(WORKSPACE, "max_lifetime", "replay = \"single_use\"\nmax_lifetime");
        let (_, findings) = read(GATEWAY, &[&replay]);
        let expected = "warning: a.toml:8:1: `identity.replay`: which tokens were used is forgotten with each restart \
                        (`directory` in `[state]` of `gateway.toml` keeps it)";
        assert_eq!(lines(&findings), [expected]);
        let (_, findings) = read(GATEWAY, &[&replay.replace("replay = \"single_use\"", "session_end = \"revoke\"")]);
        assert!(lines(&findings).contains(&expected.replace("replay", "session_end").replace("were used", "ended")));
        let (_, findings) = read(&format!("{GATEWAY}[state]\ndirectory = \"state\"\n"), &[&replay]);
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn a_rule_about_sessions_that_the_wire_does_not_have_is_warned_of() {
        let kept = format!("{GATEWAY}[state]\ndirectory = \"state\"\n");
        for (setting, words) in [
            ("replay = \"first_session\"", "`first_session` binds nothing"),
            ("session_end = \"revoke\"", "no request ends a session"),
        ] {
            let (_, findings) = read(&kept, &[&with(WORKSPACE, "max_lifetime", &format!("{setting}\nmax_lifetime"))]);
            let lines = lines(&findings);
            assert!(
                lines.len() == 1 && lines[0].starts_with("warning: a.toml:8:1") && lines[0].contains(words),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_lock_without_a_key_is_warned_of() {
        let expected = "warning: a.toml:17:1: attribute `plan`: locked, but no key can sign it (no `[[identity.keys]]` has \
                        `use = [\"jwt\"]`: nothing will ever change it through this gateway)";
        check("[\"jwt\"]", "[\"user_hash\"]", &[expected]);
        let without_key = with(WORKSPACE, "[\"jwt\"]", "[\"user_hash\"]");
        let (_, findings) = read(GATEWAY, &[&with(&without_key, "lock = \"enforce\"", "lock = \"off\"")]);
        assert!(findings.is_empty());
        let (_, findings) = read(GATEWAY, &[&with(&without_key, "mode = \"enforce\"", "mode = \"off\"")]);
        assert!(findings.is_empty());
    }

    #[test]
    fn a_lock_on_a_setting_is_warned_of() {
        let plan = "plan = { lock = \"enforce\" }";
        let expected = "warning: a.toml:17:1: attribute `user_id`: a setting of the messenger: no lock is applied to it (the \
                        profile passes it on as it is; who a user is, `[identity]` decides)";
        check(plan, "user_id = { lock = \"enforce\" }", &[expected]);
        check(plan, "user_ids = { lock = \"enforce\" }", &[]);
    }

    #[test]
    fn a_key_whose_platform_never_occurs_is_warned_of() {
        let only = |platforms: &str| format!("use = [\"jwt\"]\nplatforms = [{platforms}]");
        let uses = "use = [\"jwt\"]";
        for platforms in ["\"web\"", "\"ios\", \"web\"", "\"ios\", \"web\", \"android\""] {
            check(uses, &only(platforms), &[]);
        }
        check(
            uses,
            &only("\"ios\", \"android\""),
            &[
                "warning: a.toml:8:1: key `one`: its `platforms` never occur: requests of profile `web` tell `web` (as it \
               stands it verifies nothing)",
            ],
        );
        let json = with(
            JSON_WORKSPACE,
            "require = \"never\"",
            "require = \"never\"\n[[identity.keys]]\nid = \"k\"\nalgorithm = \"HS256\"\nsecret = { env = \"S\" }\nuse = [\"user_hash\"]\nplatforms = [\"web\"]",
        );
        let (_, findings) = read(GATEWAY, &[&json]);
        assert!(
            findings.iter().any(|finding| finding.message
                == "key `k`: its `platforms` never occur: requests of profile `json` tell no platform"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_company_without_its_id_and_name_is_warned_of() {
        let plan = "plan = { lock = \"enforce\" }";
        let company = "\"company.plan\" = { lock = \"off\" }";
        check(
            plan,
            company,
            &[
                "warning: a.toml:17:1: every `company` will be left out: `company.company_id` or `company.id` is not listed \
                 (without it the rest of the object cannot stand)",
                "warning: a.toml:17:1: every `company` will be left out: `company.name` is not listed (without it the rest \
                 of the object cannot stand)",
            ],
        );
        let whole =
            format!("{company}\n\"company.id\" = {{ lock = \"off\" }}\n\"company.name\" = {{ lock = \"off\" }}");
        check(plan, &whole, &[]);
        check(plan, &format!("{company}\ncompany = {{ lock = \"off\", type = \"object\" }}"), &[]);
        check("mode = \"enforce\"", "mode = \"enforce\"\nunlisted = \"keep\"", &[]);
    }

    #[test]
    fn not_to_listen_to_browsers_is_warned_of() {
        let with = |word: &str| format!("missing_origin = \"refuse\"\nfetch_metadata = \"{word}\"");
        check("missing_origin = \"refuse\"", &with("observe"), &[]);
        check(
            "missing_origin = \"refuse\"",
            &with("off"),
            &[
                "warning: a.toml:8:18: `fetch_metadata`: `off` looks at nothing that browsers say by themselves (`observe` records \
               what would be refused)",
            ],
        );
    }

    #[test]
    fn a_file_with_mistakes_is_not_linted() {
        check(
            "missing_origin = \"refuse\"",
            "missing_origin = \"allow\"\nwhat = 1",
            &["error: a.toml:8:1: unknown key `what` (known here: `profile`, `app_ids`, `hosts`, `upstream`, `mode`, \
               `trusted_domains`, `missing_origin`, `null_origin`, `fetch_metadata`, `unlisted`, `signed_unlisted`, `on_misfit`, \
               `on_replace`, `identity`, `server`, `attributes`, `rates`, `routes`, `addresses`, `webhooks`)"],
        );
    }

    #[test]
    fn more_keys_than_are_tried_are_warned_of() {
        let more = |count: usize| {
            let key = |index| {
                format!(
                    "[[identity.keys]]\nid = \"key-{index}\"\nalgorithm = \"ES256\"\npublic_key = \"{index}.pem\"\nuse = [\"jwt\"]\n"
                )
            };
            (0..count).map(key).collect::<String>() + "[attributes]"
        };
        check("[attributes]", &more(8), &[]);
        check(
            "[attributes]",
            &more(9),
            &[
                "warning: a.toml:8:1: `identity.keys`: 9 of `ES256`, and a token without `kid` is tried with 8 (let the \
               server name the key in the token's header, or remove those that no longer sign)",
            ],
        );
    }
}
