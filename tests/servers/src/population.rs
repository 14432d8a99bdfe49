//! Many accounts and groups, created in the same way for every directory.

/// The initial number of accounts and groups in a directory.
///
/// Account number 7 of 10,000 is `uid=user-00007` with the mail `user-00007@example.com`; group number 3 is `cn=group-003`.
/// The members of groups are consecutive: with 10,000 accounts and 200 groups of 50, each account is in exactly one.
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

    /// Accounts as `inetOrgPerson`, groups as `groupOfNames`.
    pub(crate) fn ldif(&self, layout: &Layout<'_>) -> String {
        let Layout { people, groups, .. } = layout;
        let mut text = String::new();
        let mut groups_of = vec![Vec::new(); self.accounts];
        if layout.member_of {
            for group in 0..self.groups {
                self.members_of(group).for_each(|member| groups_of[member].push(group));
            }
        }
        for (number, member_of) in groups_of.iter().enumerate() {
            let uid = Self::account(number);
            text += &format!(
                "dn: uid={uid},{people}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: User {number:05}\n\
                 sn: Number {number:05}\ngivenName: User\ndisplayName: User {number:05}\nmail: {uid}@example.com\n"
            );
            if let Some(class) = layout.further_class {
                text += &format!("objectClass: {class}\n");
            }
            for group in member_of {
                text += &format!("memberOf: cn={},{groups}\n", Self::group(*group));
            }
            text.push('\n');
        }
        for number in 0..self.groups {
            let cn = Self::group(number);
            text += &format!("dn: cn={cn},{groups}\nobjectClass: groupOfNames\ncn: {cn}\n");
            if let Some(placeholder) = layout.placeholder {
                text += &format!("member: {placeholder}\n");
            }
            for member in self.members_of(number) {
                text += &format!("member: uid={},{people}\n", Self::account(member));
            }
            text.push('\n');
        }
        text
    }
}

/// The location of a population, and the requirements of the server.
pub(crate) struct Layout<'a> {
    pub(crate) people: &'a str,
    pub(crate) groups: &'a str,
    /// A member that keeps a group without other members valid.
    pub(crate) placeholder: Option<&'a str>,
    /// Whether accounts contain their groups: a loader that bypasses the plug-in for this attribute needs it in the file.
    pub(crate) member_of: bool,
    /// An additional object class of accounts.
    pub(crate) further_class: Option<&'a str>,
}
