//! Reading a list page by page.

use std::convert::Infallible;

use bridgehead_sdk::{Effect, Error, SettingsError};
use minijinja::Value;

use crate::paging::{Paging, Place, Seam};
use crate::reply::{self, Reply};
use crate::request::Request;
use crate::rules::About;
use crate::settings::{PagingSettings, RequestSettings};
use crate::target::{Ask, Target};
use crate::template::{Expression, Scope, Vars};

/// A list behind a request.
#[derive(Debug)]
pub(crate) struct Pages {
    request: Request,
    records: Expression,
    paging: Option<Paging>,
}

/// One page of it.
#[derive(Debug)]
pub(crate) struct RawPage {
    pub(crate) records: Vec<Value>,
    pub(crate) next: Option<Place>,
}

impl Pages {
    pub(crate) fn new(
        key: &str,
        request: RequestSettings<'_>,
        records: Option<&str>,
        paging: Option<&PagingSettings>,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let scope = Paging::scope(paging, scope);
        let of_answer = reply::scope(scope.clone());
        let request = Request::new(key, request, &scope)?;
        let paging = paging.map(|paging| Paging::new(&format!("{key}.paging"), paging, &request, &of_answer));
        Ok(Self {
            records: Expression::new(&format!("{key}.records"), records.unwrap_or("answer"), &of_answer)?,
            paging: paging.transpose()?,
            request,
        })
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Where a look through the whole list begins.
    pub(crate) fn start_of_search(&self) -> Option<Place> {
        self.paging.as_ref().map(Paging::start_of_search)
    }

    /// The page at `place`, or the first. `id` tells records apart.
    pub(crate) async fn page(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
        place: Option<Place>,
    ) -> Result<RawPage, Error> {
        let never = |_: &Reply| None::<Infallible>;
        match self.read(target, vars, what, id, place, never).await? {
            Ok(page) => Ok(page),
            Err(never) => match never {},
        }
    }

    /// The same, unless `instead` makes something else of the answer.
    pub(crate) async fn read<T>(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
        place: Option<Place>,
        instead: impl Fn(&Reply) -> Option<T>,
    ) -> Result<Result<RawPage, T>, Error> {
        let place = self.paging.as_ref().map(|paging| place.unwrap_or_else(|| paging.start()));
        let vars = match (&self.paging, &place) {
            (Some(paging), Some(place)) => paging.vars(vars, place),
            _ => vars.clone(),
        };
        let url = place.as_ref().map(Place::url).transpose()?.flatten();
        let ask = Ask { request: &self.request, vars: &vars, what, about: About::Target };
        // Nothing is changed by reading, whatever becomes of it.
        let unharmed = |error: Error| error.effect(Effect::NotApplied);
        let reply = target.send(ask, url.as_ref()).await.map_err(unharmed)?;
        if let Some(other) = instead(&reply) {
            return Ok(Err(other));
        }
        target.judge(ask, &reply).map_err(unharmed)?;
        let of_answer = reply.vars(&vars);
        let records = self.records.list(&of_answer).map_err(|fault| unharmed(reply.fault(what, &fault)))?;
        let (Some(paging), Some(place)) = (&self.paging, &place) else {
            return Ok(Ok(RawPage { records, next: None }));
        };
        let (mut records, all) = paging.part(place, records);
        let ids: Vec<Option<String>> = records.iter().map(id).collect();
        let seam = Seam { reply: &reply, vars: &of_answer, ids: &ids, all, what, base: &target.base };
        let (repeated, next) = paging.follow(place, seam).map_err(unharmed)?;
        records.drain(..repeated);
        Ok(Ok(RawPage { records, next }))
    }
}
