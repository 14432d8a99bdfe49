//! The pages for people: templates that escape everything, and their data.

mod app;
mod lists;
mod other;
mod overview;
mod parts;
mod sync;
mod task;
mod tasks;

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;

use super::chart::escape;

pub(super) use app::{App, history_csv};
pub(super) use lists::{SyncList, syncs_csv};
pub(super) use other::{alarms, confirm, message, sign_in, sign_out};
pub(super) use overview::{overview, path_of};
pub(super) use parts::{Frame, Link, sentence};
pub(super) use sync::sync;
pub(super) use task::task;
pub(super) use tasks::{TaskList, csv_head, csv_row, nameless, which};

/// The style sheet.
pub(super) const STYLE: &str = include_str!("../assets/page.css");
/// The script, which is optional: everything works without it.
pub(super) const SCRIPT: &str = include_str!("../assets/page.js");
/// The icon.
pub(super) const ICON: &str = include_str!("../assets/icon.svg");

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // Like minijinja's own, except that slashes are not escaped, so that links stay readable.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() && *state.auto_escape() == AutoEscape::Html => {
            Ok(out.write_str(&escape(text))?)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    // A name that is in the template but not in the data is a bug, which tests must find.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in [
        ("base.html", include_str!("../templates/base.html")),
        ("parts.html", include_str!("../templates/parts.html")),
        ("overview.html", include_str!("../templates/overview.html")),
        ("app.html", include_str!("../templates/app.html")),
        ("list.html", include_str!("../templates/list.html")),
        ("sync.html", include_str!("../templates/sync.html")),
        ("task.html", include_str!("../templates/task.html")),
        ("login.html", include_str!("../templates/login.html")),
        ("confirm.html", include_str!("../templates/confirm.html")),
        ("alarms.html", include_str!("../templates/alarms.html")),
        ("message.html", include_str!("../templates/message.html")),
    ] {
        if let Err(error) = environment.add_template(name, text) {
            tracing::error!(template = name, %error, "a template of the page is wrong");
        }
    }
    environment
});

/// The data of every page.
#[derive(Serialize)]
struct Whole<'a, T> {
    title: &'a str,
    frame: &'a Frame,
    process: &'a str,
    readiness: &'a str,
    #[serde(flatten)]
    page: T,
}

fn render(template: &str, title: &str, frame: &Frame, page: impl Serialize) -> Result<String, Error> {
    let whole = Whole { title, frame, process: &frame.process, readiness: &frame.readiness, page };
    TEMPLATES.get_template(template)?.render(Serde(whole))
}
