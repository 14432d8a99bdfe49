//! The usual signs that a response is incomplete or reports an error, independent of what the configuration reads.
//!
//! An endpoint that introduces paging, or that fails halfway and returns 200, nearly always shows this: in a header, or in a member next to
//! the records. If it were ignored, a part of a list would look like all of it.

use std::collections::BTreeSet;

use bridgehead_sdk::signs::{self, plain};
use bridgehead_sdk::{SettingsError, fault_in};
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::link;
use crate::reply::Reply;

/// Members and headers that contain the number of pages.
const PAGES: [&str; 5] = ["totalpages", "pagecount", "numpages", "lastpage", "pages"];

/// How deeply envelopes around the records are searched for signs of an error.
const DEEPEST: usize = 4;

/// Members and headers that only have a value if there is more.
const MORE: [&str; 24] = [
    "next",
    "nextpage",
    "nextcursor",
    "nextlink",
    "nexturl",
    "nexturi",
    "nexthref",
    "nexttoken",
    "nextpagetoken",
    "nextpageurl",
    "nextmarker",
    "nextoffset",
    "odatanextlink",
    "continuation",
    "continuationtoken",
    "hasmore",
    "hasnext",
    "hasnextpage",
    "moreresults",
    "moreavailable",
    "truncated",
    "istruncated",
    "incompleteresults",
    "partial",
];

/// Members and headers that contain the number of records.
const TOTALS: [&str; 11] = [
    "total",
    "totalcount",
    "totalresults",
    "totalrecords",
    "totalitems",
    "totalelements",
    "totalhits",
    "recordstotal",
    "odatacount",
    "count",
    "wptotal",
];

/// Common members that contain those of paging.
const WITHIN: [&str; 8] =
    ["paging", "pagination", "meta", "metadata", "links", "page", "pageinfo", "responsemetadata"];

/// The signs that apply to a list: all except those that the operator allows.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    allowed: BTreeSet<String>,
}

/// The number of records that a response reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) said_by: String,
    pub(crate) count: u64,
}

impl Signs {
    /// Every sign except those in the list at `key`.
    pub(crate) fn new(key: &str, allowed: &[String]) -> Result<Self, SettingsError> {
        let allow = |name: &String| {
            let name = plain(name);
            let signs = MORE.iter().chain(&TOTALS).chain(&PAGES);
            if signs.copied().any(|sign| sign == name)
                || ["link", "contentrange"].contains(&name.as_str())
                || signs::may_be_fault(&name)
            {
                return Ok(name);
            }
            let message = "must contain names of members or headers that usually indicate more records or \
                           an error, such as \"error\", \"next\", \"total\", \"X-Total-Count\" or \"Link\"";
            Err(SettingsError::new(key, message))
        };
        Ok(Self { allowed: allowed.iter().map(allow).collect::<Result<_, _>>()? })
    }

    /// Marks a part of the response as read by the configuration, such as `answer.next`, so that it is not a sign.
    pub(crate) fn is_read(&mut self, path: &str) {
        self.allowed.extend(path.rsplit('.').next().map(plain));
    }

    fn counts(&self, name: &str) -> bool {
        !self.allowed.contains(name)
    }

    /// A sign that something went wrong, next to the records or to an envelope around them.
    pub(crate) fn fault(&self, reply: &Reply) -> Option<String> {
        self.fault_beside(reply.json()?, DEEPEST).map(|path| format!("'{path}'"))
    }

    fn fault_beside(&self, answer: &Value, depth: usize) -> Option<String> {
        let members = members(answer);
        let is_fault = |name: &str, value: &Value| {
            let plain = plain(name);
            // Below the top, this may be the status of a single account.
            let is_of_record = depth < DEEPEST && ["status", "result"].contains(&plain.as_str());
            signs::may_be_fault(&plain)
                && !is_of_record
                && self.counts(&plain)
                && signs::is_fault(&plain, &json(value))
        };
        if let Some((name, _)) = members.iter().find(|(name, value)| is_fault(name, value)) {
            return Some(name.clone());
        }
        // A single member is an envelope, whatever its name is. Records themselves are not searched: a member of a record may have any
        // meaning.
        let is_alone = members.len() == 1;
        let depth = depth.checked_sub(1)?;
        let mut inner = members.iter().filter(|(name, part)| {
            (is_alone || signs::is_envelope(&plain(name))) && contains_a_list(part, depth)
        });
        inner.find_map(|(name, part)| Some(format!("{name}.{}", self.fault_beside(part, depth)?)))
    }

    /// A sign that more records follow.
    pub(crate) fn more(&self, reply: &Reply) -> Option<String> {
        if self.counts("link") && !matches!(link::next(reply.header_values("link")), Ok(None)) {
            return Some("the header Link".to_owned());
        }
        let header = reply.header_names().find(|name| {
            let plain = plain(name);
            let holds =
                reply.header_values(name).any(|value| !["", "0", "false", "null"].contains(&value.trim()));
            MORE.contains(&plain.as_str()) && self.counts(&plain) && holds
        });
        if let Some(name) = header {
            return Some(format!("the header {name}"));
        }
        let answer = reply.json()?;
        within(answer).into_iter().find_map(|(name, value)| {
            let last = plain(name.rsplit('.').next().unwrap_or(&name));
            (MORE.contains(&last.as_str()) && self.counts(&last) && says_something(&value))
                .then(|| format!("'{name}'"))
        })
    }

    /// A sign that this is one page of several.
    pub(crate) fn pages(&self, reply: &Reply) -> Option<String> {
        let counts = |name: &str, count: Option<u64>| {
            let plain = plain(name.rsplit('.').next().unwrap_or(name));
            PAGES.contains(&plain.as_str()) && self.counts(&plain) && count.is_some_and(|count| count > 1)
        };
        let header = reply.header_names().find(|name| {
            let count = reply.header_values(name).next().and_then(|value| value.trim().parse().ok());
            counts(name, count)
        });
        if let Some(name) = header {
            return Some(format!("the header {name}"));
        }
        let members = within(reply.json()?);
        let found = members.into_iter().find(|(name, value)| counts(name, u64::try_from(value.clone()).ok()));
        found.map(|(name, _)| format!("'{name}'"))
    }

    /// The largest number of records that the response mentions.
    pub(crate) fn total(&self, reply: &Reply) -> Option<Total> {
        let header = reply.header_names().filter_map(|name| {
            let plain = plain(name);
            if !TOTALS.contains(&plain.as_str()) || !self.counts(&plain) {
                return None;
            }
            let count = reply.header_values(name).next()?.trim().parse().ok()?;
            Some(Total { said_by: format!("the header {name}"), count })
        });
        let range = reply.header_values("content-range").filter_map(|range| {
            let count = range.rsplit('/').next()?.trim().parse().ok()?;
            self.counts("contentrange")
                .then(|| Total { said_by: "the header Content-Range".to_owned(), count })
        });
        let members = reply.json().map(within).unwrap_or_default().into_iter().filter_map(|(name, value)| {
            let last = plain(name.rsplit('.').next().unwrap_or(&name));
            if !TOTALS.contains(&last.as_str()) || !self.counts(&last) {
                return None;
            }
            Some(Total { said_by: format!("'{name}'"), count: u64::try_from(value).ok()? })
        });
        header.chain(range).chain(members).max_by_key(|total| total.count)
    }
}

/// A sign that a change was not made: a member of the response, also inside an envelope or a list of results, or a web page instead of a
/// response, such as a login page.
pub(crate) fn fault_of_change(reply: &Reply) -> Option<String> {
    match reply.json() {
        Some(answer) => fault_in(&json(answer)).map(|sign| format!("{sign}, which reports a failure")),
        None => reply.is_page().then(|| "a web page (HTML)".to_owned()),
    }
}

/// The value as plain JSON; only small parts of a response are converted.
fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn members(value: &Value) -> Vec<(String, Value)> {
    if !matches!(value.kind(), ValueKind::Map) {
        return Vec::new();
    }
    let names = value.try_iter().into_iter().flatten();
    names
        .filter_map(|name| {
            let member = value.get_item(&name).ok()?;
            Some((name.as_str()?.to_owned(), member))
        })
        .collect()
}

/// The members of a response, and those of its parts that concern paging.
fn within(answer: &Value) -> Vec<(String, Value)> {
    let mut all = members(answer);
    let inner: Vec<(String, Value)> = all
        .iter()
        .filter(|(name, _)| WITHIN.contains(&plain(name).as_str()))
        .flat_map(|(name, part)| {
            members(part).into_iter().map(move |(inner, value)| (format!("{name}.{inner}"), value))
        })
        .collect();
    all.extend(inner);
    all
}

/// Whether a part of a response wraps a list, instead of being a record.
fn contains_a_list(part: &Value, depth: usize) -> bool {
    members(part).iter().any(|(_, member)| match (member.kind(), depth.checked_sub(1)) {
        (ValueKind::Seq, _) => true,
        (ValueKind::Map, Some(depth)) => contains_a_list(member, depth),
        _ => false,
    })
}

fn says_something(value: &Value) -> bool {
    signs::says_something(&json(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_signs_can_be_allowed() {
        assert!(Signs::new("list.allow", &["X-Total-Count".to_owned(), "error".to_owned()]).is_ok());
        let error = Signs::new("list.allow", &["people".to_owned()]).unwrap_err();
        assert_eq!(error.key, "list.allow");
    }
}
