//! What a request presents of who it is, from wherever its messenger and its workspace have a place for it. Nothing of it is verified yet.

use std::borrow::Cow;

use super::Judgement;
use crate::envelope::{Envelope, EnvelopeError};
use crate::epoch::Tenant;
use crate::identity::Presented;
use crate::policy::EncryptedPayload;
use crate::profile::Place;
use crate::rejection::Rejection;

impl Judgement<'_> {
    pub(super) fn presented<'e>(
        &self,
        envelope: &'e Envelope<'_>,
        tenant: &Tenant,
    ) -> Result<Presented<'e>, Rejection> {
        let profile = &tenant.workspace.profile;
        let mut tokens = said_at(envelope, &profile.tokens.jwt)?;
        tokens.extend(said_at(envelope, &tenant.workspace.identity.token_at)?);
        if let Some(exchange) = &self.route.operation.exchange {
            tokens.extend(said_at(envelope, &exchange.token)?);
        }
        let mut user_ids = said_at(envelope, &profile.identity.user_id)?;
        user_ids.extend(said_at(envelope, &self.route.operation.subject)?);
        let sealed = match tenant.workspace.identity.encrypted_payload {
            EncryptedPayload::Open => {
                let mut texts = envelope.texts_at(&profile.tokens.sealed)?;
                texts.retain(|text| is_said(text));
                texts
            }
            EncryptedPayload::Refuse | EncryptedPayload::Drop => Vec::new(),
        };
        let mut sessions = envelope.texts_at(&profile.identity.session)?;
        sessions.retain(|text| is_said(text));
        Ok(Presented {
            tokens,
            sealed,
            user_ids,
            user_hashes: said_at(envelope, &profile.tokens.user_hash)?,
            emails: said_at(envelope, &profile.identity.email)?,
            platform: profile.platform.of(&envelope.texts_at(profile.platform.places())?),
            sessions,
            exchanged: None,
        })
    }
}

/// The texts at `places`, less what scripts put into a form for nothing at all: they spell an undefined value as text.
///
/// In a document the same text is a text: there a script leaves an undefined member away, and whoever writes `"undefined"` may name the
/// backend's user of that id.
pub(super) fn said_at<'e>(envelope: &'e Envelope<'_>, places: &[Place]) -> Result<Vec<Cow<'e, str>>, EnvelopeError> {
    let mut said = Vec::new();
    for place in places {
        match (place, envelope.text_at(place)?) {
            (_, None) => {}
            (Place::Field(_), Some(text)) if text == "undefined" => {}
            (
                Place::Field(_)
                | Place::Document(_)
                | Place::Body(_)
                | Place::Query(_)
                | Place::Header(_)
                | Place::Bearer(_)
                | Place::Cookie(_)
                | Place::Path(_),
                Some(text),
            ) => said.push(text),
        }
    }
    Ok(said)
}

/// Whether a text says anything: scripts spell what they do not have as one of these.
pub(super) fn is_said(text: &str) -> bool {
    !matches!(text, "" | "undefined" | "null")
}
