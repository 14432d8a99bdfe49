//! The value of the paged results control (RFC 2696) in a response.

use ldap3::LdapResult;

/// The OID of the control.
pub(crate) const OID: &str = "1.2.840.113556.1.4.319";

/// The position of the next page: empty at the end, `None` if the server did not page at all.
pub(crate) fn cookie(result: &LdapResult) -> Option<Vec<u8>> {
    let control = result.ctrls.iter().find(|control| control.1.ctype == OID)?;
    let (value, _) = content(control.1.val.as_deref()?, 0x30)?;
    let (_, rest) = content(value, 0x02)?;
    let (cookie, _) = content(rest, 0x04)?;
    Some(cookie.to_vec())
}

/// The content of a BER element with this tag, and the octets after it.
fn content(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = octets.split_first()?;
    let (&length, mut rest) = rest.split_first()?;
    let mut length = usize::from(length);
    if length >= 0x80 {
        let size = length - 0x80;
        if size == 0 || size > 4 {
            return None;
        }
        let (octets, behind) = rest.split_at_checked(size)?;
        length = octets.iter().fold(0, |length, octet| (length << 8) | usize::from(*octet));
        rest = behind;
    }
    if first == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use ldap3::controls::{Control, PagedResults, RawControl};
    use proptest::prelude::*;

    use super::*;

    fn answer(value: Option<Vec<u8>>) -> LdapResult {
        let control = RawControl { ctype: OID.to_owned(), crit: false, val: value };
        LdapResult {
            rc: 0,
            matched: String::new(),
            text: String::new(),
            refs: Vec::new(),
            ctrls: vec![Control(None, control)],
        }
    }

    #[test]
    fn response_without_paging_control_has_no_cookie() {
        assert_eq!(cookie(&LdapResult { ctrls: Vec::new(), ..answer(None) }), None);
        assert_eq!(cookie(&answer(None)), None);
    }

    proptest! {
        #[test]
        fn cookie_of_any_length_is_read(octets in proptest::collection::vec(any::<u8>(), 0..400), size in 0..70_000) {
            let raw: RawControl = PagedResults { size, cookie: octets.clone() }.into();
            prop_assert_eq!(cookie(&answer(raw.val)), Some(octets));
        }

        #[test]
        fn arbitrary_paging_control_does_not_panic(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = cookie(&answer(Some(octets)));
        }
    }
}
