//! Many accounts and groups, made the same way for every directory.

use crate::ldif::line;

/// How many accounts and groups a directory starts with.
///
/// Account number 7 of 10,000 is `uid=user-00007` with the mail `user-00007@example.com`; group number 3 is `cn=group-003`.
/// The members of groups follow one another: with 10,000 accounts and 200 groups of 50, each account is in exactly one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Population {
    pub accounts: usize,
    pub groups: usize,
    /// Members of each group, at most as many as there are accounts.
    pub members: usize,
}

impl Population {
    /// The name of an account, counted from 0.
    pub fn account(number: usize) -> String {
        format!("user-{number:05}")
    }

    /// The name of a group, counted from 0.
    pub fn group(number: usize) -> String {
        format!("group-{number:03}")
    }

    /// The numbers of a group's members.
    pub fn members_of(&self, group: usize) -> impl Iterator<Item = usize> + use<> {
        let Self { accounts, members, .. } = *self;
        let count = if accounts == 0 { 0 } else { members.min(accounts) };
        (0..count).map(move |member| (group * members + member) % accounts)
    }

    /// Accounts as `inetOrgPerson`, groups as `groupOfNames` with a placeholder that keeps an empty one valid. `member_of`
    /// says whether accounts carry the attribute: a loader that goes past the server's overlays needs it in the file.
    pub(crate) fn ldif(
        &self,
        people: &str,
        groups: &str,
        placeholder: Option<&str>,
        member_of: bool,
    ) -> String {
        let mut text = String::new();
        let mut groups_of = vec![Vec::new(); if member_of { self.accounts } else { 0 }];
        if member_of {
            for group in 0..self.groups {
                self.members_of(group).for_each(|member| groups_of[member].push(group));
            }
        }
        for number in 0..self.accounts {
            let uid = Self::account(number);
            text += &format!(
                "dn: uid={uid},{people}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: User {number:05}\n\
                 sn: Number {number:05}\ngivenName: User\ndisplayName: User {number:05}\nmail: {uid}@example.com\n"
            );
            for group in groups_of.get(number).into_iter().flatten() {
                text.push_str(&line("memberOf", &format!("cn={},{groups}", Self::group(*group))));
            }
            text.push('\n');
        }
        for number in 0..self.groups {
            let cn = Self::group(number);
            text += &format!("dn: cn={cn},{groups}\nobjectClass: groupOfNames\ncn: {cn}\n");
            let members =
                self.members_of(number).map(|member| format!("uid={},{people}", Self::account(member)));
            for member in placeholder.map(str::to_owned).into_iter().chain(members) {
                text += &format!("member: {member}\n");
            }
            text.push('\n');
        }
        text
    }
}
