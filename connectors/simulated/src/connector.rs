//! The implementation of the SDK's connector trait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Description, Error, Evidence,
    Factory, Operation, Page, Record, ResourceType, SettingsError, Setup, async_trait,
};
use jiff::Timestamp;

use crate::discovery::MadeUp;
use crate::faults::Faults;
use crate::operations;
use crate::overlay::{Key, Overlay};
use crate::people::{ACCOUNT, People, SEAT, TEAM};
use crate::settings::Settings;
use crate::triggers::Trigger;

/// A target that exists in memory only.
#[derive(Debug)]
pub struct SimulatedConnector {
    system: String,
    people: People,
    accounts: Mutex<Overlay>,
    faults: Faults,
    latency: Duration,
    slow_latency: Duration,
    page_size: usize,
}

/// The factory of simulated connectors: `.connector("simulated", bridgehead_simulated::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    let factory = bridgehead_sdk::factory(|settings: Settings, setup: Setup| {
        SimulatedConnector::new(setup.app, &settings)
    });
    bridgehead_sdk::with_discovery(factory, MadeUp)
}

impl SimulatedConnector {
    /// A separate target; messages call it `system`.
    pub fn new(system: impl Into<String>, settings: &Settings) -> Result<Self, SettingsError> {
        settings.validate()?;
        let people = People::new(settings);
        Ok(Self {
            system: system.into(),
            accounts: Mutex::new(Overlay::new(people.clone())),
            people,
            faults: Faults::new(settings.seed, settings.error_rate),
            latency: settings.latency.unsigned_abs(),
            slow_latency: settings.slow_latency.unsigned_abs(),
            page_size: settings.page_size,
        })
    }

    fn accounts(&self) -> MutexGuard<'_, Overlay> {
        // Panics are requested by the name of an account, and are raised outside of the lock, so the data is
        // consistent.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The only place that waits: it simulates the target's latency.
    async fn take_time(&self, latency: Duration) {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    async fn read(&self) -> Result<(), Error> {
        self.take_time(self.latency).await;
        self.faults.of_read().map_or(Ok(()), Err)
    }

    fn page_of_accounts(&self, cursor: Option<&str>) -> Result<Page, Error> {
        let accounts = self.accounts();
        let start = match cursor {
            None => accounts.first(),
            Some(cursor) => Some(parse(cursor).ok_or_else(|| self.no_cursor(cursor))?),
        };
        let Some(start) = start else {
            return Ok(Page::last(Vec::new(), Evidence::EndOfCursor));
        };
        let (records, next) = accounts.page(start, self.page_size);
        let records = records.into_iter().map(Record::from).collect();
        let next = next.map(|key| match key {
            Key::First(number) => Cursor::new(format!("first-{number}")),
            Key::Later(place) => Cursor::new(format!("later-{place}")),
        });
        Ok(Page::new(records).ending(next, Evidence::EndOfCursor))
    }

    fn page_of(
        &self,
        count: u64,
        cursor: Option<&str>,
        record: impl Fn(u64) -> Record,
    ) -> Result<Page, Error> {
        let start = match cursor {
            None => 0_u64,
            Some(cursor) => cursor.parse().map_err(|_| self.no_cursor(cursor))?,
        };
        let end = count.min(start.saturating_add(self.page_size as u64));
        let records = (start..end).map(record).collect();
        let next = (end < count).then(|| Cursor::new(end.to_string()));
        Ok(Page::new(records).ending(next, Evidence::EndOfCursor).with_total(count))
    }

    fn no_cursor(&self, cursor: &str) -> Error {
        Error::incomplete_listing(format!("{}: '{cursor}' is not a cursor of this connector", self.system))
    }
}

fn parse(cursor: &str) -> Option<Key> {
    let (kind, number) = cursor.split_once('-')?;
    let number = number.parse().ok()?;
    match kind {
        "first" => Some(Key::First(number)),
        "later" => Some(Key::Later(number)),
        _ => None,
    }
}

#[async_trait]
impl Connector for SimulatedConnector {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("simulated", env!("CARGO_PKG_VERSION"))
            .with_actions(Action::ALL.iter().copied())
            .with_resource_types([
                ResourceType::group(TEAM, "Team"),
                ResourceType::license(SEAT, "Seat"),
                ResourceType::account(ACCOUNT, "Account"),
            ]))
    }

    async fn check(&self) -> Result<(), Error> {
        self.take_time(self.latency).await;
        Ok(())
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.read().await?;
        let cursor = cursor.map(Cursor::as_str);
        match resource_type.slug.as_str() {
            ACCOUNT => self.page_of_accounts(cursor),
            TEAM => self.page_of(self.people.groups, cursor, |number| People::group(number).into()),
            SEAT => self.page_of(self.people.licenses, cursor, |number| People::license(number).into()),
            other => Err(Error::incomplete_listing(format!("{}: unknown type '{other}'", self.system))),
        }
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        self.read().await?;
        Ok(self.accounts().find(account).map(|(_, record)| record))
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let account = operation.account();
        let trigger = Trigger::of(account);
        self.take_time(if trigger == Some(Trigger::Slow) { self.slow_latency } else { self.latency }).await;
        #[expect(clippy::manual_assert, reason = "it is requested, and asserts nothing")]
        if trigger == Some(Trigger::Panic) {
            panic!("simulated: a panic, as requested by the name of the account");
        }
        let error = match trigger {
            Some(trigger) => trigger.error(account.label(), context.attempt),
            None => self.faults.of_task(context).map(|fault| (fault.error(account.label()), fault.applies())),
        };
        if let Some((error, false)) = error {
            return Err(error);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a connector has the machine's time, as its target has"
        )]
        let now = Timestamp::now();
        let done = {
            let mut accounts = self.accounts();
            operations::apply(&self.system, &self.people, &mut accounts, operation, now)
        };
        match error {
            Some((lost, _)) => Err(lost),
            None => done,
        }
    }
}
