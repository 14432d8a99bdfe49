//! What the author of a connector implements for the kit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::async_trait;
use serde_json::{Map, Value, json};

use bridgehead_sdk::{Action, Connector, EntityRecord};

/// The condition of the connector's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Situation {
    /// The target is reachable, and the credential may do everything.
    Working,
    /// The connector's own credential is rejected: a wrong password, or an expired token.
    BadCredential,
    /// The credential is accepted and may read, but not change accounts.
    RefusedPermission,
    /// Nothing listens at the target's address, which is the given one. A connector without an address (a folder, a
    /// process) is built so that its target does not exist.
    Unreachable(SocketAddr),
    /// The target accepts the connection, and never responds. The given address behaves like this; a connector without an address is built
    /// so that its target hangs.
    Silent(SocketAddr),
    /// The connector reaches the target through this address, where the kit forwards the connection, and cuts it when it chooses to. Used
    /// only if [`TestTarget::address`] returns an address.
    Through(SocketAddr),
    /// The target's listing breaks off in the middle: a truncated file, a process that dies. Used only if
    /// [`TestTarget::address`] returns no address.
    CutListing,
    /// Like [`Through`](Self::Through), but the connector requests pages of two records. If [`TestTarget::address`] returns
    /// none, the address is meaningless, and the connector is built as for [`Working`](Self::Working) except for its
    /// pages. Otherwise the kit makes pages small automatically, if the target speaks HTTP and the query contains a
    /// page size.
    SmallPages(SocketAddr),
}

/// The protocol between a connector and a target over TCP, without TLS, in which the kit intercepts the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1. Other data is forwarded unchanged.
    #[default]
    Http,
    /// LDAP.
    Ldap,
    /// PostgreSQL's protocol.
    Postgres,
    /// The protocol of MySQL and MariaDB.
    MySql,
}

/// Why a check cannot run, as a clause: "the target has no passwords". It is printed in the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Skip(pub(super) String);

impl Skip {
    /// A skip with this reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// A connector, and a target that the kit may change freely.
///
/// Only [`connect`](Self::connect) is required; the defaults of the other methods suit most targets. If a method returns a [`Skip`], the
/// report says so: a skipped check proves nothing.
#[async_trait]
pub trait TestTarget: Send + Sync {
    /// The connector in a situation. Called often; each call may build a new connector or return the same one again.
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip>;

    /// The address at which the target of [`Situation::Working`] listens, if it is reached over TCP.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// The protocol of the target of [`Situation::Through`]. The kit uses it to respond in the target's place in the checks with a failing
    /// target.
    fn protocol(&self) -> Protocol {
        Protocol::Http
    }

    /// A connector whose target has exactly `accounts` accounts, for the checks of paging: 0, 1, one page, one page
    /// plus one, 10,000. It is only used for listings and lookups. This may be a different target from that of
    /// [`connect`](Self::connect): another database, another branch of the directory. If the target cannot be empty (it
    /// has an administrator account), hide existing accounts with a filter.
    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let _ = accounts;
        Err(Skip::because("the test target cannot fill its target"))
    }

    /// The `account` of a task that creates a new account; `name` is unique, short, and consists of letters, digits and
    /// `-`. Override it if the target needs other fields, or cannot store these.
    fn account(&self, name: &str) -> Map<String, Value> {
        let account = json!({
            "username": name,
            "email": format!("{name}@example.com"),
            "first_name": "Kit",
            "last_name": name,
            "display_name": format!("Kit {name}"),
        });
        account.as_object().cloned().unwrap_or_default()
    }

    /// The `changes` of a task that updates the account `name`. The kit compares them with the account after the update.
    fn changes(&self, name: &str) -> Map<String, Value> {
        let changes = json!({ "display_name": format!("Changed {name}") });
        changes.as_object().cloned().unwrap_or_default()
    }

    /// How the operator or author can solve the problem if an account cannot be created or changed because the target needs other fields
    /// than the kit's: which setting or method to change. It is appended to the message of the failed check.
    fn remedy(&self, action: Action) -> Option<String> {
        let _ = action;
        None
    }

    /// The fields of an account that may contain any text, and that are listed as they were written. They are tested with quotes, commas,
    /// backslashes, `*()`, NUL, emoji, right-to-left text and 255 characters. The target may reject a text; it must not store a different
    /// one.
    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name"]
    }

    /// Strings that no error, record or result may contain: above all, the connector's own credential. The kit adds the passwords that it
    /// generates.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// The identifier of a group (or license) of the resource type `slug` that does not exist, in a format that the target could have
    /// generated.
    fn missing_ref(&self, slug: &str) -> String {
        let _ = slug;
        "bridgehead-kit-not-there".to_owned()
    }

    /// A group (or license) of the resource type `slug` to which the kit may temporarily add accounts that it has created; `listed` are the
    /// first of those that the connector lists. Return a [`Skip`] if memberships of this type cannot or must not be changed.
    fn usable_ref(&self, slug: &str, listed: &[EntityRecord]) -> Result<String, Skip> {
        let first = listed.first().map(|record| record.id.clone());
        first.ok_or_else(|| Skip::because(format!("the target contains no {slug}")))
    }

    /// Several groups (or licenses) of the resource type `slug` to which the kit may add accounts at the same time, for
    /// the checks of several references. By default, what [`usable_ref`](Self::usable_ref) returns for the listed ones,
    /// and for the rest of them.
    fn usable_refs(&self, slug: &str, listed: &[EntityRecord]) -> Result<Vec<String>, Skip> {
        let mut usable: Vec<String> = Vec::new();
        let mut left = listed.to_vec();
        while usable.len() < 3 {
            match self.usable_ref(slug, &left) {
                Ok(id) if !usable.contains(&id) => {
                    left.retain(|record| record.id != id);
                    usable.push(id);
                }
                Err(skip) if usable.is_empty() => return Err(skip),
                Ok(_) | Err(_) => break,
            }
        }
        Ok(usable)
    }

    /// The maximum number of records on a page. This bounds memory use; a few hundred is a good size. Raise it for a
    /// target without paging that returns everything in one response.
    fn largest_page(&self) -> usize {
        1_000
    }

    /// How long one call may take before the kit considers it hanging. For a target that never responds, the kit waits less; see
    /// [`silence`](Self::silence).
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How long the kit lets a call wait for a target that never responds, before the call is dropped, as the runtime would do. A call that
    /// blocks its thread is only detected if this is at least one second.
    fn silence(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// How long one check may take; a check that takes longer has failed. Waiting that the target asks for does not count. Raise it for a
    /// slow target.
    fn check_limit(&self) -> Duration {
        Duration::from_secs(600)
    }

    /// How long all checks together may take, counted in the same way. The checks that are left then are skipped.
    fn run_limit(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    /// How long the test target has made calls wait so far, to keep a configured rate limit. This time counts towards no limit.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// The connector's page size, if [`populated`](Self::populated) is skipped: the checks of paging then create enough
    /// accounts for several pages, and remove them again.
    fn page_size(&self) -> Option<usize> {
        None
    }

    /// The number of accounts that [`populated`](Self::populated) is called with for a long listing. Lower it if creating them takes
    /// minutes; they must fill several pages.
    /// several pages.
    fn many(&self) -> usize {
        10_000
    }

    /// Whether every request to an HTTP target fails in every way. If `false`, rare responses (a redirect, 204, `null`, 400, 409, 410, 504,
    /// an error status with an HTML page) are left out: for a slow target.
    fn fails_in_every_way(&self) -> bool {
        true
    }

    /// Whether nothing may be changed, so that only reading checks run.
    fn read_only(&self) -> bool {
        false
    }
}
