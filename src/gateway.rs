//! The journey of one request, from top to bottom.
//!
//! The outer function owns the outcome and the record; the inner one is a straight line that `?` may leave. Cheap before dear;
//! who-are-you before what-do-you-want.

mod answer;
mod fetch;
mod judgement;
mod lesson;
mod limiting;
mod loaded;
mod recorded_body;
mod recording;
mod server_channel;
mod session;
mod standing;
mod taught_body;
mod webhook;

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use judgement::{Cleared, Judgement, LeakFound, Witness};
pub use limiting::{Gate, Open};
pub use webhook::{ArrivedWebhook, WEBHOOK_VALID};

use crate::audit::{Begin, Event, Outcome, Recorder, Tally};
use crate::clock::{self, UnixSeconds};
use crate::edge::at_once::{AtOnce, Place};
use crate::edge::cors::Preflight;
use crate::edge::drain::Drain;
use crate::edge::hygiene::{self, Head};
use crate::edge::origin::{AdmittedOrigin, OriginRefusal, RequestOrigin};
use crate::edge::rates::{Nearly, Rates};
use crate::edge::read_body::read_body;
use crate::edge::relayed::{self, Loaded, Reader};
use crate::edge::room::{Held, Room};
use crate::edge::{Body, ClientAddress, ClientCertificate, Handle, Peer, TlsFacts, body};
use crate::epoch::{Epoch, Epochs, Route, Tenant};
use crate::observe::{Metrics, OperationMetrics};
use crate::policy::{Limits, Origin};
use crate::profile::{Operation, Profile, Upgrade};
use crate::rejection::{Party, Rejection};
use crate::state::Store;
use crate::upstream::{
    ForwardFacts, ForwardHead, Handshake, JudgedBody, Outbound, PassPermit, Switch, Traceparent, UpgradePermit,
    UpstreamError,
};
use lesson::Lesson;
use limiting::Limiting;
use recorded_body::{Keeps, RecordedBody, Source};
use recording::Recording;
use taught_body::TaughtBody;

/// The gateway: answers every request, and records it.
pub struct Gateway {
    epochs: Arc<Epochs>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    /// What requests leave for others to find.
    state: Arc<dyn Store>,
    /// Counts what ends before its workspace is known.
    unplaced: Arc<OperationMetrics>,
    /// How often each has asked.
    rates: Arc<Rates>,
    /// What bodies take.
    room: Arc<Room>,
    at_once: Arc<AtOnce>,
    drain: Drain,
    /// Cancelled when the process drains: WebSockets have no end of their own.
    tunnels: CancellationToken,
}

/// What an answer needs to know of the way that its request has come so far, whether it was refused or not.
#[derive(Default)]
struct Progress {
    /// Whose page may read the answer.
    origin: Option<AdmittedOrigin>,
    /// How this messenger's widget is refused.
    profile: Option<Arc<Profile>>,
    /// What the upstream's answer will be to the browser.
    loaded: Loaded,
    /// The request's body, until somebody reads it. Dropped before the answer is complete it would reset an HTTP/2 stream, and its client
    /// would see that rather than the answer.
    unread: Option<Incoming>,
    /// Of which rate little is left.
    nearly: Option<Nearly>,
    /// Among the requests of its address.
    place: Option<Place>,
}

/// What a request that was not refused ends in.
enum Reply {
    /// The upstream's answer.
    Relayed(Response<TaughtBody>),
    /// Our own: a preflight's, or the switch to a WebSocket.
    Own(Response<Body>),
}

impl Reply {
    /// Who got it may ask the same again (RFC 9110 section 15.6).
    fn is_server_error(&self) -> bool {
        match self {
            Reply::Relayed(response) => response.status().is_server_error(),
            Reply::Own(response) => response.status().is_server_error(),
        }
    }
}

impl Handle for Gateway {
    async fn handle(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let epoch = self.epochs.current();
        let client = ClientAddress::find(peer.connection(), request.headers(), epoch.gateway.client_address.as_ref());
        let mut event = self.recorder.begin(Begin {
            time: clock::now(),
            listener: Arc::clone(&peer.listener),
            client: client.ip,
            client_source: client.source.as_str(),
            method: request.method(),
            epoch: Arc::clone(epoch.digest()),
            tally: Some(Arc::clone(&self.unplaced) as Arc<dyn Tally>),
        });
        if let Some(client) = &peer.tls.client {
            event.client_certificate(client.name());
        }
        let in_flight = self.metrics.in_flight();
        let mut progress = Progress::default();
        let outcome = {
            let mut pass = pin!(self.pass(&epoch, &peer, request, &mut event, &mut progress));
            // A bug costs the one request that ran into it.
            poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| pass.as_mut().poll(context))) {
                Ok(poll) => poll,
                Err(_) => Poll::Ready(Err(Rejection::Internal)),
            })
            .await
        };
        let (code, mut response) = match outcome {
            Ok(Reply::Relayed(mut response)) => {
                let reader = if progress.origin.is_some() { Reader::Admitted } else { Reader::Unknown };
                relayed::apply(response.headers_mut(), &progress.loaded, reader);
                ("sent", response.map(Source::Upstream))
            }
            Ok(Reply::Own(response)) => ("answered", response.map(Source::Own)),
            Err(rejection) => {
                let refusal = answer::refuse(&rejection, progress.profile.as_deref(), event.id());
                (rejection.code(), refusal.map(Source::Own))
            }
        };
        if let (Some(nearly), "sent" | "answered") = (progress.nearly, code) {
            nearly.tell(response.headers_mut());
        }
        answer::dress(&mut response, &epoch.security_headers, progress.origin.as_ref(), event.id());
        let outcome = Outcome { code, status: response.status().as_u16() };
        let keeps = Keeps { in_flight, unread: progress.unread, place: progress.place };
        response.map(|body| RecordedBody::new(body, event, outcome, keeps).boxed())
    }

    fn admits_handshake(&self, address: IpAddr) -> bool {
        self.rates.admits_handshake(&self.epochs.current().gateway.rates, address, self.rates.now())
    }

    fn strict_transport_security(&self) -> Option<HeaderValue> {
        Some(self.epochs.current().security_headers.strict_transport_security().clone())
    }
}

impl Gateway {
    /// A gateway that serves the epochs as they come.
    #[must_use]
    pub fn new(
        epochs: Arc<Epochs>,
        recorder: Recorder,
        metrics: Arc<Metrics>,
        state: Arc<dyn Store>,
        drain: Drain,
        tunnels: CancellationToken,
    ) -> Self {
        let unplaced = metrics.unplaced();
        let rates = Arc::new(Rates::new(epochs.current().gateway.limits.rate_keys_max));
        let (room, at_once) = (Room::new(), AtOnce::new());
        limiting::tell_metrics(&metrics, &rates, &room);
        Self { epochs, recorder, metrics, state, unplaced, rates, room, at_once, drain, tunnels }
    }

    async fn pass(
        &self,
        epoch: &Epoch,
        peer: &Peer,
        request: Request<Incoming>,
        event: &mut Event,
        progress: &mut Progress,
    ) -> Result<Reply, Rejection> {
        let limits = &epoch.gateway.limits;
        let (mut parts, incoming) = request.into_parts();
        progress.unread = Some(incoming);
        let client = event.client();
        // Whatever comes counts.
        let mut limiting = Limiting::begin(&self.rates, epoch, client);
        let by_address = limiting.address();

        // Hygiene, route, origin: see `arrive`.
        hygiene::scrub(&mut parts, &epoch.token_headers, limits)?;
        let certificate = peer.tls.client(UnixSeconds::of(event.time()))?;
        let Arrival { head, route, origin, admitted, preflight } = arrive(
            epoch,
            &parts,
            Some(&peer.tls),
            Some(client),
            certificate,
            &mut Recording { event, progress, metrics: &self.metrics },
        )?;
        progress.origin = admitted;
        let (operation, judgement) = (
            route.operation,
            Judgement { epoch, head: &head, parts: &parts, route: &route, client: Some(client), certificate },
        );
        if let Some(preflight) = preflight {
            let admitted = progress.origin.as_ref().ok_or(Rejection::Origin(OriginRefusal::Missing))?;
            return Ok(Reply::Own(preflight.answer(admitted, &operation.methods, &judgement.token_headers())));
        }

        // Rate: who asks too often learns it here, from the page that may read it. A preflight counts and is answered above: that costs no more
        // than a refusal, after which its page would never learn that it is to wait.
        limiting.arrived(by_address, event, progress)?;
        progress.place = Some(self.at_once.admit(client, limits.requests_at_once_per_address_max)?);

        // What is never opened is streamed both ways.
        if let Some(permit) = PassPermit::of(operation) {
            let (tenant, admitted) = judgement.unopened(&origin, event)?;
            event.tenant(tenant, operation);
            progress.origin = admitted;
            progress.loaded = judgement.loaded()?;
            if let Some(code) = judgement.fetch_observed(&origin, tenant) {
                event.would_refuse(code);
            }
            limiting.streamed(tenant, event)?;
            progress.nearly = limiting.nearly();
            let forward = forward(&parts, &head, event, &tenant.token_headers)?;
            return match (operation.upgrade, UpgradePermit::of(operation)) {
                (Upgrade::WebSocket, Some(permit)) if Handshake::is_asked_for(&parts.headers) => {
                    let handshake = Handshake::parse(&parts.method, parts.version, &parts.headers)?;
                    let client = hyper::upgrade::on(Request::from_parts(parts.clone(), ()));
                    self.upgrade(epoch, tenant, forward, handshake, permit, client, event).await
                }
                (Upgrade::Never | Upgrade::WebSocket, _) => {
                    let body = progress.unread.take().ok_or(Rejection::Internal)?;
                    self.send(epoch, tenant, Outbound::Passed { head: forward, body, permit }, None, event).await
                }
            };
        }

        // A webhook: its vendor's signature over all of it, or nothing.
        if let Some(signature) = &operation.webhook {
            let arrived = ArrivedWebhook::find(&judgement, &origin, signature)?;
            let tenant = arrived.tenant;
            event.tenant(tenant, operation);
            limiting.streamed(tenant, event)?;
            progress.nearly = limiting.nearly();
            let forward = forward(&parts, &head, event, &tenant.token_headers)?;
            let (body, _held) = self.receive(&head, limits, event, progress).await?;
            let (body, used) = arrived.verify(&judgement, body, clock::now_seconds(), &*self.state, event).await?;
            let reply = self.send(epoch, tenant, Outbound::Verified { head: forward, body }, None, event).await;
            if reply.as_ref().map_or(true, Reply::is_server_error)
                && let Err(error) = used.give_back(&*self.state).await
            {
                event.state_failed(tenant, error);
            }
            return reply;
        }

        // Body: within what we are willing to hold.
        let (body, mut held) = self.receive(&head, limits, event, progress).await?;

        // Envelope, workspace, origin once more, proofs, judgement, rewriting: nothing waits in between but for the state.
        let began = Instant::now();
        let cleared = judgement.clear(&body, &origin, clock::now_seconds(), &*self.state, &mut limiting, event).await;
        event.judge_time(began.elapsed());
        let Cleared { tenant, origin, rewritten, consumed, lesson } = cleared?;
        progress.origin = Some(origin);
        progress.nearly = limiting.nearly();
        // What waits for the upstream is what is written, and no longer what came.
        drop(body);
        held.settle(rewritten.body().len())?;

        // Send: only what was judged, and only to the workspace's own upstream.
        let mut head = forward(&parts, &head, event, consumed)?;
        if lesson.is_some() {
            lesson::ask_readably(&mut head.headers);
        }
        self.send(epoch, tenant, Outbound::Judged { head, body: JudgedBody::from(rewritten) }, lesson, event).await
    }

    /// The whole body, and the room that it takes until the request leaves memory.
    async fn receive(
        &self,
        head: &Head<'_>,
        limits: &Limits,
        event: &mut Event,
        progress: &mut Progress,
    ) -> Result<(Bytes, Held), Rejection> {
        let incoming = progress.unread.as_mut().ok_or(Rejection::Internal)?;
        // What is too long in any case is refused for that, and not for want of room.
        let announced = head.content_length().filter(|length| *length <= limits.body_bytes_max as u64);
        let mut held = self.room.admit(event.client(), announced, limits.buffered_bytes_max)?;
        let body = read_body(incoming, head.content_length(), limits, &mut held).await?;
        event.bytes_in(body.len() as u64);
        Ok((body, held))
    }

    async fn send(
        &self,
        epoch: &Epoch,
        tenant: &Tenant,
        outbound: Outbound,
        lesson: Option<Lesson>,
        event: &mut Event,
    ) -> Result<Reply, Rejection> {
        let began = Instant::now();
        let sent = epoch.upstreams.send(&tenant.workspace.upstream, outbound).await;
        event.upstream_time(began.elapsed());
        let response = heard(tenant, sent)?;
        event.upstream_status(response.status().as_u16());
        Ok(Reply::Relayed(match lesson {
            Some(lesson) => TaughtBody::heard(response, lesson, &self.state),
            None => TaughtBody::unheard(response),
        }))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a proof or a half that `Upstreams::upgrade` asks for")]
    async fn upgrade(
        &self,
        epoch: &Epoch,
        tenant: &Tenant,
        forward: ForwardHead,
        handshake: Handshake,
        permit: UpgradePermit,
        client: hyper::upgrade::OnUpgrade,
        event: &mut Event,
    ) -> Result<Reply, Rejection> {
        let asked = epoch.upstreams.upgrade(&tenant.workspace.upstream, forward, handshake, permit, client).await;
        Ok(match heard(tenant, asked)? {
            Switch::Answered(response) => {
                event.upstream_status(response.status().as_u16());
                Reply::Relayed(TaughtBody::unheard(response))
            }
            Switch::Switched { response, splice } => {
                event.upstream_status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
                let tunnels = self.tunnels.clone();
                // It outlives the request: the connection is a tunnel from here on.
                self.drain.tasks().spawn(async move { splice.run(&tunnels).await });
                Reply::Own(response.map(|()| body::empty()))
            }
        })
    }
}

/// Remembers whether the upstream answered.
fn heard<T>(tenant: &Tenant, answer: Result<T, UpstreamError>) -> Result<T, Rejection> {
    let health = tenant.metrics.upstream();
    match answer {
        Ok(answer) => {
            health.answered(clock::now_seconds());
            Ok(answer)
        }
        Err(error) => {
            let rejection = Rejection::from(error);
            if rejection.party() == Party::Upstream {
                health.failed(rejection.code(), clock::now_seconds());
            }
            Err(rejection)
        }
    }
}

/// A request whose head says whose it is, and from which page.
pub struct Arrival<'a> {
    pub head: Head<'a>,
    pub route: Route<'a>,
    pub origin: RequestOrigin,
    pub admitted: Option<AdmittedOrigin>,
    pub preflight: Option<Preflight>,
}

/// Whoever wants to know how far a request came that was refused on the way.
pub trait Arriving {
    /// What it asks for is known.
    fn routed(&mut self, _: &Operation, _: &Arc<Profile>) {}
    /// The page that it says it comes from, admitted or not.
    fn origin(&mut self, _: &Origin) {}
    /// That page is trusted by no workspace that could be meant; by this one, where it is known which.
    fn foreign(&mut self, _: &Origin, _: Option<&Tenant>) {}
}

/// The beginning of a request's way, up to its body; rehearsals go it too. [`hygiene::scrub`] has been over `parts`.
///
/// # Errors
///
/// The first reason for which the request goes nowhere.
pub fn arrive<'a>(
    epoch: &'a Epoch,
    parts: &'a Parts,
    tls: Option<&TlsFacts>,
    client: Option<IpAddr>,
    certificate: Option<&ClientCertificate>,
    arriving: &mut impl Arriving,
) -> Result<Arrival<'a>, Rejection> {
    // Hygiene: what two servers read differently goes nowhere.
    let head = hygiene::inspect(parts)?;
    if let Some(tls) = tls {
        head.admit_host(tls)?;
    }

    // Route: one operation of one profile, and the tenants that have it on this host.
    let preflight = Preflight::read(parts);
    let method = preflight.as_ref().map_or(&parts.method, |preflight| &preflight.method);
    let route = epoch.route(method, head.host(), head.path())?;
    let profile = route.tenants.first().map(|tenant| &tenant.workspace.profile).ok_or(Rejection::RouteUnknown)?;
    arriving.routed(route.operation, profile);

    // Origin, first pass: a cheap no, before a byte of the body is read.
    let origin = RequestOrigin::read(&parts.headers)?;
    if let RequestOrigin::Origin(origin) = &origin {
        arriving.origin(origin);
    }
    let judgement = Judgement { epoch, head: &head, parts, route: &route, client, certificate };
    let admitted = judgement.admit(&origin, &route.tenants).inspect_err(|rejection| {
        if let (Rejection::Origin(OriginRefusal::Untrusted), RequestOrigin::Origin(origin)) = (rejection, &origin) {
            arriving.foreign(origin, judgement.meant());
        }
    })?;
    Ok(Arrival { head, route, origin, admitted, preflight })
}

/// The head of the request to the upstream: what came, less what was for us alone, and what we know of it.
fn forward(parts: &Parts, head: &Head<'_>, event: &Event, consumed: &[HeaderName]) -> Result<ForwardHead, Rejection> {
    let mut headers: HeaderMap = parts.headers.clone();
    for name in consumed {
        headers.remove(name);
    }
    let path_and_query = match parts.uri.path_and_query() {
        Some(path_and_query) => path_and_query.clone(),
        None => PathAndQuery::from_static("/"),
    };
    let facts = ForwardFacts {
        client: event.client(),
        host: Authority::try_from(head.authority()).map_err(|_| hygiene::HygieneError::HostSyntax)?,
        request_id: event.id().to_string(),
        traceparent: Traceparent::of_request(&headers, event.id()),
    };
    Ok(ForwardHead { method: parts.method.clone(), path_and_query, headers, facts })
}
