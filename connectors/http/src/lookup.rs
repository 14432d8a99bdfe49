//! Looking one up: the one that is asked for, nobody, or an error.

use std::collections::BTreeSet;

use bridgehead_sdk::{Effect, Error, SettingsError};
use minijinja::Value;

use crate::pages::Pages;
use crate::reply::{self, Reply};
use crate::request::Request;
use crate::rules::About;
use crate::settings::{AbsentSettings, LookupSettings};
use crate::target::{Ask, Target};
use crate::template::{Expression, Scope, Vars};

/// How many pages of a search are read before it is taken for no search at all.
const LONGEST_SEARCH: usize = 1000;

/// A request that looks one up.
#[derive(Debug)]
pub(crate) struct Lookup {
    way: Way,
    absent: Option<Absent>,
}

#[derive(Debug)]
enum Way {
    /// The answer is the record.
    Read(Box<Request>, Expression),
    /// The answer is a list in which it may be.
    Search(Box<Pages>),
}

#[derive(Debug)]
struct Absent {
    statuses: BTreeSet<u16>,
    when: Option<Expression>,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Looked {
    /// The target says that there is none; `certain` if it said so in words of its own.
    Nobody {
        /// Whether the answer was told from that of a wrong address.
        certain: bool,
    },
    /// This one.
    One(Value),
    /// These, one of which may be the one.
    Candidates(Vec<Value>),
}

impl Lookup {
    /// Checks the look-up that stands at `key`; its templates may use `scope`, and must use `variable`.
    pub(crate) fn new(
        key: &str,
        settings: &LookupSettings,
        variable: &str,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
        if settings.record.is_some() && settings.records.is_some() {
            return error("records", "cannot stand beside record");
        }
        if settings.paging.is_some() && settings.records.is_none() {
            return error("paging", "has no meaning without records");
        }
        let of_answer = reply::scope(scope.clone());
        let way = if settings.records.is_some() {
            let (records, paging) = (settings.records.as_deref(), settings.paging.as_ref());
            Way::Search(Box::new(Pages::new(key, settings.request(), records, paging, scope)?))
        } else {
            let source = settings.record.as_deref().unwrap_or("answer");
            let record = Expression::new(&format!("{key}.record"), source, &of_answer)?;
            Way::Read(Box::new(Request::new(key, settings.request(), scope)?), record)
        };
        let mut lookup = Self { way, absent: None };
        if !lookup.request().uses().iter().any(|used| used == variable) {
            return error("path", &format!("the request asks for nobody: it must use {{{{ {variable} }}}}"));
        }
        if let Some(AbsentSettings { status, when }) = &settings.absent {
            let key = format!("{key}.absent");
            if let (None, Some(status)) = (when, lookup.request().expect().has_any_of(&status.0)) {
                let message =
                    format!("{status} is expected, and cannot mean that there is none as well; add `when`");
                return Err(SettingsError::new(format!("{key}.status"), message));
            }
            let when = when.as_deref().map(|when| Expression::new(&format!("{key}.when"), when, &of_answer));
            lookup.absent = Some(Absent { statuses: status.0.clone(), when: when.transpose()? });
        }
        Ok(lookup)
    }

    /// Its request.
    pub(crate) fn request(&self) -> &Request {
        match &self.way {
            Way::Read(request, _) => request,
            Way::Search(pages) => pages.request(),
        }
    }

    /// Asks. `id` tells records apart.
    pub(crate) async fn look(
        &self,
        target: &Target,
        vars: &Vars,
        what: &str,
        id: impl Fn(&Value) -> Option<String>,
    ) -> Result<Looked, Error> {
        let unharmed = |error: Error| error.effect(Effect::NotApplied);
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
                let (mut found, mut place) = (Vec::new(), None);
                for _ in 0..LONGEST_SEARCH {
                    let page = match pages
                        .read(target, vars, what, &id, place, |reply| self.says_nobody(reply, vars))
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
                let message = format!("{what}: the search has found no end after {LONGEST_SEARCH} pages");
                Err(Error::internal(message))
            }
        }
    }

    /// Whether an answer says that there is none, and if so, whether by its words.
    fn says_nobody(&self, reply: &Reply, vars: &Vars) -> Option<bool> {
        let absent = self.absent.as_ref().filter(|absent| absent.statuses.contains(&reply.status()))?;
        match &absent.when {
            None => Some(false),
            Some(when) => when.truth(&reply.vars(vars)).unwrap_or(false).then_some(true),
        }
    }
}
