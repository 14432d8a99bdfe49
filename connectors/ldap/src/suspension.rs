//! The mechanisms that suspend an account, by directory.

use bridgehead_sdk::AccountStatus;
use jiff::Timestamp;

use crate::entry::Entry;
use crate::session::Change;

/// The attribute of OpenLDAP's overlay `ppolicy`.
pub(crate) const LOCKED_TIME: &str = "pwdAccountLockedTime";

/// The value for a permanent lock in `draft-behera-ldap-password-policy`. OpenLDAP treats any time in the year 0 the same, such as
/// `00000101000000Z`; any other time is a lock that the server set after failed attempts, which is not a suspension.
pub(crate) const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// The start of these values.
const YEAR_OF_GOOD: &str = "0000";

/// `ACCOUNTDISABLE` of `userAccountControl` ([MS-ADTS] 2.2.16).
const DISABLED: u32 = 2;

/// `NORMAL_ACCOUNT` of `userAccountControl`.
pub(crate) const NORMAL_ACCOUNT: u32 = 512;

/// When an account in Active Directory expires: 100 nanoseconds since 1601; 0 and the largest number mean never.
const ACCOUNT_EXPIRES: &str = "accountExpires";

/// The seconds from 1601 to 1970.
const SECONDS_BEFORE_1970: i64 = 11_644_473_600;

/// The number of failed logins to FreeIPA's Kerberos; 0 ends the resulting lock.
const FAILED_KERBEROS: &str = "krbLoginFailedCount";

/// How to suspend accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// OpenLDAP's overlay `ppolicy`; the policy is the one for accounts without their own policy, if the settings name
    /// it.
    PwdAccountLockedTime { policy: Option<String> },
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
            Self::PwdAccountLockedTime { .. } => LOCKED_TIME,
            Self::NsAccountLock => "nsAccountLock",
            Self::UserAccountControl => "userAccountControl",
            Self::Attribute { attribute, .. } => attribute,
        }
    }

    /// The attributes to read: those that suspend, and those that the server sets after failed logins.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.attribute()).chain(self.locked_by_server().iter().copied()).chain(self.expires())
    }

    /// The attribute with the time after which an account can no longer log in, whether or not it is suspended.
    fn expires(&self) -> Option<&'static str> {
        match self {
            Self::PwdAccountLockedTime { .. } => Some("pwdEndTime"),
            // FreeIPA.
            Self::NsAccountLock => Some("krbPrincipalExpiration"),
            Self::UserAccountControl => Some(ACCOUNT_EXPIRES),
            Self::Attribute { .. } => None,
        }
    }

    /// Why a suspension, or its end, would not have the intended effect. Nothing is changed then.
    pub(crate) fn obstacle(&self, entry: &Entry, suspended: bool, now: Timestamp) -> Option<String> {
        if *self == Self::UserAccountControl && control(entry).is_none() {
            return Some(format!(
                "userAccountControl of {} cannot be read, and its other bits would be lost; grant bind_dn \
                 permission to read it",
                entry.dn
            ));
        }
        let attribute = self.expires().filter(|_| !suspended)?;
        let expired = time(attribute, entry.texts(attribute).next()??).filter(|expires| *expires <= now)?;
        let date = expired.strftime("%Y-%m-%d");
        Some(format!(
            "{} expired on {date} ({attribute}), so the account could still not log in; extend it, and try again",
            entry.dn
        ))
    }

    /// The other attributes that the server sets after failed logins.
    fn locked_by_server(&self) -> &'static [&'static str] {
        match self {
            // FreeIPA's Kerberos counts separately.
            Self::NsAccountLock => {
                &["accountUnlockTime", "passwordRetryCount", "retryCountResetTime", FAILED_KERBEROS]
            }
            Self::UserAccountControl => &["lockoutTime"],
            _ => &[],
        }
    }

    /// Whether an entry is suspended. An entry with the suspending value that the server still lets log in is not.
    pub(crate) fn status(&self, entry: &Entry) -> AccountStatus {
        let lets_in = matches!(self, Self::PwdAccountLockedTime { .. }) && entry.usable == Some(true);
        if self.is_set(entry) && !lets_in { AccountStatus::Suspended } else { AccountStatus::Active }
    }

    /// Whether an entry has the value that suspends.
    pub(crate) fn is_set(&self, entry: &Entry) -> bool {
        let holds = |text: &str| {
            entry
                .texts(self.attribute())
                .any(|value| value.is_some_and(|value| value.eq_ignore_ascii_case(text)))
        };
        match self {
            Self::PwdAccountLockedTime { .. } => {
                entry.texts(LOCKED_TIME).flatten().any(|value| value.starts_with(YEAR_OF_GOOD))
            }
            Self::NsAccountLock => holds("true"),
            Self::UserAccountControl => control(entry).is_some_and(|control| control & DISABLED != 0),
            Self::Attribute { value, .. } => holds(value),
        }
    }

    /// The changes that suspend an entry, or end its suspension. They are sent even if the entry is already in that state, so that the
    /// server checks bridgehead's permission. Ending a suspension also ends a lock after failed logins.
    pub(crate) fn changes(&self, entry: &Entry, suspended: bool) -> Vec<Change> {
        let mut changes = self.own_changes(entry, suspended);
        if !suspended {
            changes.extend(self.locked_by_server().iter().filter_map(|attribute| {
                let counts = matches!(*attribute, "lockoutTime" | FAILED_KERBEROS);
                match entry.texts(attribute).flatten().next()? {
                    "0" if counts => None,
                    _ if counts => Some(Change::replace(attribute, ["0"])),
                    _ => Some(Change::replace::<&str>(attribute, [])),
                }
            }));
        }
        changes
    }

    fn own_changes(&self, entry: &Entry, suspended: bool) -> Vec<Change> {
        let attribute = self.attribute();
        match self {
            Self::UserAccountControl => {
                let before = control(entry);
                let bits = before.unwrap_or(NORMAL_ACCOUNT);
                let after = if suspended { bits | DISABLED } else { bits & !DISABLED };
                match before {
                    // Removing the old value fails if another client has changed it in the meantime, so that client's bits are not lost.
                    Some(before) if before != after => {
                        let old = before.cast_signed().to_string();
                        let new = after.cast_signed().to_string();
                        vec![Change::delete(attribute, old), Change::add(attribute, new)]
                    }
                    _ => vec![Change::replace(attribute, [after.cast_signed().to_string()])],
                }
            }
            // Other values of the attribute do not suspend.
            Self::Attribute { value, .. } if !suspended => {
                self.is_set(entry).then(|| Change::delete(attribute, value.as_str())).into_iter().collect()
            }
            _ => vec![Change::replace(attribute, self.value().filter(|_| suspended))],
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
            Self::PwdAccountLockedTime { .. } => Some(LOCKED_FOR_GOOD),
            Self::NsAccountLock => Some("true"),
            Self::UserAccountControl => None,
            Self::Attribute { value, .. } => Some(value),
        }
    }
}

/// The time in a value; `None` if there is none, or if it is beyond what can be represented.
fn time(attribute: &str, value: &str) -> Option<Timestamp> {
    if attribute != ACCOUNT_EXPIRES {
        // The usual form of a generalized time (RFC 4517, section 3.3.13).
        let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", value).ok()?;
        return Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
    }
    let ticks = value.parse::<i64>().ok().filter(|ticks| *ticks > 0 && *ticks != i64::MAX)?;
    Timestamp::from_second(ticks / 10_000_000 - SECONDS_BEFORE_1970).ok()
}

fn control(entry: &Entry) -> Option<u32> {
    let text = entry.texts("userAccountControl").next()??;
    // Active Directory writes a signed 32-bit number.
    text.parse::<i32>().ok().map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attribute: &str, value: &str) -> Entry {
        Entry::new("uid=ann,dc=test", [(attribute, vec![value])])
    }

    #[test]
    fn other_user_account_control_bits_are_preserved() {
        let of = |value| entry("userAccountControl", value);
        let suspension = Suspension::UserAccountControl;
        let changed = |old, new| {
            vec![Change::delete("userAccountControl", old), Change::add("userAccountControl", new)]
        };
        assert_eq!(suspension.changes(&of("66048"), true), changed("66048", "66050"));
        assert_eq!(suspension.changes(&of("66050"), false), changed("66050", "66048"));
        assert_eq!(suspension.changes(&of("-2147483136"), true), changed("-2147483136", "-2147483134"));
        assert_eq!(suspension.changes(&of("512"), false), [Change::replace("userAccountControl", ["512"])]);
    }

    #[test]
    fn lockout_is_not_a_suspension() {
        let suspension = Suspension::PwdAccountLockedTime { policy: None };
        let locked = entry("pwdAccountLockedTime", "20260101000000Z");
        assert_eq!(suspension.status(&locked), AccountStatus::Active);
        let taken_away = [Change::replace::<&str>("pwdAccountLockedTime", [])];
        assert_eq!(suspension.changes(&locked, false), taken_away);
        let suspended = entry("pwdAccountLockedTime", "000001010000Z");
        assert_eq!(suspension.status(&suspended), AccountStatus::Suspended);
    }

    #[test]
    fn lock_that_the_server_ignores_is_not_a_suspension() {
        let suspension = Suspension::PwdAccountLockedTime { policy: None };
        let mut entry = entry("pwdAccountLockedTime", "000001010000Z");
        entry.usable = Some(false);
        assert_eq!(suspension.status(&entry), AccountStatus::Suspended);
        entry.usable = Some(true);
        assert_eq!(suspension.status(&entry), AccountStatus::Active);
        assert!(suspension.is_set(&entry));
    }

    #[test]
    fn unsuspending_clears_a_lockout() {
        let mut locked = entry("userAccountControl", "514");
        locked.attributes.push(("lockoutTime".to_owned(), vec![b"133000000000000000".to_vec()]));
        let changes = Suspension::UserAccountControl.changes(&locked, false);
        assert_eq!(changes.last(), Some(&Change::replace("lockoutTime", ["0"])));
        let suspending = Suspension::UserAccountControl.changes(&locked, true);
        assert!(suspending.iter().all(|change| change.attribute != "lockoutTime"), "{suspending:?}");
        let locked = entry("accountUnlockTime", "19700101000000Z");
        let changes = Suspension::NsAccountLock.changes(&locked, false);
        assert!(changes.contains(&Change::replace::<&str>("accountUnlockTime", [])), "{changes:?}");
        for (count, expected) in [("6", Some(Change::replace(FAILED_KERBEROS, ["0"]))), ("0", None)] {
            let changes = Suspension::NsAccountLock.changes(&entry(FAILED_KERBEROS, count), false);
            assert_eq!(changes.into_iter().find(|change| change.attribute == FAILED_KERBEROS), expected);
        }
    }

    #[test]
    fn any_permanent_lock_is_a_suspension() {
        let suspension = Suspension::PwdAccountLockedTime { policy: None };
        for (value, status) in [
            ("000001010000Z", AccountStatus::Suspended),
            ("00000101000000Z", AccountStatus::Suspended),
            ("20000101000000Z", AccountStatus::Active),
        ] {
            assert_eq!(suspension.status(&entry("pwdAccountLockedTime", value)), status, "{value}");
        }
    }

    #[test]
    fn expired_account_cannot_be_unsuspended() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let of = |expires: &str| {
            let mut entry = entry("userAccountControl", "514");
            entry.attributes.push((ACCOUNT_EXPIRES.to_owned(), vec![expires.as_bytes().to_vec()]));
            entry
        };
        let suspension = Suspension::UserAccountControl;
        // 2026-11-01 and 2026-12-01.
        let (past, future) = ("134379648000000000", "134405568000000000");
        let why = suspension.obstacle(&of(past), false, now).unwrap();
        assert!(why.contains("uid=ann,dc=test expired on 2026-11-01"), "{why}");
        assert_eq!(suspension.obstacle(&of(past), true, now), None, "suspending is always possible");
        for never in [future, "0", "9223372036854775807", "9223372036854775000", "x"] {
            assert_eq!(suspension.obstacle(&of(never), false, now), None, "{never}");
        }
        for (suspension, attribute) in [
            (Suspension::PwdAccountLockedTime { policy: None }, "pwdEndTime"),
            (Suspension::NsAccountLock, "krbPrincipalExpiration"),
        ] {
            assert!(suspension.attributes().any(|name| name == attribute));
            let why = suspension.obstacle(&entry(attribute, "20261101000000Z"), false, now).unwrap();
            assert!(why.contains(&format!("expired on 2026-11-01 ({attribute})")), "{why}");
            assert_eq!(suspension.obstacle(&entry(attribute, "20261201000000Z"), false, now), None);
        }
    }

    #[test]
    fn hidden_user_account_control_is_not_overwritten() {
        let now = Timestamp::UNIX_EPOCH;
        let hidden = Entry::named("cn=ann,dc=test");
        for suspended in [true, false] {
            let why = Suspension::UserAccountControl.obstacle(&hidden, suspended, now).unwrap();
            assert!(why.contains("userAccountControl of cn=ann,dc=test cannot be read"), "{why}");
            assert_eq!(Suspension::NsAccountLock.obstacle(&hidden, suspended, now), None);
        }
    }

    #[test]
    fn other_values_of_a_custom_suspend_attribute_are_kept() {
        let suspension = Suspension::Attribute { attribute: "employeeType".into(), value: "left".into() };
        assert_eq!(suspension.changes(&entry("employeeType", "staff"), false), []);
        let suspended = entry("employeeType", "LEFT");
        assert_eq!(suspension.status(&suspended), AccountStatus::Suspended);
        assert_eq!(suspension.changes(&suspended, false), [Change::delete("employeeType", "left")]);
    }
}
