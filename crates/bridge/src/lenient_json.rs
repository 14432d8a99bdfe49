//! Recovers the readable parts of JSON that the parser rejects as a whole: one task whose payload is nested too deeply, or contains half a
//! surrogate pair, must not hide the others.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The replacement for an unreadable value.
pub const UNREADABLE: &str = "(unreadable: nested too deeply, or not valid JSON)";

/// Parses JSON and puts [`UNREADABLE`] in place of unreadable members of an object, or, for a page or a list, of each item. A member is
/// always replaced entirely: the readable part of it alone would mean something else. `None` if not even the outline is JSON.
pub(super) fn salvage(body: &[u8]) -> Option<Value> {
    let body = String::from_utf8_lossy(body);
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(&body) {
        return Some(list(&items));
    }
    let members = members(&body)?;
    let read = |(name, raw): (Cow<'_, str>, &RawValue)| {
        let items = serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok().filter(|_| name == "results");
        (name.into_owned(), items.map_or_else(|| value(raw), |items| list(&items)))
    };
    Some(Value::Object(members.into_iter().map(read).collect()))
}

fn list(items: &[&RawValue]) -> Value {
    items.iter().map(|item| whole(item).or_else(|| by_member(item)).unwrap_or_else(unreadable)).collect()
}

fn by_member(item: &RawValue) -> Option<Value> {
    let read = members(item.get())?.into_iter().map(|(name, raw)| (name.into_owned(), value(raw)));
    Some(Value::Object(read.collect::<Map<_, _>>()))
}

fn members(text: &str) -> Option<HashMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_str(text).ok()
}

fn value(raw: &RawValue) -> Value {
    whole(raw).unwrap_or_else(unreadable)
}

fn whole(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

fn unreadable() -> Value {
    UNREADABLE.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn deep() -> String {
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))
    }

    #[test]
    fn only_the_unreadable_member_is_lost() {
        for bad in
            [deep(), r#""\ud800""#.to_owned(), "1e999".to_owned(), format!(r#"{{"account": {}}}"#, deep())]
        {
            let item = format!(r#"{{"id": "t1", "payload": {bad}, "action": "x"}}"#);
            let wanted = json!({"id": "t1", "payload": UNREADABLE, "action": "x"});
            assert!(serde_json::from_str::<Value>(&item).is_err());
            assert_eq!(salvage(item.as_bytes()).as_ref(), Some(&wanted));
            let list = format!(r#"[{item}, {{"id": "t2"}}, {bad}]"#);
            let items = json!([wanted, {"id": "t2"}, if bad.starts_with('{') { json!({"account": UNREADABLE}) } else { json!(UNREADABLE) }]);
            assert_eq!(salvage(list.as_bytes()).as_ref(), Some(&items));
            let page = format!(r#"{{"count": 3, "next": null, "results": {list}}}"#);
            assert_eq!(salvage(page.as_bytes()), Some(json!({"count": 3, "next": null, "results": items})));
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(
            salvage(b"[{\"id\": \"t1\", \"x\": \"\xff\"}]"),
            Some(json!([{"id": "t1", "x": "\u{fffd}"}]))
        );
    }

    #[test]
    fn malformed_json_is_not_salvaged() {
        for text in ["", "<html>", "[1, 2", r#"{"results": [}"#, r#""text""#, &deep()[..15_000]] {
            assert_eq!(salvage(text.as_bytes()), None, "{}", text.len());
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_salvaged_unchanged(ids in prop::collection::vec("[a-z]{1,5}", 0..5), count: u32) {
            let page = json!({"count": count, "next": "?offset=1", "results": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()});
            prop_assert_eq!(salvage(page.to_string().as_bytes()), Some(page));
        }
    }
}
