//! Groups and licenses: listing them, and checking that they exist before an account is added to them.

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{
    Cursor, EntityRecord, Error, Evidence, Page, Record, RejectedRecord, ResourceKind, ResourceType, Subject,
};
use minijinja::Value;

use crate::accounts::Accounts;
use crate::listings::{Listings, Mark};
use crate::lookup::{Looked, Lookup};
use crate::mapping::Mapping;
use crate::members::MembersOf;
use crate::pages::{Pages, Spot};
use crate::paging::Place;
use crate::target::Target;
use crate::template::Expression;
use crate::twins::{self, Twins};

/// A type of groups or licenses.
#[derive(Debug)]
pub(crate) struct Entities {
    pub(crate) resource_type: ResourceType,
    pub(crate) source: Source,
    pub(crate) find: Option<Lookup>,
    /// How to request the accounts in each, if accounts do not show their groups.
    pub(crate) members: Option<MembersOf>,
    pub(crate) listings: Listings<Shown>,
}

/// One page of groups or licenses.
#[derive(Debug)]
pub(crate) struct EntityPage {
    pub(crate) read: Vec<Result<EntityRecord, RejectedRecord>>,
    /// Rejections of records whose identifier an earlier page showed with other names.
    pub(crate) twins: Vec<RejectedRecord>,
    pub(crate) next: Option<Place>,
    /// Only on the last page: what proves the end, and the total that the target reports.
    pub(crate) end: Option<(Evidence, Option<u64>)>,
}

/// The start of their listing.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The number of records on the first page.
    pub(crate) count: usize,
    pub(crate) ids: Vec<String>,
    pub(crate) rejected: Vec<RejectedRecord>,
}

/// Where the records come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A fixed set that the target always has.
    Fixed(Vec<EntityRecord>),
    /// Listed by the target.
    Listed {
        /// The request for the list.
        pages: Box<Pages>,
        /// Excludes records from the list.
        filter: Option<Expression>,
        /// How to read them.
        mapping: Box<Mapping>,
    },
}

impl Entities {
    /// One page of the listing.
    pub(crate) async fn list(&self, target: &Target, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let mark = cursor.map(Mark::<Place>::read).transpose()?;
        let (listing, shown) = match &mark {
            Some(mark) => (mark.listing, self.listings.of(mark.listing)?),
            None => self.listings.begin(),
        };
        let what = format!("{} cannot be listed", self.resource_type.slug);
        let spot = Spot { place: mark.map(|mark| mark.place), shown: &shown };
        let EntityPage { read, twins, next, end } = self.page(target, spot, &what).await?;
        let (mut records, mut rejected) = (Vec::new(), twins);
        for one in read {
            match one {
                Ok(entity) => records.push(Record::Entity(entity)),
                Err(one) => rejected.push(one),
            }
        }
        let next = next.map(|place| Mark { listing, place }.cursor()).transpose()?;
        let (evidence, total) = end.map_or((None, None), |(evidence, total)| (Some(evidence), total));
        // The target's total includes the records that `filter` excludes, so it is not passed on.
        let filters = matches!(&self.source, Source::Listed { filter: Some(_), .. });
        let total = total.filter(|_| !filters);
        let mut page = Page::new(records).with_rejected(rejected).with_total(total);
        (page.next, page.evidence) = (next, evidence);
        Ok(page)
    }

    /// Reads one page of records.
    pub(crate) async fn page(
        &self,
        target: &Target,
        spot: Spot<'_>,
        what: &str,
    ) -> Result<EntityPage, Error> {
        match &self.source {
            Source::Fixed(records) => Ok(EntityPage {
                read: records.iter().cloned().map(Ok).collect(),
                twins: Vec::new(),
                next: None,
                end: Some((Evidence::Atomic, None)),
            }),
            Source::Listed { pages, filter, mapping } => {
                let shown = spot.shown;
                let page = pages.page(target, &target.vars, what, |raw| mapping.id(raw), spot).await?;
                let twins = Twins::of(&page, mapping, shown);
                let read = page.records.into_iter().filter_map(|raw| {
                    let vars = target.vars.with("record", raw.clone());
                    match filter.as_ref().map(|filter| filter.truth(&vars)) {
                        None | Some(Ok(true)) => Some(mapping.read_entity(&vars).and_then(|entity| {
                            if twins.has(&entity.id) { Err(twins::rejected(&entity.id)) } else { Ok(entity) }
                        })),
                        Some(Ok(false)) => None,
                        Some(Err(fault)) => {
                            let rule = format!("a value that `filter` can evaluate, but {fault}");
                            Some(Err(RejectedRecord::new(mapping.id(&raw), "record", rule)))
                        }
                    }
                });
                Ok(EntityPage { read: read.collect(), twins: twins.repeated, next: page.next, end: page.end })
            }
        }
    }

    /// The identifiers of all records.
    pub(crate) async fn all_ids(&self, target: &Target, what: &str) -> Result<Vec<String>, Error> {
        let (mut ids, shown, mut place) = (Vec::new(), Shown::default(), self.start_of_search());
        loop {
            let page = self.page(target, Spot { place, shown: &shown }, what).await?;
            ids.extend(page.read.into_iter().flatten().map(|entity| entity.id));
            place = page.next;
            if place.is_none() {
                return Ok(ids);
            }
        }
    }

    /// The start of their listing.
    pub(crate) async fn sight(&self, target: &Target) -> Result<Sight, Error> {
        let what = format!("{} cannot be listed", self.resource_type.slug);
        let shown = Shown::default();
        let page = self.page(target, Spot { place: None, shown: &shown }, &what).await?;
        let mut sight = Sight { count: page.read.len(), ..Sight::default() };
        for read in page.read {
            match read {
                Ok(entity) => sight.ids.push(entity.id),
                Err(rejected) => sight.rejected.push(rejected),
            }
        }
        Ok(sight)
    }

    /// The identifier alone, to distinguish records.
    pub(crate) fn id(&self, raw: &Value) -> Option<String> {
        match &self.source {
            Source::Fixed(_) => None,
            Source::Listed { mapping, .. } => mapping.id(raw),
        }
    }

    fn start_of_search(&self) -> Option<Place> {
        match &self.source {
            Source::Fixed(_) => None,
            Source::Listed { pages, .. } => pages.start_of_search(),
        }
    }

    /// Checks that each of these exists, before an account is added to the first. `accounts` has the `check` request.
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
                            format!("{what}: {} returned a different record than {wanted}", target.system);
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
            let (mut place, shown) = (self.start_of_search(), Shown::default());
            loop {
                let page = self.page(target, Spot { place, shown: &shown }, what).await?;
                let ids: Vec<String> = page.read.into_iter().flatten().map(|entity| entity.id).collect();
                missing.retain(|wanted| !ids.contains(wanted));
                place = page.next;
                if place.is_none() || missing.is_empty() {
                    break;
                }
            }
        }
        let Some(missing) = missing.first() else { return Ok(()) };
        let message = format!("{what}: {} {missing} not found in {}", self.resource_type.name, target.system);
        let error = Error::group_not_found(message);
        Err(if self.resource_type.kind == ResourceKind::License {
            error.with_subject(Subject::License)
        } else {
            error
        })
    }
}
