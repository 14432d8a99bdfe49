//! Checks an application for problems on which a sync or a task would fail, with the key to change. Nothing is changed.

use bridgehead_sdk::Error;
use serde_json::Value;

use crate::application::Application;
use crate::discovery::rules_out;
use crate::path::Path;
use crate::settings::Lookup;
use crate::wire::{Fields, USER, id};

/// A name that no account has.
const NOBODY: &str = "bridgehead-check-nobody";

/// The standard fields of an Iden account.
const NAMED: [&str; 5] = ["username", "email", "first_name", "last_name", "display_name"];

impl Application<'_> {
    /// Reads the first records of an endpoint like a listing, over two pages if there are two.
    pub(crate) async fn first_pages(&self, endpoint: &str) -> Result<(), Error> {
        let mut walk = self.walk(endpoint, None);
        walk.count = walk.count.min(20);
        let first = walk.page(&self.start()).await?;
        if let Some(place) = &first.next {
            walk.page(place).await?;
        }
        Ok(())
    }

    /// What a task would fail on, judging by these users.
    pub(crate) async fn stumbling_blocks(&self, users: &[Fields]) -> Vec<String> {
        let mut told = self.missing_attributes();
        told.extend(self.try_reading(users).await);
        if self.settings.lookup == Lookup::Filter {
            let login = self.mapping.path("username");
            let email = self.mapping.path("email").filter(|path| Some(*path) != login);
            for path in login.into_iter().chain(email) {
                told.extend(self.try_filter(path, users).await);
            }
        }
        told
    }

    /// Checks that a listed user can be read individually.
    async fn try_reading(&self, users: &[Fields]) -> Option<String> {
        let own = users.iter().find_map(id)?;
        match self.scim.get(self.users(), &own, &[]).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!(
                "{} lists {own}, but does not return it individually, so tasks fail",
                self.system()
            )),
            Err(error) => {
                Some(format!("a user cannot be read individually, so tasks fail: {}", error.message()))
            }
        }
    }

    /// Checks that the filter finds a listed user, in any case, and that a name with a quote finds no other user.
    async fn try_filter(&self, path: &Path, users: &[Fields]) -> Vec<String> {
        let value = |user: &Fields| path.get(user).and_then(Value::as_str).map(str::to_owned);
        let system = self.system();
        let Some((own, value)) = users.iter().find_map(|user| Some((id(user)?, value(user)?))) else {
            return Vec::new();
        };
        let mut told = Vec::new();
        match self.find_by(path, &value).await {
            Ok(Some(found)) if id(&found).as_ref() == Some(&own) => {}
            Ok(Some(found)) => told.push(format!(
                "{system} returns {} for the filter on {path}, although {own} is listed with that value; \
                 set lookup = \"list\"",
                id(&found).unwrap_or_else(|| "a user without an id".to_owned())
            )),
            Ok(None) => {
                told.push(format!(
                    "{system} lists {own}, but does not find it with the filter on {path}; \
                                   set lookup = \"list\""
                ));
            }
            Err(error) => told.push(format!("the filter on {path} is unusable: {}", error.message())),
        }
        if !told.is_empty() {
            return told;
        }
        let other = in_other_letters(&value);
        if other != value && matches!(self.find_by(path, &other).await, Ok(None)) {
            told.push(format!(
                "{system} finds {own} with the filter on {path} only in its exact case: if Iden uses \
                 different case, the account is not found; set lookup = \"list\" if that can happen"
            ));
        }
        if let Err(error) = self.find_by(path, &format!("{NOBODY}\"\\")).await {
            told.push(format!(
                "the filter on {path} fails for a value with a quote in it: {}; set lookup = \"list\" if there are such values",
                error.message()
            ));
        }
        told
    }

    /// Fields that the schemas cannot store, and attributes that they require.
    fn missing_attributes(&self) -> Vec<String> {
        let Some(attributes) = &self.features.attributes else { return Vec::new() };
        let system = self.system();
        let mut told = Vec::new();
        let fields =
            self.mapping.fields().filter(|(name, _)| NAMED.contains(name) && !self.mapping.is_explicit(name));
        for (name, path) in fields {
            if let Some(fault) = attributes.fault(path) {
                told.push(format!(
                    "{name} is not stored: {path}: {fault}; set attributes.{name} to where it is, or to \
                     \"\" in {system}'s target"
                ));
            }
        }
        if rules_out(&self.features, USER, "active") && !self.settings.read_only {
            told.push(format!(
                "the schemas of {system} do not contain the attribute active, which is used to suspend \
                 accounts"
            ));
        }
        let is_filled = |attribute: &str| {
            ["id", "schemas", "username", "active"].contains(&attribute)
                || self
                    .mapping
                    .fields()
                    .any(|(_, path)| path.schema.is_none() && path.attribute.eq_ignore_ascii_case(attribute))
        };
        for attribute in attributes.required().filter(|attribute| !is_filled(attribute)) {
            told.push(format!(
                "the schemas of {system} require the attribute {attribute} for every user, but no field \
                 sets it; add it under attributes"
            ));
        }
        told
    }
}

/// A string with the case of each letter swapped.
fn in_other_letters(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let other: Vec<char> =
                if c.is_lowercase() { c.to_uppercase().collect() } else { c.to_lowercase().collect() };
            other
        })
        .collect()
}
