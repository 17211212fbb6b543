//! Optimal assignment. In: weighted edges between two sides. Out: the edges of a heaviest matching, and how clearly each
//! beats every matching without it. Invariant: no end is in two chosen edges; the same edges in the same order give the
//! same choice on any machine (whole-number weights, ties by order).
//! Method: shortest augmenting paths with potentials (Tomizawa 1971, Edmonds and Karp 1972), each component for itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// An edge between record `left` of one side and record `right` of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Record of the left side.
    pub left: u32,
    /// Record of the right side.
    pub right: u32,
    /// What it is worth to choose it; an edge of 0 or less is never chosen.
    pub weight: i64,
}

/// A chosen edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Place among the edges given.
    pub edge: usize,
    /// What the heaviest matching without it lacks, at most the bound asked for. 0: another is as good.
    pub lead: i64,
}

/// Most edges of a component for which leads are computed exactly; in larger ones a lead is that over the heaviest
/// neighbours together, which is never more.
const EXACT_EDGES: usize = 400;

/// The heaviest matching of `edges`; leads are counted up to `bound`.
pub fn heaviest(edges: &[Edge], bound: i64) -> Vec<Chosen> {
    let mut chosen = Vec::new();
    for component in components(edges) {
        let own: Vec<Edge> = component.iter().map(|at| edges[*at]).collect();
        let solved = solve(&own);
        let neighbours = Neighbours::new(&own);
        let all: i64 = solved.iter().map(|at| own[*at].weight).sum();
        for at in solved {
            let nearest = neighbours.lead(&own, at).min(bound);
            let lead = if nearest < bound && own.len() <= EXACT_EDGES {
                let mut others = own.clone();
                others.remove(at);
                let second: i64 = solve(&others).iter().map(|at| others[*at].weight).sum();
                (all - second).min(bound)
            } else {
                nearest
            };
            chosen.push(Chosen {
                edge: component[at],
                lead,
            });
        }
    }
    chosen.sort_unstable_by_key(|chosen| chosen.edge);
    chosen
}

/// The two heaviest edges at each end, with their places.
struct Neighbours(BTreeMap<(bool, u32), [(i64, usize); 2]>);

impl Neighbours {
    fn new(edges: &[Edge]) -> Self {
        let mut heaviest = BTreeMap::new();
        for (at, edge) in edges.iter().enumerate() {
            for end in [(false, edge.left), (true, edge.right)] {
                let best = heaviest.entry(end).or_insert([(0, usize::MAX); 2]);
                if edge.weight > best[0].0 {
                    *best = [(edge.weight, at), best[0]];
                } else if edge.weight > best[1].0 {
                    best[1] = (edge.weight, at);
                }
            }
        }
        Self(heaviest)
    }

    /// A chosen edge's lead over its heaviest neighbours: taking it away lets at most one in at either end, so the true
    /// lead is not less.
    fn lead(&self, edges: &[Edge], at: usize) -> i64 {
        let own = edges[at];
        let other = |end: (bool, u32)| {
            let best = self.0.get(&end).copied().unwrap_or([(0, 0); 2]);
            if best[0].1 == at {
                best[1].0
            } else {
                best[0].0
            }
        };
        own.weight - other((false, own.left)) - other((true, own.right))
    }
}

/// Places of the edges of each connected component, in order.
fn components(edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut parent: BTreeMap<(bool, u32), (bool, u32)> = BTreeMap::new();
    fn root(parent: &mut BTreeMap<(bool, u32), (bool, u32)>, mut at: (bool, u32)) -> (bool, u32) {
        let mut path = Vec::new();
        while let Some(up) = parent.get(&at).filter(|up| **up != at) {
            path.push(at);
            at = *up;
        }
        for below in path {
            parent.insert(below, at);
        }
        at
    }
    let useful = |edge: &&Edge| edge.weight > 0;
    for edge in edges.iter().filter(useful) {
        let ends = [(false, edge.left), (true, edge.right)].map(|end| root(&mut parent, end));
        parent.insert(ends[0].max(ends[1]), ends[0].min(ends[1]));
        parent
            .entry(ends[0].min(ends[1]))
            .or_insert(ends[0].min(ends[1]));
    }
    let mut found: BTreeMap<(bool, u32), Vec<usize>> = BTreeMap::new();
    for (at, edge) in edges.iter().enumerate().filter(|(_, edge)| useful(edge)) {
        let root = root(&mut parent, (false, edge.left));
        found.entry(root).or_default().push(at);
    }
    found.into_values().collect()
}

/// One component in compact form: edges by left end.
struct Graph {
    /// For each left end its edges: right end, weight, place.
    left: Vec<Vec<(usize, i64, usize)>>,
    rights: usize,
}

impl Graph {
    fn new(edges: &[Edge]) -> Self {
        let place =
            |ids: BTreeSet<u32>| -> BTreeMap<u32, usize> { ids.into_iter().zip(0..).collect() };
        let lefts = place(edges.iter().map(|edge| edge.left).collect());
        let rights = place(edges.iter().map(|edge| edge.right).collect());
        let mut left = vec![Vec::new(); lefts.len()];
        for (at, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.weight > 0) {
            left[lefts[&edge.left]].push((rights[&edge.right], edge.weight, at));
        }
        Self {
            left,
            rights: rights.len(),
        }
    }
}

/// State of the search: who is with whom, and the potentials that keep reduced costs from falling below zero.
struct Search<'g> {
    graph: &'g Graph,
    /// For each right end its left partner.
    with_left: Vec<Option<usize>>,
    /// For each left end its right partner and the edge's place.
    with_right: Vec<Option<(usize, usize)>>,
    /// Potentials of the two sides.
    of_left: Vec<i64>,
    of_right: Vec<i64>,
}

/// Places of the edges of a heaviest matching of one component.
fn solve(edges: &[Edge]) -> Vec<usize> {
    let graph = Graph::new(edges);
    // A left end's price is what its best edge is worth: then no reduced cost is below zero.
    let best = |own: &Vec<(usize, i64, usize)>| own.iter().map(|(_, weight, _)| *weight).max();
    let mut search = Search {
        with_left: vec![None; graph.rights],
        with_right: vec![None; graph.left.len()],
        of_left: graph
            .left
            .iter()
            .map(|own| best(own).unwrap_or(0))
            .collect(),
        of_right: vec![0; graph.rights],
        graph: &graph,
    };
    for start in 0..graph.left.len() {
        search.augment(start);
    }
    let mut chosen: Vec<usize> = search
        .with_right
        .iter()
        .flatten()
        .map(|(_, at)| *at)
        .collect();
    chosen.sort_unstable();
    chosen
}

impl Search<'_> {
    /// Gives `start` a partner where the matching gets heavier by it, along the cheapest alternating path. A path may end
    /// at a free right end, or at a left end that goes without: that costs what is left of its price.
    fn augment(&mut self, start: usize) {
        let mut distance: BTreeMap<usize, i64> = BTreeMap::new();
        let mut from: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut reached: Vec<(usize, i64)> = vec![(start, 0)];
        let mut done: Vec<(usize, i64)> = Vec::new();
        let mut settled: BTreeSet<usize> = BTreeSet::new();
        let mut queue = BinaryHeap::new();
        // Cheapest way found to end: its cost, and the left end that goes without, or the free right end.
        let mut alone = (self.of_left[start], start);
        let (mut left, mut base) = (start, 0);
        let end = loop {
            for (right, weight, at) in &self.graph.left[left] {
                let cost = base + self.of_left[left] + self.of_right[*right] - weight;
                if !settled.contains(right) && distance.get(right).is_none_or(|old| cost < *old) {
                    distance.insert(*right, cost);
                    from.insert(*right, (left, *at));
                    queue.push(Reverse((cost, *right)));
                }
            }
            let next = loop {
                match queue.pop() {
                    Some(Reverse((cost, right)))
                        if settled.contains(&right) || distance[&right] < cost => {}
                    other => break other,
                }
            };
            let Some(Reverse((cost, right))) = next.filter(|Reverse((cost, _))| *cost < alone.0)
            else {
                break Err(alone);
            };
            settled.insert(right);
            let Some(partner) = self.with_left[right] else {
                break Ok((cost, right));
            };
            done.push((right, cost));
            reached.push((partner, cost));
            if cost + self.of_left[partner] < alone.0 {
                alone = (cost + self.of_left[partner], partner);
            }
            (left, base) = (partner, cost);
        };
        let total = match end {
            Ok((cost, _)) | Err((cost, _)) => cost,
        };
        for (left, cost) in reached {
            self.of_left[left] -= total - cost;
        }
        for (right, cost) in done {
            self.of_right[right] += total - cost;
        }
        let mut at = match end {
            Ok((_, right)) => right,
            Err((_, left)) if left == start => return,
            Err((_, left)) => match self.with_right[left].take() {
                Some((right, _)) => right,
                None => return,
            },
        };
        while let Some((left, edge)) = from.get(&at).copied() {
            let before = self.with_right[left].replace((at, edge));
            self.with_left[at] = Some(left);
            match before {
                Some((right, _)) if left != start => at = right,
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heaviest matching by trying all.
    fn by_trying(edges: &[Edge], used: (u64, u64)) -> i64 {
        let Some((first, rest)) = edges.split_first() else {
            return 0;
        };
        let without = by_trying(rest, used);
        let (l, r) = (1 << first.left, 1 << first.right);
        if used.0 & l != 0 || used.1 & r != 0 {
            return without;
        }
        without.max(first.weight + by_trying(rest, (used.0 | l, used.1 | r)))
    }

    fn drawn(seed: u32, edges: usize, ends: u8, most: u16) -> Vec<Edge> {
        let mut random = blake3::Hasher::new()
            .update(&seed.to_be_bytes())
            .finalize_xof();
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for _ in 0..edges {
            let mut bytes = [0; 4];
            random.fill(&mut bytes);
            let (left, right) = (u32::from(bytes[0] % ends), u32::from(bytes[1] % ends));
            let weight = i64::from(u16::from_le_bytes([bytes[2], bytes[3]]) % most) - 2;
            if seen.insert((left, right)) {
                all.push(Edge {
                    left,
                    right,
                    weight,
                });
            }
        }
        all
    }

    #[test]
    fn the_choice_is_the_heaviest_and_leads_are_exact() {
        for seed in 0..600 {
            // Few weights make many ties.
            let edges = drawn(
                seed,
                5 + seed as usize % 9,
                3 + (seed % 4) as u8,
                [6, 50, 2000][seed as usize % 3],
            );
            let chosen = heaviest(&edges, 40);
            let weight: i64 = chosen.iter().map(|c| edges[c.edge].weight).sum();
            let best = by_trying(&edges, (0, 0));
            assert_eq!(weight, best, "seed {seed}");
            let lefts: BTreeSet<_> = chosen.iter().map(|c| edges[c.edge].left).collect();
            let rights: BTreeSet<_> = chosen.iter().map(|c| edges[c.edge].right).collect();
            assert!(lefts.len() == chosen.len() && rights.len() == chosen.len());
            for c in &chosen {
                let mut others = edges.clone();
                others.remove(c.edge);
                assert_eq!(
                    c.lead,
                    (best - by_trying(&others, (0, 0))).min(40),
                    "seed {seed}"
                );
            }
        }
    }

    /// A greedy choice would take the heaviest edge and leave two records without.
    #[test]
    fn two_good_pairs_beat_one_better() {
        let edge = |left, right, weight| Edge {
            left,
            right,
            weight,
        };
        let edges = [edge(0, 0, 10), edge(0, 1, 9), edge(1, 0, 8)];
        let chosen: Vec<usize> = heaviest(&edges, 100).iter().map(|c| c.edge).collect();
        assert_eq!(chosen, [1, 2]);
    }
}
