//! Looking up one record: found, missing, or an error.

use std::collections::BTreeSet;

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{Effect, Error, SettingsError};
use minijinja::Value;

use crate::pages::{ListOf, Pages, Spot};
use crate::reply::{self, Reply};
use crate::request::Request;
use crate::rules::About;
use crate::settings::{AbsentSettings, LookupSettings};
use crate::target::{Ask, Target};
use crate::template::{Expression, Scope, Vars};

/// The maximum number of pages of a search's results; a request that returns more is not a search.
const LONGEST_SEARCH: usize = 1000;

/// A request that looks up one record.
#[derive(Debug)]
pub(crate) struct Lookup {
    way: Way,
    absent: Vec<Absent>,
}

#[derive(Debug)]
enum Way {
    /// The response is the record.
    Read(Box<Request>, Expression),
    /// The response is a list that may contain the record.
    Search(Box<Pages>),
}

#[derive(Debug)]
struct Absent {
    statuses: BTreeSet<u16>,
    when: Option<Expression>,
}

/// The result of a look-up.
#[derive(Debug)]
pub(crate) enum Looked {
    /// The target reports that there is no match; `certain` if it said so explicitly.
    Nobody {
        /// Whether the response differs from that of a wrong address.
        certain: bool,
    },
    /// The record.
    One(Value),
    /// Records, one of which may be the requested one.
    Candidates(Vec<Value>),
}

impl Lookup {
    /// Checks the look-up at `key`; its templates may use `scope`, and must use `variable`.
    pub(crate) fn new(
        key: &str,
        settings: &LookupSettings,
        variable: &str,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
        if settings.record.is_some() && settings.records.is_some() {
            return error("records", "conflicts with record");
        }
        if settings.paging.is_some() && settings.records.is_none() {
            return error("paging", "does not apply without records");
        }
        if !settings.allow.is_empty() && settings.records.is_none() {
            return error("allow", "does not apply without records");
        }
        if settings.absent.is_none() && !settings.absent_also.is_empty() {
            return error("absent_also", "does not apply without absent");
        }
        let of_answer = reply::scope(scope.clone());
        let way = if settings.records.is_some() {
            let list = ListOf {
                request: settings.request(),
                records: settings.records.as_deref(),
                paging: settings.paging.as_ref(),
                allow: &settings.allow,
            };
            Way::Search(Box::new(Pages::new(key, list, scope)?))
        } else {
            let source = settings.record.as_deref().unwrap_or("answer");
            let record = Expression::new(&format!("{key}.record"), source, &of_answer)?;
            Way::Read(Box::new(Request::new(key, settings.request(), scope)?), record)
        };
        let mut lookup = Self { way, absent: Vec::new() };
        if !lookup.request().uses().iter().any(|used| used == variable) {
            return error(
                "path",
                &format!(
                    "the request does not identify an account: it must use {{{{ \
                                           {variable} }}}}"
                ),
            );
        }
        let also = settings.absent_also.iter().enumerate();
        let also = also.map(|(at, absent)| (format!("{key}.absent_also.{at}"), absent));
        let first = settings.absent.iter().map(|absent| (format!("{key}.absent"), absent));
        for (key, AbsentSettings { status, when }) in first.chain(also) {
            if let (None, Some(status)) = (when, lookup.request().expect().has_any_of(&status.0)) {
                let message = format!(
                    "{status} is an expected status and cannot also mean that there is no match; \
                             add `when`"
                );
                return Err(SettingsError::new(format!("{key}.status"), message));
            }
            let when = when.as_deref().map(|when| Expression::new(&format!("{key}.when"), when, &of_answer));
            lookup.absent.push(Absent { statuses: status.0.clone(), when: when.transpose()? });
        }
        Ok(lookup)
    }

    /// The request of the look-up.
    pub(crate) fn request(&self) -> &Request {
        match &self.way {
            Way::Read(request, _) => request,
            Way::Search(pages) => pages.request(),
        }
    }

    /// Makes the request. `id` distinguishes records.
    pub(crate) async fn look(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
    ) -> Result<Looked, Error> {
        let unharmed = |error: Error| error.with_effect(Effect::NotApplied);
        let ask = Ask { request: self.request(), vars, what, about: About::Target };
        match &self.way {
            Way::Read(_, record) => {
                let reply = target.send(ask, None).await.map_err(unharmed)?;
                if let Some(certain) = self.says_nobody(&reply, vars) {
                    return Ok(Looked::Nobody { certain });
                }
                target.judge(ask, &reply).map_err(unharmed)?;
                let record =
                    record.value(&reply.vars(vars)).map_err(|fault| unharmed(reply.fault(what, &fault)))?;
                Ok(Looked::One(record))
            }
            Way::Search(pages) => {
                let (mut found, mut place, shown) = (Vec::new(), None, Shown::default());
                for _ in 0..LONGEST_SEARCH {
                    let page = match pages
                        .read(target, vars, what, &id, Spot { place, shown: &shown }, |reply| {
                            self.says_nobody(reply, vars)
                        })
                        .await?
                    {
                        Ok(page) => page,
                        Err(certain) => return Ok(Looked::Nobody { certain }),
                    };
                    found.extend(page.records);
                    place = page.next;
                    if place.is_none() {
                        return Ok(Looked::Candidates(found));
                    }
                }
                let message = format!("{what}: the search did not end after {LONGEST_SEARCH} pages");
                Err(Error::internal(message))
            }
        }
    }

    /// Whether a response means that there is no match, and if so, whether its content says so.
    fn says_nobody(&self, reply: &Reply, vars: &Vars) -> Option<bool> {
        let says = |absent: &Absent| {
            if !absent.statuses.contains(&reply.status()) {
                return None;
            }
            match &absent.when {
                None => Some(false),
                Some(when) => when.truth(&reply.vars(vars)).unwrap_or(false).then_some(true),
            }
        };
        // The content of the response outweighs the status alone.
        let said: Vec<bool> = self.absent.iter().filter_map(says).collect();
        said.iter().copied().max()
    }
}
