//! Groups: reading and changing their members.

use bridgehead_sdk::{Effect, Error, Retry, Subject};

use serde_json::Value;

use crate::application::Application;
use crate::change::{Change, put, with_members};
use crate::errors::Asked;
use crate::settings::{AbsentMembers, RemoveMember};
use crate::wire::{Fields, field, id, objects, reference, text};

/// The members of a group, other than groups.
pub(crate) fn members(group: &Fields) -> Result<Vec<String>, String> {
    let is_group = |member: &&Fields| {
        text(member, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("Group"))
            || text(member, "$ref").is_some_and(|url| url.contains("/Groups/"))
    };
    let items = field(group, "members");
    let count = items.and_then(Value::as_array).map_or(usize::from(items.is_some()), Vec::len);
    let all: Vec<&Fields> = objects(items).collect();
    let users = all.iter().copied().filter(|member| !is_group(member));
    let users: Option<Vec<String>> = users.map(reference).collect();
    // Skipping an unreadable member would lose a membership.
    users.filter(|_| all.len() == count).ok_or_else(|| {
        let name = id(group).unwrap_or_else(|| "without an id".to_owned());
        format!("a member of the group {name} cannot be read")
    })
}

impl Application<'_> {
    /// Checks that groups exist before anything is changed for them.
    pub(crate) async fn require_groups(&self, refs: &[&str]) -> Result<(), Error> {
        let Some(endpoint) = &self.features.groups else { return Ok(()) };
        // If members can only be written as a whole, the group must show them.
        let query: &[(&str, &str)] =
            if self.features.patch { &[("excludedAttributes", "members")] } else { &[] };
        for wanted in refs {
            let found = self.scim.get(endpoint, wanted, query).await.map_err(about_group)?;
            let group = found.ok_or_else(|| self.group_missing(wanted))?;
            if !self.features.patch {
                self.shows_members(&group, wanted)?;
            }
        }
        Ok(())
    }

    /// Fails if a group does not show its members: writing the list would remove all of them.
    fn shows_members(&self, group: &Fields, own: &str) -> Result<(), Error> {
        let is_shown = field(group, "members").is_some();
        if is_shown || self.settings.groups.absent_members == AbsentMembers::Nobody {
            return Ok(());
        }
        let message = format!(
            "{} {own} of {} cannot be changed: without PATCH its members must be written as a whole, but it \
             does not show them; set groups.absent_members = \"nobody\" if such a group has no members",
            self.settings.groups.name,
            self.system()
        );
        Err(Error::internal(message).with_subject(Subject::Group))
    }

    fn group_missing(&self, group: &str) -> Error {
        Error::group_not_found(format!(
            "{} {group} not found in {}; add it there, or run a sync to bring Iden up to date",
            self.settings.groups.name,
            self.system()
        ))
    }

    /// The error for a 404 to a change of a group that existed a moment ago.
    async fn group_answers_404(&self, endpoint: &str, group: &str, what: &str) -> Error {
        match self.scim.get(endpoint, group, &[("excludedAttributes", "members")]).await {
            Ok(None) => self.group_missing(group),
            Ok(Some(_)) => Error::internal(format!(
                "{what}: {} responds with 404 to the change, but finds the group when it is looked up; it \
                 may not know the user, or its credential may lack permission to change the group",
                self.system()
            ))
            .with_subject(Subject::Group)
            .with_effect(Effect::Unknown)
            .with_retry(Retry::Backoff),
            Err(error) => about_group(error).with_effect(Effect::Unknown),
        }
    }

    /// Adds a user to a group, or removes it.
    pub(crate) async fn set_member(
        &self,
        group: &str,
        (user, label): (&str, &str),
        is_member: bool,
    ) -> Result<(), Error> {
        let Some(endpoint) = &self.features.groups else { return Ok(()) };
        let what = if is_member {
            format!("User {label} cannot be added to {} {group}", self.settings.groups.name)
        } else {
            format!("User {label} cannot be removed from {} {group}", self.settings.groups.name)
        };
        let (change, version, _turn) = if self.features.patch {
            let by_value = self.settings.groups.remove_member == RemoveMember::Value;
            let style = self.style();
            let change = if is_member { style.add_member(user) } else { style.remove_member(user, by_value) };
            (change, None, None)
        } else {
            // Without PATCH, the members are read and written as a whole, by one task at a time.
            let turn = self.turn.lock().await;
            let found = self.scim.get(endpoint, group, &[]).await.map_err(about_group)?;
            let before = found.ok_or_else(|| self.group_missing(group))?;
            self.shows_members(&before, group)?;
            let Some(after) = with_members(&before, user, is_member) else { return Ok(()) };
            (put(&after), self.version(&before).map(str::to_owned), Some(turn))
        };
        let Change { method, body } = change;
        let asked = (what.as_str(), Asked::Members);
        match self.scim.change(method, (endpoint, group), &body, version.as_deref(), asked).await {
            // An account that is no longer a member need not be removed.
            Err(refusal) if refusal.no_target && !is_member => Ok(()),
            Err(refusal) if refusal.is_gone => Err(self.group_answers_404(endpoint, group, &what).await),
            other => Ok(other?),
        }
    }
}

fn about_group(error: Error) -> Error {
    match error.subject() {
        Subject::Account => error.with_subject(Subject::Group),
        _ => error,
    }
}
