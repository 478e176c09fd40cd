//! What every [`Runtime`](flynn_core::port::Runtime) with its [`Exec`](flynn_core::port::Exec) must do.
//!
//! [`runtime_conformance!`](crate::runtime_conformance) makes a test of each case of the common part;
//! [`isolation_conformance!`](crate::isolation_conformance), [`limits_conformance!`](crate::limits_conformance),
//! [`network_conformance!`](crate::network_conformance) and [`images_conformance!`](crate::images_conformance) are for
//! runtimes that have these capabilities.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation ends the test")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]

mod cluster;
mod harness;
pub mod images;
pub mod isolation;
pub mod leak;
pub mod lifecycle;
pub mod limits;
pub mod network;
pub mod output;
pub mod restart;
pub mod sessions;

pub use cluster::Cluster;
pub use harness::{RuntimeHarness, World, busybox_root};

/// Makes one test of each case of the common part. The argument is an expression that makes a
/// [`RuntimeHarness`](crate::conformance::RuntimeHarness); the crate that uses it needs tokio with `macros`
/// and `rt-multi-thread`.
#[macro_export]
macro_rules! runtime_conformance {
    ($harness:expr) => {
        $crate::runtime_conformance_cases!($harness;
            lifecycle: [
                a_job_is_created_and_then_started, a_second_start_runs_nothing, a_second_create_changes_nothing,
                ends_are_told_apart, an_exit_is_kept_until_removal, a_missing_program_is_an_error,
                what_is_not_there_is_not_found, a_removed_job_leaves_no_process,
                a_job_that_was_never_started_is_removed, an_end_wakes, signals_reach_the_first_process,
                what_a_job_started_ends_with_it, environment_and_directory_arrive, impossible_specs_are_refused,
                racing_creations_make_one_job
            ],
            output: [
                output_and_errors_are_told_apart, all_lines_are_there_when_the_exit_is,
                a_broken_pipe_ends_a_program
            ],
            restart: [
                jobs_outlive_their_runtime, an_end_that_nobody_saw_is_found, a_dead_supervisor_loses_its_job,
                a_dead_supervisor_of_a_created_job_loses_it, an_exit_outlives_its_supervisor,
                a_dead_supervisor_is_out_of_reach, a_lost_job_can_be_removed, a_dead_supervisor_wakes
            ],
            sessions: [
                a_further_process_runs_beside_the_first, input_reaches_it_and_ends, many_run_at_once,
                none_runs_in_a_job_that_does_not, a_further_program_that_is_missing_is_an_error,
                a_terminal_has_a_size, its_end_can_be_asked_again, it_takes_signals, a_dropped_session_hangs_up,
                an_attached_client_misses_nothing, attached_input_ends, leaving_does_not_end_the_input,
                several_can_be_attached, a_terminal_can_be_attached, a_job_for_the_log_cannot_be_attached
            ],
        );
    };
}

/// Makes one test of each case of the isolation part.
#[macro_export]
macro_rules! isolation_conformance {
    ($harness:expr) => {
        $crate::runtime_conformance_cases!($harness;
            isolation: [
                first_and_further_processes_are_confined_alike, a_trusted_root_is_confined_too,
                it_sees_only_itself, it_has_a_host_name_of_its_own, it_has_no_network_but_its_own,
                dangerous_calls_are_refused, the_kernel_is_masked, a_read_only_root_is_not_changed,
                a_writable_root_is_written, volumes_are_mounted, no_descriptor_is_left_open,
                secrets_are_not_written_to_disk, a_working_directory_is_inside
            ],
        );
    };
}

/// Makes one test of each case of the limits part.
#[macro_export]
macro_rules! limits_conformance {
    ($harness:expr) => {
        $crate::runtime_conformance_cases!($harness;
            limits: [
                too_much_memory_is_reported, a_child_that_takes_too_much_memory_is_reported,
                swap_is_no_way_around_the_memory_limit, processes_are_limited, processor_time_is_limited,
                a_kill_is_no_lack_of_memory
            ],
        );
    };
}

/// Makes one test of each case of the network part. The argument is an expression that makes a
/// [`NetworkHarness`](crate::conformance::network::NetworkHarness).
#[macro_export]
macro_rules! network_conformance {
    ($harness:expr) => {
        $crate::runtime_conformance_cases!($harness;
            network: [
                a_job_is_reached_by_its_node_and_its_app, all_its_processes_have_its_address,
                a_network_is_kept_until_it_is_taken
            ],
        );
    };
}

/// Makes one test of each case of the images part. The argument is an expression that makes an
/// [`ImagesHarness`](crate::conformance::images::ImagesHarness).
#[macro_export]
macro_rules! images_conformance {
    ($harness:expr) => {
        $crate::runtime_conformance_cases!($harness;
            images: [
                a_container_sees_all_layers_of_its_image, containers_of_one_image_share_nothing,
                what_a_container_wrote_becomes_a_layer, an_image_that_is_not_what_it_says_is_refused
            ],
        );
    };
}

/// The cases of the given groups as tests.
#[doc(hidden)]
#[macro_export]
macro_rules! runtime_conformance_cases {
    ($harness:expr; $($group:ident: [$($case:ident),* $(,)?],)*) => {
        $(mod $group {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let world = $crate::conformance::World::new($harness).await;
                    $crate::conformance::$group::$case(&world).await;
                    world.finish().await;
                }
            )*
        })*
    };
}
