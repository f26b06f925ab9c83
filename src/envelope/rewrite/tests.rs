use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::fixtures::{body, field, operation, ping, place, shapes, with};
use super::super::walked::Removed;
use super::super::{Envelope, json};
use super::*;
use crate::decision::{
    Additions, Attribute, Catalogue, Change, Channel, Circumstances, Collect, Folding, Kind, Lock, Mode, NoSecrets,
    Role, Signed, Subject, TokenReader, Unlisted, Value, ValueRule, judge,
};
use crate::policy::Limits;
use crate::profile::{Body, Operation, Shape};

fn catalogue(mode: Mode, unlisted: Unlisted, attributes: &[(&str, Lock)]) -> Catalogue {
    let attributes = attributes.iter().map(|(name, lock)| Attribute {
        name: (*name).into(),
        lock: *lock,
        rule: ValueRule { kind: Kind::Any, ..ValueRule::default() },
        collect: Collect::Never,
    });
    let folding = Folding {
        replaced: vec!['.', ' '],
        replacement: Some('_'),
        containers: vec!["custom_attributes".into(), "custom_data".into()],
    };
    Catalogue::new(mode, unlisted, Unlisted::Keep, folding, &[], attributes.collect()).expect("a catalogue")
}

const CIRCUMSTANCES: Circumstances = Circumstances {
    channel: Channel::Messenger,
    subject: Subject::NotLead,
    token_reader: TokenReader::Gateway,
    additions: Additions::Welcome,
};

/// Locks `plan`, `company.plan` and `email`; anything else is open.
fn locks() -> Catalogue {
    let enforce = Lock::Enforce;
    catalogue(
        Mode::Enforce,
        Unlisted::Keep,
        &[
            ("plan", enforce),
            ("company.plan", enforce),
            ("email", enforce),
            ("nickname", Lock::Off),
            ("tags", Lock::Off),
        ],
    )
}

fn walked<'v>(envelope: &'v Envelope<'_>) -> Walked<'v> {
    envelope.walk(&[], &NoSecrets).expect("documents of their shape")
}

/// Opens, judges, rewrites.
fn rewritten(
    operation: &Operation,
    catalogue: &Catalogue,
    body: &str,
    claims: Option<&str>,
) -> Result<String, RewriteError> {
    with(operation, "", body.as_bytes(), |envelope| {
        let claims = claims.map(|text| json::read(text.as_bytes(), &Limits::default()).expect("JSON"));
        let shape = shapes::user_data();
        let signed = claims.as_ref().map(|claims| Signed::vouched(super::super::claims(&shape, &[], claims)));
        let own = [place("document:cs"), place("field:cs"), place("body:/x/cs")];
        let walked = envelope.walk(&own, &NoSecrets).expect("documents of their shape");
        let judged = judge(catalogue, CIRCUMSTANCES, &NoSecrets, signed.as_ref(), walked.update());
        let rewritten = walked.rewrite(&judged, ReadBack::On)?;
        Ok(String::from_utf8(rewritten.into_body().to_vec()).expect("UTF-8"))
    })
    .expect("an envelope")
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A JSON document in `user_data`, before and after.
#[track_caller]
fn check_signed(document: &str, claims: Option<&str>, expected: Result<&str, RewriteError>) {
    let sent = rewritten(&ping(), &locks(), &format!("a=1&user_data={}&b=2", encoded(document)), claims);
    let expected = expected.map(|document| format!("a=1&user_data={}&b=2", encoded(document)));
    assert_eq!(sent, expected, "{document}");
}

#[track_caller]
fn check(document: &str, expected: &str) {
    check_signed(document, None, Ok(expected));
}

/// A whole form, before and after.
#[track_caller]
fn check_form(form: &str, claims: Option<&str>, expected: Result<&str, RewriteError>) {
    assert_eq!(rewritten(&ping(), &locks(), form, claims), expected.map(str::to_owned), "{form}");
}

#[test]
fn what_is_left_out_is_gone_and_the_rest_is_as_it_was() {
    check(r#"{"name":"Ada", "plan":"pro","size": 1.10}"#, r#"{"name":"Ada","size":1.10}"#);
    // Read as a path, `plan.` lies within what is locked.
    check(r#"{"Plan":"pro","plan.":"x","n":9007199254740993}"#, r#"{"n":9007199254740993}"#);
    check(r#"{"plans":"x","n":1.10}"#, r#"{"plans":"x","n":1.10}"#);
    check(r#"{"plan":null}"#, "{}");
    check("{}", "{}");
    check(
        r#"{"alignment":"left","intercom_user_jwt":"x.y.z","raw":[1,{"plan":2}]}"#,
        r#"{"alignment":"left","intercom_user_jwt":"x.y.z","raw":[1,{"plan":2}]}"#,
    );
}

#[test]
fn an_emptied_object_goes_with_its_name_and_an_empty_one_stays() {
    check(r#"{"company":{"plan":"pro"},"x":1}"#, r#"{"x":1}"#);
    check(r#"{"company":{},"x":1}"#, r#"{"company":{},"x":1}"#);
    check(r#"{"company":{"id":1,"custom_attributes":{"plan":1}}}"#, r#"{"company":{"id":1}}"#);
    check(r#"{"companies":[{"id":1,"plan":1},{"plan":1},{},{"id":2}]}"#, r#"{"companies":[{"id":1},{},{"id":2}]}"#);
    check(r#"{"companies":[{"plan":1},{"plan":2}],"x":1}"#, r#"{"x":1}"#);
    check(r#"{"companies":{"0":{"plan":1},"1":{"id":2}}}"#, r#"{"companies":{"1":{"id":2}}}"#);
    check(r#"{"company":null,"companies":[],"x":1}"#, r#"{"x":1}"#);
}

#[test]
fn a_signed_value_stands_where_the_other_stood() {
    let claims = Some(r#"{"plan":"pro","seats":5.0}"#);
    check_signed(r#"{"a":1,"plan":"free","seats":"5","b":2}"#, claims, Ok(r#"{"a":1,"plan":"pro","seats":5.0,"b":2}"#));
    check_signed(r#"{"plan":null}"#, Some(r#"{"plan":"pro"}"#), Ok(r#"{"plan":"pro"}"#));
}

#[test]
fn an_object_is_found_by_its_id() {
    let claims = Some(r#"{"companies":[{"company_id":"a","plan":"pro"}]}"#);
    check_signed(
        r#"{"companies":[{"company_id":"a","plan":"x"},{"company_id":"b","plan":"x"}]}"#,
        claims,
        Ok(r#"{"companies":[{"company_id":"a","plan":"pro"},{"company_id":"b"}]}"#),
    );
    // To a backend that compares without case this one is `b`.
    check_signed(
        r#"{"companies":[{"company_id":"a","Company_ID":"b","plan":"x"}]}"#,
        claims,
        Ok(r#"{"companies":[{"company_id":"a","Company_ID":"b"}]}"#),
    );
}

#[test]
fn additions_find_the_object_that_accepts_them() {
    check_signed(r#"{"a":1}"#, Some(r#"{"plan":"pro","email":"e"}"#), Ok(r#"{"a":1,"plan":"pro","email":"e"}"#));
    check_signed(r#"{"a":1}"#, Some(r#"{"avatar":{"url":"u"}}"#), Ok(r#"{"a":1,"avatar":{"url":"u"}}"#));
    check_signed(r#"{"avatar":{"x":1}}"#, Some(r#"{"avatar":{"url":"u"}}"#), Ok(r#"{"avatar":{"x":1,"url":"u"}}"#));
    // Something else stands where the object would be made.
    check_signed(r#"{"avatar":"x"}"#, Some(r#"{"avatar":{"url":"u"}}"#), Ok(r#"{"avatar":{"url":"u"}}"#));
    // A document that is not there is made.
    check_form("a=1", Some(r#"{"plan":"pro"}"#), Ok("a=1&user_data=%7B%22plan%22%3A%22pro%22%7D"));
    check_form("a=1", None, Ok("a=1"));
    let elsewhere = operation(Body::Form, vec![field("form_params", shapes::collected())]);
    let answer = "form_params[identifier]=nickname&form_params[value]=x";
    assert_eq!(rewritten(&elsewhere, &locks(), answer, Some(r#"{"plan":"pro"}"#)), Err(RewriteError::NoPlace));
}

/// `tier` and `custom_attributes.tier` are one attribute: whichever the token says first.
#[test]
fn of_two_claims_that_are_one_member_the_first_is_added() {
    let root = operation(Body::Json, vec![body("", shapes::user_data())]);
    let catalogue = locks();
    let written = |claims: &str| {
        with(&root, "", br#"{"x":1}"#, |envelope| {
            let claims = json::read(claims.as_bytes(), &Limits::default()).expect("JSON");
            let shape = shapes::user_data();
            let signed = Signed::vouched(super::super::claims(&shape, &[], &claims));
            let walked = walked(envelope);
            let mut judged = judge(&catalogue, CIRCUMSTANCES, &NoSecrets, Some(&signed), walked.update());
            let placeless = walked.placeless(&judged).expect("additions");
            judged.forgo(&placeless);
            let rewritten = walked.rewrite(&judged, ReadBack::On).expect("what was judged");
            (String::from_utf8(rewritten.into_body().to_vec()).expect("UTF-8"), placeless)
        })
    };
    let check = |claims: &str, left: &str, without: &[&str]| {
        let without = without.iter().map(ToString::to_string).collect();
        assert_eq!(written(claims), Ok((left.to_owned(), without)), "{claims}");
    };
    check(r#"{"tier":1,"custom_attributes.tier":2}"#, r#"{"x":1,"tier":1}"#, &["custom_attributes.tier"]);
    check(r#"{"custom_attributes.tier":2,"tier":1}"#, r#"{"x":1,"tier":2}"#, &["tier"]);
    check(r#"{"tier":1,".tier":2,"size":3}"#, r#"{"x":1,"tier":1,"size":3}"#, &[".tier"]);
}

#[test]
fn only_documents_of_members_welcome_additions() {
    let welcome = |operation: &Operation, body: &[u8]| {
        with(operation, "", body, |envelope| (envelope.additions(), envelope.documents().count()))
    };
    assert_eq!(welcome(&ping(), b"a=1"), Ok((Additions::Welcome, 0)));
    let answers = operation(Body::Form, vec![field("form_params", shapes::collected())]);
    assert_eq!(welcome(&answers, b"a=1"), Ok((Additions::Unwelcome, 0)));
}

#[test]
fn an_alias_that_was_left_out_makes_room_for_the_signed_name() {
    check_signed(r#"{"Plan":"free"}"#, Some(r#"{"plan":"pro"}"#), Ok(r#"{"plan":"pro"}"#));
    check_signed(r#"{"custom_attributes":{"plan":"x"}}"#, Some(r#"{"plan":"pro"}"#), Ok(r#"{"plan":"pro"}"#));
}

#[test]
fn brackets_stay_brackets() {
    check_form(
        "user_data[plan]=pro&a=1&user_data[name]=Ada+L&user_data[tags][0]=x&user_data[tags][1]=y",
        None,
        Ok("user_data%5Bname%5D=Ada+L&user_data%5Btags%5D%5B0%5D=x&user_data%5Btags%5D%5B1%5D=y&a=1"),
    );
    check_form(
        "user_data[companies][0][plan]=x&user_data[companies][1][id]=7",
        None,
        Ok("user_data%5Bcompanies%5D%5B0%5D%5Bid%5D=7"),
    );
    check_form("user_data[plan]=pro&a=1", None, Ok("a=1"));
    check_form(
        "user_data[plan]=free",
        Some(r#"{"plan":5,"ok":true,"no":null}"#),
        Ok("user_data%5Bplan%5D=5&user_data%5Bok%5D=true&user_data%5Bno%5D="),
    );
    check_form("user_data[x]=1", Some(r#"{"plan":{}}"#), Err(RewriteError::BracketValue));
    check_form("user_data[x]=1", Some(r#"{"a[b":1}"#), Err(RewriteError::BracketValue));
}

#[test]
fn other_fields_keep_their_meaning_and_order() {
    check_form("b=%7E%20+&a=%C3%A9&b=&c", None, Ok("b=%7E++&a=%C3%A9&b=&c="));
}

#[test]
fn our_own_token_is_taken_out() {
    check_form("cs=t&user_data[cs]=t&user_data[x]=1&a=1&cs2=y", None, Ok("user_data%5Bx%5D=1&a=1&cs2=y"));
    let operation = operation(Body::Json, vec![body("/contact", shapes::user_data())]);
    let text = r#"{"contact":{"cs":1,"plan":1,"name":2},"x":{"cs":1,"y":1},"cs":3}"#;
    assert_eq!(
        rewritten(&operation, &locks(), text, None).as_deref(),
        Ok(r#"{"contact":{"name":2},"x":{"y":1},"cs":3}"#)
    );
}

#[test]
fn an_answer_goes_as_a_whole() {
    let answer = |text: &str| {
        let form = rewritten(&ping(), &locks(), &format!("form_params={}", encoded(text)), None).expect("a form");
        form_urlencoded::parse(form.as_bytes()).next().expect("a field").1.into_owned()
    };
    assert_eq!(
        answer(r#"{"identifier":"nickname","value":"x","part":7}"#),
        r#"{"identifier":"nickname","value":"x","part":7}"#
    );
    assert_eq!(answer(r#"{"part":7,"identifier":"custom_data.plan","value":"x"}"#), "{}");
    assert_eq!(answer(r#"{"identifier":"company.custom_data.plan","value":"x"}"#), "{}");
    let signed = rewritten(&ping(), &locks(), "form_params[identifier]=plan", Some(r#"{"plan":"pro"}"#));
    assert_eq!(signed.as_deref(), Ok("form_params%5Bidentifier%5D=plan&form_params%5Bvalue%5D=pro"));
}

#[test]
fn lists_of_names_and_pairs_lose_elements() {
    let of = |shape, text: &str, claims| {
        let operation = operation(Body::Json, vec![body("/x/list", shape)]);
        rewritten(&operation, &locks(), &format!(r#"{{"x":{{"list":{text}}},"y":1}}"#), claims)
    };
    assert_eq!(
        of(shapes::names(), r#"["plan","nickname","Plan"]"#, None).as_deref(),
        Ok(r#"{"x":{"list":["nickname"]},"y":1}"#)
    );
    assert_eq!(of(shapes::names(), r#"["plan"]"#, None).as_deref(), Ok(r#"{"x":{"list":[]},"y":1}"#));
    // What a token sets is not deleted, and there is no room for its value.
    assert_eq!(
        of(shapes::names(), r#"["plan"]"#, Some(r#"{"plan":"pro"}"#)).as_deref(),
        Ok(r#"{"x":{"list":[]},"y":1}"#)
    );
    assert_eq!(
        of(shapes::pairs(), r#"[{"name":"plan","title":"t","value":1},{"name":"nickname","value":2}]"#, None)
            .as_deref(),
        Ok(r#"{"x":{"list":[{"name":"nickname","value":2}]},"y":1}"#)
    );
}

#[test]
fn documents_are_empty_when_no_attribute_is_left() {
    let empty = |form: &str, claims: Option<&str>| {
        with(&ping(), "", form.as_bytes(), |envelope| {
            let claims = claims.map(|text| json::read(text.as_bytes(), &Limits::default()).expect("JSON"));
            let shape = shapes::user_data();
            let signed = claims.as_ref().map(|claims| Signed::vouched(super::super::claims(&shape, &[], claims)));
            let walked = walked(envelope);
            walked.documents_empty(&judge(&locks(), CIRCUMSTANCES, &NoSecrets, signed.as_ref(), walked.update()))
        })
        .expect("an envelope")
    };
    assert!(empty("user_data[plan]=x&user_data[alignment]=left", None));
    assert!(empty("a=1", None));
    assert!(!empty("user_data[plan]=x&user_data[nickname]=y", None));
    assert!(!empty("user_data[plan]=x", Some(r#"{"plan":"pro"}"#)));
    assert!(!empty("a=1", Some(r#"{"plan":"pro"}"#)));
}

#[test]
fn a_judgement_of_another_update_is_refused() {
    let catalogue = locks();
    let error = with(&ping(), "", b"user_data[plan]=x&user_data[a]=1", |envelope| {
        with(&ping(), "", b"user_data[nickname]=x", |other| {
            let others = walked(other);
            let judged = judge(&catalogue, CIRCUMSTANCES, &NoSecrets, None, others.update());
            walked(envelope).rewrite(&judged, ReadBack::On).map(drop)
        })
    });
    assert_eq!(error, Ok(Ok(Err(RewriteError::Foreign))));
}

/// Whatever holds a private key is taken out: of what has no attributes, the smallest part that does.
#[test]
fn what_has_no_attributes_goes_on_without_its_secrets() {
    let opaque = || Arc::new(Shape::Opaque);
    let json = operation(Body::Json, vec![body("/contact", shapes::user_data()), body("/events", opaque())]);
    let form = operation(Body::Form, vec![field("user_data", shapes::user_data()), field("events", opaque())]);
    let catalogue = locks();
    let check = |operation: &Operation, sent: &str, left: &str| {
        let sent = sent.replace("PEM", "-----BEGIN PRIVATE KEY-----");
        assert_eq!(rewritten(operation, &catalogue, &sent, None), Ok(left.to_owned()), "{sent}");
    };
    check(
        &json,
        r#"{"a":{"b":["PEM",{"c":"PEM","d":1}],"e":2},"contact":{"x":"PEM","y":3}}"#,
        r#"{"a":{"b":[{"d":1}],"e":2},"contact":{"y":3}}"#,
    );
    check(
        &json,
        r#"{"PEM":{"a":1},"events":{"PEM":[],"a":1.10,"b":[],"c":{"d":["PEM"]}}}"#,
        r#"{"events":{"a":1.10,"b":[]}}"#,
    );
    check(&json, r#"{"events":["PEM",["PEM"]],"a":[]}"#, r#"{"events":[],"a":[]}"#);
    check(&json, r#"{"events":"PEM","x":{"cs":"PEM"}}"#, r#"{"events":{},"x":{}}"#);
    check(&json, r#"{"events":{"a":"PEM"}}"#, r#"{"events":{}}"#);
    check(&form, "a=1&b=PEM&PEM=1&cs=PEM&user_data[x]=PEM&user_data[y]=3", "a=1&user_data%5By%5D=3");
    check(&form, "events[0][a]=PEM&events[0][b]=1&events[1]=PEM", "events%5B0%5D%5Bb%5D=1");
    check(&form, "events[a][b]=PEM&c=1", "c=1");
    check(&form, r#"events={"a":"PEM","b":1}"#, "events=%7B%22b%22%3A1%7D");
}

/// What the second reader says of a body that the writer did not write.
#[track_caller]
fn check_read_back(
    operation: &Operation,
    sent: &str,
    written: &str,
    claims: Option<&str>,
    expected: Result<(), RewriteError>,
) {
    let catalogue = locks();
    let compared = with(operation, "", sent.as_bytes(), |envelope| {
        let claims = claims.map(|text| json::read(text.as_bytes(), &Limits::default()).expect("JSON"));
        let shape = shapes::user_data();
        let signed = claims.as_ref().map(|claims| Signed::vouched(super::super::claims(&shape, &[], claims)));
        let walked = walked(envelope);
        let judged = judge(&catalogue, CIRCUMSTANCES, &NoSecrets, signed.as_ref(), walked.update());
        read_back::compare(&walked, &judged, &Removed::default(), written.as_bytes())
    });
    assert_eq!(compared, Ok(expected), "{written}");
}

#[test]
fn the_second_reader_finds_what_was_judged() {
    let operation = operation(Body::Json, vec![body("/contact", shapes::user_data())]);
    let sent = r#"{"contact":{"plan":"x","n":9007199254740993,"a":"\u0022-1\\","alignment":"left"},"m":1.10}"#;
    let right = r#"{"contact":{"n":9007199254740993,"a":"\"-1\\","alignment":"left"},"m":1.10}"#;
    let seen = |written: &str, expected| check_read_back(&operation, sent, written, None, expected);
    seen(right, Ok(()));
    for wrong in [
        right.replace("9007199254740993", "9007199254740992"),
        right.replace("9007199254740993", "9007199254740993.0"),
        right.replace("1.10", "1.1"),
        right.replace("{\"n\"", "{\"plan\":\"x\",\"n\""),
        right.replace("\"n\":9007199254740993,", ""),
        right.replace("\"n\"", "\"N\""),
        right.replace("\"left\"", "\"right\""),
        right.replace("1.10}", "1.10,\"plan\":1}"),
        right.replace("\"m\"", "\"contact2\""),
        right.replace("\"alignment\":\"left\"},", "\"alignment\":\"left\"},\"y\":1,"),
        right.replace("{\"n\":9007199254740993,\"a\":\"\\\"-1\\\\\"", "{\"a\":\"\\\"-1\\\\\",\"n\":9007199254740993"),
    ] {
        assert_ne!(wrong, right);
        seen(&wrong, Err(RewriteError::Mismatch));
    }
    for broken in [right.replace("\"a\"", "\"n\""), format!("{right}x"), String::new()] {
        seen(&broken, Err(RewriteError::Unreadable));
    }
}

#[test]
fn the_second_reader_knows_forms_brackets_and_additions() {
    let claims = Some(r#"{"plan":"pro","seats":1e2}"#);
    let sent = "a=1&user_data[plan]=x&user_data[b]=2&c=3";
    let right = "a=1&user_data[plan]=pro&user_data[b]=2&user_data[seats]=1e2&c=3";
    let seen = |written: &str, expected| check_read_back(&ping(), sent, written, claims, expected);
    seen(right, Ok(()));
    for wrong in [
        right.replace("=pro", "=x"),
        right.replace("1e2", "100"),
        right.replace("&c=3", ""),
        right.replace("a=1", "a=2"),
        right.replace("&user_data[seats]=1e2", ""),
        right.replace("[seats]", "[seat]"),
        right.replace("&c=3", "&c=3&d=4"),
        right.replace("&user_data[b]=2", "&user_data[b]=2&user_data[z]=2"),
    ] {
        assert_ne!(wrong, right);
        seen(&wrong, Err(RewriteError::Mismatch));
    }
    seen(&right.replace("&c=3", "&user_data={}&c=3"), Err(RewriteError::Mismatch));
    seen(&right.replace("[b]=2", "[plan]=pro"), Err(RewriteError::Unreadable));
}

#[test]
fn debug_shows_no_value() {
    let shown = with(&ping(), "", b"user_data[a]=canary", |envelope| {
        let walked = walked(envelope);
        let judged = judge(&locks(), CIRCUMSTANCES, &NoSecrets, None, walked.update());
        format!("{:?}", walked.rewrite(&judged, ReadBack::On))
    });
    assert_eq!(shown.as_deref(), Ok("Ok(Rewritten(23 bytes))"));
}

/// Documents of all shapes that a peer may send.
fn documents() -> impl Strategy<Value = Value<'static>> {
    let name = prop_oneof![
        3 => prop::sample::select(vec![
            "plan", "Plan", "company", "companies", "custom_attributes", "avatar", "raw", "alignment", "user_hash", "company_id",
            "id", "name", "email",
        ])
        .prop_map(str::to_owned),
        1 => "[a-c\"\\\\\u{e9}]{0,3}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?(0|[1-9][0-9]{0,18})([.][0-9]{1,4})?([eE][+-]?[0-9]{1,2})?".prop_map(|digits| Value::Number(digits.into())),
        "[a-c\"\\\\\u{1}\u{e9} ]{0,4}".prop_map(|text| Value::Text(text.into())),
    ];
    let object = move |inner: BoxedStrategy<Value<'static>>| {
        proptest::collection::btree_map(name.clone(), inner, 0..6)
            .prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect())
            })
            .boxed()
    };
    let nested = leaf.boxed().prop_recursive(3, 24, 5, {
        let object = object.clone();
        move |inner| {
            prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List), object(inner.boxed())]
        }
    });
    object(nested.boxed())
}

fn spelled(value: &Value<'_>) -> String {
    let mut out = Vec::new();
    json::write(value, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// How many writes a document of the test shape must have: one for each member that is not itself walked into.
fn members(value: &Value<'_>, nested: &[&str]) -> usize {
    let entries = value.as_object().unwrap_or_default();
    let count = |(name, value): &(Cow<'_, str>, Value<'_>)| match (&**name, value) {
        (name @ ("company" | "custom_attributes" | "avatar"), Value::Object(_)) if nested.contains(&name) => {
            members(value, if name == "company" { &["custom_attributes"] } else { &[] })
        }
        ("companies", Value::List(items)) if nested.contains(&"companies") && !items.is_empty() => items
            .iter()
            .map(|item| if item.as_object().is_some() { members(item, &["custom_attributes"]) } else { 1 })
            .sum(),
        _ => 1,
    };
    entries.iter().map(count).sum()
}

proptest! {
    #[test]
    fn every_member_is_one_write(document in documents()) {
        let text = spelled(&document);
        let json = operation(Body::Json, vec![body("", shapes::user_data())]);
        let writes = with(&json, "", text.as_bytes(), |envelope| walked(envelope).update().writes.len());
        prop_assert_eq!(writes, Ok(members(&document, &["company", "companies", "custom_attributes", "avatar"])));
    }

    #[test]
    fn what_is_open_goes_on_to_the_last_digit_and_in_order(document in documents()) {
        let text = spelled(&document);
        let open = catalogue(Mode::Off, Unlisted::Keep, &[]);
        let json = operation(Body::Json, vec![body("", shapes::user_data())]);
        let sent = rewritten(&json, &open, &text, None);
        prop_assert_eq!(sent.as_ref(), Ok(&text));
        let form = format!("user_data={}", encoded(&text));
        prop_assert_eq!(rewritten(&ping(), &open, &form, None), Ok(form));
    }

    #[test]
    fn nothing_locked_goes_on_and_rewriting_twice_changes_nothing(document in documents(), signed in any::<bool>()) {
        let claims = signed.then_some(r#"{"plan":"signed","company":{"id":"a","plan":"signed"}}"#);
        let json = operation(Body::Json, vec![body("", shapes::user_data())]);
        let once = rewritten(&json, &locks(), &spelled(&document), claims);
        prop_assert!(once.is_ok(), "{:?}", once);
        let once = once.unwrap_or_default();
        let unsigned = with(&json, "", once.as_bytes(), |envelope| {
            walked(envelope).update().writes.iter().any(|write| {
                let locked = matches!(&*write.full_name(), "plan" | "company.plan" | "email" | "Plan");
                let is_signed = matches!(write.change, Change::Set(value) if value.as_text() == Some("signed"));
                locked && write.role == Role::Attribute && !is_signed
            })
        });
        prop_assert_eq!(unsigned, Ok(false));
        prop_assert_eq!(rewritten(&json, &locks(), &once, claims), Ok(once));
    }
}
