//! A recipient's address as every transport takes it: one plain `local@domain`, the domain in ASCII.
//!
//! The field could hold a list, a display name or a comment; an address that could be read as any
//! of these is refused, so that it can never name a second recipient.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// Longest local part, in bytes (RFC 5321, 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// Longest address, in bytes (RFC 5321, 4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;

/// The address for the provider.
///
/// # Errors
/// Why it cannot have one; the reason does not repeat it.
pub fn recipient(address: &str) -> Result<String, &'static str> {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Err("address: no @");
    };
    if local.is_empty() || domain.is_empty() {
        return Err("address: local part or domain is empty");
    }
    if !local.is_ascii() {
        return Err("address: local parts must be ASCII");
    }
    if local.len() > LOCAL_BYTES_MAX {
        return Err("address: local part is too long");
    }
    if !local.bytes().all(is_local) {
        return Err("address: not a plain local@domain");
    }
    let domain = if domain.is_ascii() {
        Cow::Borrowed(domain)
    } else {
        Uts46::new()
            .to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify)
            .map_err(|_| "address: the domain is not a domain name")?
    };
    if !domain.bytes().all(is_domain) || domain.split('.').any(str::is_empty) {
        return Err("address: the domain is not a domain name");
    }
    if local.len() + 1 + domain.len() > ADDRESS_BYTES_MAX {
        return Err("address: too long");
    }
    Ok(format!("{local}@{domain}"))
}

/// `atext` and the dot (RFC 5322, 3.2.3). Where the dots are is left to the provider.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_pass_and_domains_become_ascii() {
        for (address, expected) in [
            ("ann@example.com", "ann@example.com"),
            ("Ann.O'Brien+x@Mail.Example.com", "Ann.O'Brien+x@Mail.Example.com"),
            ("a@localhost", "a@localhost"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ] {
            assert_eq!(recipient(address).as_deref(), Ok(expected), "{address}");
        }
    }

    #[test]
    fn whatever_could_be_more_than_one_recipient_is_refused() {
        for address in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@example.com,bob@example.org",
            "ann@example.com, bob@example.org",
            "ann@example.com;bob@example.org",
            "ann@example.com bob",
            "ann@example.com\r\nBcc: bob@example.org",
            "Ann <ann@example.com>",
            "<ann@example.com>",
            "\"ann bob\"@example.com",
            "\"ann\"@example.com",
            "ann@bob@example.com",
            "ann(comment)@example.com",
            "group:ann@example.com",
            "ann@[192.0.2.1]",
            "ann@example..com",
            "ann@.example.com",
            "ann@exam\u{ff0c}ple.com",
            "ann@exam\u{ff20}ple.com",
            "ann\0@example.com",
            "ann\\@example.com",
        ] {
            let reason = recipient(address).unwrap_err();
            assert!(reason.starts_with("address: "), "{address}: {reason}");
        }
        assert!(recipient(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(recipient(&format!("a@{}com", "exampl.".repeat(40))).is_err());
    }

    #[test]
    fn a_local_part_in_another_script_has_its_own_reason() {
        assert_eq!(recipient("zoë@example.com"), Err("address: local parts must be ASCII"));
    }
}
