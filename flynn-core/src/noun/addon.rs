use std::collections::BTreeSet;

use crate::id::Id;
use crate::name::ProviderName;
use crate::noun::AppId;
use crate::rule::{Claim, Footprint, Invalid, NounRules, Owner, check_env, check_length, check_text};
use crate::value::{Env, Sealed};

/// The id of a [`Provider`].
pub type ProviderId = Id<Provider>;

/// A service that makes add-ons, such as databases.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Its name, unique in the cluster.
    pub name: ProviderName,
    /// Where it is asked.
    pub url: String,
    /// What it is asked with.
    pub credential: Option<Sealed>,
}

/// The id of an [`Addon`].
pub type AddonId = Id<Addon>;

/// One resource made by a provider, such as a database, and the apps that use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Addon {
    /// Who makes it.
    pub provider: ProviderId,
    /// The plan asked for, in the provider's words.
    pub plan: String,
    /// The apps it is attached to, all of the add-on's team.
    pub apps: BTreeSet<AppId>,
}

/// What is known of an add-on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddonStatus {
    /// The provider's own name for it, once it is made.
    pub external: Option<String>,
    /// What attached apps get in their environment.
    pub env: Env,
    /// Why it could not be made, if it could not.
    pub problem: Option<String>,
}

impl NounRules for Provider {
    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn validate(&self) -> Result<(), Invalid> {
        check_text("url", &self.url, 2_048)
    }

    fn footprint(&self, _: ProviderId, (): &()) -> Footprint {
        Footprint { claims: vec![Claim::ProviderName(self.name.clone())], ..Footprint::default() }
    }
}

impl NounRules for Addon {
    fn validate(&self) -> Result<(), Invalid> {
        if self.apps.len() > 100 {
            return Err(Invalid::new("apps", "at most 100 apps"));
        }
        check_text("plan", &self.plan, 256)
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.provider != next.provider {
            return Err(Invalid::new("provider", "an add-on stays with its provider"));
        }
        Ok(())
    }

    fn validate_report(&self, _: &AddonStatus, new: &AddonStatus) -> Result<(), Invalid> {
        check_text("external", new.external.as_deref().unwrap_or_default(), 1_024)?;
        check_length("problem", new.problem.as_deref().unwrap_or_default())?;
        check_env("env", &new.env)
    }

    fn footprint(&self, _: AddonId, _: &AddonStatus) -> Footprint {
        let apps = self.apps.iter().map(|app| (*app).into());
        Footprint { references: apps.chain([self.provider.into()]).collect(), ..Footprint::default() }
    }
}
