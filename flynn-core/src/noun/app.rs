use crate::id::Id;
use crate::name::AppName;
use crate::noun::DeployMode;
use crate::noun::release::ReleaseId;
use crate::rule::{Claim, Footprint, Invalid, NounRules, Usage, check_env};
use crate::value::Env;

/// The id of an [`App`].
pub type AppId = Id<App>;

/// Something a team deploys: releases, processes and routes hang from it.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Its name, unique in the cluster.
    pub name: AppName,
    /// Whether it is to live or to be taken apart.
    pub lifecycle: AppLifecycle,
    /// Whether the router answers with the maintenance page instead of the app.
    pub traffic: Traffic,
    /// Its configuration. The next release takes a copy.
    pub env: Env,
    /// How its deployments go; as is usual on the platform if it says nothing.
    pub deploys: Option<DeployMode>,
}

impl App {
    /// An active app without configuration.
    pub fn new(name: AppName) -> Self {
        Self { name, lifecycle: AppLifecycle::Active, traffic: Traffic::Serve, env: Env::new(), deploys: None }
    }
}

/// What is intended for an app as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppLifecycle {
    /// It runs.
    Active,
    /// Its jobs are stopped, what hangs from it is removed, and last the app itself. There is no way back.
    Destroying,
}

/// What the router does with an app's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Pass them to the app.
    Serve,
    /// Answer with the maintenance page.
    Maintenance,
}

/// What is known of an app.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AppStatus {
    /// The release whose deployment finished last.
    pub release: Option<ReleaseId>,
}

impl NounRules for App {
    fn validate(&self) -> Result<(), Invalid> {
        check_env("env", &self.env)?;
        match &self.deploys {
            Some(mode) => DeployMode::check("deploys.", &mode.strategy, &mode.policy),
            None => Ok(()),
        }
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.lifecycle == AppLifecycle::Destroying && next.lifecycle != AppLifecycle::Destroying {
            return Err(Invalid::new(
                "lifecycle",
                "an app that is being destroyed cannot be brought back: create another",
            ));
        }
        Ok(())
    }

    fn footprint(&self, id: AppId, _: &AppStatus) -> Footprint {
        Footprint {
            app: Some(id),
            claims: vec![Claim::AppName(self.name.clone())],
            usage: Usage { apps: 1, ..Usage::ZERO },
            ..Footprint::default()
        }
    }
}
