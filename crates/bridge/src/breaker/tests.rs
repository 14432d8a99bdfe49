use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bridgehead_resilience::{SeededRng, SystemClock};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;
use crate::Health;

const SECOND: Duration = Duration::from_secs(1);

fn new_breaker() -> Arc<BridgeBreaker> {
    Arc::new(BridgeBreaker::new(
        BreakerSettings::default(),
        Arc::new(SystemClock),
        Arc::new(SeededRng::seeded(1)),
    ))
}

fn far() -> Instant {
    Instant::now() + 3600 * SECOND
}

fn failed() -> Outcome {
    Outcome::Failed("connection refused".to_owned())
}

async fn call(breaker: &BridgeBreaker, outcome: Outcome) {
    breaker.pass(far()).await.unwrap().record(outcome);
}

async fn has_tripped(breaker: &BridgeBreaker) -> bool {
    timeout(Duration::ZERO, breaker.pass(far())).await.is_err()
}

async fn take_down(breaker: &BridgeBreaker) {
    for _ in 0..3 {
        call(breaker, failed()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn breaker_opens_after_three_consecutive_failures() {
    let breaker = new_breaker();
    for _ in 0..5 {
        call(&breaker, failed()).await;
        call(&breaker, failed()).await;
        assert!(!has_tripped(&breaker).await);
        call(&breaker, Outcome::Answered).await;
    }
    take_down(&breaker).await;
    assert!(has_tripped(&breaker).await);
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_send_few_calls_during_an_outage() {
    let breaker = new_breaker();
    let sent = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (breaker, sent) = (Arc::clone(&breaker), Arc::clone(&sent));
        callers.spawn(async move {
            loop {
                let pass = breaker.pass(far()).await.unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                pass.record(failed());
                sleep(Duration::from_millis(10)).await;
            }
        });
    }
    sleep(SECOND / 2).await;
    let burst = sent.swap(0, Ordering::Relaxed);
    assert!(burst <= 50, "{burst}: what was under way when the outage began, and no more");
    for minute in 0..10 {
        sleep(60 * SECOND).await;
        let sent = sent.swap(0, Ordering::Relaxed);
        assert!((1..=60).contains(&sent), "{sent} calls in minute {minute}");
        assert!(minute < 2 || sent <= 30, "the distance grows: {sent} calls in minute {minute}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_runs_during_an_outage_and_success_releases_all() {
    let breaker = new_breaker();
    take_down(&breaker).await;
    let probe = breaker.pass(far()).await.unwrap();
    sleep(600 * SECOND).await;
    assert!(has_tripped(&breaker).await, "a probe is under way");

    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let breaker = Arc::clone(&breaker);
        waiting.spawn(async move { breaker.pass(far()).await.map(|pass| pass.record(Outcome::Answered)) });
    }
    sleep(SECOND).await;
    let before = Instant::now();
    probe.record(Outcome::Answered);
    assert!(waiting.join_all().await.into_iter().all(|passed| passed.is_ok()));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropped_probe_frees_its_slot_but_keeps_the_interval() {
    let breaker = new_breaker();
    take_down(&breaker).await;
    let start = Instant::now();
    for _ in 0..20 {
        drop(breaker.pass(far()).await.unwrap());
    }
    assert!(start.elapsed() >= 19 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn response_to_a_call_before_the_outage_closes_the_breaker() {
    let breaker = new_breaker();
    let slow = breaker.pass(far()).await.unwrap();
    take_down(&breaker).await;
    assert!(has_tripped(&breaker).await);
    slow.record(Outcome::Answered);
    assert!(!has_tripped(&breaker).await);
}

#[tokio::test(start_paused = true)]
async fn pause_holds_every_call_until_it_ends() {
    let breaker = new_breaker();
    let early = breaker.pass(far()).await.unwrap();
    call(&breaker, Outcome::Throttled(Some(30 * SECOND))).await;
    assert!(matches!(*breaker.health().borrow(), Health::Paused { .. }));
    // The response to a call sent before the pause does not end the pause.
    early.record(Outcome::Answered);
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let breaker = Arc::clone(&breaker);
        callers.spawn(async move {
            call(&breaker, Outcome::Answered).await;
            Instant::now()
        });
    }
    let passed = callers.join_all().await;
    assert!(passed.iter().all(|at| *at - start >= 30 * SECOND && *at - start < 31 * SECOND), "{passed:?}");
    assert_eq!(*breaker.health().borrow(), Health::Up);
}

#[tokio::test(start_paused = true)]
async fn one_call_probes_after_a_pause() {
    let breaker = new_breaker();
    call(&breaker, Outcome::Throttled(Some(5 * SECOND))).await;
    let first = breaker.pass(far()).await.unwrap();
    assert!(has_tripped(&breaker).await);
    first.record(Outcome::Throttled(Some(7 * SECOND)));
    let start = Instant::now();
    let second = breaker.pass(far()).await.unwrap();
    assert_eq!(start.elapsed(), 7 * SECOND);
    second.record(Outcome::Answered);
    assert!(!has_tripped(&breaker).await);
}

#[tokio::test(start_paused = true)]
async fn pause_is_never_shortened() {
    let breaker = new_breaker();
    let (first, second) = (breaker.pass(far()).await.unwrap(), breaker.pass(far()).await.unwrap());
    first.record(Outcome::Throttled(Some(60 * SECOND)));
    second.record(Outcome::Throttled(Some(2 * SECOND)));
    let start = Instant::now();
    call(&breaker, Outcome::Answered).await;
    assert_eq!(start.elapsed(), 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn pause_without_retry_after_grows_per_round_and_not_per_caller() {
    let breaker = new_breaker();
    let together: Vec<_> = futures::future::join_all((0..50).map(|_| breaker.pass(far()))).await;
    for pass in together {
        pass.unwrap().record(Outcome::Throttled(None));
    }
    let start = Instant::now();
    call(&breaker, Outcome::Throttled(None)).await;
    assert!(start.elapsed() <= 2 * SECOND, "fifty refusals at once are one: {:?}", start.elapsed());
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        let start = Instant::now();
        call(&breaker, Outcome::Throttled(None)).await;
        longest = longest.max(start.elapsed());
    }
    assert!(longest > 15 * SECOND && longest <= 60 * SECOND, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn call_that_would_miss_its_deadline_is_refused() {
    let breaker = new_breaker();
    call(&breaker, Outcome::Throttled(Some(60 * SECOND))).await;
    let start = Instant::now();
    let refused = breaker.pass(start + 10 * SECOND).await.unwrap_err();
    assert_eq!((refused, start.elapsed()), (Refusal::Paused(60 * SECOND), Duration::ZERO));

    advance(61 * SECOND).await;
    call(&breaker, Outcome::Answered).await;
    take_down(&breaker).await;
    let _probe = breaker.pass(far()).await.unwrap();
    let start = Instant::now();
    let refused = breaker.pass(start + 10 * SECOND).await.unwrap_err();
    assert_eq!((refused, start.elapsed()), (Refusal::Down("connection refused".to_owned()), 10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn outage_does_not_end_a_pause() {
    let breaker = new_breaker();
    let early: Vec<_> = futures::future::join_all((0..5).map(|_| breaker.pass(far()))).await;
    call(&breaker, Outcome::Throttled(Some(30 * SECOND))).await;
    let start = Instant::now();
    let mut early: Vec<_> = early.into_iter().map(Result::unwrap).collect();
    let last = early.pop().unwrap();
    for pass in early {
        pass.record(failed());
    }
    last.record(Outcome::Answered);
    call(&breaker, Outcome::Answered).await;
    assert_eq!(start.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn permit_is_invalidated_when_calls_are_held() {
    let breaker = new_breaker();
    let before = breaker.pass(far()).await.unwrap();
    assert!(before.is_valid());
    call(&breaker, Outcome::Throttled(Some(SECOND))).await;
    assert!(!before.is_valid());
    let probe = breaker.pass(far()).await.unwrap();
    assert!(probe.is_valid());
}

#[tokio::test(start_paused = true)]
async fn health_reflects_call_outcomes() {
    let breaker = new_breaker();
    let health = breaker.health();
    assert_eq!(*health.borrow(), Health::Unknown);
    call(&breaker, failed()).await;
    assert_eq!(*health.borrow(), Health::Unknown);
    call(&breaker, Outcome::Answered).await;
    assert_eq!(*health.borrow(), Health::Up);
    call(&breaker, Outcome::Refused("401".to_owned())).await;
    assert_eq!(*health.borrow(), Health::Refused { cause: "401".to_owned() });
    take_down(&breaker).await;
    assert!(matches!(&*health.borrow(), Health::Down { cause, .. } if cause == "connection refused"));
    call(&breaker, Outcome::Answered).await;
    assert_eq!(*health.borrow(), Health::Up);
}

#[tokio::test(start_paused = true)]
async fn when_the_gate_opens_few_pass_at_once_and_many_one_after_the_other() {
    for (callers, longest) in [(64_u32, Duration::ZERO), (264, 2 * SECOND)] {
        let breaker = new_breaker();
        take_down(&breaker).await;
        let mut waiting = JoinSet::new();
        for _ in 0..callers {
            let breaker = Arc::clone(&breaker);
            waiting.spawn(async move {
                let pass = breaker.pass(far()).await.unwrap();
                (Instant::now(), pass.record(Outcome::Answered)).0
            });
        }
        let mut passed = waiting.join_all().await;
        passed.sort_unstable();
        // The first one is the probe.
        let took = passed[passed.len() - 1].duration_since(passed[0]);
        assert!(took <= longest, "{callers} callers within {took:?}");
        let half = passed[passed.len() / 2].duration_since(passed[0]);
        assert!(half >= longest / 3, "{callers} callers: half of them within {half:?}");
    }
}
