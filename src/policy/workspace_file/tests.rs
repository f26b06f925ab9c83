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
    assert_eq!(workspace.fetch_metadata, FetchMetadataRule::Enforce);
    assert_eq!((workspace.trusted_domains_at.file.as_str(), workspace.trusted_domains_at.line), ("a.toml", 6));
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
    check("plan = { lock = \"enforce\" }", "plan = {}", &["error: a.toml:17:8: attribute `plan`: `lock` is missing"]);
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
        &["error: a.toml:6:20: `trusted_domains[0]`: expected an origin such as `https://app.example.com`, found `*`"],
    );
    check(
        domain,
        "https://*.example",
        &["error: a.toml:6:20: `trusted_domains[0]`: `example` is a public suffix: anybody can get a name below it, \
           found `https://*.example`"],
    );
    check(
        domain,
        "https://*.co.uk",
        &["error: a.toml:6:20: `trusted_domains[0]`: `co.uk` is a public suffix: anybody can get a name below it, \
           found `https://*.co.uk`"],
    );
    for two in ["https://app.acme.example,b.acme.example", "https://app.acme.example;b.acme.example"] {
        let expected = format!(
            "error: a.toml:6:20: `trusted_domains[0]`: the host is no name: expected one origin each, such as \
             `https://app.example.com`, found `{two}`"
        );
        check(domain, two, &[&expected]);
    }
    // It may be the operator's own.
    check(
        domain,
        "https://*.github.io",
        &[
            "warning: a.toml:6:19: `trusted_domains`: `https://*.github.io` trusts everybody: whoever asks `github.io` gets a \
           name below it (name your own hosts there, one by one)",
        ],
    );
    check(domain, "https://*.acme.github.io", &[]);
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
            "error: a.toml:15:7: `identity.keys[0].use`: a key that verifies nothing: expected `jwt`, `user_hash`, `encrypted_payload` or `collector_ticket`",
        ],
    );
    check(
        "HS256",
        "none",
        &["error: a.toml:13:13: `identity.keys[0].algorithm`: expected `HS256`, `HS384`, `HS512`, `RS256`, `RS384`, \
           `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512` or `EdDSA`, found `none`"],
    );
    check(
        "HS256",
        "HS265",
        &["error: a.toml:13:13: `identity.keys[0].algorithm`: expected `HS256`, `HS384`, `HS512`, `RS256`, `RS384`, \
           `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512` or `EdDSA`, found `HS265` (did you mean `HS256`?)"],
    );
    let second = "[[identity.keys]]\nid = \"one\"\nalgorithm = \"HS256\"\nsecret = { env = \"B\" }\nuse = [\"jwt\"]\n[attributes]";
    check("[attributes]", second, &["error: a.toml:17:6: two keys are called `one`"]);
    check("[attributes]", &second.replace("one", "two"), &[]);
}

#[test]
fn a_key_is_for_all_platforms_or_for_those_that_it_names() {
    use crate::profile::{Platform, Platforms};

    let uses = "use = [\"jwt\"]";
    let only = |platforms: &str| with(WORKSPACE, uses, &format!("{uses}\nplatforms = {platforms}"));
    assert_eq!(workspace(WORKSPACE).identity.keys[0].platforms, Platforms::ALL);
    let apps = Platforms::of(&[Platform::Ios, Platform::Web]);
    assert_eq!(workspace(&only("[\"web\", \"ios\", \"web\"]")).identity.keys[0].platforms, apps);
    let words = "expected `web`, `ios` or `android`, found";
    found(
        &only("[\"web\", \"IOS\", \"mobile_web\"]"),
        &[
            &format!("error: a.toml:16:21: `identity.keys[0].platforms[1]`: {words} `IOS` (did you mean `ios`?)"),
            &format!("error: a.toml:16:28: `identity.keys[0].platforms[2]`: {words} `mobile_web`"),
        ],
    );
    let none = "a key for no platform: leave it out for all, or name `web`, `ios` or `android`";
    found(&only("[]"), &[&format!("error: a.toml:16:13: `identity.keys[0].platforms`: {none}")]);
    found(
        &only("\"web\"").replace("platforms", "platform"),
        &["error: a.toml:16:1: unknown key `identity.keys[0].platform` (did you mean `platforms`?)"],
    );
}

#[test]
fn a_key_is_of_the_kind_that_its_algorithm_takes() {
    let secret = "secret = { env = \"ACME_SECRET\" }";
    let public = "public_key = \"idp.pem\"";
    assert!(WORKSPACE.contains(secret), "{WORKSPACE}");
    let key = |algorithm: &str, lines: &str| with(&with(WORKSPACE, "HS256", algorithm), secret, lines);
    found(&key("ES256", public), &[]);
    found(&key("HS512", &format!("{secret}\nencoding = \"base64url\"")), &[]);
    found(&key("HS256", ""), &["error: a.toml:11:1: `identity.keys[0]`: `secret` is missing, or `public_key`"]);
    found(
        &key("HS256", public),
        &[
            "error: a.toml:14:14: key `one`: `HS256` takes a `secret`: a public key as its secret is one that everybody has",
        ],
    );
    found(&key("RS256", secret), &["error: a.toml:13:13: key `one`: `RS256` takes a `public_key`, and no secret"]);
    found(
        &key("RS256", &format!("{secret}\n{public}")),
        &["error: a.toml:13:13: key `one`: `RS256` takes a `public_key`, and no secret"],
    );
    found(
        &key("EdDSA", &format!("{public}\nencoding = \"hex\"")),
        &["error: a.toml:15:12: key `one`: `encoding` is that of a secret"],
    );
    found(
        &with(&key("HS384", secret), "use = [\"jwt\"]", "use = [\"jwt\", \"user_hash\"]"),
        &["error: a.toml:15:15: key `one`: `user_hash` takes a key of `HS256`, not of `HS384`"],
    );
}

#[test]
fn tickets_have_a_key_and_a_place_of_their_own() {
    let leeway = "max_lifetime = \"2h\"\n";
    let key = |uses: &str| {
        format!(
            "[[identity.keys]]\nid = \"bot\"\nalgorithm = \"HS256\"\nsecret = {{ env = \"B\" }}\nuse = [{uses}]\n[attributes]"
        )
    };
    let at = |places: &str, uses: &str| {
        let text =
            with(WORKSPACE, leeway, &format!("{leeway}token_at = [\"header:x-token\"]\nticket_at = [{places}]\n"));
        with(&text, "[attributes]", &key(uses))
    };
    let ticket = r#""collector_ticket""#;
    found(&at(r#""header:x-ticket", "field:ticket""#, ticket), &[]);
    found(
        &at(r#""header:x-token""#, ticket),
        &["error: a.toml:12:13: `identity.ticket_at`: `header:x-token` is the token's place"],
    );
    found(
        &at(r#""header:x-ticket""#, r#""jwt""#),
        &["error: a.toml:12:13: `identity.ticket_at`: no key has `use = [\"collector_ticket\"]`"],
    );
    for uses in [r#""jwt", "collector_ticket""#, r#""collector_ticket", "user_hash""#] {
        let (_, findings) = read(GATEWAY, &[&at(r#""header:x-ticket""#, uses)]);
        let lines = lines(&findings);
        assert!(lines[0].ends_with("key `bot`: `collector_ticket` takes a key of its own"), "{lines:?}");
    }
    let (_, findings) = read(GATEWAY, &[&at(r#""query:ticket""#, ticket)]);
    assert!(lines(&findings)[0].contains("would not be taken out"), "{findings:?}");
    let platforms = with(
        &at(r#""header:x-ticket""#, ticket),
        "use = [\"collector_ticket\"]",
        "use = [\"collector_ticket\"]\nplatforms = [\"web\"]",
    );
    let (_, findings) = read(GATEWAY, &[&platforms]);
    assert!(lines(&findings)[0].contains("`platforms` says nothing of a ticket"), "{findings:?}");
    check(
        "[attributes]",
        &key(ticket),
        &[
            "warning: a.toml:8:1: `identity.ticket_at` is missing: key `bot` verifies nothing (say where tickets stand, \
           such as `ticket_at = [\"header:x-bot-ticket\"]`)",
        ],
    );
}

#[test]
fn an_exchanged_session_lives_for_a_day_at_most() {
    let leeway = "max_lifetime = \"2h\"\n";
    check(leeway, &format!("{leeway}exchange_lifetime = \"24h\"\n"), &[]);
    for (lifetime, message) in [("25h", "expected at most `24h`"), ("0s", "expected")] {
        let text = with(WORKSPACE, leeway, &format!("{leeway}exchange_lifetime = \"{lifetime}\"\n"));
        let (_, findings) = read(GATEWAY, &[&text]);
        assert!(lines(&findings)[0].contains(message), "{findings:?}");
    }
}

#[test]
fn encrypted_settings_are_opened_by_a_key_that_is_for_that() {
    let leeway = "max_lifetime = \"2h\"\n";
    for word in ["refuse", "drop"] {
        check(leeway, &format!("{leeway}encrypted_payload = \"{word}\"\n"), &[]);
    }
    let open = with(WORKSPACE, leeway, &format!("{leeway}encrypted_payload = \"open\"\n"));
    found(&open, &["error: a.toml:11:21: `identity.encrypted_payload`: no key has `use = [\"encrypted_payload\"]`"]);
    found(&with(&open, "use = [\"jwt\"]", "use = [\"jwt\", \"encrypted_payload\"]"), &[]);
}

#[test]
fn a_key_begins_before_it_ends() {
    let uses = "use = [\"jwt\"]";
    let term = |term: &str| format!("{uses}\n{term}");
    check(uses, &term("not_before = 2026-11-27T08:00:00Z\nnot_after = 2026-11-27T10:00:01+02:00"), &[]);
    check(
        uses,
        &term("not_before = 2026-11-27T08:00:00Z\nnot_after = 2026-11-27T10:00:00+02:00"),
        &["error: a.toml:17:13: `not_after` is not after `not_before`: the key would never count"],
    );
    check(
        uses,
        &term("not_after = \"2026-11-27T08:00:00Z\""),
        &["error: a.toml:16:13: `identity.keys[0].not_after`: expected a moment with its offset such as \
           `2026-11-27T08:00:00Z`, without quotes, found text"],
    );
    // Whose midnight?
    for wrong in ["2026-11-27", "2026-11-27T08:00:00", "08:00:00"] {
        check(
            uses,
            &term(&format!("not_after = {wrong}")),
            &[&format!(
                "error: a.toml:16:13: `identity.keys[0].not_after`: expected a moment with its offset such as \
                 `2026-11-27T08:00:00Z`, without quotes, found `{wrong}`"
            )],
        );
    }
}

#[test]
fn what_is_asked_of_claims_is_asked_of_some() {
    let leeway = "max_lifetime = \"2h\"\n";
    let more = |line: &str| format!("{leeway}{line}\n");
    check(leeway, &more("issuers = [\"acme\"]\naudiences = [\"a\", \"b\"]\nrequired_claims = [\"jti\"]"), &[]);
    for key in ["issuers", "audiences", "required_claims"] {
        let place = key.len() + 4;
        check(
            leeway,
            &more(&format!("{key} = []")),
            &[&format!("error: a.toml:11:{place}: `identity.{key}`: an empty list asks for nothing: leave it out")],
        );
    }
}

#[test]
fn names_that_a_backend_may_take_for_one_are_refused() {
    let plan = "plan = { lock = \"enforce\" }";
    check(plan, &format!("{plan}\n\"plan tier\" = {{ lock = \"off\" }}"), &[]);
    check(
        plan,
        &format!("{plan}\nPlan = {{ lock = \"off\" }}"),
        &["error: a.toml:18:1: `Plan` and `plan` are one name to the backend (keep one of the two: its lock covers \
           every spelling)"],
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

#[test]
fn a_workspaces_own_rate_says_all_of_it() {
    let rates = |lines: &str| format!("{WORKSPACE}[rates]\n{lines}\n");
    let own = workspace(&rates("requests = { rate = \"50/s\" }\nrequests_per_subject = { mode = \"off\" }")).rates;
    let requests = own.requests.expect("its own");
    assert_eq!((requests.count.get(), requests.burst.get(), requests.mode), (50, 50, Mode::Enforce));
    assert_eq!(own.requests_per_subject.map(|rate| rate.mode), Some(Mode::Off));
    assert_eq!(workspace(WORKSPACE).rates, super::super::rates::WorkspaceRates::default());
    let (_, findings) = read(GATEWAY, &[&rates("requests = { mode = \"observe\" }")]);
    assert!(lines(&findings)[0].ends_with(": a workspace's own rate: `rate` is missing"), "{findings:?}");
    let (_, findings) = read(GATEWAY, &[&rates("requests_per_address = { rate = \"1/s\" }")]);
    assert!(lines(&findings)[0].contains("unknown key `rates.requests_per_address`"), "{findings:?}");
}
