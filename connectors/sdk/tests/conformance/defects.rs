//! One fault after another is put into the connector, or into its target, and the kit finds each by name.

use bridgehead_sdk::conformance;

use crate::bench::ReferenceBench;

/// Declares the faults, and for each a test that exactly these checks fail.
macro_rules! defects {
    ($($(#[doc = $doc:literal])* $defect:ident / $test:ident: [$($check:literal),+],)*) => {
        /// What is wrong with the connector.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Defect {
            $($(#[doc = $doc])* $defect,)*
            /// No fault: it does not offer to delete.
            WithoutDelete,
        }

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                finds(Defect::$defect, &[$($check),+]).await;
            }
        )*
    };
}

async fn finds(defect: Defect, checks: &[&str]) {
    let bench = ReferenceBench::new(Some(defect)).await;
    let report = conformance::run(&bench).await;
    assert_eq!(report.failed(), checks, "{report}");
    let printed = report.to_string();
    for secret in conformance::Bench::secrets(&bench) {
        assert!(!printed.contains(&secret), "the report holds a secret:\n{printed}");
    }
}

defects! {
    DuplicateIsAnInternalError / a_duplicate_with_the_wrong_code: ["duplicate-create", "create-again", "attempt-number"],
    SuspendingNobodySucceeds / an_action_on_nobody_that_succeeds: ["missing-account", "attempt-number"],
    DeletingNobodySucceeds / a_deletion_of_nobody_that_succeeds: ["hostile-deletes", "missing-account", "attempt-number", "delete-again"],
    MissingTeamIsAMissingAccount / a_missing_group_reported_as_a_missing_account: ["missing-group"],
    MissingSeatIsAGroup / a_missing_licence_reported_as_a_missing_group: ["missing-license"],
    HalfDoneOnMissingTeam / a_creation_half_done_when_a_group_is_missing: ["missing-group", "missing-license"],
    RefusalIsAConnectionError / a_refused_permission_reported_as_a_connection_error: ["refused-permission"],
    CredentialIsAnAccountError / a_refused_credential_reported_as_an_account_error: ["bad-credential"],
    UnreachableIsAboutTheAccount / an_unreachable_target_reported_as_an_account_error: ["unreachable"],
    FailureIsNobody / a_look_up_that_swallows_failures: ["find-never-guesses", "cut-look-up"],
    FullPageIsLost / a_full_last_page_that_is_lost: ["paging-full-page"],
    LastOfManyIsLost / a_single_account_on_the_last_page_that_is_lost: ["paging-page-and-one"],
    CursorRepeats / a_cursor_that_comes_again: ["paging-many"],
    PageWithoutBound / a_page_without_bound: ["pages-bounded"],
    UnknownCursorBeginsAgain / an_unknown_cursor_that_begins_again: ["unknown-cursor"],
    CutIsAnEnd / a_cut_listing_taken_for_a_whole_one: ["cut-listing"],
    NotAppliedAfterApplying / a_change_said_not_to_be_applied_that_was: ["cut-change"],
    LookUpByPattern / a_look_up_that_takes_patterns: ["hostile-look-ups", "hostile-deletes"],
    DeleteByPattern / a_deletion_that_takes_patterns: ["hostile-deletes"],
    EmailByCase / an_email_that_is_found_in_one_case_only: ["find-in-another-case"],
    TextIsCutAt64 / a_text_that_is_cut_off: ["texts-on-create", "texts-on-update"],
    PanicsAtEmoji / a_panic_at_a_name: ["texts-on-create"],
    SuspendingTwiceFails / a_suspension_that_cannot_be_repeated: ["suspend-again"],
    RemovalIsIgnored / a_membership_that_is_never_removed: ["membership-removed", "license-removed"],
    DeclaredAndNotOffered / an_action_that_is_declared_and_not_offered: ["reset-password"],
    UndeclaredAndCarriedOut / an_action_that_is_not_declared_and_carried_out: ["undeclared-actions"],
    SecretInError / a_secret_in_a_message: ["secrets-out-of-errors"],
    SecretInCause / a_secret_in_the_cause_of_an_error: ["secrets-out-of-errors"],
    SecretInDescription / a_secret_in_the_description: ["secrets-out-of-answers"],
    PasswordInRecord / a_password_in_a_record: ["secrets-out-of-records"],
    PasswordInResult / a_password_in_a_result: ["secrets-out-of-answers"],
    BlocksItsThread / a_call_that_blocks_its_thread: ["silence"],
    CreatesInTwoSteps / a_creation_that_is_half_done_when_it_is_dropped: ["dropped-call"],
    OneAtATime / a_connector_that_bears_one_call_at_a_time: ["many-at-once"],
    AnotherIdIsAnswered / a_result_with_another_id: ["create"],
    UpdateClearsTheRest / an_update_that_clears_what_it_does_not_name: ["update"],
    ListHidesTheSuspended / a_listing_without_the_suspended: ["suspend"],
    UnlistedTeam / a_membership_of_a_group_that_is_not_listed: ["references"],
    AccountWithoutName / an_account_without_a_name: ["records"],
    SlugTwice / a_resource_type_that_is_declared_twice: ["description"],
    EmptyUpdateIsAnError / an_empty_update_that_fails: ["empty-update"],
    TeamOnCreateIsIgnored / a_membership_that_a_creation_ignores: ["membership-on-create", "license-on-create"],
    UnsuspendIsIgnored / a_suspension_that_is_never_undone: ["unsuspend", "suspend-again"],
    EmailFindsNobody / an_email_that_finds_nobody: ["find-by-every-name", "find-in-another-case"],
    PageIsAnotherTheSecondTime / a_page_that_is_another_the_second_time: ["page-again"],
    AttemptIsEvidence / a_connector_that_goes_by_the_number_of_the_attempt: ["attempt-number"],
    EndWithoutEvidence / a_listing_that_ends_without_evidence: ["evidence"],
    UnknownFieldIsAnError / an_unknown_field_that_fails_a_task: ["unknown-fields"],
}
