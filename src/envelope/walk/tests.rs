use super::super::fixtures::shapes::{collected, members, names, one, pairs, user_data};
use super::super::json;
use super::*;
use crate::policy::Limits;

/// The writes as `prefix|name|role|spelling|group`, letters for role and spelling.
fn writes(shape: &Shape, text: &str, own: &[&[String]]) -> Result<Vec<String>, EnvelopeError> {
    let value = json::read(text.as_bytes(), &Limits::default()).expect("JSON");
    let mut walk = Walk::default();
    walk.document(shape, &value, own)?;
    Ok(walk
        .update
        .writes
        .iter()
        .map(|write| {
            let role = match (write.role, write.change) {
                (Role::Attribute, Change::Delete) => "delete",
                (Role::Attribute, Change::Set(_)) => "attribute",
                (Role::WholeGroup, _) => "whole",
                (Role::Setting, _) => "setting",
                (Role::Credential, _) => "credential",
                (Role::OwnCredential, _) => "own",
            };
            let alias = if write.spelling == Spelling::Alias { "~" } else { "" };
            let group = write.group.map(|group| {
                let group = &walk.update.groups[group.0];
                format!("@{}", group.id.unwrap_or("-"))
            });
            format!("{alias}{} {role}{}", write.full_name(), group.unwrap_or_default())
        })
        .collect())
}

#[track_caller]
fn check(shape: &Shape, text: &str, expected: &[&str]) {
    assert_eq!(writes(shape, text, &[]), Ok(expected.iter().map(ToString::to_string).collect()), "{text}");
}

#[test]
fn members_are_attributes_unless_the_profile_names_them() {
    check(
        &user_data(),
        r#"{"plan":1,"alignment":"left","user_hash":"x","Alignment":"left","user_hash ":"x","x":{"y":1},"raw":[1]}"#,
        &[
            "plan attribute",
            "alignment setting",
            "user_hash credential",
            "Alignment attribute",
            "user_hash  attribute",
            "x attribute",
            "raw setting",
        ],
    );
    check(&user_data(), "{}", &[]);
    let envelope =
        Shape::Members(Members { rest: Rest::Settings, ..members("", vec![("contact", one(members("", vec![])))]) });
    check(&envelope, r#"{"message":{},"contact":{"email":1}}"#, &["message setting", "email attribute"]);
}

#[test]
fn nested_objects_have_their_prefix_and_group() {
    check(
        &user_data(),
        r#"{"company":{"company_id":7,"plan":1,"custom_attributes":{"tier":2}},"companies":[{"id":"a","plan":1},{"plan":1}]}"#,
        &[
            "company.company_id attribute@7",
            "company.plan attribute@7",
            "company.tier attribute@7",
            "company.id attribute@a",
            "company.plan attribute@a",
            "company.plan attribute@-",
        ],
    );
    check(&user_data(), r#"{"custom_attributes":{"plan":1}}"#, &["~plan attribute"]);
    check(
        &user_data(),
        r#"{"companies":{"0":{"id":"a"},"1":{"id":"b"}}}"#,
        &["company.id attribute@a", "company.id attribute@b"],
    );
}

#[test]
fn an_id_that_is_spelled_twice_and_differs_is_none() {
    check(
        &user_data(),
        r#"{"company":{"company_id":"1","id":1}}"#,
        &["company.company_id attribute@1", "company.id attribute@1"],
    );
    check(
        &user_data(),
        r#"{"company":{"id":"a","company_id":"b"}}"#,
        &["company.id attribute@-", "company.company_id attribute@-"],
    );
    check(
        &user_data(),
        r#"{"company":{"company_id":{},"id":"b"}}"#,
        &["company.company_id attribute@-", "company.id attribute@-"],
    );
    check(&user_data(), r#"{"company":{"id":"a","ID":"b"}}"#, &["company.id attribute@-", "company.ID attribute@-"]);
    check(&user_data(), r#"{"company":{"id":"a","ids":"b"}}"#, &["company.id attribute@a", "company.ids attribute@a"]);
}

#[test]
fn what_stands_in_the_place_of_an_object_is_the_whole_of_it() {
    for value in ["null", "\"x\"", "[1]", "7"] {
        check(&user_data(), &format!(r#"{{"company":{value}}}"#), &["company whole"]);
    }
    for value in ["null", "\"x\"", "[]", "{}", r#"{"company_id":"a"}"#, r#"{"0":{},"x":{}}"#] {
        check(&user_data(), &format!(r#"{{"companies":{value}}}"#), &["companies whole"]);
    }
    check(&user_data(), r#"{"companies":[{"id":"a"},null]}"#, &["company.id attribute@a", "companies whole"]);
    check(&user_data(), r#"{"company":{}}"#, &[]);
}

#[test]
fn an_answer_is_named_by_its_identifier() {
    check(&collected(), r#"{"identifier":"email","value":"x","part":7}"#, &["email attribute", "part setting"]);
    check(&collected(), r#"{"value":"x","identifier":"custom_data.plan"}"#, &["plan attribute"]);
    check(&collected(), r#"{"identifier":"company.custom_data.plan"}"#, &["company.plan attribute"]);
    check(&collected(), r#"{"identifier":"Custom_Data.plan","value":1}"#, &["Custom_Data.plan attribute"]);
    for text in ["{}", r#"{"identifier":7,"value":1}"#, r#"{"value":1}"#] {
        assert_eq!(writes(&collected(), text, &[]), Err(EnvelopeError::NameNotText), "{text}");
    }
    assert_eq!(writes(&collected(), "[]", &[]), Err(EnvelopeError::NotAnObject));
}

#[test]
fn a_list_of_names_deletes_each() {
    check(&names(), r#"["plan","custom_attributes.tier"]"#, &["plan delete", "custom_attributes.tier delete"]);
    assert_eq!(writes(&names(), "[7]", &[]), Err(EnvelopeError::NameNotText));
    assert_eq!(writes(&names(), "null", &[]), Err(EnvelopeError::NotAList));
    assert_eq!(writes(&names(), r#""plan""#, &[]), Err(EnvelopeError::NotAList));
}

#[test]
fn a_list_of_pairs_sets_each() {
    check(
        &pairs(),
        r#"[{"name":"email","title":"t","value":"x"},{"name":"plan"}]"#,
        &["email attribute", "title setting", "plan attribute"],
    );
    assert_eq!(writes(&pairs(), r#"[{"value":"x"}]"#, &[]), Err(EnvelopeError::NameNotText));
    assert_eq!(writes(&pairs(), "[1]", &[]), Err(EnvelopeError::NameNotText));
    assert_eq!(writes(&pairs(), "{}", &[]), Err(EnvelopeError::NotAList));
}

#[test]
fn what_names_and_what_is_the_value_have_one_spelling() {
    for text in [
        r#"{"identifier":"nickname","value":"pro","Identifier":"plan"}"#,
        r#"{"identifier":"plan","value":"x","Value":"evil"}"#,
        r#"{"identifier":"plan","VALUE":"evil"}"#,
        r#"{"identifier":"plan","value ":"evil"}"#,
        r#"{"identifier":"plan","value[]":"evil"}"#,
    ] {
        assert_eq!(writes(&collected(), text, &[]), Err(EnvelopeError::DisguisedField), "{text}");
    }
    for text in [
        r#"[{"name":"nickname","Name":"plan","value":"pro"}]"#,
        r#"[{"name":"nickname","name ":"plan","value":"pro"}]"#,
        r#"[{"name":"nickname"},{"name":"nickname","value":"x","Value":"y"}]"#,
    ] {
        assert_eq!(writes(&pairs(), text, &[]), Err(EnvelopeError::DisguisedField), "{text}");
    }
    check(
        &pairs(),
        r#"[{"name":"email","names":1,"values":2}]"#,
        &["email attribute", "names setting", "values setting"],
    );
}

#[test]
fn a_token_of_our_own_is_known_by_its_pointer() {
    let text = r#"{"cs_token":"x","company":{"cs_token":"y"}}"#;
    let pointer = ["cs_token".to_owned()];
    assert_eq!(
        writes(&user_data(), text, &[&pointer]),
        Ok(vec!["cs_token own".to_owned(), "company.cs_token attribute@-".to_owned()])
    );
    let pointer = ["company".to_owned(), "cs_token".to_owned()];
    assert_eq!(
        writes(&user_data(), text, &[&pointer]),
        Ok(vec!["cs_token attribute".to_owned(), "company.cs_token own@-".to_owned()])
    );
}

#[test]
fn claims_of_another_shape_say_nothing() {
    assert_eq!(claims(&user_data(), &[], &Value::List(vec![])).writes.len(), 0);
    let value = json::read(br#"{"plan":"pro"}"#, &Limits::default()).expect("JSON");
    assert_eq!(claims(&user_data(), &[], &value).writes.len(), 1);
}

#[test]
fn a_claim_may_be_an_attribute_of_another_name() {
    let names = [("tier", "company.plan"), ("company.tier", "company.size"), ("alignment", "side"), ("user_hash", "x")];
    let names = names.map(|(claim, attribute)| (claim.to_owned(), attribute.to_owned()));
    let text = br#"{"tier":"pro","Tier":1,"alignment":"left","user_hash":"h","company":{"id":"1","tier":2}}"#;
    let value = json::read(text, &Limits::default()).expect("JSON");
    let shape = user_data();
    let update = claims(&shape, &names, &value);
    let found: Vec<String> =
        update.writes.iter().map(|write| format!("{} {:?}", write.full_name(), write.role)).collect();
    assert_eq!(
        found,
        [
            "company.plan Attribute",
            "Tier Attribute",
            "side Attribute",
            "user_hash Credential",
            "company.id Attribute",
            "company.size Attribute"
        ]
    );
    assert!(update.writes[0].group.is_none() && update.writes[5].group.is_some());
}
