//! What every state promises, whatever it is kept in.
//!
//! A test is a function of the [`Place`] where the state is kept, and `each_state!` makes a test of it for each of them. A state
//! that is added gets a line in that macro. Beyond these tests, any steps at all get the same answers from all of them (`same`).

/// Makes a test of each of these functions for each place.
macro_rules! each_state {
    (async $($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test::<crate::contract::place::Folder>().await; })+
        }
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test::<crate::contract::place::Nowhere>().await; })+
        }
    };
    (blocking $($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test::<crate::contract::place::Folder>(); })+
        }
        mod memory {
            $(#[test] fn $test() { super::$test::<crate::contract::place::Nowhere>(); })+
        }
    };
}

mod attempts;
mod doubts;
mod given;
mod history;
mod holds;
pub(super) mod losses;
mod model;
mod place;
mod same;
mod snapshots;
mod snapshots_model;
mod tasks;

use bridgehead_sdk::{Code, TaskId};
use serde_json::json;

use super::{AppKey, Intent, Outcome, PriorAccount, RecordHash};
pub(super) use given::{app, at, completed, failed, intent, seen};
use place::Place;
