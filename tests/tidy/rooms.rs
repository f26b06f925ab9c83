//! Which room may name which.

use crate::nothing;
use crate::rust::{code, paths};
use crate::tree::{File, sources};

/// The rooms from the ground up, and what each may name: only what stands above it here, so that there is no circle. `policy::Limits` lets
/// in that one name. What is new here is a change of the architecture, and `src/lib.rs` and its reviewers want to know.
const ROOMS: [(&str, &[&str]); 23] = [
    ("clock", &[]),
    ("state", &["clock"]),
    ("decision", &[]),
    ("profile", &["decision"]),
    ("policy", &["decision", "profile"]),
    ("envelope", &["decision", "profile", "policy::Limits", "policy::ReadBack"]),
    ("identity", &["clock", "state", "decision", "profile", "policy", "envelope"]),
    ("edge", &["clock", "decision", "profile", "policy"]),
    ("survey", &["policy", "edge"]),
    ("upstream", &["profile", "policy", "envelope", "identity::VerifiedWebhook"]),
    ("audit", &["clock", "decision", "profile", "policy"]),
    ("observe", &["clock", "decision", "profile", "policy"]),
    ("admin", &["clock", "state", "policy", "audit", "observe"]),
    ("issuers", &["clock", "policy", "identity", "upstream", "observe"]),
    ("epoch", &["profile", "envelope", "policy", "identity", "edge", "upstream", "observe", "issuers"]),
    ("acme", &["clock", "policy", "edge", "upstream", "observe", "epoch"]),
    ("rejection", &["profile", "envelope", "identity", "edge", "upstream"]),
    (
        "gateway",
        &[
            "clock",
            "state",
            "decision",
            "profile",
            "policy",
            "envelope",
            "identity",
            "edge",
            "upstream",
            "audit",
            "observe",
            "epoch",
            "rejection",
        ],
    ),
    (
        "rehearse",
        &[
            "clock",
            "state",
            "decision",
            "profile",
            "policy",
            "envelope",
            "identity",
            "edge",
            "upstream",
            "audit",
            "observe",
            "epoch",
            "rejection",
            "gateway",
        ],
    ),
    ("stapling", &["clock", "edge", "upstream", "observe"]),
    (
        "server",
        &[
            "clock", "state", "policy", "identity", "edge", "survey", "audit", "observe", "admin", "epoch", "acme",
            "gateway", "stapling",
        ],
    ),
    ("demo", &["clock", "decision", "edge", "server"]),
    (
        "cli",
        &[
            "clock", "profile", "policy", "identity", "edge", "survey", "observe", "issuers", "epoch", "rehearse",
            "server", "demo",
        ],
    ),
];

/// The arrows of one file that the table does not have.
fn new_arrows(file: &File) -> Vec<String> {
    let module: Vec<&str> = file.name.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let room = module[0];
    if matches!(room, "lib" | "main") {
        return Vec::new();
    }
    let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: `{room}` is not in the table of rooms", file.name)];
    };
    let tokens = code(&file.text);
    let mut found = Vec::new();
    for path in paths(&tokens) {
        // From the root: `crate::room`, or as many `super` as the module is deep.
        let named = match path.names.iter().take_while(|name| **name == "super").count() {
            0 if path.names[0] == "crate" => &path.names[1..],
            supers if supers >= module.len() => &path.names[supers..],
            _ => continue,
        };
        let Some(other) = named.first().filter(|other| **other != room) else { continue };
        let named = named.join("::");
        let allowed = |may: &&str| named == *may || named.strip_prefix(*may).is_some_and(|rest| rest.starts_with("::"));
        if !may.iter().any(allowed) {
            found.push(format!("{}:{}: `{room}` may not name `{other}`: `{named}`", file.name, path.line));
        }
    }
    found
}

#[test]
fn no_room_names_one_that_it_may_not() {
    nothing(&sources().iter().flat_map(new_arrows).collect::<Vec<_>>());
}

#[test]
fn the_table_has_every_room_and_no_circle() {
    let lib = sources().into_iter().find(|file| file.name == "src/lib.rs").unwrap();
    let mut rooms: Vec<&str> =
        lib.text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut table: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (at, (room, may)) in ROOMS.iter().enumerate() {
        for other in *may {
            let other = other.split("::").next().unwrap();
            assert!(table[..at].contains(&other), "`{room}` may name `{other}`, which does not stand above it");
        }
    }
    rooms.sort_unstable();
    table.sort_unstable();
    assert_eq!(rooms, table);
}

#[test]
fn a_new_arrow_is_found() {
    #[track_caller]
    fn check(name: &str, text: &str, arrows: usize) {
        let file = File { name: name.to_owned(), text: text.to_owned() };
        assert_eq!(new_arrows(&file).len(), arrows, "{:?}", new_arrows(&file));
    }
    check("src/decision/judge.rs", "use crate::decision::Code; use super::name::Name;", 0);
    check("src/decision/judge.rs", "use crate::policy::Limits;", 1);
    check("src/decision/judge.rs", "use crate::{profile::Place, decision::{Code, Lock}, clock};", 2);
    check("src/decision/judge.rs", "fn f() { crate::clock::now_seconds(); }", 1);
    check("src/decision/judge.rs", "use super::super::profile::Place;", 1);
    check("src/decision.rs", "use super::profile::Place;", 1);
    check("src/decision.rs", "// crate::policy\n#[cfg(test)] mod tests { use crate::policy::Limits; }", 0);
    check("src/envelope/open.rs", "use crate::policy::Limits;", 0);
    check("src/envelope/open.rs", "use crate::policy::{Limits, Gateway};", 1);
    check("src/envelope/open.rs", "use crate::policy::LimitsOfOthers;", 1);
    check("src/edge/tls.rs", "use crate::upstream::Upstreams;", 1);
    check("src/attic.rs", "", 1);
}
