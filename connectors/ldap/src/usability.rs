//! Whether an account can log in, as the server itself says it: the account usability control, which OpenLDAP's overlay
//! `ppolicy` has from version 2.5 on.
//!
//! It is the one thing that shows whether a lock holds: the attribute that locks is there whether the password policy in force
//! minds it or not.

use ldap3::controls::RawControl;

/// The OID of the control, in the request and in the answer.
pub(crate) const OID: &str = "1.3.6.1.4.1.42.2.27.9.5.8";

/// What asks for it; a server that does not know it takes no notice.
pub(crate) fn request() -> RawControl {
    RawControl { ctype: OID.to_owned(), crit: false, val: None }
}

/// Whether the account of an entry can log in; `None` if this is another control.
pub(crate) fn read(control: &RawControl) -> Option<bool> {
    if control.ctype != OID {
        return None;
    }
    // A choice: [0] the seconds until it expires, [1] why it is not available.
    match control.val.as_deref()?.first()? & 0x1f {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_the_account_can_log_in() {
        let answer = |value: &[u8]| RawControl { val: Some(value.to_vec()), ..request() };
        assert_eq!(read(&answer(&[0x80, 1, 0xff])), Some(true));
        assert_eq!(read(&answer(&[0xa1, 3, 0x80, 1, 0xff])), Some(false));
        assert_eq!(read(&answer(&[])), None);
        assert_eq!(read(&RawControl { ctype: "1.2.3".to_owned(), ..answer(&[0x80, 1, 0xff]) }), None);
    }
}
