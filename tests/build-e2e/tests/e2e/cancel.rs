//! Builds that are given up in the middle.

use std::time::Duration;

use flynn_core::noun::BuildState;

use crate::machine::Machine;

/// Longer than a build needs from its start to the end of its first sandbox's start.
const SPAN: Duration = Duration::from_millis(600);
const MOMENTS: u32 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_cancelled_at_any_moment_leaves_nothing() {
    let machine = Machine::new().await;
    // It does not end by itself in that time.
    let files = [("Procfile", "web: python -V"), ("requirements.txt", "scipy==1.15.3\nnumpy==2.2.6\npandas==2.2.3\n")];
    let act = async {
        for moment in 0..MOMENTS {
            let build = machine.place(&files).await;
            tokio::time::sleep(SPAN * moment / MOMENTS).await;
            machine.cancel(build).await;
            assert_eq!(machine.ended(build).await, BuildState::Cancelled, "moment {moment}");
            machine.assert_nothing_left(&format!("moment {moment}")).await;
        }
    };
    machine.working(act).await;
    machine.close().await;
}
