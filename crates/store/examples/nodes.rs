//! Measures what one PostgreSQL carries: tasks per second for one to four nodes, and what ownership costs with many apps.
//!
//! `cargo run --profile bench-fast -p bridgehead-store --features postgres --example nodes -- 3000 32`: the number of tasks of each node,
//! and how many of them run concurrently. The server is started for this, with its data on the disk and with `fsync`.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bridgehead_store::AppKey;
use bridgehead_store::lease::{Leases, Presence, Terms};
use bridgehead_store::postgres::{Address, Postgres, Settings};
use bridgehead_test_servers::Postgres as Server;
use tokio::time::Instant;
use work::{Failure, record};

#[path = "work/mod.rs"]
mod work;

/// `_SC_CLK_TCK` of every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let count = arguments.next().transpose()?.unwrap_or(3_000);
    let at_once = arguments.next().transpose()?.unwrap_or(32);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let options = ["fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_connections=200"];
    let server = Server::start_in(&target, &options).await;
    println!("nodes  tasks/s  writes per commit  server CPU per task  WAL per task  connections per node");
    for nodes in 1..=4 {
        let name = format!("tasks{nodes}");
        server.sql("postgres", &format!("CREATE DATABASE {name}"));
        let states = join(&server, &name, nodes).await?;
        for (number, state) in states.iter().enumerate() {
            state.acquire(&app(number)?).await?;
        }
        let (logged, used, began) = (wal(&server)?, cpu(&server)?, Instant::now());
        let running: Vec<_> = states
            .iter()
            .enumerate()
            .map(|(number, state)| tokio::spawn(work(state.clone(), number, count, at_once)))
            .collect();
        for node in running {
            node.await??;
        }
        let seconds = began.elapsed().as_secs_f64();
        let tasks = (nodes * count) as f64;
        let written: Vec<_> = states.iter().map(Postgres::stats).collect();
        let writes: u64 = written.iter().map(|stats| stats.writes).sum();
        let commits: u64 = written.iter().map(|stats| stats.commits).sum();
        let used = (cpu(&server)? - used) * 1e3 / tasks;
        let logged = (wal(&server)? - logged) / tasks;
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
        let connections = server.sql("postgres", &sql).trim().parse::<usize>()? / nodes;
        println!(
            "{nodes:5}  {:7.0}  {:17.1}  {used:16.3} ms  {logged:8.0} bytes  {connections:20}",
            tasks / seconds,
            writes as f64 / commits as f64
        );
        for state in states {
            state.close().await;
        }
    }
    println!("\napps   acquire  look   server CPU of 3 nodes, renewals and looks");
    for apps in [100, 1_000, 10_000] {
        let name = format!("apps{apps}");
        server.sql("postgres", &format!("CREATE DATABASE {name}"));
        let states = join(&server, &name, 3).await?;
        let keys = (0..apps).map(app).collect::<Result<Vec<_>, _>>()?;
        let presence = Presence { apps: keys.clone(), is_leaving: false };
        let began = Instant::now();
        let owned = keys.len().min(1_000);
        for (number, key) in keys.iter().take(owned).enumerate() {
            states[number % 3].acquire(key).await?;
        }
        let acquire = began.elapsed().as_secs_f64() * 1e3 / owned as f64;
        // The cost of taking an app over is known by now; the rest is put into the table.
        server.sql(&name, &copy_owner(owned..apps));
        let (used, began, mut looks, mut looked) = (cpu(&server)?, Instant::now(), 0, Duration::ZERO);
        while began.elapsed() < Duration::from_secs(10) {
            for state in &states {
                let before = Instant::now();
                state.look(&presence).await?;
                looked += before.elapsed();
                looks += 1;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let share = (cpu(&server)? - used) * 100.0 / began.elapsed().as_secs_f64();
        let look = looked.as_secs_f64() * 1e3 / f64::from(looks);
        println!("{apps:6}  {acquire:4.1} ms  {look:.1} ms  {share:.1} % of a core");
        for state in states {
            state.close().await;
        }
    }
    Ok(())
}

/// The tasks of one node, which has one app.
async fn work(state: Postgres, node: usize, count: usize, at_once: usize) -> Result<(), Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (state, next) = (state.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let app = app(node)?;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<(), Failure>(());
                    }
                    record(&state, &app, node * count + number).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

async fn join(server: &Server, database: &str, nodes: usize) -> Result<Vec<Postgres>, Failure> {
    let (user, password, port) = (&server.user, &server.password, server.port);
    let address =
        Address::parse(&format!("postgresql://{user}:{password}@127.0.0.1:{port}/{database}"), Vec::new())?;
    let terms = Terms { lease: Duration::from_secs(15), longest_call: Duration::from_secs(60) };
    let mut states = Vec::new();
    for number in 0..nodes {
        let (address, node) = (address.clone(), format!("node-{number}"));
        states.push(Postgres::join(&Settings { address, node, terms, folder: None }).await?);
    }
    Ok(states)
}

fn app(number: usize) -> Result<AppKey, Failure> {
    Ok(format!("11111111-1111-4111-8111-{number:012x}").parse()?)
}

/// Gives the owner of the first app this range of apps, too.
fn copy_owner(apps: Range<usize>) -> String {
    format!(
        "INSERT INTO owners SELECT '11111111-1111-4111-8111-' || lpad(to_hex(n), 12, '0'), epoch, node, process, taken_at, \
         expires_at, longest_call, is_released, settled_at \
         FROM owners, generate_series({}, {} - 1) AS n WHERE app = '11111111-1111-4111-8111-000000000000'",
        apps.start, apps.end
    )
}

/// How much the server has written to its log, in bytes.
fn wal(server: &Server) -> Result<f64, Failure> {
    Ok(server.sql("postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'").trim().parse()?)
}

/// The processor time of all processes of the server so far, in seconds. That of processes that have ended is included in their parent's.
fn cpu(server: &Server) -> Result<f64, Failure> {
    let root = server.process().id();
    let mut ticks = 0.0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((pid, rest)) =
            stat.rsplit_once(") ").and_then(|(pid, rest)| Some((pid.split_once(' ')?.0, rest)))
        else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        let is_child = fields.get(1).is_some_and(|parent| *parent == root.to_string());
        if pid != root.to_string() && !is_child {
            continue;
        }
        for field in fields.iter().skip(11).take(if is_child { 2 } else { 4 }) {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks / TICKS_PER_SECOND)
}
