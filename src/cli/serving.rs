//! The admin listener of the daemon.

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::{Access, Error, Listener, Operator};
use bridgehead_config as config;
use bridgehead_runtime::StatusReporter;

/// The served listener, if there is one.
pub(crate) struct Serving(Option<(CancellationToken, AbortOnDropHandle<()>)>);

impl Serving {
    /// Binds the listener, if one is configured.
    pub(crate) async fn bind(settings: Option<&config::Admin>) -> Result<Option<Listener>, Error> {
        let Some(settings) = settings else {
            return Ok(None);
        };
        let listener = Listener::bind(settings.listen).await?;
        let address = listener.address();
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "admin.listen is open to the network: anyone who can reach it can read \
                                      the daemon's state, without a password, and the connection is not \
                                      encrypted");
        }
        tracing::info!("status page: http://{address}/");
        Ok(Some(listener))
    }

    /// Starts to serve the listener.
    pub(crate) fn start(
        listener: Option<Listener>,
        observer: &StatusReporter,
        access: Access,
        operator: Operator,
    ) -> Self {
        Self(listener.map(|listener| {
            let stop = CancellationToken::new();
            let (observer, told) = (observer.clone(), stop.clone());
            let serving = tokio::spawn(async move {
                let background = operator.clone();
                listener.serve_all(observer, access, Some(operator), told).await;
                background.close().await;
            });
            (stop, AbortOnDropHandle::new(serving))
        }))
    }

    /// Returns when nothing uses the runtime anymore.
    pub(crate) async fn end(self) {
        if let Some((stop, serving)) = self.0 {
            stop.cancel();
            // It ends once `stop` is cancelled; a panic has no further effect.
            drop(serving.await);
        }
    }
}
