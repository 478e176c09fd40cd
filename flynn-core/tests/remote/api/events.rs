use std::time::Duration;

use flynn_core::Change;
use flynn_core::api::{Event, EventQuery};
use flynn_core::client::{ApiError, EventNews, Events};
use flynn_core::noun::{JobState, Role, Team, TeamId};
use tokio::time::timeout;

use super::Served;

async fn next(events: &mut Events) -> EventNews {
    timeout(Duration::from_secs(20), events.next()).await.expect("news").unwrap().expect("more")
}

async fn change(events: &mut Events) -> Event {
    match next(events).await {
        EventNews::Change(event) => event,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn changes_of_the_own_team_are_followed() {
    let served = Served::new().await;
    let api = served.person(Role::Viewer).await;
    let mut events = api.events(&EventQuery::default()).await.unwrap();
    let other: TeamId = served.world().id();
    served.commit([Change::create(other, TeamId::SYSTEM, Team { name: "blue".parse().unwrap() })]).await;
    let job = served.world().create_job(1).await;
    served.place(job).await;
    served.report(job, JobState::Starting).await;
    let created = change(&mut events).await;
    assert_eq!((created.kind.as_str(), created.id.clone()), ("job", job.to_string()), "not the other team");
    assert_eq!((created.change.as_str(), created.app), ("put", Some(served.world().app)));
    assert_eq!(created.state.as_deref(), Some("pending"));
    let placed = change(&mut events).await;
    let starting = change(&mut events).await;
    assert_eq!(starting.state.as_deref(), Some("starting"));
    assert!(created.revision < placed.revision && placed.revision < starting.revision);
    let after = Some(created.revision);
    let mut again = api.events(&EventQuery { after, app: Some("web".into()), team: None }).await.unwrap();
    assert_eq!(change(&mut again).await, placed);
    assert_eq!(change(&mut again).await, starting);
}

#[tokio::test]
async fn who_comes_too_late_is_told_to_read_again() {
    let served = Served::of(super::super::site::brief().await).await;
    let api = served.person(Role::Viewer).await;
    for instance in 1..5 {
        served.world().create_job(instance).await;
    }
    served.seen().await;
    let after = Some(1);
    let mut events = api.events(&EventQuery { after, ..EventQuery::default() }).await.unwrap();
    assert!(matches!(next(&mut events).await, EventNews::Reload(_)));
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test]
async fn what_may_not_be_read_is_not_followed() {
    let served = Served::new().await;
    let other: TeamId = served.world().id();
    served.commit([Change::create(other, TeamId::SYSTEM, Team { name: "blue".parse().unwrap() })]).await;
    let api = served.person(Role::Viewer).await;
    let foreign = api.events(&EventQuery { team: Some("blue".into()), ..EventQuery::default() }).await;
    assert!(matches!(foreign, Err(ApiError::NotFound { .. })), "{foreign:?}");
}
