//! A connector whose target is a database.
