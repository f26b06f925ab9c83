//! Slips: what lies among the policies as if it were one, and is read by nobody. `workspace/` for `workspaces/` is a tenant that is not there.
//!
//! Only warnings: people keep other things beside their policies. What editors and Kubernetes leave there is nobody's slip.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::files::{is_cases, is_policy};
use super::named_files::NamedFiles;
use crate::policy::{Findings, PolicySet, Source};

/// What is read, and from which folders.
const GATEWAY: &str = "gateway.toml";
const WORKSPACES: &str = "workspaces";
const FOLDERS: [&str; 3] = [WORKSPACES, "profiles", "addresses"];

/// What `countersign schema` writes for editors.
const SCHEMA: &str = "schema";

const WHERE: &str = "workspaces stand in `workspaces/`, profiles in `profiles/`, lists of addresses in `addresses/`";

/// Slips of one folder that are told: a folder of something else is one mistake, not ten thousand.
const TOLD_MAX: usize = 20;

/// Warns of whatever looks like a policy and is none. `set`: what was read, as far as it could be; what it names is read after all.
pub(super) fn find(directory: &Path, set: Option<&PolicySet>, findings: &mut Findings) {
    let named = set.map(NamedFiles::of).unwrap_or_default();
    let tell = |folder: &Path, slip: fn(&Path, &str) -> Option<String>, findings: &mut Findings| {
        let slips = entries(folder)
            .into_iter()
            .filter_map(|name| Some((folder.join(&name), slip(folder, &name)?)))
            .filter(|(path, _)| !named.paths().any(|named| named == path));
        for (path, words) in slips.take(TOLD_MAX) {
            findings.warning(&Source::new(path.display().to_string(), ""), 0..0, words);
        }
    };
    tell(directory, beside_the_folders, findings);
    for folder in FOLDERS {
        tell(&directory.join(folder), in_a_folder, findings);
    }
}

fn beside_the_folders(directory: &Path, name: &str) -> Option<String> {
    if directory.join(name).is_dir() {
        if FOLDERS.contains(&name) || name == SCHEMA {
            return None;
        }
        let meant = FOLDERS.into_iter().find(|folder| is_near(name, folder));
        let holds_policies = || entries(&directory.join(name)).iter().any(|name| is_policy(name) || is_cases(name));
        return match meant {
            Some(folder) => Some(format!("nothing reads this directory: did you mean `{folder}`?")),
            None if holds_policies() => Some(format!("nothing reads the `*.toml` of this directory: {WHERE}")),
            None => None,
        };
    }
    if name == GATEWAY {
        None
    } else if is_near(name, GATEWAY) {
        Some(format!("nothing reads this file: did you mean `{GATEWAY}`?"))
    } else if is_policy(name) || is_cases(name) || with_its_ending(name).is_some() {
        Some(format!("nothing reads this file: {WHERE}"))
    } else {
        None
    }
}

fn in_a_folder(folder: &Path, name: &str) -> Option<String> {
    if is_policy(name) || (is_cases(name) && folder.ends_with(WORKSPACES)) {
        None
    } else if is_cases(name) {
        Some("nothing reads this file: cases stand in `workspaces/`".to_owned())
    } else if folder.join(name).is_dir() {
        Some("nothing reads this directory: files stand right in the folder above it".to_owned())
    } else if let Some(meant) = with_its_ending(name) {
        Some(format!("nothing reads this file: did you mean `{meant}`?"))
    } else {
        Some(
            "nothing reads this file: only `*.toml` counts here (a dot before its name says that this is meant)"
                .to_owned(),
        )
    }
}

/// The names of a folder in their order, without those that are nobody's slip. One that cannot be read has none: whoever needs it says so.
fn entries(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| !is_meant(name)).collect()
}

/// Dot files (`..data` of Kubernetes among them), what is for people to read, and what editors and `patch` leave behind.
fn is_meant(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let endings = [".md", "~", "#", ".bak", ".orig", ".rej", ".swp", ".tmp"];
    lower.starts_with('.') || lower.starts_with("readme") || endings.iter().any(|ending| lower.ends_with(ending))
}

/// What the file would be called if its ending were one that is read: `acme.tml`, `acme.TOML`, `acme.toml.txt`.
fn with_its_ending(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    if stem.to_ascii_lowercase().ends_with(".toml") {
        return Some(stem.to_owned());
    }
    (strsim::damerau_levenshtein(&ending.to_ascii_lowercase(), "toml") <= 1).then(|| format!("{stem}.toml"))
}

/// One or two letters that are others, or in another place.
fn is_near(name: &str, meant: &str) -> bool {
    strsim::damerau_levenshtein(&name.to_ascii_lowercase(), meant) <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told where the directory holds these files.
    #[track_caller]
    fn check(files: &[&str], expected: &[&str]) {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "").expect("written");
        }
        let mut findings = Findings::default();
        find(directory.path(), None, &mut findings);
        let place = format!("{}/", directory.path().display());
        let told: Vec<String> = findings.iter().map(|finding| finding.to_string().replace(&place, "")).collect();
        assert_eq!(told, expected, "{files:?}");
    }

    #[test]
    fn what_is_read_or_was_never_meant_to_be_is_no_slip() {
        check(
            &["gateway.toml", "workspaces/a.toml", "workspaces/a.cases.toml", "profiles/p.toml", "addresses/l.toml"],
            &[],
        );
        check(&["schema/gateway.json", "README.md", "LICENSE", "certs/site.pem", "examples/chat/gateway.toml"], &[]);
        check(
            &["..data/gateway.toml", ".git/config", ".taplo.toml", "workspaces/.a.toml.swp", "workspaces/..data"],
            &[],
        );
        check(&["workspaces/a.toml~", "workspaces/#a.toml#", "workspaces/a.toml.bak", "workspaces/README"], &[]);
    }

    #[test]
    fn folders_of_almost_the_right_name_are_slips() {
        let meant = |name: &str, folder: &str| {
            check(
                &[&format!("{name}/x.toml")],
                &[&format!("{name}:1:1: nothing reads this directory: did you mean `{folder}`?")],
            );
        };
        meant("workspace", "workspaces");
        meant("Workspaces", "workspaces");
        meant("worksapces", "workspaces");
        meant("profile", "profiles");
        meant("adresses", "addresses");
        let elsewhere = format!("tenants:1:1: nothing reads the `*.toml` of this directory: {WHERE}");
        check(&["tenants/a.toml"], &[&elsewhere]);
    }

    #[test]
    fn files_of_almost_the_right_name_or_place_are_slips() {
        let one = |file: &str, words: &str| check(&[file], &[&format!("{file}:1:1: nothing reads this file: {words}")]);
        one("workspaces/acme.tml", "did you mean `acme.toml`?");
        one("workspaces/acme.TOML", "did you mean `acme.toml`?");
        one("workspaces/acme.toml.txt", "did you mean `acme.toml`?");
        one("workspaces/acme.toml.disabled", "did you mean `acme.toml`?");
        one("workspaces/acme.yaml", "only `*.toml` counts here (a dot before its name says that this is meant)");
        one("gatway.toml", "did you mean `gateway.toml`?");
        one("acme.toml", WHERE);
        one("acme.tml", WHERE);
        one("profiles/own.cases.toml", "cases stand in `workspaces/`");
        check(
            &["workspaces/team/acme.toml"],
            &["workspaces/team:1:1: nothing reads this directory: files stand right in the folder above it"],
        );
    }

    #[test]
    fn a_folder_of_something_else_is_told_of_and_not_listed() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("workspaces")).expect("made");
        for number in 0..100 {
            fs::write(directory.path().join(format!("workspaces/{number}.jpg")), "").expect("written");
        }
        let mut findings = Findings::default();
        find(directory.path(), None, &mut findings);
        assert_eq!(findings.len(), TOLD_MAX);
    }
}
