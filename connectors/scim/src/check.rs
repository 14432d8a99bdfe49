//! What can be told of an application before anything is asked of it in earnest.

use bridgehead_sdk::Error;
use serde_json::Value;

use crate::application::Application;
use crate::errors::Asked;
use crate::groups::members;
use crate::path::equals;
use crate::settings::{Lookup, MembershipsFrom};
use crate::wire::{Fields, ListPage, field, id, objects};

impl Application<'_> {
    /// That the application can be reached, takes the credential, and does what the settings need. It changes nothing.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        if self.settings.lookup == Lookup::Filter && !self.features.filter {
            return Err(Error::internal(format!(
                "{} knows no filters, by which accounts are looked up; set lookup = \"list\" to read all accounts instead, or \
                 capabilities.filter = true if it knows them all the same",
                self.system()
            )));
        }
        self.check_mapping()?;
        self.memberships_can_be_read()?;
        let users = self.sample(&self.features.users).await?;
        if let Some(endpoint) = &self.features.groups {
            let groups = self.sample(endpoint).await?;
            self.warn_of_missing_memberships(&users, &groups);
            if self.settings.groups.filter_members {
                self.prove_member_filter(endpoint, &groups).await?;
            }
        }
        Ok(())
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

    async fn sample(&self, endpoint: &str) -> Result<Vec<Fields>, Error> {
        let place =
            if self.features.cursor { ("cursor", String::new()) } else { ("startIndex", "1".to_owned()) };
        let query = [place, ("count", self.settings.page_size.min(20).to_string())];
        let page: ListPage = self.scim.list(endpoint, &query, Asked::Read).await?;
        Ok(page.resources)
    }

    fn warn_of_missing_memberships(&self, users: &[Fields], groups: &[Fields]) {
        let has_members = |group: &Fields| members(group).is_ok_and(|all| !all.is_empty());
        let has_groups = |user: &Fields| objects(field(user, "groups")).next().is_some();
        let (system, looked_at) = (self.system(), groups.len());
        match self.settings.groups.memberships_from {
            MembershipsFrom::Groups if looked_at > 0 && !groups.iter().any(has_members) => tracing::warn!(
                app = system,
                "none of the {looked_at} groups that were looked at shows a member; if there are some, the application does not show \
                 them: set groups.memberships_from = \"accounts\""
            ),
            MembershipsFrom::Accounts
                if looked_at > 0 && !users.is_empty() && !users.iter().any(has_groups) =>
            {
                tracing::warn!(
                    app = system,
                    "none of the {} accounts that were looked at shows a group; if they are in some, the application does not show \
                     them: set groups.memberships_from = \"groups\"",
                    users.len()
                );
            }
            _ => {}
        }
    }

    /// That the application heeds the filter by which the groups of an account are found.
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
            "{} does not heed the filter members.value; set groups.filter_members = false",
            self.system()
        )))
    }
}

/// What is said of the application in the log, once.
pub(crate) fn summary(application: &Application<'_>) -> Value {
    let features = &application.features;
    serde_json::json!({
        "patch": features.patch, "filter": features.filter, "etag": features.etag, "cursor": features.cursor,
        "change_password": features.change_password, "users": features.users, "groups": features.groups,
    })
}
