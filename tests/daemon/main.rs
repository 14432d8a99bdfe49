//! Black-box tests: the real binary against the sandbox, over real sockets.

mod crash;
mod examples;
mod smoke;
mod support;
mod target;
mod tasks_actions;
mod tasks_crash;
mod tasks_elsewhere;
mod tasks_hostile;
mod tasks_many;
mod tasks_reports;
mod tasks_retries;
mod tasks_stop;
