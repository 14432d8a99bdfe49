//! The keys of `target`.

use std::collections::BTreeSet;

use bridgehead_sdk::{SettingsError, schemars};
use jiff::SignedDuration;
use serde::Deserialize;

/// The target is a folder: one file of accounts, and one file for each type of group and license.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder. A relative path starts at the folder of the configuration file.
    pub path: String,
    /// The format of every file in the folder. Absent: determined by which file exists, `accounts.csv` or `accounts.jsonl`.
    #[serde(default)]
    pub format: Option<FileFormat>,
    /// The field separator of CSV files: one ASCII character, such as `;`, or a tab as "\t".
    #[serde(default = "comma")]
    pub delimiter: char,
    /// The file of accounts.
    #[serde(default)]
    pub accounts: AccountsFile,
    /// The types of groups, one file each. Absent: every file in the folder that contains neither accounts nor licenses.
    #[serde(default)]
    pub groups: Option<Vec<GroupFile>>,
    /// The types of licenses, one file each. Absent: every file in the folder named `license-*` or `licence-*`.
    #[serde(default)]
    pub licenses: Option<Vec<LicenseFile>>,
    /// Read the folder but never write to it: syncs run, and no action is offered.
    #[serde(default)]
    pub read_only: bool,
    /// Whether a file that does not end with a line break is rejected as truncated. Set this to false for a program
    /// that never writes the last line break; a file that was truncated inside its last field then goes unnoticed.
    #[serde(default = "yes")]
    pub require_final_newline: bool,
    /// How long a file must remain unchanged before it is read, because a program that writes in place takes time. Files that
    /// bridgehead wrote itself are read immediately. From `"0s"` to `"1m"`.
    #[serde(default = "two_seconds")]
    #[schemars(with = "String")]
    pub settle: SignedDuration,
    /// A file in the folder with the checksums of the others, in the format of `sha256sum`. A file is read only if its checksum
    /// matches. Only with `read_only`.
    #[serde(default)]
    pub checksums: Option<String>,
    /// A file in the folder that its producer writes last, when all others are complete. A file that is newer is not read. Only
    /// with `read_only`.
    #[serde(default)]
    pub sentinel: Option<String>,
}

/// The format of the files in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Comma-separated values with a header (RFC 4180), in UTF-8.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// The file of accounts, and its resource type.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct AccountsFile {
    /// The slug of the resource type.
    #[serde(default = "account")]
    pub slug: String,
    /// The display name.
    #[serde(default = "account_name")]
    pub name: String,
    /// The name of the file in the folder. Absent: `accounts.csv` or `accounts.jsonl`.
    #[serde(default)]
    pub file: Option<String>,
}

/// A file of groups, and its resource type.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct GroupFile {
    /// The slug of the resource type, and the column of the accounts that contains the memberships.
    pub slug: String,
    /// The display name. Absent: derived from the slug.
    #[serde(default)]
    pub name: Option<String>,
    /// The name of the file in the folder. Absent: the slug, with `.csv` or `.jsonl`.
    #[serde(default)]
    pub file: Option<String>,
}

/// A file of licenses, and its resource type.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct LicenseFile {
    /// The slug of the resource type, and the column of the accounts that contains the assignments.
    pub slug: String,
    /// The display name. Absent: derived from the slug.
    #[serde(default)]
    pub name: Option<String>,
    /// The name of the file in the folder. Absent: the slug, with `.csv` or `.jsonl`.
    #[serde(default)]
    pub file: Option<String>,
    /// How many assignments of this type can exist at the same time, over all its licenses. Absent: unlimited. A
    /// column `seats` in the file limits each license separately.
    #[serde(default)]
    pub seats: Option<u64>,
}

impl Default for AccountsFile {
    fn default() -> Self {
        Self { slug: account(), name: account_name(), file: None }
    }
}

impl FileFormat {
    /// The file extension of the format.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format that a file's name indicates.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Csv, Self::Jsonl].into_iter().find(|format| stem(name, *format).is_some())
    }
}

/// A file's name without the extension of its format, if it has that extension.
pub(crate) fn stem(name: &str, format: FileFormat) -> Option<&str> {
    name.strip_suffix(format.extension())?.strip_suffix('.')
}

/// Fields of an account with a special meaning; no resource type can have these names.
pub(crate) const OWN_FIELDS: [&str; 10] = [
    "id",
    "email",
    "username",
    "first_name",
    "last_name",
    "display_name",
    "status",
    "memberships",
    "assignments",
    PASSWORD_CHANGED_AT,
];

/// The field in which a password reset is recorded.
pub(crate) const PASSWORD_CHANGED_AT: &str = "password_changed_at";

/// What is wrong with the name of a resource type, if anything.
pub(crate) fn fault_of_slug(slug: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if slug.is_empty() || !slug.chars().all(fits) {
        return Some("must be letters, digits, '-' and '_'".into());
    }
    OWN_FIELDS.contains(&slug).then(|| format!("'{slug}' is a field of accounts; choose a different name"))
}

impl Settings {
    /// Validates what the types cannot express. Accesses no files.
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        if self.path.is_empty() {
            return Err(SettingsError::new("path", "must name a folder"));
        }
        let delimiter = self.delimiter;
        if !delimiter.is_ascii()
            || delimiter.is_ascii_alphanumeric()
            || (delimiter.is_ascii_control() && delimiter != '\t')
            || matches!(delimiter, '"' | '\\')
        {
            let message =
                "must be one ASCII character that separates fields, such as \",\", \";\" or \"\\t\"";
            return Err(SettingsError::new("delimiter", message));
        }
        if !(SignedDuration::ZERO..=SignedDuration::from_secs(60)).contains(&self.settle) {
            return Err(SettingsError::new("settle", "must be from \"0s\" to \"1m\""));
        }
        let mut slugs = BTreeSet::new();
        let mut files = BTreeSet::new();
        for (key, file) in [("checksums", &self.checksums), ("sentinel", &self.sentinel)] {
            let Some(file) = file else { continue };
            if !self.read_only {
                let message = "only applies to a folder that bridgehead does not write to; set read_only = \
                               true, or remove this key";
                return Err(SettingsError::new(key, message));
            }
            if let Some(fault) = fault_of_file(file) {
                return Err(SettingsError::new(key, fault));
            }
            files.insert(file.as_str());
        }
        let groups = self.groups.iter().flatten();
        let licenses = self.licenses.iter().flatten();
        let types = std::iter::once(("accounts".to_owned(), &self.accounts.slug, &self.accounts.file))
            .chain(groups.enumerate().map(|(n, t)| (format!("groups.{n}"), &t.slug, &t.file)))
            .chain(licenses.enumerate().map(|(n, t)| (format!("licenses.{n}"), &t.slug, &t.file)));
        for (key, slug, file) in types {
            if let Some(fault) = fault_of_slug(slug) {
                return Err(SettingsError::new(format!("{key}.slug"), fault));
            }
            if !slugs.insert(slug.as_str()) {
                return Err(SettingsError::new(format!("{key}.slug"), "is used twice"));
            }
            let Some(file) = file else { continue };
            if let Some(fault) = fault_of_file(file) {
                return Err(SettingsError::new(format!("{key}.file"), fault));
            }
            if !files.insert(file.as_str()) {
                return Err(SettingsError::new(format!("{key}.file"), "is used twice"));
            }
        }
        Ok(())
    }
}

fn fault_of_file(file: &str) -> Option<&'static str> {
    (file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', '\0']))
        .then_some("must be the name of a file in the folder, without a path or a leading dot")
}

fn two_seconds() -> SignedDuration {
    SignedDuration::from_secs(2)
}

fn comma() -> char {
    ','
}

fn account() -> String {
    "account".into()
}

fn account_name() -> String {
    "Account".into()
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fault(target: Value) -> String {
        let settings: Settings = serde_json::from_value(target).unwrap();
        settings.validate().unwrap_err().to_string()
    }

    #[test]
    fn path_is_the_only_required_setting() {
        let settings: Settings = serde_json::from_value(json!({"path": "people"})).unwrap();
        settings.validate().unwrap();
        assert_eq!((settings.accounts.slug.as_str(), settings.delimiter), ("account", ','));
        assert!(settings.require_final_newline && !settings.read_only);
    }

    #[test]
    fn invalid_setting_names_its_key() {
        assert!(fault(json!({"path": ""})).starts_with("path: "));
        for delimiter in ["\"", "\n", "a", "é", "\\"] {
            assert!(fault(json!({"path": "p", "delimiter": delimiter})).starts_with("delimiter: "));
        }
        let fault_of = |types: Value| fault(json!({"path": "p", "groups": types}));
        assert_eq!(fault_of(json!([{"slug": "team"}, {"slug": "team"}])), "groups.1.slug: is used twice");
        assert!(fault_of(json!([{"slug": "status"}])).contains("a field of accounts"));
        assert!(fault_of(json!([{"slug": "my team"}])).starts_with("groups.0.slug: must be letters"));
        assert!(fault_of(json!([{"slug": "t", "file": "../t.csv"}])).starts_with("groups.0.file: "));
        assert!(fault_of(json!([{"slug": "account"}])).contains("used twice"));
    }
}
