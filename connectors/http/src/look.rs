//! Checks the target before anything goes wrong: whether it can be listed, and what a sync or a task would fail on.
//!
//! Nothing is changed. Every read-only request is made once, for an existing account or group; requests that make changes are built but not
//! sent (`rehearsal`).

use std::collections::BTreeSet;

use bridgehead_sdk::{Account, AccountRecord, Error, is_same_id};
use minijinja::Value;

use crate::accounts::{Found, Sight};
use crate::application::Application;
use crate::entities::Entities;
use crate::lookup::Looked;
use crate::members::MembersOf;

/// A user name or an email address that no account has.
const NOBODY: &str = "bridgehead-check-nobody";
const NO_EMAIL: &str = "bridgehead-check-nobody@example.org";

/// The result of a look.
#[derive(Debug)]
pub(crate) struct Look {
    /// Problems that an operator should check, with the key to change.
    pub(crate) warnings: BTreeSet<String>,
    /// The types of groups that show no members.
    pub(crate) blind: BTreeSet<String>,
    /// Whether every part could be checked.
    pub(crate) is_whole: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { warnings: BTreeSet::new(), blind: BTreeSet::new(), is_whole: true }
    }
}

impl Look {
    fn no_sync(&mut self, error: &Error) {
        self.is_whole = false;
        self.warnings.insert(format!("a sync would fail: {}", error.message()));
    }
}

impl Application {
    /// Checks the target. A problem that would make every sync fail is only a warning, because tasks may still work.
    pub(crate) async fn look(&self) -> Look {
        let mut look = Look::default();
        let listed = self.accounts.sight(&self.target, true).await;
        let sight = listed.unwrap_or_else(|error| {
            look.no_sync(&error);
            Sight::default()
        });
        look.warnings.extend(unreadable("accounts", &sight));
        look.warnings.extend(self.rehearse(&sight.found));
        if let Some(found) = sight.found.first() {
            look.warnings.extend(self.find_who_is_there(&found.record).await);
        }
        if look.is_whole {
            look.warnings.extend(self.find_nobody().await);
        }
        for entities in self.entities.iter() {
            if let Err(error) = self.look_at(entities, &sight.found, &mut look).await {
                look.no_sync(&error);
            }
        }
        look
    }

    /// Checks that a listed account is found by each of its keys.
    async fn find_who_is_there(&self, record: &AccountRecord) -> Vec<String> {
        let mut told = Vec::new();
        for (key, account) in self.accounts.keys_of(record) {
            match self.accounts.find_alone(&self.target, &account).await {
                Ok(Some(found)) if found.record.id == record.id => {}
                Ok(Some(found)) => told.push(format!(
                    "find.{key} returns {} when asked for {}; correct its request, or `accounts.record`",
                    found.record.id, record.id
                )),
                Ok(None) => told.push(format!(
                    "find.{key} does not find {}, which is listed; correct its request",
                    record.id
                )),
                Err(error) => {
                    told.push(format!(
                        "find.{key} fails for {}, which is listed: {}",
                        record.id,
                        error.message()
                    ));
                }
            }
        }
        told
    }

    /// Checks that a look-up recognizes a missing account, as before a creation.
    async fn find_nobody(&self) -> Vec<String> {
        let mut nobody = AccountRecord::new("");
        nobody.username = Some(NOBODY.to_owned());
        nobody.email = Some(NO_EMAIL.to_owned());
        let mut told = Vec::new();
        for (key, account) in
            self.accounts.keys_of(&nobody).into_iter().filter(|(_, account)| account.id.is_none())
        {
            let is_known =
                self.accounts.mapping.has(if account.username.is_some() { "username" } else { "email" });
            let found =
                if is_known { self.accounts.find_alone(&self.target, &account).await } else { Ok(None) };
            match found {
                Ok(None) => {}
                Ok(Some(found)) => told.push(format!(
                    "find.{key} returns {} when asked for an unused name, so no account can be created; \
                     correct its request",
                    found.record.id
                )),
                Err(error) => told.push(format!(
                    "find.{key} fails for an unused name, so no account can be created: {}; if this \
                     response means that the account does not exist, describe it under find.{key}.absent",
                    error.message()
                )),
            }
        }
        told
    }

    async fn look_at(&self, entities: &Entities, accounts: &[Found], look: &mut Look) -> Result<(), Error> {
        let slug = entities.resource_type.slug.as_str();
        let sight = entities.sight(&self.target).await?;
        look.warnings.extend(sight.rejected.first().map(|first| {
            format!(
                "{} of the {} records of the type {slug} that were checked cannot be read: {first}",
                sight.rejected.len(),
                sight.count
            )
        }));
        if let Some(first) = sight.ids.first() {
            look.warnings.extend(self.find_group(entities, first).await);
        }
        match &entities.members {
            Some(members) => self.look_at_members(slug, members, sight.ids, accounts, look).await,
            None => Ok(()),
        }
    }

    /// Checks that a listed group is found.
    async fn find_group(&self, entities: &Entities, group: &str) -> Option<String> {
        let slug = entities.resource_type.slug.as_str();
        let find = entities.find.as_ref()?;
        let vars = self.target.vars.with("ref", group);
        if !find.request().can_be_written(&vars) {
            return None;
        }
        let id = |raw: &Value| entities.id(raw);
        let is_it = |raw: &Value| id(raw).is_some_and(|found| found == group);
        match find.look(&self.target, &vars, &format!("{slug} {group} cannot be looked up"), id).await {
            Ok(Looked::One(raw)) if is_it(&raw) => None,
            Ok(Looked::Candidates(raw)) if raw.iter().any(is_it) => None,
            Ok(_) => Some(format!(
                "`find` of the type {slug} does not find {group}, which is listed; correct its request"
            )),
            Err(error) => Some(format!("`find` of the type {slug} fails: {}", error.message())),
        }
    }

    /// Checks whether groups show members, and whether the members are accounts.
    async fn look_at_members(
        &self,
        slug: &str,
        members: &MembersOf,
        groups: Vec<String>,
        accounts: &[Found],
        look: &mut Look,
    ) -> Result<(), Error> {
        let (mut seen, mut count) = (None, 0);
        for group in groups.into_iter().take(self.accounts.at_once) {
            count += 1;
            let member = members.of(&self.target, slug, &group).await?.into_iter().next();
            if let Some(member) = member {
                seen = Some((group, member));
                break;
            }
        }
        let Some((group, member)) = seen else {
            if count > 0 {
                look.blind.insert(slug.to_owned());
                look.warnings.insert(format!(
                    "none of the {count} groups of the type {slug} that were checked shows any members; if \
                     a group has members, a sync would remove all memberships: check `members` of {slug}"
                ));
            }
            return Ok(());
        };
        if accounts.iter().any(|found| is_same_id(found.record.id.as_str(), &member)) {
            return Ok(());
        }
        let account = Account::by_id(member.as_str());
        // Groups may also have members that are not accounts. A sync detects the case that none of all members is an account.
        if let Ok(None) = self.accounts.find_alone(&self.target, &account).await {
            look.warnings.insert(format!(
                "{slug} {group} has the member {member}, which is not the identifier of any account; if \
                 that is true for all members, a sync fails: correct `members.account` of {slug}, or \
                 `accounts.record.id`"
            ));
        }
        Ok(())
    }
}

/// The warnings about records that a sync would leave out.
fn unreadable(what: &str, sight: &Sight) -> Vec<String> {
    let looked_at = sight.found.len() + sight.rejected.len();
    let mut told = Vec::new();
    if let Some(first) = sight.rejected.first() {
        told.push(format!(
            "{} of the {looked_at} {what} that were checked cannot be read, the first because {}; correct \
             {what}.record.{}",
            sight.rejected.len(),
            first,
            first.field
        ));
    }
    if sight.count > 0 && looked_at == 0 {
        told.push(format!(
            "{what}.list.filter excludes every one of the {} records that were checked; correct it if they \
             are {what}",
            sight.count
        ));
    }
    told
}
