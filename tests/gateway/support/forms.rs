//! Bodies as the messenger sends them.

/// A form of these pairs, in this order.
pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a `ping` carries around `user_data`, in the order of a captured request.
pub fn ping_form(user_data: &str) -> String {
    form(&[
        ("app_id", "abc12345"),
        ("v", "3"),
        ("g", "0123456789abcdef0123456789abcdef01234567"),
        ("s", "11111111-2222-4333-8444-555555555555"),
        ("r", "https://app.acme.example/register"),
        ("platform", "web"),
        ("installation_type", "js-snippet"),
        ("installation_version", "undefined"),
        ("Idempotency-Key", "00112233445566aa"),
        ("internal", "{}"),
        ("is_intersection_booted", "false"),
        ("page_title", "Home"),
        ("user_active_company_id", "undefined"),
        ("user_data", user_data),
        ("source", "apiBoot"),
        ("sampling", "false"),
        ("referer", "https://app.acme.example/"),
        ("anonymous_session", "c2Vzc2lvbg"),
        ("device_identifier", "33333333-4444-4555-8666-777777777777"),
    ])
}
