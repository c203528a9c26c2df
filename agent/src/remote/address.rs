//! Addresses where the agent never goes, and those of private networks.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use seatrial_core::contract::ExitCode;

use crate::error::AgentError;

/// A name that is not connected to, for the addresses that it resolves to.
#[derive(Debug)]
pub(crate) enum RefusedName {
    /// To one where the agent never goes.
    Forbidden(String),
    /// To a private one, after a redirect from a store that has none.
    Private(String),
}

impl fmt::Display for RefusedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(name) => {
                write!(formatter, "{name} resolves to a link-local address or a metadata service, which is never used")
            }
            Self::Private(name) => {
                write!(
                    formatter,
                    "it redirects to {name}, which has a private address though the store itself has none"
                )
            }
        }
    }
}

impl Error for RefusedName {}

/// The address of a URL whose host is one and no name.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Metadata services whose address is not link-local: of Alibaba Cloud, Azure and Oracle.
const METADATA_V4: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
/// The same of EC2, EKS and Google Cloud.
const METADATA_V6: [[u16; 8]; 3] =
    [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]];

/// True for link-local addresses, and for the addresses of metadata services that are not.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA_V4.contains(&address.octets()),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || METADATA_V6.contains(&address.segments())
                || as_v4(address).is_some_and(|v4| is_forbidden(v4.into()))
        }
    }
}

/// Refuses a URL whose host is such an address; those that names resolve to are looked at when they do.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn refuse_forbidden(url: &str) -> Result<(), AgentError> {
    let address = Url::parse(url).ok().and_then(|url| literal(&url));
    if address.is_some_and(is_forbidden) {
        let message = format!("{url} names a link-local address or a metadata service, which is never used");
        return Err(AgentError::new(ExitCode::InputNotFound, message));
    }
    Ok(())
}

/// The address of version 4 that one of version 6 stands for.
fn as_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        // Mapped, compatible, and translated by NAT64.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// True for addresses that are not of the public internet: of this machine, of a site, of a provider's own customers.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let is_shared = matches!(address.octets(), [100, 64..=127, ..]);
            is_shared
                || address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || as_v4(address).is_some_and(|v4| is_private(v4.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_metadata_services_are_forbidden() {
        for (text, expected) in [
            ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("100.100.100.200", true),
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("64:ff9b::169.254.169.254", true),
            ("64:ff9b::10.0.0.1", false),
            ("168.63.129.16", true),
            ("192.0.0.192", true),
            ("fd00:ec2::23", true),
            ("fd20:ce::254", true),
            ("::1", false),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("93.184.216.34", false),
            ("fd00:ec2::255", false),
        ] {
            assert_eq!(is_forbidden(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_private_networks_are_told_from_public_ones() {
        for (text, expected) in [
            ("10.0.0.1", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("127.0.0.1", true),
            ("0.0.0.0", true),
            ("100.64.0.1", true),
            ("169.254.1.1", true),
            ("::1", true),
            ("fd12::1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
            ("64:ff9b::10.0.0.1", true),
            ("93.184.216.34", false),
            ("172.32.0.1", false),
            ("100.128.0.1", false),
            ("2606:2800::1", false),
            ("::ffff:93.184.216.34", false),
        ] {
            assert_eq!(is_private(text.parse().unwrap()), expected, "{text}");
        }
    }
}
