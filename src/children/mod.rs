//! Programs that connectors start: none of them outlives the process that started it.
//!
//! Two mechanisms ensure this. [`launcher`] makes the operating system end such a program together with this process, however that ends.
//! This covers neither the program's own child processes nor systems other than Linux, so [`record`] also records running programs in the
//! state folder, and [`orphans`] ends those that an earlier process left behind. [`proc`] reads the system's information about a process.

mod launcher;
mod orphans;
mod proc;
mod record;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bridgehead_sdk::ProcessRegistry;

pub(crate) use launcher::launch;
pub(crate) use orphans::end_orphans;

/// Global, because it belongs to the process whose children it records.
static REGISTRY: LazyLock<Arc<record::Registry>> = LazyLock::new(Arc::default);

/// The registry to which connectors report the programs they start. `None` if this is not the command line: another program that uses this
/// library would not act as a launcher when it is started as one.
pub(crate) fn registry() -> Option<Arc<dyn ProcessRegistry>> {
    REGISTRY.is_enabled().then(|| Arc::clone(&*REGISTRY) as Arc<dyn ProcessRegistry>)
}

/// Declares that this is the command line: [`launch`] was called, and will be called in the processes it starts.
pub(crate) fn enable() {
    REGISTRY.enable();
}

/// Sets the state folder, in which running programs are recorded.
pub(crate) fn keep_in(folder: &Path) {
    REGISTRY.keep_in(folder);
}
