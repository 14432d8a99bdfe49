//! What keeps a suspended account out, by directory.

use bridgehead_sdk::AccountStatus;

use crate::entry::Entry;
use crate::session::Change;

/// Locked for good, as `draft-behera-ldap-password-policy` writes it; any other time is a lock that the server set after
/// failed attempts, which is no suspension.
const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// `ACCOUNTDISABLE` of `userAccountControl` ([MS-ADTS] 2.2.16).
const DISABLED: u32 = 2;

/// `NORMAL_ACCOUNT` of `userAccountControl`.
pub(crate) const NORMAL_ACCOUNT: u32 = 512;

/// How accounts are suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// OpenLDAP's overlay `ppolicy`.
    PwdAccountLockedTime,
    /// 389 Directory Server.
    NsAccountLock,
    /// Active Directory.
    UserAccountControl,
    /// A value of an attribute.
    Attribute { attribute: String, value: String },
}

impl Suspension {
    pub(crate) fn attribute(&self) -> &str {
        match self {
            Self::PwdAccountLockedTime => "pwdAccountLockedTime",
            Self::NsAccountLock => "nsAccountLock",
            Self::UserAccountControl => "userAccountControl",
            Self::Attribute { attribute, .. } => attribute,
        }
    }

    /// Whether an entry is suspended.
    pub(crate) fn status(&self, entry: &Entry) -> AccountStatus {
        let holds = |text: &str| {
            entry
                .texts(self.attribute())
                .any(|value| value.is_some_and(|value| value.eq_ignore_ascii_case(text)))
        };
        let suspended = match self {
            Self::PwdAccountLockedTime => holds(LOCKED_FOR_GOOD),
            Self::NsAccountLock => holds("true"),
            Self::UserAccountControl => control(entry).is_some_and(|control| control & DISABLED != 0),
            Self::Attribute { value, .. } => holds(value),
        };
        if suspended { AccountStatus::Suspended } else { AccountStatus::Active }
    }

    /// What makes an entry suspended, or not; nothing where it is so already.
    pub(crate) fn changes(&self, entry: &Entry, suspended: bool) -> Vec<Change> {
        if (self.status(entry) == AccountStatus::Suspended) == suspended && !self.is_locked_otherwise(entry) {
            return Vec::new();
        }
        let attribute = self.attribute();
        match self {
            Self::UserAccountControl => {
                let before = control(entry);
                let bits = before.unwrap_or(NORMAL_ACCOUNT);
                let after = if suspended { bits | DISABLED } else { bits & !DISABLED };
                // Taking out the old value fails if somebody else has changed it meanwhile: their bits are not lost.
                let old = before.map(|bits| Change::delete(attribute, bits.to_string()));
                old.into_iter().chain([Change::add(attribute, after.to_string())]).collect()
            }
            _ if suspended => match self.value() {
                Some(value) => vec![Change::replace(attribute, [value])],
                None => Vec::new(),
            },
            _ => vec![Change::replace::<&str>(attribute, [])],
        }
    }

    /// The attribute of a new account, if it needs one.
    pub(crate) fn at_first(&self, suspended: bool) -> Option<(String, String)> {
        let value = match self {
            Self::UserAccountControl if suspended => (NORMAL_ACCOUNT | DISABLED).to_string(),
            Self::UserAccountControl => NORMAL_ACCOUNT.to_string(),
            _ if suspended => self.value()?.to_owned(),
            _ => return None,
        };
        Some((self.attribute().to_owned(), value))
    }

    fn value(&self) -> Option<&str> {
        match self {
            Self::PwdAccountLockedTime => Some(LOCKED_FOR_GOOD),
            Self::NsAccountLock => Some("true"),
            Self::UserAccountControl => None,
            Self::Attribute { value, .. } => Some(value),
        }
    }

    /// A lock that is no suspension, and goes with one: whoever is let in again shall get in.
    fn is_locked_otherwise(&self, entry: &Entry) -> bool {
        *self == Self::PwdAccountLockedTime
            && self.status(entry) == AccountStatus::Active
            && entry.texts(self.attribute()).next().is_some()
    }
}

fn control(entry: &Entry) -> Option<u32> {
    let text = entry.texts("userAccountControl").next()??;
    // Active Directory writes it as a signed number of 32 bits.
    text.parse::<i32>().ok().map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attribute: &str, value: &str) -> Entry {
        Entry::new("uid=ann,dc=test", [(attribute, vec![value])])
    }

    #[test]
    fn other_bits_of_user_account_control_are_kept() {
        let entry = entry("userAccountControl", "66048");
        let changes = Suspension::UserAccountControl.changes(&entry, true);
        assert_eq!(
            changes,
            [Change::delete("userAccountControl", "66048"), Change::add("userAccountControl", "66050")]
        );
        assert_eq!(Suspension::UserAccountControl.changes(&entry, false), []);
    }

    #[test]
    fn a_lock_after_failed_attempts_is_no_suspension() {
        let locked = entry("pwdAccountLockedTime", "20260101000000Z");
        assert_eq!(Suspension::PwdAccountLockedTime.status(&locked), AccountStatus::Active);
        assert_eq!(
            Suspension::PwdAccountLockedTime.changes(&locked, false),
            [Change::replace::<&str>("pwdAccountLockedTime", [])]
        );
        let suspended = entry("pwdAccountLockedTime", "000001010000Z");
        assert_eq!(Suspension::PwdAccountLockedTime.status(&suspended), AccountStatus::Suspended);
        assert_eq!(Suspension::PwdAccountLockedTime.changes(&suspended, true), []);
    }

    #[test]
    fn the_state_that_is_wanted_needs_no_change() {
        assert_eq!(Suspension::NsAccountLock.changes(&entry("nsAccountLock", "TRUE"), true), []);
        assert_eq!(Suspension::NsAccountLock.changes(&entry("uid", "ann"), false), []);
    }
}
