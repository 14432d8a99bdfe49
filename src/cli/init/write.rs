//! Writes the configuration as text.

use std::fmt::Write as _;

use bridgehead_sdk::{Section, Setting};
use serde_json::Value;

use super::super::documentation;

/// The maximum length of a line with a comment.
const WIDTH: usize = 110;

/// The settings other than the target.
#[derive(Debug)]
pub(super) struct App<'a> {
    pub(super) name: &'a str,
    pub(super) id: &'a str,
    pub(super) connector: &'a str,
    pub(super) warnings: &'a [String],
    pub(super) sections: &'a [Section],
}

/// The settings of the daemon, written if there is no configuration yet.
#[derive(Debug)]
pub(super) struct Daemon<'a> {
    pub(super) url: &'a str,
    pub(super) key: &'a Value,
    pub(super) state: &'a str,
    pub(super) ca_file: Option<&'a str>,
}

/// The content of the file.
pub(super) fn file(daemon: Option<&Daemon<'_>>, app: Option<&App<'_>>) -> String {
    let mut text = String::from(
        "# Written by `bridgehead init`. You can change it; `bridgehead check` reports mistakes.\n",
    );
    let (all, targets) = (documentation::configuration(), documentation::connectors());
    // Writing to a string cannot fail.
    writeln!(text, "# {all} lists all keys, {targets} those of a target.").ok();
    if let Some(daemon) = daemon {
        section(
            &mut text,
            "bridge",
            false,
            "",
            &[
                Setting::new("base_url", daemon.url, "the address of Iden"),
                Setting::new(
                    "api_key",
                    daemon.key.clone(),
                    "never the key itself: { env = … }, { file = … } or { credential = … }",
                ),
            ],
        );
        section(
            &mut text,
            "state",
            false,
            "",
            &[Setting::new("path", daemon.state, "the daemon's own folder")],
        );
        if let Some(ca_file) = daemon.ca_file {
            let comment = "trusted in addition to the certificate authorities of the operating system";
            section(&mut text, "network", false, "", &[Setting::new("ca_file", ca_file, comment)]);
        }
    }
    if let Some(app) = app {
        write_app(&mut text, app);
    }
    text
}

fn write_app(text: &mut String, app: &App<'_>) {
    let name = key(app.name);
    section(
        text,
        &format!("apps.{name}"),
        false,
        "",
        &[
            Setting::new("app_id", app.id, "the Bridge app in Iden"),
            Setting::new("connector", app.connector, ""),
        ],
    );
    section(
        text,
        &format!("apps.{name}.sync"),
        false,
        "",
        &[
            Setting::new("every", "6h", "a full sync"),
            Setting::new(
                "first",
                "ask",
                "the first sync is held until you allow what `bridgehead sync --dry-run` shows",
            ),
        ],
    );
    let protect = [Setting::new(
        "accounts",
        Value::Null,
        "Accounts that no task may touch, such as that of bridgehead itself: accounts = [\"admin\", \"svc-*\"]",
    )];
    section(text, &format!("apps.{name}.protect"), false, "", &protect);
    for warning in app.warnings {
        text.push('\n');
        comment(text, &format!("Check this: {warning}"));
    }
    let path = |table: &str| match table {
        "" => format!("apps.{name}.target"),
        table => format!("apps.{name}.target.{}", table.split('.').map(key).collect::<Vec<_>>().join(".")),
    };
    if app.sections.is_empty() {
        section(text, &path(""), false, "", &[]);
    }
    for one in app.sections {
        section(text, &path(&one.table), one.is_one_of_several, &one.comment, &one.settings);
    }
}

fn section(text: &mut String, table: &str, is_one_of_several: bool, above: &str, settings: &[Setting]) {
    text.push('\n');
    comment(text, above);
    let (open, close) = if is_one_of_several { ("[[", "]]") } else { ("[", "]") };
    // Writing to a string cannot fail.
    writeln!(text, "{open}{table}{close}").ok();
    for one in settings {
        if one.value.is_null() {
            comment(text, &one.comment);
            continue;
        }
        let line = format!("{} = {}", key(&one.key), value(&one.value));
        let length = line.chars().count() + 3 + one.comment.chars().count();
        if one.comment.is_empty() {
            writeln!(text, "{line}").ok();
        } else if line.contains('\n') || length > WIDTH {
            comment(text, &one.comment);
            writeln!(text, "{line}").ok();
        } else {
            writeln!(text, "{line} # {}", visible(&one.comment)).ok();
        }
    }
}

/// Writes a comment, wrapped to lines of a readable length.
fn comment(text: &mut String, said: &str) {
    let mut line = String::new();
    for word in said.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() + 3 > WIDTH {
            writeln!(text, "# {}", visible(&line)).ok();
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        writeln!(text, "# {}", visible(&line)).ok();
    }
}

/// Escapes invisible characters such as line breaks, so that text from a target cannot end a comment.
fn visible(text: &str) -> String {
    bridgehead_sdk::visible(text).into_owned()
}

/// A key, quoted if necessary.
fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || "-_".contains(one));
    if is_bare { name.to_owned() } else { string(name) }
}

/// A TOML value on one line, except for multi-line strings.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) if reads_better_on_lines(text) => format!("\"\"\"\n{text}\"\"\""),
        Value::String(text) => string(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, one)| format!("{} = {}", key(name), self::value(one)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        // TOML has no null; no written value contains one.
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whether a multi-line string can be written without escapes.
fn reads_better_on_lines(text: &str) -> bool {
    let is_plain = |one: char| one != '\\' && (one == '\n' || !bridgehead_sdk::is_invisible(one));
    text.contains('\n') && text.chars().all(is_plain) && !text.contains("\"\"\"") && !text.ends_with('"')
}

/// A string on one line.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for one in text.chars() {
        match one {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            one if bridgehead_sdk::is_invisible(one) => {
                write!(quoted, "\\U{:08x}", u32::from(one)).ok();
            }
            one => quoted.push(one),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read_back(of: &Value) -> Value {
        let text = format!("x = {}", value(of));
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        serde_json::to_value(&table["x"]).unwrap()
    }

    #[test]
    fn written_values_round_trip() {
        for of in [
            json!("a\nb\\c"),
            json!("a\nb\""),
            json!("a\n\0"),
            json!("SELECT id\n  FROM \"people\""),
            json!({ "a b": { "file": "x.y" }, "list": [1, true, "\u{7f}\u{202e}\r"] }),
            json!([{ "slug": "team" }]),
        ] {
            assert_eq!(read_back(&of), of);
        }
    }

    proptest! {
        #[test]
        fn any_written_text_round_trips(text in "\\PC*|[\\x00-\\x7f\\n\"]*") {
            prop_assert_eq!(read_back(&json!(text)), json!(text));
        }
    }

    #[test]
    fn file_is_toml_and_text_cannot_break_out_of_comments() {
        let section =
            Section::root().with("url", "ldap://x", "seen\nevil = 1").with("long", "y", "word ".repeat(40));
        let groups = Section::one_of("groups").with_comment("two").with("slug", "team", "");
        let key = json!({ "file": "iden-api-key" });
        let daemon = Daemon { url: "https://x/org/y", key: &key, state: "state", ca_file: None };
        let sections = [section, groups];
        let warnings = ["mind\n[this]".to_owned()];
        let app = App { name: "hr", id: "1", connector: "ldap", warnings: &warnings, sections: &sections };
        insta::assert_snapshot!(file(Some(&daemon), Some(&app)));
    }
}
