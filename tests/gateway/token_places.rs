//! Every place in which a token may come: there it signs, and two that differ sign nothing, whichever two places they are in.

use http::Request;
use serde_json::{Value, json};

use crate::support::client::form_request;
use crate::support::{Bench, Setup, Token, form};

const PING: &str = "/messenger/web/ping";

/// Intercom's wire, with a place of every kind.
fn wire(setup: Setup) -> Setup {
    let web = include_str!("../../policies/profiles/intercom-web.toml");
    let places = r#"jwt       = ["document:intercom_user_jwt", "field:intercom_user_jwt", "query:intercom_user_jwt"]"#;
    assert!(web.contains(places));
    let all = r#"jwt       = ["document:intercom_user_jwt", "field:intercom_user_jwt", "query:intercom_user_jwt", "header:x-user-token", "bearer:authorization", "cookie:user_token"]"#;
    setup.profile("wire", &web.replace(places, all)).with("profile = \"intercom-web\"", "profile = \"wire\"")
}

const PLACES: [&str; 6] = ["document", "field", "query", "header", "bearer", "cookie"];

/// A request with tokens in these places, and an unsigned value of a locked attribute.
fn request(tokens: &[(&str, &str)]) -> Request<String> {
    let at = |wanted: &str| tokens.iter().find(|(place, _)| *place == wanted).map(|(_, token)| *token);
    let mut data = json!({"user_id": "user-42", "plan": "enterprise"});
    if let Some(token) = at("document") {
        data["intercom_user_jwt"] = json!(token);
    }
    let data = data.to_string();
    let mut fields = vec![("app_id", "abc12345"), ("user_data", data.as_str())];
    fields.extend(at("field").map(|token| ("intercom_user_jwt", token)));
    let target = at("query").map_or(PING.to_owned(), |token| format!("{PING}?intercom_user_jwt={token}"));
    let mut request = form_request(&target, form(&fields));
    let headers = [
        ("x-user-token", at("header").map(str::to_owned)),
        ("authorization", at("bearer").map(|token| format!("Bearer {token}"))),
        ("cookie", at("cookie").map(|token| format!("a=b; user_token={token}; c=d"))),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
    }
    request
}

/// The finding about the proof, and the plan that arrived.
async fn found(bench: &mut Bench, tokens: &[(&str, &str)]) -> (Value, Value) {
    let received = bench.passes(request(tokens)).await;
    (bench.record()["proof"].clone(), received.user_data()["plan"].clone())
}

#[tokio::test]
async fn a_token_signs_from_each_place_and_two_that_differ_sign_nothing() {
    let mut bench = Bench::acme(wire).await;
    assert_eq!(found(&mut bench, &[]).await, (json!("absent"), Value::Null));
    let (pro, free) = (Token::saying(r#""plan":"pro""#).text(), Token::saying(r#""plan":"free""#).text());
    let forged = Token::saying(r#""plan":"pro""#).secret("nobodys-0123456789abcdef0123456789abcdef").text();
    for place in PLACES {
        assert_eq!(found(&mut bench, &[(place, &pro)]).await, (json!("valid"), json!("pro")), "{place}");
        assert_eq!(found(&mut bench, &[(place, &forged)]).await, (json!("bad_signature"), Value::Null), "{place}");
        for other in PLACES.into_iter().filter(|other| *other != place) {
            let both = [(place, pro.as_str()), (other, pro.as_str())];
            assert_eq!(found(&mut bench, &both).await, (json!("valid"), json!("pro")), "{place} {other}");
            for second in [&free, &forged] {
                let both = [(place, pro.as_str()), (other, second.as_str())];
                assert_eq!(found(&mut bench, &both).await, (json!("two_tokens"), Value::Null), "{place} {other}");
            }
        }
    }
}

/// Twice in one place, or where its spelling leaves open whether it is there at all: refused, or nothing.
#[tokio::test]
async fn a_place_that_is_there_twice_is_none() {
    let mut bench = Bench::acme(wire).await;
    let token = Token::saying(r#""plan":"pro""#).text();
    let mut cookies = request(&[]);
    cookies.headers_mut().insert("cookie", format!("user_token={token}; user_token={token}").parse().expect("a value"));
    assert_eq!(bench.refused(cookies, 400).await, "place_twice");
    for scheme in ["Basic", "Token", "Bearer:"] {
        let mut other = request(&[]);
        other.headers_mut().insert("authorization", format!("{scheme} {token}").parse().expect("a value"));
        let received = bench.passes(other).await;
        assert_eq!(received.user_data().get("plan"), None, "{scheme}");
        assert_ne!(bench.record()["proof"], "valid", "{scheme}");
    }
}
