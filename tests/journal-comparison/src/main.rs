//! Compares what could store the journal of tasks: for each task an intent, an outcome and an end, each durable before the next. The outcome
//! is erased at the end.
//!
//! `cargo run --release -- 6000 32 3`: the number of tasks, how many run at a time, and the number of rounds.

mod cost;
mod fjall_journal;
mod group;
mod log_file;
mod our_journal;
mod redb_journal;
mod sqlite_table;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cost::Cost;
use group::{Engine, Group, Write};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is compared, in the order of the table.
const NAMES: [&str; 5] = ["journal as it is", "table in SQLite", "log file", "redb", "fjall"];

/// About the size of an intent with its steps, or of an outcome.
pub const PAYLOAD: usize = 300;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let tasks = arguments.next().transpose()?.unwrap_or(6_000);
    let at_once = arguments.next().transpose()?.unwrap_or(32);
    let rounds = arguments.next().transpose()?.unwrap_or(3);
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); NAMES.len()];
    for _ in 0..rounds {
        for (n, costs) in costs.iter_mut().enumerate() {
            // Below the build folder, which is on a disk.
            let folder = tempfile::tempdir_in(Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))?;
            let mut cost = measure(n, folder.path(), tasks, at_once).await?;
            cost.not_erased = not_erased(folder.path())?;
            costs.push(cost);
        }
    }
    println!("{tasks} tasks, {at_once} at a time, median of {rounds} rounds\n");
    println!(
        "| | tasks/s | ratio | CPU ms/task | bytes/task to the disk | bytes/task in calls | syncs/task | outcomes not erased | reader beside |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let median = |n: usize, of: &dyn Fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs[n].iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let count = tasks as f64;
    for (n, name) in NAMES.iter().enumerate() {
        // A ratio is taken within a round: the disk of a shared machine is not equally fast in all of them.
        let mut ratios: Vec<f64> =
            costs[n].iter().zip(&costs[0]).map(|(this, ours)| ours.seconds / this.seconds).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "| {name} | {:.0} | {:.2} | {:.3} | {:.0} | {:.0} | {:.2} | {:.0} | {} |",
            median(n, &|cost| count / cost.seconds),
            ratios[ratios.len() / 2],
            median(n, &|cost| cost.cpu * 1000.0 / count),
            median(n, &|cost| cost.to_disk as f64 / count),
            median(n, &|cost| cost.in_calls as f64 / count),
            median(n, &|cost| cost.syncs as f64 / count),
            median(n, &|cost| cost.not_erased as f64),
            reader_beside(n)?,
        );
    }
    Ok(())
}

async fn measure(n: usize, folder: &Path, tasks: usize, at_once: usize) -> Result<Cost, Failure> {
    match n {
        0 => our_journal::measure(folder, tasks, at_once).await,
        1 => in_groups(sqlite_table::Table::open(folder)?, tasks, at_once).await,
        2 => in_groups(log_file::Log::open(folder)?, tasks, at_once).await,
        3 => in_groups(redb_journal::Journal::open(folder)?, tasks, at_once).await,
        _ => in_groups(fjall_journal::Journal::open(folder)?, tasks, at_once).await,
    }
}

/// What happens if another process reads beside the writer.
fn reader_beside(n: usize) -> Result<String, Failure> {
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))?;
    Ok(match n {
        0 => "reads (`Sqlite::read_only`)".to_owned(),
        1 => sqlite_table::Table::open(folder.path())?.reader_beside(),
        2 => log_file::Log::open(folder.path())?.reader_beside(),
        3 => redb_journal::Journal::open(folder.path())?.reader_beside(),
        _ => fjall_journal::Journal::open(folder.path())?.reader_beside(),
    })
}

/// A task's id. Ids have no order.
pub fn id(number: usize) -> String {
    format!("{:016x}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Text that no compression makes short.
fn noise(task: &str, length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        text.push_str(&format!(
            "{:016x}",
            xxhash_rust::xxh3::xxh3_64(format!("{task}{}", text.len()).as_bytes())
        ));
    }
    text.truncate(length);
    text
}

/// The outcome of a task, which must be erased. It is found again by its beginning.
pub fn secret(task: &str) -> String {
    format!("secret-{task}-{}", noise(task, PAYLOAD - 24))
}

/// How many outcomes are still in the files of a folder.
pub fn not_erased(folder: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        count += if path.is_dir() {
            not_erased(&path)?
        } else {
            std::fs::read(path)?.windows(7).filter(|bytes| *bytes == b"secret-").count()
        };
    }
    Ok(count)
}

async fn in_groups(engine: impl Engine, tasks: usize, at_once: usize) -> Result<Cost, Failure> {
    let group = Arc::new(Group::start(engine));
    let next = Arc::new(AtomicUsize::new(0));
    let before = Cost::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (group, next) = (Arc::clone(&group), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= tasks {
                        return Ok::<(), Failure>(());
                    }
                    let task = id(number);
                    group.write(Write::Intent(task.clone(), noise(&task, PAYLOAD).into_bytes())).await?;
                    group.write(Write::Outcome(task.clone(), secret(&task).into_bytes())).await?;
                    group.write(Write::Ended(task)).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let cost = Cost::now().since(&before);
    Arc::into_inner(group).expect("the workers have ended").close();
    Ok(cost)
}
