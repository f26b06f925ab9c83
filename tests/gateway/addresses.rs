//! From where requests may come.

use crate::support::client::form_request;
use crate::support::{Bench, Client, Setup, ping_form};

const PING: &str = "/messenger/web/ping";

/// A proxy on this machine says from where a request is.
const TRUSTING: &str = "[client_address]\ntrusted_proxies = [\"127.0.0.1\"]\nheader = \"x-forwarded-for\"\n";

fn rules(tables: &str) -> impl FnOnce(Setup) -> Setup {
    let text = format!("{}\n{tables}", crate::support::gateway::ACME);
    move |setup| setup.workspace("acme", &text).gateway(TRUSTING)
}

fn ping_from(path: &str, client: &str) -> http::Request<String> {
    let mut request = form_request(path, ping_form("{}"));
    request.headers_mut().insert("x-forwarded-for", client.parse().expect("a header"));
    request
}

#[tokio::test]
async fn a_vendors_own_addresses_come_in_and_no_others() {
    let mut bench = Bench::acme(rules("[[addresses]]\nfrom = [\"intercom-eu\", \"2001:db8::/32\"]\n")).await;
    for client in ["54.217.125.63", "54.246.173.113", "54.216.9.3", "::ffff:54.216.9.3", "2001:db8::7"] {
        bench.passes(ping_from(PING, client)).await;
    }
    for client in ["54.217.125.62", "34.231.68.152", "127.0.0.1", "2001:db9::7", "unknown"] {
        assert_eq!(bench.refused(ping_from(PING, client), 403).await, "address_not_allowed", "{client}");
    }
    // Who is no trusted proxy claims in vain.
    bench.client = Client::connect_from([127, 0, 0, 2], bench.gateway.address, &bench.gateway.ca_pem).await;
    assert_eq!(bench.refused(ping_from(PING, "54.216.9.3"), 403).await, "address_not_allowed");
}

#[tokio::test]
async fn a_rule_is_for_the_operations_that_it_names() {
    let one = "[[addresses]]\noperations = [\"ping\"]\nfrom = [\"192.0.2.0/24\"]\n";
    let mut bench = Bench::acme(rules(one)).await;
    assert_eq!(bench.refused(ping_from(PING, "198.51.100.7"), 403).await, "address_not_allowed");
    bench.passes(ping_from(PING, "192.0.2.7")).await;
    bench.passes(ping_from("/messenger/web/open", "198.51.100.7")).await;
}

#[tokio::test]
async fn it_is_refused_before_its_body_and_its_origin_are_looked_at() {
    let mut bench = Bench::acme(rules("[[addresses]]\nfrom = [\"192.0.2.7\"]\n")).await;
    let mut request = ping_from(PING, "192.0.2.8");
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("a header"));
    assert_eq!(bench.refused(request, 403).await, "address_not_allowed");
    let mut request = ping_from(PING, "192.0.2.8");
    *request.body_mut() = "user_data={".to_owned();
    assert_eq!(bench.refused(request, 403).await, "address_not_allowed");
    let mut preflight = http::Request::options(PING).body(String::new()).expect("a request");
    for (name, value) in [
        ("origin", "https://app.acme.example"),
        ("access-control-request-method", "POST"),
        ("x-forwarded-for", "192.0.2.8"),
    ] {
        preflight.headers_mut().insert(name, value.parse().expect("a header"));
    }
    assert_eq!(bench.refused(preflight, 403).await, "address_not_allowed");
}

#[tokio::test]
async fn of_two_workspaces_at_one_path_each_lets_in_its_own() {
    let other = crate::support::gateway::ACME.replace("abc12345", "def67890");
    let both = |setup: Setup| {
        rules("[[addresses]]\nfrom = [\"192.0.2.7\"]\n")(setup)
            .workspace("other", &format!("{other}\n[[addresses]]\nfrom = [\"192.0.2.8\"]\n"))
    };
    let mut bench = Bench::acme(both).await;
    bench.passes(ping_from(PING, "192.0.2.7")).await;
    // Somebody lets it in, and not whom it is for: known when the body is.
    assert_eq!(bench.refused(ping_from(PING, "192.0.2.8"), 403).await, "address_not_allowed");
    let mut request = ping_from(PING, "192.0.2.8");
    *request.body_mut() = request.body().replace("abc12345", "def67890");
    bench.passes(request).await;
}

/// A widget whose files and readings name no workspace.
pub fn site(profile: &str, app_id: &str, more: &str) -> String {
    format!(
        r#"
profile = "{profile}"
app_ids = ["{app_id}"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "allow"
{more}
[identity]
require = "never"
"#
    )
}

const LISTED: &str = "[[addresses]]\nfrom = [\"192.0.2.7\"]\n";

fn loads(target: &str, client: &str) -> http::Request<String> {
    let request = http::Request::get(target).header("x-forwarded-for", client);
    request.header("origin", "https://app.acme.example").body(String::new()).expect("a request")
}

#[tokio::test]
async fn what_names_no_workspace_comes_from_where_each_lets_it_in() {
    // Whichever stands first.
    for (open, listed) in [("a", "z"), ("z", "a")] {
        let both = |upstream| {
            Setup::new(upstream)
                .workspace(open, &site("chatwoot", "open", ""))
                .workspace(listed, &site("chatwoot", "listed", LISTED))
                .gateway(TRUSTING)
        };
        let mut bench = Bench::start(both).await;
        for path in ["/api/v1/widget/messages", "/packs/js/sdk.js", "/cable"] {
            bench.passes(loads(path, "192.0.2.7")).await;
            assert_eq!(bench.refused(loads(path, "192.0.2.8"), 403).await, "address_not_allowed", "{path}");
            bench.passes(loads(&format!("{path}?website_token=open"), "192.0.2.8")).await;
            let named = loads(&format!("{path}?website_token=listed"), "192.0.2.8");
            assert_eq!(bench.refused(named, 403).await, "address_not_allowed", "{path}");
            assert_eq!(bench.record()["workspace"], listed);
        }
    }
}

#[tokio::test]
async fn a_header_that_names_the_workspace_does_so_where_the_body_is_not_opened_too() {
    let both = |upstream| {
        Setup::new(upstream)
            .workspace("a", &site("libredesk", "open", ""))
            .workspace("z", &site("libredesk", "listed", LISTED))
            .gateway(TRUSTING)
    };
    let mut bench = Bench::start(both).await;
    let upload = |inboxes: &[&str], client: &str| {
        let mut request = http::Request::post("/api/v1/widget/media/upload")
            .header("x-forwarded-for", client)
            .header("content-type", "application/octet-stream");
        for inbox in inboxes {
            request = request.header("x-libredesk-inbox-id", *inbox);
        }
        request.body("file".to_owned()).expect("a request")
    };
    for (inboxes, client, workspace) in [(["listed"], "192.0.2.7", "z"), (["open"], "192.0.2.8", "a")] {
        bench.passes(upload(&inboxes, client)).await;
        assert_eq!(bench.record()["workspace"], workspace);
    }
    assert_eq!(bench.refused(upload(&["listed"], "192.0.2.8"), 403).await, "address_not_allowed");
    assert_eq!(bench.refused(upload(&[], "192.0.2.8"), 403).await, "address_not_allowed");
    assert_eq!(bench.refused(upload(&["open", "listed"], "192.0.2.7"), 400).await, "place_twice");
    assert_eq!(bench.refused(upload(&["strange"], "192.0.2.7"), 404).await, "workspace_unknown");
}

#[tokio::test]
async fn what_names_no_workspace_is_for_one_that_trusts_its_page() {
    let elsewhere = site("chatwoot", "z1", "").replace("app.acme.example", "z.example");
    let both = |upstream| Setup::new(upstream).workspace("a", &site("chatwoot", "a1", "")).workspace("z", &elsewhere);
    let mut bench = Bench::start(both).await;
    for (origin, workspace) in [("https://app.acme.example", "a"), ("https://z.example", "z")] {
        let mut request = loads("/api/v1/widget/messages", "192.0.2.7");
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        let answer = bench.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, Some(origin)));
        assert_eq!(bench.record()["workspace"], workspace);
    }
    let mut request = loads("/api/v1/widget/messages", "192.0.2.7");
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("a header"));
    assert_eq!(bench.refused(request, 403).await, "origin_untrusted");
}

#[tokio::test]
async fn a_list_of_ones_own_is_taken_up_when_it_changes() {
    let mut bench = Bench::acme(|setup| {
        let setup = rules("[[addresses]]\nfrom = [\"ours\"]\n")(setup);
        std::fs::create_dir_all(setup.policies().join("addresses")).expect("made");
        let list = "title = \"ours\"\nverified = \"2026-11-27\"\nnetworks = [\"192.0.2.7\"]\n";
        std::fs::write(setup.policies().join("addresses/ours.toml"), list).expect("written");
        setup
    })
    .await;
    bench.passes(ping_from(PING, "192.0.2.7")).await;
    assert_eq!(bench.refused(ping_from(PING, "192.0.2.8"), 403).await, "address_not_allowed");
    let list = bench.gateway.setup.policies().join("addresses/ours.toml");
    crate::support::gateway::write_whole(&list, "title = \"ours\"\nnetworks = [\"192.0.2.8\"]\n");
    bench.gateway.await_log("policy_reloaded");
    bench.passes(ping_from(PING, "192.0.2.8")).await;
    assert_eq!(bench.refused(ping_from(PING, "192.0.2.7"), 403).await, "address_not_allowed");
}
