//! Numbers that look random and are a function of a seed and an id.

use flynn_core::Id;

/// A number drawn from `seed` for `id`.
///
/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub(crate) fn draw<N>(seed: u64, id: Id<N>) -> u64 {
    let (high, low) = id.uuid().as_u64_pair();
    mix(mix(mix(seed) ^ high) ^ low)
}

/// Spreads the bits of a number over all bits.
pub(crate) fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
