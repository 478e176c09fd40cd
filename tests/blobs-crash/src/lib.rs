//! A writer of blobs that is there to be killed.

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number, brought below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }
}

/// Content that follows from a seed: often small, sometimes several chunks of a writer long.
pub fn content(seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let length = match numbers.below(4) {
        0 => numbers.below(100),
        1 | 2 => numbers.below(100_000),
        _ => numbers.below(1_500_000),
    };
    let words = std::iter::repeat_with(|| numbers.draw().to_le_bytes()).flatten();
    words.take(length as usize).collect()
}
