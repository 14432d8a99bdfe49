//! Black-box tests: the real binary against the sandbox, over real sockets.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what a helper of a test cannot do is that test's failure"
)]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a daemon's log is shown when its test fails")]
#![allow(
    clippy::large_futures,
    clippy::needless_pass_by_value,
    clippy::unnecessary_debug_formatting,
    reason = "a test is read, not called"
)]

mod actions;
mod admin;
mod audit;
mod audit_page;
mod bug_report;
mod call;
mod careless;
mod conformance;
mod control;
mod crash;
mod directory;
mod docs;
mod doctor;
mod examples;
mod export;
mod first_steps;
mod forged;
mod frozen;
mod guard;
mod guide;
mod health;
mod hostile;
mod init;
mod init_servers;
mod kubernetes;
mod large;
mod looking;
mod manual;
mod memory;
mod mistakes;
mod monitoring;
mod network;
mod new;
mod nodes;
mod nodes_chaos;
mod nodes_failover;
mod nodes_view;
mod orphans;
mod other_iden;
#[cfg(feature = "otlp")]
mod otlp;
mod page;
mod page_actions;
mod page_browser;
mod page_server;
mod power_cut;
mod reload;
mod service;
mod smoke;
mod state;
mod state_backup;
mod state_database;
mod support;
mod sync_access;
mod sync_consent;
mod sync_faults;
mod sync_first;
mod sync_guard;
mod sync_iden;
mod sync_invalid;
mod sync_lost_state;
mod sync_memory;
mod sync_reading;
mod sync_schedule;
mod sync_sessions;
mod sync_tasks;
mod sync_whole;
mod sync_world;
mod target;
mod tasks_access;
mod tasks_actions;
mod tasks_crash;
mod tasks_elsewhere;
mod tasks_evidence;
mod tasks_final;
mod tasks_hostile;
mod tasks_many;
mod tasks_outage;
mod tasks_panic;
mod tasks_protected;
mod tasks_reports;
mod tasks_retries;
mod tasks_secrets;
mod tasks_stop;
mod walk;
