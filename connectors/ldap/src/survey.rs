//! Samples the accounts and groups of an unknown directory.

use std::collections::BTreeSet;

use bridgehead_sdk::{Section, Setting, counted};
use ldap3::Scope;
use serde_json::{Map, Value, json};

use crate::entry::Entry;
use crate::failure::Failure;
use crate::name::Name;
use crate::session::{Search, Session};
use crate::settings::Profile;

/// How many entries are sampled.
const SAMPLE: i32 = 500;
const USERS: &str = "(&(objectCategory=person)(objectClass=user))";
/// The object classes of people, the usual ones first.
const CLASSES: [&str; 4] = ["inetOrgPerson", "posixAccount", "organizationalPerson", "person"];
/// Extra fields and their attributes, suggested if most people have them.
const EXTRAS: [(&str, &str); 5] = [
    ("title", "title"),
    ("department", "department"),
    ("department", "departmentNumber"),
    ("employee_number", "employeeNumber"),
    ("employee_number", "employeeID"),
];

/// The people in the sample.
#[derive(Debug)]
pub(crate) struct People {
    entries: Vec<Entry>,
    /// The filter, if it differs from the profile's.
    filter: Option<String>,
    container: String,
}

/// The groups in the sample: for each kind the slug, the member attribute, and some entries.
#[derive(Debug)]
pub(crate) struct Groups {
    kinds: Vec<(&'static str, &'static str, Vec<Entry>)>,
}

/// The people below a base; `None` if there are none of any class.
pub(crate) async fn people(
    session: &Session,
    base: &str,
    profile: Profile,
) -> Result<Option<People>, Failure> {
    let attributes = [
        "uid",
        "cn",
        "sAMAccountName",
        "mail",
        "givenName",
        "sn",
        "displayName",
        "title",
        "department",
        "departmentNumber",
        "employeeNumber",
        "employeeID",
    ];
    let filters: Vec<(String, bool)> = if profile == Profile::ActiveDirectory {
        vec![(USERS.to_owned(), true)]
    } else {
        CLASSES.iter().map(|class| (format!("(objectClass={class})"), *class == CLASSES[0])).collect()
    };
    for (filter, is_usual) in filters {
        let entries = sample(session, base, &filter, &attributes).await?;
        if !entries.is_empty() {
            let container = container(&entries, base);
            return Ok(Some(People { entries, filter: (!is_usual).then_some(filter), container }));
        }
    }
    Ok(None)
}

/// The groups below a base.
pub(crate) async fn groups(session: &Session, base: &str, profile: Profile) -> Result<Groups, Failure> {
    let wanted: &[(&str, &str, &str)] = if profile == Profile::ActiveDirectory {
        &[("group", "member", "(objectClass=group)")]
    } else {
        &[
            ("group", "member", "(objectClass=groupOfNames)"),
            ("unique_group", "uniqueMember", "(objectClass=groupOfUniqueNames)"),
            ("posix_group", "memberUid", "(&(objectClass=posixGroup)(!(objectClass=groupOfNames)))"),
        ]
    };
    let mut kinds = Vec::new();
    for (slug, member, filter) in wanted {
        let entries = sample(session, base, filter, &["cn"]).await?;
        if !entries.is_empty() {
            kinds.push((*slug, *member, entries));
        }
    }
    Ok(Groups { kinds })
}

/// Some of the entries that a filter finds; none if the server refuses the search.
async fn sample(
    session: &Session,
    base: &str,
    filter: &str,
    attributes: &[&str],
) -> Result<Vec<Entry>, Failure> {
    let search = Search { base, scope: Scope::Subtree, filter, attributes, limit: SAMPLE };
    match session.probe(&search).await {
        Ok(found) => Ok(found),
        Err(failure) if failure.code().is_some() => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// The nearest common parent of all entries.
fn container(entries: &[Entry], base: &str) -> String {
    let parents = entries.iter().filter_map(|entry| Some((parent_of(&entry.dn), entry.name()?.parent())));
    let mut shared: Option<(String, Name)> = None;
    for (text, parent) in parents {
        let Some((mut best, mut name)) = shared.take() else {
            shared = Some((text, parent));
            continue;
        };
        while !parent.is_within(&name) && !name.rdns.is_empty() {
            name = name.parent();
            best = parent_of(&best);
        }
        shared = Some((best, name));
    }
    let base_name = Name::parse(base).ok();
    shared
        .filter(|(_, name)| base_name.as_ref().is_none_or(|base| name.is_within(base)))
        .map_or_else(|| base.to_owned(), |(text, _)| text)
}

/// A name without its first level, in its original spelling.
fn parent_of(dn: &str) -> String {
    let mut is_escaped = false;
    for (at, one) in dn.char_indices() {
        match one {
            '\\' if !is_escaped => is_escaped = true,
            ',' if !is_escaped => return dn[at + 1..].trim_start().to_owned(),
            _ => is_escaped = false,
        }
    }
    String::new()
}

/// "at least 500" or "12".
fn count(entries: &[Entry], one: &str, many: &str) -> String {
    let enough = usize::try_from(SAMPLE).is_ok_and(|sample| entries.len() >= sample);
    if enough { format!("at least {SAMPLE} {many}") } else { counted(entries.len(), one, many) }
}

impl People {
    pub(crate) fn seen(&self) -> String {
        let with = ["uid", "sAMAccountName", "mail", "displayName"];
        let with = with.iter().filter(|attribute| self.share(attribute) > 0.0);
        let with: Vec<String> =
            with.map(|attribute| format!("{attribute} ({:.0} %)", self.share(attribute) * 100.0)).collect();
        format!(
            "{} below {}, with {}",
            count(&self.entries, "person", "people"),
            self.container,
            with.join(", ")
        )
    }

    /// The share of the sampled people that have an attribute.
    fn share(&self, attribute: &str) -> f64 {
        let having = self.entries.iter().filter(|entry| !entry.values(attribute).is_empty()).count();
        having as f64 / self.entries.len().max(1) as f64
    }

    /// The attribute with the user name, if it differs from the profile's.
    fn username(&self, profile: Profile) -> Option<&'static str> {
        let is_usual = profile == Profile::ActiveDirectory || self.share("uid") >= self.share("cn");
        (!is_usual).then_some("cn")
    }

    pub(crate) fn warnings(&self, profile: Profile) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = match profile {
            Profile::ActiveDirectory => "sAMAccountName",
            _ => self.username(profile).unwrap_or("uid"),
        };
        for (field, attribute) in [("user name", name), ("email address", "mail")] {
            let share = self.share(attribute);
            if share < 1.0 {
                warnings.push(format!(
                    "{:.0} % of the people that were seen have no {field} ({attribute})",
                    (1.0 - share) * 100.0
                ));
            }
        }
        warnings
    }

    pub(crate) fn sections(&self, base: &str, profile: Profile) -> Vec<Section> {
        let mut section = Section::table("accounts");
        if !self.container.eq_ignore_ascii_case(base) {
            section = section.with(
                "base",
                self.container.as_str(),
                format!("{} here", count(&self.entries, "person", "people")),
            );
        }
        if let Some(filter) = &self.filter {
            section = section.with("filter", filter.as_str(), "the class that they have");
        }
        let mut attributes = Map::new();
        if let Some(username) = self.username(profile) {
            attributes.insert("username".to_owned(), username.into());
        }
        for (field, attribute) in EXTRAS {
            let has_one = |entry: &Entry| entry.values(attribute).len() <= 1;
            if self.share(attribute) > 0.5
                && self.entries.iter().all(has_one)
                && !attributes.contains_key(field)
            {
                attributes.insert(field.to_owned(), attribute.into());
            }
        }
        if !attributes.is_empty() {
            let comment = "beside the usual ones of the profile; most people have these";
            section = section.with("attributes", Value::Object(attributes), comment);
        }
        if section.settings.is_empty() {
            section = section.with("filter", Value::Null, "Everybody of the profile's class is an account; to narrow it: filter = \"(&(objectClass=inetOrgPerson)(employeeType=staff))\"");
        }
        let mut sections = vec![section];
        if self.username(profile) == Some("cn") {
            sections.push(Section::table("create").with("rdn", "cn", "people are named by it"));
        }
        sections
    }
}

impl Groups {
    pub(crate) fn seen(&self) -> String {
        let kinds = self
            .kinds
            .iter()
            .map(|(_, member, entries)| format!("{} with {member}", count(entries, "group", "groups")));
        let kinds: Vec<String> = kinds.collect();
        if kinds.is_empty() { "no groups".to_owned() } else { kinds.join(", ") }
    }

    /// One type for each kind, or the key that says that there are no groups.
    pub(crate) fn sections(&self, base: &str, profile: Profile) -> (Option<Setting>, Vec<Section>) {
        if self.kinds.is_empty() {
            return (Some(Setting::new("groups", json!([]), "none were seen")), Vec::new());
        }
        let slugs: BTreeSet<&str> = self.kinds.iter().map(|(slug, ..)| *slug).collect();
        let sections = self.kinds.iter().map(|(slug, member, entries)| {
            let container = container(entries, base);
            // The only kind does not need a distinguishing name.
            let slug = if slugs.len() == 1 { "group" } else { slug };
            let mut section = Section::one_of("groups").with(
                "slug",
                slug,
                format!("{} seen", count(entries, "group", "groups")),
            );
            if !container.eq_ignore_ascii_case(base) {
                section = section.with("base", container, "they lie here");
            }
            if profile != Profile::ActiveDirectory {
                section = section.with("member_attribute", *member, "");
            }
            section
        });
        (None, sections.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(dn: &str, uid: &str) -> Entry {
        Entry::new(dn, [("uid", vec![uid]), ("title", vec!["x"])])
    }

    #[test]
    fn container_is_the_nearest_common_ancestor() {
        let base = "dc=test";
        let one = [person("uid=a,ou=staff,ou=people,dc=test", "a")];
        assert_eq!(container(&one, base), "ou=staff,ou=people,dc=test");
        let two =
            [person("uid=a,ou=staff,ou=people,dc=test", "a"), person("uid=b\\,c, OU=People,dc=test", "b")];
        assert_eq!(container(&two, base).to_lowercase(), "ou=people,dc=test");
        let apart = [person("uid=a,ou=people,dc=test", "a"), person("uid=b,ou=guests,dc=test", "b")];
        assert_eq!(container(&apart, base), "dc=test");
        assert_eq!(container(&[], base), "dc=test");
    }

    #[test]
    fn common_attributes_are_mapped_with_warnings_for_gaps() {
        let entries =
            vec![person("uid=a,ou=p,dc=test", "a"), Entry::new("cn=b,ou=p,dc=test", [("cn", vec!["b"])])];
        let people = People { entries, filter: None, container: "ou=p,dc=test".into() };
        let warnings = people.warnings(Profile::OpenLdap).join("\n");
        assert!(warnings.contains("50 % of the people that were seen have no user name (uid)"), "{warnings}");
        assert!(warnings.contains("100 %") && warnings.contains("mail"), "{warnings}");
        // Half of them is not most of them.
        let sections = people.sections("dc=test", Profile::OpenLdap);
        assert_eq!(sections[0].settings.len(), 1, "{sections:?}");
    }
}
