//! Whether an account can log in, according to the server itself: the account usability control, which OpenLDAP's overlay `ppolicy`
//! supports since version 2.5.
//!
//! Only this control shows whether a lock is effective: the attribute that locks is stored even if the password policy in force ignores it.

use ldap3::controls::RawControl;

/// The OID of the control in requests and responses.
pub(crate) const OID: &str = "1.3.6.1.4.1.42.2.27.9.5.8";

/// The control that requests it; a server that does not know it ignores it.
pub(crate) fn request() -> RawControl {
    RawControl { ctype: OID.to_owned(), crit: false, val: None }
}

/// Whether the account of an entry can log in; `None` if this is another control.
pub(crate) fn read(control: &RawControl) -> Option<bool> {
    if control.ctype != OID {
        return None;
    }
    // A CHOICE: [0] the seconds until the account expires, [1] why it is not available.
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
    fn usability_response_tells_if_login_is_possible() {
        let answer = |value: &[u8]| RawControl { val: Some(value.to_vec()), ..request() };
        assert_eq!(read(&answer(&[0x80, 1, 0xff])), Some(true));
        assert_eq!(read(&answer(&[0xa1, 3, 0x80, 1, 0xff])), Some(false));
        assert_eq!(read(&answer(&[])), None);
        assert_eq!(read(&RawControl { ctype: "1.2.3".to_owned(), ..answer(&[0x80, 1, 0xff]) }), None);
    }
}
