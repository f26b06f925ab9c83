//! A whole set of policy files: what one epoch is made of.

use std::path::PathBuf;
use std::sync::Arc;

use super::address_lists::{AddressLists, shipped_addresses};
use super::finding::Findings;
use super::gateway::Gateway;
use super::gateway_file::RawGateway;
use super::lints;
use super::profile_file::parse_profile;
use super::reader::quoted;
use super::source::Source;
use super::workspace::Workspace;
use super::workspace_file::{Landmarks, RawWorkspace, Surroundings, share_a_call};
use crate::profile::{Class, Operation, Profile};

/// The texts of one set.
#[derive(Clone, Debug, Default)]
pub struct PolicyFiles {
    pub gateway: Option<Source>,
    pub profiles: Vec<Source>,
    pub workspaces: Vec<Source>,
    /// Lists of addresses.
    pub addresses: Vec<Source>,
    /// The directory of the policies, to which their paths are relative.
    pub base: PathBuf,
}

/// What a set of files means.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub gateway: Gateway,
    pub profiles: Vec<Arc<Profile>>,
    pub workspaces: Vec<Workspace>,
}

/// Reads a whole set. There is a set, of one workspace at least, exactly where no finding is an error; the findings come file by file, top to bottom.
#[must_use]
pub fn parse(files: &PolicyFiles) -> (Option<PolicySet>, Findings) {
    let (set, mut findings) = parse_with(files, parse_profile);
    if !files.workspaces.is_empty() {
        return (set, findings);
    }
    // Nobody runs a gateway that refuses everybody; somebody moved a directory, or took the wrong one.
    let folder = Source::new(files.base.join("workspaces").display().to_string(), "");
    findings
        .error(&folder, 0..0, "there is no workspace: each is a file `*.toml` of this directory")
        .help("a gateway without one would answer everybody with 404");
    findings.sort();
    (None, findings)
}

/// Reads `gateway.toml` alone, whatever there is beside it.
#[must_use]
pub fn parse_gateway(files: &PolicyFiles) -> (Option<Gateway>, Findings) {
    let alone = PolicyFiles { gateway: files.gateway.clone(), base: files.base.clone(), ..PolicyFiles::default() };
    let (set, findings) = parse_with(&alone, parse_profile);
    (set.map(|set| set.gateway), findings)
}

/// Tests bring profiles of their own, so that a change of a shipped one breaks only the tests that are about it.
pub(super) fn parse_with(
    files: &PolicyFiles,
    parse_profile: fn(&Source, &mut Findings) -> Option<Profile>,
) -> (Option<PolicySet>, Findings) {
    let mut findings = Findings::default();
    let PolicyFiles { gateway, profiles, workspaces, addresses, base } = files;
    refuse_equal_names(profiles, "profiles", &mut findings);
    refuse_equal_names(workspaces, "workspaces", &mut findings);
    let address_lists = AddressLists::parse(addresses, &mut findings);

    if gateway.is_none() {
        let missing = Source::new(base.join("gateway.toml").display().to_string(), "");
        findings.error(&missing, 0..0, "there is no such file");
    }
    let raw_gateway =
        gateway.as_ref().and_then(|source| RawGateway::read(source, &mut findings).map(|raw| (source, raw)));
    let upstreams = raw_gateway.as_ref().map(|(_, raw)| raw.upstream_names());
    let gateway = raw_gateway.and_then(|(source, raw)| raw.resolve(source, base, &mut findings));

    let mut known = Vec::new();
    let mut broken = Vec::new();
    for source in profiles {
        match parse_profile(source, &mut findings) {
            Some(profile) => known.push(Arc::new(profile)),
            None => broken.push(source.stem().to_owned()),
        }
    }
    let surroundings = Surroundings {
        profiles: &known,
        broken_profiles: &broken,
        upstreams: upstreams.as_deref(),
        base,
        address_lists: &address_lists,
    };
    let read: Vec<(&Source, Landmarks, Workspace)> = workspaces
        .iter()
        .filter_map(|source| {
            let errors_before = findings.error_count();
            let raw = RawWorkspace::read(source, &mut findings)?;
            let landmarks = raw.landmarks();
            let workspace = raw.resolve(source, &surroundings, &mut findings)?;
            // A lint on a file with mistakes would speak of what nobody wrote.
            if findings.error_count() == errors_before {
                lints::lint(&workspace, gateway.as_ref(), &landmarks, source, &mut findings);
            }
            Some((source, landmarks, workspace))
        })
        .collect();
    refuse_overlaps(&read, &mut findings);
    warn_of_shared_requests(&read, &mut findings);
    // A workspace with mistakes may name any of them.
    if !findings.has_errors() {
        unused_lists(addresses, read.iter().map(|(_, _, workspace)| workspace), &mut findings);
    }
    findings.sort();

    let workspaces = read.into_iter().map(|(_, _, workspace)| workspace).collect();
    let set =
        gateway.filter(|_| !findings.has_errors()).map(|gateway| PolicySet { gateway, profiles: known, workspaces });
    (set, findings)
}

fn refuse_equal_names(sources: &[Source], kind: &str, findings: &mut Findings) {
    for (index, source) in sources.iter().enumerate() {
        if sources.iter().take(index).any(|earlier| earlier.stem() == source.stem()) {
            findings.error(source, source.line_at(0), format!("two {kind} are called {}", quoted(source.stem())));
        }
    }
}

/// Lists of the operator's own that nobody uses: most likely a workspace is open that should not be.
fn unused_lists<'w>(sources: &[Source], workspaces: impl Iterator<Item = &'w Workspace>, findings: &mut Findings) {
    let used: Vec<&String> =
        workspaces.flat_map(|workspace| &workspace.addresses).flat_map(|rule| &rule.lists).collect();
    for source in sources {
        // One of ours may lie there as it came.
        let is_shipped = shipped_addresses().contains(&(source.stem(), source.text.as_str()));
        if !is_shipped && !used.iter().any(|name| *name == source.stem()) {
            findings.warning(source, source.line_at(0), "no workspace names this list");
        }
    }
}

/// Of two workspaces that could both answer for a request, an attacker would choose.
fn refuse_overlaps(read: &[(&Source, Landmarks, Workspace)], findings: &mut Findings) {
    for (index, (source, landmarks, workspace)) in read.iter().enumerate() {
        for (_, _, earlier) in
            read.iter().take(index).filter(|(_, _, earlier)| earlier.profile.id == workspace.profile.id)
        {
            let claimed_twice = landmarks.app_ids.iter().find(|id| earlier.app_ids.contains(&id.value));
            if let Some(id) = claimed_twice {
                let message =
                    format!("`app_ids`: {} belongs to workspace {} already", quoted(&id.value), quoted(&earlier.id));
                findings.error(source, id.span.clone(), message);
            } else if are_indistinct(workspace, earlier) {
                let message =
                    format!("requests of this workspace cannot be told from those of {}", quoted(&earlier.id));
                findings
                    .error(source, landmarks.profile.clone(), message)
                    .help("give both `app_ids`, or `hosts` that differ");
            }
        }
    }
}

/// What a widget loads names no workspace, so that it must come from where each lets in: the stricter list holds for both.
fn warn_of_shared_requests(read: &[(&Source, Landmarks, Workspace)], findings: &mut Findings) {
    for (index, (source, landmarks, workspace)) in read.iter().enumerate() {
        let shares = |earlier: &Workspace| {
            (&earlier.profile.id, &earlier.upstream) == (&workspace.profile.id, &workspace.upstream)
                && !are_told_by_host(workspace, earlier)
        };
        for (_, _, earlier) in read.iter().take(index).filter(|(_, _, earlier)| shares(earlier)) {
            let differs = |operation: &&Arc<Operation>| {
                let name = &operation.name;
                operation.class == Class::Pass && workspace.networks_of(name) != earlier.networks_of(name)
            };
            if let Some(operation) = workspace.operations.iter().find(differs) {
                let message = format!(
                    "`addresses`: {} of {} comes from elsewhere, and on one host it need not name its workspace",
                    quoted(&operation.name),
                    quoted(&earlier.id)
                );
                findings
                    .warning(source, landmarks.profile.clone(), message)
                    .help("then it passes only from where both let in: give each `hosts` of its own");
            }
        }
    }
}

fn are_told_by_host(a: &Workspace, b: &Workspace) -> bool {
    !a.hosts.is_empty() && !b.hosts.is_empty() && !a.hosts.iter().any(|host| b.hosts.contains(host))
}

fn are_indistinct(a: &Workspace, b: &Workspace) -> bool {
    let told_by_app_id = !a.app_ids.is_empty() && !b.app_ids.is_empty();
    let told_by_host = are_told_by_host(a, b);
    let share_calls =
        a.operations.iter().any(|operation| b.operations.iter().any(|other| share_a_call(operation, other)));
    !told_by_app_id && !told_by_host && share_calls
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{self, GATEWAY, JSON_WORKSPACE, WORKSPACE, files, lines, read, with};
    use super::*;

    #[track_caller]
    fn check(workspaces: &[&str], expected: &[&str]) {
        let (set, findings) = read(GATEWAY, workspaces);
        assert_eq!(lines(&findings), expected);
        assert_eq!(set.map(|set| set.workspaces.len()), expected.is_empty().then_some(workspaces.len()));
    }

    #[test]
    fn the_files_that_we_ship_are_good() {
        let policies =
            [include_str!("../../policies/gateway.toml"), include_str!("../../policies/workspaces/acme.toml")];
        let [gateway, acme] = policies;
        assert!(gateway.starts_with("#:schema schema/gateway.json\n"));
        assert!(acme.starts_with("#:schema ../schema/workspace.json\n"));
        let shipped = crate::profile::shipped();
        let (set, findings) = parse(&PolicyFiles {
            gateway: Some(Source::new("policies/gateway.toml", gateway)),
            profiles: shipped
                .iter()
                .map(|(id, text)| Source::new(format!("policies/profiles/{id}.toml"), *text))
                .collect(),
            workspaces: vec![Source::new("policies/workspaces/acme.toml", acme)],
            addresses: Vec::new(),
            base: PathBuf::from("policies"),
        });
        assert!(findings.is_empty(), "{}", findings.render(super::super::finding::Paint::Plain));
        assert_eq!(set.map(|set| set.workspaces.len()), Some(1));
    }

    #[test]
    fn workspaces_are_told_apart_by_app_id() {
        check(&[WORKSPACE, &with(WORKSPACE, "abc12345", "def67890")], &[]);
        check(&[WORKSPACE, WORKSPACE], &["error: b.toml:3:12: `app_ids`: `abc12345` belongs to workspace `a` already"]);
        // Of two hosts an attacker would choose the laxer one.
        let hosts = |host: &str| with(WORKSPACE, "upstream", &format!("hosts = [\"{host}\"]\nupstream"));
        check(
            &[&hosts("a.example"), &hosts("b.example")],
            &["error: b.toml:3:12: `app_ids`: `abc12345` belongs to workspace `a` already"],
        );
    }

    #[test]
    fn workspaces_without_app_ids_are_told_apart_by_host() {
        let hosts = |host: &str| with(WORKSPACE, "app_ids = [\"abc12345\"]", &format!("hosts = [\"{host}\"]"));
        check(&[&hosts("a.example"), &hosts("b.example")], &[]);
        let expected = "error: b.toml:2:11: requests of this workspace cannot be told from those of `a` (give both `app_ids`, \
                        or `hosts` that differ)";
        check(&[&hosts("a.example"), &hosts("a.example")], &[expected]);
        check(&[&hosts("a.example"), WORKSPACE], &[expected]);
    }

    #[test]
    fn addresses_that_differ_where_requests_name_nobody_are_warned_of() {
        let site = |app_id: &str, above: &str, below: &str| {
            let text = with(WORKSPACE, "\"web\"", "\"pages\"").replace("abc12345", app_id);
            with(&with(&text, "upstream", &format!("{above}upstream")), "[identity]", &format!("{below}[identity]"))
        };
        let check = |a: &str, b: &str, expected: &[&str]| {
            let mut files = files(GATEWAY, &[a, b]);
            files.profiles.push(Source::new("pages.toml", ""));
            assert_eq!(lines(&parse_with(&files, fixtures::parse_profile).1), expected);
        };
        let listed = "[[addresses]]\nfrom = [\"192.0.2.7\"]\n";
        let (a, b) = (site("a", "", ""), site("b", "", listed));
        check(
            &a,
            &b,
            &[
                "warning: b.toml:2:11: `addresses`: `files` of `a` comes from elsewhere, and on one host it need not name its workspace \
               (then it passes only from where both let in: give each `hosts` of its own)",
            ],
        );
        check(&site("a", "", listed), &b, &[]);
        check(&a, &site("b", "", &listed.replace("from", "operations = [\"ping\"]\nfrom")), &[]);
        let host = |name: &str| format!("hosts = [\"{name}.example\"]\n");
        check(&site("a", &host("a"), ""), &site("b", &host("b"), listed), &[]);
    }

    #[test]
    fn workspaces_of_own_routes_are_told_apart_by_these() {
        check(&[JSON_WORKSPACE, &with(JSON_WORKSPACE, "/users/{id}", "/people/{id}")], &[]);
        check(
            &[JSON_WORKSPACE, &with(JSON_WORKSPACE, "{id}", "{id}")],
            &[
                "error: b.toml:2:11: requests of this workspace cannot be told from those of `a` (give both `app_ids`, or \
               `hosts` that differ)",
            ],
        );
    }

    #[test]
    fn no_gateway_file_is_no_gateway() {
        let (set, findings) =
            parse_with(&PolicyFiles { gateway: None, ..files(GATEWAY, &[]) }, fixtures::parse_profile);
        assert!(set.is_none());
        assert_eq!(lines(&findings), ["error: policies/gateway.toml:1:1: there is no such file"]);
    }

    #[test]
    fn a_broken_file_does_not_make_those_that_name_it_wrong() {
        let mut broken = files("[upstreams", &[&with(WORKSPACE, "\"web\"", "\"broken\"")]);
        broken.profiles.push(Source::new("broken.toml", ""));
        let (set, findings) = parse_with(&broken, fixtures::parse_profile);
        assert!(set.is_none());
        assert!(findings.iter().all(|finding| finding.file != "a.toml"), "{findings:?}");
        // An upstream that is there with a mistake in it is no unknown upstream.
        let (_, findings) = read(&with(GATEWAY, "http://127.0.0.1:9000", "nowhere"), &[WORKSPACE]);
        assert_eq!(findings.len(), 1, "{findings:?}");
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let mut twice = files(GATEWAY, &[]);
        twice.profiles.push(Source::new("own/web.toml", ""));
        let (set, findings) = parse_with(&twice, fixtures::parse_profile);
        assert!(set.is_none());
        assert_eq!(lines(&findings), ["error: own/web.toml:1:1: two profiles are called `web`"]);
    }

    proptest! {
        /// Files with lines gone, doubled and mangled: whatever comes of it, there is a set or an error and never a panic.
        #[test]
        fn no_text_panics(
            picks in prop::collection::vec((0usize..40, 0u8..5, "\\PC{0,12}"), 0..12),
            garbage in "\\PC{0,80}",
        ) {
            let mangle = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
                for (at, what, garbage) in &picks {
                    let at = at % lines.len();
                    match what {
                        0 => lines[at].clear(),
                        1 => { let line = lines[at].clone(); lines.push(line); }
                        2 => lines[at].push_str(garbage),
                        3 => lines[at] = lines[at].replace('"', ""),
                        _ => lines[at] = lines[at].replace("= ", &format!("= [{garbage:?}] #")),
                    }
                }
                lines.join("\n")
            };
            let (_, findings) = read(&mangle(GATEWAY), &[&mangle(WORKSPACE), &mangle(JSON_WORKSPACE), &garbage]);
            let _ = (findings.render(super::super::finding::Paint::Coloured), serde_json::to_string(&findings));
        }
    }
}
