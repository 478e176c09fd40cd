//! The controller's pass: from what is, the changes that bring it closer to what is wanted.

mod assign;
mod builds;
mod converge;
mod deployments;
mod ledger;
mod members;
mod observed;
mod plan;
mod policy;
mod prepare;
mod replace;
mod retire;
mod stop;
mod teardown;

use flynn_core::noun::{App, AppLifecycle};
use flynn_core::port::Snapshot;
use flynn_core::{AppId, Ids, Timestamp};

pub use observed::{Marks, Observed};
pub use plan::{Draft, Plan};
pub use policy::{DEFAULT_RESOURCES, Policy, STABLE_AFTER};

use ledger::Ledger;
use members::Routers;

/// What all decisions of one pass go by.
struct Setting<'a> {
    now: Timestamp,
    policy: &'a Policy,
    observed: &'a Observed,
    routers: Routers,
}

/// Decides what the controller does next. It is a pure function: the same arguments give the same plan.
///
/// It reads a [`Scope::All`](flynn_core::Scope::All) snapshot and keeps nothing between two passes, so any
/// pass may be lost, repeated or cut short, and any controller can go on where another stopped. On a state
/// that needs nothing the plan is empty.
///
/// In this order: nodes and routers that came or went, what was lost with them; for each app the releases
/// that follow from builds, its deployment, the number of its instances, the replacement of those that
/// ended or wait for a node with a size that is not wanted any more, and the two steps of stopping; then nodes for everything that waits; then what is old enough to
/// go to the history.
pub fn pass(snapshot: &Snapshot, observed: &Observed, now: Timestamp, ids: &mut Ids, policy: &Policy) -> Plan {
    let mut ledger = Ledger::new(snapshot, now);
    members::judge_nodes(&mut ledger, observed, now, policy);
    members::judge_routers(&mut ledger, observed, now, policy);
    members::lose_work(&mut ledger, now);
    let routers = Routers::alive(ledger.objects(), observed, now);
    let setting = Setting { now, policy, observed, routers };
    let apps: Vec<(AppId, AppLifecycle)> =
        snapshot.objects.iter::<App>().map(|app| (app.id, app.spec.lifecycle)).collect();
    let mut cabinet = retire::Cabinet::of(&snapshot.objects);
    for (app, lifecycle) in apps {
        let files = cabinet.take(app);
        match lifecycle {
            AppLifecycle::Active => {
                builds::follow(&mut ledger, &setting, ids, app, &files);
                deployments::advance(&mut ledger, &setting, ids, app);
                converge::to_formation(&mut ledger, &setting, ids, app, &files);
                replace::ended(&mut ledger, &setting, ids, app);
                replace::resized(&mut ledger, &setting, ids, app);
                stop::replaced(&mut ledger, &setting, app);
                stop::go_on(&mut ledger, &setting, app);
                retire::old(&mut ledger, &setting, app, &files);
            }
            AppLifecycle::Destroying => {
                teardown::go_on(&mut ledger, &setting, app, &files);
                stop::go_on(&mut ledger, &setting, app);
            }
        }
    }
    assign::nodes(&mut ledger, &setting);
    ledger.into_plan()
}
