//! What the page posts, as the request that it asks for.

use serde::Deserialize;
use serde_json::Value;

use crate::demo::scenario::{Call, DemoAttribute, DemoRequest, Proof, Site, Spelling, scenarios};

const ATTRIBUTES_MAX: usize = 32;

/// What the page posts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum RawSend {
    Scenario(String),
    Widget(RawWidget),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWidget {
    attributes: Vec<RawAttribute>,
    /// The names that the site's server signs.
    signed: Vec<String>,
    tamper: RawTamper,
    origin: RawOrigin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttribute {
    name: String,
    value: Value,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawTamper {
    None,
    /// The plain value, beside the token.
    Beside,
    /// The token's payload.
    Inside,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawOrigin {
    Trusted,
    Foreign,
}

/// Why nothing is sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendRequestError {
    #[error("not what this page sends")]
    Malformed,
    #[error("no such scenario")]
    NoSuchScenario,
    #[error("more than {ATTRIBUTES_MAX} attributes")]
    TooMany,
    #[error("sign the plan first: there is no signature to tamper with")]
    NothingSigned,
}

/// Reads what the page posted.
///
/// # Errors
///
/// It is not what this page sends, or cannot be done.
pub(super) fn requested(body: &[u8]) -> Result<DemoRequest, SendRequestError> {
    let text = std::str::from_utf8(body).map_err(|_| SendRequestError::Malformed)?;
    match serde_json::from_str(text).map_err(|_| SendRequestError::Malformed)? {
        RawSend::Scenario(id) => scenarios()
            .into_iter()
            .find(|scenario| scenario.id == id)
            .map(|scenario| scenario.request)
            .ok_or(SendRequestError::NoSuchScenario),
        RawSend::Widget(raw) => DemoRequest::try_from(raw),
    }
}

const TAMPERED: &str = "plan";

impl TryFrom<RawWidget> for DemoRequest {
    type Error = SendRequestError;

    fn try_from(raw: RawWidget) -> Result<Self, SendRequestError> {
        let RawWidget { attributes, signed, tamper, origin } = raw;
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(SendRequestError::TooMany);
        }
        let mut attributes: Vec<DemoAttribute> = attributes
            .into_iter()
            .map(|RawAttribute { name, value }| {
                let signed = signed.contains(&name).then(|| value.clone());
                DemoAttribute { name, plain: Some(value), signed }
            })
            .collect();
        let any_signed = attributes.iter().any(|attribute| attribute.signed.is_some());
        let plan = attributes.iter_mut().find(|attribute| attribute.name == TAMPERED && attribute.signed.is_some());
        let (proof, tampered) = match (tamper, plan) {
            (RawTamper::None, _) if any_signed => (Proof::Token, ""),
            (RawTamper::None, _) => (Proof::UserHash, ""),
            (RawTamper::Beside, Some(plan)) => {
                plan.plain = plan.signed.as_ref().map(another);
                (Proof::Token, ", changed beside the token")
            }
            (RawTamper::Inside, Some(plan)) => {
                let value = plan.signed.as_ref().map_or(Value::Null, another);
                plan.plain = Some(value.clone());
                (Proof::AlteredToken { name: TAMPERED.to_owned(), value }, ", changed inside the token")
            }
            (RawTamper::Beside | RawTamper::Inside, None) => return Err(SendRequestError::NothingSigned),
        };
        let (site, from) = match origin {
            RawOrigin::Trusted => (Site::Trusted, ""),
            RawOrigin::Foreign => (Site::Foreign, ", from a foreign origin"),
        };
        let title = format!("From the widget{tampered}{from}");
        Ok(Self { title, call: Call::Ping, spelling: Spelling::UserData, site, proof, attributes })
    }
}

/// A plan that was not signed.
fn another(plan: &Value) -> Value {
    if *plan == "enterprise" { "pro".into() } else { "enterprise".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(attributes: &str, signed: &str, tamper: &str, expected: Result<&str, SendRequestError>) {
        let body = format!(
            r#"{{"widget":{{"attributes":{attributes},"signed":{signed},"tamper":"{tamper}","origin":"trusted"}}}}"#
        );
        let shape = requested(body.as_bytes()).map(|request| {
            let proof = match request.proof {
                Proof::UserHash => "hash",
                Proof::Token => "token",
                Proof::AlteredToken { .. } => "altered",
            };
            let attributes: Vec<String> = request
                .attributes
                .iter()
                .map(|attribute| format!("{} {:?} {:?}", attribute.name, attribute.plain, attribute.signed.is_some()))
                .collect();
            format!("{proof}: {}", attributes.join(", "))
        });
        assert_eq!(shape.as_deref().map_err(ToString::to_string), expected.as_deref().map_err(ToString::to_string));
    }

    const PLAN: &str = r#"[{"name":"plan","value":"pro"}]"#;

    #[test]
    fn switches_and_buttons_become_proofs() {
        check(PLAN, "[]", "none", Ok(r#"hash: plan Some(String("pro")) false"#));
        check(PLAN, r#"["plan"]"#, "none", Ok(r#"token: plan Some(String("pro")) true"#));
        check(PLAN, r#"["plan"]"#, "beside", Ok(r#"token: plan Some(String("enterprise")) true"#));
        check(PLAN, r#"["plan"]"#, "inside", Ok(r#"altered: plan Some(String("enterprise")) true"#));
        check(PLAN, "[]", "inside", Err(SendRequestError::NothingSigned));
        check(PLAN, "[]", "elsewhere", Err(SendRequestError::Malformed));
        let many = format!("[{}]", vec![r#"{"name":"a","value":1}"#; ATTRIBUTES_MAX + 1].join(","));
        check(&many, "[]", "none", Err(SendRequestError::TooMany));
    }

    #[test]
    fn only_known_scenarios_are_sent() {
        assert!(requested(br#"{"scenario":"unsigned"}"#).is_ok());
        assert_eq!(requested(br#"{"scenario":"other"}"#).err(), Some(SendRequestError::NoSuchScenario));
    }
}
