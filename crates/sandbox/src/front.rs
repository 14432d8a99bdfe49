//! The path of every request: routing, the ledger, the faults, the key.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::fault::{Effect, Outcome, canned, spoil};
use super::ledger::Arrival;
use super::refusal::Refusal;
use super::state::State;
use super::{api, control};

/// The maximum size of a body. A page of a hundred records with a hundred refs in each of several types is far smaller.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// The connection must be closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cut the connection on purpose")]
pub(crate) struct Cut;

/// The caller, for the handlers of the Bridge API.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The name of the key.
    pub(crate) key: String,
    /// Scheme and authority of links to the sandbox, as the client addressed it.
    pub(crate) origin: String,
    /// Whether a fault discards the caller's report.
    pub(crate) forgets: bool,
}

/// Both parts of the sandbox: the Bridge API and the control plane.
pub(crate) struct Front {
    state: Arc<State>,
    bridge: TowerToHyperService<Router>,
    control: TowerToHyperService<Router>,
}

impl Front {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self {
            bridge: TowerToHyperService::new(api::router(state.clone())),
            control: TowerToHyperService::new(control::router(state.clone())),
            state,
        }
    }

    pub(crate) async fn serve(&self, peer: SocketAddr, request: Request<Incoming>) -> Result<Response, Cut> {
        let request = request.map(Body::new);
        if request.uri().path().starts_with("/sandbox/") {
            return self.control_plane(peer, request).await;
        }
        self.bridge_api(request).await
    }

    async fn control_plane(&self, peer: SocketAddr, request: Request<Body>) -> Result<Response, Cut> {
        if !peer.ip().to_canonical().is_loopback() {
            return Ok(Refusal::forbidden(
                "The control plane answers on the loopback interface only; call it from the machine the sandbox runs on.",
            )
            .into_response());
        }
        let Ok(response) = self.control.call(request).await;
        Ok(response)
    }

    /// Handles a request of the Bridge API.
    pub(crate) async fn bridge_api(&self, request: Request<Body>) -> Result<Response, Cut> {
        let (parts, body) = request.into_parts();
        let target = Target::of(parts.uri.path());
        let plan = self.state.faults.plan(parts.method.as_str(), parts.uri.path(), target.app);
        let ledger = &self.state.ledger;
        let sequence = ledger.arrived(Arrival {
            time: self.state.clock.now(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            app_id: target.app,
            task_id: target.task,
            is_report: target.is_status && parts.method == "PATCH",
            faults: plan.fired,
        });
        if !plan.stall.is_zero() {
            tokio::time::sleep(plan.stall).await;
        }
        if plan.effect == Some(Effect::Cut) {
            ledger.handled(sequence, None, None);
            return Err(Cut);
        }
        // From here to `handled` there is no suspension point once the body is read, so a client that disconnects cannot keep an effect
        // out of the ledger.
        let body = match to_bytes(body, MAX_BODY).await {
            Ok(body) => body,
            Err(error) if is_too_long(&error) => {
                let refusal = Refusal::bad_request(format!("The body is longer than {MAX_BODY} bytes."));
                ledger.handled(sequence, Some(refusal.status.as_u16()), None);
                ledger.answered(sequence, refusal.status.as_u16());
                return Ok(refusal.into_response());
            }
            // The client disconnected in the middle of its request.
            Err(_) => return Err(Cut),
        };
        let origin = self.origin_of(&parts);
        let uri = parts.uri.clone();
        let response = if let Some(Effect::Answer(answer)) = &plan.effect {
            ledger.handled(sequence, None, Some(&body));
            canned(answer)
        } else {
            let forgets = plan.effect == Some(Effect::Forget) && target.is_status && parts.method == "PATCH";
            let response = self.answer(parts, body.clone(), origin.clone(), forgets).await;
            let handled = (!forgets).then(|| response.status().as_u16());
            ledger.handled(sequence, handled, Some(&body));
            response
        };
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
        }
        match spoil(plan.effect.as_ref(), &origin, &uri, response).await {
            Outcome::Answer(response) => {
                ledger.answered(sequence, response.status().as_u16());
                Ok(response)
            }
            Outcome::Cut => Err(Cut),
        }
    }

    /// Checks tenant and key, and lets the API respond.
    async fn answer(&self, mut parts: Parts, body: Bytes, origin: String, forgets: bool) -> Response {
        let key = match self.authenticate(&parts) {
            Ok(key) => key,
            Err(refusal) => return refusal.into_response(),
        };
        parts.extensions.insert(Caller { key, origin, forgets });
        let request = Request::from_parts(parts, Body::from(body));
        let Ok(response) = self.bridge.call(request).await;
        response
    }

    fn authenticate(&self, parts: &Parts) -> Result<String, Refusal> {
        let header = parts.headers.get(header::AUTHORIZATION);
        let key = self.state.keys.authenticate(header.map(HeaderValue::as_bytes), self.state.clock.now())?;
        let mut segments = parts.uri.path().split('/').skip(1);
        if segments.next() == Some("org") && segments.next() != Some(self.state.tenant.as_str()) {
            return Err(Refusal::unauthorised(
                "Invalid API key. Check that the base URL is that of your organization.",
            ));
        }
        Ok(key)
    }

    /// Links in a list use the address through which the client reached the sandbox: with a proxy or another host name, this differs from
    /// the address on which it listens.
    fn origin_of(&self, parts: &Parts) -> String {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .filter(|host| !host.is_empty());
        match host {
            Some(host) => format!("http://{host}"),
            None => format!("http://{}", self.state.address),
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = one.source();
    }
    false
}

/// The parts of a path that matter to the ledger and the faults.
struct Target {
    app: Option<Uuid>,
    task: Option<String>,
    is_status: bool,
}

impl Target {
    fn of(path: &str) -> Self {
        let mut segments = path.split('/').skip_while(|segment| *segment != "apps").skip(1);
        let app = segments.next().and_then(|id| id.parse().ok());
        let task = match segments.next() {
            Some("tasks") => segments
                .next()
                .filter(|id| !id.is_empty())
                .map(|id| percent_decode_str(id).decode_utf8_lossy().into_owned()),
            _ => None,
        };
        let is_status = task.is_some() && segments.next() == Some("status");
        Self { app, task, is_status }
    }
}

/// The response to a path that does not belong to the Bridge API.
pub(crate) fn no_such_path(path: &str) -> Refusal {
    let detail = if path.starts_with("/org/") && !path.ends_with('/') {
        "Not found. Paths of the Bridge API end with '/'."
    } else {
        "Not found. The Bridge API is under /org/{tenant}/api/v1/bridge/, the sandbox's control plane under /sandbox/v1/."
    };
    Refusal { status: StatusCode::NOT_FOUND, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::options::Options;

    async fn health_for(peer: impl Into<std::net::IpAddr>) -> u16 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let front = Front::new(Arc::new(State::new(&Options::default(), address)));
        let request = Request::get("/sandbox/v1/health").body(Body::empty()).unwrap();
        let peer = SocketAddr::new(peer.into(), 5000);
        let response = front.control_plane(peer, request).await.unwrap();
        response.status().as_u16()
    }

    #[tokio::test]
    async fn control_plane_only_serves_loopback_addresses() {
        assert_eq!(health_for([127, 0, 0, 1]).await, 200);
        assert_eq!(health_for(Ipv4Addr::LOCALHOST.to_ipv6_mapped()).await, 200);
        assert_eq!(health_for(std::net::Ipv6Addr::LOCALHOST).await, 200);
        assert_eq!(health_for([192, 0, 2, 7]).await, 403);
    }

    #[test]
    fn app_and_task_are_parsed_from_the_path() {
        let app = "11111111-1111-4111-8111-111111111111";
        let target = Target::of(&format!("/org/t/api/v1/bridge/apps/{app}/tasks/a%20b/status/"));
        assert_eq!(target.app, app.parse().ok());
        assert_eq!((target.task.as_deref(), target.is_status), (Some("a b"), true));
        let target = Target::of(&format!("/org/t/api/v1/bridge/apps/{app}/tasks/"));
        assert_eq!((target.task, target.is_status), (None, false));
    }
}
