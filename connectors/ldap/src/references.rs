//! References to other servers (RFC 4511, 4.5.3). They are not followed, so the entries behind them are unknown: a listing with a reference
//! is incomplete, and a missing account is not certain.
//!
//! Two kinds are ignored, because nothing is missed behind them: those at the root of every Active Directory domain, and those that the
//! operator has named.

use std::sync::atomic::{AtomicBool, Ordering};

use bridgehead_sdk::SettingsError;

use crate::name::Name;
use crate::settings::{Profile, Settings};

/// Which references are ignored.
#[derive(Debug)]
pub(crate) struct References {
    app: String,
    profile: Profile,
    base: Name,
    ignored: Vec<Ignored>,
    noticed: AtomicBool,
}

#[derive(Debug)]
enum Ignored {
    /// The part of the directory.
    Part(Name),
    /// The start of the address.
    Address(String),
}

impl References {
    pub(crate) fn new(settings: &Settings, app: &str) -> Result<Self, SettingsError> {
        let mut ignored = Vec::new();
        for (position, text) in settings.ignore_references.iter().enumerate() {
            ignored.push(match Name::parse(text) {
                _ if text.contains("://") => Ignored::Address(text.trim().to_lowercase()),
                Ok(name) if !name.rdns.is_empty() => Ignored::Part(name),
                _ => {
                    let message = "must be a part of the directory, \"ou=abroad,dc=example,dc=com\", or the \
                                   start of a reference, \"ldap://other.example.com\"";
                    return Err(SettingsError::new(format!("ignore_references.{position}"), message));
                }
            });
        }
        let base = Name::parse(&settings.base);
        Ok(Self {
            app: app.to_owned(),
            profile: settings.profile,
            base: base.map_err(|malformed| SettingsError::new("base", malformed.to_string()))?,
            ignored,
            noticed: AtomicBool::new(false),
        })
    }

    /// Whether a reference can be ignored.
    pub(crate) fn is_ignored(&self, address: &str) -> bool {
        let part = part_of(address);
        let own =
            self.profile == Profile::ActiveDirectory && part.as_ref().is_some_and(|part| self.is_own(part));
        let named = self.ignored.iter().any(|ignored| match ignored {
            Ignored::Part(wanted) => part.as_ref().is_some_and(|part| part.is_within(wanted)),
            Ignored::Address(start) => address.to_lowercase().starts_with(start),
        });
        if named && !self.noticed.swap(true, Ordering::Relaxed) {
            tracing::info!(
                app = %self.app,
                "the directory refers to other servers for a part that ignore_references names; entries \
                 there are neither listed nor found"
            );
        }
        own || named
    }

    /// The references at the root of every domain: the configuration of the forest, and its two DNS zones.
    fn is_own(&self, part: &Name) -> bool {
        let Some(first) = part.rdns.first() else { return false };
        let is = |attribute: &str, value: &str| {
            first.parts.len() == 1
                && first.value_of(attribute).is_some_and(|held| held.eq_ignore_ascii_case(value.as_bytes()))
        };
        let is_known = is("cn", "Configuration") || is("dc", "DomainDnsZones") || is("dc", "ForestDnsZones");
        // The forest's root can be above the domain of the base, but nowhere else.
        is_known && !part.parent().rdns.is_empty() && self.base.is_within(&part.parent())
    }
}

/// The name in an address such as `ldap://host/ou=abroad,dc=test??sub`.
fn part_of(address: &str) -> Option<Name> {
    let (_, rest) = address.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let name = path.split('?').next()?;
    let mut octets = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            octets.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            octets.push(byte);
        }
    }
    Name::parse(std::str::from_utf8(&octets).ok()?).ok().filter(|name| !name.rdns.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn references(profile: &str, ignored: &[&str]) -> References {
        let settings = json!({
            "profile": profile, "url": "ldaps://a.example.com", "bind_dn": "cn=x,dc=test", "bind_password": "x",
            "base": "OU=staff,DC=test,DC=lan", "ignore_references": ignored,
        });
        References::new(&serde_json::from_value(settings).unwrap(), "acme").unwrap()
    }

    #[test]
    fn default_domain_referrals_are_ignored() {
        let references = references("ad", &[]);
        for address in [
            "ldap://test.lan/CN=Configuration,DC=test,DC=lan",
            "ldap://test.lan/DC=DomainDnsZones,DC=test,DC=lan",
            "ldap://ForestDnsZones.test.lan/DC=ForestDnsZones,DC=test,DC=lan",
        ] {
            assert!(references.is_ignored(address), "{address}");
        }
        for address in [
            "ldap://child.test.lan/DC=child,DC=test,DC=lan",
            "ldap://x/DC=DomainDnsZones,DC=other,DC=lan",
            "ldap://x/OU=people,CN=Configuration,DC=test,DC=lan",
            "ldap://x",
        ] {
            assert!(!references.is_ignored(address), "{address}");
        }
        assert!(!self::references("openldap", &[]).is_ignored("ldap://x/CN=Configuration,DC=test,DC=lan"));
    }

    #[test]
    fn configured_referrals_are_ignored() {
        let references = references("openldap", &["ou=abroad,dc=test,dc=lan", "ldap://old.example.com"]);
        assert!(references.is_ignored("ldap://x/OU=Abroad,dc=test,dc=lan??sub"));
        assert!(references.is_ignored("ldap://x:389/cn=a%5C%2C%20b,ou=abroad,dc=test,dc=lan"));
        assert!(references.is_ignored("LDAP://OLD.example.com/dc=test"));
        assert!(!references.is_ignored("ldap://new.example.com/ou=people,dc=test,dc=lan"));
    }
}
