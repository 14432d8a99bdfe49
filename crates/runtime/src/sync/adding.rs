//! Pages on their way into the snapshot: while the store writes one page, the next ones are read and validated.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bridgehead_sdk::ResourceType;
use futures::future::{BoxFuture, MaybeDone, maybe_done};

use super::prepared::Prepared;
use super::push::PushPipeline;
use crate::app::AppContext;
use bridgehead_store::{Added, Error, RecordHash};

/// The maximum number of pages in progress. Pages that wait for the disk share a commit, but each one takes memory.
const PAGES: usize = 3;

type Answer = Pin<Box<MaybeDone<BoxFuture<'static, Result<Added, Error>>>>>;

/// The pages of one resource type that are in progress: those being added to the snapshot, in order, and behind them those being pushed.
///
/// Cancel: dropping this starts nothing more. A page that was already passed to the store is added nevertheless, before any later request
/// to the store is handled.
#[derive(Default)]
pub(super) struct Flow {
    adding: VecDeque<(Vec<Prepared>, Answer)>,
    pub(super) pusher: Option<PushPipeline>,
}

impl Flow {
    /// Whether a page must be settled before another one is added.
    pub(super) fn is_full(&self) -> bool {
        self.adding.len() >= PAGES
    }

    /// Whether a page is being added.
    pub(super) fn is_adding(&self) -> bool {
        !self.adding.is_empty()
    }

    /// Passes a page to the store without waiting for the answer. When this returns, the store has received the page.
    pub(super) async fn add(&mut self, app: &AppContext, of: &ResourceType, records: Vec<Prepared>) {
        let seen: Vec<RecordHash> = records.iter().map(Prepared::seen).collect();
        let (snapshots, key, slug) = (Arc::clone(&app.snapshots), app.key.clone(), of.slug.to_string());
        let add: BoxFuture<'static, _> = Box::pin(async move { snapshots.add(&key, &slug, &seen).await });
        let mut answer = Box::pin(maybe_done(add));
        // The first poll sends the page. The answer is read later, even if it is already there.
        let _is_there: Poll<()> = futures::poll!(answer.as_mut());
        self.adding.push_back((records, answer));
    }

    /// Waits until the oldest page in progress has been added. `None` if no page is in progress. Cancel safe.
    pub(super) async fn added(&mut self) -> Option<Result<(Vec<Prepared>, Added), Error>> {
        let (_, answer) = self.adding.front_mut()?;
        answer.as_mut().await;
        let (records, mut answer) = self.adding.pop_front()?;
        let added = answer.as_mut().take_output()?;
        Some(added.map(|added| (records, added)))
    }
}
