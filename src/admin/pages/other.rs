//! Signing in and out, confirmations, and messages.

use serde::Serialize;

use super::parts::{Frame, Table};
use super::render;
use crate::admin::actions::{Confirmation, Input};
use crate::admin::summary::grouped;

#[derive(Serialize)]
struct Login<'a> {
    heading: &'a str,
    here: &'a str,
    problem: Option<&'a str>,
    next: &'a str,
    form: Option<&'a str>,
}

/// The form to sign in with.
pub(in crate::admin) fn sign_in(
    frame: &Frame,
    next: &str,
    problem: Option<&str>,
) -> Result<String, minijinja::Error> {
    let page = Login { heading: "Sign in", here: "/login", problem, next, form: None };
    render("login.html", "Sign in – bridgehead", frame, page)
}

/// The form to sign out with.
pub(in crate::admin) fn sign_out(frame: &Frame, form: &str) -> Result<String, minijinja::Error> {
    let page = Login { heading: "Sign out", here: "/logout", problem: None, next: "", form: Some(form) };
    render("login.html", "Sign out – bridgehead", frame, page)
}

#[derive(Serialize)]
struct Asked<'a> {
    question: &'a str,
    notes: &'a [String],
    people: Option<Table>,
    more: Option<String>,
    here: &'a str,
    back: &'a str,
    form: &'a str,
    inputs: &'a [Input],
    fields: &'a [(&'static str, String)],
    verb: &'a str,
    is_destructive: bool,
}

/// The consequences of an action, and the form that executes it.
pub(in crate::admin) fn confirm(
    frame: &Frame,
    of: &Confirmation,
    form: &str,
    (here, back): (&str, &str),
) -> Result<String, minijinja::Error> {
    let people = of.people.as_ref().filter(|people| !people.rows.is_empty());
    let table = people.map(|people| {
        let heads: Vec<(&'static str, &'static str)> =
            people.columns.iter().map(|column| (*column, "")).collect();
        let mut table = Table::of(people.heading.clone(), &heads, people.rows.iter().cloned());
        table.is_stacked = true;
        table
    });
    let more =
        people.filter(|people| people.more > 0).map(|people| format!("And {} more.", grouped(people.more)));
    let page = Asked {
        question: &of.question,
        notes: &of.notes,
        people: table,
        more,
        here,
        back,
        form,
        inputs: &of.inputs,
        fields: &of.fields,
        verb: &of.verb,
        is_destructive: of.is_destructive,
    };
    render("confirm.html", &format!("{} – bridgehead", of.question), frame, page)
}

#[derive(Serialize)]
struct Message<'a> {
    heading: &'a str,
    text: &'a str,
    back: &'a str,
    back_text: &'a str,
}

/// A page with a message and a link to continue.
pub(in crate::admin) fn message(
    frame: &Frame,
    heading: &str,
    text: &str,
    (back, back_text): (&str, &str),
) -> Result<String, minijinja::Error> {
    let page = Message { heading, text, back, back_text };
    render("message.html", &format!("{heading} – bridgehead"), frame, page)
}

/// The chapter of the documentation about alarms; the build script converts docs/alarms.md.
const ALARMS: &str = include_str!(concat!(env!("OUT_DIR"), "/alarms.html"));

#[derive(Serialize)]
struct Chapter {
    chapter: &'static str,
}

/// What each alarm means, and what to do.
pub(in crate::admin) fn alarms(frame: &Frame) -> Result<String, minijinja::Error> {
    render("alarms.html", "Alarms – bridgehead", frame, Chapter { chapter: ALARMS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::actions::People;
    use bridgehead_runtime::AlarmKind;

    #[test]
    fn confirmation_lists_accounts_and_escapes_text() {
        const NASTY: &str = "<script>\"'&";
        let question = Confirmation {
            question: NASTY.into(),
            notes: vec![NASTY.into()],
            people: Some(People {
                heading: NASTY.into(),
                columns: vec!["Name"],
                rows: vec![vec![NASTY.into()]],
                more: 1234,
            }),
            inputs: Vec::new(),
            fields: vec![("task", NASTY.into())],
            verb: NASTY.into(),
            is_destructive: true,
        };
        let html = confirm(&Frame::default(), &question, "f0rm", ("/apps/hr/actions/x", "/apps/hr")).unwrap();
        assert!(!html.contains("<script>") && !html.contains("\"'&"), "{html}");
        assert!(
            html.contains("name=\"form\" value=\"f0rm\"")
                && html.contains("And 1,234 more.")
                && html.contains("method=\"post\""),
            "{html}"
        );
        let said = message(&Frame::default(), NASTY, NASTY, ("/", NASTY)).unwrap();
        assert!(!said.contains("<script>"));
    }

    #[test]
    fn every_alarm_is_explained_on_the_page_and_no_link_leads_elsewhere() {
        let html = alarms(&Frame::default()).unwrap();
        for kind in AlarmKind::ALL.into_iter().filter(|kind| *kind != AlarmKind::Other) {
            assert!(html.contains(&format!("<h2 id=\"{}\">", kind.as_str())), "{kind:?}");
        }
        let (_, chapter) = html.split_once("<article").unwrap();
        let (chapter, _) = chapter.split_once("</article>").unwrap();
        let links = chapter.split("href=\"").skip(1);
        assert!(links.clone().count() > 10 && links.clone().all(|link| link.starts_with('#')), "{chapter}");
        assert!(!chapter.contains("<h1"), "{chapter}");
    }

    #[test]
    fn sign_in_and_out_forms_contain_no_token() {
        let html =
            sign_in(&Frame { can_sign_in: true, ..Frame::default() }, "/apps/\"hr", Some("<b>")).unwrap();
        assert!(
            html.contains("type=\"password\"") && html.contains("/apps/&quot;hr") && !html.contains("<b>"),
            "{html}"
        );
        assert!(sign_out(&Frame::default(), "f0rm").unwrap().contains("value=\"f0rm\""));
    }
}
