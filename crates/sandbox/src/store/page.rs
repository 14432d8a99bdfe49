//! A page of records as received: its schema (400) is checked before anything is looked up.

use bridgehead_sdk::ResourceKind;
use serde_json::Value;

use crate::refusal::Refusal;
use crate::schema::{self, Fields};

/// The maximum number of records on a page.
const MAX_RECORDS: usize = 100;
/// The maximum number of refs of a record for each slug.
const MAX_REFS: usize = 100;
const ACCOUNT_STATUSES: [&str; 3] = ["active", "inactive", "suspended"];

/// A record that matches the schema.
pub(crate) struct Incoming {
    pub(crate) id: Box<str>,
    /// The record as JSON text.
    pub(crate) body: Box<str>,
    pub(crate) memberships: Vec<Refs>,
    pub(crate) assignments: Vec<Refs>,
}

/// The references of a record for one slug.
pub(crate) struct Refs {
    pub(crate) slug: String,
    pub(crate) ids: Vec<String>,
    /// Whether one of them has a null name.
    pub(crate) nameless: bool,
}

/// Parses `{"records": [...]}`.
pub(crate) fn parse_page(kind: ResourceKind, body: &[u8]) -> Result<Vec<Incoming>, Refusal> {
    let fields = schema::object(body)?;
    let Value::Array(records) = schema::required(&fields, "records")? else {
        return Err(Refusal::bad_request("Input should be a valid list"));
    };
    if records.len() > MAX_RECORDS {
        return Err(Refusal::bad_request(format!(
            "List should have at most {MAX_RECORDS} items after validation"
        )));
    }
    records.iter().map(|record| parse_record(kind, record)).collect()
}

fn parse_record(kind: ResourceKind, record: &Value) -> Result<Incoming, Refusal> {
    let Value::Object(fields) = record else {
        return Err(Refusal::bad_request("Input should be a valid dictionary"));
    };
    let id = schema::text(schema::required(fields, "id")?)?;
    let (memberships, assignments) = if kind == ResourceKind::Account {
        check_account(fields)?;
        (parse_refs(fields, "memberships")?, parse_refs(fields, "assignments")?)
    } else {
        schema::text(schema::required(fields, "name")?)?;
        (Vec::new(), Vec::new())
    };
    Ok(Incoming { id: id.into(), body: record.to_string().into_boxed_str(), memberships, assignments })
}

fn check_account(fields: &Fields) -> Result<(), Refusal> {
    let is_named =
        |name| schema::optional_text(fields, name).map(|text| text.is_some_and(|text| !text.is_empty()));
    let (email, username) = (is_named("email")?, is_named("username")?);
    for name in ["first_name", "last_name", "display_name"] {
        schema::optional_text(fields, name)?;
    }
    if let Some(status) = fields.get("status") {
        schema::one_of(status, &ACCOUNT_STATUSES)?;
    }
    if email || username {
        Ok(())
    } else {
        Err(Refusal::bad_request("Value error, at least one of 'email' or 'username' is required"))
    }
}

fn parse_refs(fields: &Fields, field: &str) -> Result<Vec<Refs>, Refusal> {
    let slugs = match fields.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(slugs)) => slugs,
        Some(_) => return Err(Refusal::bad_request("Input should be a valid dictionary")),
    };
    let mut all = Vec::with_capacity(slugs.len());
    for (slug, refs) in slugs {
        let Value::Array(refs) = refs else {
            return Err(Refusal::bad_request("Input should be a valid list"));
        };
        if refs.len() > MAX_REFS {
            return Err(Refusal::bad_request(format!(
                "{field}['{slug}'] has {} refs, max is {MAX_REFS}.",
                refs.len()
            )));
        }
        let mut ids = Vec::with_capacity(refs.len());
        let mut nameless = false;
        for one in refs {
            match one {
                Value::Object(one) => {
                    ids.push(schema::text(schema::required(one, "id")?)?.to_owned());
                    match one.get("name") {
                        None | Some(Value::String(_)) => {}
                        Some(Value::Null) => nameless = true,
                        Some(_) => return Err(Refusal::bad_request("Input should be a valid string")),
                    }
                }
                one => ids.push(schema::text(one)?.to_owned()),
            }
        }
        all.push(Refs { slug: slug.clone(), ids, nameless });
    }
    Ok(all)
}
