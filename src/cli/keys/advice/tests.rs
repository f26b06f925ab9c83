use super::*;
use crate::observe::{Kinds, Risks, WebhooksReport};
use crate::policy::{Algorithm, KeySource, SecretEncoding, SecretSource, WebhookKey};
use crate::profile::{Platform, Platforms};

/// 2026-11-27T12:00:00Z.
const NOW: i64 = 1_795_780_800;

fn key(id: &str, uses: &[KeyUse], not_before: Option<i64>, not_after: Option<i64>) -> KeyPolicy {
    KeyPolicy {
        id: id.to_owned(),
        algorithm: Algorithm::Hs256,
        source: KeySource::Secret { source: SecretSource::Env("SECRET".to_owned()), encoding: SecretEncoding::Text },
        uses: uses.to_vec(),
        platforms: Platforms::ALL,
        term: KeyTerm { not_before, not_after },
    }
}

fn tokens(number: u64) -> Kinds {
    Kinds { jwt: number, ..Kinds::default() }
}

/// `web-2026-05` as it is where it never signed: counted for eight days, while others signed 1.2 million tokens.
fn quiet() -> KeyReport {
    let since = NOW - 7 * DAY_SECONDS - 3600;
    KeyReport {
        key: "web-2026-05".to_owned(),
        in_force: true,
        since,
        verified: tokens(0),
        refused: tokens(0),
        signed_since: 1_204_113,
        last_use: None,
        quiet_since: since,
        signed_since_quiet: 1_204_113,
    }
}

/// The same where it signs two of five.
fn busy() -> KeyReport {
    let (verified, refused) = (tokens(481_001), tokens(645));
    KeyReport { verified, refused, last_use: Some(NOW - 3), quiet_since: NOW - 3, signed_since_quiet: 12, ..quiet() }
}

fn counted(report: KeyReport) -> WorkspaceReport {
    WorkspaceReport {
        workspace: "acme".to_owned(),
        since: NOW - 10 * DAY_SECONDS,
        signed: report.signed_since,
        signed_unnamed: 0,
        unsigned: tokens(9_000_000),
        risks: Risks::default(),
        keys: vec![report],
        webhooks: WebhooksReport::default(),
    }
}

#[track_caller]
fn check_with(key: &KeyPolicy, others: &[KeyPolicy], counted: Option<WorkspaceReport>, expected: (&str, bool)) {
    let keys = [std::slice::from_ref(key), others].concat();
    let Advice { sentence, is_finding } = Asked::of_key(key, &keys, counted.as_ref(), NOW).advice();
    assert_eq!((sentence.as_str(), is_finding), expected);
}

/// Of `web-2026-05` beside another key for tokens.
#[track_caller]
fn check(not_before: Option<i64>, not_after: Option<i64>, report: KeyReport, expected: (&str, bool)) {
    let key = key("web-2026-05", &[KeyUse::Jwt], not_before, not_after);
    check_with(&key, &[newer()], Some(counted(report)), expected);
}

fn newer() -> KeyPolicy {
    key("web-2026-11", &[KeyUse::Jwt], None, None)
}

#[test]
fn a_key_that_signed_nothing_of_enough_can_go() {
    let told = "key `web-2026-05` signed 0 of the last 1,204,113 tokens since 2026-11-20: safe to remove";
    check(None, None, quiet(), (told, false));
    // One that ends soon is no finding where nobody uses it.
    check(None, Some(NOW + DAY_SECONDS), quiet(), (told, false));
    // One that signed until then, too.
    let since = quiet().since;
    let stopped = KeyReport { last_use: Some(since), verified: tokens(7), ..quiet() };
    check(None, None, stopped, (told, false));
}

#[test]
fn too_little_is_said_to_be_too_little() {
    let soon = KeyReport { since: NOW - 180, quiet_since: NOW - 180, ..quiet() };
    let told = "key `web-2026-05` signed nothing yet, counted for 3 minutes only: ask again when it is 7 days";
    check(None, None, soon, (told, false));
    let second_less = KeyReport { quiet_since: NOW - QUIET_SECONDS_MIN + 1, ..quiet() };
    let told = "key `web-2026-05` signed nothing yet, counted for 6 days 23 hours only: ask again when it is 7 days";
    check(None, None, second_less, (told, false));
    let few = KeyReport { signed_since_quiet: SIGNED_MIN - 1, ..quiet() };
    let told = "key `web-2026-05` signed 0 of the last 9,999 tokens since 2026-11-20: too few to say more, ask again when there are 10,000";
    check(None, None, few, (told, false));
    let enough = KeyReport { signed_since_quiet: SIGNED_MIN, quiet_since: NOW - QUIET_SECONDS_MIN, ..quiet() };
    let told = "key `web-2026-05` signed 0 of the last 10,000 tokens since 2026-11-20: safe to remove";
    check(None, None, enough, (told, false));
}

#[test]
fn a_key_in_use_says_how_much_and_is_a_finding_where_it_ends_soon() {
    check(None, None, busy(), ("key `web-2026-05` signs 40 % of the tokens, last 3 seconds ago", false));
    let told = "key `web-2026-05` ends in 3 days, at 2026-11-30T12:00:00Z, and still signs 40 % of the tokens, last 3 seconds ago: let another key sign before that";
    check(None, Some(NOW + 3 * DAY_SECONDS), busy(), (told, true));
    let told = "key `web-2026-05` signs 40 % of the tokens, last 3 seconds ago";
    check(None, Some(NOW + ENDS_SOON_SECONDS + 1), busy(), (told, false));
    let last_day = "key `web-2026-05` ends in 7 days, at 2026-12-04T12:00:00Z, and still signs 40 % of the tokens, last 3 seconds ago: let another key sign before that";
    check(None, Some(NOW + ENDS_SOON_SECONDS), busy(), (last_day, true));
    // What is refused for something else was signed by it all the same.
    let refused = KeyReport { verified: tokens(0), refused: tokens(1), ..busy() };
    let told = "key `web-2026-05` signs less than 1 % of the tokens, last 3 seconds ago";
    check(None, None, refused, (told, false));
}

#[test]
fn a_key_before_its_term_and_after_it() {
    let told = "key `web-2026-05` ended 3 days ago, at 2026-11-24T12:00:00Z, and verifies nothing: safe to remove";
    check(None, Some(NOW - 3 * DAY_SECONDS), busy(), (told, false));
    let told = "key `web-2026-05` ended 0 seconds ago, at 2026-11-27T12:00:00Z, and verifies nothing: safe to remove";
    check(None, Some(NOW), busy(), (told, false));
    let told = "key `web-2026-05` begins in 1 second, at 2026-11-27T12:00:01Z";
    check(Some(NOW + 1), None, quiet(), (told, false));
    check(Some(NOW), None, busy(), ("key `web-2026-05` signs 40 % of the tokens, last 3 seconds ago", false));
}

#[test]
fn the_only_key_for_something_is_never_safe_to_remove() {
    let alone = key("web-2026-05", &[KeyUse::Jwt], None, None);
    let told = "key `web-2026-05` signed nothing since 2026-11-20, and stays: no other key is for tokens";
    check_with(&alone, &[], Some(counted(quiet())), (told, false));
    // A key that has ended, or one for hashes, does not stand in for it.
    for other in [
        key("web-2025-11", &[KeyUse::Jwt], None, Some(NOW)),
        key("web-2027-01", &[KeyUse::Jwt], Some(NOW + 1), None),
        key("hashes", &[KeyUse::UserHash], None, None),
    ] {
        check_with(&alone, &[other], Some(counted(quiet())), (told, false));
    }
    // Nor one for other platforms.
    let ios = KeyPolicy { platforms: Platforms::of(&[Platform::Ios]), ..newer() };
    check_with(&alone, &[ios], Some(counted(quiet())), (told, false));
    let web = |key| KeyPolicy { platforms: Platforms::of(&[Platform::Web]), ..key };
    let told = "key `web-2026-05` signed 0 of the last 1,204,113 tokens since 2026-11-20: safe to remove";
    check_with(&web(alone.clone()), &[newer()], Some(counted(quiet())), (told, false));
    let told = "key `web-2026-05` signed nothing since 2026-11-20, and stays: no other key is for tokens from web";
    check_with(&web(alone), &[], Some(counted(quiet())), (told, false));
    let both = key("web-2026-05", &[KeyUse::Jwt, KeyUse::UserHash], None, None);
    let told = "key `web-2026-05` signed nothing since 2026-11-20, and stays: no other key is for user hashes";
    check_with(&both, &[newer()], Some(counted(quiet())), (told, false));
    let ended = key("web-2026-05", &[KeyUse::Jwt], None, Some(NOW - 60));
    let told = "key `web-2026-05` ended 1 minute ago, at 2026-11-27T11:59:00Z, and no other key is for tokens: add one";
    check_with(&ended, &[], Some(counted(quiet())), (told, false));
}

#[test]
fn the_only_key_for_something_that_ends_soon_wants_another_though_nothing_came() {
    let alone = key("web-2026-05", &[KeyUse::Jwt], None, Some(NOW + 3 * DAY_SECONDS));
    let told = "key `web-2026-05` signed nothing since 2026-11-20, and ends in 3 days, at 2026-11-30T12:00:00Z: no other key is for tokens then, add one";
    check_with(&alone, &[], Some(counted(quiet())), (told, false));
    let late = key("web-2027-01", &[KeyUse::Jwt], Some(NOW + 3 * DAY_SECONDS + 1), None);
    check_with(&alone, &[late], Some(counted(quiet())), (told, false));
    // One that follows it to the second.
    let next = key("web-2027-01", &[KeyUse::Jwt], Some(NOW + 3 * DAY_SECONDS), None);
    let told = "key `web-2026-05` signed nothing since 2026-11-20, and stays: no other key is for tokens";
    check_with(&alone, &[next], Some(counted(quiet())), (told, false));
    let later = key("web-2026-05", &[KeyUse::Jwt], None, Some(NOW + ENDS_SOON_SECONDS + 1));
    check_with(&later, &[], Some(counted(quiet())), (told, false));
}

#[test]
fn a_key_that_the_gateway_does_not_have_is_no_idle_one() {
    let told = "key `web-2026-05` is not in the running gateway: was the policy reloaded?";
    let gone = KeyReport { in_force: false, ..quiet() };
    check(None, None, gone, (told, false));
    check_with(&key("web-2026-05", &[KeyUse::Jwt], None, None), &[newer()], None, (told, false));
}

#[test]
fn a_key_that_came_back_is_counted_from_then() {
    let back = KeyReport { last_use: Some(NOW - 20 * DAY_SECONDS), quiet_since: NOW - 60, ..quiet() };
    let told = "key `web-2026-05` signed nothing yet, counted for 1 minute only: ask again when it is 7 days";
    check(None, Some(NOW + DAY_SECONDS), back, (told, false));
}

#[test]
fn where_hashes_were_seen_all_are_proofs() {
    let hashes = KeyReport { verified: Kinds { user_hash: 481_646, ..Kinds::default() }, refused: tokens(0), ..busy() };
    check(None, None, hashes, ("key `web-2026-05` signs 40 % of the proofs, last 3 seconds ago", false));
}

/// Of `old` beside these keys for webhooks, with what the gateway counted of it.
#[track_caller]
fn check_webhook(not_after: Option<i64>, others: &[(&str, KeyTerm)], report: KeyReport, expected: (&str, bool)) {
    let key = |id: &str, term: KeyTerm| WebhookKey {
        id: id.to_owned(),
        secret: SecretSource::Env("SECRET".to_owned()),
        encoding: SecretEncoding::Text,
        term,
    };
    let old = key("old", KeyTerm { not_before: None, not_after });
    let keys: Vec<_> = others.iter().map(|(id, term)| key(id, *term)).chain([old.clone()]).collect();
    // A key for tokens of the same id says nothing of it.
    let mut counted = counted(KeyReport { key: "old".to_owned(), ..busy() });
    counted.webhooks.keys = vec![KeyReport { key: "old".to_owned(), ..report }];
    let Advice { sentence, is_finding } = Asked::of_webhook_key(&old, &keys, Some(&counted), NOW).advice();
    assert_eq!((sentence.as_str(), is_finding), expected);
}

#[test]
fn keys_for_webhooks_follow_one_another_like_others_and_a_hundred_are_enough() {
    let new = ("new", KeyTerm::default());
    let webhooks = |number| Kinds { webhook: number, ..Kinds::default() };
    let busy = KeyReport { verified: webhooks(40), refused: webhooks(0), signed_since: 100, ..busy() };
    let told = "webhook key `old` signs 40 % of the webhooks, last 3 seconds ago";
    check_webhook(None, &[new], busy.clone(), (told, false));
    let told = "webhook key `old` ends in 3 days, at 2026-11-30T12:00:00Z, and still signs 40 % of the webhooks, last 3 seconds ago: let another key sign before that";
    check_webhook(Some(NOW + 3 * DAY_SECONDS), &[new], busy, (told, true));
    let after = |number| KeyReport { signed_since: number, signed_since_quiet: number, ..quiet() };
    let told = "webhook key `old` signed 0 of the last 100 webhooks since 2026-11-20: safe to remove";
    check_webhook(None, &[new], after(100), (told, false));
    let told = "webhook key `old` signed 0 of the last 99 webhooks since 2026-11-20: too few to say more, ask again when there are 100";
    check_webhook(None, &[new], after(99), (told, false));
    let told = "webhook key `old` signed nothing since 2026-11-20, and stays: no other key is for webhooks";
    let ended = ("ended", KeyTerm { not_before: None, not_after: Some(NOW) });
    check_webhook(None, &[ended], after(100), (told, false));
    let told = "webhook key `old` signed nothing since 2026-11-20, and ends in 1 day, at 2026-11-28T12:00:00Z: no other key is for webhooks then, add one";
    check_webhook(Some(NOW + DAY_SECONDS), &[ended], after(100), (told, false));
    let told =
        "webhook key `old` ended 1 minute ago, at 2026-11-27T11:59:00Z, and no other key is for webhooks: add one";
    check_webhook(Some(NOW - 60), &[], quiet(), (told, false));
}

#[test]
fn numbers_are_those_that_people_read() {
    for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_204_113, "1,204,113")] {
        assert_eq!(grouped(number), expected);
    }
    for ((part, all), expected) in
        [((0, 0), "0 %"), ((0, 9), "0 %"), ((1, 1000), "less than 1 %"), ((999, 1000), "99 %"), ((5, 5), "100 %")]
    {
        assert_eq!(share(part, all), expected);
    }
    assert_eq!(share(u64::MAX, u64::MAX), "100 %");
}
