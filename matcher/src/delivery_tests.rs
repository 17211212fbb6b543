//! Deliveries of two layers beside the tables that would have come whole. In: made tables. Out: passes, or a row that differs.
//! Invariant under test: no reader behind [`Delivery`] can tell base and changes from a whole delivery.
//! Specification: protocol/SPEC.md, "Changes".

use super::*;

/// A handle that stands where pseudo-random ones would; `spread` in 1/256 of all.
fn spread(number: u64, of: u64) -> Handle {
    let head = (u128::from(number) << 64) / u128::from(of);
    let mut handle = [7; 16];
    handle[..8].copy_from_slice(&u64::try_from(head).unwrap().to_be_bytes());
    Handle(handle)
}

fn table(folder: &Path, name: &str, handles: &[(Handle, u16)]) {
    std::fs::create_dir_all(folder).unwrap();
    let mut rows: Vec<Vec<u8>> = handles
        .iter()
        .map(|(handle, bits)| [&handle.0[..], &bits.to_be_bytes(), &[0, 0]].concat())
        .collect();
    rows.sort();
    std::fs::write(folder.join(name), rows.concat()).unwrap();
}

/// 3,000 records, of which every seventh is gone and every fourteenth came back with another bitmap, and 200 that are new.
fn layers(folder: &Path) -> (Delivery, BTreeMap<Handle, u16>) {
    let all: Vec<(Handle, u16)> = (0..3000).map(|n| (spread(3 * n, 9000), 1)).collect();
    let mut whole: BTreeMap<Handle, u16> = all.iter().copied().collect();
    let mut come = Vec::new();
    let mut gone = Vec::new();
    for (number, (handle, _)) in all.iter().enumerate() {
        if number % 7 == 0 {
            gone.push(*handle);
            whole.remove(handle);
        }
        if number % 14 == 0 {
            come.push((*handle, 2));
        }
    }
    come.extend((0..200).map(|n| (spread(3 * n * 15 + 1, 9000), 3)));
    whole.extend(come.iter().copied());
    table(&folder.join("base"), PRESENCE, &all);
    table(&folder.join("changes"), PRESENCE, &come);
    gone.sort();
    let bytes: Vec<u8> = gone.iter().flat_map(|handle| handle.0).collect();
    std::fs::write(folder.join("changes").join(GONE), bytes).unwrap();
    let delivery = Delivery::changed(folder.join("base"), folder.join("changes"));
    (delivery.ok().unwrap(), whole)
}

#[test]
fn rows_are_those_of_the_whole_delivery_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let (delivery, whole) = layers(folder.path());
    // All, none, few (which are looked for) and many (for which the table is read).
    for step in [1, 2, 13, 400, 8999] {
        let wanted: BTreeSet<Handle> = (0..9000).step_by(step).map(|n| spread(n, 9000)).collect();
        let mut got = Vec::new();
        delivery
            .select(PRESENCE, PRESENCE_ROW_BYTES, &wanted, |handle, row| {
                got.push((handle, u16::from_be_bytes([row[16], row[17]])));
            })
            .ok()
            .unwrap();
        let expected: Vec<_> = whole
            .iter()
            .filter(|(handle, _)| wanted.contains(handle))
            .map(|(handle, bits)| (*handle, *bits))
            .collect();
        assert!(got == expected, "every {step}");
    }
}

#[test]
fn records_are_drawn_as_from_the_whole_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let (delivery, whole) = layers(folder.path());
    let mut records = delivery.records().ok().unwrap();
    assert_eq!(records.count(), whole.len() as u64);
    for number in 0..18_000 {
        let drawn = spread(number, 18_000);
        let first = whole.range(drawn..).next().or_else(|| whole.iter().next());
        let found = records.at_or_after(drawn).ok().unwrap();
        assert!(
            Some(found) == first.map(|(handle, _)| *handle),
            "draw {number}"
        );
    }
    let last = records.at_or_after(Handle([255; 16])).ok().unwrap();
    assert!(Some(&last) == whole.keys().next());
}

/// Handles that are anything but evenly spread are found all the same, few or many, in a table of several blocks.
#[test]
fn every_wanted_row_of_a_crowded_table_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let crowded: Vec<(Handle, u16)> = (0..40_000_u64)
        .map(|n| {
            let mut handle = [0; 16];
            handle[8..].copy_from_slice(&(n * n).to_be_bytes());
            (Handle(handle), 1)
        })
        .collect();
    table(folder.path(), PRESENCE, &crowded);
    let path = folder.path().join(PRESENCE);
    let nobody = BTreeSet::from([Handle([0xff; 16]), Handle([1; 16]), Handle([0x11; 16])]);
    for step in [3999, 1000, 7, 1] {
        let some: BTreeSet<Handle> = crowded
            .iter()
            .step_by(step)
            .map(|(handle, _)| *handle)
            .collect();
        // A value between two handles as well.
        let mut wanted: BTreeSet<Handle> = some.union(&nobody).copied().collect();
        wanted.insert(Handle([&[0; 14][..], &[1, 3]].concat().try_into().unwrap()));
        let mut got = BTreeSet::new();
        select(&path, PRESENCE_ROW_BYTES, &wanted, |handle, row| {
            assert!(row[..16] == handle.0);
            got.insert(handle);
        })
        .ok()
        .unwrap();
        assert!(got == some, "every {step}");
    }
}
