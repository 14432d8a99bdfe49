//! Makes one connector call with a deadline, and isolates its panics.

use std::any::Any;
use std::future::Future;
use std::time::Duration;

use bridgehead_sdk::{Code, Error};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Calls a connector. `what` names the call in messages, such as "create_account for ann in acme-hr".
///
/// The call runs in a separate task: a panic is caught there, and the call is aborted at its next suspension point when the deadline passes
/// or this future is dropped.
///
/// Cancel: an aborted call may have taken effect, or may still take effect. Error: the connector's error, or a timeout. Panic: returned as
/// an error of this call.
pub(crate) async fn isolate<T, F>(what: &str, timeout: Duration, call: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let handle = AbortOnDropHandle::new(tokio::spawn(call.in_current_span()));
    match tokio::time::timeout(timeout, handle).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) if failure.is_panic() => {
            let payload = failure.into_panic();
            let why = panic_message(payload.as_ref());
            Err(Error::new(Code::InternalError, format!("{what}: the connector panicked: {why}")))
        }
        Ok(Err(_)) => Err(Error::new(Code::InternalError, format!("{what}: the call was cancelled"))),
        Err(_) => Err(Error::timeout(format!("{what}: no response within {timeout:?}"))),
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bridgehead_sdk::Effect;

    use super::*;

    #[tokio::test]
    async fn panic_becomes_an_error_with_its_message() {
        let error = isolate::<(), _>("create_account for ann", Duration::from_mins(1), async {
            panic!("no such table")
        })
        .await
        .unwrap_err();
        assert_eq!(error.code(), Code::InternalError);
        assert_eq!(error.effect(), Effect::Unknown);
        assert_eq!(error.message(), "create_account for ann: the connector panicked: no such table");
    }

    #[tokio::test(start_paused = true)]
    async fn call_is_dropped_at_its_deadline_with_unknown_effect() {
        let held = Arc::new(());
        let inside = held.clone();
        let call = async move {
            std::future::pending::<()>().await;
            drop(inside);
            Ok(())
        };
        let error = isolate("suspend_account for ann", Duration::from_mins(1), call).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::Unknown));
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&held), 1, "the call continues");
    }
}
