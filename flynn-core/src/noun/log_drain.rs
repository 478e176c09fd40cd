use crate::id::Id;
use crate::noun::AppId;
use crate::rule::{Footprint, Invalid, NounRules};
use crate::value::Sealed;

/// The id of a [`LogDrain`].
pub type LogDrainId = Id<LogDrain>;

/// A place outside that an app's log lines are sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDrain {
    /// The app.
    pub app: AppId,
    /// Where to send; it may hold credentials and so is sealed.
    pub url: Sealed,
}

impl NounRules for LogDrain {
    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.app != next.app {
            return Err(Invalid::new("app", "a log drain stays with its app"));
        }
        Ok(())
    }

    fn footprint(&self, _: LogDrainId, (): &()) -> Footprint {
        Footprint { app: Some(self.app), references: vec![self.app.into()], ..Footprint::default() }
    }
}
