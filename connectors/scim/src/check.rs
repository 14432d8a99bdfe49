//! What can be checked about an application before the first sync or task.

use std::collections::BTreeSet;

use bridgehead_sdk::Error;
use serde_json::Value;

use crate::application::Application;
use crate::errors::Asked;
use crate::groups::members;
use crate::path::equals;
use crate::settings::{Lookup, MembershipsFrom};
use crate::wire::{Fields, ListPage, field, id, objects};

/// What an application accepts but does not show.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlindSpots {
    /// Fields and types of memberships that reading back cannot verify.
    pub(crate) unverifiable: BTreeSet<String>,
    /// What an operator should check, with the key to change.
    pub(crate) warnings: Vec<String>,
}

impl Application<'_> {
    /// Checks that the application can be reached, accepts the credential, and supports what the settings need, and collects warnings for
    /// an operator. Nothing is changed.
    pub(crate) async fn check(&self) -> Result<BlindSpots, Error> {
        if self.settings.lookup == Lookup::Filter && !self.features.filter {
            return Err(Error::internal(format!(
                "{} does not support filters, which are used to look up accounts; set lookup = \"list\" to \
                 read all accounts instead, or capabilities.filter = true if it does support them",
                self.system()
            )));
        }
        self.check_mapping()?;
        self.memberships_can_be_read()?;
        let users = self.sample(&self.features.users).await?;
        let mut groups = Vec::new();
        if let Some(endpoint) = &self.features.groups {
            groups = self.sample(endpoint).await?;
            if self.settings.groups.filter_members {
                self.prove_member_filter(endpoint, &groups).await?;
            }
        }
        let mut spots = self.spots(&users, &groups);
        for endpoint in [Some(&self.features.users), self.features.groups.as_ref()].into_iter().flatten() {
            if let Err(error) = self.first_pages(endpoint).await {
                spots.warnings.push(format!("a sync would fail: {}", error.message()));
            }
        }
        spots.warnings.extend(self.stumbling_blocks(&users).await);
        Ok(spots)
    }

    fn check_mapping(&self) -> Result<(), Error> {
        let Some(attributes) = &self.features.attributes else { return Ok(()) };
        for name in &self.mapping.explicit {
            let Some(path) = self.mapping.path(name) else { continue };
            if let Some(fault) = attributes.fault(path) {
                let message = format!("{}: attributes.{name} = '{path}': {fault}", self.system());
                return Err(Error::internal(message));
            }
        }
        Ok(())
    }

    pub(crate) async fn sample(&self, endpoint: &str) -> Result<Vec<Fields>, Error> {
        let place =
            if self.features.cursor { ("cursor", String::new()) } else { ("startIndex", "1".to_owned()) };
        let query = [place, ("count", self.settings.page_size.min(20).to_string())];
        let page: ListPage = self.scim.list(endpoint, &query, Asked::Read).await?;
        Ok(page.resources)
    }

    /// What the application accepts but does not show, judging by a sample, and warnings for an operator.
    pub(crate) async fn blind_spots(&self) -> BlindSpots {
        // An unreachable application is reported by `check`.
        let Ok(users) = self.sample(&self.features.users).await else { return self.spots(&[], &[]) };
        let groups = match &self.features.groups {
            Some(endpoint) => self.sample(endpoint).await.unwrap_or_default(),
            None => Vec::new(),
        };
        self.spots(&users, &groups)
    }

    fn spots(&self, users: &[Fields], groups: &[Fields]) -> BlindSpots {
        let mut spots = BlindSpots::default();
        if let Some(attributes) = &self.features.attributes {
            let hidden = self.mapping.fields().filter(|(_, path)| attributes.hides(path));
            spots.unverifiable.extend(hidden.map(|(name, _)| name.to_owned()));
        }
        if !users.is_empty() && !users.iter().any(|user| field(user, "active").is_some()) {
            spots.unverifiable.insert("status".to_owned());
            spots.warnings.push(format!(
                "none of the {} accounts that were checked shows the attribute active: all are treated as \
                 active, and suspensions cannot be verified",
                users.len()
            ));
        }
        if let Some(warning) = self.missing_memberships(users, groups) {
            spots.warnings.push(warning);
            spots.unverifiable.insert(format!("memberships.{}", self.settings.groups.slug));
        }
        let rejected: Vec<_> = users.iter().filter_map(|user| self.mapping.record(user).err()).collect();
        if let Some(first) = rejected.first() {
            let moved = match self.mapping.path(&first.field) {
                Some(_) => format!(", or set attributes.{} to where it is", first.field),
                None => String::new(),
            };
            spots.warnings.push(format!(
                "{} of the {} accounts that were checked cannot be read, the first because {first}; correct \
                 them there{moved}",
                rejected.len(),
                users.len(),
            ));
        }
        spots
    }

    /// A warning if the attribute from which memberships are read shows none.
    fn missing_memberships(&self, users: &[Fields], groups: &[Fields]) -> Option<String> {
        let has_members = |group: &Fields| members(group).is_ok_and(|all| !all.is_empty());
        let has_groups = |user: &Fields| objects(field(user, "groups")).next().is_some();
        let from = self.settings.groups.memberships_from;
        let (place, count, attribute, shows) = match from {
            MembershipsFrom::Groups => ("groups", groups.len(), "a member", groups.iter().any(has_members)),
            MembershipsFrom::Accounts => ("accounts", users.len(), "a group", users.iter().any(has_groups)),
        };
        if groups.is_empty() || count == 0 || shows {
            return None;
        }
        let (other, other_shows) = match from {
            MembershipsFrom::Groups => ("accounts", users.iter().any(has_groups)),
            MembershipsFrom::Accounts => ("groups", groups.iter().any(has_members)),
        };
        let advice = if other_shows {
            format!("its {other} do: set groups.memberships_from = \"{other}\"")
        } else {
            format!(
                "its {other} show none either; if a group has members, a sync would remove all memberships: \
                 set groups.enabled = false, or make the application show them"
            )
        };
        Some(format!("none of the {count} {place} that were checked shows {attribute}; {advice}"))
    }

    /// Checks that the application applies the filter that finds the groups of an account.
    async fn prove_member_filter(&self, endpoint: &str, groups: &[Fields]) -> Result<(), Error> {
        let sample =
            groups.iter().find_map(|group| Some((id(group)?, members(group).ok()?.into_iter().next()?)));
        let Some((group, member)) = sample else { return Ok(()) };
        let query = [("filter", equals("members.value", &member)), ("count", "100".to_owned())];
        let page = self.scim.list(endpoint, &query, Asked::Read).await?;
        let is_member = |group: &Fields| members(group).is_ok_and(|all| all.contains(&member));
        let finds = page.resources.iter().any(|found| id(found).is_some_and(|found| found == group));
        if finds && page.resources.iter().all(is_member) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "{} ignores the filter members.value; set groups.filter_members = false",
            self.system()
        )))
    }
}

/// A summary of the application, which is logged once.
pub(crate) fn summary(application: &Application<'_>) -> Value {
    let features = &application.features;
    serde_json::json!({
        "patch": features.patch, "filter": features.filter, "etag": features.etag, "cursor": features.cursor,
        "change_password": features.change_password, "users": features.users, "groups": features.groups,
    })
}
