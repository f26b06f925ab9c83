//! What one line says, key by key.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::ser::{SerializeMap as _, SerializeSeq as _, Serializer};
use uuid::Uuid;

use super::name::{AttributeVerdict, NamedBy};
use super::subject::Hash;
use crate::decision::{Code, Force};

/// The line of one decision. Every key stands in every line, `null` where the request did not come so far.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    #[serde(serialize_with = "hyphenated")]
    pub id: Uuid,
    pub epoch: &'a str,
    pub listener: &'a str,
    #[serde(serialize_with = "text")]
    pub client: IpAddr,
    pub method: &'static str,
    pub workspace: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub class: Option<&'static str>,
    pub origin: Option<&'a str>,
    pub proof: Option<&'static str>,
    pub key: Option<&'a str>,
    #[serde(serialize_with = "optional_text")]
    pub subject: Option<Hash>,
    pub attributes: &'a Attributes,
    /// Verdicts beyond those that a line has room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub attributes_omitted: usize,
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub upstream_status: Option<u16>,
    pub micros: Micros,
    pub would_refuse: Option<&'static str>,
}

/// How long what took, in microseconds.
#[derive(Serialize)]
pub(super) struct Micros {
    #[serde(serialize_with = "micros")]
    pub total: Duration,
    #[serde(serialize_with = "optional_micros")]
    pub upstream: Option<Duration>,
    #[serde(serialize_with = "optional_micros")]
    pub judge: Option<Duration>,
}

/// Says that records are missing here, and how many.
#[derive(Serialize)]
pub(super) struct Gap {
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    pub gap: u64,
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
    pub(super) fn line_bytes(&self) -> usize {
        self.names.len() + self.entries.len() * r#"{"name":"","verdict":"erase_locked","applied":false},"#.len()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.entries.len()))?;
        let mut start = 0;
        for entry in &self.entries {
            let name = self.names.get(start..entry.name_end).unwrap_or_default();
            start = entry.name_end;
            list.serialize_element(&Named { name, entry })?;
        }
        list.end()
    }
}

struct Named<'a> {
    name: &'a str,
    entry: &'a Entry,
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("verdict", self.entry.code.as_str())?;
        map.serialize_entry("applied", &(self.entry.force == Force::Applied))?;
        map.end()
    }
}

/// One line with its end. `None` never happens with these types, and would be counted as a lost record.
pub(super) fn to_line(line: &impl Serialize, bytes: usize) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes);
    match serde_json::to_writer(&mut text, line) {
        Ok(()) => {
            text.push(b'\n');
            Some(text)
        }
        Err(_) => None,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// RFC 3339 in UTC, to the millisecond.
fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // A clock beyond the year 9999 is no time to stop recording.
    let time = jiff::Timestamp::try_from(*time).unwrap_or(jiff::Timestamp::MAX);
    serializer.collect_str(&format_args!("{time:.3}"))
}

fn hyphenated<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn optional_text<S: Serializer>(value: &Option<Hash>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn optional_micros<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => micros(duration, serializer),
        None => serializer.serialize_none(),
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
            method: "POST",
            workspace: Some("acme"),
            operation: Some("ping"),
            class: Some("update"),
            origin: Some("https://app.acme.example"),
            proof: None,
            key: None,
            subject: None,
            attributes: &attributes,
            attributes_omitted: 0,
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
        let text = String::from_utf8(to_line(&line, 0).unwrap()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"time":"2026-11-18T11:06:40.007Z","id":"00000000-0000-0000-0000-000000000000","epoch":"3fa9","#,
                r#""listener":"public","client":"192.0.2.1","method":"POST","workspace":"acme","operation":"ping","#,
                r#""class":"update","origin":"https://app.acme.example","proof":null,"key":null,"subject":null,"#,
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
