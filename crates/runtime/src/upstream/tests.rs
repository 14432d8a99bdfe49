use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bridgehead_resilience::SystemClock;

use super::*;
use crate::fakes;
use bridgehead_bridge::{
    ApiKey, AppId, BrokenRule, Call, Client, Environment, Exchange, Settings, Undelivered,
};

struct Nothing;

impl fakes::Script for Nothing {}

fn upstream() -> Upstream {
    Upstream::new(fakes::api(&Arc::new(Nothing)), "hr", &Arc::new(SeededRng::seeded(1)))
}

fn call() -> Call {
    Call::new(Operation::Push, None)
}

fn unauthorized() -> Error {
    Error::Unauthorized { call: call() }
}

fn server(operation: Operation) -> Error {
    Error::Server { call: Call::new(operation, None), status: 503, retry_after: None }
}

/// Returns these responses, the last one first, each after a second.
struct Answers(Mutex<Vec<Result<u32, Error>>>);

impl Answers {
    fn new(answers: impl IntoIterator<Item = Result<u32, Error>>) -> Self {
        Self(Mutex::new(answers.into_iter().collect()))
    }

    fn next<'a>(&'a self, _: &'a dyn Api) -> BoxFuture<'a, Result<u32, Error>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.0.lock().unwrap().pop().expect("a call that the test does not expect")
        })
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

async fn answer(upstream: &Upstream, operation: Operation, answer: Result<u32, Error>) {
    let answers = Answers::new([answer]);
    let asked =
        upstream.patiently(operation, Patience::once().at_once(), |bridge| answers.next(bridge)).await;
    drop(asked);
}

/// Responses that Iden itself cannot have sent after checking the key.
fn says_nothing() -> Vec<Error> {
    vec![
        Error::NotSent { call: call(), cause: "refused".into(), known: false },
        Error::NoAnswer { call: call(), cause: "reset".into() },
        Error::Server { call: call(), status: 502, retry_after: None },
        Error::RateLimited { call: call(), retry_after: None },
        Error::Malformed { call: call(), what: "a page for people".into() },
        Error::Unexpected { call: call(), status: 408 },
        Error::NotFound { call: call(), what: "x".into(), from_bridge: false },
    ]
}

fn shows_access() -> Vec<Error> {
    vec![
        Error::Conflict { call: call(), detail: "done already".into() },
        Error::Unprocessable { call: call(), rule: BrokenRule::Other, detail: "a rule".into() },
        Error::BadRequest { call: call(), detail: "a field".into() },
        Error::NotFound { call: call(), what: "x".into(), from_bridge: true },
    ]
}

#[tokio::test(start_paused = true)]
async fn only_a_response_from_iden_restores_access() {
    let upstream = upstream();
    for error in says_nothing() {
        answer(&upstream, Operation::Push, Err(unauthorized())).await;
        let told = error.to_string();
        answer(&upstream, Operation::Push, Err(error)).await;
        assert!(upstream.refused().is_some(), "{told}");
    }
    for error in shows_access().into_iter().map(Err).chain([Ok(1)]) {
        answer(&upstream, Operation::Push, Err(unauthorized())).await;
        assert!(upstream.refused().is_some());
        let told = format!("{error:?}");
        answer(&upstream, Operation::Push, error).await;
        assert!(upstream.refused().is_none(), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn listing_all_apps_does_not_affect_access_of_one_app() {
    let upstream = upstream();
    answer(&upstream, Operation::ListApps, Err(Error::Forbidden { call: call() })).await;
    assert!(upstream.refused().is_none(), "it may be another app that is refused");
    answer(&upstream, Operation::Push, Err(Error::Forbidden { call: call() })).await;
    answer(&upstream, Operation::ListApps, Ok(1)).await;
    assert!(upstream.refused().is_some(), "the app may still be refused");
    answer(&upstream, Operation::Push, Ok(1)).await;
    answer(&upstream, Operation::ListApps, Err(unauthorized())).await;
    assert!(upstream.refused().is_some(), "every call meets a refused key");
}

/// A key may be allowed to use its apps but not to list them all. No later call waits for that, so nothing would delay a repetition.
#[tokio::test(start_paused = true)]
async fn refused_list_of_all_apps_is_not_repeated() {
    for patience in
        [Patience::within(Duration::from_secs(15)), Patience::until_answered(if_transient), Patience::brief()]
    {
        let upstream = upstream();
        let answers = Answers::new([Ok(1), Err(Error::Forbidden { call: call() })]);
        let asked = upstream.patiently(Operation::ListApps, patience, |bridge| answers.next(bridge)).await;
        assert!(matches!(asked, Err(Error::Forbidden { .. })), "{asked:?}");
        let answers = Answers::new([Ok(1), Err(Error::Forbidden { call: call() })]);
        let (stop, send) = (CancellationToken::new(), |bridge| answers.next(bridge));
        let asked = upstream.call_until(&stop, Operation::ListApps, patience, send, |_| {}).await;
        assert!(matches!(asked, Err(Interrupted::Failed(Error::Forbidden { .. }))), "{asked:?}");
    }
}

fn if_transient(error: &Error) -> Next {
    if error.is_transient() { Next::Retry } else { Next::GiveUp }
}

#[tokio::test(start_paused = true)]
async fn brief_retries_repeat_only_safe_calls() {
    let upstream = upstream();
    let listed = Answers::new((0..9).map(|_| Err(server(Operation::ListTasks))));
    let began = Instant::now();
    assert!(upstream.ask(Operation::ListTasks, |bridge| listed.next(bridge)).await.is_err());
    assert_eq!(listed.left(), 5);
    assert!(began.elapsed() < policies::BRIEF_TIME);
    let reported = Answers::new((0..9).map(|_| Err(server(Operation::Report))));
    assert!(upstream.ask(Operation::Report, |bridge| reported.next(bridge)).await.is_err());
    assert_eq!(reported.left(), 8, "who reports decides on repeating");
}

#[tokio::test(start_paused = true)]
async fn refused_key_is_retried_within_the_patience() {
    let upstream = upstream();
    let answers = Answers::new([Ok(7), Err(unauthorized()), Err(unauthorized())]);
    let patience = Patience::within(Duration::from_mins(15));
    let began = Instant::now();
    let answer = upstream.patiently(Operation::Push, patience, |bridge| answers.next(bridge)).await;
    assert_eq!(answer, Ok(7));
    assert!(began.elapsed() > Duration::from_secs(7), "two waits");
    let once = Answers::new([Err(unauthorized())]);
    assert!(upstream.ask(Operation::Push, |bridge| once.next(bridge)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn stop_ends_the_wait_for_access_but_not_a_call() {
    let (upstream, stop) = (upstream(), CancellationToken::new());
    stop.cancel();
    let forever = Patience::until_answered(|_| Next::Retry);
    let answers = Answers::new([Ok(9), Err(server(Operation::Report)), Ok(1)]);
    let report = || {
        let send = |bridge| answers.next(bridge);
        upstream.call_until(&stop, Operation::Report, forever, send, |_| {})
    };
    assert_eq!(report().await, Ok(1), "the first call is made, and awaited");
    assert_eq!(report().await, Err(Interrupted::Stopped), "there is no second one");
    answer(&upstream, Operation::Push, Err(unauthorized())).await;
    assert_eq!(report().await, Err(Interrupted::Stopped), "nor a first one that would have to wait");
    assert_eq!(answers.left(), 1);
}

/// A Bridge that always responds with 503, and records when it was called.
#[derive(Debug, Default)]
struct Unavailable(Mutex<Vec<Instant>>);

#[async_trait]
impl Exchange for Unavailable {
    async fn exchange(&self, _: reqwest::Request) -> Result<reqwest::Response, Undelivered> {
        self.0.lock().unwrap().push(Instant::now());
        Ok(axum::http::Response::builder().status(503).body("").unwrap().into())
    }
}

/// Nested retries multiply: a Bridge that is restarting would get four requests instead of one.
#[tokio::test(start_paused = true)]
async fn retries_do_not_nest() {
    let bridge = Arc::new(Unavailable::default());
    let rng = Arc::new(SeededRng::seeded(1));
    let environment = Environment {
        exchange: Arc::clone(&bridge) as Arc<dyn Exchange>,
        clock: Arc::new(SystemClock),
        rng: Arc::clone(&rng),
    };
    let settings = Settings::new("http://127.0.0.1:1/org/acme".parse().unwrap());
    let client = Client::within(environment, settings, Arc::new(ApiKey::new("key").unwrap())).unwrap();
    let upstream = Upstream::new(Arc::new(client.without_retries()), "hr", &rng);
    let app: AppId = "11111111-1111-4111-8111-111111111111".parse().unwrap();
    let patience = Patience::within(Duration::from_secs(4));
    let pushed =
        upstream.patiently(Operation::ListResourceTypes, patience, |bridge| bridge.list_resource_types(app));
    assert!(pushed.await.is_err());
    let asked = bridge.0.lock().unwrap().clone();
    assert!((3..=5).contains(&asked.len()), "{}", asked.len());
    for (n, pair) in asked.windows(2).enumerate() {
        let least = policies::BRIDGE.ceiling(u32::try_from(n).unwrap() + 1) / 2;
        assert!(pair[1] - pair[0] >= least, "request {n}: {:?}", pair[1] - pair[0]);
    }
}

#[test]
fn only_a_clock_that_is_far_off_is_corrected() {
    let at = |second| Timestamp::from_second(second).unwrap();
    for (ahead, iden) in
        [(0, 100_000), (599, 100_000), (-599, 100_000), (57_600, 42_400), (-147_600, 247_600)]
    {
        assert_eq!(super::iden_time(at(100_000), SignedDuration::from_secs(ahead)), at(iden), "{ahead}");
    }
}
