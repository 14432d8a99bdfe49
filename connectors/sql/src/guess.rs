//! Guesses which table contains the accounts, and what its columns mean. Pure: only names and types are used.

use std::collections::BTreeSet;

use bridgehead_sdk::Section;
use serde_json::{Map, Value, json};

use crate::settings::Engine;
use crate::tables::{Column, Table, quoted};

/// Common column names for each field, the most likely first.
const NAMES: [(&str, &[&str]); 7] = [
    (
        "username",
        &[
            "username",
            "user_name",
            "login",
            "login_name",
            "userid",
            "uid",
            "account_name",
            "account",
            "handle",
        ],
    ),
    ("email", &["email", "mail", "email_address", "e_mail", "emailaddress", "mail_address"]),
    ("first_name", &["first_name", "firstname", "given_name", "givenname", "forename"]),
    ("last_name", &["last_name", "lastname", "surname", "family_name", "familyname"]),
    ("display_name", &["display_name", "displayname", "full_name", "fullname", "name"]),
    ("department", &["department", "dept"]),
    ("title", &["title", "job_title", "jobtitle"]),
];
/// Columns that show whether an account is active, and whether `true` means active.
const STATUS: [(&str, bool); 10] = [
    ("status", true),
    ("active", true),
    ("is_active", true),
    ("enabled", true),
    ("is_enabled", true),
    ("state", true),
    ("disabled", false),
    ("is_disabled", false),
    ("locked", false),
    ("suspended", false),
];
/// Common names of tables with accounts.
const TABLES: [&str; 8] = ["account", "user", "person", "people", "employee", "staff", "member", "login"];

/// A possible table of accounts.
#[derive(Debug)]
pub(crate) struct Guess<'a> {
    pub(crate) table: &'a Table,
    id: &'a Column,
    fields: Vec<(&'static str, &'a Column)>,
    /// The status column, and whether `true` means that the account is active.
    pub(crate) status: Option<(&'a Column, bool)>,
}

impl<'a> Guess<'a> {
    /// Analyzes a table; `None` if it cannot contain accounts because no column identifies them.
    pub(crate) fn of(table: &'a Table) -> Option<Self> {
        let named = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
        };
        let fields: Vec<_> =
            NAMES.iter().filter_map(|(field, names)| Some((*field, named(names)?))).collect();
        let is_known = fields.iter().any(|(field, _)| matches!(*field, "username" | "email"));
        let own = table.key().or_else(|| named(&["id"]));
        let id = own.or_else(|| fields.first().map(|(_, column)| *column))?;
        let status = STATUS.iter().find_map(|(name, means_active)| Some((named(&[*name])?, *means_active)));
        is_known.then_some(Self { table, id, fields, status })
    }

    /// How much it resembles a table of accounts.
    pub(crate) fn score(&self) -> usize {
        let name = self.table.name.to_lowercase();
        let of_name = if TABLES.iter().any(|word| name.contains(word)) { 4 } else { 0 };
        // A table that mostly refers to others is a join table.
        let references = self.table.columns.iter().filter(|column| column.target.is_some()).count();
        (of_name + 2 * self.fields.len() + usize::from(self.id.is_key) + usize::from(self.status.is_some()))
            .saturating_sub(2 * references)
    }

    /// A description of the guess.
    pub(crate) fn seen(&self) -> String {
        let fields = self.fields.iter().map(|(field, column)| {
            if *field == column.name { column.name.clone() } else { format!("{field} in {}", column.name) }
        });
        let fields: Vec<String> = fields.collect();
        format!(
            "accounts in the table {}: {}, identified by {}",
            self.table.name,
            fields.join(", "),
            self.id.name
        )
    }

    /// The section `accounts`; `values` has the values of the status column with their meanings.
    pub(crate) fn section(&self, engine: Engine, values: Option<&Map<String, Value>>) -> Section {
        let mut fields = Map::from_iter([("id".to_owned(), Value::from(self.id.name.as_str()))]);
        for (field, column) in &self.fields {
            fields.insert((*field).to_owned(), column.name.as_str().into());
        }
        let mut columns: Vec<&str> = vec![&self.id.name];
        for (_, column) in &self.fields {
            if !columns.contains(&column.name.as_str()) {
                columns.push(&column.name);
            }
        }
        if let (Some((column, _)), Some(values)) = (self.status, values) {
            let is_plain = values.iter().all(|(held, meant)| meant == held);
            let field = if is_plain {
                column.name.as_str().into()
            } else {
                json!({ "column": column.name, "values": values })
            };
            fields.insert("status".to_owned(), field);
            columns.push(&column.name);
        }
        let columns: Vec<String> = columns.iter().map(|name| quoted(name, engine)).collect();
        let id = quoted(&self.id.name, engine);
        let table = &self.table.name;
        let mut section = Section::table("accounts")
            .with("id_type", id_type(self.id, engine), format!("{} is {}", self.id.name, self.id.kind))
            .with("fields", Value::Object(fields), "only what is named here leaves the database")
            .with("select", format!("SELECT {} FROM {table}", columns.join(", ")), "")
            .with("list", format!("WHERE {} ORDER BY {id} LIMIT :limit", after(&id, self.id, engine)), "")
            .with("by_id", format!("WHERE {id} = :id"), "");
        for field in ["username", "email"] {
            if let Some((_, column)) = self.fields.iter().find(|(name, _)| *name == field) {
                let name = quoted(&column.name, engine);
                let found = match engine {
                    Engine::Sqlite => format!("WHERE {name} = :{field} COLLATE UNICODE_NOCASE"),
                    _ => format!("WHERE lower({name}) = lower(:{field})"),
                };
                section = section.with(format!("by_{field}"), found, "");
            }
        }
        section
    }

    /// A type of groups for each table that a join table leads to.
    pub(crate) fn groups(&self, tables: &[Table], engine: Engine) -> Vec<Section> {
        let mut sections = Vec::new();
        let mut slugs = BTreeSet::from(["account".to_owned()]);
        for joining in tables {
            let to =
                |name: &str| joining.columns.iter().find(|column| column.target.as_deref() == Some(name));
            let Some(account) = to(&self.table.name).filter(|_| joining.columns.len() <= 5) else { continue };
            let others = joining.columns.iter().filter(|column| column.name != account.name);
            let mut others = others.filter_map(|column| Some((column, column.target.as_deref()?)));
            let (Some((reference, target)), None) = (others.next(), others.next()) else { continue };
            let Some(group) = tables.iter().find(|table| table.name == target && target != self.table.name)
            else {
                continue;
            };
            let Some(id) = group.key() else { continue };
            let title = ["name", "title", "label", "display_name", "slug"];
            let named =
                |wanted: &&str| group.columns.iter().find(|column| column.name.eq_ignore_ascii_case(wanted));
            let Some(name) = title.iter().find_map(named) else { continue };
            let slug = slug(&group.name);
            if !slugs.insert(slug.clone()) {
                continue;
            }
            let (own, shown) = (quoted(&id.name, engine), quoted(&name.name, engine));
            let list = format!(
                "SELECT {own}, {shown} FROM {} WHERE {} ORDER BY {own} LIMIT :limit",
                group.name,
                after(&own, id, engine)
            );
            let mut fields = Map::new();
            fields.insert("id".to_owned(), id.name.as_str().into());
            fields.insert("name".to_owned(), name.name.as_str().into());
            sections.push(
                Section::one_of("groups")
                    .with_comment(format!(
                        "{} leads from {} to {}",
                        joining.name, self.table.name, group.name
                    ))
                    .with("slug", slug, "")
                    .with("id_type", id_type(id, engine), "")
                    .with("fields", Value::Object(fields), "")
                    .with("list", list, "")
                    .with("find", format!("SELECT 1 FROM {} WHERE {own} = :ref", group.name), ""),
            );
            let (who, what) = (quoted(&account.name, engine), quoted(&reference.name, engine));
            let list =
                format!("SELECT {who}, {what} FROM {} WHERE {}", joining.name, among(&who, self.id, engine));
            sections.push(
                Section::table("groups.members")
                    .with("list", list, "one statement for all accounts of a page")
                    .with("account", account.name.as_str(), "")
                    .with("ref", reference.name.as_str(), ""),
            );
        }
        sections
    }
}

/// The meanings of the values of a status column; `None` if any of them is unknown.
pub(crate) fn meanings(values: &[String], means_active: bool) -> Option<Map<String, Value>> {
    const ACTIVE: [&str; 10] =
        ["active", "enabled", "true", "1", "yes", "y", "a", "current", "employed", "ok"];
    const SUSPENDED: [&str; 9] =
        ["suspended", "locked", "blocked", "disabled", "false", "0", "no", "n", "paused"];
    const INACTIVE: [&str; 8] = ["inactive", "left", "terminated", "deleted", "archived", "former", "i", "d"];
    let mut meanings = Map::new();
    for value in values {
        let lower = value.to_lowercase();
        let is = |words: &[&str]| words.contains(&lower.as_str());
        let meant = match (is(&ACTIVE), is(&SUSPENDED), is(&INACTIVE)) {
            (true, ..) if means_active => "active",
            (_, true, _) if means_active => "suspended",
            (_, _, true) if means_active => "inactive",
            (true, ..) => "suspended",
            (_, true, _) => "active",
            _ => return None,
        };
        meanings.insert(value.clone(), meant.into());
    }
    // A boolean column may contain the other value later.
    for (one, other) in [("true", "false"), ("false", "true"), ("1", "0"), ("0", "1")] {
        if meanings.contains_key(one) && !meanings.contains_key(other) {
            let meant =
                if (other == "true" || other == "1") == means_active { "active" } else { "suspended" };
            meanings.insert(other.to_owned(), meant.into());
        }
    }
    (!meanings.is_empty()).then_some(meanings)
}

fn id_type(column: &Column, engine: Engine) -> &'static str {
    let kind = &column.kind;
    if kind == "uuid" && engine == Engine::Postgresql {
        "uuid"
    } else if (kind.contains("int") && !kind.contains("interval") && !kind.contains("point"))
        || kind.contains("serial")
    {
        "integer"
    } else {
        "text"
    }
}

/// The condition that starts a page after the last identifier of the previous one.
fn after(id: &str, column: &Column, engine: Engine) -> String {
    let least = match id_type(column, engine) {
        "uuid" => "'00000000-0000-0000-0000-000000000000'",
        "integer" => "-9223372036854775808",
        _ => "''",
    };
    format!("{id} > COALESCE(:after, {least})")
}

/// The condition that a column contains one of the accounts of a page.
fn among(column: &str, id: &Column, engine: Engine) -> String {
    match (engine, id_type(id, engine)) {
        (Engine::Postgresql, "integer") => {
            format!("{column} IN (SELECT value::bigint FROM jsonb_array_elements_text(:ids::jsonb))")
        }
        (Engine::Postgresql, "uuid") => {
            format!("{column} IN (SELECT value::uuid FROM jsonb_array_elements_text(:ids::jsonb))")
        }
        (Engine::Postgresql, _) => {
            format!("{column} IN (SELECT value FROM jsonb_array_elements_text(:ids::jsonb))")
        }
        (Engine::Mysql, "integer") => {
            format!(
                "{column} IN (SELECT id FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS page)"
            )
        }
        (Engine::Mysql, _) => format!("JSON_CONTAINS(:ids, JSON_QUOTE({column}))"),
        (Engine::Sqlite, _) => format!("{column} IN (SELECT value FROM json_each(:ids))"),
    }
}

/// The slug of a type, from the name of its table: `team` for `public.teams`.
fn slug(table: &str) -> String {
    let name = table.rsplit('.').next().unwrap_or(table).to_lowercase();
    let name: String = name.chars().filter(|one| one.is_ascii_alphanumeric() || *one == '_').collect();
    match name.strip_suffix('s').filter(|short| short.len() > 2 && !short.ends_with('s')) {
        Some(short) => short.to_owned(),
        None if name.is_empty() => "group".to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, &str, Option<&str>)]) -> Table {
        let columns = columns.iter().enumerate().map(|(at, (name, kind, target))| Column {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            is_key: at == 0,
            target: target.map(str::to_owned),
        });
        Table { name: name.to_owned(), columns: columns.collect() }
    }

    #[test]
    fn accounts_table_is_distinguished_from_other_tables() {
        let users = table(
            "users",
            &[
                ("id", "bigint", None),
                ("login", "text", None),
                ("mail", "text", None),
                ("active", "boolean", None),
            ],
        );
        let orders = table(
            "orders",
            &[("id", "bigint", None), ("email", "text", None), ("user_id", "bigint", Some("users"))],
        );
        let settings = table("settings", &[("key", "text", None), ("value", "text", None)]);
        let (accounts, other) = (Guess::of(&users).unwrap(), Guess::of(&orders).unwrap());
        assert!(accounts.score() > other.score() && Guess::of(&settings).is_none());
        let section = accounts.section(Engine::Postgresql, None);
        let list = section.settings.iter().find(|setting| setting.key == "list").unwrap();
        assert_eq!(list.value, "WHERE id > COALESCE(:after, -9223372036854775808) ORDER BY id LIMIT :limit");
    }

    #[test]
    fn join_table_becomes_a_group_type() {
        let users = table("\"user\"", &[("id", "uuid", None), ("email", "text", None)]);
        let teams = table("teams", &[("id", "int", None), ("name", "text", None)]);
        let mut members = table(
            "members",
            &[("x", "int", None), ("user_id", "uuid", Some("\"user\"")), ("team_id", "int", Some("teams"))],
        );
        members.columns[0].is_key = false;
        let guess = Guess::of(&users).unwrap();
        let groups = guess.groups(&[users.clone(), teams, members], Engine::Postgresql);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].settings[0].value, "team");
        let list = groups[1].settings[0].value.as_str().unwrap();
        assert!(
            list.starts_with("SELECT user_id, team_id FROM members WHERE user_id IN (SELECT value::uuid"),
            "{list}"
        );
    }

    #[test]
    fn only_recognized_status_values_are_mapped() {
        let of = |values: &[&str], means_active| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            meanings(&values, means_active).map(Value::Object)
        };
        assert_eq!(of(&["true"], true), Some(json!({ "true": "active", "false": "suspended" })));
        assert_eq!(of(&["1", "0"], false), Some(json!({ "1": "suspended", "0": "active" })));
        assert_eq!(of(&["active", "left"], true), Some(json!({ "active": "active", "left": "inactive" })));
        assert_eq!(of(&["active", "x7"], true), None);
        assert_eq!(of(&[], true), None);
    }

    #[test]
    fn identifiers_are_quoted_when_necessary() {
        assert_eq!(quoted("login", Engine::Postgresql), "login");
        assert_eq!(quoted("userName", Engine::Postgresql), "\"userName\"");
        assert_eq!(quoted("group", Engine::Mysql), "`group`");
        assert_eq!(quoted("a\"b", Engine::Sqlite), "\"a\"\"b\"");
    }
}
