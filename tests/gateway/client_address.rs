//! Whom a request is from, through proxies that are believed and others that are not.

use serde_json::json;

use crate::support::client::form_request;
use crate::support::{Bench, Client, Setup, ping_form};

const PING: &str = "/messenger/web/ping";

fn trusting(header: &str) -> impl FnOnce(Setup) -> Setup {
    let table = format!("[client_address]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\nheader = \"{header}\"\n");
    move |setup| setup.gateway(&table)
}

/// Sends a ping with these headers; gives the client that the upstream is told and what the record says.
async fn client_of(bench: &mut Bench, headers: &[(&'static str, &str)]) -> (String, String) {
    let mut request = form_request(PING, ping_form("{}"));
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a header"));
    }
    assert_eq!(bench.send(request).await.status, 200);
    let received = bench.upstream.only();
    let told = received.header("x-forwarded-for").expect("an address").to_owned();
    let forwarded = received.header("forwarded").expect("an element");
    let spelled = if told.contains(':') { format!("for=\"[{told}]\";") } else { format!("for={told};") };
    assert!(forwarded.starts_with(&spelled) && !forwarded.contains(','), "{forwarded}");
    assert_eq!(received.headers.get_all("x-forwarded-for").iter().count(), 1);
    let record = bench.record();
    assert_eq!(record["client"], json!(told));
    (told, record["client_source"].as_str().expect("a source").to_owned())
}

#[tokio::test]
async fn a_trusted_proxy_says_who_its_client_is() {
    let mut bench = Bench::acme(trusting("x-forwarded-for")).await;
    let mut check = async |headers: &[(&'static str, &str)], client: &str, source: &str| {
        assert_eq!(client_of(&mut bench, headers).await, (client.to_owned(), source.to_owned()), "{headers:?}");
    };
    let name = "x-forwarded-for";
    check(&[], "127.0.0.1", "socket").await;
    check(&[(name, "192.0.2.7")], "192.0.2.7", "x_forwarded_for").await;
    check(&[(name, "6.6.6.6, 192.0.2.7, 10.0.0.2")], "192.0.2.7", "x_forwarded_for").await;
    check(&[(name, "6.6.6.6"), (name, "[2001:db8::7]:1"), (name, "10.0.0.2")], "2001:db8::7", "x_forwarded_for").await;
    check(&[(name, "6.6.6.6, unknown, 10.0.0.2")], "10.0.0.2", "x_forwarded_for_broken").await;
    check(&[(name, "6.6.6.6, ")], "127.0.0.1", "x_forwarded_for_broken").await;
    // What is not the header of the policy is nobody's word, under whatever name.
    for other in ["forwarded", "x_forwarded_for", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"] {
        check(&[(other, "6.6.6.6")], "127.0.0.1", "socket").await;
    }

    let mut bench = Bench::acme(trusting("forwarded")).await;
    let forwarded = ("forwarded", "for=6.6.6.6, FOR=\"[2001:db8::7]:4711\";proto=https, for=10.0.0.2");
    let found = client_of(&mut bench, &[forwarded, ("x-forwarded-for", "6.6.6.6")]).await;
    assert_eq!(found, ("2001:db8::7".to_owned(), "forwarded".to_owned()));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let mut bench = Bench::acme(|setup| setup).await;
    let lies = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")];
    assert_eq!(client_of(&mut bench, &lies).await, ("127.0.0.1".to_owned(), "socket".to_owned()));

    let mut bench = Bench::acme(trusting("x-forwarded-for")).await;
    let gateway = &bench.gateway;
    bench.client = Client::connect_from([127, 0, 0, 2], gateway.address, &gateway.ca_pem).await;
    assert_eq!(client_of(&mut bench, &lies).await, ("127.0.0.2".to_owned(), "socket".to_owned()));
}

#[tokio::test]
async fn a_reload_changes_whom_to_believe() {
    let mut bench = Bench::acme(|setup| setup).await;
    let said = [("x-forwarded-for", "192.0.2.7")];
    assert_eq!(client_of(&mut bench, &said).await.1, "socket");
    let setup = trusting("x-forwarded-for")(bench.gateway.setup.clone());
    setup.write();
    bench.gateway.await_log("policy_reloaded");
    assert_eq!(client_of(&mut bench, &said).await, ("192.0.2.7".to_owned(), "x_forwarded_for".to_owned()));
}
