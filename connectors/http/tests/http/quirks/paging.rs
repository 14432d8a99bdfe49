//! Paging by offset and by number.

use serde_json::{Value, json};

use super::{Number, NumberOf, Offset, OffsetOf, Quirk, page, quirk};
use crate::scripted::{PEOPLE, Reply};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("pages by offset", "", Offset, |ask, s| s.serve(&ask)),
        quirk("pages by offset, with a total", "", OffsetOf, |ask, s| s.serve(&ask)),
        quirk("pages by number", "", Number, |ask, s| s.serve(&ask)),
        quirk("pages by number, with a total", "", NumberOf, |ask, s| s.serve(&ask)),
        quirk("ignores the offset", "", OffsetOf, |mut ask, s| {
            if ask.pages() {
                ask.query.clear();
            }
            s.serve(&ask)
        }),
        quirk("ignores the number", "Tick, tick/tick-api#30", Number, |mut ask, s| {
            if ask.pages() {
                ask.query.clear();
            }
            s.serve(&ask)
        }),
        quirk("ignores the number, and counts the page", "", NumberOf, |mut ask, s| {
            if ask.pages() {
                ask.query.clear();
            }
            page(&ask, s, |r| r.with("all", 10.into()))
        }),
        quirk(
            "counts the page in its total, by offset",
            "Beehive, KathiraveluLab/Beehive#355",
            OffsetOf,
            |ask, s| {
                page(&ask, s, |r| {
                    let n = r.body["people"].as_array().unwrap().len();
                    r.with("all", n.into())
                })
            },
        ),
        quirk(
            "counts one too many",
            "Adobe UMAPI, adobe-apiplatform/umapi-documentation#64",
            OffsetOf,
            |ask, s| page(&ask, s, |r| r.with("all", 26.into())),
        ),
        quirk("leaves one out", "", OffsetOf, |ask, s| {
            page(&ask, s, |mut r| {
                r.body["people"].as_array_mut().unwrap().retain(|person| person["id"] != "u17");
                r
            })
        }),
        quirk("leaves one out the first time", "", OffsetOf, |ask, s| {
            let first = s.pages <= 5;
            page(&ask, s, |mut r| {
                if first {
                    r.body["people"].as_array_mut().unwrap().retain(|person| person["id"] != "u17");
                }
                r
            })
        }),
        quirk("leaves one out, and says in a header how many there are", "", Offset, |ask, s| {
            page(&ask, s, |mut r| {
                r.body["people"].as_array_mut().unwrap().retain(|person| person["id"] != "u17");
                r.header("X-Total-Count", "25")
            })
        }),
        quirk(
            "gives people in an order of its own each time",
            "Django REST framework, encode/django-rest-framework#6886",
            NumberOf,
            |ask, s| {
                if ask.pages() {
                    let by = s.pages * 7 % PEOPLE;
                    s.people.rotate_left(by);
                }
                s.serve(&ask)
            },
        ),
        quirk("says at the end by Link that more follows", "", Number, |ask, s| {
            page(&ask, s, |r| r.header("Link", "</people?page=9>; rel=next"))
        }),
        quirk("fails at the second page", "", Offset, |ask, s| {
            if ask.pages() && ask.from() > 0 { Reply::new(503, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("answers the second page with an error and 200", "field", Offset, |ask, s| {
            let second = ask.from() > 0;
            page(&ask, s, |r| {
                if second { Reply::new(200, json!({ "people": [], "error": "timed out" })) } else { r }
            })
        }),
        quirk("does not know the second page", "", Offset, |ask, s| {
            if ask.pages() && ask.from() > 0 { Reply::new(404, json!({})) } else { s.serve(&ask) }
        }),
        quirk("gives the last page again behind the end", "Tick, tick/tick-api#32", Number, |mut ask, s| {
            if ask.pages() && ask.from() >= PEOPLE {
                ask.query.insert("page".to_owned(), "3".to_owned());
            }
            s.serve(&ask)
        }),
        quirk("answers 404 behind the end", "", Number, |ask, s| {
            if ask.pages() && ask.from() >= PEOPLE { Reply::new(404, json!({})) } else { s.serve(&ask) }
        }),
        quirk("counts pages from zero", "", NumberOf, |mut ask, s| {
            if ask.pages() {
                let next = ask.from() / 10 + 2;
                ask.query.insert("page".to_owned(), next.to_string());
            }
            s.serve(&ask)
        }),
        quirk("gives fewer a page than it is asked for", "GitHub, github/docs#45189", Offset, |ask, s| {
            page(&ask, s, |mut r| {
                r.body["people"].as_array_mut().unwrap().truncate(7);
                r
            })
        }),
        quirk("leaves its total out", "GitLab, apache/devlake#4093", NumberOf, |ask, s| {
            page(&ask, s, |mut r| {
                r.body.as_object_mut().unwrap().shift_remove("all");
                r
            })
        }),
        quirk(
            "counts those whom it leaves out of the list",
            "Adobe UMAPI, adobe-apiplatform/umapi-documentation#64",
            Number,
            |ask, s| page(&ask, s, |r| r.header("X-Total-Count", "27")),
        ),
        quirk(
            "moves one to the end while the list is read",
            "Invoice Ninja, invoiceninja/invoiceninja#11936",
            OffsetOf,
            |ask, s| {
                if ask.pages() && s.pages == 2 {
                    let moved = s.people.remove(1);
                    s.people.push(moved);
                }
                s.serve(&ask)
            },
        ),
        quirk(
            "moves one to the end while the list is read by number",
            "Invoice Ninja, invoiceninja/invoiceninja#11936",
            NumberOf,
            |ask, s| {
                if ask.pages() && s.pages == 2 {
                    let moved = s.people.remove(1);
                    s.people.push(moved);
                }
                s.serve(&ask)
            },
        ),
    ]
}
