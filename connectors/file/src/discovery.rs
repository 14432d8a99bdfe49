//! Discovery for `bridgehead init`: the files of a folder, and their columns.

use std::path::Path;

use bridgehead_sdk::{Discovered, Discovery, Draft, Error, Question, Section, async_trait, counted};
use serde_json::{Value, json};

use crate::settings::{FileFormat, OWN_FIELDS, fault_of_slug, stem};

const PATH: &str = "path";
const ACCOUNTS: &str = "accounts_file";
/// Possible field separators of a CSV file, the most likely first.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];
/// The maximum length of a header; a longer first line belongs to some other kind of file.
const LONGEST: u64 = 64 * 1024;

/// Discovers the files of a folder and their columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns;

/// A file of the folder, with what its header shows.
struct Found {
    name: String,
    format: FileFormat,
    delimiter: char,
    columns: Vec<String>,
}

#[async_trait]
impl Discovery for Columns {
    fn questions(&self) -> Vec<Question> {
        vec![
            Question::path(PATH, "The folder that contains the CSV or JSON Lines files"),
            Question::text(ACCOUNTS, "The file that contains the accounts").later(),
        ]
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let path = draft.text(PATH).unwrap_or_default().to_owned();
        let folder = draft.setup.resolve(&path);
        let read = tokio::task::spawn_blocking(move || look(&folder)).await;
        let found =
            read.map_err(|error| Error::internal("the folder cannot be read").with_source(error))??;
        let usual = found.iter().find(|file| stem(&file.name, file.format) == Some("accounts"));
        let accounts = match (draft.text(ACCOUNTS), usual) {
            (Some(name), _) => found.iter().find(|file| file.name == name),
            (None, Some(usual)) => Some(usual),
            (None, None) => {
                let choices = found
                    .iter()
                    .map(|file| (file.name.clone(), format!("columns: {}", file.columns.join(", "))));
                let likeliest = found.iter().max_by_key(|file| {
                    file.columns.iter().filter(|column| OWN_FIELDS.contains(&column.as_str())).count()
                });
                let mut question =
                    Question::text(ACCOUNTS, "The file that contains the accounts").with_choices(choices);
                question.default = likeliest.map(|file| file.name.clone());
                return Ok(Discovered::ask([question]));
            }
        };
        let accounts = accounts
            .ok_or_else(|| Error::internal(format!("{path} no longer contains a file of that name")))?;
        Ok(settings(&path, &found, accounts))
    }
}

/// The settings to write.
fn settings(path: &str, found: &[Found], accounts: &Found) -> Discovered {
    let mut root = Section::root().with(PATH, path, "");
    let is_written_alike = |file: &&Found| file.format == accounts.format;
    if accounts.format == FileFormat::Csv && accounts.delimiter != ',' {
        root =
            root.with("delimiter", accounts.delimiter.to_string(), "as in the header of the accounts file");
    }
    let is_usual = stem(&accounts.name, accounts.format) == Some("accounts");
    let mut sections = Vec::new();
    if !is_usual {
        root = root.with("format", accounts.format.extension(), "the format of all files in the folder");
        sections.push(Section::table("accounts").with(
            "file",
            accounts.name.as_str(),
            format!("columns: {}", accounts.columns.join(", ")),
        ));
    }
    let mut discovered = Discovered::default();
    let mut types = Vec::new();
    for file in found.iter().filter(|file| file.name != accounts.name).filter(is_written_alike) {
        let Some(slug) = stem(&file.name, file.format) else { continue };
        let is_license = slug.starts_with("license-") || slug.starts_with("licence-");
        let slug = slug.trim_start_matches("license-").trim_start_matches("licence-");
        if let Some(fault) = fault_of_slug(slug) {
            discovered = discovered
                .with_warning(format!("{} cannot become a resource type: its name {fault}", file.name));
            continue;
        }
        let kind = if is_license { "licenses" } else { "groups" };
        types.push((kind, slug.to_owned(), file));
    }
    for (kind, table) in [("groups", "groups"), ("licenses", "licenses")] {
        let of_kind: Vec<_> = types.iter().filter(|(one, ..)| *one == kind).collect();
        if of_kind.is_empty() {
            root = root.with(table, json!([]), format!("no {kind} in the folder"));
        }
        for (_, slug, file) in of_kind {
            sections.push(
                Section::one_of(table)
                    .with(
                        "slug",
                        slug.as_str(),
                        format!("and the column of the accounts that contains the {kind}"),
                    )
                    .with("file", file.name.as_str(), format!("columns: {}", file.columns.join(", "))),
            );
        }
    }
    root = root.with(
        "read_only",
        Value::Null,
        "To only read the files until tasks may change them: read_only = true",
    );
    let lacks = |name: &str| !accounts.columns.iter().any(|column| column == name);
    if lacks("id") && !accounts.columns.is_empty() {
        discovered =
            discovered.with_warning(format!("{} needs a column 'id' before it can be read", accounts.name));
    }
    if lacks("username") && lacks("email") {
        let warning = format!(
            "{} has neither a column 'username' nor a column 'email'; one of them is needed to identify people",
            accounts.name
        );
        discovered = discovered.with_warning(warning);
    }
    if lacks("status") {
        let warning =
            format!("{} has no column 'status', so all its accounts count as active", accounts.name);
        discovered = discovered.with_warning(warning);
    }
    sections.insert(0, root);
    discovered.sections = sections;
    let others = counted(found.len() - 1, "other file", "other files");
    let columns = accounts.columns.join(", ");
    discovered.with_seen(format!("{} with the columns {columns}, and {others}", accounts.name))
}

/// The files of the folder that this connector reads.
fn look(folder: &Path) -> Result<Vec<Found>, Error> {
    let shown = folder.display();
    let unreadable = |error: std::io::Error| {
        Error::unreachable(format!(
            "{shown} cannot be read: {error}; choose a folder that this user may read"
        ))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(format) = FileFormat::of_name(&name).filter(|_| !name.starts_with('.')) else { continue };
        let (delimiter, columns) = header(&entry.path(), format).map_err(unreadable)?;
        found.push(Found { name, format, delimiter, columns });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    if found.is_empty() {
        let message =
            format!("{shown} contains no file whose name ends with .csv or .jsonl; choose another folder");
        return Err(Error::internal(message));
    }
    Ok(found)
}

/// The field separator and the columns of a file, according to its first line.
fn header(path: &Path, format: FileFormat) -> std::io::Result<(char, Vec<String>)> {
    use std::io::{BufRead, BufReader, Read};
    let mut bytes = Vec::new();
    BufReader::new(std::fs::File::open(path)?.take(LONGEST)).read_until(b'\n', &mut bytes)?;
    let line = String::from_utf8_lossy(&bytes);
    let line = line.trim_start_matches('\u{feff}').trim_end();
    if format == FileFormat::Jsonl {
        let fields = serde_json::from_str::<serde_json::Map<String, Value>>(line).unwrap_or_default();
        return Ok((',', fields.into_iter().map(|(name, _)| name).collect()));
    }
    let count = |delimiter: char| line.matches(delimiter).count();
    let mut delimiter = ',';
    for one in DELIMITERS {
        if count(one) > count(delimiter) {
            delimiter = one;
        }
    }
    let columns = line.split(delimiter).map(|column| column.trim().trim_matches('"').to_owned());
    Ok((delimiter, columns.filter(|column| !column.is_empty()).collect()))
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Setup;

    use super::*;

    async fn discovered(files: &[(&str, &str)], answers: &[(&str, &str)]) -> Result<Discovered, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut draft = Draft::new(Setup::new("hr", serde_json::Map::new()).with_base(folder.path()))
            .with_text(PATH, ".");
        for (key, answer) in answers {
            draft = draft.with_text(*key, *answer);
        }
        Columns.discover(&draft).await
    }

    #[tokio::test]
    async fn discovery_maps_files_to_types_and_shows_columns() {
        let files = [
            ("accounts.csv", "id;email;team\n"),
            ("team.csv", "id;name\n"),
            ("license-mail.csv", "id;name\n"),
            ("status.csv", "id\n"),
            ("notes.txt", "x"),
        ];
        let found = discovered(&files, &[]).await.unwrap();
        let tables: Vec<_> = found
            .sections
            .iter()
            .map(|section| {
                let settings = section.settings.iter().filter(|one| !one.value.is_null());
                let settings: Vec<_> = settings.map(|one| format!("{} = {}", one.key, one.value)).collect();
                format!("{}: {}", section.table, settings.join(", "))
            })
            .collect();
        assert_eq!(
            tables,
            [
                r#": path = ".", delimiter = ";""#,
                r#"groups: slug = "team", file = "team.csv""#,
                r#"licenses: slug = "mail", file = "license-mail.csv""#,
            ]
        );
        assert!(found.sections[1].settings[1].comment.contains("id, name"));
        // A file that is named like a field cannot be a type, and the accounts have no column that identifies people.
        let warned = found.warnings.join("\n");
        assert!(warned.contains("status.csv cannot be") && warned.contains("no column 'status'"), "{warned}");
    }

    #[tokio::test]
    async fn discovery_asks_for_the_accounts_file_if_unclear() {
        let files = [("staff.jsonl", "{\"id\":\"1\",\"email\":\"a@example.org\"}\n"), ("x.jsonl", "{}\n")];
        let asked = discovered(&files, &[]).await.unwrap();
        assert_eq!(asked.questions[0].default.as_deref(), Some("staff.jsonl"));
        let found = discovered(&files, &[(ACCOUNTS, "staff.jsonl")]).await.unwrap();
        assert_eq!(found.sections[1].settings[0].value, "staff.jsonl");
        let empty = discovered(&[("a.txt", "")], &[]).await.unwrap_err();
        assert!(empty.message().contains("no file whose name ends with .csv"), "{empty}");
    }
}
