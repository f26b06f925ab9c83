//! The files of this repository, and the rules about which there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::nothing;
use crate::rust;

/// One text file: its name from the root of the repository, with `/`.
pub struct File {
    pub name: String,
    pub text: String,
}

/// What git does not keep, or keeps for itself.
const NOT_OURS: [&str; 4] = [".git", ".cargo", ".tools", "target"];

/// Every text file of the repository.
pub fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut files);
    assert!(files.len() > 100, "only {} files: is this the root of the repository?", files.len());
    files
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let full = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{full}/"), files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(File { name: full, text });
        }
    }
}

/// The sources of the library and the binary that are compiled outside tests.
pub fn sources() -> Vec<File> {
    let mut files = files();
    files.retain(|file| file.name.starts_with("src/") && has_ending(&file.name, "rs"));
    let tests: Vec<String> = files.iter().flat_map(rust::test_modules).collect();
    files.retain(|file| {
        let module = file.name.trim_end_matches(".rs");
        !tests
            .iter()
            .any(|test| module.strip_prefix(test.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    });
    files
}

pub fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

/// Names that say nothing about what is inside, and the folder's own file inside the folder.
const NAMELESS: [&str; 8] = ["common", "helper", "helpers", "misc", "mod", "types", "util", "utils"];

fn nameless(name: &str) -> Option<String> {
    let path = Path::new(name);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).and_then(|folder| folder.to_str());
    let is_rust = has_ending(name, "rs");
    (is_rust
        && (NAMELESS.contains(&stem)
            || folder == Some(stem)
            || folder.is_some_and(|folder| NAMELESS.contains(&folder))))
    .then(|| format!("{name}: name it after what it owns; `room.rs` stands beside `room/`"))
}

#[test]
fn every_file_is_named_after_what_it_owns() {
    nothing(&files().iter().filter_map(|file| nameless(&file.name)).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_named_after_nothing_is_found() {
    for name in ["src/edge/utils.rs", "src/edge/mod.rs", "src/types.rs", "src/edge/edge.rs", "tests/common/server.rs"] {
        assert!(nameless(name).is_some(), "{name}");
    }
    for name in ["src/edge.rs", "src/edge/modes.rs", "docs/types.md", "src/edge/helper_names.rs"] {
        assert!(nameless(name).is_none(), "{name}");
    }
}

#[test]
fn every_profile_of_the_tree_is_inside_the_binary() {
    let of_tree: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| file.name.strip_prefix("policies/profiles/")?.strip_suffix(".toml"))
        .map(str::to_owned)
        .collect();
    let shipped: BTreeSet<String> =
        countersign::profile::shipped().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(of_tree, shipped);
}
