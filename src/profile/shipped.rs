//! The profiles that come with the program, as text. Reading them is the policy room's work, as for every other file.

/// Name and text of each profile inside the binary. A file of the same name in `policies/profiles` counts instead.
#[must_use]
pub fn shipped() -> [(&'static str, &'static str); 6] {
    [
        ("intercom-web", include_str!("../../policies/profiles/intercom-web.toml")),
        ("chatwoot", include_str!("../../policies/profiles/chatwoot.toml")),
        ("libredesk", include_str!("../../policies/profiles/libredesk.toml")),
        ("intercom-webhooks", include_str!("../../policies/profiles/intercom-webhooks.toml")),
        ("chatwoot-webhooks", include_str!("../../policies/profiles/chatwoot-webhooks.toml")),
        ("json", include_str!("../../policies/profiles/json.toml")),
    ]
}
