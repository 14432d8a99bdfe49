//! What a run costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// The process's counters, or the difference of two of them.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    at: Instant,
    pub seconds: f64,
    pub cpu: f64,
    /// Bytes that were sent to the disk, in whole pages.
    pub to_disk: u64,
    /// Bytes passed to calls that write.
    pub in_calls: u64,
    pub syncs: u64,
    /// Outcomes that are still in the files after the end.
    pub not_erased: usize,
}

impl Cost {
    pub fn now() -> Self {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let of = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        Self {
            at: Instant::now(),
            seconds: 0.0,
            cpu: cpu(),
            to_disk: of("write_bytes:"),
            in_calls: of("wchar:"),
            syncs: SYNCS.load(Ordering::Relaxed),
            not_erased: 0,
        }
    }

    pub fn since(&self, before: &Self) -> Self {
        Self {
            at: self.at,
            seconds: (self.at - before.at).as_secs_f64(),
            cpu: self.cpu - before.cpu,
            to_disk: self.to_disk - before.to_disk,
            in_calls: self.in_calls - before.in_calls,
            syncs: self.syncs - before.syncs,
            not_erased: 0,
        }
    }
}

/// The CPU time of all threads, in seconds.
fn cpu() -> f64 {
    // SAFETY: `getrusage` fills the whole structure, for which zeros are valid.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Counts, then syncs: the program's own symbol comes before that of the C library, for everything that is linked into it.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: libc::c_int) -> libc::c_int {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the call takes a number, and reports one that is not an open file.
    unsafe { libc::syscall(libc::SYS_fsync, file) as libc::c_int }
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: libc::c_int) -> libc::c_int {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_fdatasync, file) as libc::c_int }
}
