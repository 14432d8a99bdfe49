//! A network that can be cut between a node and the database, or between a node and the Bridge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bridgehead::journal::shared::{Link, Lost};
use tokio::sync::Notify;

use crate::life::Life;
use crate::world::Dice;

/// A connection that breaks during a cut is noticed after this long at most, in milliseconds.
const NOTICED: u64 = 3000;

/// Whether the network is cut.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    is_cut: AtomicBool,
    healed: Notify,
}

impl Cut {
    pub(crate) fn begin(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
        self.healed.notify_waiters();
    }

    /// Carries a message. During a cut, some are sent again until they arrive, and the others are lost with their connection.
    pub(crate) async fn pass(&self, dice: &Dice) -> Result<(), Lost> {
        loop {
            let healed = self.healed.notified();
            if !self.is_cut.load(Ordering::Relaxed) {
                return Ok(());
            }
            if dice.chance(0.5) {
                tokio::time::sleep(Duration::from_millis(dice.up_to(NOTICED))).await;
                return Err(Lost);
            }
            healed.await;
        }
    }
}

/// The way of one process to the database.
pub(super) struct Wire {
    pub(super) life: Arc<Life>,
    pub(super) cut: Arc<Cut>,
    pub(super) dice: Dice,
    /// How long a message takes at most, in milliseconds.
    pub(super) delay: u64,
}

impl Wire {
    async fn travel(&self) -> Result<(), Lost> {
        tokio::time::sleep(Duration::from_millis(self.dice.up_to(self.delay))).await;
        self.cut.pass(&self.dice).await
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Link for Wire {
    async fn there(&self) -> Result<(), Lost> {
        self.life.alive().await;
        self.travel().await?;
        // What was sent may arrive although the sender is dead.
        if self.life.is_over() && self.dice.chance(0.5) { Err(Lost) } else { Ok(()) }
    }

    async fn back(&self) -> Result<(), Lost> {
        let arrived = self.travel().await;
        self.life.alive().await;
        arrived
    }
}
