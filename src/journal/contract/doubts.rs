use bridgehead_resilience::{Clock, SystemClock};

use super::super::{Journal, Reason};
use super::*;

each_state! {
    async a_folder_without_state_is_a_question_that_iden_answers_once_for_each_app,
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
    // Meanwhile this state has synced the app itself.
    state.settle_new(&app(1), true).await.unwrap();
    assert_eq!(state.doubted(&app(1)).await.unwrap(), None);
    assert!(state.doubted(&app(3)).await.unwrap().unwrap().is_question());
}
