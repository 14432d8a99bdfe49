//! Limits how many changing calls a target receives at the same time, and how many tasks prepare for one in the meantime.
//!
//! `tasks.concurrency` counts calls. To prepare for its call, a task looks up its account and waits until its intent is on disk. Nothing
//! changes in the target during that time, so preparing takes no slot; otherwise the slots of a target that responds faster than the disk
//! would be idle most of the time. So more tasks than slots may run. The number of additional tasks is the number of calls that the slots
//! can start while one task prepares: slots × preparation time / duration of a call. For a slow target that is zero, and a call follows its
//! intent immediately; for the fastest, it is limited to [`AHEAD`].
//!
//! A durable intent means that the call may have been made: the fewer intents wait for a slot, the fewer accounts have to be looked up
//! after a crash. In addition, what a look-up returned should be only a moment old when the account is changed. With a rate limit, calls
//! are far apart, so no task prepares ahead.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The maximum number of tasks that prepare ahead, in addition to those with a slot: as many as one commit of the journal takes.
const AHEAD: usize = 256;
/// The weight of a new measurement in the moving average is one divided by this number.
const MEMORY: u32 = 8;

/// The slots of one target.
#[derive(Debug)]
pub(crate) struct Turns {
    count: usize,
    /// The maximum number of tasks that may prepare in addition to those with a slot.
    most_ahead: usize,
    slots: Semaphore,
    /// Limits look-ups before calls: as many run at the same time as calls.
    looks: Semaphore,
    /// One place for each task that has a slot or prepares for one.
    places: Semaphore,
    pace: Mutex<Pace>,
}

/// Recent measurements, and the number of places derived from them.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// How many places exist in addition to one per slot.
    ahead: usize,
    /// How many of these are no longer wanted. They are withdrawn when their tasks release them.
    surplus: usize,
    /// The average time to prepare and the average duration of a call; `None` before the first call.
    times: Option<(Duration, Duration)>,
}

/// A place: its holder prepares for its call, and then makes it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    place: Option<SemaphorePermit<'a>>,
}

/// A slot: its holder may make a call that changes something.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    turns: &'a Turns,
    since: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Turns {
    /// Creates `count` slots. `gets_ahead` decides whether tasks may prepare ahead of them.
    pub(crate) fn new(count: usize, gets_ahead: bool) -> Self {
        Self {
            count,
            most_ahead: if gets_ahead { AHEAD } else { 0 },
            slots: Semaphore::new(count),
            looks: Semaphore::new(count),
            places: Semaphore::new(count),
            pace: Mutex::default(),
        }
    }

    /// Waits for a place. `None` if the daemon is stopping.
    pub(crate) async fn next(&self) -> Option<Turn<'_>> {
        let place = self.places.acquire().await.ok()?;
        Some(Turn { turns: self, place: Some(place) })
    }

    /// Waits until one more account may be looked up before its call. `None` if the daemon is stopping.
    pub(crate) async fn look(&self) -> Option<SemaphorePermit<'_>> {
        self.looks.acquire().await.ok()
    }

    fn learn(&self, ready_after: Duration, held: Duration) {
        let mut pace = self.pace();
        let (ready_after, held) = match pace.times {
            Some((before, held_before)) => {
                ((before * (MEMORY - 1) + ready_after) / MEMORY, (held_before * (MEMORY - 1) + held) / MEMORY)
            }
            None => (ready_after, held),
        };
        pace.times = Some((ready_after, held));
        let wanted = ahead(self.count, ready_after, held).min(self.most_ahead);
        let current = pace.ahead - pace.surplus;
        if wanted >= current {
            let kept = (wanted - current).min(pace.surplus);
            let added = wanted - current - kept;
            pace.surplus -= kept;
            pace.ahead += added;
            self.places.add_permits(added);
        } else {
            // Waiting tasks would take every place that is released, so places in use are withdrawn one by one.
            let withdrawn = self.places.forget_permits(current - wanted);
            pace.ahead -= withdrawn;
            pace.surplus += current - wanted - withdrawn;
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Turn<'a> {
    /// Waits for a slot, once the task is prepared. `None` if the daemon is stopping.
    pub(crate) async fn slot(&self) -> Option<Slot<'a>> {
        let slot = self.turns.slots.acquire().await.ok()?;
        Some(Slot { turns: self.turns, since: Instant::now(), _permit: slot })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut pace = self.turns.pace();
        if pace.surplus > 0 {
            pace.surplus -= 1;
            pace.ahead -= 1;
            if let Some(place) = self.place.take() {
                place.forget();
            }
        }
    }
}

impl Slot<'_> {
    /// Records that the call was made. `ready_after` is the preparation time, without the time spent waiting for other tasks.
    pub(crate) fn used(self, ready_after: Duration) {
        self.turns.learn(ready_after, self.since.elapsed());
    }
}

/// How many tasks must prepare in addition to those with a slot, so that no slot is idle.
fn ahead(slots: usize, ready_after: Duration, held: Duration) -> usize {
    let wanted = ready_after.as_nanos() * slots as u128;
    usize::try_from(wanted / held.as_nanos().max(1)).unwrap_or(AHEAD).min(AHEAD)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    async fn one(turns: &Turns, ready_after: Duration, held: Duration) {
        let turn = turns.next().await.unwrap();
        let slot = turn.slot().await.unwrap();
        tokio::time::advance(held).await;
        slot.used(ready_after);
    }

    fn take(turns: &Turns) -> Vec<Turn<'_>> {
        std::iter::from_fn(|| Some(Turn { turns, place: Some(turns.places.try_acquire().ok()?) })).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_than_slots_are_under_way_however_many_are_ready() {
        let turns = Turns::new(2, true);
        for _ in 0..100 {
            one(&turns, MS * 10, MS).await;
        }
        let ready = take(&turns);
        assert_eq!(ready.len(), 2 + 20);
        let slots: Vec<Slot<'_>> =
            ready.iter().filter_map(|turn| turn.slot().now_or_never().flatten()).collect();
        assert_eq!(slots.len(), 2);
        drop(slots);
        assert!(ready[5].slot().now_or_never().flatten().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_target_has_no_task_ready_and_a_fast_one_as_many_as_a_commit_takes() {
        let turns = Turns::new(4, true);
        assert_eq!(take(&turns).len(), 4, "nothing is known yet");
        one(&turns, MS, Duration::ZERO).await;
        assert_eq!(take(&turns).len(), 4 + AHEAD);
        for _ in 0..100 {
            one(&turns, MS, MS * 1000).await;
        }
        assert_eq!(take(&turns).len(), 4);
        let limited = Turns::new(4, false);
        one(&limited, MS, Duration::ZERO).await;
        assert_eq!(take(&limited).len(), 4, "a rate limit keeps calls apart");
    }

    #[tokio::test(start_paused = true)]
    async fn places_that_are_taken_are_not_given_out_again_when_there_are_too_many() {
        let turns = Turns::new(1, true);
        one(&turns, MS, Duration::ZERO).await;
        let taken = take(&turns);
        assert_eq!(taken.len(), 1 + AHEAD);
        for _ in 0..100 {
            let slot = taken[0].slot().await.unwrap();
            tokio::time::advance(MS * 1000).await;
            slot.used(MS);
        }
        drop(taken);
        one(&turns, MS, MS * 1000).await;
        assert_eq!(take(&turns).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_withdrawn_while_tasks_wait_for_one() {
        let turns = Turns::new(1, true);
        one(&turns, MS, Duration::ZERO).await;
        let mut taken = take(&turns);
        assert_eq!(taken.len(), 1 + AHEAD);
        let mut waiting = Vec::new();
        for _ in 0..2 * AHEAD {
            let mut next = Box::pin(turns.next());
            assert!(next.as_mut().now_or_never().is_none());
            waiting.push(next);
        }
        for _ in 0..AHEAD {
            let turn = taken.pop().unwrap();
            let slot = turn.slot().await.unwrap();
            tokio::time::advance(MS * 1000).await;
            slot.used(MS);
        }
        let mut serve = || -> Vec<Turn<'_>> {
            let (mut served, mut left) = (Vec::new(), Vec::new());
            for mut next in waiting.drain(..) {
                match next.as_mut().now_or_never() {
                    Some(turn) => served.push(turn.unwrap()),
                    None => left.push(next),
                }
            }
            waiting = left;
            served
        };
        let early = serve();
        assert!(early.len() <= AHEAD / 8, "{} got a place, although the target is slow", early.len());
        drop((taken, early));
        assert_eq!(serve().len(), 1, "a slot is never left without a task");
    }

    #[test]
    fn what_takes_no_time_needs_nobody_ahead() {
        assert_eq!(ahead(32, Duration::ZERO, Duration::ZERO), 0);
        assert_eq!(ahead(32, MS, Duration::ZERO), AHEAD);
        assert_eq!(ahead(32, MS, MS * 31), 1);
        assert_eq!(ahead(1024, MS * 1000, MS), AHEAD);
    }
}
