//! Output of a connector process.

use std::pin::Pin;
use std::task::{Context, Poll};

use bridgehead_exec::fuzz;
use bridgehead_sdk::{Cursor, Redactor, ResourceKind};
use futures::FutureExt;
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};

use crate::invariant::{self, is_presentable, json, keeps_fields, shows_no_secret, tainted};

/// Parsing of one line: a response, an error, or neither.
pub fn exec_answer(data: &[u8]) {
    invariant::begin(data);
    let redactor = Redactor::new();
    redactor.protect_for_good([invariant::mark()]);
    answer(data, &redactor);
    let Some(mut value) = json(data) else { return };
    let line = fuzz::request(7, "check", &value);
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "a request is one line");
    let request = json(&line);
    assert_eq!(request.as_ref().and_then(|request| request.get("params")), Some(&value));
    if let Some(tainted) = tainted(value.clone()) {
        answer(tainted.to_string().as_bytes(), &Redactor::new());
    }
    // Simulates a connector that prints the password it was given.
    let mark = invariant::mark();
    if let Some(message) = value.pointer_mut("/error/message")
        && let Some(text) = message.as_str()
    {
        *message = format!("{text}{mark}{text} {mark}").into();
    }
    if let Some(code) = value.pointer_mut("/error/data/code")
        && let Some(text) = code.as_str()
    {
        *code = format!("{text}{mark}").into();
    }
    answer(value.to_string().as_bytes(), &redactor);
}

fn answer(line: &[u8], redactor: &Redactor) {
    match fuzz::answer(line, redactor) {
        Ok((id, outcome)) => {
            let value = json(line);
            let value = value.as_ref();
            assert_eq!(value.and_then(|value| value.get("id")).and_then(Value::as_u64), Some(id));
            match outcome {
                Ok(result) => assert_eq!(value.and_then(|value| value.get("result")), Some(&result)),
                Err(error) => {
                    is_presentable(error.message(), 800);
                    shows_no_secret(&format!("{error} {error:?}"));
                }
            }
        }
        Err(error) => is_presentable(&error, 200),
    }
}

/// A reader that returns its data a few bytes at a time.
struct Trickle<'a> {
    rest: &'a [u8],
    step: usize,
}

impl AsyncRead for Trickle<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let size = self.step.min(buffer.remaining()).min(self.rest.len());
        let (now, later) = self.rest.split_at(size);
        buffer.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}

/// Splits output into lines: the first byte is the length limit, the second the size of each read.
pub fn exec_lines(data: &[u8]) {
    invariant::begin(data);
    let [limit, step, output @ ..] = data else { return };
    let limit = usize::from(*limit).max(1);
    let step = usize::from(*step).max(1);
    let read = |is_cut| fuzz::lines(Trickle { rest: output, step }, limit, is_cut).now_or_never();
    let (Some((whole, error)), Some((cut, none))) = (read(false), read(true)) else {
        panic!("waits though everything is there");
    };
    assert!(none.is_none(), "cutting never fails: {none:?}");
    assert!(whole.iter().chain(&cut).all(|line| line.len() <= limit && !line.contains(&b'\n')));
    let mut expected: Vec<&[u8]> = output.split(|byte| *byte == b'\n').collect();
    // A trailing line break does not start another line.
    let rest = expected.pop().unwrap_or_default();
    let is_fine = rest.is_empty() && expected.iter().all(|line| line.len() <= limit);
    assert_eq!(error.is_none(), is_fine, "{error:?}");
    if let Some(error) = error {
        is_presentable(&error, 100);
    }
    assert!(
        whole.iter().map(Vec::as_slice).eq(expected
            .iter()
            .copied()
            .take_while(|line| line.len() <= limit)
            .take(whole.len()))
    );
    if is_fine {
        assert_eq!(whole.len(), expected.len());
    }
    expected.extend((!rest.is_empty()).then_some(rest));
    let bounded = expected.iter().map(|line| line.get(..limit).unwrap_or(line));
    assert!(cut.iter().map(Vec::as_slice).eq(bounded), "a line was lost or changed");
}

/// Parsing of the results of all methods.
pub fn exec_results(data: &[u8]) {
    invariant::begin(data);
    let Some(value) = json(data) else { return };
    results(&value);
    if let Some(tainted) = tainted(value) {
        // Records are passed to Iden unchanged; only errors about them are checked for secrets.
        results(&tainted);
    }
}

fn results(value: &Value) {
    for kind in [ResourceKind::Account, ResourceKind::Group, ResourceKind::License] {
        match fuzz::page(kind, value.clone()) {
            Ok(page) => {
                let items = value.get("records").and_then(Value::as_array).map_or(0, Vec::len);
                assert_eq!(page.records.len() + page.rejected.len(), items, "a record went missing");
                for rejected in &page.rejected {
                    shows_no_secret(&format!("{} {}", rejected.field, rejected.rule));
                }
                let next = value.get("next").and_then(Value::as_str);
                assert_eq!(page.next.as_ref().map(Cursor::as_str), next, "an end that was not said");
            }
            Err(error) => is_presentable(&error, 300),
        }
    }
    match fuzz::account(value.clone()) {
        Ok(None) => assert!(value.is_null(), "somebody was taken for nobody"),
        Ok(Some(account)) => {
            let written = serde_json::to_value(&account).unwrap_or_default();
            let known = [
                "id",
                "email",
                "username",
                "first_name",
                "last_name",
                "display_name",
                "status",
                "memberships",
                "assignments",
            ];
            keeps_fields(value.as_object().unwrap_or(&serde_json::Map::new()), &written, &known);
        }
        Err(error) => shows_no_secret(&error),
    }
    if let Err(error) = fuzz::fields(value.clone()) {
        is_presentable(&error, 200);
    }
    match fuzz::description(value.clone()) {
        Ok(description) => {
            let mut slugs: Vec<_> = description.resource_types.iter().map(|one| one.slug.as_str()).collect();
            slugs.sort_unstable();
            assert!(slugs.windows(2).all(|pair| pair.first() != pair.last()), "a slug twice: {slugs:?}");
            assert!(slugs.iter().all(|slug| !slug.is_empty() && slug.len() <= 255));
        }
        Err(error) => is_presentable(&error, 600),
    }
}
