//! Decides where a poll over offset pages continues, so that no task is skipped while the list changes. Pure.
//!
//! Completed tasks shift the rest of the list forward, and the next unread task may then be on a page that was already read. This process
//! knows how many tasks it has resolved itself, and the list's total count reveals removals if nothing was added. Changes by other clients
//! are only visible when a page does not start where the previous one ended. So every page is requested starting at the last task of the
//! previous one: if it starts with a known task, nothing is missing in between; otherwise, the poll goes back until it does.

use std::collections::HashSet;

use bridgehead_sdk::TaskId;

use bridgehead_bridge::{NextPage, TaskPage};

/// How far the poll goes back at first; the distance doubles each time.
const BACK: u64 = 10;
/// How many times a poll goes back. A list without a stable order never fits together; after that, pages are accepted as they come.
const REREADS: u32 = 100;
/// After this many consecutive pages without new tasks, the list counts as endless.
const STALE: usize = 1000;
/// More tasks than this are implausible, or too many for one poll.
const MOST: usize = 500_000;

/// The state of one poll.
#[derive(Debug)]
pub(super) struct OffsetPager {
    count: Option<u64>,
    resolved: u64,
    /// The links followed since the last page with new tasks.
    visited: Vec<NextPage>,
    back: u64,
    rereads: u32,
    /// Whether the next page overlaps the previous one.
    overlaps: bool,
}

/// The links form a circle, or never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndlessList;

impl OffsetPager {
    /// Starts a poll. `resolved` is the number of tasks that this process has resolved so far.
    pub(super) fn new(resolved: u64) -> Self {
        Self { count: None, resolved, visited: Vec::new(), back: BACK, rereads: 0, overlaps: false }
    }

    /// Returns the page to go back to if the page at `here` does not start where the previous one ended. The page must then be discarded.
    pub(super) fn back_from(
        &mut self,
        here: &NextPage,
        page: &TaskPage,
        seen: &HashSet<TaskId>,
    ) -> Option<NextPage> {
        let is_behind_somebody = here.offset().is_some_and(|offset| offset > 0);
        // The task that both pages share may be the unreadable item, so nothing can be concluded.
        let fits =
            !page.unreadable.is_empty() || page.tasks.first().is_some_and(|first| seen.contains(&first.id));
        if fits || !self.overlaps || !is_behind_somebody || self.rereads >= REREADS {
            self.back = BACK;
            return None;
        }
        self.rereads += 1;
        self.visited.clear();
        let earlier = here.rewind(self.back);
        self.back = self.back.saturating_mul(2);
        Some(earlier)
    }

    /// Returns the page to continue with. `items` is the number of items on the page, `resolved` the number of tasks that this process has
    /// resolved so far.
    pub(super) fn onward(
        &mut self,
        next: &NextPage,
        items: usize,
        count: Option<u64>,
        resolved: u64,
        seen: usize,
        is_news: bool,
    ) -> Result<NextPage, EndlessList> {
        let shrunk = match (self.count, count) {
            (Some(before), Some(now)) => before.saturating_sub(now),
            _ => 0,
        };
        let left = shrunk.max(resolved.saturating_sub(self.resolved));
        (self.count, self.resolved) = (count, resolved);
        // A page with a single item would be requested again and again.
        self.overlaps = items > 1;
        let overlap = u64::from(self.overlaps);
        let next = next.rewind(if is_news { left + overlap } else { overlap });
        if is_news {
            self.visited.clear();
        }
        if seen > MOST || self.visited.len() >= STALE || self.visited.contains(&next) {
            return Err(EndlessList);
        }
        self.visited.push(next.clone());
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_bridge::fuzz;

    fn link(offset: usize) -> NextPage {
        let body = format!(r#"{{"results": [{{"id": "t"}}], "next": "?offset={offset}"}}"#);
        let here = "https://h.test/tasks/".parse().unwrap();
        fuzz::task_page(body.as_bytes(), &here).unwrap().next.unwrap()
    }

    #[test]
    fn next_page_starts_at_the_last_task_of_the_previous_one() {
        let mut course = OffsetPager::new(0);
        let next = course.onward(&link(100), 100, Some(500), 0, 100, true).unwrap();
        assert_eq!(next.offset(), Some(99));
        let next = course.onward(&link(199), 100, Some(470), 20, 199, true).unwrap();
        assert_eq!(next.offset(), Some(168), "thirty have left, of which twenty through this process");
    }

    #[test]
    fn endless_list_is_given_up() {
        let mut course = OffsetPager::new(0);
        assert!(course.onward(&link(1), 100, None, 0, MOST, true).is_ok());
        assert_eq!(course.onward(&link(2), 100, None, 0, MOST + 1, true), Err(EndlessList));
    }

    #[test]
    fn repeated_link_without_new_tasks_is_a_loop() {
        let mut course = OffsetPager::new(0);
        assert!(course.onward(&link(5), 1, None, 0, 1, false).is_ok());
        assert_eq!(course.onward(&link(5), 1, None, 0, 1, false), Err(EndlessList));
        assert!(course.onward(&link(5), 1, None, 0, 2, true).is_ok());
    }
}
