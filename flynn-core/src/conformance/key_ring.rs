//! What every [`KeyRing`] must do.
//!
//! [`key_ring_conformance!`](crate::key_ring_conformance) makes a test of each case.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::content::bytes;
use crate::noun::{AddonId, AppId, ProviderId};
use crate::port::{KeyRing, KeyRingError, SealedFor};
use crate::value::{KeyId, Sealed};

/// Makes the key rings that the suite is run against.
pub trait KeyRingHarness {
    /// The implementation under test.
    type Ring: KeyRing;

    /// A ring with keys of its own.
    fn ring(&self) -> Self::Ring;
}

const ID: Uuid = Uuid::from_u128(0x0190_a3c4_5b6d_7e8f_9a0b_1c2d_3e4f_5a6b);
const OBJECT: SealedFor = SealedFor::Env(AppId::from_uuid(ID));
const PLAIN: &[u8] = b"postgres://flynn:hunter2@db/app";

/// Opening gives what was sealed, whatever its length.
pub fn what_was_sealed_is_opened<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    for length in [0, 1, 15, 16, 17, 63, 64, 65, 4_096, 1_000_003] {
        let plain = bytes(length as u64, length);
        let sealed = ring.seal(OBJECT, &plain).unwrap();
        assert!(ring.open(OBJECT, &sealed).unwrap().expose() == plain, "{length} bytes");
    }
}

/// A value that is moved to another object, or to another use of the same one, cannot be opened.
pub fn a_value_is_for_one_object<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    let sealed = ring.seal(OBJECT, PLAIN).unwrap();
    let others = (0..128).map(|bit| Uuid::from_u128(ID.as_u128() ^ (1 << bit)));
    let others = others.chain([Uuid::nil(), Uuid::max()]).map(|id| SealedFor::Env(AppId::from_uuid(id)));
    let uses = [
        SealedFor::CertificateKey(AppId::from_uuid(ID)),
        SealedFor::DrainUrl(AppId::from_uuid(ID)),
        SealedFor::ProviderCredential(ProviderId::from_uuid(ID)),
        SealedFor::AddonEnv(AddonId::from_uuid(ID)),
    ];
    for other in others.chain(uses) {
        assert!(matches!(ring.open(other, &sealed), Err(KeyRingError::Forged)), "{other:?}");
    }
    ring.open(OBJECT, &sealed).unwrap();
}

/// Whichever bit is changed, the value is refused.
pub fn a_flipped_bit_anywhere_is_found<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    for plain in [PLAIN, b""] {
        let sealed = ring.seal(OBJECT, plain).unwrap();
        for bit in 0..sealed.bytes.len() * 8 {
            let mut changed = sealed.clone();
            changed.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(ring.open(OBJECT, &changed), Err(KeyRingError::Forged)), "bit {bit}");
        }
    }
}

/// A value of any other length is refused.
pub fn a_cut_or_extended_value_is_refused<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    let sealed = ring.seal(OBJECT, PLAIN).unwrap();
    for kept in 0..sealed.bytes.len() {
        for bytes in [&sealed.bytes[..kept], &sealed.bytes[sealed.bytes.len() - kept..]] {
            let cut = Sealed { bytes: bytes.to_vec(), ..sealed.clone() };
            assert!(matches!(ring.open(OBJECT, &cut), Err(KeyRingError::Forged)), "{kept} bytes");
        }
    }
    let mut extended = sealed;
    extended.bytes.push(0);
    assert!(matches!(ring.open(OBJECT, &extended), Err(KeyRingError::Forged)));
}

/// Which key is missing is said.
pub fn an_unknown_key_is_named<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    for unknown in ["", "unknown"] {
        let key = KeyId(unknown.into());
        let sealed = Sealed { key: key.clone(), ..ring.seal(OBJECT, PLAIN).unwrap() };
        assert!(matches!(ring.open(OBJECT, &sealed), Err(KeyRingError::UnknownKey(named)) if named == key));
    }
}

/// A ring opens nothing that another one sealed, also if the keys are given the same name.
pub fn rings_do_not_open_each_others_values<H: KeyRingHarness>(harness: &H) {
    let (ours, theirs) = (harness.ring(), harness.ring());
    let foreign = theirs.seal(OBJECT, PLAIN).unwrap();
    assert!(matches!(ours.open(OBJECT, &foreign), Err(KeyRingError::UnknownKey(_) | KeyRingError::Forged)));
    let renamed = Sealed { key: ours.seal(OBJECT, PLAIN).unwrap().key, ..foreign };
    assert!(matches!(ours.open(OBJECT, &renamed), Err(KeyRingError::Forged)));
}

/// Equal values cannot be told from their seals.
pub fn two_seals_of_one_value_differ<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    let seals: Vec<_> = (0..1_000).map(|_| ring.seal(OBJECT, PLAIN).unwrap()).collect();
    // Not even in part, as they would if a nonce were used twice.
    let parts = seals.iter().flat_map(|sealed| sealed.bytes.chunks_exact(8));
    let different: BTreeSet<&[u8]> = parts.clone().collect();
    assert_eq!(different.len(), parts.count());
}

/// The value is neither in its seal nor in what is printed of it.
pub fn a_seal_does_not_show_its_value<H: KeyRingHarness>(harness: &H) {
    let ring = harness.ring();
    let sealed = ring.seal(OBJECT, PLAIN).unwrap();
    for part in PLAIN.windows(4) {
        assert!(!sealed.bytes.windows(4).any(|other| other == part));
    }
    let printed = format!("{sealed:?} {:?}", ring.open(OBJECT, &sealed).unwrap());
    assert!(!printed.contains("hunter2") && !printed.contains(&format!("{PLAIN:?}")), "{printed}");
}

/// Makes one test of each case of the suite for key rings. The argument is an expression that makes a
/// [`KeyRingHarness`].
#[macro_export]
macro_rules! key_ring_conformance {
    ($harness:expr) => {
        $crate::key_ring_conformance!($harness; [
            what_was_sealed_is_opened, a_value_is_for_one_object, a_flipped_bit_anywhere_is_found,
            a_cut_or_extended_value_is_refused, an_unknown_key_is_named, rings_do_not_open_each_others_values,
            two_seals_of_one_value_differ, a_seal_does_not_show_its_value
        ]);
    };
    ($harness:expr; [$($case:ident),* $(,)?]) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::key_ring::$case(&$harness);
            }
        )*
    };
}
