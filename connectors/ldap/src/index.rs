//! Many pairs of a key and a number in bounded memory: sorted pieces, all but the latest of which are in a file.
//!
//! The file has no name, and disappears with the index. Keys are hashes with a secret that only this process has, so the file reveals
//! nothing about accounts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// A key and a number, big-endian: sorting the octets sorts the numbers.
type Piece = [u8; LENGTH];

const LENGTH: usize = 20;

/// How many pieces are read at a time. The key of the first piece of each block is kept in memory.
const BLOCK: usize = 256;

/// Maps keys to numbers.
#[derive(Debug)]
pub(crate) struct Index {
    /// The maximum number of pieces in memory.
    most: usize,
    recent: Vec<Piece>,
    runs: Vec<Run>,
    file: Option<File>,
}

/// A sorted range of pieces in the file.
#[derive(Debug)]
struct Run {
    start: usize,
    length: usize,
    /// The first key of every block.
    marks: Vec<u128>,
}

impl Index {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), recent: Vec::new(), runs: Vec::new(), file: None }
    }

    /// Adds a pair. Adding the same pair again has no effect.
    pub(crate) fn add(&mut self, key: u128, number: u32) -> io::Result<()> {
        if self.recent.len() >= self.most {
            self.spill()?;
        }
        let mut piece = [0; LENGTH];
        let (front, back) = piece.split_at_mut(16);
        front.copy_from_slice(&key.to_be_bytes());
        back.copy_from_slice(&number.to_be_bytes());
        self.recent.push(piece);
        Ok(())
    }

    /// Finishes adding. Look-ups are only possible afterwards.
    pub(crate) fn close(&mut self) {
        self.recent.sort_unstable();
        self.recent.dedup();
        self.recent.shrink_to_fit();
    }

    /// The distinct numbers of a key, in ascending order.
    pub(crate) fn get(&self, key: u128) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        take(&self.recent, key, &mut found);
        for run in &self.runs {
            self.get_from(run, key, &mut found)?;
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn get_from(&self, run: &Run, key: u128, found: &mut Vec<u32>) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        // The block before the first one that starts with the key may end with it.
        let first = run.marks.partition_point(|mark| *mark < key).saturating_sub(1);
        for (block, mark) in run.marks.iter().enumerate().skip(first) {
            if *mark > key {
                break;
            }
            let length = BLOCK.min(run.length - block * BLOCK);
            let mut octets = vec![0; length * LENGTH];
            let offset = (run.start + block * BLOCK) * LENGTH;
            file.read_exact_at(&mut octets, u64::try_from(offset).map_err(io::Error::other)?)?;
            let (pieces, _) = octets.as_chunks::<LENGTH>();
            take(pieces, key, found);
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.close();
        let file = match &mut self.file {
            Some(file) => file,
            file => file.insert(tempfile::tempfile()?),
        };
        let start = self.runs.last().map_or(0, |run| run.start + run.length);
        let offset = u64::try_from(start * LENGTH).map_err(io::Error::other)?;
        file.write_all_at(self.recent.as_flattened(), offset)?;
        self.runs.push(Run {
            start,
            length: self.recent.len(),
            marks: self.recent.iter().step_by(BLOCK).map(key_of).collect(),
        });
        self.recent.clear();
        Ok(())
    }
}

/// Collects the numbers of a key from sorted pieces.
fn take(pieces: &[Piece], key: u128, found: &mut Vec<u32>) {
    let first = pieces.partition_point(|piece| key_of(piece) < key);
    found.extend(pieces[first..].iter().take_while(|piece| key_of(piece) == key).map(number_of));
}

fn key_of(piece: &Piece) -> u128 {
    piece.first_chunk().map_or(0, |octets| u128::from_be_bytes(*octets))
}

fn number_of(piece: &Piece) -> u32 {
    piece.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn index_finds_every_added_pair(
            // Few keys, so that one of them has more numbers than fit into a block.
            pairs in proptest::collection::vec((0..8_u128, any::<u32>()), 0..3_000), most in 1..2_000_usize
        ) {
            let mut index = Index::new(most);
            let mut wanted: BTreeMap<u128, BTreeSet<u32>> = BTreeMap::new();
            for (key, number) in pairs {
                let key = key << 124;
                index.add(key, number).unwrap();
                wanted.entry(key).or_default().insert(number);
            }
            index.close();
            prop_assert!(index.recent.len() <= most);
            for key in (0..8).map(|key| key << 124).chain([1, u128::MAX]) {
                let found: Vec<u32> = wanted.get(&key).into_iter().flatten().copied().collect();
                prop_assert_eq!(index.get(key).unwrap(), found);
            }
        }
    }

    #[test]
    fn two_million_pairs_fit_in_little_memory() {
        let mut index = Index::new(1 << 16);
        let key = |account: u32| u128::from(account).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
        for group in 0..20 {
            for account in 0..100_000 {
                index.add(key(account), group).unwrap();
            }
        }
        index.close();
        let held = index.recent.capacity() * LENGTH
            + index.runs.iter().map(|run| run.marks.len() * 16).sum::<usize>();
        assert!(held < 2_000_000, "{held}");
        for account in (0..100_000).step_by(997) {
            assert_eq!(index.get(key(account)).unwrap(), (0..20).collect::<Vec<_>>());
        }
    }
}
