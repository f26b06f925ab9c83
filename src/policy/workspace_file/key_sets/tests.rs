use super::super::super::fixtures::{GATEWAY, WORKSPACE, lines, read, with};
use super::*;

#[track_caller]
fn found(text: &str, expected: &[&str]) {
    let (_, findings) = read(GATEWAY, &[text]);
    assert_eq!(lines(&findings), expected, "{text}");
}

/// [`WORKSPACE`] with tokens for us alone.
fn for_us() -> String {
    with(WORKSPACE, "max_lifetime", "audiences = [\"messenger\"]\nmax_lifetime")
}

/// [`WORKSPACE`] with a set of keys that has these lines.
fn with_key_set(lines: &str) -> String {
    with(&for_us(), "[attributes]", &format!("[[identity.key_sets]]\n{lines}\n[attributes]"))
}

#[track_caller]
fn check_key_set(lines: &str, expected: &[&str]) {
    found(&with_key_set(lines), expected);
}

const KEY_SET: &str = "id = \"idp\"\nalgorithms = [\"ES256\", \"RS256\"]\nurl = \"https://issuer.example/jwks.json\"";

#[test]
fn a_set_of_keys_is_in_a_file_or_at_an_issuer() {
    let (set, findings) = read(GATEWAY, &[&with_key_set(&format!("{KEY_SET}\nca = \"ca.pem\""))]);
    assert!(findings.is_empty(), "{findings:?}");
    let workspace = set.expect("good").workspaces.remove(0);
    let [set] = workspace.identity.key_sets.as_slice() else { panic!("one set") };
    assert_eq!((set.id.as_str(), set.algorithms.as_slice()), ("idp", &[Algorithm::Es256, Algorithm::Rs256][..]));
    let KeySetSource::Issuer(issuer) = &set.source else { panic!("an issuer") };
    assert_eq!((issuer.refresh, issuer.stale_after), (Duration::from_secs(600), Duration::from_secs(86_400)));
    assert_eq!(issuer.ca.as_deref(), Some(std::path::Path::new("policies/ca.pem")));

    check_key_set("id = \"idp\"\nalgorithms = [\"ES256\"]\nfile = \"idp.json\"", &[]);
    let expected = "error: a.toml:17:1: `identity.key_sets[0]`: expected one of `file` and `url`";
    check_key_set("id = \"idp\"\nalgorithms = [\"ES256\"]", &[expected]);
    check_key_set(&format!("{KEY_SET}\nfile = \"idp.json\""), &[expected]);
    let of_url = "error: a.toml:21:11: key set `idp`: `refresh` is for a `url`: a file is read again when it changes";
    check_key_set("id = \"idp\"\nalgorithms = [\"ES256\"]\nfile = \"idp.json\"\nrefresh = \"5m\"", &[of_url]);
}

#[test]
fn keys_that_anybody_can_replace_are_no_keys() {
    let at = |url: &str| format!("id = \"idp\"\nalgorithms = [\"ES256\"]\nurl = \"{url}\"");
    let https = "error: a.toml:20:7: `identity.key_sets[0].url`: expected `https://`: over `http` anybody on the way can put \
                 keys of their own in, found ";
    for url in ["http://issuer.example/keys", "http://192.0.2.1/keys", "http://localhost.example/keys"] {
        check_key_set(&at(url), &[&format!("{https}`{url}`")]);
    }
    for url in ["http://127.0.0.1:9000/keys", "http://[::1]/keys", "http://localhost/keys"] {
        check_key_set(
            &at(url),
            &[
                "warning: a.toml:20:7: key set `idp`: `url`: whoever can answer on that port can sign anything (use `https://`, \
               and `ca` where the certificate is your own)",
            ],
        );
    }
    check_key_set(&at("https://issuer.example/keys?p=b2c"), &[]);
    let mistake = |message: &str| format!("error: a.toml:20:7: `identity.key_sets[0].url`: {message}");
    let found_there = |message: &str, url: &str| mistake(&format!("{message}, found `{url}`"));
    let expected = "expected such as `https://issuer.example/jwks.json`";
    for url in ["issuer.example/keys", "ftp://issuer.example/keys", "file:///etc/keys", "https://"] {
        check_key_set(&at(url), &[&found_there(expected, url)]);
    }
    let url = "https://issuer.example/keys#a";
    check_key_set(&at(url), &[&found_there("expected no fragment: it is never sent", url)]);
    check_key_set(&at("https://ada:hunter2@issuer.example/keys"), &[&mistake("expected no user and password")]);
    check_key_set(
        &format!("{}\nca = \"ca.pem\"", at("http://127.0.0.1/keys")),
        &[
            "warning: a.toml:20:7: key set `idp`: `url`: whoever can answer on that port can sign anything (use `https://`, and \
             `ca` where the certificate is your own)",
            "error: a.toml:21:6: key set `idp`: `ca`: `http` shows no certificate",
        ],
    );
}

#[test]
fn a_set_of_keys_has_algorithms_that_can_be_published() {
    let with_algorithms = |algorithms: &str| with_key_set(&with(KEY_SET, "[\"ES256\", \"RS256\"]", algorithms));
    found(
        &with_algorithms("[\"HS256\"]"),
        &["error: a.toml:19:15: key set `idp`: `HS256` takes a secret, and what is published is none"],
    );
    found(&with_algorithms("[\"ES256\", \"ES256\"]"), &["error: a.toml:19:24: key set `idp`: `ES256` twice"]);
    found(
        &with_algorithms("[]"),
        &[
            "error: a.toml:19:14: `identity.key_sets[0].algorithms`: by no algorithm nothing is signed: expected such as \
           `RS256` or `ES256`",
        ],
    );
    found(
        &with_algorithms("[\"RS256\", \"ES256\", \"PS256\"]"),
        &[
            "warning: a.toml:19:33: key set `idp`: `RS256` and `PS256` take the same keys: one that has no `alg` is left out \
           (name one of them, unless every RSA key of the set says its `alg`)",
        ],
    );
}

#[test]
fn the_times_of_a_set_leave_room_for_a_failure() {
    let with_times = |times: &str| format!("{KEY_SET}\n{times}");
    check_key_set(&with_times("refresh = \"1s\"\nstale_after = \"2s\""), &[]);
    check_key_set(&with_times("refresh = \"12h\""), &[]);
    let short = "key set `idp`: `stale_after` is less than two `refresh`: one failed fetch would refuse tokens";
    check_key_set(&with_times("stale_after = \"19m\""), &[&format!("error: a.toml:21:15: {short}")]);
    check_key_set(&with_times("refresh = \"13h\""), &[&format!("error: a.toml:21:11: {short}")]);
    let bounds = |key: &str, bounds: &str| {
        format!("error: a.toml:21:{}: `identity.key_sets[0].{key}`: expected {bounds}", key.len() + 4)
    };
    for wrong in ["999ms", "2d"] {
        check_key_set(&with_times(&format!("refresh = \"{wrong}\"")), &[&bounds("refresh", "`1s` to `1d`")]);
    }
    check_key_set(&with_times("stale_after = \"31d\""), &[&bounds("stale_after", "`1s` to `30d`")]);
}

#[test]
fn a_key_of_a_set_reads_like_no_other_key() {
    let named = |id: &str| with_key_set(&with(KEY_SET, "\"idp\"", &format!("\"{id}\"")));
    let as_well = |id: &str| format!("error: a.toml:18:6: a key or another set is called `{id}` as well");
    found(&named("one"), &[&as_well("one")]);
    found(&with(&named("idp"), "id = \"one\"", "id = \"idp/one\""), &[&as_well("idp")]);
    found(&with(&named("idp"), "id = \"one\"", "id = \"idp-one\""), &[]);
    for id in ["", "a/b", "a b", "\u{e9}", &"a".repeat(65)] {
        let expected = format!(
            "error: a.toml:18:6: `identity.key_sets[0].id`: expected 1 to 64 of letters, digits, `-`, `_` and `.`, found `{id}`"
        );
        found(&named(id), &[&expected]);
    }
    let sets: String = (0..=KEY_SETS_MAX)
        .map(|index| format!("[[identity.key_sets]]\n{}\n", with(KEY_SET, "idp", &format!("idp-{index}"))))
        .collect();
    let many = with(&for_us(), "[attributes]", &format!("{sets}[attributes]"));
    found(&many, &["error: a.toml:49:1: `identity.key_sets`: expected at most 8"]);
}
