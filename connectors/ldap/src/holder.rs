//! The entry that is about to be changed. Names are reused: since an entry was read, another client may have renamed it, and given its name
//! to a different one. So the name is checked right before each change; Active Directory accepts the identifier instead.
//!
//! The assertion control (RFC 4528) would also exclude the moment in between, but overlays of OpenLDAP apply it to other entries as well:
//! with it, `memberof` does not maintain `memberOf`, and `unique` refuses changes.

use crate::failure::{Failure, Refusal};
use crate::identifier::IdAttribute;
use crate::session::{Search, Session};

/// The code for a name that belongs to another entry, as a server would report it (assertionFailed).
pub(crate) const NAME_TAKEN: u32 = 122;

/// An entry by its name and its identifier.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// The name.
    pub(crate) dn: String,
    /// The filter that only this entry matches.
    condition: Option<String>,
    /// The identifier in the form of a name, if the server accepts it ([MS-ADTS] 3.1.1.3.1.2.4).
    guid: Option<String>,
}

impl Holder {
    /// The entry `dn` with the identifier `id`.
    pub(crate) fn new(attribute: &IdAttribute, dn: &str, id: Option<&str>) -> Self {
        let guid = id.and_then(|id| attribute.guid(id)).map(|guid| format!("<GUID={guid}>"));
        Self { dn: dn.to_owned(), condition: id.and_then(|id| attribute.filter(id)), guid }
    }

    /// Whether requests name the entry by its identifier.
    pub(crate) fn is_by_id(&self) -> bool {
        self.guid.is_some()
    }
}

impl Session {
    /// The name for a request that changes an entry: its identifier, or its name, which must still belong to it.
    pub(crate) async fn name_of<'h>(&self, holder: &'h Holder) -> Result<&'h str, Failure> {
        match &holder.guid {
            Some(guid) => Ok(guid),
            None => self.still_has_its_name(holder).await.map(|()| holder.dn.as_str()),
        }
    }

    /// Checks an entry right before a change. Only a change in the same moment goes unnoticed.
    pub(crate) async fn still_has_its_name(&self, holder: &Holder) -> Result<(), Failure> {
        let Some(filter) = &holder.condition else { return Ok(()) };
        let search =
            Search { base: &holder.dn, scope: ldap3::Scope::Base, filter, attributes: &["1.1"], limit: 1 };
        match self.search_here(&search).await {
            Ok((found, _)) if found.is_empty() => Err(Failure::Refused(Refusal {
                code: NAME_TAKEN,
                matched: String::new(),
                text: "the name belongs to another entry".to_owned(),
            })),
            // If the entry cannot be read, the change itself shows why.
            Ok(_) => Ok(()),
            Err(failure) if failure.code().is_some() => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_named_by_its_guid_or_has_a_condition() {
        let guid = "00112233-4455-6677-8899-aabbccddeeff";
        let holder = Holder::new(&IdAttribute::new("objectGUID"), "cn=ann,dc=test", Some(guid));
        assert_eq!(holder.guid.as_deref(), Some("<GUID=00112233-4455-6677-8899-aabbccddeeff>"));
        let holder = Holder::new(&IdAttribute::new("entryUUID"), "uid=ann,dc=test", Some(guid));
        assert_eq!((holder.dn.as_str(), holder.is_by_id()), ("uid=ann,dc=test", false));
        assert_eq!(holder.condition.unwrap(), format!("(entryUUID={guid})"));
        let holder = Holder::new(&IdAttribute::new("entryUUID"), "uid=ann,dc=test", None);
        assert!(holder.condition.is_none() && !holder.is_by_id());
    }
}
