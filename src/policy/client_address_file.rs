//! `[client_address]` of `gateway.toml`.

use schemars::JsonSchema;

use super::client_address::{ProxyHeader, TrustedProxies};
use super::keywords::keywords;
use super::networks::{NETWORKS_MAX, Network, Networks};
use super::reader::{Placed, Table, Value};

/// Whose word about the client's address counts, where proxies that speak HTTP stand before this one.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawClientAddress {
    /// The addresses and networks of these proxies, such as `10.0.0.0/8`.
    #[schemars(required, with = "Option<Vec<String>>", length(min = 1))]
    trusted_proxies: Option<Placed<Vec<Placed<Network>>>>,
    /// The header in which they name their client.
    #[schemars(required)]
    header: Option<Placed<ProxyHeader>>,
}

keywords!(
    ProxyHeader: "x-forwarded-for" => ProxyHeader::XForwardedFor,
    "forwarded" => ProxyHeader::Forwarded,
);

impl RawClientAddress {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            trusted_proxies: table.required("trusted_proxies", believed_networks),
            header: table.required("header", Value::keyword),
        }
    }

    pub(super) fn resolve(self) -> Option<TrustedProxies> {
        let Self { trusted_proxies, header } = self;
        Some(TrustedProxies { networks: set(trusted_proxies?), header: header?.value })
    }
}

/// The networks as one set.
pub(super) fn set(networks: Placed<Vec<Placed<Network>>>) -> Networks {
    networks.value.into_iter().map(|network| network.value).collect()
}

/// A list of networks.
pub(super) fn networks(value: &Value<'_>) -> Option<Placed<Vec<Placed<Network>>>> {
    let networks = value.list(|value| value.parsed(|text| Network::try_from(text)))?;
    if networks.value.len() > NETWORKS_MAX {
        value.error(format!("expected {NETWORKS_MAX} networks at most"));
        return None;
    }
    Some(networks)
}

/// Networks of whoever is believed about the addresses of others: somebody, and not everybody.
pub(super) fn believed_networks(value: &Value<'_>) -> Option<Placed<Vec<Placed<Network>>>> {
    if value.is_empty_list() {
        value.error("expected at least one address or network");
        return None;
    }
    let networks = networks(value)?;
    if networks.value.iter().map(|network| network.value).collect::<Networks>().are_everybody() {
        value.error("everybody could claim any address: name the proxies alone");
        return None;
    }
    Some(networks)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{GATEWAY, lines, read};

    #[track_caller]
    fn check(table: &str, expected: &[&str]) {
        let (set, findings) = read(&format!("{GATEWAY}[client_address]\n{table}\n"), &[]);
        assert_eq!(lines(&findings), expected);
        assert_eq!(set.is_some(), expected.is_empty());
    }

    #[test]
    fn whom_to_believe_is_said_in_full() {
        check("trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\"]\nheader = \"forwarded\"", &[]);
        check(
            "",
            &[
                "error: gateway.toml:8:1: `client_address.trusted_proxies` is missing",
                "error: gateway.toml:8:1: `client_address.header` is missing",
            ],
        );
        check(
            "trusted_proxies = []\nheader = \"x-forwarded-for\"",
            &["error: gateway.toml:9:19: `client_address.trusted_proxies`: expected at least one address or network"],
        );
        check(
            "trusted_proxies = [\"10.0.0.0/8\", \"::/0\"]\nheader = \"x-forwarded\"",
            &[
                "error: gateway.toml:9:19: `client_address.trusted_proxies`: everybody could claim any address: name the \
                 proxies alone",
                "error: gateway.toml:10:10: `client_address.header`: expected `x-forwarded-for` or `forwarded`, found \
                 `x-forwarded` (did you mean `forwarded`?)",
            ],
        );
        check(
            "trusted_proxies = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\nheader = \"forwarded\"",
            &[
                "error: gateway.toml:9:19: `client_address.trusted_proxies`: everybody could claim any address: name the \
                 proxies alone",
            ],
        );
        check(
            "trusted_proxies = [\"10.1.0.0/8\", \"balancer\"]\nheader = \"forwarded\"",
            &[
                "error: gateway.toml:9:20: `client_address.trusted_proxies[0]`: expected a network without bits behind its \
                 prefix, such as `10.0.0.0/8`, found `10.1.0.0/8`",
                "error: gateway.toml:9:34: `client_address.trusted_proxies[1]`: expected an address such as `192.0.2.7` or a \
                 network such as `10.0.0.0/8` or `2001:db8::/32`, found `balancer`",
            ],
        );
    }
}
