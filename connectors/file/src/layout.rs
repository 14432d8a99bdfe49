//! Determines which file of the folder has which resource type.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_sdk::{ResourceKind, ResourceType};

use crate::error::Error;
use crate::memory;
use crate::rows::Syntax;
use crate::settings::{FileFormat, Settings, fault_of_slug, stem};
use crate::table::Snapshot;

/// The prefix of files that bridgehead itself creates in the folder.
pub(crate) const OWN_PREFIX: &str = ".bridgehead-";

const LICENSE_PREFIXES: [&str; 2] = ["license-", "licence-"];

/// The files of a folder, and their types.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) folder: PathBuf,
    pub(crate) syntax: Syntax,
    pub(crate) require_final_newline: bool,
    /// The file of checksums; `sentinel` is the file that is written last.
    pub(crate) checksums: Option<String>,
    pub(crate) sentinel: Option<String>,
    pub(crate) accounts: TypeFile,
    /// Groups first, then licenses.
    pub(crate) others: Vec<TypeFile>,
}

/// One file, and its resource type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TypeFile {
    pub(crate) resource_type: ResourceType,
    pub(crate) file: String,
    /// Whether the type was determined by the file's name, and not by the settings.
    pub(crate) is_found: bool,
    /// The maximum number of assignments at a time.
    pub(crate) seats: Option<u64>,
}

impl TypeFile {
    pub(crate) fn slug(&self) -> &str {
        self.resource_type.slug.as_str()
    }

    pub(crate) fn kind(&self) -> ResourceKind {
        self.resource_type.kind
    }
}

impl Layout {
    /// Determines the layout from the settings, and from the files in the folder for what the settings leave open.
    pub(crate) fn discover(settings: &Settings, folder: &Path) -> Result<Self, Error> {
        let names = file_names(folder)?;
        let format = format_of(settings, &names)?;
        let file = |given: &Option<String>, stem: &str| {
            given.clone().unwrap_or_else(|| format!("{stem}.{}", format.extension()))
        };
        let accounts = TypeFile {
            resource_type: ResourceType::account(
                settings.accounts.slug.as_str(),
                settings.accounts.name.as_str(),
            ),
            file: file(&settings.accounts.file, "accounts"),
            is_found: false,
            seats: None,
        };
        let mut others: Vec<TypeFile> = Vec::new();
        for group in settings.groups.iter().flatten() {
            let name = group.name.clone().unwrap_or_else(|| name_of(&group.slug));
            others.push(TypeFile {
                resource_type: ResourceType::group(group.slug.as_str(), name),
                file: file(&group.file, &group.slug),
                is_found: false,
                seats: None,
            });
        }
        for license in settings.licenses.iter().flatten() {
            let name = license.name.clone().unwrap_or_else(|| name_of(&license.slug));
            others.push(TypeFile {
                resource_type: ResourceType::license(license.slug.as_str(), name),
                file: file(&license.file, &license.slug),
                is_found: false,
                seats: license.seats,
            });
        }
        let extra = [&settings.checksums, &settings.sentinel];
        let taken = |name: &str, others: &[TypeFile]| {
            name == accounts.file
                || others.iter().any(|other| other.file == name)
                || extra.iter().any(|extra| extra.as_deref() == Some(name))
        };
        for Entry { name, is_file } in &names {
            let Some(stem) = stem(name, format).filter(|_| !taken(name, &others)) else {
                continue;
            };
            let license = LICENSE_PREFIXES.iter().find_map(|prefix| stem.strip_prefix(prefix));
            let (slug, kind, wanted) = match license {
                Some(slug) => (slug, ResourceKind::License, settings.licenses.is_none()),
                None => (stem, ResourceKind::Group, settings.groups.is_none()),
            };
            if !wanted {
                continue;
            }
            if !is_file {
                return Err(Error::Layout(format!(
                    "{name} is not a regular file (a broken link, a folder or a pipe), but its name makes \
                     it a type; restore the file, or move it away"
                )));
            }
            others.push(by_convention(name, slug, kind)?);
        }
        for file in memory::known(folder, &accounts.file)? {
            let is_license = LICENSE_PREFIXES.iter().any(|prefix| file.starts_with(prefix));
            let is_open = if is_license { settings.licenses.is_none() } else { settings.groups.is_none() };
            if is_open && stem(&file, format).is_some() && !taken(&file, &others) {
                return Err(Error::Layout(format!(
                    "{file} was a type and is missing; restore it, or remove it from {} if the type no \
                     longer exists",
                    folder.join(memory::MEMORY_FILE).display()
                )));
            }
        }
        others.sort_by_key(TypeFile::kind);
        let layout = Self {
            folder: folder.to_owned(),
            syntax: match format {
                FileFormat::Csv => Syntax::Csv(u8::try_from(settings.delimiter).unwrap_or(b',')),
                FileFormat::Jsonl => Syntax::Lines,
            },
            require_final_newline: settings.require_final_newline,
            checksums: settings.checksums.clone(),
            sentinel: settings.sentinel.clone(),
            accounts,
            others,
        };
        layout.no_slug_twice()?;
        if settings.read_only
            && let Some(found) = layout.others.iter().find(|other| other.is_found)
        {
            return Err(Error::Layout(format!(
                "{} is a type because of its name, but in a read_only folder bridgehead cannot record which \
                 files are types, so a type whose file disappears would look empty; name the types in the \
                 settings (groups and licenses)",
                found.file
            )));
        }
        layout.no_spare_file()?;
        Ok(layout)
    }

    /// Checks that each file that is a type only because of its name also has the contents of a type. For example, an old copy of the
    /// accounts is not a type.
    fn no_spare_file(&self) -> Result<(), Error> {
        let found: Vec<&TypeFile> = self.others.iter().filter(|other| other.is_found).collect();
        if found.is_empty() {
            return Ok(());
        }
        // A file that cannot be opened is reported when it is read.
        let Ok(accounts) = Snapshot::open(self, &self.accounts).map(Arc::new) else { return Ok(()) };
        let names_columns = !accounts.schema.names().is_empty();
        let remedy = "move it away, or name the types in the settings (groups and licenses)";
        for other in found {
            let Ok(snapshot) = Snapshot::open(self, other).map(Arc::new) else { continue };
            if let Some(field) =
                ["email", "username"].into_iter().find(|field| Snapshot::mentions(&snapshot, field))
            {
                return Err(Error::Layout(format!(
                    "{} is a type because of its name, but it has a field {field} like {}: is it a copy of \
                     the accounts? If so, {remedy}",
                    other.file, self.accounts.file
                )));
            }
            if names_columns && accounts.schema.has(other.slug()) {
                continue;
            }
            if let Some(original) = self.types().find(|one| is_copy(&other.file, &one.file))
                && (names_columns || !Snapshot::mentions_anywhere(&accounts, other.slug()))
            {
                return Err(Error::Layout(format!(
                    "{} is a type because of its name, but {} has no column '{}' for it: is it a copy of \
                     {}? If so, {remedy}; otherwise add the column",
                    other.file,
                    self.accounts.file,
                    other.slug(),
                    original.file
                )));
            }
            if !names_columns {
                continue;
            }
            tracing::warn!(
                file = %other.file,
                column = other.slug(),
                "the file is a type because of its name, but {} has no column for it, so it has no members; \
                 name the types in the settings",
                self.accounts.file
            );
        }
        Ok(())
    }

    /// Every resource type: groups, then licenses, then accounts.
    pub(crate) fn types(&self) -> impl Iterator<Item = &TypeFile> {
        self.others.iter().chain(std::iter::once(&self.accounts))
    }

    /// The file of a resource type.
    pub(crate) fn find(&self, slug: &str) -> Option<&TypeFile> {
        self.types().find(|one| one.slug() == slug)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn no_slug_twice(&self) -> Result<(), Error> {
        for (position, one) in self.types().enumerate() {
            if let Some(other) = self.types().skip(position + 1).find(|other| other.slug() == one.slug()) {
                return Err(Error::Layout(format!(
                    "{} and {} both define '{}'; rename one, or name the types in the settings",
                    one.file,
                    other.file,
                    one.slug()
                )));
            }
        }
        Ok(())
    }
}

fn by_convention(file: &str, slug: &str, kind: ResourceKind) -> Result<TypeFile, Error> {
    if let Some(fault) = fault_of_slug(slug) {
        return Err(Error::Layout(format!(
            "{file}: the name of a resource type {fault}; rename or move the file, or name the types in the settings"
        )));
    }
    Ok(TypeFile {
        resource_type: ResourceType::new(slug, name_of(slug), kind),
        file: file.to_owned(),
        is_found: true,
        seats: None,
    })
}

/// Whether a file name is another one with a suffix: `team_old.csv` and `team-2024.csv` are copies of `team.csv`.
fn is_copy(name: &str, original: &str) -> bool {
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    let behind = stem(name).strip_prefix(&stem(original)).map(str::to_owned);
    behind.is_some_and(|behind| behind.starts_with(|next: char| !next.is_alphabetic()))
}

/// An entry of the folder that is not hidden.
struct Entry {
    name: String,
    /// Whether it is a regular file, or a link to one.
    is_file: bool,
}

/// The entries of the folder that are not hidden, in order.
fn file_names(folder: &Path) -> Result<Vec<Entry>, Error> {
    let failed = |error| Error::io("read the folder", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(Entry { name, is_file: entry.path().is_file() });
        }
    }
    names.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(names)
}

fn format_of(settings: &Settings, names: &[Entry]) -> Result<FileFormat, Error> {
    if let Some(format) = settings.format {
        return Ok(format);
    }
    if let Some(file) = &settings.accounts.file {
        let unclear = || Error::Layout(format!("{file} does not end with .csv or .jsonl; set `format`"));
        return FileFormat::of_name(file).ok_or_else(unclear);
    }
    let there = |format: FileFormat| names.iter().any(|entry| stem(&entry.name, format) == Some("accounts"));
    match (there(FileFormat::Csv), there(FileFormat::Jsonl)) {
        (true, true) => Err(Error::Layout(
            "both accounts.csv and accounts.jsonl exist; set `format`, or remove one".into(),
        )),
        (false, false) => Err(Error::Layout(
            "neither accounts.csv nor accounts.jsonl exists; create one, or set `accounts.file`".into(),
        )),
        (true, false) => Ok(FileFormat::Csv),
        (false, true) => Ok(FileFormat::Jsonl),
    }
}

/// The display name for a slug: "cost_centre" becomes "Cost centre".
fn name_of(slug: &str) -> String {
    let words = slug.replace(['-', '_'], " ");
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn discover(files: &[&str], more: &serde_json::Value) -> Result<Vec<(String, String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let content = if file.ends_with("jsonl") {
                "\n"
            } else if file.contains("accounts") {
                "id,username,team,mail,crm\n"
            } else {
                "id,name\n"
            };
            fs::write(folder.path().join(file), content).unwrap();
        }
        let mut target = json!({"path": "x"});
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings: Settings = serde_json::from_value(target).unwrap();
        settings.validate().unwrap();
        let layout = Layout::discover(&settings, folder.path()).map_err(|error| error.to_string())?;
        Ok(layout
            .types()
            .map(|one| (one.slug().to_owned(), one.kind().to_string(), one.file.clone()))
            .collect())
    }

    fn as_texts(found: &[(String, String, String)]) -> Vec<(&str, &str, &str)> {
        found.iter().map(|(slug, kind, file)| (slug.as_str(), kind.as_str(), file.as_str())).collect()
    }

    #[test]
    fn files_become_types_by_naming_convention() {
        let files = [
            "accounts.csv",
            "team.csv",
            "license-mail.csv",
            "licence-crm.csv",
            "notes.txt",
            ".hidden.csv",
            "old.csv.bak",
            "x.jsonl",
        ];
        let found = discover(&files, &json!({})).unwrap();
        assert_eq!(
            as_texts(&found),
            [
                ("team", "group", "team.csv"),
                ("crm", "license", "licence-crm.csv"),
                ("mail", "license", "license-mail.csv"),
                ("account", "account", "accounts.csv"),
            ]
        );
    }

    #[test]
    fn configured_files_override_the_naming_convention() {
        let files = ["people.jsonl", "a.jsonl", "b.jsonl", "license-c.jsonl"];
        let more = json!({
            "accounts": {"slug": "person", "file": "people.jsonl"},
            "groups": [{"slug": "squad", "file": "a.jsonl"}],
        });
        let found = discover(&files, &more).unwrap();
        assert_eq!(
            as_texts(&found),
            [
                ("squad", "group", "a.jsonl"),
                ("c", "license", "license-c.jsonl"),
                ("person", "account", "people.jsonl"),
            ]
        );
        let more =
            json!({"accounts": {"file": "people.jsonl"}, "licenses": [{"slug": "plan", "file": "b.jsonl"}]});
        let found = discover(&files, &more).unwrap();
        assert_eq!(
            as_texts(&found),
            [
                ("a", "group", "a.jsonl"),
                ("plan", "license", "b.jsonl"),
                ("account", "account", "people.jsonl"),
            ]
        );
    }

    #[test]
    fn ambiguous_files_are_an_error_with_a_remedy() {
        let fault = |files: &[&str]| discover(files, &json!({})).unwrap_err();
        assert!(fault(&["accounts.csv", "accounts.jsonl"]).contains("set `format`"));
        assert!(fault(&["team.csv"]).contains("neither accounts.csv nor"));
        assert!(fault(&["accounts.csv", "accounts (copy).csv"]).contains("rename or move the file"));
        assert!(fault(&["accounts.csv", "crm.csv", "license-crm.csv"]).contains("both define 'crm'"));
        assert!(fault(&["accounts.csv", "status.csv"]).contains("a field of accounts"));
        assert!(fault(&["accounts.csv", "accounts_old.csv"]).contains("a copy of the accounts?"));
        assert!(fault(&["accounts.csv", "team.csv", "team_old.csv"]).contains("a copy of team.csv?"));
        assert!(discover(&["accounts.csv", "rooms.csv"], &json!({})).is_ok());
    }

    #[test]
    fn display_names_are_derived_from_slugs() {
        assert_eq!(name_of("cost_centre"), "Cost centre");
        assert_eq!(name_of("élan"), "Élan");
    }
}
