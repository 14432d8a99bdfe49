//! What `--trace` shows of requests and responses: the subject of each request, but no secret.

use std::fmt::Write as _;

use bridgehead_sdk::{Trace, is_secret_name};
use ldap3::{LdapError, LdapResult, Scope};

use crate::entry::Entry;
use crate::failure::Refusal;
use crate::session::{Change, Search};

/// Attributes with credentials whose names do not reveal it (`is_secret_name` covers the others). The numbers are the OIDs of
/// `userPassword` and `unicodePwd`.
const SECRET: [&str; 9] = [
    "pwdhistory",
    "dbcspwd",
    "ms-mcs-admpwd",
    "ms-mcs-admpwdhistory",
    "supplementalcredentials",
    "userpkcs12",
    "ipanthash",
    "2.5.4.35",
    "1.2.840.113556.1.4.90",
];

/// The maximum length of a response's entries, enough to fill its line in the trace.
const ENOUGH: usize = 4_000;

/// The maximum length of a value.
const LONGEST_VALUE: usize = 200;

/// Whether the values of an attribute are secret. Options such as `;lang-de` are ignored.
pub(crate) fn is_secret(attribute: &str) -> bool {
    let name = attribute.split(';').next().unwrap_or_default();
    let lower = name.to_lowercase();
    if SECRET.contains(&lower.as_str()) {
        return true;
    }
    // Information about a password from `ppolicy` and Active Directory: `pwdAccountLockedTime`, `pwdLastSet`.
    let is_about = lower.starts_with("pwd");
    !is_about && (is_secret_name(name) || (lower.starts_with("krb") && lower.ends_with("key")))
}

/// A conversation with one server, for the trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversation<'a> {
    pub(crate) app: &'a str,
    pub(crate) trace: Option<&'a Trace>,
}

impl Conversation<'_> {
    /// Traces a request. Its text is only built if tracing is enabled.
    pub(crate) fn asks(self, request: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace.sent(self.app, &request());
        }
    }

    /// Traces a response.
    pub(crate) fn hears(self, answer: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace.received(self.app, &answer());
        }
    }

    /// Makes a request that only has a result, and traces both. If no response arrives, the caller traces that.
    pub(crate) async fn exchange(
        self,
        request: impl FnOnce() -> String,
        answer: impl Future<Output = Result<LdapResult, LdapError>>,
    ) -> Result<LdapResult, LdapError> {
        self.asks(request);
        let answer = answer.await?;
        self.hears(|| result(&answer));
        Ok(answer)
    }
}

fn append(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Formatting can only fail for lack of memory, which is not an error here.
    if text.write_fmt(part).is_err() {
        text.clear();
    }
}

/// A result code, and the server's message.
pub(crate) fn result(result: &LdapResult) -> String {
    if result.rc == 0 { "0 (success)".to_owned() } else { Refusal::of(result).to_string() }
}

/// A search.
pub(crate) fn search(search: &Search<'_>, controls: &[&str]) -> String {
    let scope = match search.scope {
        Scope::Base => "base",
        Scope::OneLevel => "one",
        Scope::Subtree => "sub",
    };
    let mut text =
        format!("search {:?} {scope} {} [{}]", search.base, search.filter, search.attributes.join(", "));
    if search.limit > 0 {
        append(&mut text, format_args!(" limit {}", search.limit));
    }
    for control in controls {
        append(&mut text, format_args!(" {control}"));
    }
    text
}

/// The results of a search.
pub(crate) fn found(entries: &[Entry], reference: Option<&str>, answer: &LdapResult) -> String {
    let mut text = result(answer);
    append(&mut text, format_args!(", {} entries", entries.len()));
    if let Some(address) = reference {
        append(&mut text, format_args!(", a reference to {address}"));
    }
    for entry in entries {
        if text.len() > ENOUGH {
            break;
        }
        append(&mut text, format_args!("; {}", entry.dn));
        for (name, held) in &entry.attributes {
            append(&mut text, format_args!(" {}", values(name, held.iter().map(Vec::as_slice))));
        }
    }
    text
}

/// A request to add an entry.
pub(crate) fn add(dn: &str, attributes: &[(String, Vec<Vec<u8>>)]) -> String {
    let shown = attributes.iter().map(|(name, held)| values(name, held.iter().map(Vec::as_slice)));
    format!("add {dn:?} {}", shown.collect::<Vec<_>>().join(" "))
}

/// A request to change an entry.
pub(crate) fn modify(dn: &str, changes: &[Change]) -> String {
    let shown = changes.iter().map(|change| format!("{change:?}"));
    format!("modify {dn:?} {}", shown.collect::<Vec<_>>().join(", "))
}

/// An attribute with its values, unless they are secret.
pub(crate) fn values<'a>(name: &str, values: impl Iterator<Item = &'a [u8]>) -> String {
    if is_secret(name) {
        return format!("{name}: [redacted]");
    }
    let values = values.map(|value| match std::str::from_utf8(value) {
        Ok(text) => {
            let cut: String = text.chars().take(LONGEST_VALUE).collect();
            format!("{cut:?}")
        }
        Err(_) => format!("{} octets", value.len()),
    });
    format!("{name}: [{}]", values.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_attributes_are_recognized_by_any_name() {
        for name in [
            "userPassword",
            "USERPASSWORD;lang-de",
            "2.5.4.35",
            "unicodePwd",
            "sambaNTPassword",
            "krbPrincipalKey",
            "pwdHistory",
            "ms-Mcs-AdmPwd",
            "authPassword",
            "passwordHistory",
            "nsds5ReplicaCredentials",
            "msDS-ManagedPassword",
            "supplementalCredentials",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["uid", "mail", "pwdAccountLockedTime", "krbPrincipalName", "member", "objectGUID", "cn"]
        {
            assert!(!is_secret(name), "{name}");
        }
        let changes =
            [Change::replace("userPassword", ["Quiet-Harbour-7"]), Change::add("mail", "a@example.org")];
        let shown = modify("uid=ann,dc=test", &changes);
        assert!(shown.contains("a@example.org") && !shown.contains("Harbour"), "{shown}");
    }

    #[test]
    fn binary_values_are_shown_by_length() {
        assert_eq!(values("objectGUID", [&[0xff_u8, 0xfe][..]].into_iter()), "objectGUID: [2 octets]");
        assert_eq!(values("cn", [&b"Ann"[..]].into_iter()), "cn: [\"Ann\"]");
    }
}
