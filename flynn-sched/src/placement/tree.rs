use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Score;

/// A leaf that must not be chosen.
pub(super) const NONE: Score = Score::MIN;

const WIDTH: usize = 16;

/// A tournament over a fixed row of leaves: each inner node has the greatest score below it.
///
/// The best leaf is the first one with the greatest score. A change touches as many levels as it must, in blocks that
/// lie side by side in memory.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The leaves, then their greatest in blocks of `WIDTH`, and so on up to a level of one block.
    levels: Vec<Vec<Score>>,
}

impl Tree {
    /// A tree of `leaves` leaves, none of which can be chosen.
    pub(super) fn new(leaves: usize) -> Self {
        let mut levels = Vec::new();
        let mut length = leaves.max(1).next_multiple_of(WIDTH);
        loop {
            levels.push(vec![NONE; length]);
            if length == WIDTH {
                return Self { levels };
            }
            length = (length / WIDTH).next_multiple_of(WIDTH);
        }
    }

    pub(super) fn get(&self, leaf: usize) -> Score {
        self.levels[0][leaf]
    }

    pub(super) fn set(&mut self, leaf: usize, score: Score) {
        let (mut at, mut score) = (leaf, score);
        for level in 0..self.levels.len() {
            let old = std::mem::replace(&mut self.levels[level][at], score);
            let Some(above) = self.levels.get(level + 1).map(|level| level[at / WIDTH]) else {
                return;
            };
            let block = at / WIDTH * WIDTH;
            let greatest = if score >= above {
                score
            } else if old == above {
                greatest(&self.levels[level][block..block + WIDTH])
            } else {
                return;
            };
            if greatest == above {
                return;
            }
            (at, score) = (at / WIDTH, greatest);
        }
    }

    /// The first leaf with the greatest score, and that score.
    pub(super) fn best(&self) -> Option<(usize, Score)> {
        let top = self.levels.last()?;
        let score = greatest(top);
        if score == NONE {
            return None;
        }
        let mut block = 0;
        for level in self.levels.iter().rev() {
            let found = level[block..block + WIDTH].iter().position(|of| *of == score)?;
            block = (block + found) * WIDTH;
        }
        Some((block / WIDTH, score))
    }

    /// The first leaf with the greatest score among those that `accept` takes. Leaves are offered from the best down.
    pub(super) fn best_where(&self, mut accept: impl FnMut(usize) -> bool) -> Option<(usize, Score)> {
        let (leaf, score) = self.best()?;
        if accept(leaf) {
            return Some((leaf, score));
        }
        // What begins further left comes first among equals, so a leaf is taken only when nothing that may hold an
        // equal leaf before it is left.
        let mut open: BinaryHeap<(Score, Reverse<usize>, usize)> = BinaryHeap::new();
        let mut span = 1;
        for _ in 1..self.levels.len() {
            span *= WIDTH;
        }
        let expand = |open: &mut BinaryHeap<_>, level: usize, block: usize, span: usize| {
            let scores = self.levels[level][block..block + WIDTH].iter().enumerate();
            open.extend(
                scores
                    .filter(|(_, score)| **score != NONE)
                    .map(|(at, score)| (*score, Reverse((block + at) * span), level)),
            );
        };
        expand(&mut open, self.levels.len() - 1, 0, span);
        while let Some((score, Reverse(first), level)) = open.pop() {
            if level > 0 {
                let below = WIDTH.pow(u32::try_from(level).ok()? - 1);
                expand(&mut open, level - 1, first / below, below);
            } else if accept(first) {
                return Some((first, score));
            }
        }
        None
    }
}

fn greatest(scores: &[Score]) -> Score {
    scores.iter().copied().max().unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn first_best(leaves: &[Score], accept: impl Fn(usize) -> bool) -> Option<(usize, Score)> {
        let open = leaves.iter().copied().enumerate().filter(|(leaf, score)| *score != NONE && accept(*leaf));
        open.max_by_key(|(leaf, score)| (*score, Reverse(*leaf)))
    }

    proptest! {
        #[test]
        fn the_best_is_the_first_of_the_greatest(
            count in 1..700usize,
            changes in vec((any::<prop::sample::Index>(), prop_oneof![Just(NONE), 0..5i64]), 0..400),
            stride in 1..9usize,
        ) {
            let (mut tree, mut leaves) = (Tree::new(count), vec![NONE; count]);
            for (index, (at, score)) in changes.iter().enumerate() {
                let leaf = at.index(count);
                tree.set(leaf, *score);
                leaves[leaf] = *score;
                prop_assert_eq!(tree.get(leaf), *score);
                if index % 16 == 0 {
                    prop_assert_eq!(tree.best(), first_best(&leaves, |_| true));
                    let accept = |leaf: usize| leaf % 9 >= stride;
                    prop_assert_eq!(tree.best_where(accept), first_best(&leaves, accept));
                }
            }
        }
    }
}
