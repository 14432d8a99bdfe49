//! The target: sends one request with the connector's credential.

use std::sync::Arc;

use bridgehead_sdk::http::{Client, Credential};
use bridgehead_sdk::{Effect, Error};
use url::Url;

use crate::login::Login;
use crate::reply::Reply;
use crate::request::{Headers, Request};
use crate::rules::{About, Rule};
use crate::template::Vars;

/// What all requests to the target have in common.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) system: Arc<str>,
    pub(crate) base: Url,
    pub(crate) client: Client,
    pub(crate) credential: Credential,
    pub(crate) login: Option<Login>,
    /// Headers of every request.
    pub(crate) headers: Headers,
    /// The meaning of responses to every request.
    pub(crate) rules: Vec<Rule>,
    /// The variables of every request: the secrets of the configuration.
    pub(crate) vars: Vars,
}

/// One request with its variables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) request: &'a Request,
    pub(crate) vars: &'a Vars,
    /// Begins the message of an error, such as "User ann cannot be created".
    pub(crate) what: &'a str,
    pub(crate) about: About,
}

impl Target {
    /// Sends a request, and distinguishes success from failure.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Reply, Error> {
        let reply = self.send(ask, None).await?;
        self.judge(ask, &reply)?;
        Ok(reply)
    }

    /// Distinguishes success from failure.
    pub(crate) fn judge(&self, ask: Ask<'_>, reply: &Reply) -> Result<(), Error> {
        ask.request.judge(&self.rules, reply, ask.vars, ask.what, ask.about)
    }

    /// Sends a request that changes nothing: a failure never has an effect on the target.
    pub(crate) async fn read(&self, ask: Ask<'_>) -> Result<Reply, Error> {
        self.ask(ask).await.map_err(|error| error.with_effect(Effect::NotApplied))
    }

    /// Sends a request, to `url` if given, and returns the response, whatever its status. An expired login is renewed once: a request that
    /// was refused because of it has changed nothing.
    pub(crate) async fn send(&self, ask: Ask<'_>, url: Option<&Url>) -> Result<Reply, Error> {
        let Some(login) = &self.login else { return self.send_once(ask, ask.vars, url, &self.headers).await };
        let session = login.session(self).await?;
        let reply = self.send_once(ask, &session.add_to(ask.vars), url, &self.headers).await?;
        if !login.has_ended(reply.status()) {
            return Ok(reply);
        }
        let session = login.renew(self, &session).await?;
        self.send_once(ask, &session.add_to(ask.vars), url, &self.headers).await
    }

    /// Sends a request once, without a login, with these headers in addition to its own.
    pub(crate) async fn send_once(
        &self,
        ask: Ask<'_>,
        vars: &Vars,
        url: Option<&Url>,
        headers: &Headers,
    ) -> Result<Reply, Error> {
        let Ask { request, what, .. } = ask;
        let cannot_be_made = |fault| Error::internal(format!("{what}: {fault}"));
        let url = match url {
            Some(url) => url.clone(),
            None => request.url(&self.base, vars).map_err(cannot_be_made)?,
        };
        let builder = self.client.request(request.method(), url);
        let builder = request.fill(builder, headers, vars).map_err(cannot_be_made)?;
        let answer = self.credential.send(&self.client, builder).await?;
        Ok(Reply::new(&self.system, answer))
    }
}
