//! Determines which groups a user is in, and whether this is certain.
//!
//! If the application does not fill the attribute with memberships, every account appears to be in no group. So this is verified before a
//! user is removed from groups, or left unchanged because it appears to be in none.

use bridgehead_sdk::{Error, Memberships, Ref, is_same_id};

use crate::application::Application;
use crate::groups::members;
use crate::mapping::groups_of;
use crate::path::equals;
use crate::settings::MembershipsFrom;
use crate::wire::{Fields, field, id, text};

/// How many groups, accounts or members are read individually if a list shows nothing.
pub(crate) const LOOKED_AT: usize = 3;

/// The groups of a user.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) memberships: Memberships,
    /// Every group, if nothing in the application shows members: the user may be in each of them.
    pub(crate) unseen: Vec<String>,
}

/// The memberships that all groups show.
#[derive(Debug, Default)]
struct Survey {
    groups: Vec<String>,
    /// The groups of the user.
    own: Vec<Ref>,
    /// Some members of any group.
    members: Vec<String>,
}

impl Application<'_> {
    /// The groups that a user is in, read individually.
    pub(crate) async fn memberships_of(&self, user: &Fields) -> Result<Memberships, Error> {
        let Some(user_id) = id(user).filter(|_| self.features.groups.is_some()) else {
            return Ok(Memberships::default());
        };
        if self.settings.groups.memberships_from == MembershipsFrom::Accounts {
            return self.shown_by(user);
        }
        let filter = self.settings.groups.filter_members.then(|| equals("members.value", &user_id));
        let survey = self.survey(&user_id, filter.as_deref()).await?;
        Ok(self.memberships(survey.own))
    }

    /// The groups of a user for a change that depends on them: an empty result is verified.
    pub(crate) async fn standing(&self, user: &Fields) -> Result<Standing, Error> {
        let memberships = self.memberships_of(user).await?;
        let is_in_some = !memberships.of(&self.settings.groups.slug).is_empty();
        let Some(user_id) = id(user).filter(|_| !is_in_some && self.features.groups.is_some()) else {
            return Ok(Standing { memberships, unseen: Vec::new() });
        };
        let survey = self.survey(&user_id, None).await?;
        if let Some(group) = survey.own.first() {
            // The configured attribute does not show all memberships.
            let key = match self.settings.groups.memberships_from {
                MembershipsFrom::Accounts => "memberships_from = \"groups\"",
                MembershipsFrom::Groups => "filter_members = false",
            };
            return Err(Error::internal(format!(
                "{}: the account {user_id} seems to be in no group, but the group {} has it as a member; \
                 set groups.{key}",
                self.system(),
                group.id
            )));
        }
        if self.shows_nothing(user, &survey).await? {
            return Ok(Standing { memberships, unseen: survey.groups });
        }
        Ok(Standing { memberships, unseen: Vec::new() })
    }

    /// Whether nothing shows the members of any group; an error if memberships are read from the wrong attribute.
    async fn shows_nothing(&self, user: &Fields, survey: &Survey) -> Result<bool, Error> {
        if survey.groups.is_empty() {
            return Ok(false);
        }
        if self.settings.groups.memberships_from == MembershipsFrom::Accounts {
            let accounts = self.sample(self.users()).await?;
            return Ok(survey.members.is_empty() && !accounts.iter().any(has_groups));
        }
        if survey.members.is_empty() {
            if has_groups(user) {
                return Err(self.groups_are_bare(user));
            }
            self.read_groups_alone(&survey.groups).await?;
            return Ok(true);
        }
        for member in &survey.members {
            if self.scim.get(self.users(), member, &[]).await?.is_some() {
                return Ok(false);
            }
        }
        Err(self.members_are_strangers())
    }

    async fn survey(&self, user: &str, filter: Option<&str>) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        let Some(endpoint) = &self.features.groups else { return Ok(survey) };
        let walk = self.walk(endpoint, filter.map(|filter| ("filter", filter)));
        let mut place = Some(self.start());
        while let Some(at) = place {
            let step = walk.page(&at).await?;
            if let Some(twin) = step.twins.first() {
                return Err(Error::incomplete_listing(format!(
                    "{}: {twin}; correct its groups",
                    self.system()
                )));
            }
            for group in step.records {
                let members = members(&group)
                    .map_err(|why| Error::incomplete_listing(format!("{}: {why}", self.system())))?;
                let Some(group_id) = id(&group) else { continue };
                if members.iter().any(|member| is_same_id(member, user))
                    && !survey.own.iter().any(|known| known.id == group_id)
                {
                    let mut own = Ref::new(group_id.clone());
                    own.name = text(&group, "displayName").map(str::to_owned);
                    survey.own.push(own);
                }
                let room = LOOKED_AT.saturating_sub(survey.members.len());
                survey.members.extend(members.into_iter().take(room));
                survey.groups.push(group_id);
            }
            place = step.next;
        }
        Ok(survey)
    }

    fn shown_by(&self, user: &Fields) -> Result<Memberships, Error> {
        groups_of(user, &self.settings.groups.slug).map_err(|fault| self.unreadable(&fault))
    }

    fn memberships(&self, refs: Vec<Ref>) -> Memberships {
        Memberships([(self.settings.groups.slug.as_str().into(), refs)].into())
    }

    /// Called if none of the groups shows a member: some applications only show members if a group is read individually.
    pub(crate) async fn read_groups_alone(&self, groups: &[String]) -> Result<(), Error> {
        let Some(endpoint) = &self.features.groups else { return Ok(()) };
        for group in groups.iter().take(LOOKED_AT) {
            let found = self.scim.get(endpoint, group, &[]).await?;
            if found.is_some_and(|group| members(&group).is_ok_and(|all| !all.is_empty())) {
                return Err(Error::incomplete_listing(format!(
                    "{}: the list of its groups shows no members, but the group {group} has members when \
                     read individually; set groups.memberships_from = \"accounts\"",
                    self.system()
                )));
            }
        }
        Ok(())
    }

    /// The error if no group shows members although an account shows that it is in one.
    pub(crate) fn groups_are_bare(&self, user: &Fields) -> Error {
        Error::incomplete_listing(format!(
            "{}: none of its groups shows any members, but the account {} is in one; set \
             groups.memberships_from = \"accounts\"",
            self.system(),
            id(user).unwrap_or_default()
        ))
    }

    /// The error if groups have members but none of them is an account: something other than identifiers is used to refer to them.
    pub(crate) fn members_are_strangers(&self) -> Error {
        Error::incomplete_listing(format!(
            "{}: its groups have members, but none of them is the id of an account, so no account would be \
             in a group; set groups.memberships_from = \"accounts\", or groups.enabled = false",
            self.system()
        ))
    }
}

/// Whether a user shows that it is in a group.
pub(crate) fn has_groups(user: &Fields) -> bool {
    field(user, "groups").is_some_and(|groups| groups.as_array().is_none_or(|all| !all.is_empty()))
}
