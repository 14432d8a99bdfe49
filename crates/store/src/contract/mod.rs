//! The contract that every implementation must fulfill.
//!
//! A test is a function that is generic over the [`Place`] where the state is stored, and `each_state!` creates a test of it for each
//! place. A new implementation only needs a line in that macro. In addition, all of them must return the same results for arbitrary steps
//! (`same`).

/// Creates a test of each function for each place.
macro_rules! each_state {
    (async $($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test::<crate::contract::place::Folder>().await; })+
        }
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test::<crate::contract::place::Nowhere>().await; })+
        }
        mod shared {
            $(#[tokio::test] async fn $test() { super::$test::<crate::contract::place::Shared>().await; })+
        }
        // One server for all of them: to start one takes longer than most tests.
        #[cfg(feature = "postgres")]
        mod postgres {
            #[tokio::test]
            async fn everything() {
                let _server = crate::contract::server::start().await;
                $(
                    eprintln!("{}", stringify!($test));
                    super::$test::<crate::contract::server::Database>().await;
                )+
            }
        }
    };
    (blocking $($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test::<crate::contract::place::Folder>(); })+
        }
        mod memory {
            $(#[test] fn $test() { super::$test::<crate::contract::place::Nowhere>(); })+
        }
        mod shared {
            $(#[test] fn $test() { super::$test::<crate::contract::place::Shared>(); })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            #[test]
            fn everything() {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let _server = runtime.block_on(crate::contract::server::start());
                $(
                    eprintln!("{}", stringify!($test));
                    super::$test::<crate::contract::server::Database>();
                )+
            }
        }
    };
}

mod attempts;
mod doubts;
mod given;
mod history;
mod holds;
mod leases;
pub(super) mod losses;
mod model;
pub(super) mod place;
mod same;
#[cfg(feature = "postgres")]
pub(super) mod server;
mod snapshots;
mod snapshots_model;
mod tasks;

use bridgehead_sdk::{Code, TaskId};
use serde_json::json;

use super::{AppKey, Intent, Outcome, PriorAccount, RecordHash};
pub(super) use given::{app, at, completed, failed, intent, seen};
use place::Place;
