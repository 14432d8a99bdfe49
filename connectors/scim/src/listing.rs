//! Listing accounts, groups and licenses.

use bridgehead_sdk::{Cursor, EntityRecord, Error, Evidence, Page, Record, RejectedRecord};
use serde::{Deserialize, Serialize};

use crate::application::Application;
use crate::groups::members;
use crate::mapping::{group, groups_of};
use crate::memberships::{Listings, Reads};
use crate::paging::{Place, Walk};
use crate::settings::{License, MembershipsFrom};
use crate::standing::{LOOKED_AT, has_groups};
use crate::wire::{Fields, id};

/// How many pages of groups are read in one call, which has a deadline.
const PAGES_AT_A_TIME: usize = 8;

/// The contents of a cursor.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    stage: Stage,
    /// Identifies the memberships and the shown records of this listing.
    listing: u64,
    /// Whether any account of this listing has shown groups.
    #[serde(default)]
    shown: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    /// Reads the members of the groups, before the accounts.
    Members,
    Records,
}

/// Lists one application.
pub(crate) struct Listing<'a> {
    pub(crate) application: &'a Application<'a>,
    pub(crate) listings: &'a Listings,
}

impl Listing<'_> {
    /// A page of accounts, each with its memberships.
    pub(crate) async fn accounts(&self, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let app = self.application;
        app.memberships_can_be_read()?;
        let mark = match self.read(cursor)? {
            Some(mark) => mark,
            None if self.reads_groups() => self.begin(Stage::Members),
            None => self.begin(Stage::Records),
        };
        match mark.stage {
            Stage::Members => self.members(mark).await,
            Stage::Records => self.users(mark).await,
        }
    }

    fn begin(&self, stage: Stage) -> Mark {
        let place = self.application.start();
        Mark { stage, listing: self.listings.begin(), shown: false, place }
    }

    /// Whether memberships are read from the groups, before the accounts.
    fn reads_groups(&self) -> bool {
        let app = self.application;
        app.features.groups.is_some() && app.settings.groups.memberships_from == MembershipsFrom::Groups
    }

    fn walk<'w>(
        &'w self,
        mark: &Mark,
        reads: Reads,
        endpoint: &'w str,
        with: Option<(&'w str, &'w str)>,
    ) -> Result<Walk<'w>, Error> {
        let app = self.application;
        let shown = self.listings.shown(mark.listing, reads);
        let shown = shown.map_err(|fault| fault.incomplete(app.system()))?;
        Ok(Walk { shown, ..app.walk(endpoint, with) })
    }

    /// Reads some pages of groups for their members; after the last one, the first page of accounts.
    async fn members(&self, mut mark: Mark) -> Result<Page, Error> {
        let app = self.application;
        let endpoint = app.features.groups.as_deref().unwrap_or_default();
        let walk = self.walk(&mark, Reads::Members, endpoint, None)?;
        for _ in 0..PAGES_AT_A_TIME {
            let step = walk.page(&mark.place).await?;
            if let Some(twin) = step.twins.first() {
                // It is unknown which of the groups has these members.
                return Err(Error::incomplete_listing(format!(
                    "{}: {twin}; correct its groups",
                    app.system()
                )));
            }
            self.listings.add(mark.listing, &step.records).map_err(|fault| fault.incomplete(app.system()))?;
            let Some(place) = step.next else {
                self.look_at_bare_groups(&mark).await?;
                let mark = Mark { stage: Stage::Records, place: app.start(), ..mark };
                return self.users(mark).await;
            };
            mark.place = place;
        }
        Ok(Page::with_next(Vec::new(), write(&mark)?))
    }

    /// If none of the groups shows a member, reads some of them individually.
    async fn look_at_bare_groups(&self, mark: &Mark) -> Result<(), Error> {
        let app = self.application;
        let incomplete = |fault: crate::memberships::Fault| fault.incomplete(app.system());
        if !self.listings.is_bare(mark.listing).map_err(incomplete)? {
            return Ok(());
        }
        let groups = self.listings.some_groups(mark.listing, LOOKED_AT).map_err(incomplete)?;
        app.read_groups_alone(&groups).await
    }

    async fn users(&self, mark: Mark) -> Result<Page, Error> {
        let app = self.application;
        let step = self.walk(&mark, Reads::Records, app.users(), None)?.page(&mark.place).await?;
        let mut page = Page::default().with_rejected(step.twins);
        let mut shown = mark.shown;
        for user in &step.records {
            if has_groups(user) {
                shown = true;
                self.contradiction(&mark, user)?;
            }
            match self.account(&mark, user)? {
                Ok(record) => page.records.push(record),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        if step.next.is_none() {
            if !shown {
                self.prove_that_nobody_is_in_a_group(&step.records).await?;
            }
            let are_strangers = self.listings.are_strangers(mark.listing);
            if are_strangers.map_err(|fault| fault.incomplete(app.system()))? {
                return Err(app.members_are_strangers());
            }
        }
        let next = step.next.map(|place| write(&Mark { shown, place, ..mark })).transpose()?;
        Ok(ending(page, next, step.end))
    }

    fn account(&self, mark: &Mark, user: &Fields) -> Result<Result<Record, RejectedRecord>, Error> {
        let app = self.application;
        let mut record = match app.mapping.record(user) {
            Ok(record) => record,
            Err(rejected) => return Ok(Err(rejected)),
        };
        let slug = app.settings.groups.slug.as_str();
        if self.reads_groups() {
            let of = self.listings.of(mark.listing, record.id.as_str(), slug);
            record.memberships = of.map_err(|fault| fault.incomplete(app.system()))?;
        } else if app.features.groups.is_some() {
            match groups_of(user, slug) {
                Ok(memberships) => record.memberships = memberships,
                Err(rejected) => return Ok(Err(rejected)),
            }
        }
        Ok(Ok(record.into()))
    }

    /// Fails if no group shows members although an account shows that it is in one: the members are hidden.
    fn contradiction(&self, mark: &Mark, user: &Fields) -> Result<(), Error> {
        let app = self.application;
        if !self.reads_groups() {
            return Ok(());
        }
        let is_bare = self.listings.is_bare(mark.listing).map_err(|fault| fault.incomplete(app.system()))?;
        if !is_bare {
            return Ok(());
        }
        Err(app.groups_are_bare(user))
    }

    /// Called if no account shows groups: checks that no account is in one, instead of accounts not showing them.
    async fn prove_that_nobody_is_in_a_group(&self, users: &[Fields]) -> Result<(), Error> {
        let app = self.application;
        let from_accounts = app.settings.groups.memberships_from == MembershipsFrom::Accounts;
        let Some(endpoint) = app.features.groups.as_deref().filter(|_| from_accounts) else { return Ok(()) };
        let walk = app.walk(endpoint, None);
        let mut place = Some(app.start());
        while let Some(at) = place {
            let step = walk.page(&at).await?;
            if let Some(group) =
                step.records.iter().find(|group| members(group).is_ok_and(|all| !all.is_empty()))
            {
                return Err(Error::incomplete_listing(format!(
                    "{}: no account shows a group, but the group {} has members; set \
                     groups.memberships_from = \"groups\"",
                    app.system(),
                    id(group).unwrap_or_default()
                )));
            }
            place = step.next;
        }
        for user in users.iter().filter_map(id).take(LOOKED_AT) {
            let found = app.scim.get(app.users(), &user, &[]).await?;
            if found.as_ref().is_some_and(has_groups) {
                return Err(Error::incomplete_listing(format!(
                    "{}: the list of its accounts shows no groups, and no group shows a member, but the \
                     account {user} is in one when read individually; set groups.enabled = false, or make \
                     the lists show them",
                    app.system()
                )));
            }
        }
        Ok(())
    }

    /// A page of groups.
    pub(crate) async fn groups(&self, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let app = self.application;
        let Some(endpoint) = app.features.groups.as_deref() else {
            return Err(Error::incomplete_listing(format!("{} has no groups", app.system())));
        };
        let mark = self.read(cursor)?.unwrap_or_else(|| self.begin(Stage::Records));
        // There may be many members, and they are not needed here.
        let walk = self.walk(&mark, Reads::Records, endpoint, Some(("excludedAttributes", "members")))?;
        let step = walk.page(&mark.place).await?;
        let mut page = Page::default().with_rejected(step.twins);
        for resource in &step.records {
            match group(resource) {
                Ok(record) => page.records.push(record.into()),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        let next = step.next.map(|place| write(&Mark { place, ..mark })).transpose()?;
        Ok(ending(page, next, step.end))
    }

    /// The licenses of a type, as configured. They are only listed if the application responds.
    pub(crate) async fn licenses(&self, license: &License, cursor: Option<&Cursor>) -> Result<Page, Error> {
        if self.read(cursor)?.is_some() {
            return Err(self.strange_cursor());
        }
        self.application.scim.prove(self.application.users()).await?;
        let records = license.values.iter().map(|(id, name)| EntityRecord::new(id, name).into());
        Ok(Page::last(records.collect(), Evidence::Atomic))
    }

    fn read(&self, cursor: Option<&Cursor>) -> Result<Option<Mark>, Error> {
        let Some(cursor) = cursor else { return Ok(None) };
        serde_json::from_str(cursor.as_str()).map(Some).map_err(|_| self.strange_cursor())
    }

    fn strange_cursor(&self) -> Error {
        let system = self.application.system();
        Error::incomplete_listing(format!(
            "{system}: the listing cannot continue: its cursor does not belong to this connector"
        ))
    }
}

/// The page with its next cursor, or with the evidence for the end.
fn ending(mut page: Page, next: Option<Cursor>, end: Option<(Evidence, Option<u64>)>) -> Page {
    (page.evidence, page.total) = end.map_or((None, None), |(evidence, total)| (Some(evidence), total));
    page.next = next;
    page
}

fn write(mark: &Mark) -> Result<Cursor, Error> {
    let text = serde_json::to_string(mark);
    text.map(Cursor::new)
        .map_err(|error| Error::incomplete_listing("a cursor cannot be written").with_source(error))
}
