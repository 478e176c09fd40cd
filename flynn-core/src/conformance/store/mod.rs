//! What every [`Store`](crate::port::Store) with its [`EventLog`](crate::port::EventLog),
//! [`History`](crate::port::History) and [`Elections`](crate::port::Elections) must do.
//!
//! [`store_conformance!`](crate::store_conformance) makes a test of each case.

pub mod authorization;
pub mod batches;
pub mod claims;
pub mod elections;
pub mod events;
pub mod history;
pub mod idempotency;
pub mod limits;
pub mod references;
pub mod scopes;
pub mod tokens;
pub mod versions;
pub mod views;

/// Makes one test of each case of the store suite. The argument is an expression that makes a
/// [`StoreHarness`](crate::conformance::StoreHarness); the crate that uses it needs tokio with `macros` and
/// `rt-multi-thread`.
#[macro_export]
macro_rules! store_conformance {
    ($harness:expr) => {
        $crate::store_conformance!($harness;
            authorization: [
                a_node_reports_on_its_own_jobs_and_nothing_else, a_node_cannot_send_a_job_back,
                a_node_does_not_call_itself_back, a_router_reports_on_itself_only, roles_of_a_team_include_each_other,
                teams_are_closed_to_each_other, people_neither_report_nor_place,
                the_controller_does_not_decide_who_may_do_what, a_grant_is_made_by_its_own_team,
                what_is_the_clusters_stays_the_clusters, only_owners_destroy_an_app,
                what_a_person_may_not_know_of_is_not_there, a_team_names_only_what_it_has
            ],
            batches: [
                a_batch_is_applied_completely_or_not_at_all, revisions_grow_by_one,
                what_changes_nothing_writes_nothing, a_change_sees_the_ones_before_it,
                too_many_changes_are_refused, time_never_runs_backwards, a_dropped_commit_is_whole_or_absent,
                invalid_values_are_named_by_their_field, an_object_is_not_replaced_under_its_id, a_job_lives_in_one_direction
            ],
            claims: [
                a_name_has_one_holder, of_racing_claims_one_wins, a_removed_holder_frees_its_name,
                one_batch_can_pass_a_name_on, a_host_belongs_to_one_team, a_wildcard_belongs_to_one_team,
                certificates_are_for_own_hosts, a_host_has_one_certificate, the_routers_own_ports_are_not_for_apps, an_ended_job_frees_its_instance_number,
                an_app_has_one_open_deployment
            ],
            elections: [
                a_seat_has_one_holder, a_deposed_leader_writes_nothing, a_resigned_seat_is_free_at_once,
                seats_are_independent
            ],
            events: [
                concurrent_writers_make_one_order_without_gaps, a_tail_goes_on_live, a_tail_begins_where_it_is_told,
                a_reader_behind_the_log_is_compacted, a_reader_ahead_of_the_log_is_compacted,
                an_unread_tail_costs_nothing
            ],
            history: [
                removed_jobs_are_paged_newest_first, the_history_is_pruned_per_app, other_nouns_leave_no_trace,
                bearers_are_audited_and_loops_are_not, the_audit_record_is_pruned
            ],
            idempotency: [
                a_repeated_batch_is_applied_once, a_key_is_for_one_request, keys_belong_to_their_principal,
                a_refused_batch_leaves_its_key_free, keys_are_forgotten_by_age, keys_are_forgotten_by_number,
                racing_repetitions_are_applied_once, bad_keys_are_refused
            ],
            limits: [
                a_job_must_fit_on_its_node, jobs_of_one_batch_must_fit_together, an_ended_job_frees_its_node,
                a_closed_or_absent_node_takes_nothing, a_team_stays_within_its_quota,
                a_lowered_quota_still_lets_shrink, of_racing_placements_one_fits, who_asks_for_nothing_also_needs_an_open_node,
                builds_count_as_instances, people_ask_for_sizes_within_bounds, the_most_is_what_the_largest_node_has,
                a_quota_says_how_large_an_instance_may_be, what_was_allowed_once_can_stay,
                a_quota_for_every_team_is_for_those_without_their_own
            ],
            references: [
                what_is_referred_to_must_be_there, what_is_needed_stays, a_reference_stays_within_its_team,
                a_reference_stays_within_its_app, a_team_with_apps_stays,
                an_app_that_is_destroyed_gets_nothing_more
            ],
            scopes: [
                a_scope_shows_its_own_and_nothing_else, a_job_enters_the_scope_of_its_node,
                what_is_removed_arrives_as_removed, routers_see_no_environments,
                a_tail_in_scope_reaches_the_head, snapshot_and_tail_agree
            ],
            tokens: [
                an_app_token_is_for_one_app, tokens_open_no_more_than_their_maker,
                an_administrator_makes_the_first_token_of_a_user, revoked_and_expired_tokens_open_nothing,
                a_token_does_not_outlive_its_maker, an_empty_batch_takes_a_valid_token
            ],
            versions: [
                spec_and_status_have_versions_of_their_own, expectations_on_versions_hold,
                expectations_on_existence_hold, a_failed_expectation_says_what_it_found
            ],
            views: [
                a_view_reads_its_own_writes, a_view_survives_compaction, a_view_equals_a_snapshot
            ],
        );
    };
    ($harness:expr; $($group:ident: [$($case:ident),* $(,)?],)*) => {
        $(mod $group {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::conformance::store::$group::$case(&$harness).await;
                }
            )*
        })*
    };
}
