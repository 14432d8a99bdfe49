//! The implementation of the SDK's connector trait.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Effect, Error, Factory,
    Operation, Page, ResourceType, Retry, SettingsError, Setup, Slug, async_trait,
};
use jiff::Timestamp;
use tokio::sync::RwLock;

use crate::check;
use crate::discovery::Columns;
use crate::layout::{Layout, TypeFile};
use crate::listing::Listings;
use crate::lock;
use crate::memory;
use crate::operations::Folder;
use crate::rows::Identity;
use crate::settings::Settings;

/// A target that is a folder of files.
///
/// Operations run one at a time: each replaces the whole file of accounts. Listings continue while files are replaced.
/// A call that is dropped at its deadline has either not started to write, or continues to its end; a lookup that
/// follows waits for that end, and so sees its result.
#[derive(Clone, Debug)]
pub struct FileConnector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    system: String,
    folder: PathBuf,
    settings: Settings,
    /// The layout of the folder when `describe` was last called. It is kept, so that a file that is added later does
    /// not become an unregistered resource type.
    layout: Mutex<Option<Arc<Layout>>>,
    listings: Listings,
    /// The identity of the accounts file that bridgehead itself wrote last: this file is complete, however recent it
    /// is.
    written: Mutex<Option<Identity>>,
    /// The actions that were last logged as not supported, so that repeated calls of `describe` do not log them again.
    told: Mutex<Vec<check::Missing>>,
    turn: Arc<RwLock<()>>,
}

/// The factory of file connectors: `.connector("file", bridgehead_file::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    let factory = bridgehead_sdk::factory(FileConnector::new);
    bridgehead_sdk::with_discovery(factory, Columns)
}

impl FileConnector {
    /// A connector for one app. Accesses no files.
    pub fn new(settings: Settings, setup: Setup) -> Result<Self, SettingsError> {
        settings.validate()?;
        let inner = Inner {
            folder: setup.resolve(&settings.path),
            system: setup.app,
            settings,
            layout: Mutex::default(),
            listings: Listings::new(),
            written: Mutex::default(),
            told: Mutex::default(),
            turn: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until no program has written to a file for a while: a program that writes in place may pause, and the file
    /// looks complete during the pause. The file is checked before and after the wait; if it changed in between, it is
    /// not read.
    async fn settle(&self, slug: Option<Slug>) -> Result<(), Error> {
        let settle = Duration::try_from(self.inner.settings.settle).unwrap_or_default();
        if settle.is_zero() {
            return Ok(());
        }
        let look = |slug: Option<Slug>| self.blocking(move |inner| inner.look_at(slug.as_ref(), settle));
        let Some((before, wait)) = look(slug.clone()).await? else { return Ok(()) };
        tokio::time::sleep(wait).await;
        match look(slug).await? {
            Some((after, _)) if after != before => {
                let file = self.inner.settings.path.clone();
                Err(self.inner.for_task(crate::error::Error::Unsettled { file }))
            }
            _ => Ok(()),
        }
    }

    /// Runs `work` on a thread that may block. It runs to its end even if the caller no longer waits for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| {
            let message = format!(
                "{}: the file connector panicked: this is a bug, please report it",
                self.inner.system
            );
            Err(Error::internal(message)
                .with_effect(Effect::Unknown)
                .with_retry(Retry::Never)
                .with_source(error))
        })
    }
}

impl Inner {
    fn layout(&self) -> Result<Arc<Layout>, crate::error::Error> {
        let known = self.layout.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.map_or_else(|| self.look_again(), Ok)
    }

    fn look_again(&self) -> Result<Arc<Layout>, crate::error::Error> {
        let layout = Arc::new(Layout::discover(&self.settings, &self.folder)?);
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = Some(layout.clone());
        Ok(layout)
    }

    /// A file that was changed within the last `settle`: its identity, and how long to wait before reading it.
    fn look_at(&self, slug: Option<&Slug>, settle: Duration) -> Result<Option<(Identity, Duration)>, Error> {
        let layout = self.layout().map_err(|error| self.for_task(error))?;
        let file = match slug {
            None => &layout.accounts,
            // The listing reports an unknown type.
            Some(slug) => match layout.find(slug.as_str()) {
                Some(of) => of,
                None => return Ok(None),
            },
        };
        // A file that cannot be opened is reported when it is opened.
        let Ok(metadata) = std::fs::metadata(layout.path(&file.file)) else { return Ok(None) };
        let identity = Identity::of(&metadata);
        if *self.written.lock().unwrap_or_else(PoisonError::into_inner) == Some(identity) {
            return Ok(None);
        }
        let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
        Ok(settle.checked_sub(age).filter(|wait| !wait.is_zero()).map(|wait| (identity, wait)))
    }

    fn for_task(&self, error: crate::error::Error) -> Error {
        error.for_task(&self.system)
    }

    /// Runs `work` on the folder with its current layout.
    fn in_folder<T>(&self, work: impl FnOnce(&Folder<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let layout = self.layout().map_err(|error| self.for_task(error))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a connector has the machine's time, as its target has"
        )]
        let now = Timestamp::now();
        let folder = Folder { layout: &layout, system: &self.system, now, written: Cell::default() };
        let done = work(&folder);
        if let Some(written) = folder.written.get() {
            *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        }
        done
    }
}

#[async_trait]
impl Connector for FileConnector {
    async fn describe(&self) -> Result<Description, Error> {
        self.blocking(|inner| {
            let layout = inner.look_again().map_err(|error| inner.for_task(error))?;
            let accounts = check::open_accounts(&layout).map_err(|error| inner.for_task(error))?;
            let description = Description::new("file", env!("CARGO_PKG_VERSION"))
                .with_resource_types(layout.types().map(|one: &TypeFile| one.resource_type.clone()))
                .with_unverifiable(check::unverifiable(&layout, &accounts));
            if inner.settings.read_only {
                return Ok(description);
            }
            let missing = check::missing(&accounts);
            let actions = check::actions(&missing);
            let mut told = inner.told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told != missing {
                check::tell(&accounts.name, &missing);
                *told = missing;
            }
            Ok(description.with_actions(actions))
        })
        .await
    }

    async fn check(&self) -> Result<(), Error> {
        self.blocking(|inner| {
            // Uses the current state of the folder: an earlier problem may have been fixed.
            let checked = Layout::discover(&inner.settings, &inner.folder)
                .and_then(|layout| check::check(&layout, inner.settings.read_only));
            checked.map_err(|error| inner.for_task(error))
        })
        .await
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let slug = resource_type.slug.clone();
        let cursor = cursor.cloned();
        if cursor.is_none() {
            self.settle(Some(slug.clone())).await?;
        }
        self.blocking(move |inner| {
            let page = inner.layout().and_then(|layout| {
                let page = inner.listings.page(&layout, slug.as_str(), cursor.as_ref())?;
                let is_last = page.evidence.is_some() && slug == layout.accounts.resource_type.slug;
                if is_last && !inner.settings.read_only {
                    memory::remember(&layout)?;
                }
                Ok(page)
            });
            page.map_err(|error| error.for_listing(&inner.system))
        })
        .await
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let account = account.clone();
        self.settle(None).await?;
        let turn = self.inner.turn.clone().read_owned().await;
        self.blocking(move |inner| {
            let _turn = turn;
            inner.in_folder(|folder| folder.find(&account))
        })
        .await
    }

    async fn execute(&self, _: &Context, operation: &Operation) -> Result<Completion, Error> {
        if self.inner.settings.read_only {
            return Err(Error::unsupported(operation.action()));
        }
        let operation = operation.clone();
        self.settle(None).await?;
        // A group may be missing only because its file is being written.
        for slug in slugs(&operation) {
            self.settle(Some(slug)).await?;
        }
        let turn = self.inner.turn.clone().write_owned().await;
        let lock = lock::acquire(&self.inner.folder).await.map_err(|error| self.inner.for_task(error))?;
        self.blocking(move |inner| {
            let (_turn, _lock) = (turn, lock);
            inner.in_folder(|folder| folder.execute(&operation))
        })
        .await
    }
}

/// The types whose groups or licenses a task names.
fn slugs(operation: &Operation) -> Vec<Slug> {
    let memberships = match operation {
        Operation::CreateAccount(create) => &create.memberships,
        Operation::UpdateAccount(update) => &update.memberships,
        _ => &None,
    };
    memberships.iter().flat_map(|memberships| memberships.0.keys().cloned()).collect()
}
