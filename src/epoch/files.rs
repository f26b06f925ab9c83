//! The policy directory, read whole into memory with its digest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::slips;
use crate::edge::regular_file;
use crate::policy::{Findings, PolicyFiles, PolicySet, Source};

/// Why the directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("there is no directory `{}`: name the one that holds `gateway.toml`", .0.display())]
    Missing(PathBuf),
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("`{}` holds more than {FILES_MAX} files", .0.display())]
    TooMany(PathBuf),
    #[error("`{}` is not UTF-8 text", .0.display())]
    NotText(PathBuf),
}

/// A policy file is written by people.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Files of one folder.
const FILES_MAX: usize = 20_000;

/// Bytes of the digest that name an epoch.
const DIGEST_BYTES: usize = 6;

/// All policy files at one moment.
pub struct PolicyDirectory {
    files: PolicyFiles,
    digest: String,
}

impl PolicyDirectory {
    /// Reads `gateway.toml`, `profiles/*.toml`, `workspaces/*.toml` (their `*.cases.toml` belong to the tests) and `addresses/*.toml`. A
    /// profile or list that ships with the program is used where the directory has none of that name.
    ///
    /// # Errors
    ///
    /// There is no such directory, or a file cannot be read whole. A missing folder within it is an empty one.
    pub fn read(directory: &Path) -> Result<Self, FilesError> {
        if !directory.is_dir() {
            return Err(FilesError::Missing(directory.to_owned()));
        }
        let gateway = match directory.join("gateway.toml") {
            path if path.exists() => Some(read(&path)?),
            _ => None,
        };
        let mut profiles = read_folder(&directory.join("profiles"), is_policy)?;
        add_shipped(&mut profiles, crate::profile::shipped());
        let workspaces = read_folder(&directory.join("workspaces"), is_policy)?;
        let mut addresses = read_folder(&directory.join("addresses"), is_policy)?;
        add_shipped(&mut addresses, crate::policy::shipped_addresses());
        let digest = digest_of(gateway.iter().chain(&profiles).chain(&workspaces).chain(&addresses));
        let files = PolicyFiles { gateway, profiles, workspaces, addresses, base: directory.to_owned() };
        Ok(Self { files, digest })
    }

    /// The texts.
    #[must_use]
    pub fn policy_files(&self) -> &PolicyFiles {
        &self.files
    }

    /// Reads `workspaces/*.cases.toml`. They are no part of an epoch: a mistake in one keeps nothing from serving.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_cases(&self) -> Result<Vec<Source>, FilesError> {
        read_folder(&self.files.base.join("workspaces"), is_cases)
    }

    /// Warns of what lies there like a policy and is read by nobody. `set`: what the texts mean, where they mean something.
    pub fn slips(&self, set: Option<&PolicySet>, findings: &mut Findings) {
        slips::find(&self.files.base, set, findings);
    }

    /// What names this set of texts: the beginning of a SHA-256 over names and contents, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn add_shipped(sources: &mut Vec<Source>, shipped: impl IntoIterator<Item = (&'static str, &'static str)>) {
    for (id, text) in shipped {
        let name = format!("{id}.toml");
        let is_there = |source: &Source| Path::new(&source.name).file_name().is_some_and(|file| file == name.as_str());
        if !sources.iter().any(is_there) {
            sources.push(Source { name: format!("(shipped)/{name}"), text: text.to_owned() });
        }
    }
}

fn digest_of<'s>(sources: impl Iterator<Item = &'s Source>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for source in sources {
        for part in [&source.name, &source.text] {
            // Lengths first, so that no two sets of files make one sequence of bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    context.finish().as_ref().iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

const POLICY: &str = ".toml";
const CASES: &str = ".cases.toml";

pub(super) fn is_policy(name: &str) -> bool {
    name.ends_with(POLICY) && !is_cases(name)
}

pub(super) fn is_cases(name: &str) -> bool {
    name.ends_with(CASES)
}

fn read_folder(folder: &Path, is_wanted: fn(&str) -> bool) -> Result<Vec<Source>, FilesError> {
    let failed = |source| FilesError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Editors and Kubernetes leave dot files beside the real ones.
        if is_wanted(name) && !name.starts_with('.') {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(FilesError::TooMany(folder.to_owned()));
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Source, FilesError> {
    let bytes = regular_file::read(path, FILE_BYTES_MAX).map_err(|source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::FileTooLarge {
            FilesError::TooLarge(path)
        } else {
            FilesError::Read { path, source }
        }
    })?;
    let text = String::from_utf8(bytes).map_err(|_| FilesError::NotText(path.to_owned()))?;
    Ok(Source { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_names_the_texts_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("workspaces")).expect("made");
        let acme = directory.path().join("workspaces/acme.toml");
        let digest = || PolicyDirectory::read(directory.path()).expect("read").digest().to_owned();
        fs::write(&acme, "mode = \"observe\"").expect("written");
        let first = digest();
        fs::write(directory.path().join("workspaces/acme.cases.toml"), "x").expect("written");
        fs::write(directory.path().join("workspaces/.acme.toml.swp"), "x").expect("written");
        assert_eq!(digest(), first);
        fs::write(&acme, "mode = \"enforce\"").expect("written");
        assert_ne!(digest(), first);
        fs::write(&acme, "mode = \"observe\"").expect("written");
        assert_eq!(digest(), first);
    }

    #[test]
    fn the_shipped_profiles_stand_in_for_absent_ones() {
        let directory = tempfile::tempdir().expect("a directory");
        let names = |files: &PolicyDirectory| {
            files.policy_files().profiles.iter().map(|source| source.name.clone()).collect::<Vec<_>>()
        };
        let files = PolicyDirectory::read(directory.path()).expect("read");
        assert!(names(&files).contains(&"(shipped)/intercom-web.toml".to_owned()));
        fs::create_dir(directory.path().join("profiles")).expect("made");
        fs::write(directory.path().join("profiles/intercom-web.toml"), "title = \"mine\"").expect("written");
        let files = PolicyDirectory::read(directory.path()).expect("read");
        assert_eq!(names(&files).iter().filter(|name| name.ends_with("intercom-web.toml")).count(), 1);
        assert!(!names(&files).contains(&"(shipped)/intercom-web.toml".to_owned()));
    }
}
