//! Determines whether tasks may have been started that the journal does not contain, because it was lost or is an old copy.

use crate::app::AppContext;
use bridgehead_bridge::{self as bridge, Operation};
use bridgehead_store::{self as journal, Doubt};

/// Returns the doubt about tasks that the journal does not contain. For a new state folder, Iden is asked whether the app was ever synced;
/// until Iden answers, the doubt remains. If the journal cannot be read, nothing new is started.
pub(super) async fn ask(app: &AppContext) -> Result<Option<Doubt>, journal::Error> {
    let Some(doubt) = app.store.doubted().await? else {
        return Ok(None);
    };
    if !doubt.is_question() {
        return Ok(Some(doubt));
    }
    let synced_before = match synced_before(app).await {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            tracing::warn!(app = %app.name, "Iden does not list this app, so there is no proof that it was \
                                             never synced; tasks are looked up in the target before their \
                                             first attempt");
            return Ok(Some(doubt));
        }
        Err(error) => {
            tracing::warn!(app = %app.name, %error, "cannot ask Iden whether this app was ever synced; \
                                                     until then, tasks are looked up in the target before \
                                                     their first attempt");
            return Ok(Some(doubt));
        }
    };
    if let Err(error) = app.store.settle_new(synced_before).await {
        tracing::error!(app = %app.name, %error, "the journal cannot be written");
    }
    Ok(synced_before.then_some(doubt))
}

/// Whether Iden has ever completed a sync of the app; `None` if it does not list the app.
async fn synced_before(app: &AppContext) -> Result<Option<bool>, bridge::Error> {
    let found = app.upstream.ask(Operation::ListApps, |bridge| bridge.find_app(app.id)).await?;
    Ok(found.map(|found| found.last_synced_at.is_some()))
}
