use flynn_core::value::Dimension;

use super::{Asked, POINT, Policy, Score};
use crate::placement::{Demand, Site};

/// The node with the fewest instances of the same group, then the one whose scarcest resource would be used least.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpreadOut;

impl Policy for SpreadOut {
    fn score(&self, demand: &Demand, site: &Site, _: Asked) -> Score {
        let (usable, free) = (&site.host().usable, site.free());
        let whole = 100 * POINT;
        let left = |usable: u64, free: u64, asked: u64| match usable {
            0 => whole,
            _ => {
                let left = u128::from(free.saturating_sub(asked)) * whole.unsigned_abs() as u128 / u128::from(usable);
                Score::try_from(left).unwrap_or(whole)
            }
        };
        let resources = Dimension::ALL.into_iter().map(|dimension| {
            let of = |amounts: &flynn_core::value::Resources| amounts.get(dimension);
            left(of(&usable.resources), of(&free.resources), of(&demand.resources))
        });
        let gpus = left(usable.gpus.total().into(), free.gpus.total().into(), demand.gpus.total().into());
        resources.fold(gpus, Score::min)
    }

    fn keeps_apart(&self) -> bool {
        true
    }
}
