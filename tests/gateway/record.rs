//! The record, and that no secret, token or value is in it or anywhere else that we write.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{connect_tls, form_request};
use crate::support::token::{now, user_hash};
use crate::support::{SECRET, Setup, TestUpstream, Token, ping_form};

#[tokio::test]
async fn no_canary_appears_in_records_logs_metrics_or_answers() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let mut client = gateway.http1().await;
    let token = Token::of(&format!(r#"{{"user_id":"canary-user","email":"canary-mail@x.test","exp":{},"plan":"canary-plan","canary-claim":"canary-claimed"}}"#, now() + 60)).text();
    let forged = Token::saying(r#""plan":"canary-plan""#).secret("canary-secret-canary-secret-canary-secret").text();
    let hash = user_hash("canary-user");
    let long = format!("canary{}", "x".repeat(60));
    let mut answers = String::new();
    let mut sent = 0;
    for data in [
        json!({"user_id": "canary-user", "plan": "canary-plan", "nickname": "canary-nick", "intercom_user_jwt": token}),
        json!({"user_id": "canary-user", "user_hash": hash, "email": "canary-mail@x.test"}),
        json!({"user_id": "canary-other", "intercom_user_jwt": token}),
        json!({"user_id": "user-42", "intercom_user_jwt": forged}),
        json!({"company": {"company_id": "canary-company", "plan": {"deep": "canary-deep"}}}),
        json!({"nickname": ["canary-list"], "avatar": {"image_url": "canary-url"}, long.clone(): 1}),
        json!({token.clone(): "canary-value"}),
    ] {
        let mut request = form_request("/messenger/web/ping", ping_form(&data.to_string()));
        request.headers_mut().insert("authorization", "Bearer canary-bearer".parse().expect("a header"));
        request.headers_mut().insert("cookie", "s=canary-cookie".parse().expect("a header"));
        request.headers_mut().insert("user-agent", "canary-agent".parse().expect("a header"));
        answers.push_str(client.send(request).await.text());
        sent += 1;
    }
    for (target, body) in [
        (format!("/messenger/web/ping?intercom_user_jwt={token}&x=canary-query"), ping_form(r#"{"a":"canary-broken"#)),
        ("/messenger/web/canary-path/%zz".to_owned(), ping_form("{}")),
        ("/canary-path".to_owned(), ping_form("{}")),
        ("/messenger/web/ping".to_owned(), "app_id=canary-app&user_data={}".to_owned()),
    ] {
        answers.push_str(client.send(form_request(&target, body)).await.text());
        sent += 1;
    }
    let records = gateway.records(sent).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let metrics = gateway.admin_get("/metrics");
    let status = gateway.admin_get("/status");
    let log = gateway.log();
    for (place, text) in
        [("records", &records), ("metrics", &metrics), ("status", &status), ("log", &log), ("answers", &answers)]
    {
        for secret in ["canary", SECRET, token.as_str(), forged.as_str(), hash.as_str()] {
            // A short foreign name is recorded as a name: `canary-claim` is none of the payload's values.
            let text = text.replace("canary-claim\"", "");
            assert!(!text.contains(secret), "{secret} in {place}:\n{text}");
        }
    }
}

#[tokio::test]
async fn every_request_ends_in_exactly_one_record_with_its_facts() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    let mut client = gateway.http2().await;
    let token = Token::saying(r#""plan":"pro""#).text();
    let data = json!({"user_id": "user-42", "plan": "pro", "intercom_user_jwt": token}).to_string();
    let body = ping_form(&data);
    let length = body.len();
    client.post_form("/messenger/web/ping", body).await;
    client.post_form("/elsewhere", ping_form("{}")).await;
    let records = gateway.records(2);
    let first = &records[0];
    assert_eq!(first["proof"], "valid");
    assert_eq!(first["key"], "web-2026-11");
    assert_eq!(first["status"], 200);
    assert_eq!(first["upstream_status"], 200);
    assert_eq!(first["bytes_in"], length);
    assert_eq!(first["epoch"].as_str().expect("text").len(), 12);
    assert_eq!(first["subject"].as_str().expect("a hash").len(), 32);
    assert_ne!(records[0]["id"], records[1]["id"]);
    assert_eq!(records[1]["outcome"], "route_unknown");
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.contains(r#"attribute="plan""#) && metrics.contains(r#"verdict="signed""#), "{metrics}");
}

#[tokio::test]
async fn a_client_that_leaves_midway_is_recorded_as_gone() {
    let upstream =
        TestUpstream::answering(|_| (std::time::Duration::from_secs(30), http::Response::new("{}".into()))).await;
    let gateway = Setup::acme(upstream.address).start();
    let mut client = gateway.http1().await;
    let request = client.try_send(form_request("/messenger/web/ping", ping_form("{}")));
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(300), request).await.is_err(),
        "the upstream is slow"
    );
    client.leave().await;
    assert_eq!(gateway.only_record()["outcome"], "client_gone");
}

#[tokio::test]
async fn a_client_that_closes_right_behind_its_request_has_a_record() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    for _ in 0..20 {
        let mut stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS");
        let session = stream.get_mut().1;
        let request = b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
        std::io::Write::write_all(&mut session.writer(), request).expect("there is room");
        session.send_close_notify();
        stream.flush().await.expect("sent");
        // Until it closes too.
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
    assert_eq!(gateway.records(20).len(), 20);
}
