//! The Bridge's list responses: a page with `results`, or a bare array.

use serde_json::Value;

use super::{Call, Error};

/// One page of a list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) items: Vec<Value>,
    pub(super) count: Option<u64>,
    pub(super) next: Option<String>,
}

impl Listing {
    pub(super) fn from_json(call: &Call, value: Value) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::malformed(call, what));
        let mut fields = match value {
            Value::Array(items) => {
                return Ok(Self { items, count: None, next: None });
            }
            Value::Object(fields) => fields,
            _ => return wrong("neither a page nor a list"),
        };
        let items = match fields.shift_remove("results") {
            Some(Value::Array(items)) => items,
            Some(_) => return wrong("results is not a list"),
            None => return wrong("a page without results"),
        };
        let next = match fields.shift_remove("next") {
            None | Some(Value::Null) => None,
            Some(Value::String(link)) => Some(link).filter(|link| !link.is_empty()),
            Some(_) => return wrong("next is not a link"),
        };
        // An empty page is the last one; a chain of empty pages would never end.
        let next = next.filter(|_| !items.is_empty());
        Ok(Self { items, count: fields.get("count").and_then(Value::as_u64), next })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Operation;

    fn read(value: Value) -> Result<Listing, Error> {
        Listing::from_json(&Call::new(Operation::ListTasks, None), value)
    }

    #[test]
    fn documented_and_bare_lists_are_parsed() {
        let page = read(json!({"count": 3, "next": "?offset=1", "previous": null, "results": [1]})).unwrap();
        assert_eq!((page.items.len(), page.count, page.next.as_deref()), (1, Some(3), Some("?offset=1")));
        let bare = read(json!([1, 2])).unwrap();
        assert_eq!((bare.items.len(), bare.count, bare.next), (2, None, None));
    }

    #[test]
    fn empty_page_is_the_last() {
        assert_eq!(read(json!({"next": "?offset=50", "results": []})).unwrap().next, None);
    }

    #[test]
    fn missing_list_is_an_error() {
        for odd in [
            json!(null),
            json!({}),
            json!("x"),
            json!({"results": null}),
            json!({"results": {}}),
            json!({"results": [1], "next": 7}),
        ] {
            assert!(matches!(read(odd.clone()), Err(Error::Malformed { .. })), "{odd}");
        }
    }
}
