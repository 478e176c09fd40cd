use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use flynn_core::{AppId, JobId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::shim::{read_json, write_json};

/// What has been given to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) job: JobId,
    pub(crate) app: AppId,
    pub(crate) address: Ipv4Addr,
    /// Stands for the app in the rules. Jobs of one app share it while there are any.
    pub(crate) number: u32,
    /// Whether everything was made that belongs to it.
    pub(crate) complete: bool,
}

/// An address that is not given out before a certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quarantine {
    pub(crate) address: Ipv4Addr,
    pub(crate) until: Timestamp,
}

/// The leases and quarantines of one network, in files.
#[derive(Debug)]
pub(crate) struct Records {
    leases: PathBuf,
    quarantines: PathBuf,
}

impl Records {
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let records = Self { leases: directory.join("leases"), quarantines: directory.join("quarantines") };
        for directory in [&records.leases, &records.quarantines] {
            fs::create_dir_all(directory)?;
        }
        Ok(records)
    }

    pub(crate) fn leases(&self) -> io::Result<BTreeMap<JobId, Lease>> {
        Ok(read_all::<Lease>(&self.leases)?.into_iter().map(|lease| (lease.job, lease)).collect())
    }

    pub(crate) fn quarantines(&self) -> io::Result<Vec<Quarantine>> {
        read_all(&self.quarantines)
    }

    pub(crate) fn put(&self, lease: &Lease) -> io::Result<()> {
        write_json(&self.leases.join(format!("{}.json", lease.job)), lease)
    }

    /// Ends a lease; its address rests until the given time.
    pub(crate) fn end(&self, lease: &Lease, until: Timestamp) -> io::Result<()> {
        let quarantine = Quarantine { address: lease.address, until };
        write_json(&self.quarantines.join(format!("{}.json", lease.address)), &quarantine)?;
        fs::remove_file(self.leases.join(format!("{}.json", lease.job)))
    }

    /// Forgets the quarantines that are over.
    pub(crate) fn forget(&self, over: &[Quarantine]) -> io::Result<()> {
        over.iter().try_for_each(|one| fs::remove_file(self.quarantines.join(format!("{}.json", one.address))))
    }
}

fn read_all<T: serde::de::DeserializeOwned>(directory: &Path) -> io::Result<Vec<T>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            all.extend(read_json(&path)?);
        }
    }
    Ok(all)
}

/// What a new job is given, decided from all there is. None if no address is free.
pub(crate) fn lease(
    job: JobId,
    app: AppId,
    leases: &BTreeMap<JobId, Lease>,
    resting: &[Quarantine],
    subnet: super::Subnet,
) -> Option<Lease> {
    let taken: BTreeSet<_> =
        leases.values().map(|lease| lease.address).chain(resting.iter().map(|one| one.address)).collect();
    let address = subnet.lowest_free(&taken)?;
    let known = leases.values().find(|lease| lease.app == app).map(|lease| lease.number);
    let numbers: BTreeSet<_> = leases.values().map(|lease| lease.number).collect();
    let number = known.or_else(|| (1..).find(|number| !numbers.contains(number)))?;
    Some(Lease { job, app, address, number, complete: false })
}

#[cfg(test)]
mod tests {
    use flynn_core::Ids;

    use super::*;

    #[test]
    fn apps_keep_their_number_and_addresses_rest() {
        let subnet = "10.0.0.0/28".parse().unwrap();
        let mut ids = Ids::seeded(1);
        let (one, two) = (ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH));
        let mut leases = BTreeMap::new();
        let mut give = |app, resting: &[Quarantine]| {
            let new = lease(ids.next(Timestamp::EPOCH), app, &leases, resting, subnet)?;
            leases.insert(new.job, new.clone());
            Some((new.number, new.address.octets()[3]))
        };
        assert_eq!(give(one, &[]), Some((1, 2)));
        assert_eq!(give(two, &[]), Some((2, 3)));
        let resting = [Quarantine { address: [10, 0, 0, 4].into(), until: Timestamp::EPOCH }];
        assert_eq!(give(one, &resting), Some((1, 5)));
        let rest: Vec<_> = std::iter::from_fn(|| give(one, &resting)).collect();
        assert_eq!(rest.len(), 9);
    }
}
