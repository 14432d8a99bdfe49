//! What a file contains after a power cut.

use rand::Rng;
use rand::rngs::StdRng;

/// A file: what is durable, and the changes since the last sync.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What survives of some changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survivors {
    Nothing,
    All,
    /// The first ones, as on a file system that keeps their order.
    Prefix,
    /// Any: each sector of this size was last written to the disk at a moment of its own.
    Any(usize),
}

impl Survivors {
    /// Which of this number of changes survive.
    pub(crate) fn of(self, count: usize, rng: &mut StdRng) -> Vec<bool> {
        let first = rng.random_range(0..=count);
        let mut is_kept = |n: usize| match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Prefix => n < first,
            Self::Any(_) => rng.random_bool(0.5),
        };
        (0..count).map(&mut is_kept).collect()
    }
}

impl File {
    /// The durable contents.
    pub(crate) fn contents(&self) -> &[u8] {
        &self.durable
    }

    pub(crate) fn write(&mut self, at: u64, data: &[u8]) {
        self.changes.push(Change::Write(usize::try_from(at).expect("an offset"), data.to_vec()));
    }

    pub(crate) fn set_length(&mut self, length: u64) {
        self.changes.push(Change::Length(usize::try_from(length).expect("a length")));
    }

    pub(crate) fn sync(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            change.apply(&mut self.durable);
        }
    }

    /// Cuts the power.
    pub(crate) fn cut(&mut self, survivors: Survivors, rng: &mut StdRng) {
        let count = self.changes.len();
        match survivors {
            Survivors::Nothing => self.changes.clear(),
            Survivors::All => {}
            Survivors::Prefix => self.changes.truncate(rng.random_range(0..=count)),
            Survivors::Any(sector) => {
                self.durable = self.any(sector, rng);
                self.changes.clear();
            }
        }
        self.sync();
    }

    /// The file with each sector as it was after some number of changes, which differs from sector to sector.
    fn any(&self, sector: usize, rng: &mut StdRng) -> Vec<u8> {
        let count = self.changes.len();
        // The length is written to the disk on its own.
        let of_length = rng.random_range(0..=count);
        // What was cut off does not come back, and what was written since is elsewhere on the disk.
        let cuts = self.cuts();
        let oldest = cuts.iter().copied().filter(|cut| *cut <= of_length).max().unwrap_or(0);
        let newest = cuts.iter().copied().find(|cut| *cut > of_length).map_or(count, |cut| cut - 1);
        let mut contents = self.durable.clone();
        let mut survived = Vec::new();
        let mut length = contents.len();
        let mut versions: Vec<usize> = Vec::new();
        for version in 0..=count {
            if let Some(change) = version.checked_sub(1).and_then(|last| self.changes.get(last)) {
                change.apply(&mut contents);
            }
            if version == of_length {
                length = contents.len();
            }
            while versions.len() < contents.len().div_ceil(sector) {
                // A version from before the sector existed: it was never written, and is empty.
                versions.push(match rng.random_range(0..4) {
                    0 => oldest,
                    1 => newest,
                    _ => rng.random_range(oldest..=newest),
                });
            }
            survived.resize(survived.len().max(versions.len() * sector), 0);
            for (n, _) in versions.iter().enumerate().filter(|(_, chosen)| **chosen == version) {
                let (from, to) = ((n * sector).min(contents.len()), ((n + 1) * sector).min(contents.len()));
                survived[n * sector..(n + 1) * sector].fill(0);
                survived[n * sector..n * sector + to - from].copy_from_slice(&contents[from..to]);
            }
        }
        survived.resize(length, 0);
        survived
    }

    /// The numbers of the changes that made the file shorter.
    fn cuts(&self) -> Vec<usize> {
        let mut length = self.durable.len();
        let mut cuts = Vec::new();
        for (n, change) in self.changes.iter().enumerate() {
            match change {
                Change::Length(new) => {
                    if *new < length {
                        cuts.push(n + 1);
                    }
                    length = *new;
                }
                Change::Write(at, data) => length = length.max(at + data.len()),
            }
        }
        cuts
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Length(length) => contents.resize(*length, 0),
            Self::Write(at, data) => {
                let end = at + data.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*at..end].copy_from_slice(data);
            }
        }
    }
}

#[test]
fn file_keeps_what_was_synced_and_may_lose_the_rest() {
    use rand::SeedableRng;
    let mut rng = StdRng::seed_from_u64(1);
    let mut synced = File::default();
    synced.write(0, &[b'a'; 2000]);
    synced.sync();
    let mut changed = synced.clone();
    changed.write(500, &[b'b'; 600]);
    changed.write(1900, &[b'c'; 200]);
    let mut found = std::collections::BTreeSet::new();
    for survivors in [Survivors::Nothing, Survivors::All, Survivors::Prefix, Survivors::Any(512)] {
        for _ in 0..100 {
            let mut after = changed.clone();
            after.cut(survivors, &mut rng);
            let contents = after.contents();
            assert!(contents.len() == 2000 || contents.len() == 2100);
            // No write reaches these.
            assert!(contents[..500].iter().chain(&contents[1100..1900]).all(|byte| *byte == b'a'));
            found.insert([contents[500], contents[512], contents[1024], contents[1900]]);
        }
    }
    let mixed: std::collections::BTreeSet<[u8; 4]> =
        [*b"aaaa", *b"abaa", *b"abac", *b"bbbc", *b"baba"].into();
    assert!(found.is_superset(&mixed), "{found:?}");
}
