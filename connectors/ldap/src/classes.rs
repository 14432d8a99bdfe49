//! Which attributes object classes require and allow (RFC 4512, 4.1.1), as far as the server shows its schema.

use std::collections::{HashMap, HashSet};

use crate::entry::Entry;
use crate::schema::{Schema, words};

/// The class that allows all attributes.
const EXTENSIBLE: &str = "extensibleobject";

/// The object classes of a server. Empty if it does not show them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    /// By lowercase name or OID.
    by_name: HashMap<String, Class>,
}

#[derive(Clone, Debug, Default)]
struct Class {
    parents: Vec<String>,
    must: Vec<String>,
    may: Vec<String>,
}

/// What a set of classes requires and allows together, with the server's names in lowercase.
#[derive(Debug, Default)]
pub(crate) struct Demands {
    pub(crate) must: Vec<String>,
    allowed: HashSet<String>,
    allows_all: bool,
}

impl Classes {
    /// Reads the object classes of the entry with the schema. Unreadable definitions are left out.
    pub(crate) fn read(entry: &Entry) -> Self {
        let mut classes = Self::default();
        for text in entry.texts("objectClasses").flatten() {
            classes.add(text);
        }
        classes
    }

    fn add(&mut self, text: &str) {
        let words = words(text);
        let Some(number) = words.get(1) else { return };
        let mut names = vec![number.to_lowercase()];
        let mut class = Class::default();
        for (at, word) in words.iter().enumerate().skip(2) {
            let list = || list_at(&words[at + 1..]);
            match word.as_str() {
                "NAME" => names.extend(list().into_iter().map(|name| name.to_lowercase())),
                "SUP" => class.parents = list(),
                "MUST" => class.must = list(),
                "MAY" => class.may = list(),
                _ => {}
            }
        }
        for name in names {
            self.by_name.insert(name, class.clone());
        }
    }

    /// Whether the server shows its object classes.
    pub(crate) fn is_known(&self) -> bool {
        !self.by_name.is_empty()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(&name.to_lowercase())
    }

    /// The known name closest to a mistyped one.
    pub(crate) fn nearest(&self, name: &str) -> Option<String> {
        let known = self.by_name.keys().map(String::as_str);
        bridgehead_sdk::nearest(&name.to_lowercase(), known).map(str::to_owned)
    }

    /// What these classes and their superclasses require and allow.
    pub(crate) fn demands<'a>(&self, names: impl IntoIterator<Item = &'a str>, schema: &Schema) -> Demands {
        let mut demands = Demands::default();
        let mut open: Vec<String> = names.into_iter().map(str::to_lowercase).collect();
        let mut met = HashSet::new();
        while let Some(name) = open.pop() {
            demands.allows_all |= name == EXTENSIBLE;
            let Some(class) = self.by_name.get(&name).filter(|_| met.insert(name)) else { continue };
            let canonical = |attribute: &String| schema.canonical(attribute).to_lowercase();
            for attribute in class.must.iter().map(canonical) {
                demands.allowed.insert(attribute.clone());
                if !demands.must.contains(&attribute) {
                    demands.must.push(attribute);
                }
            }
            demands.allowed.extend(class.may.iter().map(canonical));
            open.extend(class.parents.iter().map(|parent| parent.to_lowercase()));
        }
        demands
    }
}

impl Demands {
    pub(crate) fn allows(&self, attribute: &str) -> bool {
        self.allows_all || self.allowed.contains(&attribute.to_lowercase())
    }
}

/// A name, or several in parentheses.
fn list_at(words: &[String]) -> Vec<String> {
    let name = |word: &str| word.trim_matches('\'').to_owned();
    match words.split_first() {
        Some((first, rest)) if first == "(" => {
            // The separator may be attached to the names.
            let names = rest.iter().take_while(|word| *word != ")").flat_map(|word| word.split('$'));
            names.filter(|word| !word.is_empty()).map(name).collect()
        }
        Some((first, _)) => vec![name(first)],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Classes {
        Classes::read(&Entry::new(
            "cn=Subschema",
            [(
                "objectClasses",
                vec![
                    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
                    "( 2.5.6.6 NAME 'person' DESC 'a person (MAY be anybody)' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ description ) )",
                    "( 2.16.840.1.113730.3.2.2 NAME ( 'inetOrgPerson' 'iop' ) SUP person MAY (mail $uid) )",
                    "( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' SUP top AUXILIARY )",
                    "(",
                ],
            )],
        ))
    }

    #[test]
    fn required_attributes_include_those_of_superclasses() {
        let (classes, schema) = (classes(), Schema::default());
        let mut demands = classes.demands(["INETORGPERSON"], &schema);
        demands.must.sort();
        assert_eq!(demands.must, ["cn", "objectclass", "sn"]);
        assert!(demands.allows("Mail") && demands.allows("uid") && demands.allows("description"));
        assert!(!demands.allows("shoeSize"));
        assert!(classes.demands(["iop", "extensibleObject"], &schema).allows("shoeSize"));
    }

    #[test]
    fn mistyped_class_has_a_suggestion() {
        assert!(classes().has("inetOrgPerson") && !classes().has("inetOrgPersn"));
        assert_eq!(classes().nearest("inetOrgPersn").as_deref(), Some("inetorgperson"));
    }
}
