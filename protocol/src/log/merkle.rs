//! Merkle trees as in RFC 6962 §2.1. In: leaf hashes. Out: roots, audit paths; whether a path leads to a root. Invariant: leaves
//! and inner nodes are hashed with different first bytes, so that neither can stand for the other; a path has exactly
//! the length that the tree's size asks for. Specification: protocol/SPEC.md, "Log".

use std::collections::{BTreeMap, BTreeSet};

use crate::primitive::sha256;

/// A hash of the tree: SHA-256.
pub type Hash = [u8; 32];

/// Hash of an entry: `H(0 ‖ entry)`.
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Hash of two subtrees: `H(1 ‖ left ‖ right)`.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Root over the leaves; `H("")` over none (RFC 6962 §2.1).
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// Roots over the first leaves, for each of `sizes` that there are so many of; one walk over the leaves for all.
pub fn roots(leaves: &[Hash], sizes: &BTreeSet<usize>) -> BTreeMap<usize, Hash> {
    // Roots of full subtrees, the larger before the smaller: one for each bit of the size.
    let mut full: Vec<Hash> = Vec::new();
    let mut roots = BTreeMap::new();
    for size in 0..=leaves.len() {
        if let Some(leaf) = size.checked_sub(1).map(|last| leaves[last]) {
            let grown = (0..size.trailing_zeros()).fold(leaf, |right, _| {
                full.pop().map_or(right, |left| node(&left, &right))
            });
            full.push(grown);
        }
        if sizes.contains(&size) {
            let all = full.iter().rev().copied();
            let root = all.reduce(|right, left| node(&left, &right));
            roots.insert(size, root.unwrap_or_else(|| sha256(&[])));
        }
    }
    roots
}

/// The largest power of two below `n`, which is 2 at least.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

/// Audit path of the leaf at `index`, from the leaf upwards (RFC 6962 §2.1.1); `None` if there is no such leaf.
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    match leaves {
        _ if index >= leaves.len() => None,
        [_] => Some(Vec::new()),
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            let (mut inner, other) = match index.checked_sub(left.len()) {
                None => (path(left, index)?, root(right)),
                Some(index) => (path(right, index)?, root(left)),
            };
            inner.push(other);
            Some(inner)
        }
    }
}

/// The root to which a path leads from a leaf (RFC 9162 §2.1.3.2); `None` if the path is not one of a tree of this size.
pub fn root_of_path(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            // A node without a sibling goes up unchanged.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::hex;

    /// The eight leaves and roots that the tests of Certificate Transparency use
    /// (google/certificate-transparency, `merkletree` reference data, Apache-2.0).
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
        for (n, expected) in (1..).zip(roots) {
            assert_eq!(hex(&root(&leaves[..n])), expected, "{n}");
        }
        assert_eq!(
            hex(&root(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    /// Roots of all beginnings at once are the roots one by one; of what is longer there is none.
    #[test]
    fn roots_of_beginnings_are_their_roots() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf(&[n])).collect();
        let all = roots(&leaves, &(0..100).collect());
        assert_eq!(all.len(), 71);
        assert!((0..=70).all(|size| all[&size] == root(&leaves[..size])));
        let some = roots(&leaves, &BTreeSet::from([3, 64, 71]));
        assert!(some.into_iter().eq([3, 64].map(|size| (size, all[&size]))));
    }

    /// Every path of every small tree leads to its root, and from nowhere else.
    #[test]
    fn a_path_leads_to_its_root_only_from_its_place() {
        let leaves: Vec<Hash> = (0..40_u8).map(|n| leaf(&[n])).collect();
        for size in 1..=leaves.len() {
            let tree = &leaves[..size];
            let whole = root(tree);
            for (index, own) in tree.iter().enumerate() {
                let path = path(tree, index).unwrap();
                let leads = |leaf: &Hash, index: usize, path: &[Hash]| {
                    root_of_path(leaf, index as u64, size as u64, path) == Some(whole)
                };
                assert!(leads(own, index, &path));
                let others = (0..size).filter(|other| *other != index);
                assert!(!others.into_iter().any(|other| leads(own, other, &path)));
                assert!(!leads(&leaf(b"x"), index, &path));
                assert!(!leads(own, index, &[&path[..], &[[0; 32]]].concat()));
                if let Some((_, short)) = path.split_last() {
                    assert!(!leads(own, index, short));
                }
            }
            assert_eq!(path(tree, size), None);
            assert_eq!(
                root_of_path(&leaves[0], size as u64, size as u64, &[]),
                None
            );
        }
    }
}
