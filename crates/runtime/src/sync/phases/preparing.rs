//! The first phase: determines what to read, and the baseline for counting removals.

use super::Reading;
use crate::sync::record::Extent;
use crate::sync::sync_run::SyncRun;
use crate::sync::{Consent, Error};
use bridgehead_bridge::{Operation, Registration};
use bridgehead_store::Shown;

/// A sync that has not read or changed anything yet.
#[derive(Debug)]
pub(in crate::sync) struct Preparing<'r, 'a> {
    pub(in crate::sync) run: &'r mut SyncRun<'a>,
}

impl<'r, 'a> Preparing<'r, 'a> {
    pub(in crate::sync) fn new(run: &'r mut SyncRun<'a>) -> Self {
        Self { run }
    }

    /// Determines everything that must be known before the first page is read, and starts the snapshot.
    pub(in crate::sync) async fn prepare(mut self) -> Result<Reading<'r, 'a>, Error> {
        let (app, options) = (self.run.app, self.run.options);
        let shown = app.snapshots.shown(&app.key).await?;
        if options.allow_removals == Some(Consent::Shown) && shown.is_none() {
            return Err(Error::NothingShown { app: app.name.clone() });
        }
        self.learn_types().await?;
        self.determine_baseline().await?;
        self.begin_listing(shown).await
    }

    /// Starts a snapshot; `shown` is what the operator had seen before.
    pub(in crate::sync) async fn begin_listing(self, shown: Option<Shown>) -> Result<Reading<'r, 'a>, Error> {
        let app = self.run.app;
        if self.run.options.dry_run {
            app.snapshots.begin_dry_run(&app.key).await?;
        } else {
            app.snapshots.begin(&app.key).await?;
        }
        self.run.record.reach(Extent::Part);
        Ok(Reading::new(self.run, shown))
    }

    /// Reads the resource types, and ensures that Iden knows them.
    pub(in crate::sync) async fn learn_types(&mut self) -> Result<(), Error> {
        let app = self.run.app;
        let description =
            app.target.describe_again().await.map_err(|error| {
                Error::Undescribed(app.shared.redactor.redact(error.message()).into_owned())
            })?;
        let offer = &mut self.run.record.offer;
        offer.types.clone_from(&description.resource_types);
        offer.types.sort_by_key(|of| of.kind);
        offer.kinds = offer.types.iter().map(|of| (of.slug.to_string(), of.kind)).collect();
        if self.run.options.dry_run {
            return Ok(());
        }
        let types = &self.run.record.offer.types;
        if app.settings.register_resource_types {
            for of in types {
                let registration = app
                    .upstream
                    .ask(Operation::RegisterResourceType, |bridge| bridge.register_resource_type(app.id, of));
                let registration =
                    registration.await.map_err(Error::bridge("registering a resource type"))?;
                if registration == Registration::Existed {
                    tracing::debug!(app = %app.name, resource_type = %of.slug, "was already registered");
                }
            }
            return Ok(());
        }
        let known =
            app.upstream.ask(Operation::ListResourceTypes, |bridge| bridge.list_resource_types(app.id));
        let known = known.await.map_err(Error::bridge("listing the resource types"))?;
        match types.iter().find(|of| !known.iter().any(|known| known.slug == of.slug)) {
            Some(of) => Err(Error::Unregistered(of.slug.to_string())),
            None => Ok(()),
        }
    }
}
