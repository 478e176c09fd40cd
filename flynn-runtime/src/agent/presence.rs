use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::port::{Beat, Member, Presence};
use flynn_core::{NodeId, View};

/// Says again and again that the node is there.
pub(super) async fn beat(
    presence: Arc<dyn Presence>,
    node: NodeId,
    incarnation: String,
    view: View,
    every: Duration,
    lease: Duration,
) -> Infallible {
    let mut reached = true;
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let beat = Beat { incarnation: incarnation.clone(), acknowledged: view.snapshot().revision };
        let heard = tokio::time::timeout(lease, presence.beat(Member::Node(node), beat, lease)).await;
        let problem = match heard {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(super::operation::chain(&error)),
            Err(_) => Some("no answer".to_owned()),
        };
        match &problem {
            None if !reached => tracing::info!("agent: the node is heard again"),
            Some(problem) if reached => tracing::warn!(problem, "agent: the node is not heard"),
            _ => {}
        }
        reached = problem.is_none();
    }
}
