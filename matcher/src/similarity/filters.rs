//! Filters in memory. In: rows of bits. Out: [`Filters`]: one block of words, sorted by number of set bits.
//! Invariant: `popcounts` ascends and belongs to the words beside it; `ids` is the row number as received.
//! Shapes: `words` is rows × width / 64, bit i of a filter is bit i mod 64 of its word i / 64 (little-endian bytes).

/// A set of filters of one width, sorted by number of set bits and then by row number.
pub struct Filters {
    bits: usize,
    words: Vec<u64>,
    popcounts: Vec<u32>,
    ids: Vec<u32>,
    /// Set bits by row number, as received.
    by_id: Vec<u32>,
}

impl Filters {
    /// Takes rows of `bits` / 8 bytes each; `None` unless `bits` is a positive multiple of 64 and the bytes are whole
    /// rows, fewer than 2³².
    pub fn from_bytes(bits: usize, bytes: &[u8]) -> Option<Self> {
        let row_bytes = (bits > 0 && bits.is_multiple_of(64)).then_some(bits / 8)?;
        if !bytes.len().is_multiple_of(row_bytes) {
            return None;
        }
        let rows = u32::try_from(bytes.len() / row_bytes).ok()?;
        let popcount = |id: &u32| -> u32 {
            let at = *id as usize * row_bytes;
            let (words, _) = bytes[at..at + row_bytes].as_chunks::<8>();
            words
                .iter()
                .map(|word| u64::from_le_bytes(*word).count_ones())
                .sum()
        };
        let all: Vec<u32> = (0..rows).map(|id| popcount(&id)).collect();
        let mut ids: Vec<u32> = (0..rows).collect();
        ids.sort_by_key(|id| all[*id as usize]);
        let mut words = Vec::with_capacity(bytes.len() / 8);
        for id in &ids {
            let at = *id as usize * row_bytes;
            let (row, _) = bytes[at..at + row_bytes].as_chunks::<8>();
            words.extend(row.iter().map(|word| u64::from_le_bytes(*word)));
        }
        let popcounts = ids.iter().map(|id| all[*id as usize]).collect();
        Some(Self {
            bits,
            words,
            popcounts,
            ids,
            by_id: all,
        })
    }

    /// Bits of a filter.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Words of the filter at a place.
    #[inline]
    pub fn row(&self, place: usize) -> &[u64] {
        let width = self.bits / 64;
        &self.words[place * width..(place + 1) * width]
    }

    /// Set bits of the filter at a place.
    #[inline]
    pub fn popcount(&self, place: usize) -> u32 {
        self.popcounts[place]
    }

    /// Set bits of the filter that was received as row `id`.
    pub fn popcount_of(&self, id: u32) -> u32 {
        self.by_id[id as usize]
    }

    /// Set bits of every filter, ascending.
    pub fn popcounts(&self) -> &[u32] {
        &self.popcounts
    }

    /// Row number, as received, of the filter at a place.
    pub fn id(&self, place: usize) -> u32 {
        self.ids[place]
    }

    /// Bits that two filters have in common.
    #[inline]
    pub fn common_bits(&self, place: usize, other: &Self, at: usize) -> u32 {
        let pairs = self.row(place).iter().zip(other.row(at));
        pairs.map(|(a, b)| (a & b).count_ones()).sum()
    }
}
