//! The documents against the program: what is listed there is what there is.

// Tests may panic (`clippy.toml`): this says that all of it is tests, the helpers too.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use countersign::decision::Code;
use countersign::edge::AddressSource;
use countersign::identity::{ProofVerdict, TicketError};
use countersign::policy::{PolicyFiles, Source, parse, schemas};
use serde_json::Value;

const OPERATING: &str = include_str!("../docs/operating.md");
const POLICY: &str = include_str!("../docs/policy.md");
const MESSENGERS: &str = include_str!("../docs/messengers.md");
const README: &str = include_str!("../README.md");

/// Every one of `names` stands in `document` as code.
#[track_caller]
fn stand_in<'n>(names: impl IntoIterator<Item = &'n str>, document: &str) {
    let names: BTreeSet<&str> = names.into_iter().collect();
    assert!(!names.is_empty(), "nothing to look for");
    let missing: Vec<_> = names.into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
}

/// The part of the document under a heading.
#[track_caller]
fn section<'d>(document: &'d str, heading: &str) -> &'d str {
    let (_, after) = document.split_once(&format!("\n## {heading}\n")).expect("the heading");
    after.split_once("\n## ").map_or(after, |(section, _)| section)
}

/// The texts that the functions of `source` whose names end in `code` give.
fn codes(source: &str) -> Vec<&str> {
    let mut within = false;
    let mut codes = Vec::new();
    for line in source.lines() {
        if line.contains("fn ") {
            within = line.contains("code(");
        }
        if within && let Some((_, given)) = line.split_once("=> \"") {
            codes.push(given.split('"').next().unwrap_or_default());
        }
    }
    codes
}

#[test]
fn every_code_with_which_a_request_ends_is_explained() {
    let rejections = codes(include_str!("../src/rejection.rs"));
    assert!(rejections.len() > 80, "{rejections:?}");
    let others = ["sent", "answered", "client_gone", "panicked", "upstream_broken_off", "identity_missing"];
    stand_in(rejections.into_iter().chain(others), section(OPERATING, "How requests end"));
}

#[test]
fn nothing_is_explained_that_is_no_code() {
    let mut known: BTreeSet<&str> = codes(include_str!("../src/rejection.rs")).into_iter().collect();
    known.extend(["sent", "answered", "client_gone", "panicked", "upstream_broken_off", "identity_missing"]);
    for line in section(OPERATING, "How requests end").lines().filter(|line| line.starts_with("| `")) {
        let cell = line.split('|').nth(1).expect("a cell");
        for code in cell.split('`').skip(1).step_by(2) {
            assert!(known.contains(code), "`{code}` is no code");
        }
    }
}

#[test]
fn every_finding_about_a_proof_is_explained() {
    stand_in(ProofVerdict::all().map(ProofVerdict::code), section(OPERATING, "Proofs"));
    stand_in(TicketError::OWN.map(TicketError::code), section(OPERATING, "The record"));
    stand_in(AddressSource::ALL.map(AddressSource::as_str), section(OPERATING, "The record"));
}

#[test]
fn every_verdict_is_explained() {
    stand_in(Code::ALL.map(Code::as_str), section(POLICY, "Verdicts"));
}

/// The names of all metrics, without prefix and ending. A family without a value does not show, so they are read from the source.
fn metrics() -> Vec<&'static str> {
    let registered = include_str!("../src/observe/metrics.rs").split("registry.register").skip(1);
    let names = registered.filter_map(|rest| rest.split('"').nth(1));
    let (_, collected) =
        include_str!("../src/observe/readings.rs").split_once("impl Collector").expect("the collector");
    let (_, of_tls) =
        include_str!("../src/observe/tls_readings.rs").split_once("impl Collector").expect("the collector");
    let (_, ordered) = include_str!("../src/observe/orders.rs").split_once("fn encode").expect("the encoder");
    let texts = |text: &'static str| {
        let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
        code.split('"').skip(1).step_by(2)
    };
    let words = texts(collected).chain(texts(of_tls)).chain(texts(ordered));
    // Help is a sentence, and labels are listed here.
    let labels = [
        "version",
        "digest",
        "certificate",
        "reason",
        "failed",
        "timeout",
        "CARGO_PKG_VERSION",
        "workspace",
        "key",
        "set",
        "risk",
        "unlisted",
        "absent",
        "malformed",
        "version",
        "group",
        "resumption",
        "listener",
        "grade",
        "domain",
        "limit",
        "applied",
        "true",
        "false",
        "rate",
    ];
    let (_, outside) = include_str!("../src/observe/outside.rs").split_once("impl Collector").expect("the collector");
    let (outside, _) = outside.split_once("#[cfg(test)]").expect("tests");
    let words = words.chain(outside.split('"').skip(1).step_by(2));
    names.chain(words).filter(|word| !word.is_empty() && !word.contains(' ') && !labels.contains(word)).collect()
}

#[test]
fn every_metric_is_explained_and_no_other() {
    let known: BTreeSet<&str> = metrics().into_iter().map(|name| name.trim_end_matches("_seconds")).collect();
    assert!(known.len() > 15, "{known:?}");
    let explained: BTreeSet<&str> = section(OPERATING, "Health and metrics")
        .lines()
        .filter_map(|line| line.strip_prefix("| `countersign_")?.split('`').next())
        .map(|name| ["_total", "_info", "_seconds"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name))
        .collect();
    assert_eq!(known, explained);
}

/// The names of all members in a JSON Schema, as far as they are names of keys.
fn keys<'s>(schema: &'s Value, found: &mut BTreeSet<&'s str>) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                if let ("properties", Value::Object(properties)) = (name.as_str(), member) {
                    found.extend(properties.keys().map(String::as_str));
                }
                keys(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_of_every_policy_file_stands_in_the_policy_reference() {
    for (name, schema) in schemas() {
        let schema: Value = schema.parse().expect("JSON");
        let mut found = BTreeSet::new();
        keys(&schema, &mut found);
        let words: BTreeSet<&str> = POLICY.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').collect();
        let missing: Vec<_> = found.iter().filter(|key| !words.contains(**key)).collect();
        assert!(!found.is_empty() && missing.is_empty(), "{name}: not in the document: {missing:?}");
    }
}

#[test]
fn every_limit_stands_in_the_policy_reference() {
    let names = include_str!("../src/policy/limits.rs").lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("    pub ")?.split_once(':')?;
        Some(name)
    });
    stand_in(names, POLICY);
}

#[test]
fn every_environment_variable_stands_in_the_document() {
    let sources = [include_str!("../src/cli/serve.rs"), include_str!("../src/cli/log.rs")].concat();
    let variables = sources.split('"').filter(|text| text.starts_with("COUNTERSIGN_"));
    stand_in(variables, section(OPERATING, "Run"));
}

/// The blocks of TOML in a document that are whole workspaces.
fn workspaces(document: &str) -> Vec<String> {
    let blocks = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("trusted_domains")).map(str::to_owned).collect()
}

#[test]
fn the_policies_in_the_documents_are_good_policies() {
    let gateway = include_str!("../policies/gateway.toml");
    let profiles = countersign::profile::shipped();
    let profiles: Vec<_> = profiles.into_iter().map(|(id, text)| Source::new(format!("{id}.toml"), text)).collect();
    let mut count = 0;
    for (name, document) in [("README.md", README), ("messengers.md", MESSENGERS)] {
        for text in workspaces(document) {
            let files = PolicyFiles {
                gateway: Some(Source::new("gateway.toml", gateway)),
                profiles: profiles.clone(),
                workspaces: vec![Source::new("workspaces/example.toml", text)],
                addresses: Vec::new(),
                base: PathBuf::new(),
            };
            let (set, findings) = parse(&files);
            assert!(set.is_some(), "{name}: {}", findings.render(countersign::policy::Paint::Plain));
            assert!(findings.is_empty(), "{name}: {}", findings.render(countersign::policy::Paint::Plain));
            count += 1;
        }
    }
    assert_eq!(count, 2);
}

#[test]
fn every_link_within_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "certs/README.md"]
            .iter()
            .map(|name| root.join(name))
            .collect();
    let docs = std::fs::read_dir(root.join("docs")).expect("docs");
    documents.extend(docs.map(|entry| entry.expect("an entry").path()));
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("a document");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { document.with_file_name("").join(file) };
            let Ok(text) = std::fs::read_to_string(&target) else {
                panic!("{}: `{link}` leads nowhere", document.display())
            };
            let found = anchor.is_empty() || text.lines().any(|line| line.starts_with('#') && slug(line) == anchor);
            assert!(found, "{}: `{link}`: no such heading", document.display());
        }
    }
}

/// The anchor of a heading, as repositories show it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char)).collect::<String>().replace(' ', "-")
}
