//! Signing in, confirming and executing actions: everything that requires the token.
//!
//! Every change is a form sent with POST, from a page of this listener, in a session, with the form's own one-time token. Each is logged as
//! an operator's action.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::actions::{Action, Operator, Refusal};
use super::guard::is_from_here;
use super::looking::{Asked, missing, page, page_with};
use super::pages;
use super::query::Fields;
use super::session::{Sessions, SignIn};
use super::site::Site;

/// The log target of operators' actions.
const AUDIT: &str = "bridgehead::audit";
/// How long a response waits for the end of an action: less than a connection may last.
const PATIENCE: Duration = Duration::from_secs(10);

fn refused(asked: &Asked, status: StatusCode, heading: &str, text: &str, back: (&str, &str)) -> Response {
    page_with(status, pages::message(&asked.frame, heading, text, back))
}

/// Redirects to a GET.
fn see(path: &str, cookie: Option<String>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response();
    if let Some(cookie) = cookie.and_then(|cookie| cookie.parse().ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Returns the path if it belongs to this listener, whatever the request contains.
fn inside(next: Option<&str>) -> &str {
    let is_inside = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_inside).unwrap_or("/")
}

fn not_from_here(asked: &Asked) -> Response {
    let text = "This form did not come from a page of this daemon, so nothing was done. Open the page by its own address and try again.";
    refused(asked, StatusCode::FORBIDDEN, "Refused", text, ("/", "Overview"))
}

fn no_token(asked: &Asked) -> Response {
    let text = "No [admin] token is configured, so nothing can be changed on this page. Use the command line, or set a token.";
    refused(asked, StatusCode::FORBIDDEN, "Read-only", text, ("/", "Overview"))
}

pub(super) async fn sign_in_form(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    if site.access.sessions().is_none() {
        return no_token(&asked);
    }
    page(pages::sign_in(&asked.frame, inside(asked.fields.get("next")), None))
}

pub(super) async fn sign_in(
    State(site): State<Arc<Site>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let Some(sessions) = site.access.sessions() else { return no_token(&asked) };
    if !is_from_here(&headers) {
        tracing::warn!(target: AUDIT, "an attempt to sign in on the page came from elsewhere, and was refused");
        site.record_refusal("sign_in", None, "it came from elsewhere");
        return not_from_here(&asked);
    }
    let fields = Fields::read(&body);
    let next = inside(fields.get("next"));
    let again = |status, problem| page_with(status, pages::sign_in(&asked.frame, next, Some(problem)));
    match sessions.sign_in(fields.get("token").unwrap_or_default()).await {
        SignIn::Welcome(session) => {
            tracing::info!(target: AUDIT, "an operator has signed in on the page");
            site.record_sign_in();
            see(next, Some(format!("{}={session}; Path=/; HttpOnly; SameSite=Strict", site.cookie)))
        }
        SignIn::Wrong => {
            tracing::warn!(target: AUDIT, "a sign-in on the page was refused: wrong token");
            site.record_refusal("sign_in", None, "wrong token");
            again(StatusCode::FORBIDDEN, "This is not the token. Look at [admin] token in the configuration.")
        }
        SignIn::Busy => {
            again(StatusCode::TOO_MANY_REQUESTS, "Another attempt is being checked. Try again in a second.")
        }
    }
}

pub(super) async fn sign_out_form(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let form = site.access.sessions().zip(asked.session.as_deref());
    match form.and_then(|(sessions, session)| sessions.form(session, "/logout")) {
        Some(form) => page(pages::sign_out(&asked.frame, &form)),
        None => see("/", None),
    }
}

pub(super) async fn sign_out(
    State(site): State<Arc<Site>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let Some((sessions, session)) = admitted(&site, &asked, &headers) else { return not_from_here(&asked) };
    if !sessions.redeem(session, "/logout", Fields::read(&body).get("form").unwrap_or_default()) {
        return stale(&asked, "/");
    }
    sessions.sign_out(session);
    tracing::info!(target: AUDIT, "an operator has signed out on the page");
    site.record_sign_out();
    see("/", Some(format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", site.cookie)))
}

/// The session of a form that was sent from this listener.
fn admitted<'a>(site: &Site, asked: &'a Asked, headers: &HeaderMap) -> Option<(Arc<Sessions>, &'a str)> {
    is_from_here(headers).then_some(())?;
    Some((site.access.sessions()?, asked.session.as_deref()?))
}

fn stale(asked: &Asked, back: &str) -> Response {
    let text =
        "This form was sent before, or is too old. Nothing was done this time. Go back and look again.";
    refused(asked, StatusCode::FORBIDDEN, "Sent already", text, (back, "Go back"))
}

/// The action that a path refers to.
fn find<'a>(
    site: &'a Site,
    asked: &Asked,
    app: &str,
    action: &str,
) -> Option<(&'a Operator, &'a dyn Action)> {
    asked.overview.apps.contains_key(app).then_some(())?;
    Some((site.operator.as_ref()?, site.actions.get(action)?))
}

fn answer(asked: &Asked, refusal: &Refusal, back: &str) -> Response {
    let (status, heading) = match refusal {
        Refusal::NoSuchApp => (StatusCode::NOT_FOUND, "Not found"),
        Refusal::Nothing(_) => (StatusCode::CONFLICT, "Nothing to do"),
        Refusal::Changed(_) => (StatusCode::CONFLICT, "Changed meanwhile"),
        Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, "Not complete"),
        Refusal::Failed(_) => (StatusCode::SERVICE_UNAVAILABLE, "Not possible now"),
    };
    refused(asked, status, heading, &refusal.message(), (back, "Go back"))
}

pub(super) async fn confirm(
    State(site): State<Arc<Site>>,
    Path((app, action)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let Some(sessions) = site.access.sessions() else { return no_token(&asked) };
    let Some(session) = &asked.session else {
        let next = url::form_urlencoded::byte_serialize(asked.here.as_bytes()).collect::<String>();
        return see(&format!("/login?next={next}"), None);
    };
    let Some((operator, action)) = find(&site, &asked, &app, &action) else {
        return missing(&asked, "There is no such app or action.");
    };
    let back = format!("/apps/{}", pages::path_of(&app));
    let confirmation = match action.confirm(operator, &app, &asked.fields).await {
        Ok(confirmation) => confirmation,
        Err(refusal) => return answer(&asked, &refusal, &back),
    };
    let here = format!("{back}/actions/{}", action.name());
    let Some(form) = sessions.form(session, &here) else { return see("/login", None) };
    page(pages::confirm(&asked.frame, &confirmation, &form, (&here, &back)))
}

pub(super) async fn perform(
    State(site): State<Arc<Site>>,
    Path((app, action)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    if site.access.sessions().is_none() {
        return no_token(&asked);
    }
    let Some((sessions, session)) = admitted(&site, &asked, &headers) else {
        tracing::warn!(target: AUDIT, app, action, "an action on the page was refused: it came from elsewhere, or without a session");
        refused_action(&site, &asked, &app, &action, "it came from elsewhere, or without a session");
        return not_from_here(&asked);
    };
    let Some((operator, action)) = find(&site, &asked, &app, &action) else {
        return missing(&asked, "There is no such app or action.");
    };
    let back = format!("/apps/{}", pages::path_of(&app));
    let here = format!("{back}/actions/{}", action.name());
    let fields = Fields::read(&body);
    if !sessions.redeem(session, &here, fields.get("form").unwrap_or_default()) {
        tracing::warn!(target: AUDIT, app, action = action.name(), "an action on the page was refused: its form was not handed out, or was sent already");
        site.record_refusal(action.name(), Some(&app), "its form was not handed out, or was sent already");
        return stale(&asked, &back);
    }
    let name = action.name();
    let perform = perform_to_the_end(Arc::clone(&site), app, name, fields, session.to_owned());
    match tokio::time::timeout(PATIENCE, operator.performing.spawn(perform)).await {
        Ok(Ok(Ok(()))) => see(&back, None),
        Ok(Ok(Err(refusal))) => answer(&asked, &refusal, &back),
        Ok(Err(_)) => {
            let text = "The action has ended with an error of bridgehead itself. Look into the log before you repeat it.";
            answer(&asked, &Refusal::Failed(text.to_owned()), &back)
        }
        Err(_) => {
            site.notify(session, format!("“{}” has begun and is not finished yet.", action.label()));
            see(&back, None)
        }
    }
}

/// Performs an action, even if the browser does not wait for the response: an action is never left half done and unrecorded.
async fn perform_to_the_end(
    site: Arc<Site>,
    app: String,
    name: &'static str,
    fields: Fields,
    session: String,
) -> Result<(), Refusal> {
    let operator = site.operator.as_ref().ok_or(Refusal::NoSuchApp)?;
    let action = site.actions.get(name).ok_or(Refusal::NoSuchApp)?;
    match action.perform(operator, &app, &fields).await {
        Ok(done) => {
            tracing::info!(target: AUDIT, app, action = name, "an operator on the page: {done}");
            site.forget_lists();
            site.notify(&session, done);
            Ok(())
        }
        Err(refusal) => {
            tracing::info!(target: AUDIT, app, action = name, "an operator's action on the page was not done: {}", refusal.message());
            Err(refusal)
        }
    }
}

/// Records that an action was refused, by its name if there is one of that name: what was sent may be anything.
fn refused_action(site: &Site, asked: &Asked, app: &str, action: &str, why: &str) {
    let known = find(site, asked, app, action).map(|(_, action)| action.name());
    site.record_refusal(known.unwrap_or("action"), known.map(|_| app), why);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_within_the_site() {
        for path in ["/", "/apps/hr/tasks?status=held&page=2"] {
            assert_eq!(inside(Some(path)), path);
        }
        for path in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nSet-Cookie: x",
            "",
            "evil",
            "/é",
        ] {
            assert_eq!(inside(Some(path)), "/", "{path}");
        }
        assert_eq!(inside(None), "/");
    }
}
