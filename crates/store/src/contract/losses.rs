use super::super::{
    AccessBase, AccessFacts, Changes, Error, IdenTime, LossCount, LossKind, Run, RunResult, Shown,
    SnapshotStore, Trust, Which,
};
use super::*;

each_state! {
    async who_is_still_there_with_less_access_is_found_and_nobody_else,
    all_of_many_losers_are_read_piece_by_piece_in_order,
    a_loss_stays_a_loss_until_a_sync_completes_whatever_ended_those_in_between,
    access_gained_in_uncompleted_syncs_counts_unless_the_sync_was_rejected,
    the_access_of_new_people_counts_from_the_listing_that_brought_them_unless_it_was_doubted,
    what_tasks_have_changed_is_no_loss_and_what_they_gave_can_be_lost,
    access_that_a_task_took_can_be_lost_again_once_a_sync_has_seen_it,
    what_a_record_without_facts_gave_is_not_known_and_counts_for_nothing,
    the_losses_of_a_completed_sync_are_remembered_by_kind_also_after_a_crash,
    what_is_gone_and_counts_is_told_from_what_only_doubted_listings_had,
    a_dry_run_leaves_no_trace_and_its_crash_is_no_interrupted_sync,
    what_iden_calls_the_time_of_our_sync_is_pending_from_complete_until_it_says_so,
    what_was_shown_is_kept_until_a_sync_completes,
}

pub(crate) const SLUG: &str = "account";

pub(crate) fn account(id: &str, is_active: bool, refs: &[u64]) -> RecordHash {
    let facts = AccessFacts::new(is_active, refs.iter().copied());
    // The hash only has to differ if the record does.
    let hash = refs.iter().sum::<u64>() + u64::from(is_active);
    RecordHash { id: id.to_owned(), hash, facts: Some(facts) }
}

async fn list(state: &impl SnapshotStore, records: &[RecordHash]) {
    state.begin(&app(1)).await.unwrap();
    state.add(&app(1), SLUG, records).await.unwrap();
}

async fn complete(state: &impl SnapshotStore, second: i64, records: &[RecordHash]) {
    list(state, records).await;
    state.commit(&app(1), at(second)).await.unwrap();
}

/// The losses if a sync of these records completes: id, deactivated, number of memberships lost.
pub(crate) async fn lost(state: &impl SnapshotStore, records: &[RecordHash]) -> Vec<(String, bool, u32)> {
    list(state, records).await;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = state.losers(&app(1), SLUG, after.as_deref()).await.unwrap();
        all.extend(page.losers.into_iter().map(|one| (one.id, one.loss.deactivated, one.loss.refs)));
        let Some(next) = page.next else { return all };
        after = Some(next);
    }
}

fn loser(id: &str, deactivated: bool, refs: u32) -> (String, bool, u32) {
    (id.to_owned(), deactivated, refs)
}

async fn who_is_still_there_with_less_access_is_found_and_nobody_else<P: Place>() {
    let state = P::fleeting().await;
    let before = [
        account("active", true, &[1, 2]),
        account("gone", true, &[1]),
        account("inactive", false, &[1]),
        account("member", true, &[1, 2, 3]),
        account("more", true, &[1]),
    ];
    complete(&state, 1, &before).await;
    let now = [
        account("active", false, &[1, 2]),
        account("inactive", false, &[1]),
        account("member", true, &[2]),
        account("more", true, &[1, 2]),
        account("new", false, &[]),
    ];
    assert_eq!(lost(&state, &now).await, [loser("active", true, 0), loser("member", false, 2)]);
    let base = state.access_base(&app(1), SLUG).await.unwrap();
    assert_eq!(base, AccessBase { active: 4, with_refs: 5, unknown: 0 });
}

async fn all_of_many_losers_are_read_piece_by_piece_in_order<P: Place>() {
    let state = P::fleeting().await;
    let all = |is_active| (0..1234).map(|n| account(&format!("{n:04}"), is_active, &[n])).collect::<Vec<_>>();
    complete(&state, 1, &all(true)).await;
    let found = lost(&state, &all(false)).await;
    let wanted: Vec<_> = (0..1234).map(|n| loser(&format!("{n:04}"), true, 0)).collect();
    assert_eq!(found, wanted);
}

async fn a_loss_stays_a_loss_until_a_sync_completes_whatever_ended_those_in_between<P: Place>() {
    let state = P::fleeting().await;
    complete(&state, 1, &[account("a", true, &[1])]).await;
    for belief in [Trust::Accepted, Trust::Unverified, Trust::Rejected] {
        let now = [account("a", false, &[])];
        assert_eq!(lost(&state, &now).await, [loser("a", true, 1)], "{belief:?}");
        state.retain(&app(1), belief).await.unwrap();
    }
    complete(&state, 2, &[account("a", false, &[])]).await;
    assert_eq!(lost(&state, &[account("a", false, &[])]).await, []);
}

async fn access_gained_in_uncompleted_syncs_counts_unless_the_sync_was_rejected<P: Place>() {
    for (belief, wanted) in [
        (Trust::Accepted, vec![loser("active", false, 1), loser("inactive", true, 2)]),
        (Trust::Unverified, vec![loser("active", false, 1), loser("inactive", true, 2)]),
        (Trust::Rejected, vec![loser("active", false, 1)]),
    ] {
        let state = P::fleeting().await;
        let before = [account("active", true, &[1]), account("inactive", false, &[])];
        complete(&state, 1, &before).await;
        // Iden has what such a sync pushed.
        list(&state, &[account("active", true, &[]), account("inactive", true, &[7, 8])]).await;
        state.retain(&app(1), belief).await.unwrap();
        let now = [account("active", true, &[]), account("inactive", false, &[])];
        assert_eq!(lost(&state, &now).await, wanted, "{belief:?}");
        let base = state.access_base(&app(1), SLUG).await.unwrap();
        let gained = u64::from(belief != Trust::Rejected);
        assert_eq!(base, AccessBase { active: 1 + gained, with_refs: 1 + gained, unknown: 0 });
    }
}

async fn the_access_of_new_people_counts_from_the_listing_that_brought_them_unless_it_was_doubted<
    P: Place,
>() {
    for (belief, wanted) in [
        (Trust::Accepted, vec![loser("new", true, 0)]),
        (Trust::Unverified, vec![loser("new", true, 0)]),
        (Trust::Rejected, vec![]),
    ] {
        let state = P::fleeting().await;
        complete(&state, 1, &[account("a", true, &[])]).await;
        list(&state, &[account("a", true, &[]), account("new", true, &[])]).await;
        state.retain(&app(1), belief).await.unwrap();
        assert_eq!(
            lost(&state, &[account("a", true, &[]), account("new", false, &[])]).await,
            wanted,
            "{belief:?}"
        );
    }
}

async fn note(state: &impl SnapshotStore, id: &str, is_active: Option<bool>, refs: Option<&[u64]>) {
    let changes = Changes { is_active, refs: refs.map(<[u64]>::to_vec) };
    state.note_changed(&app(1), SLUG, id, changes).await.unwrap();
}

async fn what_tasks_have_changed_is_no_loss_and_what_they_gave_can_be_lost<P: Place>() {
    let state = P::fleeting().await;
    let all = |is_active, refs: &[u64]| ["a", "b", "c", "d", "e"].map(|id| account(id, is_active, refs));
    complete(&state, 1, &all(true, &[1])).await;
    note(&state, "a", Some(false), None).await;
    note(&state, "b", None, Some(&[])).await;
    note(&state, "c", Some(false), None).await;
    note(&state, "c", None, Some(&[])).await;
    note(&state, "e", Some(false), Some(&[])).await;
    note(&state, "e", Some(true), Some(&[9, 7, u64::MAX])).await;
    note(&state, "nobody", Some(true), Some(&[1])).await;
    let wanted = [loser("a", false, 1), loser("b", true, 0), loser("d", true, 1), loser("e", true, 3)];
    assert_eq!(lost(&state, &all(false, &[])).await, wanted);
    complete(&state, 2, &all(true, &[1])).await;
    assert_eq!(lost(&state, &all(false, &[])).await.len(), 5);

    // What is known of an account that a task created is not known in parts.
    state.note_created(&app(1), SLUG, "new", None).await.unwrap();
    note(&state, "new", Some(true), None).await;
    assert_eq!(lost(&state, &[account("new", false, &[])]).await, []);
    note(&state, "new", Some(true), Some(&[3])).await;
    assert_eq!(lost(&state, &[account("new", false, &[])]).await, [loser("new", true, 1)]);
    let access = AccessFacts::new(true, [4, 5]);
    for known in ["new", "read"] {
        state.note_created(&app(1), SLUG, known, Some(&access)).await.unwrap();
        state.note_created(&app(1), SLUG, known, None).await.unwrap();
        assert_eq!(lost(&state, &[account(known, false, &[5])]).await, [loser(known, true, 1)]);
    }
}

async fn access_that_a_task_took_can_be_lost_again_once_a_sync_has_seen_it<P: Place>() {
    let state = P::fleeting().await;
    complete(&state, 1, &[account("a", true, &[1])]).await;
    note(&state, "a", Some(false), Some(&[])).await;
    assert_eq!(lost(&state, &[account("a", true, &[1])]).await, []);
    state.retain(&app(1), Trust::Unverified).await.unwrap();
    assert_eq!(lost(&state, &[account("a", false, &[])]).await, [loser("a", true, 1)]);
}

async fn what_a_record_without_facts_gave_is_not_known_and_counts_for_nothing<P: Place>() {
    let state = P::fleeting().await;
    complete(&state, 1, &[seen("old", 1), account("new", true, &[])]).await;
    assert_eq!(lost(&state, &[account("new", true, &[]), account("old", false, &[])]).await, []);
    assert_eq!(state.access_base(&app(1), SLUG).await.unwrap().unknown, 1);
}

async fn the_losses_of_a_completed_sync_are_remembered_by_kind_also_after_a_crash<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    complete(state, 1, &[account("a", true, &[]), account("b", true, &[])]).await;
    list(state, &[account("a", false, &[])]).await;
    let losses = [LossCount { slug: SLUG.to_owned(), kind: LossKind::Deactivated, count: 1 }];
    state.prepare_commit(&app(1), at(5), &losses).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    let since = async |kind, second| state.losses_since(&app(1), SLUG, kind, at(second)).await.unwrap();
    assert_eq!((since(LossKind::Removed, 5).await, since(LossKind::Deactivated, 5).await), (1, 1));
    assert_eq!((since(LossKind::Memberships, 0).await, since(LossKind::Deactivated, 6).await), (0, 0));
    assert_eq!(state.removals_since(&app(1), SLUG, at(0)).await.unwrap(), 1, "of removals alone");
    state.forgive_removals(&app(1)).await.unwrap();
    assert_eq!(state.losses_since(&app(1), SLUG, LossKind::Deactivated, at(0)).await.unwrap(), 0);
}

async fn what_is_gone_and_counts_is_told_from_what_only_doubted_listings_had<P: Place>() {
    let state = P::fleeting().await;
    complete(&state, 1, &[account("a", true, &[]), account("b", true, &[])]).await;
    list(&state, &[account("x", true, &[])]).await;
    state.retain(&app(1), Trust::Rejected).await.unwrap();
    list(&state, &[account("b", true, &[]), account("n", true, &[])]).await;
    let ids = async |which| state.ids(&app(1), SLUG, which, None, 9).await.unwrap();
    assert_eq!(ids(Which::Removed).await, ["a", "x"]);
    assert_eq!(ids(Which::Counted).await, ["a"]);
    assert_eq!(ids(Which::Seen).await, ["b", "n"]);
    assert_eq!(state.ids(&app(1), SLUG, Which::Seen, Some("b"), 9).await.unwrap(), ["n"]);
}

async fn a_dry_run_leaves_no_trace_and_its_crash_is_no_interrupted_sync<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    complete(state, 1, &[account("a", true, &[])]).await;
    let run = Run {
        started_at: at(1),
        ended_at: at(2),
        result: RunResult::Completed,
        reason: None,
        cause: None,
        detail: String::new(),
        pushed: [].into(),
        removed: [].into(),
    };
    state.record_run(&app(1), &run).await.unwrap();
    for is_cut_off in [false, true] {
        state.begin_dry_run(&app(1)).await.unwrap();
        state.add(&app(1), SLUG, &[account("z", true, &[])]).await.unwrap();
        assert_eq!(state.difference(&app(1), SLUG).await.unwrap().removed, 1);
        if !is_cut_off {
            state.discard(&app(1)).await.unwrap();
            let gone = state.difference(&app(1), SLUG).await;
            assert!(matches!(gone, Err(Error::NoListing { .. })), "{gone:?}");
        }
    }
    let place = place.reopen().await;
    let state = place.state();
    assert!(!state.was_interrupted(&app(1)).await.unwrap());
    list(state, &[]).await;
    assert_eq!(state.ids(&app(1), SLUG, Which::Removed, None, 9).await.unwrap(), ["a"]);
}

async fn what_iden_calls_the_time_of_our_sync_is_pending_from_complete_until_it_says_so<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    assert_eq!(state.iden_time(&app(1)).await.unwrap(), IdenTime::default());
    list(state, &[]).await;
    state.prepare_commit(&app(1), at(5), &[]).await.unwrap();
    state.commit(&app(1), at(6)).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    let pending = IdenTime { synced_at: None, pending_since: Some(at(5)) };
    assert_eq!(state.iden_time(&app(1)).await.unwrap(), pending);
    state.set_iden_time(&app(1), at(900)).await.unwrap();
    let known = IdenTime { synced_at: Some(at(900)), pending_since: None };
    assert_eq!(state.iden_time(&app(1)).await.unwrap(), known);
    assert_eq!(state.iden_time(&app(2)).await.unwrap(), IdenTime::default());
}

async fn what_was_shown_is_kept_until_a_sync_completes<P: Place>() {
    let state = P::fleeting().await;
    assert_eq!(state.shown(&app(1)).await.unwrap(), None);
    for digest in [7, u64::MAX] {
        let shown = Shown { digest, losses: 30 };
        state.set_shown(&app(1), shown).await.unwrap();
        list(&state, &[]).await;
        state.retain(&app(1), Trust::Rejected).await.unwrap();
        assert_eq!(state.shown(&app(1)).await.unwrap(), Some(shown));
    }
    complete(&state, 1, &[]).await;
    assert_eq!(state.shown(&app(1)).await.unwrap(), None);
}
