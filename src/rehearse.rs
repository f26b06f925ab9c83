//! Rehearsals: the gateway's own path without sockets.
//!
//! A case of a workspace becomes a request, walks the steps of [`gateway`](crate::gateway) up to the moment at which it would be sent, and
//! what became of it is compared with what was expected. The steps are the gateway's own, never a copy of them; what is left out is what
//! needs a socket: TLS, the reading of the body, the upstream.

mod body;
mod compare;
mod found;
mod request;

use futures_util::FutureExt;
use serde::Serialize;

use crate::clock::UnixSeconds;
use crate::edge::ClientCertificate;
use crate::edge::hygiene;
use crate::edge::origin::OriginRefusal;
use crate::edge::read_body::BodyError;
use crate::epoch::{Epoch, RehearsalEpoch, Tenant};
use crate::gateway::{Arrival, ArrivedWebhook, Cleared, Judgement, Open, Witness, arrive};
use crate::identity::Sessions;
use crate::policy::{Case, Passage};
use crate::rejection::Rejection;
use crate::state::{Memory, MemoryLimits};
use crate::upstream::PassPermit;
pub use compare::Difference;
use compare::compare;
use found::Notes;
pub use found::{Ending, Found, NamedVerdict};
pub use request::DraftError;
use request::Drafted;

/// When a case happens that does not say: always the same moment (in November 2026), so that no case changes with the calendar.
const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

/// What became of one case.
#[derive(Debug, Serialize)]
pub struct Rehearsed {
    pub name: String,
    /// Where in its file the case begins.
    pub line: usize,
    /// Nothing, where all is as expected.
    pub differences: Vec<Difference>,
    pub found: Found,
}

impl Rehearsed {
    /// Whether all is as expected.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Tries one case of a tenant.
///
/// # Errors
///
/// The case cannot be made a request: what it wants to be sent has no place there, or no key to sign it.
pub fn rehearse(stage: &RehearsalEpoch, tenant: &Tenant, case: &Case) -> Result<Rehearsed, DraftError> {
    let drafted = request::draft(stage, tenant, case)?;
    let now = case.request.now.map_or(NOW, UnixSeconds);
    let mut notes = Notes::default();
    // Each case finds the state as it says, and memory never waits.
    let state = Memory::new(MemoryLimits::default());
    if let Some(role) = case.request.session_role {
        let sessions = Sessions::new(&state, &tenant.workspace.id, now);
        let remembered = sessions.remember(request::SESSION, role).now_or_never();
        remembered.and_then(Result::ok).ok_or(DraftError::NoPlaceForSession)?;
    }
    if let Some(claims) = &case.request.exchanged {
        request::exchange(stage, tenant, claims, now, &state)?;
    }
    let certificate = case.request.client_certificate.clone().map(ClientCertificate::rehearsed);
    let ending = match walk(stage.epoch(), &drafted, certificate.as_ref(), now, &state, &mut notes) {
        Ok(passage) => Ending::Goes(passage),
        Err(rejection) => Ending::Refused { code: rejection.code(), status: rejection.status().as_u16() },
    };
    let found = notes.into_found(ending);
    let differences = compare(tenant, &case.expect, &found);
    Ok(Rehearsed { name: case.name.clone(), line: case.line, differences, found })
}

/// The way of [`Gateway`](crate::gateway::Gateway)'s requests, in its order.
fn walk(
    epoch: &Epoch,
    drafted: &Drafted,
    certificate: Option<&ClientCertificate>,
    now: UnixSeconds,
    state: &Memory,
    notes: &mut Notes,
) -> Result<Passage, Rejection> {
    let limits = &epoch.gateway.limits;
    let mut parts = drafted.parts.clone();
    hygiene::scrub(&mut parts, &epoch.token_headers, limits)?;
    let Arrival { head, route, origin, admitted, preflight } =
        arrive(epoch, &parts, None, drafted.client, certificate, notes)?;
    let (operation, judgement) = (
        route.operation,
        Judgement { epoch, head: &head, parts: &parts, route: &route, client: drafted.client, certificate },
    );
    if preflight.is_some() {
        return match admitted {
            Some(_) => Ok(Passage::Answered),
            None => Err(Rejection::Origin(OriginRefusal::Missing)),
        };
    }
    if PassPermit::of(operation).is_some() {
        let tenant = judgement.unopened(&origin, notes)?.tenant;
        if let Some(code) = judgement.fetch_observed(&origin, tenant) {
            notes.would_refuse(code);
        }
        return Ok(Passage::Passed);
    }
    if let Some(signature) = &operation.webhook {
        let arrived = ArrivedWebhook::find(&judgement, &origin, signature, notes)?;
        if drafted.body.len() > limits.body_bytes_max {
            return Err(Rejection::Body(BodyError::TooLarge));
        }
        let verified = arrived.verify(&judgement, drafted.body.clone().into(), now, state, notes);
        return verified.now_or_never().ok_or(Rejection::Internal)?.map(|_| Passage::Passed);
    }
    if drafted.body.len() > limits.body_bytes_max {
        return Err(Rejection::Body(BodyError::TooLarge));
    }
    // Memory never waits.
    let Cleared { rewritten, .. } = judgement
        .clear(&drafted.body, &origin, now, state, &mut Open, notes)
        .now_or_never()
        .ok_or(Rejection::Internal)??;
    notes.goes_on(operation, &rewritten, &drafted.placed);
    Ok(Passage::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicyFiles, Source, parse, parse_cases};
    use crate::state::{Digest, Reason, Revocation, RevocationId, Revoked, Store};

    const CASE: &str = r#"
[[cases]]
name = "a token that is sent again"
path = "/messenger/web/ping"
origin = "https://app.acme.example"
update = { user_id = "user-42" }
signed = { user_id = "user-42", jti = "1", iat = 1795000000, exp = 1795003600 }
expect = { status = "sent" }
"#;

    /// What becomes of one token under a rule, at each of these moments: seconds after it was issued. It ends after an hour and 30 seconds.
    #[track_caller]
    fn check(replay: &str, revoked: Option<(Revoked, Option<i64>)>, moments: &[(i64, Option<&str>)]) {
        let gateway = include_str!("../policies/gateway.toml");
        let acme = include_str!("../policies/workspaces/acme.toml");
        let acme = acme.replacen("[identity]\n", &format!("[identity]\nreplay = \"{replay}\"\n"), 1);
        let shipped = crate::profile::shipped();
        let (set, findings) = parse(&PolicyFiles {
            gateway: Some(Source::new("gateway.toml", gateway)),
            profiles: shipped.iter().map(|(id, text)| Source::new(format!("{id}.toml"), *text)).collect(),
            workspaces: vec![Source::new("acme.toml", acme)],
            addresses: Vec::new(),
            base: "nowhere".into(),
        });
        let stage = RehearsalEpoch::build("test", set.unwrap_or_else(|| panic!("{findings:?}"))).expect("built");
        let tenant = &stage.epoch().tenants()[0];
        let mut findings = crate::policy::Findings::default();
        let cases = parse_cases(&Source::new("acme.cases.toml", CASE), &mut findings).expect("cases");
        let drafted = request::draft(&stage, tenant, &cases.cases[0]).expect("drafted");
        let state = Memory::new(MemoryLimits::default());
        if let Some((revoked, until)) = revoked {
            let revocation = Revocation {
                id: RevocationId::draw(std::time::SystemTime::UNIX_EPOCH).expect("an id"),
                workspace: "acme".into(),
                revoked,
                made: NOW,
                until: until.map(|after| UnixSeconds(NOW.0 + after)),
                reason: Reason::default(),
            };
            state.revoke(revocation, NOW).now_or_never().expect("at once").expect("revoked");
        }
        for (after, expected) in moments {
            let mut notes = Notes::default();
            let now = UnixSeconds(NOW.0 + after);
            let code =
                walk(stage.epoch(), &drafted, None, now, &state, &mut notes).err().map(|rejection| rejection.code());
            assert_eq!(code, *expected, "{replay}, {after} seconds after");
        }
    }

    #[test]
    fn a_token_counts_once_whichever_way_the_clock_goes() {
        let replayed = Some("replayed");
        check("single_use", None, &[(0, None), (0, replayed), (3_629, replayed), (3_630, Some("expired"))]);
        check("single_use", None, &[(3_629, None), (0, replayed), (-30, replayed), (-31, Some("not_yet_valid"))]);
        check("first_origin", None, &[(0, None), (3_629, None), (3_630, Some("expired")), (0, None)]);
        check("allow", None, &[(0, None), (0, None), (3_629, None), (10, None)]);
    }

    #[test]
    fn a_revocation_counts_by_the_clock_until_its_end() {
        let revoked = Some("revoked");
        let token = || Revoked::TokenId(Digest::of_token_id("acme", "1"));
        check("allow", Some((token(), Some(600))), &[(0, revoked), (599, revoked), (600, None), (0, revoked)]);
        check("allow", Some((token(), None)), &[(0, revoked), (3_629, revoked), (3_630, Some("expired"))]);
        // What was taken back uses up no id.
        check("single_use", Some((token(), Some(600))), &[(0, revoked), (600, None), (600, Some("replayed"))]);
        let before = |after: i64| Revoked::IssuedBefore { before: UnixSeconds(NOW.0 + after), subject: None };
        check("allow", Some((before(1), None)), &[(0, revoked), (3_000, revoked)]);
        check("allow", Some((before(0), None)), &[(0, None), (3_000, None)]);
    }
}
