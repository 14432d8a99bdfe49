//! The conformance kit, which proves that a connector keeps the contract.
//!
//! There is one suite for all connectors: [`run`] checks everything that the contract of [`Connector`](bridgehead_sdk::Connector) says, and
//! returns a [`Report`] with each check and its result. A [`TestTarget`] says how to reach the connector and its target, and what the
//! target contains.
//!
//! ```no_run
//! # use bridgehead_conformance::{self as conformance, TestTarget};
//! # async fn example(test_target: impl TestTarget) {
//! conformance::run(&test_target).await.assert_passed();
//! # }
//! ```
//!
//! # A test target
//! Only [`TestTarget::connect`] is required. If it returns a [`Skip`], the checks are skipped, and the report says so: **a skipped check
//! proves nothing**. A test of a connector therefore lists the checks that may be skipped, and why. A test target for a connector that
//! keeps its accounts in memory needs only this:
//!
//! ```
//! use std::sync::Arc;
//!
//! use bridgehead_conformance::{Situation, Skip, TestTarget};
//! use bridgehead_sdk::{Connector, async_trait};
//!
//! struct MyTarget(Arc<dyn Connector>);
//!
//! #[async_trait]
//! impl TestTarget for MyTarget {
//!     async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
//!         match situation {
//!             Situation::Working => Ok(Arc::clone(&self.0)),
//!             other => Err(Skip::because(format!("memory is never in the situation {other:?}"))),
//!         }
//!     }
//! }
//! ```
//!
//! For a target over TCP, [`TestTarget::address`] returns the address at which it listens. The kit then puts a relay in between, which cuts
//! the connection after a number of bytes, once with a FIN and once with a reset. If the target speaks HTTP without TLS, the relay
//! understands the requests: every request of every call gets every bad response that real targets send (401, 403, 404, 429, 5xx, 200 with
//! an error or an HTML page, half a response, none), in place of the target's own response or after the target has executed the request.
//! The same is done for a directory or a database if [`TestTarget::protocol`] names the protocol: with result codes such as busy and
//! sizeLimitExceeded, with and without a part of the results; with SQLSTATEs and error numbers such as those of a deadlock, a cancelled
//! statement and a server that shuts down; with half a response, and with none. The kit also provides the listener that never responds, and
//! the address at which nothing listens; both are part of the [`Situation`].
//!
//! # What it does to a target
//! Every account that the kit creates has a name that consists of `bhk-`, a few letters that are random for each run, and a number. It is
//! removed after the check that created it, even if the check failed. If the connector does not delete, the account is suspended, and
//! `clean-up` names the accounts that are left. No other account is changed: names that a broken connector might take for a pattern only
//! match the kit's own accounts. The kit's accounts are added temporarily to the groups that [`TestTarget::usable_ref`] returns. With
//! [`TestTarget::read_only`], nothing is changed at all.
//!
//! Every call has a deadline, and a connector that panics only fails the check. All output of the connector during the run (errors with
//! their causes, records, results, its description) is searched for [`TestTarget::secrets`] and for the passwords that the kit has
//! generated.
//!
//! # The checks
//! The names of checks do not change between versions. A check that needs an action that the connector does not declare is skipped.
//!
//! | checks | what they need |
//! |---|---|
//! | `describe`, `check`, `description`, `listing`, `evidence`, `records`, `references`, `unknown-cursor` | a working target |
//! | `create`, `update`, `suspend`, `unsuspend`, `reset-password`, `find-and-list-agree`, `delete` | the actions; one account is taken through all of them |
//! | `find-by-every-name`, `find-in-another-case`, `find-nobody`, `hostile-look-ups` | an account: one that the kit creates, or any that is listed |
//! | `hostile-deletes` | creating and deleting |
//! | `part-of-a-name`, `names-within-names`, `names-with-signs`, `id-before-names`, `suspended-are-there`, `act-by-every-name`, `seen-by-another` | creating; each action that is declared is tried |
//! | `duplicate-create`, `create-again`, `attempt-number`, `suspend-again`, `delete-again`, `missing-account`, `undeclared-actions` | the actions |
//! | `missing-group`, `missing-license` | a group (license) type, [`TestTarget::missing_ref`] |
//! | `membership-on-create`, `membership-added`, `membership-removed`, `license-on-create`, `license-added`, `license-removed` | [`TestTarget::usable_ref`] |
//! | `several-references`, `references-replaced`, `references-in-every-form`, `states-keep-references`, `references-and-fields` | [`TestTarget::usable_refs`] |
//! | `update-every-field`, `update-to-null`, `update-of-another-type`, `update-to-a-taken-name`, `update-keeps-the-rest` | creating and updating |
//! | `status-on-create`, `sparse-accounts` | creating |
//! | `passwords` | a target that speaks HTTP, and a password that is sent as it is |
//! | `empty-update`, `unknown-change`, `unknown-fields` | creating and updating |
//! | `texts-on-create`, `texts-on-update` | [`TestTarget::free_text_fields`] |
//! | `many-at-once`, `dropped-call` | creating |
//! | `paging-many`, `paging-none`, `paging-one`, `paging-full-page`, `paging-page-and-one`, `page-again`, `pages-bounded` | [`TestTarget::populated`], [`TestTarget::largest_page`] |
//! | `small-pages` | [`TestTarget::address`] and [`Situation::SmallPages`] |
//! | `listings-at-once` | [`Situation::SmallPages`], or [`TestTarget::populated`] |
//! | `capped-pages`, `unreadable-records` | a target that speaks HTTP |
//! | `changing-while-listed` | creating and deleting, and a listing of several pages |
//! | `failing-listing`, `failing-look-up`, `failing-change`, `failing-codes`, `failing-check`, `never-retries`, `bodies-out-of-errors`, `reading-changes-nothing` | a target that speaks HTTP, or the protocol that [`TestTarget::protocol`] names; `bodies-out-of-errors` only HTTP |
//! | `describe-while-down` | a target that speaks HTTP, or the protocol that [`TestTarget::protocol`] names, or [`Situation::Unreachable`] or [`Situation::BadCredential`] |
//! | `refused-permission` | [`Situation::RefusedPermission`] |
//! | `bad-credential` | [`Situation::BadCredential`] |
//! | `unreachable` | [`Situation::Unreachable`] |
//! | `silence` | [`Situation::Silent`], [`TestTarget::silence`] |
//! | `find-never-guesses` | any of the last three |
//! | `cut-listing` | [`TestTarget::address`] and [`Situation::Through`], or [`Situation::CutListing`] |
//! | `cut-look-up`, `cut-change` | [`TestTarget::address`] and [`Situation::Through`] |
//! | `secrets-out-of-errors`, `secrets-out-of-records`, `secrets-out-of-answers` | [`TestTarget::secrets`]; they judge the whole run |
//! | `clean-up` | creating |
//!
//! The required code, effect, retry and subject are those in the table of [`Error`](bridgehead_sdk::Error), with one addition: a response
//! that was cut off after something had been sent is [`Effect::Unknown`](bridgehead_sdk::Effect::Unknown).

mod bad;
mod checks;
mod clean;
mod finding;
mod http;
mod kit;
mod listing;
mod network;
mod once;
mod probe;
mod relay;
mod report;
mod rule;
mod run;
mod tasks;
mod test_target;
mod watch;
mod wire;

pub use report::{Check, Outcome, Report};
pub use run::{Listed, Observer, Run, checks, run, run_only};
pub use test_target::{Protocol, Situation, Skip, TestTarget};
