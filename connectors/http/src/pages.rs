//! Reading a list page by page.

use std::convert::Infallible;

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{Effect, Error, Evidence, SettingsError};
use minijinja::Value;

use crate::paging::{Follows, Paging, Place, Seam};
use crate::reply::{self, Reply};
use crate::request::Request;
use crate::rules::About;
use crate::settings::{PagingSettings, RequestSettings};
use crate::signs::Signs;
use crate::target::{Ask, Target};
use crate::template::{Expression, Scope, Vars};

/// A list that a request returns.
#[derive(Debug)]
pub(crate) struct Pages {
    key: String,
    request: Request,
    records: Expression,
    paging: Option<Paging>,
    signs: Signs,
}

/// How to read a list, from its settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOf<'a> {
    pub(crate) request: RequestSettings<'a>,
    pub(crate) records: Option<&'a str>,
    pub(crate) paging: Option<&'a PagingSettings>,
    pub(crate) allow: &'a [String],
}

/// A position in a listing.
#[derive(Clone, Debug)]
pub(crate) struct Spot<'a> {
    /// `None` for the first page.
    pub(crate) place: Option<Place>,
    /// What earlier pages have shown.
    pub(crate) shown: &'a Shown,
}

/// One page of raw records.
#[derive(Debug)]
pub(crate) struct RawPage {
    pub(crate) records: Vec<Value>,
    /// Records whose identifier an earlier page has shown.
    pub(crate) repeated: Vec<Value>,
    pub(crate) next: Option<Place>,
    /// Only on the last page: what proves the end, and the total that the target reports.
    pub(crate) end: Option<(Evidence, Option<u64>)>,
}

impl Pages {
    pub(crate) fn new(key: &str, list: ListOf<'_>, scope: &Scope) -> Result<Self, SettingsError> {
        let scope = Paging::scope(list.paging, scope);
        let of_answer = reply::scope(scope.clone());
        let request = Request::new(key, list.request, &scope)?;
        let paging =
            list.paging.map(|paging| Paging::new(&format!("{key}.paging"), paging, &request, &of_answer));
        let records = list.records.unwrap_or("answer");
        let paging = paging.transpose()?;
        let mut signs = Signs::new(&format!("{key}.allow"), list.allow)?;
        for read in paging.iter().flat_map(Paging::reads) {
            signs.is_read(read);
        }
        Ok(Self {
            key: key.to_owned(),
            records: Expression::new(&format!("{key}.records"), records, &of_answer)?,
            paging,
            signs,
            request,
        })
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Whether each page is a separate response.
    pub(crate) fn has_pages(&self) -> bool {
        self.paging.as_ref().is_some_and(Paging::has_pages)
    }

    /// Where a search through the whole list starts.
    pub(crate) fn start_of_search(&self) -> Option<Place> {
        self.paging.as_ref().map(Paging::start_of_search)
    }

    /// Reads the page at a position. `id` distinguishes records.
    pub(crate) async fn page(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
        spot: Spot<'_>,
    ) -> Result<RawPage, Error> {
        let never = |_: &Reply| None::<Infallible>;
        match self.read(target, vars, what, id, spot, never).await? {
            Ok(page) => Ok(page),
            Err(never) => match never {},
        }
    }

    /// Reads all pages.
    pub(crate) async fn all(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
    ) -> Result<Vec<Value>, Error> {
        let shown = Shown::default();
        let (mut all, mut place) = (Vec::new(), self.start_of_search());
        loop {
            let page = self.page(target, vars, what, &id, Spot { place, shown: &shown }).await?;
            all.extend(page.records);
            place = page.next;
            if place.is_none() {
                return Ok(all);
            }
        }
    }

    /// Reads the page at a position, unless `instead` turns the response into something else.
    pub(crate) async fn read<T>(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
        Spot { place, shown }: Spot<'_>,
        instead: impl Fn(&Reply) -> Option<T>,
    ) -> Result<Result<RawPage, T>, Error> {
        let place = self.paging.as_ref().map(|paging| place.unwrap_or_else(|| paging.start()));
        shown.rewind(place.as_ref().map_or(1, Place::page));
        let vars = match (&self.paging, &place) {
            (Some(paging), Some(place)) => paging.vars(vars, place),
            _ => vars.clone(),
        };
        let url = place.as_ref().map(Place::url).transpose()?.flatten();
        let ask = Ask { request: &self.request, vars: &vars, what, about: About::Target };
        // Reading changes nothing, whether it succeeds or not.
        let unharmed = |error: Error| error.with_effect(Effect::NotApplied);
        let reply = target.send(ask, url.as_ref()).await.map_err(unharmed)?;
        if let Some(other) = instead(&reply) {
            return Ok(Err(other));
        }
        target.judge(ask, &reply).map_err(unharmed)?;
        let of_answer = reply.vars(&vars);
        let records = self.records.list(&of_answer).map_err(|fault| unharmed(reply.fault(what, &fault)))?;
        if let Some(sign) = self.signs.fault(&reply) {
            return Err(Error::incomplete_listing(format!(
                "{what}: {} returned {} with {sign} next to the records, which reports a failure, so the \
                 list may be incomplete; add it to {}.allow if it means something else",
                reply.system(),
                reply.status(),
                self.key
            )));
        }
        let (Some(paging), Some(place)) = (&self.paging, &place) else {
            self.must_be_all(&reply, records.len(), what)?;
            return Ok(Ok(RawPage {
                records,
                repeated: Vec::new(),
                next: None,
                end: Some((Evidence::Atomic, None)),
            }));
        };
        let (records, all) = paging.part(place, records);
        let ids: Vec<Option<String>> = records.iter().map(id).collect();
        let keys: Vec<String> =
            records.iter().zip(&ids).map(|(record, id)| key(record, id.as_ref())).collect();
        let seam = Seam {
            reply: &reply,
            vars: &of_answer,
            ids: &ids,
            keys: &keys,
            all,
            what,
            base: &target.base,
            shown,
            signs: &self.signs,
        };
        let (repeated, follows) = paging.follow(place, seam).map_err(unharmed)?;
        let (mut fresh, mut again) = (Vec::new(), Vec::new());
        for (at, (record, key)) in records.into_iter().zip(&keys).enumerate() {
            let is_fresh = at >= repeated && shown.take(place.page(), place.again(), key);
            if is_fresh { &mut fresh } else { &mut again }.push(record);
        }
        let (next, end) = match follows {
            Follows::Page(next) => (Some(next), None),
            Follows::End(evidence, total) => (None, Some((evidence, total))),
        };
        Ok(Ok(RawPage { records: fresh, repeated: again, next, end }))
    }

    /// Checks that a response without paging is complete: all of the usual signs of more records are checked.
    fn must_be_all(&self, reply: &Reply, count: usize, what: &str) -> Result<(), Error> {
        let said = if reply.status() == 206 && !self.request.expect().names(206) {
            Some("the status 206 indicates a partial response".to_owned())
        } else if let Some(sign) = self.signs.more(reply) {
            Some(format!("{sign} indicates that there are more records"))
        } else if let Some(sign) = self.signs.pages(reply) {
            Some(format!("{sign} indicates that there are several pages"))
        } else {
            let total = self.signs.total(reply).filter(|total| total.count > count as u64);
            total.map(|total| format!("{} reports {}, but {count} arrived", total.said_by, total.count))
        };
        let Some(said) = said else { return Ok(()) };
        Err(Error::incomplete_listing(format!(
            "{what}: {said}; set {key}.paging to read the rest, or add it to {key}.allow if it means \
             something else",
            key = self.key
        )))
    }
}

/// The key that distinguishes a record: its identifier, or the whole record if it has none.
fn key(record: &Value, id: Option<&String>) -> String {
    id.cloned().unwrap_or_else(|| serde_json::to_string(record).unwrap_or_default())
}
