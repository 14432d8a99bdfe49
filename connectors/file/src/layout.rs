//! Which file of the folder stands for which resource type.

use std::fs;
use std::path::{Path, PathBuf};

use bridgehead_sdk::{ResourceKind, ResourceType};

use crate::error::Error;
use crate::rows::Syntax;
use crate::settings::{FileFormat, Settings, fault_of_slug, stem};

/// What the names of files that bridgehead itself puts into the folder begin with.
pub(crate) const OWN_PREFIX: &str = ".bridgehead-";

const LICENSE_PREFIXES: [&str; 2] = ["license-", "licence-"];

/// The files of a folder, and what they stand for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) folder: PathBuf,
    pub(crate) syntax: Syntax,
    pub(crate) require_final_newline: bool,
    pub(crate) accounts: TypeFile,
    /// Groups first, then licences.
    pub(crate) others: Vec<TypeFile>,
}

/// One file, and the resource type it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TypeFile {
    pub(crate) resource_type: ResourceType,
    pub(crate) file: String,
    /// How many assignments there can be at a time.
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
    /// Looks into the folder, where the settings leave something open.
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
            seats: None,
        };
        let mut others: Vec<TypeFile> = Vec::new();
        for group in settings.groups.iter().flatten() {
            let name = group.name.clone().unwrap_or_else(|| name_of(&group.slug));
            others.push(TypeFile {
                resource_type: ResourceType::group(group.slug.as_str(), name),
                file: file(&group.file, &group.slug),
                seats: None,
            });
        }
        for license in settings.licenses.iter().flatten() {
            let name = license.name.clone().unwrap_or_else(|| name_of(&license.slug));
            others.push(TypeFile {
                resource_type: ResourceType::license(license.slug.as_str(), name),
                file: file(&license.file, &license.slug),
                seats: license.seats,
            });
        }
        let taken = |name: &str, others: &[TypeFile]| {
            name == accounts.file || others.iter().any(|other| other.file == name)
        };
        for name in &names {
            let Some(stem) = stem(name, format).filter(|_| !taken(name, &others)) else {
                continue;
            };
            let license = LICENSE_PREFIXES.iter().find_map(|prefix| stem.strip_prefix(prefix));
            let (slug, kind, wanted) = match license {
                Some(slug) => (slug, ResourceKind::License, settings.licenses.is_none()),
                None => (stem, ResourceKind::Group, settings.groups.is_none()),
            };
            if wanted {
                others.push(by_convention(name, slug, kind)?);
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
            accounts,
            others,
        };
        layout.no_slug_twice()?;
        Ok(layout)
    }

    /// Every resource type: groups, then licences, then accounts.
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
                    "{} and {} both stand for '{}'; rename one, or name the types in the settings",
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
        resource_type: ResourceType { slug: slug.into(), name: name_of(slug), kind },
        file: file.to_owned(),
        seats: None,
    })
}

/// The names of the plain files in the folder that are not hidden, in order.
fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |error| Error::io("read the folder", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && entry.path().is_file()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn format_of(settings: &Settings, names: &[String]) -> Result<FileFormat, Error> {
    if let Some(format) = settings.format {
        return Ok(format);
    }
    if let Some(file) = &settings.accounts.file {
        let unclear =
            || Error::Layout(format!("{file} ends neither with .csv nor with .jsonl; set `format`"));
        return FileFormat::of_name(file).ok_or_else(unclear);
    }
    let there = |format: FileFormat| names.iter().any(|name| stem(name, format) == Some("accounts"));
    match (there(FileFormat::Csv), there(FileFormat::Jsonl)) {
        (true, true) => Err(Error::Layout(
            "there are accounts.csv and accounts.jsonl; set `format`, or remove one".into(),
        )),
        (false, false) => Err(Error::Layout(
            "there is neither accounts.csv nor accounts.jsonl; put one there, or set `accounts.file`".into(),
        )),
        (true, false) => Ok(FileFormat::Csv),
        (false, true) => Ok(FileFormat::Jsonl),
    }
}

/// What people read, made of a slug: "cost_centre" becomes "Cost centre".
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
            fs::write(folder.path().join(file), "id,name\n").unwrap();
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
    fn files_are_types_by_convention() {
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
    fn what_the_settings_name_is_not_looked_for() {
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
    fn what_is_not_clear_is_an_error_that_says_what_to_do() {
        let fault = |files: &[&str]| discover(files, &json!({})).unwrap_err();
        assert!(fault(&["accounts.csv", "accounts.jsonl"]).contains("set `format`"));
        assert!(fault(&["team.csv"]).contains("neither accounts.csv nor"));
        assert!(fault(&["accounts.csv", "accounts (copy).csv"]).contains("rename or move the file"));
        assert!(fault(&["accounts.csv", "crm.csv", "license-crm.csv"]).contains("both stand for 'crm'"));
        assert!(fault(&["accounts.csv", "status.csv"]).contains("a field of accounts"));
    }

    #[test]
    fn names_are_made_of_slugs() {
        assert_eq!(name_of("cost_centre"), "Cost centre");
        assert_eq!(name_of("élan"), "Élan");
    }
}
