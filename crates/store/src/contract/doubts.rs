use bridgehead_resilience::{Clock, SystemClock};

use super::super::{Reason, TaskJournal};
use super::*;

each_state! {
    async a_folder_without_state_is_a_question_that_iden_answers_once_for_each_app,
    the_question_stays_until_everything_that_it_covers_is_old,
}

async fn a_folder_without_state_is_a_question_that_iden_answers_once_for_each_app<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    let asked = state.doubted(&app(1)).await.unwrap().unwrap();
    assert!(asked.is_question() && asked.covers(Some(SystemClock.now())), "{asked:?}");
    state.settle_new(&app(1), false).await.unwrap();
    state.settle_new(&app(2), true).await.unwrap();

    let place = place.reopen().await;
    let state = place.state();
    assert_eq!(state.doubted(&app(1)).await.unwrap(), None, "a new installation");
    let lost = state.doubted(&app(2)).await.unwrap().unwrap();
    assert_eq!((lost.reason, lost.until), (Reason::NewButSynced, asked.until));
    // This state has synced the app itself in the meantime.
    state.settle_new(&app(1), true).await.unwrap();
    assert_eq!(state.doubted(&app(1)).await.unwrap(), None);
    assert!(state.doubted(&app(3)).await.unwrap().unwrap().is_question());
}

async fn the_question_stays_until_everything_that_it_covers_is_old<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    let asked = state.doubted(&app(1)).await.unwrap().unwrap();
    state.prune(&app(1), asked.until).await.unwrap();
    assert_eq!(state.doubted(&app(1)).await.unwrap(), Some(asked.clone()));
    let later = asked.until.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
    state.prune(&app(2), later).await.unwrap();
    let place = place.reopen().await;
    assert_eq!(place.state().doubted(&app(1)).await.unwrap(), None, "it is one of the state, not of an app");
}
