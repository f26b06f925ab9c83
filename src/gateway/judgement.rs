//! The middle of the journey: envelope, workspace, origin once more, proofs, judgement, rewriting. Nothing waits there but for the state.
//!
//! It needs no socket: a rehearsal walks the same way.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use http::request::Parts;

use super::lesson::Lesson;
use super::limiting::Gate;
use super::presented::is_said;
use super::server_channel::Caller;
use super::session::InSession;
use super::standing::Standing;
use crate::clock::UnixSeconds;
use crate::decision::{
    Additions, Catalogue, Change, Channel, Circumstances, Code, Context, Effect, Judged, Leak, LeakPlace, Leaked, Lock,
    Mode, Role, Subject, TokenReader, Update, WITHHELD, judge,
};
use crate::edge::ClientCertificate;
use crate::edge::hygiene::Head;
use crate::edge::origin::{AdmittedOrigin, OriginRefusal, RequestOrigin};
use crate::envelope::{Decoded, Envelope, EnvelopeError, RewriteError, Rewritten, Wire, coding};
use crate::epoch::{Epoch, Route, Tenant};
use crate::identity::{Owner, ProofVerdict, Proofs, SignedPayload, WebhookError, demand};
use crate::policy::{EncryptedPayload, OnFailure, OnMisfit, OnReplace, Origin};
use crate::profile::{Class, Nested, Operation, Place, Replaces, Rest, Shape, WhenEmpty};
use crate::rejection::Rejection;
use crate::state::{StateError, Store};

/// A request whose head is known and whose body is here.
pub struct Judgement<'j> {
    pub epoch: &'j Epoch,
    pub head: &'j Head<'j>,
    pub parts: &'j Parts,
    pub route: &'j Route<'j>,
    /// From where the request comes. `None` in a rehearsal that does not say.
    pub client: Option<IpAddr>,
    /// The certificate that the client has shown.
    pub certificate: Option<&'j ClientCertificate>,
}

/// Whoever wants to know what was found on the way.
pub trait Witness {
    /// The workspace that the request is for.
    fn tenant(&mut self, tenant: &Tenant, operation: &Operation);
    /// What became of its proofs.
    fn proofs(&mut self, tenant: &Tenant, proofs: &Proofs<'_>);
    /// What became of a collector ticket, and the key that signed it, where it holds.
    fn ticket(&mut self, _: &Tenant, _: &'static str, _: Option<&str>) {}
    /// The key that signed a webhook, where one did, and whether all else holds too.
    fn webhook(&mut self, _: &Tenant, _: Option<&str>, _: Result<(), WebhookError>) {}
    /// The page that it comes from is not the workspace's.
    fn foreign(&mut self, _: &Tenant, _: &Origin) {}
    /// Why it would have been refused, were the workspace enforcing.
    fn would_refuse(&mut self, code: &'static str);
    /// The verdicts.
    fn judged(&mut self, tenant: &Tenant, update: &Update<'_>, judged: &Judged<'_>);
    /// Whether its proof stands cannot be known.
    fn state_failed(&mut self, _: &Tenant, _: StateError) {}
    /// A secret in the update, one call for each.
    fn leaked(&mut self, _: &Tenant, _: &LeakFound<'_>) {}
}

/// A secret that a request carries.
pub struct LeakFound<'l> {
    pub leak: Leak,
    /// The attribute's name as the peer spelled it, or what stands in its place where that is the secret.
    pub name: &'l str,
    /// Whose the secret is, where it is one of ours.
    pub owner: Option<&'l Owner>,
}

/// A request that may go on.
pub struct Cleared<'j> {
    pub tenant: &'j Tenant,
    pub origin: AdmittedOrigin,
    pub rewritten: Rewritten,
    /// Headers that carried a token for us alone.
    pub consumed: &'j [HeaderName],
    /// What the answer will teach.
    pub lesson: Option<Lesson>,
}

impl<'j> Judgement<'j> {
    /// Opens, verifies, judges and rewrites; asks `state` what other requests have left there.
    ///
    /// # Errors
    ///
    /// The first reason for which the request goes nowhere. What was found until then the witness knows.
    pub async fn clear(
        &self,
        body: &[u8],
        from: &RequestOrigin,
        now: UnixSeconds,
        state: &dyn Store,
        gate: &mut impl Gate,
        witness: &mut impl Witness,
    ) -> Result<Cleared<'j>, Rejection> {
        let limits = &self.epoch.gateway.limits;
        let profile = &*self.route.tenants.first().ok_or(Rejection::RouteUnknown)?.workspace.profile;
        let body = coding::inflate(&self.parts.headers, body, limits)?;
        let wire =
            Wire { headers: &self.parts.headers, query: self.head.query(), params: &self.route.params, body: &body };
        let decoded = Decoded::decode(self.route.operation, &wire, limits)?;
        let envelope = decoded.open(self.route.guard, profile, self.route.operation, limits)?;
        let secrets = &self.epoch.secrets;
        let mut walked = envelope.walk(&[], secrets)?;

        let tenant = self.tenant(&envelope.texts_at(&profile.workspace_at)?)?;
        witness.tenant(tenant, self.route.operation);
        let workspace = &tenant.workspace;
        let enforcing = workspace.catalogue.mode() == Mode::Enforce;
        let origin = self.admit_to(tenant, from, witness)?.ok_or(Rejection::Origin(OriginRefusal::Missing))?;
        if let Some(code) = self.fetch_observed(from, tenant) {
            witness.would_refuse(code);
        }
        // After the admission: whom the workspace refuses shall not use up what belongs to its own.
        if let Some(code) = gate.workspace(tenant)? {
            witness.would_refuse(code);
        }

        let mut presented = self.presented(&envelope, tenant)?;
        // Before anything is verified, which may be dear.
        if let Some(code) = gate.presented(tenant, &presented)? {
            witness.would_refuse(code);
        }
        let in_session = InSession::read(self.route.operation, tenant, &envelope, state, now)?;
        presented.exchanged = in_session.exchanged().await;
        let mut payload = SignedPayload::default();
        let mut proofs = tenant.verifier.verify(&presented, now, &mut payload);
        let (class, caller) = (self.route.operation.class, self.caller(from, tenant));
        let standing = Standing { tenant, class, origin: from, sessions: &presented.sessions, now, state };
        let unknown = standing.look_up(&mut proofs).await.err();
        if let Some(error) = unknown {
            witness.state_failed(tenant, error);
        }
        witness.proofs(tenant, &proofs);
        if let Some(code) = gate.proven(tenant, &presented, &proofs)? {
            witness.would_refuse(code);
        }
        let sealed = envelope.texts_at(&profile.tokens.sealed)?.iter().any(|text| is_said(text));
        let unread = sealed
            && match workspace.identity.encrypted_payload {
                EncryptedPayload::Refuse => true,
                EncryptedPayload::Open => proofs.verdict() != ProofVerdict::SealedValid,
                EncryptedPayload::Drop => false,
            };
        let must_be_known = unknown.is_some() && self.epoch.gateway.state.on_failure == OnFailure::Closed;
        let objection = match demand(&proofs, &workspace.identity, profile.token_reader) {
            Err(error) => Some(Rejection::Identity(error)),
            Ok(()) if must_be_known => Some(Rejection::StateUnavailable),
            // Attributes that nobody here can read nobody may send past us.
            Ok(()) if unread => Some(Rejection::Sealed),
            Ok(()) => None,
        };
        match caller.excuse(class, objection) {
            Some(rejection) if enforcing => return Err(rejection),
            Some(rejection) => witness.would_refuse(rejection.code()),
            None => {}
        }

        let signed = proofs.claims().map(|claims| claims.signed(profile));
        // What goes no further is the workspace's to say; most have nothing of the kind in a body.
        let is_in_body = |place: &Place| matches!(place, Place::Document(_) | Place::Body(_) | Place::Field(_));
        let identity = &workspace.identity;
        let own = || [&identity.token_at[..], &identity.ticket_at].concat();
        if sealed && workspace.identity.encrypted_payload == EncryptedPayload::Drop {
            walked = envelope.walk(&[&own()[..], &profile.tokens.sealed].concat(), secrets)?;
        } else if identity.token_at.iter().chain(&identity.ticket_at).any(is_in_body) {
            walked = envelope.walk(&own(), secrets)?;
        }
        let update = walked.update();
        let holder = in_session.holder(&presented.sessions).await;
        let ticket = in_session.ticket(&presented.sessions, witness)?;
        let circumstances = self.circumstances(&envelope, proofs.user_or_lead(holder, ticket.as_ref()), caller);
        let mut judged = judge(&workspace.catalogue, circumstances, secrets, signed.as_ref(), update);
        // A token signs for every kind of request, and not each of them has a place for each attribute.
        let placeless = walked.placeless(&judged).map_err(|error| self.bug(error))?;
        judged.forgo(&placeless);
        witness.judged(tenant, update, &judged);
        self.tell(judged.leaks(), tenant, update, witness);
        // Out of a token that the backend reads nobody can take a claim.
        if judged.is_secret_signed() && circumstances.token_reader == TokenReader::Upstream {
            return Err(Rejection::SecretSigned);
        }
        if workspace.on_misfit == OnMisfit::Refuse && judged.applied(Code::Type) {
            return Err(Rejection::Misfit);
        }
        if circumstances.channel != Channel::Server && self.erases_locked(tenant, update, &judged) {
            return Err(Rejection::ErasesLocked);
        }
        if self.route.operation.when_empty == WhenEmpty::Refuse
            && anything_is_gone(update, &judged)
            && walked.documents_empty(&judged)
        {
            return Err(Rejection::NothingLeft);
        }
        // A query goes on as it came, and Rails and PHP merge it into the body. What leaks is told and refused before it is read otherwise.
        for query in [envelope.query_update(), envelope.query_readings()] {
            if query.writes.is_empty() {
                continue;
            }
            let judged = judge(&workspace.catalogue, circumstances, secrets, signed.as_ref(), &query);
            // What the token holds was told above.
            let leaks = judged.leaks().iter().filter(|leaked| !matches!(leaked.place, LeakPlace::Claim(_)));
            self.tell(leaks, tenant, &query, witness);
            if judged.verdicts().iter().any(|verdict| verdict.effect != Effect::Kept) {
                return Err(Rejection::Envelope(EnvelopeError::QueryDocument));
            }
        }
        let rewritten = walked.rewrite(&judged, self.epoch.gateway.read_back).map_err(|error| self.bug(error))?;
        // It goes on: also where the state fails, for what it ends at the backend must end.
        if let Err(error) = standing.end_session(&proofs).await {
            witness.state_failed(tenant, error);
        }
        let lesson = in_session.leave(&presented.sessions, &proofs, limits).await?;
        Ok(Cleared { tenant, origin, rewritten, consumed: &tenant.token_headers, lesson })
    }

    fn tell<'l>(
        &self,
        leaks: impl IntoIterator<Item = &'l Leaked>,
        tenant: &Tenant,
        update: &Update<'_>,
        witness: &mut impl Witness,
    ) {
        for leaked in leaks {
            let name = match &leaked.place {
                LeakPlace::Name(_) => Cow::Borrowed(WITHHELD),
                LeakPlace::Value(index) => {
                    update.writes.get(*index).map_or(Cow::Borrowed(WITHHELD), |write| write.full_name())
                }
                LeakPlace::Claim(name) => Cow::Borrowed(name.as_str()),
            };
            let owner = match leaked.leak {
                Leak::ConfiguredSecret(index) => self.epoch.secrets.owner(index),
                Leak::PrivateKey => None,
            };
            witness.leaked(tenant, &LeakFound { leak: leaked.leak, name: &name, owner });
        }
    }

    /// Headers in which one of the tenants takes its token.
    #[must_use]
    pub fn token_headers(&self) -> Vec<HeaderName> {
        self.route.tenants.iter().flat_map(|tenant| &tenant.token_headers).cloned().collect()
    }

    fn bug(&self, error: RewriteError) -> Rejection {
        tracing::error!(reason = %error, operation = self.route.operation.name, "rewriting failed");
        Rejection::Internal
    }

    fn circumstances<'s>(&self, envelope: &Envelope<'_>, subject: Subject<'s>, caller: Caller) -> Circumstances<'s> {
        let context = if envelope.context_present() { Context::Proven } else { Context::Missing };
        let (channel, additions) = match self.route.operation.class {
            Class::Collect => (Channel::Collector(context), Additions::Unwelcome),
            Class::Update | Class::Identify => (Channel::Messenger, envelope.additions()),
            Class::Event
            | Class::Delete
            | Class::SessionEnd
            | Class::Telemetry
            | Class::Pass
            | Class::ServerApi
            | Class::Webhook => (Channel::Messenger, Additions::Unwelcome),
        };
        let (channel, additions) = caller.channel(self.route.operation.class, channel, additions);
        let token_reader =
            self.route.tenants.first().map_or(TokenReader::Upstream, |tenant| tenant.workspace.profile.token_reader);
        Circumstances { channel, subject, token_reader, additions }
    }

    /// Whether a locked attribute would be cleared by not being named.
    fn erases_locked(&self, tenant: &Tenant, update: &Update<'_>, judged: &Judged<'_>) -> bool {
        let catalogue: &Catalogue = &tenant.workspace.catalogue;
        if self.route.operation.replaces == Replaces::Nothing
            || tenant.workspace.on_replace == OnReplace::Allow
            || catalogue.mode() != Mode::Enforce
        {
            return false;
        }
        let mut prefixes = Vec::new();
        for document in &self.route.operation.documents {
            prefixes_of(&document.shape, &mut prefixes);
        }
        let stays = |index: usize| {
            let written = update.writes.iter().zip(judged.verdicts());
            written
                .into_iter()
                .any(|(_, verdict)| verdict.attribute == Some(index) && verdict.effect != Effect::LeftOut)
                || judged.additions().iter().any(|addition| addition.attribute == Some(index))
        };
        catalogue.attributes().iter().enumerate().any(|(index, attribute)| {
            let prefix = attribute.name.rsplit_once('.').map_or("", |(prefix, _)| prefix);
            attribute.lock == Lock::Enforce && prefixes.contains(&prefix) && !stays(index)
        })
    }
}

/// Whether the judgement took something of the request away: what came empty stays what it was.
fn anything_is_gone(update: &Update<'_>, judged: &Judged<'_>) -> bool {
    update.writes.iter().zip(judged.verdicts()).any(|(write, verdict)| match (verdict.effect, write.change) {
        (Effect::LeftOut, _) | (Effect::Replaced(_), Change::Delete) => write.role != Role::OwnCredential,
        (Effect::Kept, _) | (Effect::Replaced(_), Change::Set(_)) => false,
    })
}

/// The prefixes below which a shape holds attributes.
fn prefixes_of<'s>(shape: &'s Shape, prefixes: &mut Vec<&'s str>) {
    match shape {
        Shape::Members(members) => {
            if members.rest == Rest::Attributes {
                prefixes.push(&members.prefix);
            }
            for (_, Nested::One(shape) | Nested::Each(shape)) in &members.nested {
                prefixes_of(shape, prefixes);
            }
        }
        Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => {}
    }
}
