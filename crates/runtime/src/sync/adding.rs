//! Records on their way into the listing: while the state takes down one page, the next ones are read and checked.

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

/// So many pages are on their way at once. Those that wait for the disk share a commit, and each is in memory.
const PAGES: usize = 3;

type Answer = Pin<Box<MaybeDone<BoxFuture<'static, Result<Added, Error>>>>>;

/// What is under way of one resource type: pages that the listing takes in, in their order, and behind them those that are pushed.
///
/// Cancel: dropping this starts nothing more. A page that the state was already given is taken in all the same, before whatever the
/// state is asked for next.
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

    /// Whether a page is on its way.
    pub(super) fn is_adding(&self) -> bool {
        !self.adding.is_empty()
    }

    /// Hands a page to the state, which has it when this returns, and does not wait for the answer.
    pub(super) async fn add(&mut self, app: &AppContext, of: &ResourceType, records: Vec<Prepared>) {
        let seen: Vec<RecordHash> = records.iter().map(Prepared::seen).collect();
        let (snapshots, key, slug) = (Arc::clone(&app.snapshots), app.key.clone(), of.slug.to_string());
        let add: BoxFuture<'static, _> = Box::pin(async move { snapshots.add(&key, &slug, &seen).await });
        let mut answer = Box::pin(maybe_done(add));
        // Its answer is taken later, whether it is there already or not.
        let _is_there: Poll<()> = futures::poll!(answer.as_mut());
        self.adding.push_back((records, answer));
    }

    /// The page that was added first, once the state has it. Cancel safe. `None` if there is none.
    pub(super) async fn added(&mut self) -> Option<Result<(Vec<Prepared>, Added), Error>> {
        let (_, answer) = self.adding.front_mut()?;
        answer.as_mut().await;
        let (records, mut answer) = self.adding.pop_front()?;
        let added = answer.as_mut().take_output()?;
        Some(added.map(|added| (records, added)))
    }
}
