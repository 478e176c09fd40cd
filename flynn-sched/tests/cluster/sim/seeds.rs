//! Which seeds a randomised test tries.

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

#[allow(clippy::disallowed_methods, reason = "tests are told their seeds by the environment")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

/// The seeds to try: the one in `FLYNN_SEED`, or as many as `FLYNN_SEEDS` says, or `few`.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    match number("FLYNN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLYNN_SEEDS").unwrap_or(few),
    }
}

/// Draws one case of `strategy` a seed and runs it; a case that fails is made as small as possible.
pub(crate) fn for_each_seed<S: Strategy>(test: &str, few: u64, strategy: &S, run: impl Fn(u64, S::Value))
where
    S::Value: Debug + Clone,
{
    for seed in seeds(few) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
        let outcome = TestRunner::new_with_rng(config, random).run(strategy, |case| {
            run(seed, case);
            Ok::<(), TestCaseError>(())
        });
        if let Err(TestError::Abort(reason)) = &outcome {
            panic!("seed {seed} was not tried: {reason}");
        }
        if let Err(TestError::Fail(reason, case)) = outcome {
            panic!(
                "seed {seed} fails: {reason}\nsmallest case: {case:#?}\n\
                 replay: FLYNN_SEED={seed} cargo test -p flynn-sched --test cluster {test}"
            );
        }
    }
}
