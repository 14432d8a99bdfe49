//! Groups and licences: listed, and looked for before an account is added to them.

use bridgehead_sdk::{
    Cursor, EntityRecord, Error, Evidence, Page, Record, RejectedRecord, ResourceKind, ResourceType, Subject,
};
use minijinja::Value;

use crate::accounts::Accounts;
use crate::lookup::{Looked, Lookup};
use crate::mapping::Mapping;
use crate::pages::Pages;
use crate::paging::Place;
use crate::target::Target;
use crate::template::Expression;

/// A type of groups or licences.
#[derive(Debug)]
pub(crate) struct Entities {
    pub(crate) resource_type: ResourceType,
    pub(crate) source: Source,
    pub(crate) find: Option<Lookup>,
}

/// Where they come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The target has them by its nature.
    Fixed(Vec<EntityRecord>),
    /// The target lists them.
    Listed {
        /// The list.
        pages: Box<Pages>,
        /// Which records are ours.
        filter: Option<Expression>,
        /// How they are read.
        mapping: Box<Mapping>,
    },
}

impl Entities {
    /// One page of the listing.
    pub(crate) async fn list(&self, target: &Target, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let place = cursor.map(Place::read).transpose()?;
        let (read, next) =
            self.page(target, place, &format!("{} cannot be listed", self.resource_type.slug)).await?;
        let (mut records, mut rejected) = (Vec::new(), Vec::new());
        for one in read {
            match one {
                Ok(entity) => records.push(Record::Entity(entity)),
                Err(one) => rejected.push(one),
            }
        }
        let next = next.as_ref().map(Place::cursor).transpose()?;
        Ok(Page { records, rejected, ..Page::default() }.ending(next, Evidence::EndOfCursor))
    }

    async fn page(
        &self,
        target: &Target,
        place: Option<Place>,
        what: &str,
    ) -> Result<(Vec<Result<EntityRecord, RejectedRecord>>, Option<Place>), Error> {
        match &self.source {
            Source::Fixed(records) => Ok((records.iter().cloned().map(Ok).collect(), None)),
            Source::Listed { pages, filter, mapping } => {
                let page = pages.page(target, &target.vars, what, |raw| mapping.id(raw), place).await?;
                let read = page.records.into_iter().filter_map(|raw| {
                    let vars = target.vars.with("record", raw.clone());
                    match filter.as_ref().map(|filter| filter.truth(&vars)) {
                        None | Some(Ok(true)) => Some(mapping.read_entity(&vars)),
                        Some(Ok(false)) => None,
                        Some(Err(fault)) => {
                            let rule = format!("what `filter` can judge, but {fault}");
                            Some(Err(RejectedRecord {
                                id: mapping.id(&raw),
                                field: "record".to_owned(),
                                rule,
                            }))
                        }
                    }
                });
                Ok((read.collect(), page.next))
            }
        }
    }

    /// Makes sure that each of these is there, before an account is added to the first. `accounts` has the request of `check`.
    pub(crate) async fn require(
        &self,
        target: &Target,
        accounts: &Accounts,
        refs: &[String],
        what: &str,
    ) -> Result<(), Error> {
        if refs.is_empty() {
            return Ok(());
        }
        let mut missing: Vec<&String> = refs.iter().collect();
        let vars_of = |wanted: &str| target.vars.with("ref", wanted);
        let find = self.find.as_ref();
        let find =
            find.filter(|find| refs.iter().all(|wanted| find.request().can_be_written(&vars_of(wanted))));
        if let (Source::Listed { mapping, .. }, Some(find)) = (&self.source, find) {
            for wanted in refs {
                let vars = vars_of(wanted);
                let is_wanted = |raw: &Value| mapping.id(raw).as_ref() == Some(wanted);
                match find.look(target, &vars, what, |raw| mapping.id(raw)).await? {
                    Looked::Nobody { certain: false } => accounts.check(target).await?,
                    Looked::One(raw) if !is_wanted(&raw) => {
                        let message =
                            format!("{what}: {} answered with another than {wanted}", target.system);
                        return Err(Error::internal(message));
                    }
                    Looked::One(_) => missing.retain(|one| *one != wanted),
                    Looked::Candidates(raw) if raw.iter().any(is_wanted) => {
                        missing.retain(|one| *one != wanted);
                    }
                    Looked::Candidates(_) | Looked::Nobody { certain: true } => {}
                }
            }
        } else {
            let mut place = match &self.source {
                Source::Fixed(_) => None,
                Source::Listed { pages, .. } => pages.start_of_search(),
            };
            loop {
                let (read, next) = self.page(target, place, what).await?;
                let ids: Vec<String> = read.into_iter().flatten().map(|entity| entity.id).collect();
                missing.retain(|wanted| !ids.contains(wanted));
                place = next;
                if place.is_none() || missing.is_empty() {
                    break;
                }
            }
        }
        let Some(missing) = missing.first() else { return Ok(()) };
        let message = format!("{what}: {} {missing} not found in {}", self.resource_type.name, target.system);
        let error = Error::group_not_found(message);
        Err(if self.resource_type.kind == ResourceKind::License {
            error.subject(Subject::License)
        } else {
            error
        })
    }
}
