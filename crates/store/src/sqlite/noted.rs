//! Records changes that tasks made to accounts. Those that wait for the same commit share their statements.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::{AccessFacts, AppKey, Changes};
use super::chunks::{Statements, nothing, values};
use super::grouped::Shared;
use super::writer::{Problem, Write};

// SQLite uses the partial index of listings in use only if a statement repeats its condition: `state <> 'discarded'`.
static LISTINGS: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, slug) AS ({}) INSERT INTO listings (app, slug, state) SELECT new.app, new.slug, 'last' FROM new \
             WHERE new.app IS NOT NULL AND NOT EXISTS (SELECT 1 FROM listings \
             WHERE listings.app = new.app AND listings.slug = new.slug AND listings.state = 'last' AND listings.state <> 'discarded')",
            values("(?, ?)", size)
        )
    })
});

/// No record has this hash: no sync has read the account yet.
static CREATED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, slug, id, facts) AS ({}) INSERT INTO records (listing, id, hash, standing, facts) \
             SELECT listings.listing, new.id, 0, 3, new.facts FROM new CROSS JOIN listings ON listings.app = new.app AND listings.slug = new.slug \
             AND listings.state = 'last' AND listings.state <> 'discarded' WHERE true \
             ON CONFLICT (listing, id) DO UPDATE SET standing = CASE standing WHEN 3 THEN 3 ELSE 0 END, \
             facts = coalesce(excluded.facts, facts)",
            values("(?, ?, ?, ?)", size)
        )
    })
});

static DELETED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH old (app, slug, id) AS ({}) DELETE FROM records WHERE standing = 3 AND (listing, id) IN \
             (SELECT listings.listing, old.id FROM old CROSS JOIN listings ON listings.app = old.app AND listings.slug = old.slug \
             AND listings.state = 'last' AND listings.state <> 'discarded')",
            values("(?, ?, ?)", size)
        )
    })
});

/// Facts that are unknown stay unknown, unless both parts are given: the result of `||` with NULL is NULL.
static CHANGED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, slug, id, status, refs) AS ({}) UPDATE records \
             SET facts = CAST(coalesce(new.status, substr(facts, 1, 1)) || coalesce(new.refs, substr(facts, 2)) AS BLOB) \
             FROM new CROSS JOIN listings ON listings.app = new.app AND listings.slug = new.slug \
             AND listings.state = 'last' AND listings.state <> 'discarded' \
             WHERE records.listing = listings.listing AND records.id = new.id",
            values("(?, ?, ?, ?, ?)", size)
        )
    })
});

/// A change to an account, made by a task.
pub(super) struct Note {
    pub(super) app: AppKey,
    pub(super) slug: String,
    pub(super) id: String,
    pub(super) what: What,
}

/// What a task did.
pub(super) enum What {
    /// It created the account: Iden has it, whether or not a sync has seen it. With its access in bytes, if the task has read it.
    Created(Option<Vec<u8>>),
    /// It deleted the account. An account that a sync has seen is kept: the removal guard counts missing accounts, whatever the reason.
    Deleted,
    /// It changed the account's access.
    Changed(Changes),
}

#[async_trait]
impl Write for Note {
    type Answer = ();
    const NAME: &'static str = "note";

    fn shared(&self) -> Option<(Shared<'_>, ())> {
        Some((Shared::Note(self), ()))
    }

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        run(connection, &[self]).await
    }
}

/// Writes all notes, which must be about different accounts.
pub(super) async fn run(connection: &mut SqliteConnection, notes: &[&Note]) -> Result<(), Problem> {
    let (mut created, mut deleted, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for note in notes {
        match &note.what {
            What::Created(access) => created.push((*note, access)),
            What::Deleted => deleted.push(*note),
            What::Changed(access) => changed.push((*note, AccessFacts::change_to_bytes(access))),
        }
    }
    let listings: BTreeSet<(&str, &str)> =
        created.iter().map(|(note, _)| (note.app.as_str(), note.slug.as_str())).collect();
    let listings: Vec<(&str, &str)> = listings.into_iter().collect();
    for (statement, piece, padding) in LISTINGS.pad(&listings) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, slug) in piece {
            query = query.bind(*app).bind(*slug);
        }
        nothing(query, 2 * padding).execute(&mut *connection).await?;
    }
    for (statement, piece, padding) in CREATED.pad(&created) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (note, access) in piece {
            query = query.bind(note.app.as_str()).bind(&note.slug).bind(&note.id).bind(access.as_deref());
        }
        nothing(query, 4 * padding).execute(&mut *connection).await?;
    }
    for (statement, piece, padding) in DELETED.pad(&deleted) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for note in piece {
            query = query.bind(note.app.as_str()).bind(&note.slug).bind(&note.id);
        }
        nothing(query, 3 * padding).execute(&mut *connection).await?;
    }
    for (statement, piece, padding) in CHANGED.pad(&changed) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (note, (status, refs)) in piece {
            query = query.bind(note.app.as_str()).bind(&note.slug).bind(&note.id).bind(status).bind(refs);
        }
        nothing(query, 5 * padding).execute(&mut *connection).await?;
    }
    Ok(())
}
