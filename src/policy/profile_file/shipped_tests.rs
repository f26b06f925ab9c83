//! The shipped profiles, read: what they contain, and where each request of their messengers goes.

use std::sync::Arc;

use http::Method;

use super::parse_profile;
use crate::policy::{Findings, Paint, Source};
use crate::profile::{
    Accepts, Body, Class, DocumentAt, Members, Nested, Operation, Path, Place, Profile, Replaces, Rest, RouteError,
    Routes, SessionRole, Shape, Teaches, WhenEmpty, shipped,
};

#[track_caller]
fn load(id: &str) -> Profile {
    let (name, text) = shipped().into_iter().find(|(name, _)| *name == id).expect("a shipped profile");
    let mut findings = Findings::default();
    let profile = parse_profile(&Source::new(format!("profiles/{name}.toml"), text), &mut findings);
    assert!(findings.is_empty(), "{}", findings.render(Paint::Plain));
    profile.expect("a profile")
}

#[track_caller]
fn route(profile: &Profile, call: &str) -> Result<Arc<Operation>, RouteError> {
    let routes = Routes::new(profile.operations.iter().map(|operation| (Arc::clone(operation), ())).collect());
    let (method, path) = call.split_once(' ').expect("a method and a path");
    let method: Method = method.parse().expect("a method");
    routes
        .find(&method, Path::try_from(path).expect("a path"), |()| true)
        .map(|(operation, (), _)| Arc::clone(operation))
}

#[track_caller]
fn check(profile: &Profile, call: &str, name: &str, class: Class) {
    let operation = route(profile, call).unwrap_or_else(|error| panic!("{call}: {error:?}"));
    assert_eq!((operation.name.as_str(), operation.class), (name, class), "{call}");
}

#[track_caller]
fn refused(profile: &Profile, call: &str) {
    assert!(route(profile, call).is_err(), "{call}");
}

#[track_caller]
fn operation<'p>(profile: &'p Profile, name: &str) -> &'p Operation {
    profile.operations.iter().find(|operation| operation.name == name).expect("an operation")
}

/// The object at `path` in the operation's first document.
#[track_caller]
fn members<'p>(profile: &'p Profile, name: &str, path: &[&str]) -> &'p Members {
    let document = operation(profile, name).documents.first().expect("a document");
    let mut members = as_members(&document.shape);
    for member in path {
        members = match members.nested.iter().find(|(name, _)| name == member) {
            Some((_, Nested::One(shape) | Nested::Each(shape))) => as_members(shape),
            None => panic!("{member}"),
        };
    }
    members
}

#[track_caller]
fn as_members(shape: &Shape) -> &Members {
    match shape {
        Shape::Members(members) => members,
        Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => panic!("{shape:?}"),
    }
}

#[test]
fn every_shipped_profile_has_no_finding() {
    for (id, _) in shipped() {
        assert_eq!(load(id).id, id);
    }
}

#[test]
fn every_call_of_the_intercom_messenger_has_its_operation() {
    let profile = load("intercom-web");
    for (path, name, class) in [
        ("ping", "ping", Class::Update),
        ("open", "open", Class::Update),
        ("launcher_settings", "launcher_settings", Class::Update),
        ("home", "home", Class::Update),
        ("home_cards", "home_cards", Class::Update),
        ("embedded/content", "embedded_content", Class::Update),
        ("conversations", "conversations", Class::Update),
        ("conversations/7", "conversation", Class::Update),
        ("conversations/unread", "conversations_unread", Class::Update),
        ("conversations/7/reply", "conversation_reply", Class::Update),
        ("conversations/7/quick_reply", "quick_reply", Class::Update),
        ("conversations/7/form", "conversation_form", Class::Collect),
        ("messages", "messages", Class::Update),
        ("gifs", "gifs", Class::Update),
        ("events", "events", Class::Event),
        ("banners/7/collect_email", "banner_email", Class::Collect),
        ("surveys/7/submit", "survey_submit", Class::Collect),
        ("messenger_cards", "card", Class::Update),
        ("messenger_card_view/submit", "card_submit", Class::Update),
        ("messenger_card_view/submit_sheet", "card_submit_sheet", Class::Update),
        ("sheets/open", "sheet_open", Class::Update),
        ("sheets/submit", "sheet_submit", Class::Update),
        ("rulesets/7/match", "ruleset_match", Class::Update),
        ("metrics", "metrics", Class::Telemetry),
        ("page_view_events", "page_view_events", Class::Telemetry),
        ("uploads", "uploads", Class::Update),
        // A call that no bundle has yet is judged by its `user_data` as well.
        ("conversations/7/new_thing", "other", Class::Update),
        ("anything", "other", Class::Update),
    ] {
        check(&profile, &format!("POST /messenger/web/{path}"), name, class);
    }
    check(&profile, "POST /apps/abc12345/notification_channels/phone_number", "notification_phone", Class::Collect);
    for call in [
        "GET /messenger/web/ping",
        "PUT /messenger/web/ping",
        "GET /messenger/web/anything",
        "POST /messenger/web",
        "POST /messenger/mobile/users",
        "POST /Messenger/web/ping",
        "POST /apps/abc12345/notification_channels/email",
        "GET /",
    ] {
        refused(&profile, call);
    }
}

#[test]
fn every_intercom_call_has_its_user_data_judged() {
    let profile = load("intercom-web");
    let ping = &operation(&profile, "ping").documents[0].shape;
    for operation in &profile.operations {
        assert_eq!(operation.body, Body::Form, "{}", operation.name);
        let user = operation
            .documents
            .iter()
            .find(|document| document.at == DocumentAt::Field("user_data".into()))
            .unwrap_or_else(|| panic!("{}", operation.name));
        assert!(Arc::ptr_eq(&user.shape, ping), "{}", operation.name);
    }
    let DocumentAt::Fields(fields) = &operation(&profile, "notification_phone").documents[1].at else {
        panic!("fields");
    };
    assert_eq!((fields[0].field.as_str(), fields[0].attribute.as_str()), ("phone_number", "phone"));
}

#[test]
fn what_intercom_reads_under_another_name_is_known_here() {
    let profile = load("intercom-web");
    let key = |name: &str| profile.folding.member_key("", name).as_str().to_owned();
    for name in
        ["plan.tier", "plan$tier", "plan tier", "plan~tier", "plan`tier", "plan{tier", "plan\\tier", "plan\0tier"]
    {
        assert_eq!(key(name), "plan_tier", "{name:?}");
    }
    // A hyphen is allowed there, and another name.
    assert_eq!(key("plan-tier"), "plan-tier");
    for place in ["custom_attributes.plan", "customAttributes.plan", "custom_data.plan"] {
        assert_eq!(profile.folding.key(place).as_str(), "plan");
    }
    let user = members(&profile, "ping", &[]);
    for (member, shape) in &user.nested {
        assert_eq!(matches!(shape, Nested::Each(_)), member == "companies", "{member}");
    }
    // E-mail is what attackers want to change: an attribute, not a setting.
    assert!(!user.settings.iter().chain(&user.credentials).any(|name| name == "email"));
    assert!(user.settings.iter().any(|name| name == "user_id"));
    assert_eq!(profile.tokens.sealed, [Place::Field("_intercomEncryptedPayload".into())]);
    assert!(!profile.identity.email.contains(&Place::Field("email".into())));
    // Only of `ping` is it known that its answer says whose the session is.
    let teaching = profile.operations.iter().filter(|operation| operation.teaches == Teaches::Role);
    assert_eq!(teaching.map(|operation| operation.name.as_str()).collect::<Vec<_>>(), ["ping"]);
    assert_eq!(profile.roles.as_ref().and_then(|roles| roles.role("contact_role")), Some(SessionRole::Lead));
}

#[test]
fn every_call_of_the_chatwoot_widget_has_its_operation() {
    let profile = load("chatwoot");
    let widget = "/api/v1/widget";
    for (method, path, name, class) in [
        ("PATCH", "contact/set_user", "set_user", Class::Identify),
        ("PATCH", "contact", "contact", Class::Update),
        ("GET", "contact", "read_contact", Class::Pass),
        ("POST", "contact/destroy_custom_attributes", "contact_delete_attributes", Class::Delete),
        ("POST", "conversations", "conversation", Class::Update),
        ("GET", "conversations", "read_conversations", Class::Pass),
        ("POST", "conversations/set_custom_attributes", "conversation_set_attributes", Class::Update),
        ("POST", "conversations/destroy_custom_attributes", "conversation_delete_attributes", Class::Delete),
        ("POST", "conversations/toggle_typing", "typing", Class::Telemetry),
        ("POST", "conversations/update_last_seen", "last_seen", Class::Telemetry),
        ("POST", "messages", "message", Class::Event),
        ("GET", "messages", "read_messages", Class::Pass),
        ("PATCH", "messages/7", "message_form", Class::Collect),
        ("POST", "events", "event", Class::Event),
        ("POST", "labels", "label", Class::Event),
        ("DELETE", "labels/vip", "label_delete", Class::Event),
        ("GET", "inbox_members", "read", Class::Pass),
        ("GET", "campaigns", "read", Class::Pass),
    ] {
        check(&profile, &format!("{method} {widget}/{path}"), name, class);
    }
    check(&profile, "POST /public/api/v1/inboxes/i/contacts", "public_contact_create", Class::Identify);
    check(&profile, "PATCH /public/api/v1/inboxes/i/contacts/s", "public_contact", Class::Identify);
    for (path, name) in [
        ("/widget", "widget"),
        ("/packs/js/sdk.js", "packs"),
        ("/vite/assets/a.js", "assets"),
        ("/brand-assets/logo.svg", "brand_assets"),
        ("/rails/active_storage/blobs/x", "active_storage"),
        ("/hc/acme/en", "help_center"),
        ("/cable", "realtime"),
    ] {
        check(&profile, &format!("GET {path}"), name, Class::Pass);
        refused(&profile, &format!("POST {path}"));
    }
    for call in [
        "POST /api/v1/widget/contact",
        "PUT /api/v1/widget/contact",
        "POST /api/v1/widget/anything",
        "POST /api/v1/accounts/1/contacts",
        "GET /api/v1/accounts/1/contacts",
        "PUT /public/api/v1/inboxes/i/contacts/s",
        "GET /",
    ] {
        refused(&profile, call);
    }
}

#[test]
fn chatwoot_attributes_have_their_names_where_they_stand() {
    let profile = load("chatwoot");
    for (name, path, prefix) in [
        ("contact", &[][..], ""),
        ("contact", &["custom_attributes"], ""),
        ("set_user", &["additional_attributes"], "additional_attributes"),
        ("set_user", &["additional_attributes", "social_profiles"], "additional_attributes.social_profiles"),
        ("public_contact", &["custom_attributes"], ""),
        ("conversation", &["contact"], ""),
        ("conversation", &["custom_attributes"], "conversation"),
        ("conversation_set_attributes", &[], "conversation"),
        ("event", &["event_info", "custom_attributes"], "conversation"),
        ("message_form", &["contact"], ""),
    ] {
        let members = members(&profile, name, path);
        assert_eq!((members.prefix.as_str(), members.rest), (prefix, Rest::Attributes), "{name} {path:?}");
    }
    let accepts = |path: &[&str]| members(&profile, "set_user", path).accepts.clone();
    let standard = ["email", "name", "phone_number", "avatar_url"].map(String::from);
    assert_eq!(accepts(&[]), Accepts::Only(standard.to_vec()));
    assert_eq!(accepts(&["custom_attributes"]), Accepts::Any);
    assert_eq!(operation(&profile, "conversation_set_attributes").replaces, Replaces::All);
    for name in ["contact_delete_attributes", "conversation_delete_attributes"] {
        assert_eq!(operation(&profile, name).when_empty, WhenEmpty::Refuse);
    }
    // To prove a lead takes more than a request without an identifier: the session may name a user.
    assert_eq!(profile.identity.session, [Place::Header("x-auth-token".into())]);
}

#[test]
fn every_call_of_the_libredesk_widget_has_its_operation() {
    let profile = load("libredesk");
    let chat = "/api/v1/widget/chat";
    for (method, path, name, class) in [
        ("POST", "auth/exchange", "exchange", Class::Identify),
        ("GET", "auth/me", "read", Class::Pass),
        ("GET", "settings", "read", Class::Pass),
        ("GET", "settings/launcher", "read", Class::Pass),
        ("POST", "conversations/init", "init", Class::Update),
        ("GET", "conversations", "read", Class::Pass),
        ("GET", "conversations/u", "read", Class::Pass),
        ("POST", "conversations/u/message", "message", Class::Event),
        ("POST", "conversations/u/update-last-seen", "last_seen", Class::Telemetry),
    ] {
        check(&profile, &format!("{method} {chat}/{path}"), name, class);
    }
    for (call, name) in [
        ("POST /api/v1/widget/media/upload", "upload"),
        ("GET /widget", "widget"),
        ("GET /widget/assets/a.js", "assets"),
        ("GET /widget/ws", "realtime"),
        ("GET /api/v1/lang/en", "language"),
    ] {
        check(&profile, call, name, Class::Pass);
    }
    for call in ["POST /api/v1/widget/chat/auth/me", "POST /api/v1/inboxes", "GET /api/v1/contacts", "GET /", "GET /ws"]
    {
        refused(&profile, call);
    }
    let exchange = operation(&profile, "exchange").exchange.as_ref().expect("an exchange");
    assert_eq!(exchange.token.iter().map(ToString::to_string).collect::<Vec<_>>(), ["body:/jwt"]);
    assert_eq!(profile.tokens.session, [Place::Bearer("authorization".into())]);
    // The custom attributes of a token are attributes like the others.
    let (name, nested) = &as_members(&profile.claims).nested[0];
    let (Nested::One(custom) | Nested::Each(custom)) = nested;
    assert_eq!((name.as_str(), as_members(custom).prefix.as_str()), ("contact_custom_attributes", ""));
}

#[test]
fn the_json_template_has_no_operations() {
    let profile = load("json");
    assert!(profile.operations.is_empty());
    assert_eq!(profile.tokens.jwt, [Place::Bearer("authorization".into())]);
    assert_eq!(as_members(&profile.claims).nested.len(), 1);
}
