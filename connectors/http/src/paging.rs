//! Where a listing continues, and how its end is recognized.
//!
//! Every type of paging can end too early in its own way: a server that returns fewer records than requested, a record
//! that is removed so that all others move up, a parameter that the server does not know and ignores. Every such case
//! that can be detected is an error here, because accounts missing from a completed listing are removed from Iden.
//! Distinct records are counted; if there are fewer than the target reports, everything is read once more.

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{Error, Evidence, SettingsError};
use minijinja::Value;
use minijinja::value::ValueKind;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::link;
use crate::reply::Reply;
use crate::request::Request;
use crate::settings::{PagingKind, PagingSettings};
use crate::signs::Signs;
use crate::template::{Expression, Fault, Members, Scope, Vars, is_omitted};

/// How many records of the previous page are requested again when paging by offset, to detect a list that has shifted.
const OVERLAP: usize = 8;
/// The maximum number of consecutive empty pages that lead to another page.
const MOST_EMPTY: u32 = 20;
const DEFAULT_SIZE: u32 = 100;
const LARGEST_SIZE: u32 = 10_000;

/// How to request the rest of a list.
#[derive(Debug)]
pub(crate) struct Paging {
    kind: PagingKind,
    size: u32,
    first: u64,
    next: Option<Expression>,
    total: Option<Expression>,
    pages: Option<Expression>,
    more: Option<Expression>,
}

/// A position in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    at: At,
    /// The number of the page, counted over both passes so that no two positions of a listing are equal.
    page: u32,
    /// Whether this is the second pass.
    #[serde(default)]
    again: bool,
    #[serde(default)]
    totals: Totals,
    /// The number of consecutive pages without records up to here.
    #[serde(default)]
    empty: u32,
    /// The identifiers of the last records, some of which the next page repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tail: Vec<String>,
    /// The key of the first record of the previous page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<String>,
}

/// The totals that the target has reported, in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Totals {
    /// The largest total, and below the sign that reported it if it was not configured.
    most: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said_by: Option<String>,
    /// The latest total.
    last: Option<u64>,
    /// Whether the totals differed.
    varied: bool,
    /// The number of pages that contained new records.
    pages: u32,
}

/// What follows a page.
#[derive(Debug)]
pub(crate) enum Follows {
    /// Another page.
    Page(Place),
    /// The end: what proves it, and the total that the target reports.
    End(Evidence, Option<u64>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum At {
    Offset(u64),
    Page(u64),
    Start,
    Token(Token),
    Url(String),
}

/// A cursor of the target, sent back unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Token {
    Number(i64),
    Text(String),
}

/// The parts of a page that paging needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seam<'a> {
    /// What was shown before.
    pub(crate) shown: &'a Shown,
    /// The keys that distinguish the records, in order: their identifiers, or the whole record if it has none.
    pub(crate) keys: &'a [String],
    /// The signs in the response that the configuration does not read.
    pub(crate) signs: &'a Signs,
    pub(crate) reply: &'a Reply,
    /// The variables of the response.
    pub(crate) vars: &'a Vars,
    /// The identifiers of all records of the page, in order; `None` for a record without one.
    pub(crate) ids: &'a [Option<String>],
    /// The number of all records, if each response contains all of them.
    pub(crate) all: Option<usize>,
    /// Begins the message of an error.
    pub(crate) what: &'a str,
    /// The target's address.
    pub(crate) base: &'a Url,
}

impl Paging {
    /// The variables of a request with this paging.
    pub(crate) fn scope(settings: Option<&PagingSettings>, scope: &Scope) -> Scope {
        let members = match settings.map(|settings| settings.kind) {
            Some(PagingKind::Offset) => ["offset", "size"].as_slice(),
            Some(PagingKind::Page) => &["number", "size"],
            Some(PagingKind::Cursor) => &["cursor"],
            Some(PagingKind::Link | PagingKind::Whole) | None => return scope.clone(),
        };
        scope.clone().with("page", Members::of(members.iter().copied()))
    }

    /// Checks the paging of a request.
    pub(crate) fn new(
        key: &str,
        settings: &PagingSettings,
        request: &Request,
        of_answer: &Scope,
    ) -> Result<Self, SettingsError> {
        use PagingKind::{Cursor, Link, Offset, Page, Whole};
        let kind = settings.kind;
        let keys: [(&str, bool, &[PagingKind]); 5] = [
            ("size", settings.size.is_some(), &[Offset, Page, Whole]),
            ("first", settings.first.is_some(), &[Page]),
            ("next", settings.next.is_some(), &[Cursor, Link]),
            ("pages", settings.pages.is_some(), &[Page]),
            ("more", settings.more.is_some(), &[Offset, Page]),
        ];
        let error = |name: &str, message: String| Err(SettingsError::new(format!("{key}.{name}"), message));
        if let Some((name, ..)) =
            keys.into_iter().find(|(_, is_set, kinds)| *is_set && !kinds.contains(&kind))
        {
            return error(name, "does not apply to this type of paging".to_owned());
        }
        let uses = request.uses();
        let needed = match kind {
            Offset => Some("page.offset"),
            Page => Some("page.number"),
            Cursor => Some("page.cursor"),
            Link | Whole => None,
        };
        if let Some(needed) = needed.filter(|needed| !uses.contains(*needed)) {
            let message = format!(
                "the request does not use {{{{ {needed} }}}}, so every page would be the first; put it in \
                 the query"
            );
            return error("type", message);
        }
        if kind == Cursor && settings.next.is_none() {
            return error("next", "must define where the response contains the next cursor".to_owned());
        }
        if settings.size.is_some_and(|size| !(1..=LARGEST_SIZE).contains(&size)) {
            return error("size", format!("must be between 1 and {LARGEST_SIZE}"));
        }
        if settings.size.is_some() && kind != Whole && !uses.contains("page.size") {
            return error("size", "the request does not use {{ page.size }}".to_owned());
        }
        let expression = |name: &str, source: &Option<String>| {
            source
                .as_deref()
                .map(|source| Expression::new(&format!("{key}.{name}"), source, of_answer))
                .transpose()
        };
        Ok(Self {
            kind,
            size: settings.size.unwrap_or(DEFAULT_SIZE),
            first: settings.first.unwrap_or(1),
            next: expression("next", &settings.next)?,
            total: expression("total", &settings.total)?,
            pages: expression("pages", &settings.pages)?,
            more: expression("more", &settings.more)?,
        })
    }

    /// What its expressions read from a response. These parts do not count as signs.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &String> {
        [&self.next, &self.total, &self.pages, &self.more].into_iter().flatten().flat_map(Expression::uses)
    }

    /// Whether each page is a separate response, instead of a part of the same one.
    pub(crate) fn has_pages(&self) -> bool {
        self.kind != PagingKind::Whole
    }

    /// Where a listing starts.
    pub(crate) fn start(&self) -> Place {
        let at = match self.kind {
            PagingKind::Offset | PagingKind::Whole => At::Offset(0),
            PagingKind::Page => At::Page(self.first),
            PagingKind::Cursor | PagingKind::Link => At::Start,
        };
        Place {
            at,
            page: 1,
            again: false,
            totals: Totals::default(),
            empty: 0,
            tail: Vec::new(),
            first: None,
        }
    }

    /// Where a search through the whole list starts: a response with all records is then used unchanged.
    pub(crate) fn start_of_search(&self) -> Place {
        match self.kind {
            PagingKind::Whole => Place { at: At::Start, ..self.start() },
            _ => self.start(),
        }
    }

    /// The variables of the request for the page at `place`.
    pub(crate) fn vars(&self, vars: &Vars, place: &Place) -> Vars {
        let size = Value::from(self.size);
        let page: Value = match &place.at {
            At::Offset(offset) => Value::from_pairs([("offset", Value::from(*offset)), ("size", size)]),
            At::Page(number) => Value::from_pairs([("number", Value::from(*number)), ("size", size)]),
            At::Token(Token::Text(token)) => Value::from_pairs([("cursor", Value::from(token.as_str()))]),
            At::Token(Token::Number(token)) => Value::from_pairs([("cursor", Value::from(*token))]),
            At::Start => Value::from_pairs([("cursor", crate::template::omitted())]),
            At::Url(_) => return vars.clone(),
        };
        if self.kind == PagingKind::Whole {
            return vars.clone();
        }
        vars.with("page", page)
    }

    /// The part of a response that is the page, and the number of all records if each response contains all of them.
    pub(crate) fn part(&self, place: &Place, records: Vec<Value>) -> (Vec<Value>, Option<usize>) {
        match (self.kind, &place.at) {
            (PagingKind::Whole, At::Offset(offset)) => {
                let all = records.len();
                let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
                (records.into_iter().skip(offset).take(self.size as usize).collect(), Some(all))
            }
            _ => (records, None),
        }
    }

    /// How many records at the start of the page repeat the end of the previous one, and what follows.
    pub(crate) fn follow(&self, place: &Place, seam: Seam<'_>) -> Result<(usize, Follows), Error> {
        let broken = |why: &str| Error::incomplete_listing(format!("{}: {why}", seam.what));
        if self.kind == PagingKind::Whole && place.at == At::Start {
            seam.keep(place);
            return self
                .end(place, seam, &self.totals(place, seam, true)?, Evidence::Atomic)
                .map(|end| (0, end));
        }
        let has_news = seam.shown.has_news(place.again, seam.keys);
        // When paging by offset, a page may contain only records of the previous page: this is the end of the list.
        let begins_alike = place.tail.is_empty() || seam.keys.first() == place.first.as_ref();
        if !has_news && !seam.ids.is_empty() && begins_alike {
            return Err(broken(
                "the same page was returned twice; the target ignores the paging parameters: check its \
                 query, or remove paging if one response contains everything",
            ));
        }
        let repeated = repeated(&place.tail, seam.ids)
            .ok_or_else(|| broken("the list shifted while it was read: the last records of a page moved"))?;
        let fresh = seam.ids.len() - repeated;
        let totals = self.totals(place, seam, has_news)?;
        let more = self.more.as_ref().map(|more| told(seam, more.truth(seam.vars))).transpose()?;
        if fresh == 0 && more == Some(true) {
            return Err(broken("the target indicates more records but returns none"));
        }
        seam.keep(place);
        let count = seam.shown.count();
        // A total on a single page may be the number of records on that page, and then proves nothing.
        let is_met = self.total.is_some() && totals.prove(count);
        let goes_on = |by_default: bool| more.unwrap_or(by_default && !is_met);
        let mut evidence = if is_met { Evidence::TotalMet } else { Evidence::EndOfCursor };
        let (at, tail) = match &place.at {
            At::Offset(offset) if seam.all.is_some() => {
                evidence = Evidence::Atomic;
                let end = offset + seam.ids.len() as u64;
                let tail = tail(seam.ids);
                let goes_on = fresh > 0 && seam.all.is_some_and(|all| end < all as u64);
                (goes_on.then(|| At::Offset(end - tail.len() as u64)), tail)
            }
            At::Offset(offset) if goes_on(fresh > 0) => {
                let tail = tail(seam.ids);
                (Some(At::Offset(offset + seam.ids.len() as u64 - tail.len() as u64)), tail)
            }
            At::Page(number) => {
                let pages =
                    self.pages.as_ref().map(|pages| told(seam, pages.count(seam.vars))).transpose()?;
                let by_default =
                    fresh > 0 && pages.is_none_or(|pages| number + 1 < self.first.saturating_add(pages));
                (goes_on(by_default).then(|| At::Page(number + 1)), Vec::new())
            }
            At::Offset(_) => (None, Vec::new()),
            At::Start | At::Token(_) | At::Url(_) => {
                evidence = Evidence::EndOfCursor;
                (self.told_next(place, seam)?, Vec::new())
            }
        };
        let Some(at) = at else { return self.end(place, seam, &totals, evidence).map(|end| (repeated, end)) };
        if let At::Token(_) | At::Url(_) = &at
            && !seam.shown.follow(place.page, &at.text())
        {
            return Err(broken(
                "the target links back to a page that was already read: its cursors form a loop",
            ));
        }
        let first = seam.keys.first().cloned();
        let empty = if seam.ids.is_empty() { place.empty + 1 } else { 0 };
        if empty > MOST_EMPTY {
            return Err(broken("one empty page follows another, so the list never ends"));
        }
        let next = Place { at, page: place.page + 1, again: place.again, totals, empty, tail, first };
        Ok((repeated, Follows::Page(next)))
    }

    /// Ends the pass if as many records were read as the target reports; otherwise starts a second pass, once.
    fn end(
        &self,
        place: &Place,
        seam: Seam<'_>,
        totals: &Totals,
        evidence: Evidence,
    ) -> Result<Follows, Error> {
        let broken = |why: &str| Error::incomplete_listing(format!("{}: {why}", seam.what));
        if let Some(sign) = seam.signs.more(seam.reply) {
            return Err(broken(&format!(
                "paging has ended, but {sign} indicates more records; correct paging, or add it to `allow` \
                 of the list"
            )));
        }
        // If a response contains all records, its raw records are counted.
        let count = seam.all.map_or_else(|| seam.shown.count(), |all| all as u64);
        let Some(most) = totals.most.filter(|most| count < *most) else {
            let total = totals.most.filter(|_| totals.said_by.is_none());
            return Ok(Follows::End(evidence, total));
        };
        if place.again || seam.all.is_some() {
            let who = totals.said_by.as_deref().unwrap_or("the target");
            let allow = if totals.said_by.is_some() {
                "; add it to `allow` of the list if it means something else"
            } else {
                ""
            };
            let twins =
                if seam.shown.has_twins() { "; two different records have the same identifier" } else { "" };
            return Err(broken(&format!(
                "the list ends after {count} records, but {who} reports {most}{twins}{allow}"
            )));
        }
        seam.shown.begin_again();
        Ok(Follows::Page(Place { page: place.page + 1, again: true, ..self.start() }))
    }

    /// The totals that the target has reported so far.
    fn totals(&self, place: &Place, seam: Seam<'_>, has_news: bool) -> Result<Totals, Error> {
        let configured = self.total.as_ref().map(|total| told(seam, total.count(seam.vars))).transpose()?;
        let sign = if configured.is_none() { seam.signs.total(seam.reply) } else { None };
        let mut totals = place.totals.clone();
        let total = configured.or(sign.as_ref().map(|sign| sign.count));
        if let (Some(before), Some(now)) = (totals.last, configured)
            && now < before
            && matches!(place.at, At::Page(_) | At::Token(_) | At::Url(_))
        {
            let message = "records were removed while the list was read, so others may have been skipped";
            return Err(Error::incomplete_listing(format!("{}: {message}", seam.what)));
        }
        totals.varied |= totals.pages > 0 && totals.last != total;
        totals.last = total;
        if total > totals.most {
            totals.most = total;
            totals.said_by = sign.map(|sign| sign.said_by);
        }
        totals.pages += u32::from(has_news);
        Ok(totals)
    }

    /// The next page according to the response.
    fn told_next(&self, place: &Place, seam: Seam<'_>) -> Result<Option<At>, Error> {
        let broken = |why: &str| Error::incomplete_listing(format!("{}: {why}", seam.what));
        let value = match &self.next {
            Some(next) => told(seam, next.value(seam.vars))?,
            None => match link::next(seam.reply.header_values("link")) {
                Ok(None) => return Ok(None),
                Ok(Some(url)) => Value::from(url),
                Err(link::Unreadable) => {
                    return Err(broken("the response has an unreadable Link header"));
                }
            },
        };
        let ends = is_omitted(&value)
            || matches!(value.kind(), ValueKind::None)
            || (matches!(value.kind(), ValueKind::Bool) && !value.is_true())
            || value.as_str().is_some_and(str::is_empty);
        if ends {
            return Ok(None);
        }
        let next = match (self.kind, value.as_str(), value.as_i64()) {
            (PagingKind::Link, Some(text), _) => {
                let url =
                    seam.reply.url().join(text).map_err(|_| broken("the next page has no valid URL"))?;
                if url.origin() != seam.base.origin()
                    || !url.username().is_empty()
                    || url.password().is_some()
                {
                    return Err(broken(
                        "the next page is at another address, which must not receive the credential",
                    ));
                }
                At::Url(url.into())
            }
            (PagingKind::Cursor, Some(text), _) => At::Token(Token::Text(text.to_owned())),
            (PagingKind::Cursor, None, Some(number)) => At::Token(Token::Number(number)),
            _ => {
                return Err(broken("the value for the next page is neither text nor a number"));
            }
        };
        let itself = match &next {
            At::Url(url) => url == seam.reply.url().as_str(),
            next => *next == place.at,
        };
        if itself {
            return Err(broken("the link to the next page points to the same page"));
        }
        Ok(Some(next))
    }
}

impl Totals {
    /// Whether the total proves the end: it was the same on every page, there were several pages, and it was met exactly.
    fn prove(&self, count: u64) -> bool {
        !self.varied && self.pages > 1 && self.most == Some(count)
    }
}

impl At {
    /// A key that distinguishes a cursor or an address.
    fn text(&self) -> String {
        match self {
            Self::Token(Token::Text(text)) | Self::Url(text) => text.clone(),
            Self::Token(Token::Number(number)) => number.to_string(),
            Self::Start | Self::Offset(_) | Self::Page(_) => String::new(),
        }
    }
}

impl Seam<'_> {
    /// Adds the records of the page to those that were shown.
    fn keep(self, place: &Place) {
        for key in self.keys {
            self.shown.take(place.page, place.again, key);
        }
    }
}

impl Place {
    /// The number of the page, counted over both passes.
    pub(crate) fn page(&self) -> u32 {
        self.page
    }

    /// Whether this is the second pass.
    pub(crate) fn again(&self) -> bool {
        self.again
    }

    /// The URL of the page, if the previous page contained it.
    pub(crate) fn url(&self) -> Result<Option<Url>, Error> {
        let At::Url(url) = &self.at else { return Ok(None) };
        let url = Url::parse(url);
        url.map(Some)
            .map_err(|_| Error::incomplete_listing("a listing was asked to continue from an invalid URL"))
    }
}

fn told<T>(seam: Seam<'_>, read: Result<T, Fault>) -> Result<T, Error> {
    read.map_err(|fault| seam.reply.fault(seam.what, &fault))
}

/// The identifiers that the next page has to repeat: at most half a page, so that each page has new records.
fn tail(ids: &[Option<String>]) -> Vec<String> {
    let count = OVERLAP.min(ids.len() / 2);
    let last: Option<Vec<String>> = ids[ids.len() - count..].iter().cloned().collect();
    // Records without an identifier cannot be recognized.
    last.unwrap_or_default()
}

/// How many records at the start of a page are the last of the previous page; `None` if none of those is left.
fn repeated(tail: &[String], ids: &[Option<String>]) -> Option<usize> {
    if tail.is_empty() {
        return Some(0);
    }
    tail.iter().rev().find_map(|last| Some(ids.iter().position(|id| id.as_ref() == Some(last))? + 1))
}
