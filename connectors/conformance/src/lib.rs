//! The kit that proves a connector.
//!
//! One suite for all: [`run`] takes a connector through everything that the contract of [`Connector`](bridgehead_sdk::Connector) says, and
//! gives a [`Report`] that names each check and what it found. A [`TestTarget`] says how to get at the connector and its target,
//! and what the target has been filled with.
//!
//! ```no_run
//! # use bridgehead_conformance::{self as conformance, TestTarget};
//! # async fn example(test_target: impl TestTarget) {
//! conformance::run(&test_target).await.assert_passed();
//! # }
//! ```
//!
//! # A test target
//! Only [`TestTarget::connect`] must be written. What it answers with a [`Skip`] is not tried, and the report says so: **what was
//! skipped is not proven**. A test of a connector therefore says which checks may be skipped, and why. This is the whole of a test target
//! for a connector that keeps its accounts in memory:
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
//! For a target over TCP, [`TestTarget::address`] says where it listens: then the kit stands between, and cuts the connection after
//! so many bytes, once with a FIN and once with a reset. Where the target speaks HTTP without TLS, the kit understands what is said:
//! it gives every bad answer that a target gives (401, 403, 404, 429, 5xx, 200 with an error or a page for people in it, half an
//! answer, none) to every request of every call, in place of the target's own or after the target has done what it was asked. It does the
//! same to a directory and to a database, where [`TestTarget::protocol`] says so: result codes such as busy and sizeLimitExceeded, with and without a part of what was
//! searched; SQLSTATEs and error numbers such as those of a deadlock, a cancelled statement and a server that goes down; half an answer, and none. The listener that never says a word and the address at which nobody
//! listens are the kit's own as well; they come with the [`Situation`].
//!
//! # What it does to a target
//! Every account that the kit makes is called `bhk-`, a few letters that are drawn for each run, and a number. It is removed
//! after the check that made it, also if that failed; where the connector does not delete, it is suspended, and `clean-up` says who is
//! left. Nobody else is changed: names that a broken connector might take for a pattern are aimed at the kit's own accounts. The kit's
//! accounts are put into the groups that [`TestTarget::usable_ref`] answers, for a moment. With [`TestTarget::read_only`] nothing is changed
//! at all.
//!
//! Every call has a deadline, and a connector that panics has failed a check and nothing else. Whatever the connector says during the
//! whole run (errors with their causes, records, results, its description) is searched for [`TestTarget::secrets`] and for the passwords that the
//! kit has made up.
//!
//! # The checks
//! Names stay the same from version to version. A check that needs an action which the connector does not declare is skipped.
//!
//! | checks | what they need |
//! |---|---|
//! | `describe`, `check`, `description`, `listing`, `evidence`, `records`, `references`, `unknown-cursor` | a target that works |
//! | `create`, `update`, `suspend`, `unsuspend`, `reset-password`, `find-and-list-agree`, `delete` | the actions; one account is taken through all of them |
//! | `find-by-every-name`, `find-in-another-case`, `find-nobody`, `hostile-look-ups` | an account: one of its own, or any that is listed |
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
//! | `failing-listing`, `failing-look-up`, `failing-change`, `failing-codes`, `failing-check`, `never-retries`, `bodies-out-of-errors`, `reading-changes-nothing` | a target that speaks HTTP, or what [`TestTarget::protocol`] says; `bodies-out-of-errors` HTTP alone |
//! | `describe-while-down` | a target that speaks HTTP, or what [`TestTarget::protocol`] says, or [`Situation::Unreachable`] or [`Situation::BadCredential`] |
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
//! The exact code, effect, retry and subject that each asks for is the table of [`Error`](bridgehead_sdk::Error), with one addition: an answer
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
