//! A request: checked at load, built for each call.

use bridgehead_sdk::http::reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use bridgehead_sdk::http::reqwest::{self, RequestBuilder};
use bridgehead_sdk::{SettingsError, exact};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

use crate::reply::{self, Reply};
use crate::rules::{About, Expect, Rule, judge};
use crate::settings::{Method, RequestSettings};
use crate::signs;
use crate::template::{Fault, Path, Reason, Scope, Text, Tree, Vars};

/// A checked request.
#[derive(Debug)]
pub(crate) struct Request {
    key: String,
    method: Method,
    path: Path,
    query: Vec<(String, Tree)>,
    headers: Headers,
    body: Body,
    expect: Expect,
    rules: Vec<Rule>,
}

#[derive(Debug)]
enum Body {
    None,
    Json(Tree),
    Form(Vec<(String, Tree)>),
}

/// Headers whose values are templates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(Vec<(HeaderName, Text)>);

impl Request {
    /// Checks the request at `key`, whose templates may use the variables of `scope`.
    pub(crate) fn new(
        key: &str,
        settings: RequestSettings<'_>,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let at = |name: &str| format!("{key}.{name}");
        let of_answer = reply::scope(scope.clone());
        let body = match (settings.json, settings.form) {
            (Some(_), Some(_)) => return Err(SettingsError::new(at("form"), "conflicts with json")),
            (Some(json), None) => Body::Json(Tree::new(&at("json"), json, scope)?),
            (None, Some(form)) => Body::Form(trees(&at("form"), form, scope)?),
            (None, None) => Body::None,
        };
        if matches!(settings.method, Method::Get | Method::Head) && !matches!(body, Body::None) {
            let name = if settings.json.is_some() { "json" } else { "form" };
            return Err(SettingsError::new(
                at(name),
                "a GET or HEAD request has no body; set method, or use query",
            ));
        }
        let expect = Expect::new(&at("expect"), settings.expect, &of_answer)?;
        Ok(Self {
            key: key.to_owned(),
            method: settings.method,
            path: Path::new(&at("path"), settings.path, scope)?,
            query: trees(&at("query"), settings.query, scope)?,
            headers: Headers::new(&at("headers"), settings.headers, scope)?,
            body,
            rules: Rule::all(&at("errors"), settings.errors, Some(&expect), &of_answer)?,
            expect,
        })
    }

    /// Whether its method changes nothing.
    pub(crate) fn is_safe(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head)
    }

    /// Whether its method replaces a record that may already exist.
    pub(crate) fn replaces(&self) -> bool {
        matches!(self.method, Method::Put)
    }

    /// Whether its method deletes.
    pub(crate) fn deletes(&self) -> bool {
        matches!(self.method, Method::Delete)
    }

    /// What it expects of the response.
    pub(crate) fn expect(&self) -> &Expect {
        &self.expect
    }

    /// The sign in the response to a change that something went wrong despite its status. `expect.when` takes precedence.
    pub(crate) fn faults_of(&self, reply: &Reply) -> Option<String> {
        if self.expect.reads_the_answer() {
            return None;
        }
        signs::fault_of_change(reply)
    }

    /// The variables in use, such as `account.id`.
    pub(crate) fn uses(&self) -> BTreeSet<String> {
        let pairs = self.query.iter().chain(match &self.body {
            Body::Form(fields) => fields.as_slice(),
            Body::None | Body::Json(_) => &[],
        });
        let mut uses: BTreeSet<String> = pairs.flat_map(|(_, tree)| tree.uses()).collect();
        uses.extend(self.path.uses().cloned());
        uses.extend(self.headers.uses().cloned());
        if let Body::Json(tree) = &self.body {
            uses.extend(tree.uses());
        }
        uses
    }

    /// The method as the HTTP client's type.
    pub(crate) fn method(&self) -> reqwest::Method {
        match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        }
    }

    /// Whether a path can contain the values: one that is empty or `..` cannot be requested.
    pub(crate) fn can_be_written(&self, vars: &Vars) -> bool {
        !matches!(self.path.write(vars), Err(Fault { reason: Reason::Path, .. }))
    }

    /// The URL below `base`.
    pub(crate) fn url(&self, base: &Url, vars: &Vars) -> Result<Url, Fault> {
        let path = self.path.write(vars)?;
        let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let fault = || Fault::new(format!("{}.path", self.key), Reason::Path);
        let mut url = Url::parse(&text).map_err(|_| fault())?;
        // A parser that reads the path differently would request something else.
        if url.origin() != base.origin() || !url.path().ends_with(&path) {
            return Err(fault());
        }
        let pairs = pairs(&self.query, vars)?;
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(url)
    }

    /// Adds headers and body to a request; `common` are the headers of all requests.
    pub(crate) fn fill(
        &self,
        builder: RequestBuilder,
        common: &Headers,
        vars: &Vars,
    ) -> Result<RequestBuilder, Fault> {
        let mut headers = HeaderMap::new();
        common.write(&mut headers, vars)?;
        self.headers.write(&mut headers, vars)?;
        if matches!(self.body, Body::Json(_)) && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let builder = builder.headers(headers);
        Ok(match &self.body {
            Body::None => builder,
            Body::Json(tree) => {
                let body = tree.build(vars)?.unwrap_or_default();
                builder.body(exact::unmark(body.to_string().into_bytes()))
            }
            Body::Form(fields) => builder.form(&pairs(fields, vars)?),
        })
    }

    /// Distinguishes success from failure; `common` are the rules of all requests.
    pub(crate) fn judge(
        &self,
        common: &[Rule],
        reply: &Reply,
        vars: &Vars,
        what: &str,
        about: About,
    ) -> Result<(), bridgehead_sdk::Error> {
        judge(&self.expect, (&self.rules, common), reply, vars, what, about)
    }
}

impl Headers {
    pub(crate) fn new(
        key: &str,
        settings: &BTreeMap<String, String>,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let header = |(name, value): (&String, &String)| {
            let key = format!("{key}.{name}");
            let text = Text::new(&key, value, scope)?;
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Ok((name, text)),
                Err(_) => Err(SettingsError::new(key, "must be the name of a header")),
            }
        };
        let headers = settings.iter().map(header).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        match headers.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            Some((name, text)) => {
                Err(SettingsError::new(text.key(), format!("the header {name} occurs twice")))
            }
            None => Ok(Self(headers)),
        }
    }

    /// Whether there is a header with this name, ignoring case.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.as_str().eq_ignore_ascii_case(name))
    }

    /// The headers that do not use a variable.
    pub(crate) fn without(&self, variable: &str) -> Self {
        let uses_it = |path: &String| path.split('.').next() == Some(variable);
        Self(self.0.iter().filter(|(_, text)| !text.uses().iter().any(uses_it)).cloned().collect())
    }

    /// The variables that they use.
    pub(crate) fn uses(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(|(_, text)| text.uses())
    }

    fn write(&self, headers: &mut HeaderMap, vars: &Vars) -> Result<(), Fault> {
        for (name, text) in &self.0 {
            let value = HeaderValue::from_bytes(text.write(vars)?.as_bytes());
            let mut value = value.map_err(|_| Fault::new(text.key(), Reason::Header))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(())
    }
}

fn trees(
    key: &str,
    fields: &Map<String, Value>,
    scope: &Scope,
) -> Result<Vec<(String, Tree)>, SettingsError> {
    fields
        .iter()
        .map(|(name, value)| {
            let key = format!("{key}.{name}");
            if value.is_object() || value.is_null() {
                return Err(SettingsError::new(
                    key,
                    "must be text, a number, true or false, or a list of these",
                ));
            }
            Ok((name.clone(), Tree::new(&key, value, scope)?))
        })
        .collect()
}

/// Names and strings for a query or a form. `omit` leaves out a parameter; `none` is a fault, because a search without its condition would
/// find every account.
fn pairs(fields: &[(String, Tree)], vars: &Vars) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs = Vec::new();
    for (name, tree) in fields {
        let values = match tree.build(vars)? {
            None => continue,
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
        };
        for value in values {
            let text = match value {
                Value::String(text) => exact::digits(&text).into_owned(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null => return Err(Fault::new(tree.key(name), Reason::Nothing)),
                Value::Array(_) | Value::Object(_) => return Err(Fault::new(tree.key(name), Reason::NoText)),
            };
            pairs.push((name.clone(), text));
        }
    }
    Ok(pairs)
}
