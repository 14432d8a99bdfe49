//! Polls a list that changes while it is read, using a model of the server.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use bridgehead_sdk::async_trait;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use url::Url;

use super::poller::{PollResult, poll};
use crate::app::AppContext;
use crate::fakes::{Place, Script};
use bridgehead_bridge::{self as bridge, NextPage, TaskPage, TaskQuery, fuzz};
use bridgehead_store::{Outcome, ReportResult};

/// A change of the list between two pages.
#[derive(Clone, Debug)]
enum Event {
    /// This process has resolved a task.
    Ours(Index),
    /// Another client has resolved a task.
    Others(Index),
    /// Iden has created a task.
    New,
}

/// How the server returns lists.
#[derive(Clone, Copy, Debug)]
struct Manner {
    page: usize,
    newest_first: bool,
    /// Whether it returns the total count.
    counts: bool,
    /// One of this many items is not a task.
    odd_every: Option<usize>,
}

/// A list with offset pages.
struct Server {
    manner: Manner,
    app: OnceLock<Arc<AppContext>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// From the oldest to the newest.
    tasks: Vec<usize>,
    made: usize,
    events: VecDeque<Vec<Event>>,
    requests: usize,
}

impl Server {
    fn new(manner: Manner, tasks: usize, events: Vec<Vec<Event>>) -> Arc<Self> {
        let state = State { tasks: (0..tasks).collect(), made: tasks, events: events.into(), requests: 0 };
        Arc::new(Self { manner, app: OnceLock::new(), state: Mutex::new(state) })
    }

    fn is_odd(&self, task: usize) -> bool {
        self.manner.odd_every.is_some_and(|every| task % every == every - 1)
    }

    /// The tasks that a poll can see.
    fn tasks(&self) -> BTreeSet<usize> {
        let state = self.state.lock().unwrap();
        state.tasks.iter().copied().filter(|task| !self.is_odd(*task)).collect()
    }

    /// Applies the changes that happen before the next response.
    fn pass_time(&self) {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        if state.requests == 1 {
            return;
        }
        for event in state.events.pop_front().unwrap_or_default() {
            match event {
                Event::New => {
                    let task = state.made;
                    state.made += 1;
                    state.tasks.push(task);
                }
                Event::Ours(index) | Event::Others(index) if !state.tasks.is_empty() => {
                    let place = index.index(state.tasks.len());
                    state.tasks.remove(place);
                    if matches!(event, Event::Ours(_))
                        && let Some(app) = self.app.get()
                    {
                        app.status.ended(&Outcome::Completed { result: None }, &ReportResult::Accepted);
                    }
                }
                Event::Ours(_) | Event::Others(_) => {}
            }
        }
    }

    fn page(&self, offset: usize) -> TaskPage {
        let state = self.state.lock().unwrap();
        let mut tasks = state.tasks.clone();
        if self.manner.newest_first {
            tasks.reverse();
        }
        let items: Vec<Value> = tasks
            .iter()
            .skip(offset)
            .take(self.manner.page)
            .map(|task| {
                let made = format!("2026-01-01T00:00:00.{task:06}Z");
                if self.is_odd(*task) {
                    json!("no task")
                } else {
                    json!({"id": task.to_string(), "created_at": made})
                }
            })
            .collect();
        let end = offset + items.len();
        let next = (end < tasks.len()).then(|| format!("https://h.test/tasks/?status=pending&offset={end}"));
        let mut page = json!({"next": next, "results": items});
        if self.manner.counts {
            page["count"] = tasks.len().into();
        }
        let here: Url = format!("https://h.test/tasks/?status=pending&at={offset}").parse().unwrap();
        fuzz::task_page(page.to_string().as_bytes(), &here).unwrap()
    }
}

#[async_trait]
impl Script for Server {
    async fn tasks(&self, _: &TaskQuery) -> Result<TaskPage, bridge::Error> {
        self.pass_time();
        Ok(self.page(0))
    }

    async fn next_tasks(&self, next: &NextPage) -> Result<TaskPage, bridge::Error> {
        self.pass_time();
        Ok(self.page(usize::try_from(next.offset().unwrap()).unwrap()))
    }
}

fn seen(polled: &PollResult) -> BTreeSet<usize> {
    polled.tasks.iter().map(|listed| listed.id.as_str().parse().unwrap()).collect()
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<Index>().prop_map(Event::Ours),
        any::<Index>().prop_map(Event::Others),
        Just(Event::New)
    ]
}

prop_compose! {
    fn manner()(page in 2_usize..6, newest_first: bool, counts: bool) -> Manner {
        Manner { page, newest_first, counts, odd_every: None }
    }
}

/// Polls once; returns the tasks that were listed the whole time but missed, and the number of requests.
fn missed(place: &Place, server: &Arc<Server>) -> (BTreeSet<usize>, usize) {
    let app = place.app(server);
    drop(server.app.set(Arc::clone(&app)));
    let before = server.tasks();
    let polled = place.runtime.block_on(poll(&app, 1000));
    assert!(polled.error.is_none(), "{:?}", polled.error);
    let (after, seen) = (server.tasks(), seen(&polled));
    let missed = before.intersection(&after).copied().filter(|task| !seen.contains(task)).collect();
    (missed, server.state.lock().unwrap().requests)
}

/// A newer task of the same account could overtake a missed one, so none may be missed, however pages shift.
#[test]
fn task_listed_throughout_a_walk_is_seen_despite_page_shifts() {
    let place = Place::new();
    let given = (manner(), 0_usize..40, prop::collection::vec(prop::collection::vec(event(), 0..8), 0..30));
    proptest!(ProptestConfig::with_cases(300), |((manner, tasks, events) in given)| {
        let happens: usize = events.iter().map(Vec::len).sum();
        let server = Server::new(manner, tasks, events);
        let (missed, requests) = missed(&place, &server);
        prop_assert!(missed.is_empty(), "{missed:?} were there all the time");
        let most = 2 + 4 * (tasks + happens);
        prop_assert!(requests <= most, "{requests} requests for {tasks} tasks and {happens} events");
    });
}

/// In the normal case there are no extra requests, except for the one task that two pages share.
#[test]
fn unchanged_list_is_read_once() {
    let place = Place::new();
    for counts in [true, false] {
        let manner = Manner { page: 100, newest_first: false, counts, odd_every: Some(1000) };
        let server = Server::new(manner, 10_000, Vec::new());
        let (missed, requests) = missed(&place, &server);
        assert!(missed.is_empty());
        // Each page after the first adds 99 tasks; an item that is not a task may cost another request.
        assert!(requests <= 112, "{requests} requests");
    }
}

/// With one-task pages and items that are not tasks, completeness cannot be guaranteed, but the poll must end.
#[test]
fn walk_over_invalid_pages_ends() {
    let place = Place::new();
    let events = prop::collection::vec(prop::collection::vec(event(), 0..8), 0..30);
    let given = (1_usize..4, any::<bool>(), 2_usize..20, 0_usize..40, events);
    proptest!(ProptestConfig::with_cases(150), |((page, newest_first, odd_every, tasks, events) in given)| {
        let happens: usize = events.iter().map(Vec::len).sum();
        let is_still = happens == 0;
        let manner = Manner { page, newest_first, counts: true, odd_every: Some(odd_every) };
        let (missed, requests) = missed(&place, &Server::new(manner, tasks, events));
        prop_assert!(!is_still || missed.is_empty(), "{missed:?}");
        prop_assert!(requests <= 110 + 4 * (tasks + happens), "{requests} requests");
    });
}

/// A server that returns a page for every request, always with the same tasks and a different link.
#[derive(Default)]
struct Bottomless(Mutex<usize>);

impl Bottomless {
    fn page(&self) -> TaskPage {
        let mut requests = self.0.lock().unwrap();
        *requests += 1;
        let next = format!("https://h.test/tasks/?page={requests}");
        let page = json!({"next": next, "results": [{"id": "1"}, {"id": "2"}]});
        fuzz::task_page(page.to_string().as_bytes(), &"https://h.test/tasks/".parse().unwrap()).unwrap()
    }
}

#[async_trait]
impl Script for Bottomless {
    async fn tasks(&self, _: &TaskQuery) -> Result<TaskPage, bridge::Error> {
        Ok(self.page())
    }

    async fn next_tasks(&self, _: &NextPage) -> Result<TaskPage, bridge::Error> {
        Ok(self.page())
    }
}

#[test]
fn walk_over_an_endless_list_is_given_up() {
    let place = Place::new();
    let server = Arc::new(Bottomless::default());
    let polled = place.runtime.block_on(poll(&place.app(&server), 10));
    assert!(matches!(polled.error, Some(bridge::Error::LinkLoop { .. })), "{:?}", polled.error);
    assert_eq!(polled.tasks.len(), 2);
    let requests = *server.0.lock().unwrap();
    assert!(requests <= 1002, "{requests} requests");
}
