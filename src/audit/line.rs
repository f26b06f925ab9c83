//! What one line says, key by key.
//!
//! The keys are constants and most texts are plain, so the line is put together here; whatever might need an escape `serde_json` writes.

use std::fmt::Display;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::change::Change;
use super::name::{AttributeVerdict, NamedBy};
use super::subject::Hash;
use crate::decision::{Code, Force};

/// The line of one decision. Every key stands in every line, `null` where the request did not come so far.
pub(super) struct Line<'a> {
    pub time: SystemTime,
    pub id: Uuid,
    pub epoch: &'a str,
    pub listener: &'a str,
    pub client: IpAddr,
    pub client_source: &'static str,
    pub client_certificate: Option<&'a str>,
    pub method: &'static str,
    pub workspace: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub class: Option<&'static str>,
    pub origin: Option<&'a str>,
    pub proof: Option<&'static str>,
    pub key: Option<&'a str>,
    pub subject: Option<Hash>,
    pub ticket: Option<&'static str>,
    pub attributes: &'a Attributes,
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub upstream_status: Option<u16>,
    pub micros: Micros,
    pub would_refuse: Option<&'static str>,
}

/// How long what took, in microseconds.
pub(super) struct Micros {
    pub total: Duration,
    pub upstream: Option<Duration>,
    pub judge: Option<Duration>,
}

/// A line without attributes, so that most need one allocation.
const LINE_BYTES: usize = 768;

impl Line<'_> {
    /// The line with its end.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // A field that is added does not compile until it stands in the line.
        let Self {
            time,
            id,
            epoch,
            listener,
            client,
            client_source,
            client_certificate,
            method,
            workspace,
            operation,
            class,
            origin,
            proof,
            key,
            subject,
            ticket,
            attributes,
            outcome,
            status,
            bytes_in,
            bytes_out,
            upstream_status,
            micros,
            would_refuse,
        } = self;
        let mut out = Out(Vec::with_capacity(LINE_BYTES + attributes.line_bytes()));
        out.raw("{\"time\":\"");
        out.shown(rfc3339(*time));
        out.raw("\",\"id\":\"");
        out.raw(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        out.raw("\",\"epoch\":");
        out.text(epoch);
        out.raw(",\"listener\":");
        out.text(listener);
        out.raw(",\"client\":\"");
        out.shown(client);
        out.raw("\",\"client_source\":");
        out.text(client_source);
        out.member("client_certificate", *client_certificate, Out::text);
        out.raw(",\"method\":");
        out.text(method);
        out.member("workspace", *workspace, Out::text);
        out.member("operation", *operation, Out::text);
        out.member("class", *class, Out::text);
        out.member("origin", *origin, Out::text);
        out.member("proof", *proof, Out::text);
        out.member("key", *key, Out::text);
        out.member("subject", subject.as_ref(), |out, subject| {
            out.raw("\"");
            out.shown(subject);
            out.raw("\"");
        });
        out.member("ticket", *ticket, Out::text);
        out.raw(",\"attributes\":");
        out.attributes(attributes);
        if attributes.omitted() > 0 {
            out.raw(",\"attributes_omitted\":");
            out.shown(attributes.omitted());
        }
        out.raw(",\"outcome\":");
        out.text(outcome);
        out.member("status", *status, Out::shown);
        out.raw(",\"bytes_in\":");
        out.shown(bytes_in);
        out.raw(",\"bytes_out\":");
        out.shown(bytes_out);
        out.member("upstream_status", *upstream_status, Out::shown);
        out.raw(",\"micros\":{\"total\":");
        out.shown(micros.total.as_micros());
        out.member("upstream", micros.upstream, |out, time| out.shown(time.as_micros()));
        out.member("judge", micros.judge, |out, time| out.shown(time.as_micros()));
        out.raw("}");
        out.member("would_refuse", *would_refuse, Out::text);
        out.raw("}\n");
        out.0
    }
}

/// The line of a change.
pub(super) fn change_line(change: &Change<'_>) -> Vec<u8> {
    let Change { time, changed, workspace, id, kind } = change;
    let mut out = Out(Vec::new());
    out.raw("{\"time\":\"");
    out.shown(rfc3339(*time));
    out.raw("\",\"change\":");
    out.text(changed.as_str());
    out.raw(",\"workspace\":");
    out.text(workspace);
    out.raw(",\"revocation\":");
    out.text(id);
    out.raw(",\"kind\":");
    out.text(kind);
    out.raw("}\n");
    out.0
}

/// The line that says that records are missing here, and how many.
pub(super) fn gap_line(time: SystemTime, gap: u64) -> Vec<u8> {
    format!("{{\"time\":\"{}\",\"gap\":{gap}}}\n", rfc3339(time)).into_bytes()
}

/// RFC 3339 in UTC, to the millisecond.
fn rfc3339(time: SystemTime) -> impl Display {
    // A clock beyond the year 9999 is no time to stop recording.
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX);
    std::fmt::from_fn(move |f| write!(f, "{time:.3}"))
}

/// JSON that is being written. Nothing here can fail: a vector takes every byte.
struct Out(Vec<u8>);

impl Out {
    /// What is JSON as it stands.
    fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// A number, or a text that needs no escapes.
    fn shown(&mut self, value: impl Display) {
        let _ = write!(self.0, "{value}");
    }

    /// A text with its quotes.
    fn text(&mut self, text: &str) {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
            self.raw("\"");
            self.raw(text);
            self.raw("\"");
        } else {
            let _ = serde_json::to_writer(&mut self.0, text);
        }
    }

    fn member<T>(&mut self, name: &'static str, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    fn attributes(&mut self, attributes: &Attributes) {
        self.raw("[");
        let mut start = 0;
        for (index, entry) in attributes.entries.iter().enumerate() {
            self.raw(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
            self.text(attributes.names.get(start..entry.name_end).unwrap_or_default());
            start = entry.name_end;
            self.raw(",\"verdict\":\"");
            self.raw(entry.code.as_str());
            self.raw(match entry.force {
                Force::Applied => "\",\"applied\":true}",
                Force::Recorded => "\",\"applied\":false}",
            });
        }
        self.raw("]");
    }
}

/// Verdicts by name, in two allocations however many there are.
#[derive(Default)]
pub(super) struct Attributes {
    names: String,
    entries: Vec<Entry>,
    foreign: usize,
    omitted: usize,
}

struct Entry {
    name_end: usize,
    code: Code,
    force: Force,
}

/// Verdicts on the catalogue's attributes in one line. One attribute may have several: a list of companies has one in each.
const LISTED_MAX: usize = 512;

/// Verdicts on a peer's names in one line. Their own budget, so that a peer cannot crowd out what matters.
const FOREIGN_MAX: usize = 64;

impl Attributes {
    /// Makes room for so many, and for names of usual length.
    pub(super) fn reserve(&mut self, count: usize) {
        const NAME_BYTES_USUAL: usize = 12;
        let count = count.min(LISTED_MAX + FOREIGN_MAX);
        self.entries.reserve(count);
        self.names.reserve(count * NAME_BYTES_USUAL);
    }

    pub(super) fn push(&mut self, verdict: &AttributeVerdict<'_>) {
        let full = match verdict.name.by {
            NamedBy::Catalogue => self.entries.len() - self.foreign >= LISTED_MAX,
            NamedBy::Peer => self.foreign >= FOREIGN_MAX,
        };
        if full {
            self.omitted += 1;
            return;
        }
        self.foreign += usize::from(verdict.name.by == NamedBy::Peer);
        self.names.push_str(verdict.name.as_str());
        self.entries.push(Entry { name_end: self.names.len(), code: verdict.code, force: verdict.force });
    }

    pub(super) fn omitted(&self) -> usize {
        self.omitted
    }

    /// About how many bytes it will take.
    fn line_bytes(&self) -> usize {
        self.names.len() + self.entries.len() * r#"{"name":"","verdict":"erase_locked","applied":false},"#.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::audit::{RecordedName, SubjectKey};

    fn push(attributes: &mut Attributes, name: RecordedName<'_>, times: usize) {
        for _ in 0..times {
            attributes.push(&AttributeVerdict { name: name.clone(), code: Code::Locked, force: Force::Applied });
        }
    }

    #[test]
    fn a_line_is_pinned() {
        let mut attributes = Attributes::default();
        push(&mut attributes, RecordedName::of_catalogue("plan"), 1);
        attributes.push(&AttributeVerdict {
            name: RecordedName::of_catalogue("a \"quoted\"\nname"),
            code: Code::Open,
            force: Force::Recorded,
        });
        let line = Line {
            time: UNIX_EPOCH + Duration::from_millis(1_795_000_000_007),
            id: Uuid::nil(),
            epoch: "3fa9",
            listener: "public",
            client: IpAddr::from([192, 0, 2, 1]),
            client_source: "socket",
            client_certificate: Some("spiffe://acme/backend"),
            method: "POST",
            workspace: Some("acme"),
            operation: Some("ping"),
            class: Some("update"),
            origin: Some("https://app.acme.example"),
            proof: None,
            key: None,
            subject: None,
            ticket: None,
            attributes: &attributes,
            outcome: "sent",
            status: Some(200),
            bytes_in: 10,
            bytes_out: 20,
            upstream_status: Some(200),
            micros: Micros {
                total: Duration::from_micros(1500),
                upstream: None,
                judge: Some(Duration::from_nanos(2999)),
            },
            would_refuse: None,
        };
        let text = String::from_utf8(line.to_bytes()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"time":"2026-11-18T11:06:40.007Z","id":"00000000-0000-0000-0000-000000000000","epoch":"3fa9","#,
                r#""listener":"public","client":"192.0.2.1","client_source":"socket","#,
                r#""client_certificate":"spiffe://acme/backend","#,
                r#""method":"POST","workspace":"acme","operation":"ping","#,
                r#""class":"update","origin":"https://app.acme.example","proof":null,"key":null,"subject":null,"ticket":null,"#,
                r#""attributes":[{"name":"plan","verdict":"locked","applied":true},"#,
                r#"{"name":"a \"quoted\"\nname","verdict":"open","applied":false}],"#,
                r#""outcome":"sent","status":200,"bytes_in":10,"bytes_out":20,"upstream_status":200,"#,
                r#""micros":{"total":1500,"upstream":null,"judge":2},"would_refuse":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn foreign_names_cannot_crowd_out_the_catalogues() {
        let key = SubjectKey::new(&[7; 32]).unwrap();
        let mut attributes = Attributes::default();
        push(&mut attributes, RecordedName::foreign("junk", &key), FOREIGN_MAX + 1000);
        push(&mut attributes, RecordedName::of_catalogue("plan"), LISTED_MAX);
        assert_eq!((attributes.entries.len(), attributes.omitted()), (FOREIGN_MAX + LISTED_MAX, 1000));
        push(&mut attributes, RecordedName::of_catalogue("plan"), 1);
        assert_eq!((attributes.entries.len(), attributes.omitted()), (FOREIGN_MAX + LISTED_MAX, 1001));
    }
}
