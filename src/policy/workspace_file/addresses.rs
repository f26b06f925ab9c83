//! `[[addresses]]` of a workspace: from where requests may come.

use std::sync::Arc;

use schemars::JsonSchema;

use super::super::address_lists::{AddressLists, AddressRule, NamedList};
use super::super::finding::Findings;
use super::super::networks::{Network, NetworkError, Networks};
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::source::Source;
use super::did_you_mean;
use crate::profile::Operation;

/// From where requests of some operations may come. Any other address is refused.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawAddresses {
    /// Names of operations of the profile; for `json` the paths of routes. Default: all that no other of these tables names.
    #[schemars(length(min = 1))]
    operations: Option<Placed<Vec<Placed<String>>>>,
    /// Names of lists in `addresses/`, such as `intercom-us`; addresses and networks.
    #[schemars(required, length(min = 1))]
    from: Option<Placed<Vec<Placed<String>>>>,
}

impl RawAddresses {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self { operations: table.optional("operations", some_texts), from: table.required("from", some_texts) }
    }
}

fn some_texts(value: &Value<'_>) -> Option<Placed<Vec<Placed<String>>>> {
    if value.is_empty_list() {
        value.error("expected at least one");
        return None;
    }
    value.list(Value::text)
}

/// What the tables mean. `None` after a mistake that is already among the findings.
pub(super) fn resolve(
    raw: Vec<Placed<RawAddresses>>,
    operations: &[Arc<Operation>],
    lists: &AddressLists,
    source: &Source,
    findings: &mut Findings,
) -> Option<Vec<AddressRule>> {
    let mut rules: Vec<AddressRule> = Vec::with_capacity(raw.len());
    let mut good = true;
    for Placed { value: RawAddresses { operations: names, from }, span } in raw {
        let named = names.map(|names| names.value);
        if named.is_none() && rules.iter().any(|rule| rule.operations.is_empty()) {
            findings.error(source, span, "`addresses`: two tables are about all operations");
            good = false;
        }
        let mut of_rule = Vec::new();
        for name in named.into_iter().flatten() {
            let known = || operations.iter().map(|operation| operation.name.as_str());
            if !known().any(|known| known == name.value) {
                let message = format!("`addresses`: there is no operation {}", quoted(&name.value));
                findings.error(source, name.span, message).help(did_you_mean(&name.value, known()));
                good = false;
            } else if of_rule.contains(&name.value) || rules.iter().any(|rule| rule.names(&name.value)) {
                let message = format!("`addresses`: operation {} is named already", quoted(&name.value));
                findings.error(source, name.span, message).help("put both into one table");
                good = false;
            } else {
                of_rule.push(name.value);
            }
        }
        let Some(from) = from else {
            good = false;
            continue;
        };
        let (mut networks, mut used) = (Vec::new(), Vec::new());
        for name in from.value {
            match (lists.find(&name.value), Network::try_from(name.value.as_str())) {
                (NamedList::Known(list), _) => {
                    if let Some((message, help)) = list.doubt() {
                        findings.warning(source, name.span, message).help(help);
                    }
                    networks.extend(&list.networks);
                    used.push(name.value);
                }
                (NamedList::Broken, _) => good = false,
                (NamedList::Unknown, Ok(network)) => networks.push(network),
                (NamedList::Unknown, Err(error @ NetworkError::HostBits(_))) => {
                    findings.error(source, name.span, format!("`from`: {error}, found {}", quoted(&name.value)));
                    good = false;
                }
                (NamedList::Unknown, Err(NetworkError::Syntax)) => {
                    let message = format!("`from`: neither a network nor a list: {}", quoted(&name.value));
                    findings.error(source, name.span, message).help(did_you_mean(&name.value, lists.names()));
                    good = false;
                }
            }
        }
        let networks: Networks = networks.into_iter().collect();
        if networks.are_everybody() {
            findings.warning(source, from.span, "`from`: this lets in everybody");
        }
        rules.push(AddressRule { operations: of_rule, lists: used, from: networks });
    }
    good.then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{GATEWAY, WORKSPACE, files, lines, parse_profile};
    use super::super::super::set::parse_with;
    use super::*;

    const LIST: &str = "title = \"ours\"\nsource = \"a page\"\nnetworks = [\"192.0.2.0/24\"]\n";

    #[track_caller]
    fn check(tables: &str, lists: &[(&str, &str)], expected: &[&str]) -> Option<super::super::super::Workspace> {
        let mut files = files(GATEWAY, &[&format!("{WORKSPACE}{tables}")]);
        files.addresses = lists.iter().map(|(name, text)| Source::new(format!("{name}.toml"), *text)).collect();
        let (set, findings) = parse_with(&files, parse_profile);
        assert_eq!(lines(&findings), expected);
        assert_eq!(set.is_some(), !findings.has_errors());
        set.and_then(|set| set.workspaces.into_iter().next())
    }

    #[test]
    fn a_rule_names_operations_and_lists() {
        let verified = format!("verified = \"2026-11-27\"\n{LIST}");
        let all = "[[addresses]]\nfrom = [\"ours\", \"2001:db8::1\"]\n";
        let workspace = check(all, &[("ours", &verified)], &[]).expect("a workspace");
        for (address, expected) in
            [("192.0.2.7", true), ("2001:db8::1", true), ("::ffff:192.0.2.7", true), ("192.0.3.1", false)]
        {
            assert_eq!(workspace.admits_address("ping", address.parse().unwrap()), expected, "{address}");
        }
        let one =
            "[[addresses]]\noperations = [\"ping\"]\nfrom = [\"10.0.0.0/8\"]\n[[addresses]]\nfrom = [\"192.0.2.7\"]\n";
        let workspace = check(one, &[], &[]).expect("a workspace");
        for (operation, address, expected) in [
            ("ping", "10.0.0.1", true),
            ("ping", "192.0.2.7", false),
            ("other", "192.0.2.7", true),
            ("other", "10.0.0.1", false),
        ] {
            assert_eq!(workspace.admits_address(operation, address.parse().unwrap()), expected, "{operation}");
        }
        let workspace =
            check("[[addresses]]\noperations = [\"ping\"]\nfrom = [\"10.0.0.0/8\"]\n", &[], &[]).expect("one");
        assert!(workspace.admits_address("other", "192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn a_list_that_nobody_verified_and_one_that_nobody_names_are_warned_of() {
        let used = "[[addresses]]\nfrom = [\"ours\"]\n";
        check(
            used,
            &[("ours", LIST)],
            &[
                "warning: a.toml:19:9: nobody has written down when the list `ours` was verified (hold `addresses/ours.toml` \
                 against `a page`, and put `verified = \"…\"` into it)",
            ],
        );
        check(
            "",
            &[("ours", LIST), ("intercom-eu", include_str!("../../../policies/addresses/intercom-eu.toml"))],
            &["warning: ours.toml:1:1: no workspace names this list"],
        );
    }

    #[test]
    fn what_is_no_operation_and_no_list_is_said() {
        check(
            "[[addresses]]\noperations = [\"pings\"]\nfrom = [\"our\"]\n[[addresses]]\noperations = [\"ping\", \"ping\"]\nfrom = []\n",
            &[("ours", LIST)],
            &[
                "error: a.toml:19:15: `addresses`: there is no operation `pings` (did you mean `ping`?)",
                "error: a.toml:20:9: `from`: neither a network nor a list: `our` (did you mean `ours`?)",
                "error: a.toml:22:23: `addresses`: operation `ping` is named already (put both into one table)",
                "error: a.toml:23:8: `addresses[1].from`: expected at least one",
            ],
        );
        check(
            "[[addresses]]\nfrom = [\"10.0.0.0/8\"]\n[[addresses]]\nfrom = [\"0.0.0.0/0\"]\n",
            &[],
            &[
                "error: a.toml:20:1: `addresses`: two tables are about all operations",
                "warning: a.toml:21:8: `from`: this lets in everybody",
            ],
        );
        check(
            "[[addresses]]\nfrom = [\"192.0.2.5/24\"]\n",
            &[],
            &[
                "error: a.toml:19:9: `from`: expected a network without bits behind its prefix, such as `192.0.2.0/24`, \
                 found `192.0.2.5/24`",
            ],
        );
        check(
            "[[addresses]]\nfrom = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\n",
            &[],
            &["warning: a.toml:19:8: `from`: this lets in everybody"],
        );
        // A list with mistakes of its own is no unknown list.
        check(
            "[[addresses]]\nfrom = [\"ours\"]\n",
            &[("ours", "title = \"ours\"")],
            &["error: ours.toml:1:1: `networks` is missing"],
        );
    }
}
