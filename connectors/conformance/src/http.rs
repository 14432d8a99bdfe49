//! The ways to a target that speaks HTTP, through a relay that can answer in its place.

use std::sync::Arc;

use bridgehead_sdk::{ResourceKind, ResourceType};

use super::finding::{Finding, Verdict, failed, parts, skipped};
use super::kit::Kit;
use super::listing::{Listing, read};
use super::probe::Probe;
use super::relay::Relay;
use super::{Protocol, Situation};

/// A connector whose way to its target leads through a relay.
pub(super) struct Http {
    pub(super) relay: Relay,
    pub(super) probe: Probe,
}

/// A listing of so many accounts is read often without taking long.
const BEARABLE: usize = 60;

/// What the kit makes to have a listing of several pages, at least and at most.
const SOME: usize = 7;
const MOST: usize = 1_001;

/// Into how many pages a listing is cut.
const PAGES: usize = 5;

impl Kit<'_> {
    /// A relay to the target, and a new connector that finds its target there.
    pub(super) async fn relayed(&self, situation: fn(std::net::SocketAddr) -> Situation) -> Verdict<Http> {
        let Some(target) = self.test_target.address() else {
            return skipped("the target is not reached over TCP");
        };
        let relay = Relay::to(target, self.test_target.protocol(), Arc::clone(&self.watch))?;
        // The relay waits if the target asks for it; the results of its own responses are checked.
        let probe = self.connect(situation(relay.address())).await?.impatient();
        Ok(Http { relay, probe })
    }

    /// The connector through a relay, if its target speaks HTTP; the same one for all checks.
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

    /// The same, for what only HTTP has.
    pub(super) async fn http_alone(&self) -> Verdict<Arc<Http>> {
        if self.test_target.protocol() != Protocol::Http {
            return skipped("the target does not speak HTTP");
        }
        self.http().await
    }

    /// The connector through a relay, and a listing of this type, in several pages if that can be had: because the connector asks
    /// for few records, or because the relay sees to it that it gets few.
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

    /// So many accounts are several pages, also of two.
    pub(super) fn several_pages(&self) -> usize {
        self.test_target.page_size().map_or(SOME, |size| 2 * size + 1).clamp(SOME, MOST)
    }

    /// Sees to it that there are some accounts to list, where any can be made.
    pub(super) async fn some_people(&self, count: usize) -> Verdict<Vec<super::kit::Person>> {
        let mut people = Vec::new();
        if self.offers(bridgehead_sdk::Action::CreateAccount) && !self.test_target.read_only() {
            for _ in 0..count {
                people.push(self.person().await?);
            }
        }
        Ok(people)
    }

    /// The type of the accounts.
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

/// Fails if a listing that came to its end is not what it is when nothing goes wrong.
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
