//! Black-box tests: the real binary against the sandbox, over real sockets.

mod admin;
mod crash;
mod examples;
mod guard;
mod hostile;
mod smoke;
mod support;
mod sync_guard;
mod sync_lost_state;
mod sync_reading;
mod sync_whole;
mod sync_world;
mod target;
mod tasks_actions;
mod tasks_crash;
mod tasks_elsewhere;
mod tasks_hostile;
mod tasks_many;
mod tasks_reports;
mod tasks_retries;
mod tasks_stop;
