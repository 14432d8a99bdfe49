//! Compares the memberships that accounts and groups show: if the client can only read one of the two, they differ.

use bridgehead_sdk::Error;
use ldap3::Scope;

use crate::directory::{Directory, equals};
use crate::layout::GroupLayout;
use crate::memberships::folded;
use crate::name::Name;
use crate::rights::{Found, Part, first};
use crate::session::{Search, Session};

/// How many groups, and how many members of each, are compared with the accounts.
const GROUPS: i32 = 20;
const MEMBERS: usize = 3;

/// How many groups without members are compared with the accounts, and how many of them per request.
const BARE: i32 = 1000;
const AT_ONCE: usize = 50;

/// Whether accounts that are members of groups show their memberships.
pub(crate) enum Witness {
    Shows,
    ShowsNot {
        group: String,
        member: String,
    },
    /// No such account was found.
    Nobody,
}

/// A group that appears to be empty although an account is in it.
pub(crate) struct Hidden {
    /// The key of the invisible attribute.
    pub(crate) key: String,
    pub(crate) member: String,
    pub(crate) group: String,
    pub(crate) account: String,
}

/// Whether members of groups show their memberships.
pub(crate) async fn of_groups(directory: &Directory, session: &Session) -> Result<Witness, Error> {
    let layout = directory.layout();
    let accounts = &layout.accounts;
    let Ok(base) = Name::parse(&accounts.base) else { return Ok(Witness::Nobody) };
    let mut witness = Witness::Nobody;
    for of in layout.groups.iter().filter(|of| !of.by_username) {
        let filter = format!("(&{}({}=*))", of.filter, of.member);
        let attributes = [of.member.as_str()];
        let search = Search {
            base: &of.base,
            scope: Scope::Subtree,
            filter: &filter,
            attributes: &attributes,
            limit: GROUPS,
        };
        // A failed search is ignored.
        let groups = session.probe(&search).await.unwrap_or_default();
        for group in &groups {
            let members: Vec<&str> = group.texts(&of.member).flatten().take(MEMBERS).collect();
            for member in members {
                let is_within = Name::parse(member).is_ok_and(|name| name.is_within(&base));
                if !is_within || folded(member) == folded(&accounts.base) {
                    continue;
                }
                let itself = Part { base: member, scope: Scope::Base, filter: &accounts.filter };
                let Found::Entry(entry) = first(directory, session, itself, "", &layout.member_of).await?
                else {
                    continue;
                };
                if !entry.values(&layout.member_of).is_empty() {
                    witness = Witness::Shows;
                    continue;
                }
                // The account may have left the group in the meantime.
                let group = Part { base: &group.dn, scope: Scope::Base, filter: &of.filter };
                let holds = first(directory, session, group, &equals(&of.member, member), "1.1").await?;
                if matches!(holds, Found::Entry(_)) {
                    return Ok(Witness::ShowsNot { group: group.base.to_owned(), member: member.to_owned() });
                }
            }
        }
    }
    Ok(witness)
}

/// A group that shows no members although an account shows this membership.
pub(crate) async fn of_accounts(directory: &Directory, session: &Session) -> Result<Option<Hidden>, Error> {
    let layout = directory.layout();
    let schema = directory.schema();
    if schema.is_known() && !schema.has(&layout.member_of) {
        return Ok(None);
    }
    let accounts = &layout.accounts;
    let of_account = Part { base: &accounts.base, scope: accounts.scope, filter: &accounts.filter };
    for of in layout.groups.iter().filter(|of| !of.by_username) {
        for some in bare(session, of).await.chunks(AT_ONCE) {
            let condition: String = some.iter().map(|group| equals(&layout.member_of, group)).collect();
            let condition = format!("(|{condition})");
            let Found::Entry(account) =
                first(directory, session, of_account, &condition, &layout.member_of).await?
            else {
                continue;
            };
            for shown in account.texts(&layout.member_of).flatten() {
                let Some(group) = some.iter().find(|group| folded(group) == folded(shown)) else { continue };
                let part = Part { base: group, scope: Scope::Base, filter: &of.filter };
                // The account may have joined the group in the meantime, and computed attributes cannot be searched.
                if let Found::Entry(now) = first(directory, session, part, "", &of.member).await?
                    && now.values(&of.member).is_empty()
                    && now.ranged().is_none()
                {
                    return Ok(Some(Hidden {
                        key: format!("{}.member_attribute", of.key),
                        member: of.member.clone(),
                        group: group.clone(),
                        account: account.dn.clone(),
                    }));
                }
            }
        }
    }
    Ok(None)
}

/// The groups of a type without visible members. A failed search is ignored.
async fn bare(session: &Session, of: &GroupLayout) -> Vec<String> {
    let mut groups = Vec::new();
    for condition in ["", &format!("({}=*)", of.member)] {
        let filter = format!("(&{}{condition})", of.filter);
        let attributes = ["1.1"];
        let search = Search {
            base: &of.base,
            scope: Scope::Subtree,
            filter: &filter,
            attributes: &attributes,
            limit: BARE,
        };
        let found = session.probe(&search).await.unwrap_or_default();
        groups.push(found.into_iter().filter(|entry| !entry.garbled).map(|entry| entry.dn));
    }
    let with_members: std::collections::HashSet<String> =
        groups.pop().into_iter().flatten().map(|dn| folded(&dn)).collect();
    let all = groups.pop().into_iter().flatten();
    all.filter(|dn| !with_members.contains(&folded(dn))).collect()
}
