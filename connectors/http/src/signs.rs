//! The usual signs that a response is incomplete or reports an error, independent of what the configuration reads.
//!
//! An endpoint that introduces paging, or that fails halfway and returns 200, nearly always shows this: in a header, or in a member next to
//! the records. If it were ignored, a part of a list would look like all of it.

use std::collections::BTreeSet;

use bridgehead_sdk::SettingsError;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::link;
use crate::reply::Reply;

/// Members that are empty if all is good.
const FAULTS: [&str; 8] =
    ["error", "errors", "usererrors", "fault", "exception", "errormessage", "errorcode", "timedout"];

/// Members whose value is a word for the result, and the words for failure.
const OUTCOME: [&str; 2] = ["status", "result"];
const BADLY: [&str; 8] = ["error", "fail", "failed", "failure", "unsuccessful", "denied", "rejected", "ko"];

/// Members that repeat the HTTP status.
const CODES: [&str; 3] = ["status", "statuscode", "httpstatus"];

/// Members and headers that contain the number of pages.
const PAGES: [&str; 5] = ["totalpages", "pagecount", "numpages", "lastpage", "pages"];

/// Members that are true if all is good.
const SUCCESS: [&str; 4] = ["ok", "success", "successful", "succeeded"];

/// The values of a member that mean no.
const NO: [&str; 4] = ["false", "no", "0", "n"];

/// Common members that wrap the response to a change, and how deeply they are searched.
const ENVELOPES: [&str; 8] = ["data", "d", "result", "results", "response", "responses", "body", "meta"];
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
            let signs = FAULTS.iter().chain(&SUCCESS).chain(&MORE).chain(&TOTALS).chain(&PAGES);
            if signs.copied().any(|sign| sign == name)
                || ["link", "contentrange"].contains(&name.as_str())
                || OUTCOME.contains(&name.as_str())
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

    /// A sign that something went wrong.
    pub(crate) fn fault(&self, reply: &Reply) -> Option<String> {
        members(reply.json()?).into_iter().find_map(|(name, value)| {
            let plain = plain(&name);
            (is_fault(&plain, &value) && self.counts(&plain)).then(|| format!("'{name}'"))
        })
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
        Some(answer) => fault_within(answer, DEEPEST),
        None => reply.is_page().then(|| "a web page (HTML)".to_owned()),
    }
}

fn fault_within(answer: &Value, depth: usize) -> Option<String> {
    if matches!(answer.kind(), ValueKind::Seq) {
        return answer.try_iter().ok()?.find_map(|part| fault_within(&part, depth.checked_sub(1)?));
    }
    let members = members(answer);
    let fault = members.iter().find(|(name, value)| is_fault(&plain(name), value));
    if let Some((name, _)) = fault {
        return Some(format!("'{name}'"));
    }
    // A single member is an envelope, whatever its name is.
    let is_alone = members.len() == 1;
    let inner = members.iter().filter(|(name, _)| is_alone || ENVELOPES.contains(&plain(name).as_str()));
    inner.into_iter().find_map(|(name, part)| {
        let sign = fault_within(part, depth.checked_sub(1)?)?;
        Some(format!("'{name}.{}", &sign[1..]))
    })
}

/// Whether a member reports a problem; `name` is normalized by `plain`.
fn is_fault(name: &str, value: &Value) -> bool {
    FAULTS.contains(&name) && says_something(value)
        || OUTCOME.contains(&name) && is_bad(value)
        || CODES.contains(&name) && i64::try_from(value.clone()).is_ok_and(|code| (400..600).contains(&code))
        || SUCCESS.contains(&name) && is_no(value)
}

fn is_no(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Bool | ValueKind::Number => !value.is_true(),
        ValueKind::String => {
            let word = value.as_str().unwrap_or_default().trim().to_ascii_lowercase();
            NO.contains(&word.as_str()) || is_bad(value)
        }
        _ => false,
    }
}

/// A name without differences of spelling: `X-Total-Count`, `total_count` and `totalCount` become equal.
fn plain(name: &str) -> String {
    let letters: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if let Some(rest) = letters.strip_prefix("xms") {
        return rest.to_owned();
    }
    let prefixed = ["xtotal", "xnext", "xhas", "xwp", "xcontinuation", "xcount"];
    match letters.strip_prefix('x') {
        Some(rest) if prefixed.iter().any(|prefix| letters.starts_with(prefix)) => rest.to_owned(),
        _ => letters,
    }
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

fn is_bad(value: &Value) -> bool {
    value.as_str().is_some_and(|word| BADLY.contains(&word.trim().to_ascii_lowercase().as_str()))
}

fn says_something(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => false,
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim().to_ascii_lowercase();
            !["", "0", "ok", "none", "null", "false", "success", "no error"].contains(&text.as_str())
        }
        // A link without an address is not a link.
        ValueKind::Map => members(value).iter().any(|(_, member)| says_something(member)),
        _ => value.is_true(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_normalized() {
        for (name, plainly) in [
            ("X-Total-Count", "totalcount"),
            ("total_count", "totalcount"),
            ("@odata.nextLink", "odatanextlink"),
            ("x-next-page", "nextpage"),
            ("X-WP-Total", "wptotal"),
            ("x-ms-continuation", "continuation"),
            ("xerox", "xerox"),
        ] {
            assert_eq!(plain(name), plainly);
        }
    }

    #[test]
    fn empty_values_carry_no_sign() {
        let says = |json: serde_json::Value| says_something(&Value::from(minijinja::value::Serde(json)));
        for nothing in ["null", "\"\"", "\"OK\"", "0", "[]", "{}", "{\"href\": null}", "false"] {
            assert!(!says(serde_json::from_str(nothing).unwrap()), "{nothing}");
        }
        for something in ["\"x\"", "2", "[1]", "{\"href\": \"/x\"}", "true"] {
            assert!(says(serde_json::from_str(something).unwrap()), "{something}");
        }
    }

    #[test]
    fn only_well_known_words_are_error_statuses() {
        for (word, bad) in [("error", true), ("Failed", true), ("active", false), ("success", false)] {
            assert_eq!(is_bad(&Value::from(word)), bad, "{word}");
        }
    }

    #[test]
    fn failure_signs_are_found_at_any_depth() {
        let fault = |json: &str| {
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            fault_within(&Value::from(minijinja::value::Serde(json)), DEEPEST)
        };
        for (answer, sign) in [
            (r#"{ "error": "no" }"#, "'error'"),
            (r#"{ "error": { "code": 1 } }"#, "'error'"),
            (r#"{ "errors": ["no"] }"#, "'errors'"),
            (r#"{ "success": false }"#, "'success'"),
            (r#"{ "success": "false" }"#, "'success'"),
            (r#"{ "Succeeded": "No" }"#, "'Succeeded'"),
            (r#"{ "ok": 0 }"#, "'ok'"),
            (r#"{ "status": "Failed" }"#, "'status'"),
            (r#"{ "status": 403, "message": "no" }"#, "'status'"),
            (r#"{ "statusCode": 500 }"#, "'statusCode'"),
            (r#"{ "result": "error" }"#, "'result'"),
            (r#"{ "id": 1, "result": { "ok": false } }"#, "'result.ok'"),
            (
                r#"{ "data": { "userUpdate": { "user": null, "userErrors": [{ "field": "x" }] } } }"#,
                "'data.userUpdate.userErrors'",
            ),
            (r#"{ "results": [{ "ok": true }, { "error": "no" }] }"#, "'results.error'"),
            (r#"[{ "id": 1 }, { "success": false }]"#, "'success'"),
        ] {
            assert_eq!(fault(answer).as_deref(), Some(sign), "{answer}");
        }
        for answer in [
            "{}",
            "[]",
            "null",
            r#"{ "error": null, "errors": [], "ok": true, "success": 1, "status": "active", "result": "ok" }"#,
            r#"{ "status": 200, "statusCode": "204" }"#,
            r#"{ "status": 7 }"#,
            r#"{ "success": "yes" }"#,
            // These belong to the account itself.
            r#"{ "id": 1, "name": "ann", "last_login": { "ok": false, "error": "wrong password" } }"#,
        ] {
            assert_eq!(fault(answer), None, "{answer}");
        }
    }

    #[test]
    fn only_known_signs_can_be_allowed() {
        assert!(Signs::new("list.allow", &["X-Total-Count".to_owned(), "error".to_owned()]).is_ok());
        let error = Signs::new("list.allow", &["people".to_owned()]).unwrap_err();
        assert_eq!(error.key, "list.allow");
    }
}
