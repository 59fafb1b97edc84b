//! Which hosts are this computer, and what is said where credentials leave it in the open.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

use evenkeel::Error;

/// Whether what goes to this host stays on this computer. Nothing is looked up: a name that leads here by `/etc/hosts` counts
/// as another computer.
pub(crate) fn is_here(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // A dot at the end is the root of all names.
    let name = bare.strip_suffix('.').unwrap_or(bare);
    // RFC 6761, 6.3: names below it are this computer, too.
    if name.to_ascii_lowercase().rsplit('.').next() == Some("localhost") {
        return true;
    }
    let address = bare.parse::<IpAddr>().ok().or_else(|| short(name).map(IpAddr::V4));
    // To connect to "any address" is to connect to this computer.
    address.map(|address| address.to_canonical()).is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// Whether a header of this name carries a secret.
pub(crate) fn is_credential(header: &str) -> bool {
    ["auth", "token", "key", "cookie", "secret", "session"].iter().any(|part| header.contains(part))
}

/// Credentials for this address can be read on the way: the token, or those that are in the address.
pub(crate) fn exposed(address: &impl Display, has_token: bool) -> Error {
    let told = if has_token {
        format!("the token for {address} goes over the network for everybody to read")
    } else {
        format!("the user name and password for {address} go over the network for everybody to read")
    };
    Error::config(told).with_hint("use `https`, or a server on this host")
}

/// Says it in the log.
pub(crate) fn warn(error: &Error) {
    tracing::warn!("{error}: {}", error.hint().unwrap_or_default());
}

/// Reads an address as `inet_aton` does, which the system asks: one to four numbers, the last of which fills the rest; with `0x`
/// or `0` in front, hexadecimal or octal ones.
fn short(text: &str) -> Option<Ipv4Addr> {
    let numbers = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, bytes) = numbers.split_last()?;
    let rest = 4_usize.checked_sub(bytes.len()).filter(|rest| *rest > 0)?;
    if u64::from(*last) >> (8 * rest) > 0 {
        return None;
    }
    let mut octets = last.to_be_bytes();
    for (octet, byte) in octets.iter_mut().zip(bytes) {
        *octet = u8::try_from(*byte).ok()?;
    }
    Some(octets.into())
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_plain { u32::from_str_radix(digits, radix).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_is_known_however_it_is_written() {
        for here in [
            "localhost",
            "LocalHost",
            "localhost.",
            "a.localhost",
            "127.0.0.1",
            "127.1",
            "127.1.2.3",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "0x7f000001",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "[::1]",
            "::1",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
        ] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "",
            ".",
            "signal",
            "localhost.example.com",
            "notlocalhost",
            "127.0.0.1.example.com",
            "10.0.0.7",
            "128.1",
            "2130706432000",
            "127.0.0.0.1",
            "127.0.0.256",
            "127.16777216",
            "0x",
            "127.+1",
            "127..1",
            "[::ffff:10.0.0.7]",
            "[::2]",
            "fe80::1",
            "1.127",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
