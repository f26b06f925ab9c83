//! Networks: which addresses somebody meant.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One network as a file names it, an address alone being one of its own. An IPv4 network in IPv6 clothes (RFC 4291 §2.5.5.2) is read as
/// what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("expected an address such as `192.0.2.7` or a network such as `10.0.0.0/8` or `2001:db8::/32`")]
    Syntax,
    /// Who wrote it meant one host or the whole network, and only they know which.
    #[error("expected a network without bits behind its prefix, such as `{0}`")]
    HostBits(IpNet),
}

/// `::ffff:0:0/96`.
const MAPPED_PREFIX: u8 = 96;

impl TryFrom<&str> for Network {
    type Error = NetworkError;

    fn try_from(text: &str) -> Result<Self, NetworkError> {
        let network = match text.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => IpNet::from(text.parse::<IpAddr>().map_err(|_| NetworkError::Syntax)?),
        };
        if network.addr() != network.network() {
            return Err(NetworkError::HostBits(network.trunc()));
        }
        Ok(Self(canonical(network)))
    }
}

fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V4(_) => network,
        IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED_PREFIX)) {
            (Some(address), Some(prefix)) => Ipv4Net::new(address, prefix).map_or(network, IpNet::V4),
            (Some(_) | None, _) => network,
        },
    }
}

/// More in one list are no list that somebody looks after.
pub const NETWORKS_MAX: usize = 4096;

/// A set of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    // First and last address of each, ascending and apart, so that a look takes a few steps however many there are.
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Network(network) in networks {
            match network {
                IpNet::V4(network) => v4.push(network),
                IpNet::V6(network) => v6.push(network),
            }
        }
        let mut v4: Vec<_> = Ipv4Net::aggregate(&v4).iter().map(|net| (net.network(), net.broadcast())).collect();
        let mut v6: Vec<_> = Ipv6Net::aggregate(&v6).iter().map(|net| (net.network(), net.broadcast())).collect();
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4, v6 }
    }
}

impl Networks {
    /// Whether one of them has the address. IPv4 in IPv6 clothes is IPv4.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_within(&self.v4, &address),
            IpAddr::V6(address) => is_within(&self.v6, &address),
        }
    }

    /// Whether together they are every address from which somebody can come over the internet, by IPv4 or by IPv6, in however many pieces.
    #[must_use]
    pub fn are_everybody(&self) -> bool {
        let v4 = self.v4.iter().map(|(first, last)| (first.to_bits().into(), last.to_bits().into()));
        let v6 = self.v6.iter().map(|(first, last)| (first.to_bits(), last.to_bits()));
        cover(v4, UNICAST_V4.0.to_bits().into(), UNICAST_V4.1.to_bits().into())
            || cover(v6, UNICAST_V6.0.to_bits(), UNICAST_V6.1.to_bits())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Below are addresses of no sender, above those of groups (RFC 1112 §4).
const UNICAST_V4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(1, 0, 0, 0), Ipv4Addr::new(223, 255, 255, 255));

/// `2000::/3`, of which all that is routed is a part (RFC 4291 §2.5.4).
const UNICAST_V6: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), Ipv6Addr::from_bits(0x3fff_ffff_ffff_ffff_ffff_ffff_ffff_ffff));

/// Whether ranges, ascending and apart, have everything from `first` to `last`.
fn cover(ranges: impl Iterator<Item = (u128, u128)>, first: u128, last: u128) -> bool {
    let missing = ranges.fold(
        first,
        |missing, (from, to)| {
            if (from..=to).contains(&missing) { to.saturating_add(1) } else { missing }
        },
    );
    missing > last
}

fn is_within<A: Ord>(ranges: &[(A, A)], address: &A) -> bool {
    let next = ranges.partition_point(|(first, _)| first <= address);
    next.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| Network::try_from(*text).unwrap()).collect()
    }

    #[track_caller]
    fn check(texts: &[&str], within: &[&str], without: &[&str]) {
        let networks = networks(texts);
        for (addresses, expected) in [(within, true), (without, false)] {
            for address in addresses {
                assert_eq!(networks.contain(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn an_address_is_looked_for_to_the_bit() {
        check(
            &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "2001:db8::1"],
            &["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
            &["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db7:ffff::", "2001:db9::", "::1"],
        );
        check(&[], &[], &["127.0.0.1", "::1"]);
        check(&["0.0.0.0/0"], &["127.0.0.1", "::ffff:1.2.3.4"], &["::1"]);
    }

    #[test]
    fn everybody_in_pieces_is_everybody() {
        for texts in [
            &["0.0.0.0/0"][..],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"],
            &["::ffff:0.0.0.0/97", "10.0.0.0/8", "128.0.0.0/1"],
            &["::/0"],
            &["8000::/1", "::/1"],
            &["2000::/4", "3000::/4", "10.0.0.0/8"],
        ] {
            assert!(networks(texts).are_everybody(), "{texts:?}");
        }
        for texts in [
            &[][..],
            &["10.0.0.0/8", "2001:db8::/32"],
            &["0.0.0.0/1"],
            &["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/4", "208.0.0.0/5"],
            &["0.0.0.0/1", "8000::/1"],
            &["2000::/4", "3000::/5"],
        ] {
            assert!(!networks(texts).are_everybody(), "{texts:?}");
        }
    }

    #[test]
    fn ipv4_in_ipv6_clothes_is_ipv4() {
        check(&["10.0.0.0/8"], &["::ffff:10.1.2.3"], &["::ffff:11.1.2.3", "::10.1.2.3"]);
        check(&["::ffff:10.0.0.0/104", "::ffff:192.0.2.7"], &["10.1.2.3", "192.0.2.7"], &["11.1.2.3", "192.0.2.8"]);
    }

    #[test]
    fn what_is_no_network_is_said() {
        for text in ["", "10.0.0.0/33", "10.0.0", "010.0.0.1", "10.0.0.0/", "10.0.0.0/8 ", "fe80::1%eth0", "a.example"]
        {
            assert_eq!(Network::try_from(text), Err(NetworkError::Syntax), "{text}");
        }
        let error = Network::try_from("10.1.0.0/8").unwrap_err();
        assert_eq!(error.to_string(), "expected a network without bits behind its prefix, such as `10.0.0.0/8`");
    }

    proptest! {
        #[test]
        fn a_set_has_what_one_of_its_networks_has(
            nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..20), address: u32,
        ) {
            let nets: Vec<IpNet> =
                nets.iter().map(|(bits, len)| IpNet::V4(Ipv4Net::new((*bits).into(), *len).unwrap()).trunc()).collect();
            let set: Networks = nets.iter().copied().map(Network).collect();
            let address = IpAddr::V4(address.into());
            prop_assert_eq!(set.contain(address), nets.iter().any(|net| net.contains(&address)));
        }
    }
}
