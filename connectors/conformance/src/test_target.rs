//! What a connector's author tells the kit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::async_trait;
use serde_json::{Map, Value, json};

use bridgehead_sdk::{Action, Connector, EntityRecord};

/// How the connector is to find its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Situation {
    /// As it should: reachable, and with a credential that may do everything.
    Working,
    /// The connector's own credential is refused: a wrong password, a token that has ended.
    BadCredential,
    /// The credential is accepted, and may read, but not change accounts.
    RefusedPermission,
    /// Nobody listens where the target should be. The address is one at which nothing does; a connector without an
    /// address (a folder, a process) is built so that its target is not there.
    Unreachable(SocketAddr),
    /// The target takes the connection, and never says a word. The address is one that behaves so; a connector without an
    /// address is built so that its target hangs.
    Silent(SocketAddr),
    /// The way to the target runs through this address, where the kit passes on what it is given and cuts the connection
    /// at a moment of its choice. Asked for only if [`TestTarget::address`] names one.
    Through(SocketAddr),
    /// The target's listing breaks off in its middle: a file that was cut, a process that dies. Asked for only if
    /// [`TestTarget::address`] names none.
    CutListing,
    /// Like [`Through`](Self::Through), but the connector requests pages of two records. If [`TestTarget::address`] returns
    /// none, the address is meaningless, and the connector is built as for [`Working`](Self::Working) except for its
    /// pages. Otherwise the kit makes pages small automatically, if the target speaks HTTP and the query contains a
    /// page size.
    SmallPages(SocketAddr),
}

/// What is spoken between a connector and a target over TCP, without TLS, where the kit stands between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1. What is something else is passed on as it comes.
    #[default]
    Http,
    /// LDAP.
    Ldap,
    /// PostgreSQL's protocol.
    Postgres,
    /// The protocol of MySQL and MariaDB.
    MySql,
}

/// Why a check cannot be made here, as a clause: "the target has no passwords". It is printed in the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Skip(pub(super) String);

impl Skip {
    /// A reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// A connector, and a target that the kit may do with as it likes.
///
/// Only [`connect`](Self::connect) must be written; every other method says what is true of most targets. Whatever a test target cannot
/// offer it answers with a [`Skip`], and the report says so: what was skipped is not proven.
#[async_trait]
pub trait TestTarget: Send + Sync {
    /// The connector in a situation. Called often; each call may build a new connector or give the same one again.
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip>;

    /// Where the target of [`Situation::Working`] listens, if it is reached over TCP.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// What the target of [`Situation::Through`] speaks: in that language the kit answers in its place, for the checks of a target that
    /// fails.
    fn protocol(&self) -> Protocol {
        Protocol::Http
    }

    /// A connector whose target has exactly `accounts` accounts, for the checks of paging: 0, 1, a page, a page and
    /// one, 10,000. It is only listed and looked up in. This may be a different target from that of
    /// [`connect`](Self::connect): another database, another branch of the directory. If it cannot be empty (it has an
    /// administrator account), hide existing accounts with a filter.
    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let _ = accounts;
        Err(Skip::because("the test target cannot fill its target"))
    }

    /// The `account` of a task that creates somebody new; `name` is unique, short, and of letters, digits and `-`.
    /// Override it where the target wants other fields, or cannot keep these.
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

    /// The `changes` of a task that updates the account `name`. What they say is compared with what the target then holds.
    fn changes(&self, name: &str) -> Map<String, Value> {
        let changes = json!({ "display_name": format!("Changed {name}") });
        changes.as_object().cloned().unwrap_or_default()
    }

    /// What somebody can do about an account that cannot be created or changed because the target wants other fields than the kit's:
    /// which setting or method to change. It ends the message of a check that fails for it.
    fn remedy(&self, action: Action) -> Option<String> {
        let _ = action;
        None
    }

    /// The fields of an account in which a text of any kind may stand, and which are listed as they were written. They are tried with
    /// quotes, commas, backslashes, `*()`, NUL, emoji, right-to-left and 255 characters. The target may refuse a text; it must not
    /// keep another.
    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name"]
    }

    /// Texts that no error, record or result may hold: the connector's own credential above all. The kit adds the passwords it
    /// makes up.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// An identifier of a group (or license) of the resource type `slug` that is not there, in a form that the target could have
    /// given.
    fn missing_ref(&self, slug: &str) -> String {
        let _ = slug;
        "bridgehead-kit-not-there".to_owned()
    }

    /// A group (or license) of the resource type `slug` in which the kit may put accounts that it has made, for a moment;
    /// `listed` are the first of those that the connector lists. Answer with a [`Skip`] where memberships of this type cannot be
    /// changed, or must not be.
    fn usable_ref(&self, slug: &str, listed: &[EntityRecord]) -> Result<String, Skip> {
        let first = listed.first().map(|record| record.id.clone());
        first.ok_or_else(|| Skip::because(format!("the target contains no {slug}")))
    }

    /// Several groups (or licenses) of the resource type `slug` to which the kit may add accounts at the same time, for
    /// the checks of several references. By default what [`usable_ref`](Self::usable_ref) returns for the listed ones,
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

    /// How many records a page may contain. This bounds memory use; a few hundred is a good size. Raise it for a target
    /// without paging that returns everything in one response.
    fn largest_page(&self) -> usize {
        1_000
    }

    /// How long one call may take before the kit takes the connector to hang. At a target that never says a word the kit waits
    /// less, see [`silence`](Self::silence).
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How long the kit lets a call wait for a target that never says a word, before it is dropped as the runtime would do.
    /// A call that blocks its thread is noticed only if this is a second or more.
    fn silence(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// How long one check may take. It has failed if it takes longer; what waits because the target asks for it does not count. Raise it
    /// for a slow target.
    fn check_limit(&self) -> Duration {
        Duration::from_secs(600)
    }

    /// How long all checks together may take, counted in the same way. What is left then is skipped.
    fn run_limit(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    /// How long the test target has made calls wait so far, to keep a pace that somebody has set: it counts towards no limit.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// How many records a page of the connector contains, if [`populated`](Self::populated) is skipped: with it, the
    /// checks of paging create so many accounts that a listing has several pages, and remove them again.
    fn page_size(&self) -> Option<usize> {
        None
    }

    /// How many accounts [`populated`](Self::populated) is asked for to make a long listing. Lower it where making one takes minutes; it must be
    /// several pages.
    fn many(&self) -> usize {
        10_000
    }

    /// Whether a target that speaks HTTP is to fail in every way with every request. Without it the ways that are rarer (a redirection, 204, `null`, 400,
    /// 409, 410, 504, a refusal whose body is a page) are left out: for a target that takes long to answer.
    fn fails_in_every_way(&self) -> bool {
        true
    }

    /// Whether nothing may be changed: then only what reads is checked.
    fn read_only(&self) -> bool {
        false
    }
}
