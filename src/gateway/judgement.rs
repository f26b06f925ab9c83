//! The middle of the journey: envelope, workspace, origin once more, proofs, judgement, rewriting. Nothing waits there but for the state.
//!
//! It needs no socket: a rehearsal walks the same way.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use http::request::Parts;

use super::lesson::Lesson;
use super::limiting::Gate;
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
use crate::edge::origin::{self, AdmittedOrigin, OriginRefusal, RequestOrigin, SameOrigin};
use crate::envelope::{
    Decoded, Envelope, EnvelopeError, RewriteError, Rewritten, Wire, coding, query_overrides_method,
};
use crate::epoch::{Epoch, Route, Tenant};
use crate::identity::{Owner, Presented, ProofVerdict, Proofs, SignedPayload, WebhookError, demand};
use crate::policy::{EncryptedPayload, OnFailure, OnMisfit, OnReplace, Origin};
use crate::profile::{Class, Nested, Operation, Place, Replaces, Rest, Shape, Upgrade, WhenEmpty, WidgetOrigin};
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
    /// Admits an origin that one of `tenants` trusts. What a page loads by itself (a script, the widget's frame) names no origin.
    ///
    /// # Errors
    ///
    /// None of them does, or none lets in the client's address; the operation is for servers and a browser calls it; or the browser's own
    /// words speak against the request.
    pub fn admit(&self, origin: &RequestOrigin, tenants: &[&Tenant]) -> Result<Option<AdmittedOrigin>, Rejection> {
        // Before the origin: whoever may not be here at all learns nothing of whom else we trust.
        let admits = |tenant: &&Tenant, client| tenant.workspace.admits_address(&self.route.operation.name, client);
        if self.client.is_some_and(|client| !tenants.iter().any(|tenant| admits(tenant, client))) {
            return Err(Rejection::AddressNotAllowed);
        }
        let admitted = self.admit_origin(origin, tenants)?;
        self.admit_fetch(origin, tenants)?;
        Ok(admitted)
    }

    fn admit_origin(&self, origin: &RequestOrigin, tenants: &[&Tenant]) -> Result<Option<AdmittedOrigin>, Rejection> {
        let missing = *origin == RequestOrigin::Missing;
        match self.route.operation.class {
            Class::ServerApi if missing => {
                let admitted = tenants
                    .iter()
                    .map(|tenant| self.caller(origin, tenant).admit_to_server_api(self.certificate, tenant));
                // Of several that it could be for, the one that it turns out to be for is asked again.
                admitted.reduce(Result::or).unwrap_or(Ok(()))?;
                return Ok(None);
            }
            Class::Webhook if missing => return Ok(None),
            Class::ServerApi | Class::Webhook => return Err(Rejection::ServerOnly),
            Class::Pass if missing && self.parts.method.is_safe() && self.route.operation.upgrade == Upgrade::Never => {
                return Ok(None);
            }
            Class::Pass
            | Class::Update
            | Class::Event
            | Class::Collect
            | Class::Delete
            | Class::Identify
            | Class::SessionEnd
            | Class::Telemetry => {}
        }
        let servers = tenants.iter().filter(|tenant| self.caller(origin, tenant) != Caller::Anybody);
        if let Some(admitted) = origin::admit_servers(origin, servers.map(|tenant| &tenant.workspace)) {
            return Ok(Some(admitted));
        }
        let own_frame = tenants.iter().any(|tenant| tenant.workspace.profile.widget_origin == WidgetOrigin::Gateway);
        let same_origin = if own_frame { SameOrigin::Trusted(self.head) } else { SameOrigin::Untrusted };
        Ok(Some(origin::admit(origin, same_origin, tenants.iter().map(|tenant| &tenant.workspace))?))
    }

    fn caller(&self, origin: &RequestOrigin, tenant: &Tenant) -> Caller {
        Caller::of(self.certificate, origin, &self.parts.headers, tenant)
    }

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
        if let Some(code) = gate.workspace(tenant)? {
            witness.would_refuse(code);
        }
        let workspace = &tenant.workspace;
        let enforcing = workspace.catalogue.mode() == Mode::Enforce;
        let origin = self.admit_to(tenant, from, witness)?.ok_or(Rejection::Origin(OriginRefusal::Missing))?;
        if let Some(code) = self.fetch_observed(from, tenant) {
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
        // A query goes on as it came, and Rails and PHP merge it into the body.
        let query = envelope.query_update();
        if !query.writes.is_empty() {
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

    /// The tenant that the request names, or the only one that needs no name.
    fn tenant(&self, ids: &[Cow<'_, str>]) -> Result<&'j Tenant, Rejection> {
        let mut ids = ids.iter();
        let id = ids.next();
        if ids.any(|other| Some(other) != id) {
            return Err(Rejection::WorkspaceTwice);
        }
        let named = |tenant: &&&Tenant| id.is_some_and(|id| tenant.workspace.app_ids.iter().any(|app_id| app_id == id));
        let unnamed = |tenant: &&&Tenant| tenant.workspace.app_ids.is_empty();
        let mut found = self.route.tenants.iter().filter(named);
        let found = match (found.next(), found.next()) {
            (None, _) => {
                let mut unnamed = self.route.tenants.iter().filter(unnamed);
                (unnamed.next(), unnamed.next())
            }
            one_or_two => one_or_two,
        };
        match found {
            (Some(tenant), None) => Ok(tenant),
            (None | Some(_), _) => Err(Rejection::WorkspaceUnknown),
        }
    }

    /// The tenant of a request that is not opened, and its origin as that tenant admits it: another tenant's page is no page of this one.
    ///
    /// # Errors
    ///
    /// It could be for several upstreams, or the origin is somebody else's.
    pub fn unopened(
        &self,
        origin: &RequestOrigin,
        witness: &mut impl Witness,
    ) -> Result<(&'j Tenant, Option<AdmittedOrigin>), Rejection> {
        // One method was routed, and the backend must not take it for another.
        if self.head.query().is_some_and(query_overrides_method) {
            return Err(EnvelopeError::MethodOverride.into());
        }
        let (tenant, meant) = self.unopened_tenant()?;
        if self.route.operation.class == Class::ServerApi {
            // What is not opened may be for any of them: each must let this server in.
            meant.iter().try_for_each(|tenant| self.admit(origin, &[tenant]).map(drop))?;
        }
        Ok((tenant, self.admit_to(tenant, origin, witness)?))
    }

    /// The second pass: the origin as the tenant itself admits it.
    fn admit_to(
        &self,
        tenant: &Tenant,
        origin: &RequestOrigin,
        witness: &mut impl Witness,
    ) -> Result<Option<AdmittedOrigin>, Rejection> {
        self.admit(origin, &[tenant]).inspect_err(|rejection| {
            if let (Rejection::Origin(OriginRefusal::Untrusted), RequestOrigin::Origin(origin)) = (rejection, origin) {
                witness.foreign(tenant, origin);
            }
        })
    }

    /// The tenant that is meant, where that is known before the body is read.
    pub(super) fn meant(&self) -> Option<&'j Tenant> {
        match (self.route.tenants.as_slice(), self.named_tenant()) {
            ([tenant], _) => Some(*tenant),
            (_, Ok(named)) => named,
            (_, Err(_)) => None,
        }
    }

    /// Named by its path or query, or the one whose upstream they all share; and all that it may be for.
    fn unopened_tenant(&self) -> Result<(&'j Tenant, Vec<&'j Tenant>), Rejection> {
        if let Some(tenant) = self.named_tenant()? {
            return Ok((tenant, vec![tenant]));
        }
        let mut tenants = self.route.tenants.iter();
        let first = tenants.next().ok_or(Rejection::RouteUnknown)?;
        if tenants.all(|tenant| tenant.workspace.upstream == first.workspace.upstream) {
            Ok((first, self.route.tenants.clone()))
        } else {
            Err(Rejection::WorkspaceUnknown)
        }
    }

    /// The tenant that path and query name, where they name one.
    pub(super) fn named_tenant(&self) -> Result<Option<&'j Tenant>, Rejection> {
        let named = self.named()?;
        if named.is_empty() { Ok(None) } else { self.tenant(&named).map(Some) }
    }

    /// The tenant of a request that is not opened and whose keys decide: named by its path or query, or the only one that needs no name.
    ///
    /// # Errors
    ///
    /// There is none such, a browser sends it, or it may not come from here.
    pub fn named_alone(&self, origin: &RequestOrigin) -> Result<&'j Tenant, Rejection> {
        let tenant = self.tenant(&self.named()?)?;
        self.admit(origin, &[tenant])?;
        Ok(tenant)
    }

    /// What a path or query calls the workspace.
    fn named(&self) -> Result<Vec<Cow<'_, str>>, Rejection> {
        let profile = &*self.route.tenants.first().ok_or(Rejection::RouteUnknown)?.workspace.profile;
        let mut named: Vec<Cow<'_, str>> = Vec::new();
        for place in &profile.workspace_at {
            match place {
                Place::Path(name) => {
                    let params = self.route.params.iter().filter(|(param, _)| param == name);
                    named.extend(params.map(|(_, value)| Cow::Borrowed(*value)));
                }
                // All of them: this backend reads the first and that one the last, and a third divides at semicolons too.
                Place::Query(name) => {
                    let query = self.head.query().unwrap_or_default();
                    for reading in [query, &query.replace(';', "&")] {
                        let pairs = form_urlencoded::parse(reading.as_bytes()).filter(|(key, _)| key == name);
                        named.extend(pairs.map(|(_, value)| Cow::Owned(value.into_owned())));
                    }
                }
                Place::Document(_)
                | Place::Body(_)
                | Place::Field(_)
                | Place::Header(_)
                | Place::Bearer(_)
                | Place::Cookie(_) => {}
            }
        }
        Ok(named)
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

    fn presented<'e>(&self, envelope: &'e Envelope<'_>, tenant: &Tenant) -> Result<Presented<'e>, Rejection> {
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
