//! Seats, epochs, and what a deposed leader can no longer do.

use std::time::Duration;

use crate::change::Change;
use crate::conformance::world::app;
use crate::conformance::{StoreHarness, World};
use crate::election::{Campaign, Epoch, Lease, Seat};
use crate::error::{Conflict, StoreError};
use crate::noun::{DeploymentId, DeploymentState, DeploymentStatus};
use crate::port::Elections;
use crate::rule::Principal;

const TERM: Duration = Duration::from_secs(10);

fn won(campaign: Campaign) -> Lease {
    match campaign {
        Campaign::Won(lease) => lease,
        Campaign::Held(lease) => panic!("held by {}", lease.holder),
    }
}

/// Nobody gets a seat before its lease is over; its holder renews it within the same epoch.
pub async fn a_seat_has_one_holder<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let ask = async |holder| world.store.campaign(Seat::Controller, holder, TERM).await.unwrap();
    let first = won(ask("a").await);
    assert!(matches!(ask("b").await, Campaign::Held(lease) if lease == first));
    world.clock.advance(TERM / 2);
    let renewed = won(ask("a").await);
    assert_eq!(renewed.epoch, first.epoch);
    assert!(renewed.until > first.until);
    world.clock.advance(TERM / 2);
    assert!(matches!(ask("b").await, Campaign::Held(_)));
    world.clock.advance(TERM / 2);
    assert!(won(ask("b").await).epoch > first.epoch);
    assert!(matches!(ask("a").await, Campaign::Held(_)));
}

/// Whoever lost the seat, knowing it or not, cannot write as its holder.
pub async fn a_deposed_leader_writes_nothing<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let write = async |epoch, name: &str| {
        world.commit_as(Principal::Controller(epoch), [Change::update(world.app, app(name))]).await
    };
    for epoch in [Epoch(0), Epoch(1)] {
        let refused = write(epoch, "usurper").await;
        assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::Deposed { .. }, .. })), "{refused:?}");
    }
    let first = won(world.store.campaign(Seat::Controller, "a", TERM).await.unwrap());
    write(first.epoch, "first").await.unwrap();
    world.clock.advance(TERM * 2);
    write(first.epoch, "late").await.expect("until somebody else is elected, the last leader leads");
    let second = won(world.store.campaign(Seat::Controller, "b", TERM).await.unwrap());
    match write(first.epoch, "later").await {
        Err(StoreError::Conflict { conflict: Conflict::Deposed { epoch, current }, .. }) => {
            assert_eq!((epoch, current), (first.epoch, second.epoch));
        }
        other => panic!("{other:?}"),
    }
    write(second.epoch, "second").await.unwrap();
}

/// A leader that goes in order leaves no gap; its epoch is over all the same.
pub async fn a_resigned_seat_is_free_at_once<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let first = won(world.store.campaign(Seat::Controller, "a", TERM).await.unwrap());
    world.store.resign(Seat::Controller, first.epoch).await.unwrap();
    let second = won(world.store.campaign(Seat::Controller, "b", TERM).await.unwrap());
    assert!(second.epoch > first.epoch);
    world.store.resign(Seat::Controller, first.epoch).await.unwrap();
    let held = world.store.campaign(Seat::Controller, "c", TERM).await.unwrap();
    assert!(matches!(held, Campaign::Held(lease) if lease == second), "an old epoch cannot give the seat away");
}

/// One seat says nothing of another, and the seat of a deployment is there as long as the deployment.
pub async fn seats_are_independent<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let deployment: DeploymentId = world.id();
    let ask = || world.store.campaign(Seat::Deployment(deployment), "b", TERM);
    assert!(matches!(ask().await, Err(StoreError::NotFound { .. })));
    world.commit([Change::create(deployment, world.team, world.deployment())]).await;
    won(world.store.campaign(Seat::Controller, "a", TERM).await.unwrap());
    assert_eq!(won(ask().await.unwrap()).epoch, Epoch(1));
    let done = DeploymentStatus { state: DeploymentState::Done, ..DeploymentStatus::default() };
    world.commit([Change::report(deployment, done)]).await;
    world.commit([Change::remove(deployment)]).await;
    assert!(matches!(ask().await, Err(StoreError::NotFound { .. })));
}
