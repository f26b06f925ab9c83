//! What reaches the upstream of each attribute (DESIGN §4), asserted on the bytes that it received.

use serde_json::json;

use crate::support::client::form_request;
use crate::support::{Bench, Token, ping_form};

/// Sends `user_data` with a `ping` and gives what the upstream read of it.
async fn ping(bench: &mut Bench, user_data: &str) -> serde_json::Value {
    bench.passes(form_request("/messenger/web/ping", ping_form(user_data))).await.user_data()
}

#[tokio::test]
async fn an_unsigned_locked_attribute_is_left_out_and_the_rest_goes_on() {
    let mut bench = Bench::acme(|setup| setup).await;
    let sent = r#"{"user_id":"user-42","plan":"enterprise","nickname":"bob","is_admin":true}"#;
    assert_eq!(ping(&mut bench, sent).await, json!({"user_id": "user-42", "nickname": "bob"}));
    let record = bench.gateway.only_record();
    let verdict = |name: &str| {
        let attributes = record["attributes"].as_array().expect("a list");
        attributes.iter().find(|one| one["name"] == name).map(|one| one["verdict"].clone())
    };
    assert_eq!(verdict("plan"), Some(json!("locked")));
    assert_eq!(verdict("nickname"), Some(json!("open")));
    assert_eq!(verdict("is_admin"), Some(json!("unlisted")));
    assert_eq!(record["workspace"], "acme");
    assert_eq!(record["operation"], "ping");
    assert_eq!(record["origin"], "https://app.acme.example");
}

#[tokio::test]
async fn a_signed_value_goes_on_and_outranks_the_plain_one() {
    let mut bench = Bench::acme(|setup| setup).await;
    let token = Token::saying(r#""plan":"pro","seats":5"#).text();
    let sent = format!(r#"{{"user_id":"user-42","plan":"enterprise","seats":"5","intercom_user_jwt":"{token}"}}"#);
    let read = ping(&mut bench, &sent).await;
    assert_eq!(read, json!({"user_id": "user-42", "plan": "pro", "seats": 5, "intercom_user_jwt": token}));
}

#[tokio::test]
async fn another_spelling_another_place_or_an_erasure_is_no_way_around_a_lock() {
    let mut bench = Bench::acme(|setup| setup).await;
    for member in [
        r#""Plan":"pro""#,
        r#""PLAN":"pro""#,
        r#""pl\u0061n":"pro""#,
        r#""plan ":"pro""#,
        "\"\u{ff50}lan\":\"pro\"",
        r#""custom_attributes":{"plan":"pro"}"#,
        r#""custom_attributes.plan":"pro""#,
        r#""customAttributes":{"plan":"pro"}"#,
        r#""custom_data":{"plan":"pro"}"#,
        r#""plan":null"#,
        r#""plan":"""#,
        r#""plan":"undefined""#,
        r#""plan":{"a":1}"#,
        r#""plan":["pro"]"#,
        r#""signed_up_at":1700000000"#,
        r#""created_at":1700000000"#,
        r#""is_admin":true"#,
    ] {
        let read = ping(&mut bench, &format!(r#"{{"nickname":"bob",{member}}}"#)).await;
        let mut read = read.as_object().expect("an object").clone();
        // A container may stay, as long as it is empty.
        read.retain(|_, value| value != &json!({}));
        assert_eq!(serde_json::Value::from(read), json!({"nickname": "bob"}), "{member}");
    }
}

#[tokio::test]
async fn company_attributes_are_judged_one_by_one_in_lists_as_well() {
    let mut bench = Bench::acme(|setup| setup).await;
    let sent = r#"{"companies":[{"company_id":"1","name":"A","plan":"pro","size":3},{"id":"2","name":"B","Plan":"pro"}],
        "company":{"company_id":"3","name":"C","plan":null}}"#;
    let read = ping(&mut bench, sent).await;
    assert_eq!(read["companies"][0], json!({"company_id": "1", "name": "A", "size": 3}));
    assert_eq!(read["companies"][1].get("Plan"), None);
    assert_eq!(read["company"], json!({"company_id": "3", "name": "C"}));
    assert_eq!(ping(&mut bench, r#"{"nickname":"b","company":null,"companies":null}"#).await, json!({"nickname": "b"}));
}

#[tokio::test]
async fn every_endpoint_of_the_messenger_is_judged() {
    let mut bench = Bench::acme(|setup| setup).await;
    for path in
        ["ping", "open", "launcher_settings", "embedded/content", "events", "conversations/7/reply", "brand_new"]
    {
        bench.upstream.forget();
        let path = format!("/messenger/web/{path}");
        let answer = bench.client.post_form(&path, ping_form(r#"{"plan":"pro","nickname":"bob"}"#)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(bench.upstream.only().user_data(), json!({"nickname": "bob"}), "{path}");
    }
}

#[tokio::test]
async fn kept_values_lose_nothing() {
    let mut bench =
        Bench::acme(|setup| setup.with(r#"mode = "enforce""#, "mode = \"enforce\"\nunlisted = \"keep\"")).await;
    bench.upstream.forget();
    let kept = r#"{"z":9007199254740993,"a":1.10,"exp":1E40,"neg":-0,"text":"\u00e9\ud83d\ude00\"\\\n","empty":""}"#;
    let sent = kept.replacen('{', r#"{"plan":"pro","#, 1);
    let answer = bench.client.post_form("/messenger/web/ping", ping_form(&sent)).await;
    assert_eq!(answer.status, 200);
    let field = bench.upstream.only().field("user_data");
    let canonical = "{\"z\":9007199254740993,\"a\":1.10,\"exp\":1E40,\"neg\":-0,\"text\":\"\u{e9}\u{1f600}\\\"\\\\\\n\",\"empty\":\"\"}";
    assert_eq!(field, [canonical]);
}

#[tokio::test]
async fn in_observe_mode_everything_goes_on_and_the_record_tells() {
    let mut bench = Bench::acme(|setup| setup.with(r#"mode = "enforce""#, r#"mode = "observe""#)).await;
    let sent = r#"{"user_id":"user-42","plan":"enterprise","is_admin":true,"Plan":"x"}"#;
    assert_eq!(ping(&mut bench, sent).await, serde_json::from_str::<serde_json::Value>(sent).expect("JSON"));
    let record = bench.gateway.only_record();
    let plan = record["attributes"].as_array().expect("a list").iter().find(|one| one["name"] == "plan").expect("plan");
    assert_eq!((&plan["verdict"], &plan["applied"]), (&json!("locked"), &json!(false)));
}

#[tokio::test]
async fn an_observed_lock_under_an_enforced_workspace_passes() {
    let mut bench = Bench::acme(|setup| setup).await;
    assert_eq!(ping(&mut bench, r#"{"trial":true,"plan":"pro"}"#).await, json!({"trial": true}));
}

#[tokio::test]
async fn a_leads_answer_to_a_bot_passes_and_a_users_does_not() {
    let mut bench = Bench::with_lead(|setup| setup).await;
    let answers = |identifier: &str, user_data: &str, session: &str| {
        let params = json!({"identifier": identifier, "value": "123", "conversation_part_id": "9"}).to_string();
        let mut pairs = vec![("app_id", "abc12345"), ("form_params", params.as_str()), ("user_data", user_data)];
        if !session.is_empty() {
            pairs.push(("anonymous_session", session));
        }
        crate::support::form(&pairs)
    };
    let path = "/messenger/web/conversations/7/form";
    let lead = bench.client.post_form(path, answers("phone", "{}", "lead")).await;
    assert_eq!(lead.status, 200);
    assert!(bench.upstream.only().field("form_params")[0].contains("123"));
    bench.upstream.forget();
    // A user's answer, one in a session that may be a user's or in none, and an attribute that is not for leads.
    for body in [
        answers("phone", r#"{"user_id":"user-42"}"#, "lead"),
        answers("phone", "{}", "session"),
        answers("phone", "{}", ""),
        answers("custom_data.plan", "{}", "lead"),
        answers("company.custom_data.plan", "{}", "lead"),
    ] {
        let refused = bench.client.post_form(path, body).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    assert!(bench.upstream.received().is_empty(), "an empty answer would be another answer");
}

#[tokio::test]
async fn brackets_are_judged_like_json() {
    let mut bench = Bench::acme(|setup| setup).await;
    let body = crate::support::form(&[
        ("app_id", "abc12345"),
        ("user_data[plan]", "pro"),
        ("user_data[nickname]", "bob"),
        ("user_data[company][company_id]", "1"),
        ("user_data[company][name]", "A"),
        ("user_data[company][plan]", "pro"),
    ]);
    let answer = bench.client.post_form("/messenger/web/ping", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = bench.upstream.only();
    assert_eq!(received.field("user_data[nickname]"), ["bob"]);
    assert_eq!(received.field("user_data[company][name]"), ["A"]);
    for locked in ["user_data[plan]", "user_data[company][plan]"] {
        assert!(received.field(locked).is_empty(), "{locked}");
    }
}

#[tokio::test]
async fn http2_is_judged_like_http1() {
    let mut bench = Bench::acme(|setup| setup).await;
    bench.client = bench.gateway.http2().await;
    assert_eq!(ping(&mut bench, r#"{"plan":"pro","nickname":"bob"}"#).await, json!({"nickname": "bob"}));
}
