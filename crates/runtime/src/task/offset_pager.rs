//! Where a walk over pages by offset continues, so that no task is skipped while the list changes. Pure.
//!
//! Completed tasks slide the rest of the list forward, and the next one may be before the next page by then. How many
//! have left is known for this process's own, and from the count of the list if none was added; other clients' changes
//! are only visible when a page does not start where the last one ended. So every page is requested from the last task
//! of the previous one: if it starts with a known task, nothing is missing between them, and if not, the walk goes back
//! until it does.

use std::collections::HashSet;

use bridgehead_sdk::TaskId;

use bridgehead_bridge::{NextPage, TaskPage};

/// How far the walk goes back at first; twice as far each further time.
const BACK: u64 = 10;
/// How often a walk goes back. A list in no order at all never fits together; it is taken as it comes after that.
const REREADS: u32 = 100;
/// So many pages in a row without anything new are no list.
const STALE: usize = 1000;
/// So many tasks are not a plausible list, or too long to be processed in one go.
const MOST: usize = 500_000;

/// The course of one walk.
#[derive(Debug)]
pub(super) struct OffsetPager {
    count: Option<u64>,
    resolved: u64,
    /// The links that were followed since there was news last.
    visited: Vec<NextPage>,
    back: u64,
    rereads: u32,
    /// Whether the page that comes overlaps the one before.
    overlaps: bool,
}

/// The links go in a circle, or never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndlessList;

impl OffsetPager {
    /// Begins when this process has resolved so many tasks.
    pub(super) fn new(resolved: u64) -> Self {
        Self { count: None, resolved, visited: Vec::new(), back: BACK, rereads: 0, overlaps: false }
    }

    /// If the page at `here` does not begin where the one before ended, where to go back to. Then nothing of it counts.
    pub(super) fn back_from(
        &mut self,
        here: &NextPage,
        page: &TaskPage,
        seen: &HashSet<TaskId>,
    ) -> Option<NextPage> {
        let is_behind_somebody = here.offset().is_some_and(|offset| offset > 0);
        // An item that is no task may be the one that both pages have; nothing can be said then.
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

    /// Where to continue. `items` is how many were on the page, `resolved` how many tasks this process has resolved by
    /// now.
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
        // A page of one would be requested again and again.
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
    fn a_page_is_asked_for_from_the_last_task_of_the_one_before() {
        let mut course = OffsetPager::new(0);
        let next = course.onward(&link(100), 100, Some(500), 0, 100, true).unwrap();
        assert_eq!(next.offset(), Some(99));
        let next = course.onward(&link(199), 100, Some(470), 20, 199, true).unwrap();
        assert_eq!(next.offset(), Some(168), "thirty have left, of which twenty through this process");
    }

    #[test]
    fn a_list_that_goes_on_and_on_is_given_up() {
        let mut course = OffsetPager::new(0);
        assert!(course.onward(&link(1), 100, None, 0, MOST, true).is_ok());
        assert_eq!(course.onward(&link(2), 100, None, 0, MOST + 1, true), Err(EndlessList));
    }

    #[test]
    fn a_link_that_comes_again_is_a_circle_unless_there_was_news() {
        let mut course = OffsetPager::new(0);
        assert!(course.onward(&link(5), 1, None, 0, 1, false).is_ok());
        assert_eq!(course.onward(&link(5), 1, None, 0, 1, false), Err(EndlessList));
        assert!(course.onward(&link(5), 1, None, 0, 2, true).is_ok());
    }
}
