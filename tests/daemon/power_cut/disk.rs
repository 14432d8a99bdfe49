//! What a disk contains after a power cut: all that was synced, and any part of what was changed since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::file::{File, Survivors};
use super::log::What;

/// A disk, with the changes that it may lose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) lies: bool,
    files: Vec<File>,
    /// The durable names of files, by their index.
    names: BTreeMap<PathBuf, usize>,
    /// The durable folders.
    folders: BTreeSet<PathBuf>,
    /// The files by the number that the file system has given them.
    inodes: HashMap<u64, usize>,
    /// Changes of names that no sync of their folder has made durable.
    changes: Vec<Naming>,
    /// The number of operations so far.
    count: usize,
    /// When files were first synced, as the number of an operation.
    synced: BTreeMap<usize, usize>,
}

/// After a file is synced, its folder is synced within this number of operations.
const AT_ONCE: usize = 30;

#[derive(Clone, Debug)]
enum Naming {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Unlink(PathBuf, usize),
    Folder(PathBuf),
    NoFolder(PathBuf),
}

impl Naming {
    /// Whether a sync of this folder makes it durable.
    fn is_in(&self, folder: &Path) -> bool {
        let (Self::Create(path, _)
        | Self::Rename(_, path, _)
        | Self::Unlink(path, _)
        | Self::Folder(path)
        | Self::NoFolder(path)) = self;
        path.parent() == Some(folder)
    }
}

const SURVIVORS: [Survivors; 6] = [
    Survivors::Nothing,
    Survivors::All,
    Survivors::Prefix,
    Survivors::Prefix,
    Survivors::Any(512),
    Survivors::Any(4096),
];

impl Disk {
    /// An empty disk. One that lies reports each sync as done and does nothing.
    pub(crate) fn new(lies: bool) -> Self {
        Self { lies, ..Self::default() }
    }

    /// Adds an operation.
    pub(crate) fn apply(&mut self, what: &What) {
        self.count += 1;
        match what {
            What::Create { path, inode } => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.inodes.insert(*inode, file);
                self.changes.push(Naming::Create(path.clone(), file));
            }
            What::Folder(path) => self.changes.push(Naming::Folder(path.clone())),
            What::NoFolder(path) => self.changes.push(Naming::NoFolder(path.clone())),
            What::Write { inode, offset, data } => self.file(*inode).write(*offset, data),
            What::Length { inode, length } => self.file(*inode).set_length(*length),
            What::Rename { from, to, inode } => {
                let file = self.inodes[inode];
                self.changes.push(Naming::Rename(from.clone(), to.clone(), file));
            }
            // The control socket is removed as well, and is no file.
            What::Unlink { path, inode } => {
                if let Some(file) = self.inodes.get(inode) {
                    self.changes.push(Naming::Unlink(path.clone(), *file));
                }
            }
            What::Sync { .. } | What::SyncFolder(_) if self.lies => {}
            What::Sync { inode } => {
                self.synced.entry(self.inodes[inode]).or_insert(self.count);
                self.file(*inode).sync();
            }
            What::SyncFolder(path) => {
                let changes = std::mem::take(&mut self.changes);
                let (synced, rest) = changes.into_iter().partition(|change| change.is_in(path));
                self.changes = rest;
                self.rename(synced);
            }
        }
    }

    fn file(&mut self, inode: u64) -> &mut File {
        &mut self.files[self.inodes[&inode]]
    }

    /// Makes changes of names durable. A change whose predecessor was lost still concerns the same file.
    fn rename(&mut self, changes: Vec<Naming>) {
        let remove = |names: &mut BTreeMap<PathBuf, usize>, path: &Path, file: usize| {
            if names.get(path) == Some(&file) {
                names.remove(path);
            }
        };
        for change in changes {
            match change {
                Naming::Create(path, file) => drop(self.names.insert(path, file)),
                Naming::Rename(from, to, file) => {
                    remove(&mut self.names, &from, file);
                    self.names.insert(to, file);
                }
                Naming::Unlink(path, file) => remove(&mut self.names, &path, file),
                Naming::Folder(path) => drop(self.folders.insert(path)),
                Naming::NoFolder(path) => drop(self.folders.remove(&path)),
            }
        }
    }

    /// Files that were synced, although a power cut could still remove their name.
    pub(crate) fn nameless(&self) -> Vec<&Path> {
        let unnamed = self.changes.iter().filter_map(|change| match change {
            Naming::Create(path, file) | Naming::Rename(_, path, file) if self.is_kept(*file) => {
                Some(path.as_path())
            }
            Naming::Folder(path)
                if self.names.iter().any(|(name, file)| name.starts_with(path) && self.is_kept(*file)) =>
            {
                Some(path.as_path())
            }
            _ => None,
        });
        unnamed.collect()
    }

    /// Whether a file was synced some time ago.
    fn is_kept(&self, file: usize) -> bool {
        self.synced.get(&file).is_some_and(|at| at + AT_ONCE < self.count)
    }

    /// Cuts the power: what has survived is durable now, and the rest is gone.
    pub(crate) fn cut(&mut self, rng: &mut StdRng) {
        let changes = std::mem::take(&mut self.changes);
        let kept = SURVIVORS.choose(rng).expect("one").of(changes.len(), rng);
        let survived =
            changes.into_iter().zip(kept).filter_map(|(change, is_kept)| is_kept.then_some(change));
        self.rename(survived.collect());
        for file in &mut self.files {
            file.cut(*SURVIVORS.choose(rng).expect("one"), rng);
        }
    }

    /// Replaces the contents of the folder `at` by those of this disk, which has them below `root`.
    pub(crate) fn write_to(&mut self, root: &Path, at: &Path, rng: &mut StdRng) {
        for found in std::fs::read_dir(at).expect("a folder").flatten() {
            let path = found.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            removed.expect("an old file");
        }
        let place = |path: &Path| at.join(path.strip_prefix(root).expect("below the root"));
        // Whatever is in a folder that was lost is lost as well.
        self.folders.retain(|path| std::fs::DirBuilder::new().mode(0o700).create(place(path)).is_ok());
        let folders = &self.folders;
        self.names.retain(|path, _| {
            let parent = path.parent().expect("a folder");
            parent == root || folders.contains(parent)
        });
        self.inodes.clear();
        for (path, file) in &self.names {
            let mut contents = self.files[*file].contents().to_vec();
            if path.to_string_lossy().ends_with("-shm") {
                // It is written through a mapping, which is not logged.
                rng.fill(contents.as_mut_slice());
            }
            let mut created = std::fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(place(path))
                .expect("a new file");
            created.write_all(&contents).expect("a file");
            self.inodes.insert(created.metadata().expect("a file").ino(), *file);
        }
    }
}
