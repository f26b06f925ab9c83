//! One request's record while it is being made (P6: every request ends in exactly one).

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use tokio::time::Instant;
use uuid::Uuid;

use super::line::{Attributes, Line, Micros};
use super::name::{
    AttributeVerdict, CERTIFICATE_CHARACTERS_MAX, ORIGIN_CHARACTERS_MAX, RecordedName, harmless, legible,
};
use super::recorder::Recorder;
use super::subject::Hash;
use crate::decision::{Catalogue, Code, Judged, Update, Verdict, WITHHELD};
use crate::profile::Class;

/// What is known when a request's head has come.
#[derive(Clone)]
pub struct Begin<'a> {
    /// The wall clock, read once for the whole request.
    pub time: SystemTime,
    pub listener: Arc<str>,
    /// The client's address.
    pub client: IpAddr,
    /// Whose word that is.
    pub client_source: &'static str,
    pub method: &'a Method,
    /// The digest of the policies in force.
    pub epoch: Arc<str>,
    /// Who counts the outcome, until [`Event::counted_by`] names another.
    pub tally: Option<Arc<dyn Tally>>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The stable code of the reason.
    pub code: &'static str,
    /// The status that the client was given.
    pub status: u16,
}

/// How a request ended, for those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: &'static str,
    /// `None`: nobody was there to be answered.
    pub status: Option<u16>,
    pub total: Duration,
    /// Waiting for the upstream.
    pub upstream: Option<Duration>,
    /// Envelope, proofs and judgement.
    pub judge: Option<Duration>,
}

/// Hears of every outcome, exactly once: also when the client left or the request's task panicked.
pub trait Tally: Send + Sync {
    /// The request has ended.
    fn ended(&self, ended: &Ended);
}

/// The client went away before there was an answer.
const CLIENT_GONE: &str = "client_gone";

/// A bug: the request's task panicked.
const PANICKED: &str = "panicked";

/// The record of one request. Dropped unfinished it says that the client is gone.
#[must_use = "dropping it records that the client is gone"]
pub struct Event {
    recorder: Recorder,
    started: Instant,
    time: SystemTime,
    id: Uuid,
    epoch: Arc<str>,
    listener: Arc<str>,
    client: IpAddr,
    client_source: &'static str,
    client_certificate: Option<Box<str>>,
    method: &'static str,
    workspace: Option<Box<str>>,
    operation: Option<Box<str>>,
    class: Option<Class>,
    origin: Option<Box<str>>,
    proof: Option<&'static str>,
    key: Option<Box<str>>,
    subject: Option<Hash>,
    ticket: Option<&'static str>,
    attributes: Attributes,
    bytes_in: u64,
    bytes_out: u64,
    upstream_status: Option<u16>,
    upstream: Option<Duration>,
    judge: Option<Duration>,
    would_refuse: Option<&'static str>,
    tally: Option<Arc<dyn Tally>>,
    /// Set by `finish`; what `drop` finds otherwise tells the rest.
    outcome: Option<Outcome>,
}

impl Event {
    pub(super) fn begin(recorder: Recorder, begin: Begin<'_>) -> Self {
        let Begin { time, listener, client, client_source, method, epoch, tally } = begin;
        Self {
            id: decision_id(time),
            started: Instant::now(),
            method: known_method(method),
            recorder,
            time,
            epoch,
            listener,
            client,
            client_source,
            tally,
            client_certificate: None,
            workspace: None,
            operation: None,
            class: None,
            origin: None,
            proof: None,
            key: None,
            subject: None,
            ticket: None,
            attributes: Attributes::default(),
            bytes_in: 0,
            bytes_out: 0,
            upstream_status: None,
            upstream: None,
            judge: None,
            would_refuse: None,
            outcome: None,
        }
    }

    /// The decision's id (UUID version 7, RFC 9562 §5.7): the same in the record and in the answer.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The wall clock when the request's head came.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Since the request's head came.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the certificate of the client is called, that our TLS has verified.
    pub fn client_certificate(&mut self, name: String) {
        let key = self.recorder.subject_key();
        self.client_certificate =
            Some(legible(&name, CERTIFICATE_CHARACTERS_MAX, |name| key.client_certificate(name)).into());
    }

    /// The workspace's id, as the policy names it.
    pub fn workspace(&mut self, id: &str) {
        self.workspace = Some(id.into());
    }

    /// The operation, as the profile names it.
    pub fn operation(&mut self, name: &str, class: Class) {
        self.operation = Some(name.into());
        self.class = Some(class);
    }

    /// The request's origin, admitted or not.
    pub fn origin(&mut self, origin: &str) {
        let key = self.recorder.subject_key();
        self.origin = Some(harmless(origin, ORIGIN_CHARACTERS_MAX, |origin| key.origin(origin)).into());
    }

    /// What verification said, and the policy's name of the key that was used.
    pub fn proof(&mut self, verdict: &'static str, key_id: Option<&str>) {
        self.proof = Some(verdict);
        self.key = key_id.map(Into::into);
    }

    /// The user whose attributes change. The id is hashed here and not kept.
    pub fn subject(&mut self, id: &str) {
        self.subject = Some(self.recorder.subject_key().subject(id));
    }

    /// What became of a collector ticket.
    pub fn ticket(&mut self, verdict: &'static str) {
        self.ticket = Some(verdict);
    }

    /// The verdicts, by name. Credentials are never recorded.
    pub fn verdicts<'v>(&mut self, verdicts: impl IntoIterator<Item = AttributeVerdict<'v>>) {
        for verdict in verdicts {
            if verdict.code != Code::Credential {
                self.attributes.push(&verdict);
            }
        }
    }

    /// The verdicts of one judgement, on what the payload names and on what only the token carries.
    pub fn judged(&mut self, catalogue: &Catalogue, update: &Update<'_>, judged: &Judged<'_>) {
        let recorder = self.recorder.clone();
        let recorded = |spelled: Cow<'_, str>, verdict: &Verdict<'_>, attributes: &mut Attributes| {
            if verdict.code == Code::Credential {
                return;
            }
            let listed = verdict.attribute.and_then(|index| catalogue.attributes().get(index));
            let name = match listed {
                Some(attribute) => RecordedName::of_catalogue(&attribute.name),
                None => RecordedName::foreign(&spelled, recorder.subject_key()),
            };
            attributes.push(&AttributeVerdict { name, code: verdict.code, force: verdict.force });
        };
        self.attributes.reserve(update.writes.len() + judged.unnamed().len());
        for (index, (write, verdict)) in update.writes.iter().zip(judged.verdicts()).enumerate() {
            let name = if verdict.code == Code::Secret && judged.is_name_withheld(index) {
                Cow::Borrowed(WITHHELD)
            } else {
                write.full_name()
            };
            recorded(name, verdict, &mut self.attributes);
        }
        for (name, verdict) in judged.unnamed() {
            recorded(Cow::Borrowed(name), verdict, &mut self.attributes);
        }
    }

    /// A peer's name of an attribute as a line of the log may say it: as the record does.
    #[must_use]
    pub fn harmless_name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        RecordedName::foreign(name, self.recorder.subject_key()).text
    }

    /// In a workspace that only observes: the code with which the request would have been refused. The first one stays.
    pub fn would_refuse(&mut self, code: &'static str) {
        self.would_refuse.get_or_insert(code);
    }

    /// Bytes of the request's body on the wire.
    pub fn bytes_in(&mut self, bytes: u64) {
        self.bytes_in = bytes;
    }

    /// Bytes of the answer's body.
    pub fn bytes_out(&mut self, bytes: u64) {
        self.bytes_out = bytes;
    }

    /// The status with which the upstream answered.
    pub fn upstream_status(&mut self, status: u16) {
        self.upstream_status = Some(status);
    }

    /// How long the upstream took, from the first byte sent to the answer's head.
    pub fn upstream_time(&mut self, duration: Duration) {
        self.upstream = Some(duration);
    }

    /// How long envelope, proofs and judgement took.
    pub fn judge_time(&mut self, duration: Duration) {
        self.judge = Some(duration);
    }

    /// Who counts the outcome, now that workspace and operation are known.
    pub fn counted_by(&mut self, tally: Arc<dyn Tally>) {
        self.tally = Some(tally);
    }

    /// The end: writes the record.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let total = self.started.elapsed();
        let (code, status) = match self.outcome {
            Some(Outcome { code, status }) => (code, Some(status)),
            None if std::thread::panicking() => (PANICKED, None),
            None => (CLIENT_GONE, None),
        };
        let line = Line {
            time: self.time,
            id: self.id,
            epoch: &self.epoch,
            listener: &self.listener,
            client: self.client,
            client_source: self.client_source,
            client_certificate: self.client_certificate.as_deref(),
            method: self.method,
            workspace: self.workspace.as_deref(),
            operation: self.operation.as_deref(),
            class: self.class.map(Class::as_str),
            origin: self.origin.as_deref(),
            proof: self.proof,
            key: self.key.as_deref(),
            subject: self.subject,
            ticket: self.ticket,
            attributes: &self.attributes,
            outcome: code,
            status,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            upstream_status: self.upstream_status,
            micros: Micros { total, upstream: self.upstream, judge: self.judge },
            would_refuse: self.would_refuse,
        };
        self.recorder.record(line.to_bytes());
        if let Some(tally) = &self.tally {
            tally.ended(&Ended { code, status, total, upstream: self.upstream, judge: self.judge });
        }
    }
}

/// The random numbers of a thread's next ids. One draw costs as much as a whole record, whether it is for ten bytes or for a thousand.
struct Randomness {
    bytes: [u8; ID_RANDOM_BYTES * 100],
    used: usize,
}

/// What an id takes beside its time; six bits of it are lost to version and variant.
const ID_RANDOM_BYTES: usize = 10;

thread_local! {
    static RANDOMNESS: RefCell<Randomness> =
        const { RefCell::new(Randomness { bytes: [0; ID_RANDOM_BYTES * 100], used: ID_RANDOM_BYTES * 100 }) };
}

impl Randomness {
    fn next(&mut self) -> [u8; ID_RANDOM_BYTES] {
        if self.used >= self.bytes.len() {
            // Without new random numbers ids repeat their random part, which is better than no record.
            let _ = aws_lc_rs::rand::fill(&mut self.bytes);
            self.used = 0;
        }
        let next = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk()).copied();
        self.used += ID_RANDOM_BYTES;
        next.unwrap_or_default()
    }
}

fn decision_id(time: SystemTime) -> Uuid {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let random = RANDOMNESS.with_borrow_mut(Randomness::next);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// A method is any token (RFC 9110 §9.1), so what is not a registered one could be anything.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
