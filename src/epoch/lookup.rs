//! Looking up paths: which entries of which directories decide what a path leads to.
//!
//! A file is replaced by renaming another over it, or by pointing a symbolic link elsewhere, the last one or one on the way: Kubernetes
//! swaps `..data`, an ACME client swaps links into its archive. Whoever watches a file by its own name or inode misses all of these.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many as Linux follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The entries whose change may change what any of `paths` leads to: each symbolic link on the way, and the file itself or the first
/// name that does not exist. All of them are in directories that no symbolic link leads through.
pub(super) fn entries<'p>(paths: impl Iterator<Item = &'p Path>) -> BTreeSet<PathBuf> {
    let mut lookup = Lookup::default();
    for path in paths {
        // It fails for the empty path alone, or where there is no current directory: nothing is there to be looked at.
        if let Ok(path) = std::path::absolute(path) {
            lookup.follow(&path);
        }
    }
    lookup.entries
}

/// A name that was looked at. Most paths share their beginnings, so it is looked at once.
#[derive(Clone)]
enum Found {
    Link(PathBuf),
    Other,
    Nothing,
}

#[derive(Default)]
struct Lookup {
    entries: BTreeSet<PathBuf>,
    found: HashMap<PathBuf, Found>,
}

impl Lookup {
    fn follow(&mut self, path: &Path) {
        // The next step is the last one here.
        let mut steps = steps_backwards(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(step) = steps.pop() {
            let name = match step {
                Step::Root => {
                    at = PathBuf::from("/");
                    continue;
                }
                Step::Up => {
                    at.pop();
                    continue;
                }
                Step::Down(name) => name,
            };
            let next = at.join(name);
            match self.look_at(&next) {
                Found::Link(target) if links < LINKS_MAX => {
                    links += 1;
                    self.entries.insert(next);
                    steps.extend(steps_backwards(&target));
                }
                Found::Other if !steps.is_empty() => at = next,
                // A circle of links is as good as nothing: mending it changes one of the entries that are known already.
                Found::Link(_) | Found::Other | Found::Nothing => {
                    self.entries.insert(next);
                    return;
                }
            }
        }
    }

    fn look_at(&mut self, path: &Path) -> Found {
        if let Some(found) = self.found.get(path) {
            return found.clone();
        }
        let found = match (fs::read_link(path), fs::symlink_metadata(path)) {
            (Ok(target), _) => Found::Link(target),
            (Err(_), Ok(_)) => Found::Other,
            (Err(_), Err(_)) => Found::Nothing,
        };
        self.found.insert(path.to_owned(), found.clone());
        found
    }
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps_backwards(path: &Path) -> Vec<Step> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::Down(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree {
        _directory: tempfile::TempDir,
        root: PathBuf,
    }

    impl Tree {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let root = directory.path().canonicalize().expect("a path");
            Self { _directory: directory, root }
        }

        fn file(&self, name: &str) {
            let path = self.root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, name).expect("written");
        }

        fn link(&self, name: &str, target: &str) {
            symlink(target, self.root.join(name)).expect("linked");
        }

        #[track_caller]
        fn check(&self, path: &str, expected: &[&str]) {
            let found = entries(std::iter::once(self.root.join(path).as_path()));
            let expected: BTreeSet<_> = expected.iter().map(|name| self.root.join(name)).collect();
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn a_file_is_decided_by_its_own_entry() {
        let tree = Tree::new();
        tree.file("certs/a.pem");
        tree.file("policies/gateway.toml");
        tree.check("certs/a.pem", &["certs/a.pem"]);
        tree.check("policies/../certs/./a.pem", &["certs/a.pem"]);
    }

    #[test]
    fn a_link_is_an_entry_wherever_it_stands() {
        let tree = Tree::new();
        // As Kubernetes mounts a secret.
        tree.file("secret/..2026_11_20/tls.crt");
        tree.link("secret/..data", "..2026_11_20");
        tree.link("secret/tls.crt", "..data/tls.crt");
        tree.check("secret/tls.crt", &["secret/tls.crt", "secret/..data", "secret/..2026_11_20/tls.crt"]);
        // As an ACME client keeps its archive.
        tree.file("archive/host/chain2.pem");
        tree.file("live/host/README");
        tree.link("live/host/chain.pem", "../../archive/host/chain2.pem");
        tree.check("live/host/chain.pem", &["live/host/chain.pem", "archive/host/chain2.pem"]);
        // `..` leaves the directory that a link led to, as the system has it.
        tree.link("host", "live/host");
        tree.file("live/a.pem");
        tree.check("host/../a.pem", &["host", "live/a.pem"]);
        tree.link("absolute", tree.root.join("live").to_str().expect("text"));
        tree.check("absolute/a.pem", &["absolute", "live/a.pem"]);
    }

    #[test]
    fn where_something_is_missing_its_first_name_is_the_entry() {
        let tree = Tree::new();
        tree.file("certs/a.pem");
        tree.check("certs/gone/b.pem", &["certs/gone"]);
        tree.check("certs/b.pem", &["certs/b.pem"]);
        tree.link("dangling", "certs/gone/b.pem");
        tree.check("dangling", &["dangling", "certs/gone"]);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let tree = Tree::new();
        tree.link("one", "two");
        tree.link("two", "one");
        tree.check("one/a.pem", &["one", "two"]);
    }
}
