//! Programs that connectors start: none of them outlives the process that started it.
//!
//! Two things see to that. [`launcher`] has the operating system end such a program together with this process, in whatever way
//! that ends. It reaches neither what the program has started itself nor systems other than Linux, so [`record`] also writes down
//! what runs, in the state folder, and [`orphans`] ends what an earlier process left behind. [`proc`] is what the system
//! says of a process.

mod launcher;
mod orphans;
mod proc;
mod record;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bridgehead_sdk::ProcessRegistry;

pub(crate) use launcher::launch;
pub(crate) use orphans::end_orphans;

/// There is one, as there is one process: it is the process whose children they are.
static REGISTRY: LazyLock<Arc<record::Registry>> = LazyLock::new(Arc::default);

/// What connectors tell of the programs they start. `None` where this is not the command line: another program that uses this
/// library would not know what to do when it is started as a launcher.
pub(crate) fn registry() -> Option<Arc<dyn ProcessRegistry>> {
    REGISTRY.is_enabled().then(|| Arc::clone(&*REGISTRY) as Arc<dyn ProcessRegistry>)
}

/// This is the command line: [`launch`] was called, and is called in what is started.
pub(crate) fn enable() {
    REGISTRY.enable();
}

/// The state folder, in which what runs is written down.
pub(crate) fn keep_in(folder: &Path) {
    REGISTRY.keep_in(folder);
}
