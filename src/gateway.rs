//! The journey of one request, from top to bottom.
//!
//! The outer function owns the outcome and the record; the inner one is a straight line that `?` may leave. Cheap before dear;
//! who-are-you before what-do-you-want.

mod admission;
mod answer;
mod arrival;
mod fetch;
mod forwarding;
mod judgement;
mod lesson;
mod limiting;
mod loaded;
mod presented;
mod recorded_body;
mod recording;
mod server_channel;
mod session;
mod standing;
mod taught_body;
mod tenancy;
mod webhook;

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use arrival::{Arrival, Arriving, arrive};
pub use judgement::{Cleared, Judgement, LeakFound, Witness};
pub use limiting::{Gate, Open};
pub use webhook::{ArrivedWebhook, WEBHOOK_VALID};

use crate::audit::{Begin, Event, Recorder, Tally};
use crate::clock::{self, UnixSeconds};
use crate::edge::at_once::AtOnce;
use crate::edge::drain::Drain;
use crate::edge::hygiene::{self, Head};
use crate::edge::origin::OriginRefusal;
use crate::edge::rates::Rates;
use crate::edge::read_body::read_body;
use crate::edge::room::{Held, Room};
use crate::edge::{Body, CertificateFault, ClientAddress, Handle, Peer, body};
use crate::epoch::{Epoch, Epochs, Tenant};
use crate::observe::{Metrics, OperationMetrics};
use crate::policy::Limits;
use crate::profile::Upgrade;
use crate::rejection::Rejection;
use crate::state::Store;
use crate::upstream::{ForwardHead, Handshake, JudgedBody, Outbound, PassPermit, Switch, UpgradePermit};
use answer::{Progress, Reply};
use forwarding::{forward, heard};
use lesson::Lesson;
use limiting::Limiting;
use recording::Recording;
use taught_body::TaughtBody;
use tenancy::Unopened;
use webhook::Untaken;

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

impl Handle for Gateway {
    // The record begins with the call and not with the first step: a client that closes right behind its request is let go before that.
    fn handle(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send {
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
        let method = request.method().clone();
        async move {
            let mut progress = Progress::default();
            let outcome = survived(pin!(self.pass(&epoch, &peer, request, &mut event, &mut progress))).await;
            if outcome.as_ref().is_err_and(admission::is_turned_away) {
                progress.origin = None;
            }
            answer::finish(&method, outcome, &epoch.security_headers, event, progress, in_flight)
        }
    }

    fn admits_handshake(&self, address: IpAddr) -> bool {
        self.rates.admits_handshake(&self.epochs.current().gateway.rates, address, self.rates.now())
    }

    fn certificate_refused(&self, listener: &str, client: IpAddr, fault: CertificateFault) {
        let reason = fault.as_str();
        let Some(unsaid) = self.metrics.client_refused(listener, reason, Instant::now().into_std()) else { return };
        tracing::warn!(listener, %client, reason, unsaid, "client_certificate_refused: {}", fault.words());
    }

    fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        let epoch = self.epochs.current();
        epoch.gateway.client_address.as_ref().is_some_and(|proxies| proxies.networks.contain(address))
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
            let Unopened { tenant, admitted, charged } = judgement.unopened(&origin, event)?;
            progress.origin = admitted;
            progress.loaded = judgement.loaded()?;
            if let Some(code) = judgement.fetch_observed(&origin, tenant) {
                event.would_refuse(code);
            }
            if let Some(charged) = charged {
                limiting.streamed(charged, event)?;
            }
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
            let arrived = ArrivedWebhook::find(&judgement, &origin, signature, event)?;
            let tenant = arrived.tenant;
            let forward = forward(&parts, &head, event, &tenant.token_headers)?;
            let (body, _held) = self.receive(&head, limits, event, progress).await?;
            let (body, used) = arrived.verify(&judgement, body, clock::now_seconds(), &*self.state, event).await?;
            let untaken = Untaken::new(used, &self.state, self.drain.tasks(), tenant, event.id());
            // Its own vendor's alone count: anybody can send what nobody signed.
            limiting.streamed(tenant, event)?;
            progress.nearly = limiting.nearly();
            let reply = self.send(epoch, tenant, Outbound::Verified { head: forward, body }, None, event).await;
            match &reply {
                Ok(answer) if !answer.is_server_error() => untaken.taken(),
                Ok(_) | Err(_) => untaken.give_back().await,
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

/// What a request's journey ends in. A bug costs the one request that ran into it.
async fn survived(mut pass: Pin<&mut impl Future<Output = Result<Reply, Rejection>>>) -> Result<Reply, Rejection> {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| pass.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Err(Rejection::Internal)),
    })
    .await
}
