//! Black-box tests: the real binary against the sandbox, over real sockets.

mod smoke;
mod support;
mod sync_faults;
mod sync_guard;
mod sync_invalid;
mod sync_lost_state;
mod sync_reading;
mod sync_schedule;
mod sync_sessions;
mod sync_tasks;
mod sync_whole;
mod sync_world;
