//! A set of keys that now and then takes a key for one of its own that is none, and never one of its own for none.
//!
//! It is a Bloom filter whose keys have all their bits in one block, so that asking for one reads one line of the processor's cache
//! (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).

/// What is left of an id: a part of a hash with a secret, whose bits are as good as random.
pub(super) type Key = [u8; 12];

type Block = [u64; 8];

const BLOCK_BITS: usize = 512;

/// Bits for each key there is room for: one in a hundred of all others is taken for one of them.
const BITS_PER_KEY: usize = 10;

/// How many bits of its block each key sets. Each takes nine bits of the key to name, and four bytes of it name the block.
const BITS_SET: usize = 7;

pub(super) struct Filter {
    blocks: Vec<Block>,
    /// For how many keys it was made.
    capacity: usize,
    /// How many were put in.
    len: usize,
}

impl Filter {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let count = (capacity * BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
        Self { blocks: vec![Block::default(); count], capacity, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds so much more than it was made for that it takes too many keys for its own.
    pub(super) fn is_crowded(&self) -> bool {
        self.len > self.capacity + self.capacity / 4
    }

    pub(super) fn insert(&mut self, key: &Key) {
        let (block, bits) = places(key, self.blocks.len());
        let block = &mut self.blocks[block];
        bits.for_each(|(word, bit)| block[word] |= bit);
        self.len += 1;
    }

    pub(super) fn may_contain(&self, key: &Key) -> bool {
        let (block, mut bits) = places(key, self.blocks.len());
        let block = &self.blocks[block];
        bits.all(|(word, bit)| block[word] & bit != 0)
    }
}

/// Which of this many blocks is the key's, and which bits there. Keys in their order lie in blocks in their order.
fn places(key: &Key, blocks: usize) -> (usize, impl Iterator<Item = (usize, u64)>) {
    let [a, b, c, d, rest @ ..] = *key;
    let block = (u64::from(u32::from_be_bytes([a, b, c, d])) * blocks as u64) >> 32;
    let rest = u64::from_be_bytes(rest);
    let bits = (0..BITS_SET).map(move |at| {
        let place = (rest >> (9 * at)) % BLOCK_BITS as u64;
        (usize::try_from(place / 64).expect("a block has eight words"), 1 << (place % 64))
    });
    (usize::try_from(block).expect("it is below the number of blocks"), bits)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use siphasher::sip128::SipHasher13;

    use super::*;

    fn key(number: u32) -> Key {
        let hash = SipHasher13::new_with_keys(1, 2).hash(&number.to_be_bytes()).as_bytes();
        std::array::from_fn(|at| hash[at])
    }

    proptest! {
        #[test]
        fn no_key_is_ever_lost(capacity in 0_usize..2_000, keys in vec(any::<Key>(), 0..3_000)) {
            let mut filter = Filter::with_capacity(capacity);
            for (count, key) in keys.iter().enumerate() {
                prop_assert_eq!(filter.len(), count);
                filter.insert(key);
                prop_assert!(filter.may_contain(key));
            }
            prop_assert!(keys.iter().all(|key| filter.may_contain(key)));
        }
    }

    #[test]
    fn one_key_in_fifty_at_most_is_taken_for_another() {
        for capacity in [1_000, 65_536, 200_000] {
            let mut filter = Filter::with_capacity(capacity as usize);
            (0..capacity).for_each(|number| filter.insert(&key(number)));
            let taken = (1 << 30..(1 << 30) + 100_000).filter(|number| filter.may_contain(&key(*number)));
            let taken = taken.count();
            assert!(taken < 2_000, "{taken} of 100,000 with {capacity} keys");
            assert!(!filter.is_crowded());
            (capacity..2 * capacity).for_each(|number| filter.insert(&key(number)));
            assert!(filter.is_crowded());
        }
    }

    #[test]
    fn five_million_keys_take_six_megabytes() {
        let filter = Filter::with_capacity(5_000_000);
        let bytes = filter.blocks.len() * size_of::<Block>();
        assert!(bytes < 6 << 20, "{bytes}");
    }
}
