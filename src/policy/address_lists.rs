//! `addresses/*.toml`: from where somebody's requests come, as a list under a name that workspaces use.

use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;

use super::client_address_file::networks;
use super::finding::Findings;
use super::networks::{Network, Networks};
use super::reader::{self, Placed, Value, quoted};
use super::source::Source;

/// The lists that come with the program, as text. A file of the same name in `policies/addresses` counts instead.
#[must_use]
pub fn shipped_addresses() -> [(&'static str, &'static str); 3] {
    [
        ("intercom-us", include_str!("../../policies/addresses/intercom-us.toml")),
        ("intercom-eu", include_str!("../../policies/addresses/intercom-eu.toml")),
        ("intercom-au", include_str!("../../policies/addresses/intercom-au.toml")),
    ]
}

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressList {
    /// The file's name without its ending; workspaces name it.
    pub(super) id: String,
    pub(super) networks: Vec<Network>,
    /// Where it was published.
    source: Option<String>,
    /// Whether somebody wrote down when it was held against that.
    is_verified: bool,
}

/// Addresses and networks of somebody who sends requests.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Countersign: a list of addresses", deny_unknown_fields)]
pub(super) struct RawAddressList {
    /// Whose they are, and for what.
    #[schemars(required)]
    title: Option<Placed<String>>,
    /// Where they are published.
    source: Option<Placed<String>>,
    /// The day on which somebody held the list against its source, such as `"2026-11-27"`. Without it `countersign check` warns.
    #[schemars(with = "Option<String>")]
    verified: Option<Placed<Date>>,
    /// An empty list lets in nobody.
    #[schemars(required, with = "Option<Vec<String>>")]
    networks: Option<Placed<Vec<Placed<Network>>>>,
}

impl RawAddressList {
    /// Reads the file; `None` where it has syntax errors.
    pub(super) fn read(source: &Source, findings: &mut Findings) -> Option<Self> {
        reader::read(source, findings, |table| Self {
            title: table.required("title", Value::text),
            source: table.optional("source", Value::text),
            verified: table.optional("verified", |value| {
                value.parsed(|text| text.parse::<Date>().map_err(|_| "expected a day such as `2026-11-27`"))
            }),
            networks: table.required("networks", networks),
        })
    }

    fn resolve(self, file: &Source, findings: &mut Findings) -> Option<AddressList> {
        let Self { title, source, verified, networks } = self;
        let (_title, networks) = (title?, networks?);
        if networks.value.is_empty() {
            findings.warning(file, networks.span.clone(), "`networks`: an empty list lets in nobody");
        }
        if networks.value.iter().map(|network| network.value).collect::<Networks>().are_everybody() {
            findings
                .warning(file, networks.span.clone(), "`networks`: this lets in everybody")
                .help("leave the list out of the workspace instead");
        }
        Some(AddressList {
            id: file.stem().to_owned(),
            networks: networks.value.into_iter().map(|network| network.value).collect(),
            source: source.map(|source| source.value),
            is_verified: verified.is_some(),
        })
    }
}

/// The lists that workspaces may name.
#[derive(Debug, Default)]
pub(super) struct AddressLists {
    lists: Vec<Arc<AddressList>>,
    /// Lists that are there and have mistakes of their own: to name one is no second mistake.
    broken: Vec<String>,
}

/// What a workspace may mean by the name of a list.
pub(super) enum NamedList<'l> {
    Known(&'l AddressList),
    /// Its own mistakes are told.
    Broken,
    Unknown,
}

impl AddressLists {
    pub(super) fn parse(sources: &[Source], findings: &mut Findings) -> Self {
        let mut read = Self::default();
        for source in sources {
            let before = findings.error_count();
            let list = RawAddressList::read(source, findings).and_then(|raw| raw.resolve(source, findings));
            match list.filter(|_| findings.error_count() == before) {
                Some(list) => read.lists.push(Arc::new(list)),
                None => read.broken.push(source.stem().to_owned()),
            }
        }
        read
    }

    pub(super) fn find(&self, name: &str) -> NamedList<'_> {
        match self.lists.iter().find(|list| list.id == name) {
            Some(list) => NamedList::Known(list),
            None if self.broken.iter().any(|broken| broken == name) => NamedList::Broken,
            None => NamedList::Unknown,
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.lists.iter().map(|list| list.id.as_str())
    }
}

impl AddressList {
    /// Why not to rely on it yet: a warning and what to do.
    pub(super) fn doubt(&self) -> Option<(String, String)> {
        if self.is_verified {
            return None;
        }
        let message = format!("nobody has written down when the list {} was verified", quoted(&self.id));
        let source = self.source.as_ref().map_or_else(|| "its source".to_owned(), |source| quoted(source));
        let help = format!("hold `addresses/{}.toml` against {source}, and put `verified = \"…\"` into it", self.id);
        Some((message, help))
    }
}

/// From where requests of some operations may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// Names of operations. Empty: all that no other rule names.
    pub(super) operations: Vec<String>,
    /// The lists that it names.
    pub(super) lists: Vec<String>,
    pub(super) from: Networks,
}

impl AddressRule {
    /// Whether it is about an operation by name.
    pub(super) fn names(&self, operation: &str) -> bool {
        self.operations.iter().any(|name| name == operation)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Paint;
    use super::super::fixtures::lines;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut findings = Findings::default();
        let lists = AddressLists::parse(&[Source::new("ours.toml", text)], &mut findings);
        assert_eq!(lines(&findings), expected);
        assert_eq!(matches!(lists.find("ours"), NamedList::Known(_)), !findings.has_errors());
        assert!(matches!(lists.find("theirs"), NamedList::Unknown));
    }

    #[test]
    fn a_list_says_whose_addresses_it_has() {
        check("title = \"ours\"\nverified = \"2026-11-27\"\nnetworks = [\"192.0.2.0/24\", \"2001:db8::1\"]", &[]);
        check(
            "verified = \"27.11.2026\"\nnetworks = [\"192.0.2.1/24\"]\nsuorce = \"x\"",
            &[
                "error: ours.toml:1:1: `title` is missing",
                "error: ours.toml:1:12: `verified`: expected a day such as `2026-11-27`, found `27.11.2026`",
                "error: ours.toml:2:13: `networks[0]`: expected a network without bits behind its prefix, such as \
                 `192.0.2.0/24`, found `192.0.2.1/24`",
                "error: ours.toml:3:1: unknown key `suorce` (did you mean `source`?)",
            ],
        );
        check(
            "title = \"ours\"\nnetworks = []",
            &["warning: ours.toml:2:12: `networks`: an empty list lets in nobody"],
        );
        check(
            "title = \"ours\"\nnetworks = [\"0.0.0.0/0\"]",
            &[
                "warning: ours.toml:2:12: `networks`: this lets in everybody (leave the list out of the workspace instead)",
            ],
        );
        check(
            "title = \"ours\"\nnetworks = [\"0.0.0.0/1\", \"128.0.0.0/1\"]",
            &[
                "warning: ours.toml:2:12: `networks`: this lets in everybody (leave the list out of the workspace instead)",
            ],
        );
    }

    #[test]
    fn the_lists_that_we_ship_are_good_and_say_that_they_want_to_be_verified() {
        let mut findings = Findings::default();
        let sources = shipped_addresses().map(|(id, text)| Source::new(format!("{id}.toml"), text));
        let lists = AddressLists::parse(&sources, &mut findings);
        assert!(findings.is_empty(), "{}", findings.render(Paint::Plain));
        let counts: Vec<_> = lists.lists.iter().map(|list| (list.id.as_str(), list.networks.len())).collect();
        assert_eq!(counts, [("intercom-us", 6), ("intercom-eu", 3), ("intercom-au", 3)]);
        assert!(lists.lists.iter().all(|list| list.source.is_some() && list.doubt().is_some()));
    }
}
