//! Words that no file has: what was left for later, and where somebody's machine keeps things.

use crate::nothing;
use crate::rust::code;
use crate::tree::{File, files, has_ending};

/// Put together here, since this file is read too.
const LATER: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

const LATER_MACROS: [&str; 2] = ["todo", "unimplemented"];

fn left_for_later(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    if !["src/", "tests/", "benches/", ".ci/"].iter().any(|folder| file.name.starts_with(folder)) {
        return found;
    }
    for (at, line) in file.text.lines().enumerate() {
        let mut words = line.split(|character: char| !character.is_alphanumeric());
        if let Some(word) = words.find(|word| LATER.contains(word)) {
            found.push(format!("{}:{}: `{word}`", file.name, at + 1));
        }
    }
    if has_ending(&file.name, "rs") {
        // The attribute and the macros as code, also in tests: a text may say `ignore`, and a document that must not compile may say what it likes.
        let with_tests = file.text.replace("#[cfg(test)]", "");
        for window in code(&with_tests).windows(3) {
            let is_ignored = window[0].text == "#" && window[1].text == "[" && window[2].text == "ignore";
            let is_later = LATER_MACROS.contains(&window[0].text) && window[1].text == "!";
            if is_ignored || is_later {
                found.push(format!(
                    "{}:{}: finished work has no `{}`",
                    file.name,
                    window[0].line,
                    window[if is_ignored { 2 } else { 0 }].text
                ));
            }
        }
    }
    found
}

/// Folders of somebody's machine.
const HOMES: [&str; 5] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/"), concat!("/tm", "p/")];

/// The one registry, as the lock file writes it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// By what another registry is brought in.
const REGISTRIES: [&str; 5] = [
    concat!("registry", "+"),
    concat!("sparse", "+"),
    concat!("replace", "-with"),
    concat!("CARGO_", "REGISTRIES"),
    concat!("--index", "-url"),
];

fn of_a_machine(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let line = line.replace(CRATES_IO, "");
        let mut report = |word: &str| found.push(format!("{}:{}: `{word}`", file.name, at + 1));
        for home in HOMES {
            // `https://host/home/` and `web/home/` are no folders of a machine.
            let absolute = |(start, _): (usize, &str)| {
                !line[..start]
                    .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | '*'))
            };
            if line.match_indices(home).any(absolute) {
                report(home);
            }
        }
        for registry in REGISTRIES {
            if line.contains(registry) {
                report(registry);
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    nothing(&files().iter().flat_map(left_for_later).collect::<Vec<_>>());
}

#[test]
fn no_file_knows_a_machine() {
    nothing(&files().iter().flat_map(of_a_machine).collect::<Vec<_>>());
}

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}

#[test]
fn what_is_left_for_later_is_found() {
    #[track_caller]
    fn check(name: &str, text: &str, count: usize) {
        assert_eq!(left_for_later(&file(name, text)).len(), count, "{text}");
    }
    let [later, ..] = LATER;
    check("src/edge.rs", &format!("// {later}: more\n"), 1);
    check("benches/judge.lua", &format!("-- {later} more\n"), 1);
    check("docs/policy.md", &format!("{later}\n"), 0);
    check("src/edge.rs", &format!("// a mas{later}n\n"), 0);
    check("src/edge.rs", "fn a() { todo!() } fn b() { unimplemented!(\"c\") }", 2);
    check("src/edge.rs", "/// a(todo!());\nfn a() {}", 0);
    check("tests/gateway/edge.rs", "#[cfg(test)] mod tests { #[test] #[ignore = \"slow\"] fn a() {} }", 1);
    check("tests/gateway/edge.rs", "fn a() { \"#[ignore]\"; }", 0);
}

#[test]
fn what_is_of_a_machine_is_found() {
    #[track_caller]
    fn check(text: &str, count: usize) {
        assert_eq!(of_a_machine(&file("docs/operating.md", text)).len(), count, "{text}");
    }
    for home in HOMES {
        check(&format!("see `{home}ada/gateway`"), 1);
        check(&format!("POST /messenger/web{home}cards"), 0);
    }
    check("see /etc/countersign/policies", 0);
    check(&format!("source = \"{CRATES_IO}\""), 0);
    check(&format!("source = \"{}https://crates.example/index\"", REGISTRIES[1]), 1);
}
