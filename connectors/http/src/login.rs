//! A login request that is made first, and whose response provides values to the other requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridgehead_sdk::{Effect, Error, Protection, Redactor, Retry, SettingsError, Subject};
use minijinja::Value;
use tokio::sync::Mutex;

use crate::reply;
use crate::request::{Headers, Request};
use crate::rules::About;
use crate::settings::LoginSettings;
use crate::target::{Ask, Target};
use crate::template::{Expression, Members, Scope, Vars};

const WHAT: &str = "The connector cannot log in";

/// Logs in, once for all callers that wait for it.
pub(crate) struct Login {
    request: Request,
    /// The headers of all requests, except those that need a login.
    headers: Headers,
    save: Vec<(String, Expression)>,
    renew_on: BTreeSet<u16>,
    redactor: Redactor,
    session: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Session>>,
    serial: u64,
}

/// The values that a login returned.
pub(crate) struct Session {
    values: Value,
    serial: u64,
    _protection: Protection,
}

impl Session {
    /// Adds the login's values to the variables of a request.
    pub(crate) fn add_to(&self, vars: &Vars) -> Vars {
        vars.with("login", self.values.clone())
    }
}

impl Login {
    /// Checks the request; its templates may use `scope`. Nothing is sent.
    pub(crate) fn new(
        key: &str,
        settings: &LoginSettings,
        scope: &Scope,
        headers: &Headers,
        redactor: &Redactor,
    ) -> Result<Self, SettingsError> {
        if settings.save.is_empty() {
            return Err(SettingsError::new(format!("{key}.save"), "must save something from the response"));
        }
        let request = Request::new(key, settings.request(), scope)?;
        let of_answer = reply::scope(scope.clone());
        let save = settings.save.iter().map(|(name, source)| {
            Ok((name.clone(), Expression::new(&format!("{key}.save.{name}"), source, &of_answer)?))
        });
        let renew_on = settings.renew_on.as_ref().map_or_else(|| [401].into(), |statuses| statuses.0.clone());
        if let Some(status) = request.expect().has_any_of(&renew_on) {
            let message = format!("{status} is an expected status of the login itself");
            return Err(SettingsError::new(format!("{key}.renew_on"), message));
        }
        Ok(Self {
            request,
            headers: headers.without("login"),
            save: save.collect::<Result<_, SettingsError>>()?,
            renew_on,
            redactor: redactor.clone(),
            session: Mutex::default(),
        })
    }

    /// The names that templates can use from it.
    pub(crate) fn members(settings: &LoginSettings) -> Members {
        Members::of(settings.save.keys())
    }

    /// Whether a status means that the login has expired.
    pub(crate) fn has_ended(&self, status: u16) -> bool {
        self.renew_on.contains(&status)
    }

    /// The current login, or a new one.
    pub(crate) async fn session(&self, target: &Target) -> Result<Arc<Session>, Error> {
        let mut state = self.session.lock().await;
        match &state.current {
            Some(session) => Ok(Arc::clone(session)),
            None => self.log_in(&mut state, target).await,
        }
    }

    /// A login other than `ended`: the one that another task has made in the meantime, or a new one.
    pub(crate) async fn renew(&self, target: &Target, ended: &Session) -> Result<Arc<Session>, Error> {
        let mut state = self.session.lock().await;
        match &state.current {
            Some(session) if session.serial != ended.serial => Ok(Arc::clone(session)),
            _ => self.log_in(&mut state, target).await,
        }
    }

    async fn log_in(&self, state: &mut State, target: &Target) -> Result<Arc<Session>, Error> {
        state.current = None;
        let vars = &target.vars;
        let ask = Ask { request: &self.request, vars, what: WHAT, about: About::Target };
        let of_connection = |error: Error| {
            // A problem with the login affects every task, and the task's own request was not sent.
            let retry = match error.retry() {
                Retry::Never => Retry::Backoff,
                retry => retry,
            };
            error.with_effect(Effect::NotApplied).with_subject(Subject::Connection).with_retry(retry)
        };
        let reply = target.send_once(ask, vars, None, &self.headers).await.map_err(of_connection)?;
        target.judge(ask, &reply).map_err(|error| {
            if matches!(reply.status(), 400 | 401 | 403 | 422) {
                let message = format!(
                    "{} rejected the connector's own credential (the login returned {})",
                    target.system,
                    reply.status()
                );
                return Error::credential_refused(message);
            }
            of_connection(error)
        })?;
        let of_answer = reply.vars(vars);
        let mut values = BTreeMap::new();
        let mut texts = Vec::new();
        for (name, expression) in &self.save {
            let value =
                expression.value(&of_answer).map_err(|fault| of_connection(reply.fault(WHAT, &fault)))?;
            texts.extend(value.as_str().map(str::to_owned));
            values.insert(name.clone(), value);
        }
        state.serial += 1;
        let session = Arc::new(Session {
            values: Value::from_pairs(values),
            serial: state.serial,
            _protection: self.redactor.protect(texts),
        });
        state.current = Some(Arc::clone(&session));
        Ok(session)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("request", &self.request).finish_non_exhaustive()
    }
}
