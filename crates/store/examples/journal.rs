//! Measures how many task executions the journal can record per second: intent, outcome and end, each durable before the next.
//!
//! `cargo run --profile bench-fast -p bridgehead-store --example journal -- 6000 32`: the number of tasks, and how many run concurrently.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead_store::{AppKey, Sqlite};
use tokio::time::Instant;
use work::{Failure, record};

#[path = "work/mod.rs"]
mod work;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let count = arguments.next().transpose()?.unwrap_or(6_000);
    let at_once = arguments.next().transpose()?.unwrap_or(32);
    // Below the build folder, which is on a disk: a file system in memory would never have to be waited for.
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"))?;
    let state = Sqlite::open(&folder.path().join("state")).await?;
    let app: AppKey = "11111111-1111-4111-8111-111111111111".parse()?;
    let next = Arc::new(AtomicUsize::new(0));
    let before = state.stats();
    let began = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (state, app, next) = (state.clone(), app.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<(), Failure>(());
                    }
                    record(&state, &app, number).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = state.stats();
    let commits = after.commits - before.commits;
    let writes = after.writes - before.writes;
    println!("{count} tasks, {at_once} at once, in {seconds:.2} s: {writes} writes in {commits} commits");
    println!(
        "{}",
        serde_json::json!({ "seconds": seconds, "tasks": count, "writes": writes, "commits": commits })
    );
    state.close().await;
    Ok(())
}
