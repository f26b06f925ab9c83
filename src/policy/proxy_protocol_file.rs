//! `proxy_protocol` of a listener.

use schemars::JsonSchema;

use super::client_address::ProxyProtocol;
use super::client_address_file::{believed_networks, set};
use super::networks::Network;
use super::reader::{Placed, Table, Value};
use super::workspace::Admission;

/// Balancers that say with PROXY protocol (1 or 2) whom a connection is from.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawProxyProtocol {
    /// The addresses and networks of the balancers. Whatever comes from there must begin with a header.
    #[schemars(required, with = "Option<Vec<String>>", length(min = 1))]
    from: Option<Placed<Vec<Placed<Network>>>>,
    /// Connections from elsewhere: closed (`refuse`), or taken without a header (`allow`). Default: refuse.
    others: Option<Placed<Admission>>,
}

impl RawProxyProtocol {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self { from: table.required("from", believed_networks), others: table.optional("others", Value::keyword) }
    }

    pub(super) fn resolve(self) -> Option<ProxyProtocol> {
        let Self { from, others } = self;
        Some(ProxyProtocol { from: set(from?), others: others.map_or(Admission::Refuse, |word| word.value) })
    }
}

/// A listener without one is fine, one with a mistake in it is not.
#[expect(clippy::option_option, reason = "the outer is whether it makes sense, the inner whether it is there")]
pub(super) fn resolve(raw: Option<Placed<RawProxyProtocol>>) -> Option<Option<ProxyProtocol>> {
    raw.map_or(Some(None), |raw| raw.value.resolve().map(Some))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{GATEWAY, lines, read, with};
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Result<Admission, &[&str]>) {
        let gateway = with(GATEWAY, "certificates", &format!("proxy_protocol = {value}\ncertificates"));
        let (set, findings) = read(&gateway, &[]);
        assert_eq!(lines(&findings), expected.err().unwrap_or_default());
        let protocol = set.and_then(|set| set.gateway.listeners[0].proxy_protocol.clone());
        assert_eq!(protocol.map(|protocol| protocol.others), expected.ok());
    }

    #[test]
    fn balancers_are_named() {
        check("{ from = [\"10.0.0.0/8\"] }", Ok(Admission::Refuse));
        check("{ from = [\"10.0.0.0/8\"], others = \"allow\" }", Ok(Admission::Allow));
        let place = "error: gateway.toml:5:18: `listeners[0].proxy_protocol";
        check("{}", Err(&[&format!("{place}.from` is missing")]));
        check("true", Err(&[&format!("{place}`: expected a table, found a boolean")]));
        check(
            "{ form = [\"10.0.0.0/8\"] }",
            Err(&[
                &format!("{place}.from` is missing"),
                "error: gateway.toml:5:20: unknown key `listeners[0].proxy_protocol.form` (did you mean `from`?)",
            ]),
        );
        check(
            "{ from = [\"0.0.0.0/0\"] }",
            Err(&[
                "error: gateway.toml:5:27: `listeners[0].proxy_protocol.from`: everybody could claim any address: name the \
                 proxies alone",
            ]),
        );
    }
}
