//! Finds JSON objects that have a member twice.
//!
//! Common parsers keep the last of two members and silently drop the first: of two lists of memberships, or two lists of records, only one
//! would be read, and what the other has would seem to be gone.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Where an object in a JSON text, at any depth, has a member twice: its line and column. `None` as well for a text that is not JSON.
pub fn duplicate_member(json: &[u8]) -> Option<(usize, usize)> {
    let error = serde_json::from_slice::<Once>(json).err()?;
    error.is_data().then(|| (error.line(), error.column()))
}

/// A value that is not kept, whose objects have each member once.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E: Error>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut seen = Seen::default();
        while let Some(Name(name)) = members.next_key()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a member occurs twice"));
            }
            members.next_value::<Once>()?;
        }
        Ok(Once)
    }
}

/// Up to this many names are compared one by one, which takes less time than hashing them.
const FEW: usize = 16;

/// The names of an object's members.
#[derive(Default)]
struct Seen<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    /// Returns false if the name is there already.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        self.few.push(name);
        if self.few.len() > FEW {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}

/// The name of a member. It is borrowed from the text unless it contains escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameReader)
    }
}

struct NameReader;

impl<'de> Visitor<'de> for NameReader {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_that_occurs_twice_is_found_at_any_depth() {
        for json in [
            r#"{"records":[1],"records":[]}"#,
            r#"{"a":[{"b":{"id":1,"id":1}}]}"#,
            // The same name, spelled in another way.
            r#"{"id":1,"\u0069d":2}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert!(duplicate_member(json.as_bytes()).is_some(), "{json}");
        }
    }

    #[test]
    fn object_may_have_any_number_of_members() {
        let members =
            |count: usize| -> Vec<String> { (0..count).map(|number| format!("\"{number}\":[]")).collect() };
        for count in [1, FEW, FEW + 1, FEW + 2, 1000] {
            let all = members(count).join(",");
            assert_eq!(duplicate_member(format!("{{{all}}}").as_bytes()), None, "{count}");
            for twice in [0, count / 2, count - 1] {
                let json = format!("{{{all},\"{twice}\":1}}");
                assert!(duplicate_member(json.as_bytes()).is_some(), "{twice} of {count}");
            }
        }
    }

    #[test]
    fn members_of_different_objects_are_independent() {
        let json = r#"{"a":[{"id":1},{"id":1}],"id":{"id":-1.5e3},"ID":null,"b":true,"c":"d"}"#;
        assert_eq!(duplicate_member(json.as_bytes()), None);
        assert_eq!(duplicate_member(br#"{"a":1,"#), None, "the parser reports what is not JSON");
    }
}
