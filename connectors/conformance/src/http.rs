//! Connections to a target through a relay that can respond in its place.

use std::sync::Arc;

use bridgehead_sdk::{ResourceKind, ResourceType};

use super::finding::{Finding, Verdict, failed, parts, skipped};
use super::kit::Kit;
use super::listing::{Listing, read};
use super::probe::Probe;
use super::relay::Relay;
use super::{Protocol, Situation};

/// A connector that reaches its target through a relay.
pub(super) struct Http {
    pub(super) relay: Relay,
    pub(super) probe: Probe,
}

/// A listing of up to this many records is quick enough to be read often.
const BEARABLE: usize = 60;

/// The minimum and maximum number of accounts that the kit creates for a listing of several pages.
const SOME: usize = 7;
const MOST: usize = 1_001;

/// The number of pages that a listing is split into.
const PAGES: usize = 5;

impl Kit<'_> {
    /// A relay to the target, and a new connector that uses it.
    pub(super) async fn relayed(&self, situation: fn(std::net::SocketAddr) -> Situation) -> Verdict<Http> {
        let Some(target) = self.test_target.address() else {
            return skipped("the target is not reached over TCP");
        };
        let relay = Relay::to(target, self.test_target.protocol(), Arc::clone(&self.watch))?;
        // The connector does not wait, so that its reactions to the relay's responses can be checked; the relay itself
        // waits if the target asks for it.
        let probe = self.connect(situation(relay.address())).await?.impatient();
        Ok(Http { relay, probe })
    }

    /// The connector through a relay, if its target speaks the protocol that the test target declares; shared by all
    /// checks.
    pub(super) async fn http(&self) -> Verdict<Arc<Http>> {
        let ready = self.http.get(|| async {
            let http = self.relayed(Situation::Through).await.map_err(reason)?;
            let answer = http.probe.check().await.map_err(reason)?;
            if http.relay.seen().is_empty() {
                let spoken = match self.test_target.protocol() {
                    Protocol::Http => "HTTP",
                    Protocol::Ldap => "LDAP",
                    Protocol::Postgres => "PostgreSQL's protocol",
                    Protocol::MySql => "MySQL's protocol",
                };
                return Err(format!(
                    "the target does not speak {spoken} where the kit intercepts the \
                                    connection"
                ));
            }
            answer.map_err(|error| format!("check through the kit's relay: {}", parts(&error)))?;
            Ok(Arc::new(http))
        });
        match ready.await? {
            Ok(http) => Ok(Arc::clone(http)),
            Err(why) => skipped(why.clone()),
        }
    }

    /// The same, for checks that need HTTP.
    pub(super) async fn http_alone(&self) -> Verdict<Arc<Http>> {
        if self.test_target.protocol() != Protocol::Http {
            return skipped("the target does not speak HTTP");
        }
        self.http().await
    }

    /// The connector through a relay, and a listing of this type, in several pages if possible: because the connector requests small pages,
    /// or because the relay limits their size.
    pub(super) async fn paged(&self, of: &ResourceType) -> Verdict<(Arc<Http>, Listing)> {
        let http = self.http().await?;
        http.relay.pass();
        http.relay.cap(None);
        let whole = read(&http.probe, of).await?;
        if whole.pages.len() > 2 || whole.records.len() > BEARABLE {
            return Ok((http, whole));
        }
        match self.relayed(Situation::SmallPages).await {
            Ok(small) => {
                let whole = read(&small.probe, of).await?;
                return Ok((Arc::new(small), whole));
            }
            Err(Finding::Skipped(_)) => {}
            Err(finding) => return Err(finding),
        }
        http.relay.cap(Some(whole.records.len().div_ceil(PAGES).max(2)));
        Ok((http, whole))
    }

    /// The number of accounts that need several pages.
    pub(super) fn several_pages(&self) -> usize {
        self.test_target.page_size().map_or(SOME, |size| 2 * size + 1).clamp(SOME, MOST)
    }

    /// Creates some accounts to list, if accounts can be created.
    pub(super) async fn some_people(&self, count: usize) -> Verdict<Vec<super::kit::Person>> {
        let mut people = Vec::new();
        if self.offers(bridgehead_sdk::Action::CreateAccount) && !self.test_target.read_only() {
            for _ in 0..count {
                people.push(self.person().await?);
            }
        }
        Ok(people)
    }

    /// The resource type of accounts.
    pub(super) fn accounts(&self) -> Verdict<&ResourceType> {
        let accounts = self.types(ResourceKind::Account).next();
        accounts.ok_or_else(|| Finding::Skipped("it lists no accounts".to_owned()))
    }
}

fn reason(finding: Finding) -> String {
    match finding {
        Finding::Failed(why) | Finding::Late(why) | Finding::Skipped(why) => why,
    }
}

/// Fails if a listing that reached its end differs from the listing without faults.
pub(super) fn is_whole(what: &str, listing: &Listing, whole: &Listing) -> Verdict {
    let ids = listing.ids();
    let missing: Vec<&str> = whole.ids().into_iter().filter(|id| !ids.contains(id)).collect();
    if !missing.is_empty() && missing.len() > listing.rejected.len() {
        let (count, all) = (missing.len(), whole.ids().len());
        return failed(format!(
            "{what}: the listing ended as if it were complete; {count} of {all} records are missing"
        ));
    }
    let before: std::collections::HashMap<&str, &bridgehead_sdk::Record> =
        whole.records.iter().map(|record| (record.id(), record)).collect();
    for record in &listing.records {
        if let (bridgehead_sdk::Record::Account(now), Some(bridgehead_sdk::Record::Account(was))) =
            (record, before.get(record.id()))
        {
            let changed = super::tasks::changed(was, now);
            if !changed.is_empty() {
                return failed(format!(
                    "{what}: the listing ended as if nothing were wrong, but account {} has a different {}",
                    now.id,
                    changed.join(", ")
                ));
            }
        }
    }
    Ok(())
}
