//! The answers so far, in their order, so that a step can be undone.

use std::collections::BTreeMap;

use bridgehead_sdk::Question;

use super::secret::Kept;

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Text(String),
    /// A secret; `None` if an optional one was left out.
    Secret(Option<Kept>),
}

#[derive(Clone, Debug)]
struct Given {
    key: String,
    answer: Answer,
    /// Whether the user was asked: going back stops at such an answer.
    was_asked: bool,
}

/// The answers, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Interview {
    given: Vec<Given>,
    /// The answers that going back has removed.
    before: BTreeMap<String, Answer>,
}

impl Interview {
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.given.iter().any(|given| given.key == key)
    }

    pub(super) fn answer(&self, key: &str) -> Option<&Answer> {
        self.given.iter().find(|given| given.key == key).map(|given| &given.answer)
    }

    /// The answer as a string; `None` if it is empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.answer(key)? {
            Answer::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(super) fn secret(&self, key: &str) -> Option<&Kept> {
        match self.answer(key)? {
            Answer::Secret(kept) => kept.as_ref(),
            Answer::Text(_) => None,
        }
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &Kept> {
        self.given.iter().filter_map(|given| match &given.answer {
            Answer::Secret(kept) => kept.as_ref(),
            Answer::Text(_) => None,
        })
    }

    pub(super) fn answers(&self) -> impl Iterator<Item = (&str, &Answer)> {
        self.given.iter().map(|given| (given.key.as_str(), &given.answer))
    }

    /// The answer to this question before going back.
    pub(super) fn before(&self, key: &str) -> Option<&Answer> {
        self.before.get(key)
    }

    pub(super) fn add(&mut self, key: &str, answer: Answer, was_asked: bool) {
        self.given.push(Given { key: key.to_owned(), answer, was_asked });
    }

    /// Goes back to the question that an error names first, as in `bind_dn: must be …`; otherwise like [`Self::back`].
    pub(super) fn back_to_the_cause(&mut self, why: &str) -> bool {
        let named = why.split_once(": ").map(|(key, _)| key);
        let named =
            named.filter(|named| self.given.iter().any(|given| given.was_asked && given.key == *named));
        let mut went = self.back();
        while went && named.is_some_and(|named| self.has(named)) {
            went = self.back();
        }
        went
    }

    /// Removes the last answer that the user was asked for, and all answers after it. Returns false if there is none.
    pub(super) fn back(&mut self) -> bool {
        let Some(at) = self.given.iter().rposition(|given| given.was_asked) else { return false };
        for given in self.given.drain(at..) {
            self.before.insert(given.key, given.answer);
        }
        true
    }
}

/// Validates a line as the answer to a question.
pub(super) fn accept(question: &Question, line: &str, before: Option<&str>) -> Result<String, String> {
    let line = line.trim();
    let text = match line {
        "" => before.or(question.default.as_deref()).unwrap_or_default(),
        line => chosen(question, line)?,
    };
    if text.is_empty() {
        return if question.is_optional { Ok(String::new()) } else { Err("an answer is needed".to_owned()) };
    }
    if let Some(check) = question.check {
        check(text)?;
    }
    Ok(text.to_owned())
}

/// The choice with this value or number.
fn chosen<'a>(question: &'a Question, line: &'a str) -> Result<&'a str, String> {
    let choices = &question.choices;
    if choices.is_empty() {
        return Ok(line);
    }
    let by_value = choices.iter().find(|(value, _)| value.eq_ignore_ascii_case(line));
    let by_number = || line.parse::<usize>().ok().and_then(|number| choices.get(number.checked_sub(1)?));
    by_value.or_else(by_number).map(|(value, _)| value.as_str()).ok_or_else(|| {
        let values: Vec<&str> = choices.iter().map(|(value, _)| value.as_str()).take(20).collect();
        let near = bridgehead_sdk::nearest(line, values.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        format!("must be one of {}{near}", values.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_skips_unasked_answers_and_keeps_defaults() {
        let mut interview = Interview::default();
        interview.add("connector", Answer::Text("ldap".into()), true);
        interview.add("url", Answer::Text("ldap://x".into()), true);
        interview.add("base", Answer::Text("dc=x".into()), false);
        assert!(interview.back());
        assert_eq!((interview.len(), interview.text("url"), interview.text("base")), (1, None, None));
        assert!(matches!(interview.before("url"), Some(Answer::Text(url)) if url == "ldap://x"));
        assert!(interview.back() && !interview.back());
    }

    #[test]
    fn error_that_names_a_question_goes_back_to_it() {
        let with = || {
            let mut interview = Interview::default();
            for (key, was_asked) in [("url", true), ("bind_dn", true), ("base", false), ("password", true)] {
                interview.add(key, Answer::Text(key.into()), was_asked);
            }
            interview
        };
        for (why, left) in [
            ("bind_dn: must be a name", 1),
            ("url: must be an address", 0),
            ("base: is not there", 3),
            ("the server rejected bind_dn: 49", 3),
            ("no answer", 3),
        ] {
            let mut interview = with();
            assert!(interview.back_to_the_cause(why), "{why}");
            assert_eq!(interview.len(), left, "{why}");
        }
        assert!(!Interview::default().back_to_the_cause("url: must be an address"));
    }

    #[test]
    fn answer_is_a_choice_by_value_or_number_or_the_default() {
        let question = Question::text("engine", "Which?").with_choices([("sqlite", "a file"), ("mysql", "")]);
        assert_eq!(accept(&question, " SQLite ", None).as_deref(), Ok("sqlite"));
        assert_eq!(accept(&question, "2", None).as_deref(), Ok("mysql"));
        assert!(accept(&question, "3", None).is_err() && accept(&question, "0", None).is_err());
        assert!(accept(&question, "sqlit", None).unwrap_err().contains("did you mean 'sqlite'?"));
        assert_eq!(accept(&question, "", None).unwrap_err(), "an answer is needed");
        let question = question.with_default("mysql");
        assert_eq!(accept(&question, "", None).as_deref(), Ok("mysql"));
        assert_eq!(accept(&question, "", Some("sqlite")).as_deref(), Ok("sqlite"));
        let even = Question::text("n", "?").optional().with_check(|_| Err("odd".into()));
        assert_eq!(accept(&even, "", None).as_deref(), Ok(""));
        assert_eq!(accept(&even, "1", None).unwrap_err(), "odd");
    }
}
