//! The client of a request: the peer of the connection, or the client that a trusted proxy names.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Proxies whose `X-Forwarded-For` is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// The text is not a list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write addresses or networks, separated by commas, for example 10.0.0.0/8, fd00::/8")]
pub struct InvalidProxies;

impl FromStr for TrustedProxies {
    type Err = InvalidProxies;

    fn from_str(text: &str) -> Result<Self, InvalidProxies> {
        let network = |part: &str| {
            let part = part.trim();
            let address = part.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| part.parse()).map_err(|_| InvalidProxies)
        };
        text.split(',').map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a request. Each proxy appends its peer to the header, so entries before the last
    /// untrusted one can be forged.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all("x-forwarded-for").iter().rev();
        let entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for text in entries {
            if !self.contain(client) {
                break;
            }
            let Some(address) = parse_address(text.trim()) else {
                break;
            };
            client = address.to_canonical();
        }
        client
    }
}

/// Parses an address, with or without a port. An IPv6 address without a port may also have brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || {
        let address = text.strip_prefix('[')?.strip_suffix(']')?;
        address.parse().ok().map(IpAddr::V6)
    };
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = if trusted.is_empty() {
            TrustedProxies::default()
        } else {
            trusted.parse().unwrap()
        };
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        for (trusted, peer, forwarded, expected) in [
            ("", "10.0.0.1", &["192.0.2.7"][..], "10.0.0.1"),
            ("10.0.0.0/8", "192.0.2.9", &["192.0.2.7"], "192.0.2.9"),
            ("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", "10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1", "10.0.0.1", &["192.0.2.1:443"], "192.0.2.1"),
            ("fd00::/8", "fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("fd00::/8", "fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00::/8", "fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            (
                "fd00::/8",
                "fd00::1",
                &["[2001:db8::7], [fd00::2]:80"],
                "2001:db8::7",
            ),
            ("10.0.0.1", "10.0.0.1", &["[192.0.2.7]"], "10.0.0.1"),
            ("fd00::/8", "fd00::1", &["[2001:db8::7"], "fd00::1"),
            (
                "10.0.0.0/8",
                "::ffff:10.0.0.1",
                &["::ffff:192.0.2.7"],
                "192.0.2.7",
            ),
            // Entries that the client itself sent come first.
            ("10.0.0.0/8", "10.0.0.1", &["127.0.0.1, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.0/8", "10.0.0.1", &["127.0.0.1", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.0/8", "10.0.0.1", &["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.0/8", "10.0.0.1", &["192.0.2.7, unknown"], "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", &["192.0.2.7\u{e4}, x"], "10.0.0.1"),
        ] {
            assert_eq!(
                client(trusted, peer, forwarded),
                expected,
                "{trusted} {peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn a_malformed_list_is_refused() {
        for bad in [
            "",
            ",",
            "10.0.0.0/8,",
            "10.0.0.0/33",
            "proxy.example",
            "10.0.0.0/8 fd00::/8",
        ] {
            assert_eq!(bad.parse::<TrustedProxies>(), Err(InvalidProxies), "{bad:?}");
        }
    }
}
