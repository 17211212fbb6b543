//! The ceremony step by step in one process. In: two custodians with folders of their own and one between them. Out: one key
//! of the epoch, or what was done out of turn.
//! Invariant under test: a step waits for what it needs, and no key is made twice; SPEC.md, "Key ceremony".

use frost_ristretto255::rand_core::RngCore;
use hedui_protocol::epoch::ConfirmedEpoch;

use super::*;
use crate::custodian::ledger::{DESTROYED, Event, MADE};
use crate::custodian::test_site::Site;
use crate::store_tests::{identity, in_force};

#[test]
fn two_custodians_make_one_key_and_keep_nothing_else() {
    let site = Site::made();
    let texts = [0, 1].map(|at| std::fs::read_to_string(site.record(at)).unwrap());
    let confirmed = ConfirmedEpoch::gather(&site.agreement, &texts).unwrap();
    for at in 0..2 {
        site.at(at, |desk| {
            let vault = desk.vault();
            let share = share_of(&vault.read(SHARE).unwrap().unwrap()).unwrap();
            assert!(*share.public() == confirmed.record().shares[at].1);
            for name in LEFTOVERS {
                assert!(!vault.holds(name).unwrap(), "{name}");
            }
            assert!(vault.holds(RECORD).unwrap());
        });
        assert_eq!(site.run(at), "ready");
        site.at(at, |desk| assert!(!desk.vault().holds(SECOND_OUT).unwrap()));
    }
}

#[test]
fn a_lost_record_is_delivered_again_and_a_changed_one_never_replaced() {
    let site = Site::made();
    let text = std::fs::read(site.record(0)).unwrap();
    std::fs::remove_file(site.record(0)).unwrap();
    assert_eq!(site.run(0), "ready");
    assert_eq!(std::fs::read(site.record(0)).unwrap(), text);
    std::fs::write(site.record(0), "something else").unwrap();
    let said = site.run(0);
    assert!(
        said.contains("not the record that this custodian keeps"),
        "{said}"
    );
    assert_eq!(std::fs::read(site.record(0)).unwrap(), b"something else");
}

#[test]
fn an_epoch_has_one_ceremony() {
    let site = Site::made();
    site.at(0, |desk| {
        assert!(desk.vault().destroy(SHARE).unwrap());
    });
    let said = site.run(0);
    assert!(
        said.contains("the share of this custodian is lost"),
        "{said}"
    );
    // With every record gone, the log still knows of a share.
    for at in 0..2 {
        std::fs::remove_file(site.record(at)).unwrap();
    }
    site.at(0, |desk| {
        let vault = desk.vault();
        let mut ledger = Ledger::open(desk.state, desk.agreement, &vault).unwrap();
        ledger
            .append(Event::share(MADE), "2016-07-01T00:00:00Z")
            .unwrap();
    });
    let said = site.run(0);
    assert!(
        said.contains("the share of this custodian is lost"),
        "{said}"
    );
    site.at(0, |desk| {
        let vault = desk.vault();
        let mut ledger = Ledger::open(desk.state, desk.agreement, &vault).unwrap();
        ledger
            .append(Event::share(DESTROYED), "2016-07-01T00:00:00Z")
            .unwrap();
    });
    assert!(site.run(0).contains("was destroyed"));
    site.at(1, |desk| desk.vault().write(GONE, b"").unwrap());
    assert!(
        site.run(1).contains("was destroyed"),
        "with its share still here"
    );
}

/// A record in the folder where nobody has begun: this custodian's part in it is lost.
#[test]
fn nothing_is_begun_beside_a_record() {
    let (site, other) = (Site::made(), Site::new());
    std::fs::copy(site.record(1), other.record(1)).unwrap();
    let said = other.run(0);
    assert!(
        said.contains("the share of this custodian is lost"),
        "{said}"
    );
    std::fs::write(other.record(1), "spoilt").unwrap();
    let said = other.run(0);
    assert!(
        said.contains("no record that its custodian has signed"),
        "{said}"
    );
}

#[test]
fn custodians_are_counted_from_one_and_known_by_their_keys() {
    let agreement = in_force(1);
    let index = |name: &str, seed: u8| index_of(&agreement, &identity(name, seed)).ok();
    assert_eq!((index("c1", 3), index("c2", 4)), (Some(1), Some(2)));
    assert_eq!(
        (index("c1", 9), index("office", 1), index("nobody", 3)),
        (None, None, None)
    );
    let site = Site::new();
    site.at(0, |desk| {
        assert_eq!(
            [0, 1, 2, 3].map(|index| desk.name_of(index)),
            ["", "c1", "c2", ""]
        );
        let others = desk.others();
        let have = |index: Index| BTreeMap::from([(index, ())]);
        assert_eq!(missing(&others, &have(1)), ["c2"]);
        assert!(missing(&others, &have(2)).is_empty());
    });
}

#[test]
fn kept_scalars_are_read_as_they_are() {
    let five = Scalar::from(5_u8);
    assert!(ceremony_scalar(five.as_bytes()).is_ok_and(|scalar| *scalar == five));
    assert!(ceremony_scalar(&[255; 32]).is_err());
    assert!(share_of(five.as_bytes()).is_ok() && share_of(&[5; 31]).is_err());
}

/// However the library asks, every byte is of the system.
#[test]
fn randomness_is_the_systems() {
    let mut rng = SystemRng(Ok(()));
    let mut drawn = [[0; 80]; 3];
    rng.fill_bytes(&mut drawn[0]);
    rng.try_fill_bytes(&mut drawn[1]).unwrap();
    rng.fill_bytes(&mut drawn[2]);
    let parts = drawn.as_flattened().chunks(16);
    let distinct: std::collections::BTreeSet<&[u8]> = parts.collect();
    assert!(rng.0.is_ok() && distinct.len() == 15);
    assert_ne!(rng.next_u64(), rng.next_u64());
    assert_ne!(
        [rng.next_u32(), rng.next_u32()],
        [rng.next_u32(), rng.next_u32()]
    );
}
