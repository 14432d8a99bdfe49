//! Records changes that tasks made to accounts.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::super::{AccessFacts, AppKey, Changes};
use super::writer::{Problem, Write};

/// A task created an account: Iden has it, whether or not a sync has seen it.
pub(super) struct NoteCreated {
    pub(super) app: AppKey,
    pub(super) slug: String,
    pub(super) id: String,
    /// Its access in bytes, if the task has read it.
    pub(super) access: Option<Vec<u8>>,
}

#[async_trait]
impl Write for NoteCreated {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let (app, slug) = (self.app.as_str(), self.slug.as_bytes());
        sqlx::query(
            "INSERT INTO listings (app, slug, state) VALUES ($1, $2, 'last') \
             ON CONFLICT (app, state, slug) WHERE state <> 'discarded' DO NOTHING",
        )
        .bind(app)
        .bind(slug)
        .execute(&mut *connection)
        .await?;
        // No record has this hash: no sync has read the account yet.
        sqlx::query(
            "INSERT INTO records (listing, id, hash, standing, facts) \
             SELECT listing, $3, 0, 3, $4 FROM listings WHERE app = $1 AND slug = $2 AND state = 'last' \
             ON CONFLICT (listing, id) DO UPDATE SET standing = CASE records.standing WHEN 3 THEN 3 ELSE 0 END, \
             facts = coalesce(excluded.facts, records.facts)",
        )
        .bind(app)
        .bind(slug)
        .bind(self.id.as_bytes())
        .bind(self.access.as_deref())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// A task deleted an account. An account that a sync has seen is kept: the removal guard counts missing accounts, whatever the reason.
pub(super) struct NoteDeleted {
    pub(super) app: AppKey,
    pub(super) slug: String,
    pub(super) id: String,
}

#[async_trait]
impl Write for NoteDeleted {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query(
            "DELETE FROM records WHERE id = $3 AND standing = 3 AND listing IN \
             (SELECT listing FROM listings WHERE app = $1 AND slug = $2 AND state = 'last')",
        )
        .bind(self.app.as_str())
        .bind(self.slug.as_bytes())
        .bind(self.id.as_bytes())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// A task changed an account's access.
pub(super) struct NoteChanged {
    pub(super) app: AppKey,
    pub(super) slug: String,
    pub(super) id: String,
    pub(super) changes: Changes,
}

#[async_trait]
impl Write for NoteChanged {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let (status, refs) = AccessFacts::change_to_bytes(&self.changes);
        // Facts that are unknown stay unknown, unless both parts are given: the result of `||` with NULL is NULL.
        sqlx::query(
            "UPDATE records SET facts = coalesce($4, substr(facts, 1, 1)) || coalesce($5, substr(facts, 2)) \
             WHERE id = $3 AND listing IN (SELECT listing FROM listings WHERE app = $1 AND slug = $2 AND state = 'last')",
        )
        .bind(self.app.as_str())
        .bind(self.slug.as_bytes())
        .bind(self.id.as_bytes())
        .bind(status)
        .bind(refs)
        .execute(connection)
        .await?;
        Ok(())
    }
}
