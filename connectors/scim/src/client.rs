//! Requests to a SCIM server, each sent once.

use bridgehead_sdk::http::reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use bridgehead_sdk::http::reqwest::{Method, RequestBuilder};
use bridgehead_sdk::http::{Answer, Client, Credential};
use bridgehead_sdk::{Error, Retry, exact, fault_beside_records};
use serde_json::Value;
use url::Url;

use crate::errors::{Asked, in_spite_of_success, not_yet, place, refused, wrong_address};
use crate::wire::{Fields, ListPage, ScimError, field, id, key, version};

/// The accepted formats of responses.
const ACCEPTED: &str = "application/scim+json, application/json;q=0.9";

/// Sends requests to one server.
#[derive(Clone, Debug)]
pub(crate) struct Scim {
    http: Client,
    credential: Credential,
    base: Url,
}

/// The response to a request after the apparent end of a listing.
#[derive(Debug)]
pub(crate) enum Behind {
    /// A page, which may be empty.
    Page(ListPage),
    /// The server rejects the position.
    Refused,
}

/// How the server identifies a resource that it has created.
#[derive(Debug)]
pub(crate) enum Made {
    /// By its identifier.
    As(String),
    /// By its address, which ends with the identifier.
    At(String),
    /// Not at all.
    Somewhere,
}

/// A change that was not made, or may not have been made.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The resource does not exist (404).
    pub(crate) is_gone: bool,
    /// The path of the change does not exist (`noTarget`).
    pub(crate) no_target: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, is_gone: false, no_target: false }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl Scim {
    pub(crate) fn new(http: Client, credential: Credential, base: Url) -> Self {
        Self { http, credential, base }
    }

    /// The name of the target in messages.
    pub(crate) fn system(&self) -> &str {
        self.http.system()
    }

    /// The address of an endpoint, or of a resource below it. `None` for an identifier that cannot be part of an address: the empty string,
    /// `.` and `..` would lead to the endpoint itself, and control characters are not allowed.
    fn address(&self, endpoint: &str, id: Option<&str>) -> Option<Url> {
        if id.is_some_and(|id| matches!(id, "" | "." | "..") || id.chars().any(char::is_control)) {
            return None;
        }
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty().extend(endpoint.split('/').filter(|part| !part.is_empty())).extend(id);
        drop(segments);
        Some(url)
    }

    async fn send(&self, request: RequestBuilder, asked: Asked) -> Result<Answer, Error> {
        let request = request.header(ACCEPT, ACCEPTED);
        self.credential.send(&self.http, request).await.map_err(|error| place(error, asked))
    }

    fn endpoint(&self, endpoint: &str) -> Result<Url, Error> {
        let message = || format!("{}: '{endpoint}' is not the path of an endpoint", self.system());
        self.address(endpoint, None).ok_or_else(|| Error::internal(message()))
    }

    /// A discovery document; `None` if the server has no such endpoint.
    pub(crate) async fn describe(&self, endpoint: &str) -> Result<Option<Fields>, Error> {
        let request = self.http.request(Method::GET, self.endpoint(endpoint)?);
        let answer = self.send(request, Asked::Read).await?;
        match answer.status().as_u16() {
            200 => match answer.json() {
                Ok(Value::Object(body)) => Ok(Some(body)),
                // Some servers return an array instead of a list object.
                Ok(Value::Array(items)) => {
                    let mut body = Fields::new();
                    body.insert("totalResults".to_owned(), items.len().into());
                    body.insert("Resources".to_owned(), Value::Array(items));
                    Ok(Some(body))
                }
                Ok(_) => Err(self.no_scim(endpoint)),
                Err(error) => Err(place(error, Asked::Read)),
            },
            403 | 404 | 405 | 501 => Ok(None),
            _ => Err(refused(&answer, &format!("{endpoint} cannot be read"), Asked::Read)),
        }
    }

    /// One page of a listing.
    pub(crate) async fn list(
        &self,
        endpoint: &str,
        query: &[(&str, String)],
        asked: Asked,
    ) -> Result<ListPage, Error> {
        let mut answer = self.ask_for_list(endpoint, query, asked).await?;
        if answer.status().as_u16() == 404 && query.iter().any(|(name, _)| *name == "filter") {
            // Some servers return 404 for a search without results. A single 404 may come from a proxy.
            self.prove(endpoint).await?;
            answer = self.ask_for_list(endpoint, query, asked).await?;
            if answer.status().as_u16() == 404 {
                return Ok(ListPage::empty());
            }
        }
        self.read_list(endpoint, &answer, asked)
    }

    /// The page after the end of a listing, a position that many servers reject.
    pub(crate) async fn behind(&self, endpoint: &str, query: &[(&str, String)]) -> Result<Behind, Error> {
        let answer = self.ask_for_list(endpoint, query, Asked::List).await?;
        match answer.status().as_u16() {
            400 | 404 | 416 => Ok(Behind::Refused),
            _ => self.read_list(endpoint, &answer, Asked::List).map(Behind::Page),
        }
    }

    async fn ask_for_list(
        &self,
        endpoint: &str,
        query: &[(&str, String)],
        asked: Asked,
    ) -> Result<Answer, Error> {
        let mut url = self.endpoint(endpoint)?;
        url.query_pairs_mut().extend_pairs(query);
        // Form encoding writes a space as '+', which some servers do not decode in a query; a '+' itself is written as %2B.
        let encoded = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(encoded.as_deref());
        self.send(self.http.request(Method::GET, url), asked).await
    }

    fn read_list(&self, endpoint: &str, answer: &Answer, asked: Asked) -> Result<ListPage, Error> {
        match answer.status().as_u16() {
            200 => {
                let body: Fields = answer.json_exact().map_err(|error| place(error, asked))?;
                let error = ScimError::of(&body).is_scim.then(|| "a SCIM error".to_owned());
                if let Some(fault) = error.or_else(|| fault_beside_records(&body)) {
                    return Err(self.not_whole(endpoint, &fault));
                }
                ListPage::read(&body).ok_or_else(|| self.no_scim(endpoint))
            }
            404 | 410 => Err(wrong_address(self.system(), endpoint)),
            _ => Err(refused(answer, &format!("{endpoint} cannot be listed"), asked)),
        }
    }

    /// One resource; `None` if the server certainly does not have it.
    pub(crate) async fn get(
        &self,
        endpoint: &str,
        wanted: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Fields>, Error> {
        let Some(mut url) = self.address(endpoint, Some(wanted)) else {
            // Servers never return identifiers that cannot be used in requests, so no resource has this one.
            self.prove(endpoint).await?;
            return Ok(None);
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.send(self.http.request(Method::GET, url), Asked::Read).await?;
        match answer.status().as_u16() {
            200 => {
                let mut resource: Fields = answer.json_exact().map_err(|error| place(error, Asked::Read))?;
                match id(&resource) {
                    Some(found) if found.eq_ignore_ascii_case(wanted) => {}
                    // A server that changes this path has no resource with this identifier.
                    Some(_) if wanted.contains(['/', '\\', '%', ';']) => return Ok(None),
                    // A server that returns the same response for every address must not be mistaken for the resource.
                    _ => {
                        let message = format!(
                            "{} returned a different resource from the one requested from {endpoint}; check \
                             target.url",
                            self.system()
                        );
                        return Err(Error::internal(message));
                    }
                }
                // The resource keeps the identifier from the request, whatever its spelling in the response.
                if let Some(name) = key(&resource, "id").map(str::to_owned) {
                    resource.insert(name, wanted.into());
                }
                adopt_version(&mut resource, &answer);
                Ok(Some(resource))
            }
            404 | 410 => {
                self.prove_reading(endpoint, wanted).await?;
                Ok(None)
            }
            _ => Err(refused(&answer, &format!("{wanted} cannot be read"), Asked::Read)),
        }
    }

    /// Checks that the SCIM endpoint exists: with a wrong address, every account is "not found".
    pub(crate) async fn prove(&self, endpoint: &str) -> Result<(), Error> {
        let query = [("startIndex", "1".to_owned()), ("count", "1".to_owned())];
        let answer = self.ask_for_list(endpoint, &query, Asked::Read).await?;
        self.read_list(endpoint, &answer, Asked::Read).map(drop)
    }

    /// Checks that 404 means that a resource does not exist, by reading a listed one individually.
    async fn prove_reading(&self, endpoint: &str, wanted: &str) -> Result<(), Error> {
        let query = [("startIndex", "1".to_owned()), ("count", "1".to_owned())];
        let page = self.list(endpoint, &query, Asked::Read).await?;
        let Some(listed) = page.resources.first().and_then(id) else { return Ok(()) };
        let Some(url) = self.address(endpoint, Some(&listed)) else { return Ok(()) };
        if listed != wanted {
            let answer = self.send(self.http.request(Method::GET, url), Asked::Read).await?;
            if !matches!(answer.status().as_u16(), 404 | 410) {
                return Ok(());
            }
        }
        // The resource may have been removed between the two requests; another attempt shows it.
        let message = format!(
            "{} responds with 404 to {endpoint}/{listed}, which it lists, so it is unknown whether {wanted} \
             exists; check the permissions of its credential",
            self.system()
        );
        Err(Error::internal(message).with_retry(Retry::Backoff))
    }

    /// Creates a resource, and returns how the server identifies it.
    pub(crate) async fn post(&self, endpoint: &str, resource: &Fields, what: &str) -> Result<Made, Error> {
        let request = self.http.request(Method::POST, self.endpoint(endpoint)?);
        let answer = self.send(with_body(request, resource)?, Asked::Create).await?;
        if !answer.status().is_success() {
            return Err(refused(&answer, what, Asked::Create));
        }
        if let Some(error) = not_yet(&answer, what).or_else(|| in_spite_of_success(&answer, what)) {
            return Err(error);
        }
        let created: Fields =
            if answer.body().trim_ascii().is_empty() { Fields::new() } else { answer.json_exact()? };
        let located = || located(&answer).map_or(Made::Somewhere, Made::At);
        Ok(id(&created).map_or_else(located, Made::As))
    }

    /// Changes a resource with `PUT` or `PATCH`; if `version` is given, only if the resource still has that version.
    pub(crate) async fn change(
        &self,
        method: Method,
        (endpoint, id): (&str, &str),
        body: &Fields,
        version: Option<&str>,
        (what, asked): (&str, Asked),
    ) -> Result<(), Refusal> {
        let request = with_body(self.http.request(method, self.resource(endpoint, id)?), body)?;
        let answer = self.send(if_match(request, version), asked).await?;
        if let Some(error) = not_yet(&answer, what) {
            return Err(place(error, asked).into());
        }
        if answer.status().is_success() {
            let error = in_spite_of_success(&answer, what);
            return error.map_or(Ok(()), |error| Err(place(error, asked).into()));
        }
        let said = ScimError::read(&answer);
        let (is_gone, no_target) =
            (matches!(answer.status().as_u16(), 404 | 410), said.kind == Some("noTarget"));
        Err(Refusal { error: refused(&answer, what, asked), is_gone, no_target })
    }

    /// Deletes a resource.
    pub(crate) async fn delete(&self, endpoint: &str, id: &str, what: &str) -> Result<(), Refusal> {
        let request = self.http.request(Method::DELETE, self.resource(endpoint, id)?);
        let answer = self.send(request, Asked::Delete).await?;
        if !answer.status().is_success() {
            let is_gone = matches!(answer.status().as_u16(), 404 | 410);
            return Err(Refusal { error: refused(&answer, what, Asked::Delete), is_gone, no_target: false });
        }
        let unsure = not_yet(&answer, what).or_else(|| in_spite_of_success(&answer, what));
        unsure.map_or(Ok(()), |error| Err(error.into()))
    }

    fn resource(&self, endpoint: &str, id: &str) -> Result<Url, Error> {
        let message = || format!("{}: the identifier '{id}' cannot be used in an address", self.system());
        self.address(endpoint, Some(id)).ok_or_else(|| Error::internal(message()))
    }

    /// The error for a list with a sign that it is not complete: it must neither end a listing nor mean that nobody was found.
    fn not_whole(&self, endpoint: &str, fault: &str) -> Error {
        let message = format!(
            "{endpoint} cannot be listed: {} returned 200 with {fault} next to the records, which reports a \
             failure, so some may be missing",
            self.system()
        );
        Error::incomplete_listing(message).with_retry(Retry::Backoff)
    }

    fn no_scim(&self, endpoint: &str) -> Error {
        let message =
            format!("{} returned something other than SCIM from {endpoint}; check target.url", self.system());
        Error::internal(message)
    }
}

/// The last segment of the address of a new resource. The address itself is not requested, because it is not trusted.
fn located(answer: &Answer) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let path = answer.url().join(location).ok()?;
    let end = path.path_segments()?.next_back()?;
    let id = percent_encoding::percent_decode_str(end).decode_utf8().ok()?.into_owned();
    (!id.is_empty()).then_some(id)
}

fn with_body(request: RequestBuilder, body: &Fields) -> Result<RequestBuilder, Error> {
    let body = serde_json::to_vec(body)
        .map_err(|error| Error::internal("a request cannot be written").with_source(error))?;
    Ok(request.header(CONTENT_TYPE, "application/scim+json").body(exact::unmark(body)))
}

fn if_match(request: RequestBuilder, version: Option<&str>) -> RequestBuilder {
    match version {
        Some(version) => request.header(IF_MATCH, version),
        None => request,
    }
}

/// A server may send the version only in the header (RFC 7644, section 3.14).
fn adopt_version(resource: &mut Fields, answer: &Answer) {
    if version(resource).is_some() {
        return;
    }
    let Some(etag) = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()) else { return };
    let mut meta = field(resource, "meta").and_then(Value::as_object).cloned().unwrap_or_default();
    meta.insert("version".to_owned(), etag.into());
    resource.insert("meta".to_owned(), Value::Object(meta));
}
