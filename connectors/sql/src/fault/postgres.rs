//! PostgreSQL's SQLSTATEs. <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use super::Kind;

/// The only SQLSTATE that PgBouncer uses for refusals.
pub(super) const OF_POOL: &str = "08P01";

/// The kind of a refused login, from PgBouncer's message, which is never translated.
pub(super) fn refused_by_pool(message: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["authentication failed", "no such user", "login rejected"]) {
        Kind::Credential
    } else if says(&["no more connections allowed"]) {
        Kind::TooMany
    } else if says(&["no such database"]) {
        Kind::NoDatabase
    } else {
        Kind::Unavailable
    }
}

/// The kind of a SQLSTATE.
pub(super) fn kind(state: &str) -> Kind {
    match state {
        "23505" | "42710" | "23P01" => Kind::Unique,
        "23503" => Kind::ForeignKey,
        "P0001" => Kind::Raised,
        "42501" => Kind::Denied,
        "40003" | "08007" => Kind::InDoubt,
        "57014" | "25P04" => Kind::Cancelled,
        "53300" => Kind::TooMany,
        "55P03" | "55006" => Kind::Locked,
        "40001" | "40P01" | "40002" | "72000" => Kind::Conflict,
        "25006" => Kind::ReadOnly,
        // A prepared statement that is missing or exists twice, or a transaction that does not exist or already does.
        "26000" | "42P05" | "25P01" | "25001" | "08P01" => Kind::Stale,
        "3D000" => Kind::NoDatabase,
        // The last one: another server that a foreign table is in cannot be reached.
        "25P03" | "HV00N" => Kind::Unavailable,
        // Such as a concurrent change of a table, or an extension that reports nothing more precise.
        "XX000" => Kind::Internal,
        // Such as a materialized view that was never filled.
        "55000" => Kind::Statement,
        // A name that comes from a value: a role, a database.
        "42704" | "42939" | "42602" | "42622" => Kind::Other,
        _ => match state.get(..2) {
            Some("08" | "57") => Kind::Unavailable,
            Some("22" | "21") => Kind::Value,
            Some("23" | "27" | "44") => Kind::Rule,
            Some("28") => Kind::Credential,
            Some("53" | "58" | "XX" | "F0") => Kind::Resources,
            Some("42" | "3F" | "25" | "26" | "34" | "0A") => Kind::Statement,
            Some("40") => Kind::Conflict,
            Some("P0") => Kind::Raised,
            _ => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooler_errors_are_classified_by_message() {
        for (message, expected) in [
            ("SASL authentication failed", Kind::Credential),
            ("password authentication failed", Kind::Credential),
            ("\"trust\" authentication failed", Kind::Credential),
            ("no such user: nobody", Kind::Credential),
            ("unix socket login rejected", Kind::Credential),
            ("no more connections allowed (max_client_conn)", Kind::TooMany),
            ("no such database: nowhere", Kind::NoDatabase),
            ("client_login_timeout (server down)", Kind::Unavailable),
            ("server login has been failing, try again later (server_login_retry)", Kind::Unavailable),
        ] {
            assert_eq!(refused_by_pool(message), expected, "{message}");
        }
    }

    #[test]
    fn sqlstates_map_to_fault_kinds() {
        let table = [
            ("23505", Kind::Unique),
            ("42710", Kind::Unique),
            ("23503", Kind::ForeignKey),
            ("23502", Kind::Rule),
            ("23514", Kind::Rule),
            ("22001", Kind::Value),
            ("22P02", Kind::Value),
            ("22021", Kind::Value),
            ("P0001", Kind::Raised),
            ("42501", Kind::Denied),
            ("28000", Kind::Credential),
            ("28P01", Kind::Credential),
            ("57P01", Kind::Unavailable),
            ("57P02", Kind::Unavailable),
            ("57P03", Kind::Unavailable),
            ("08006", Kind::Unavailable),
            ("08003", Kind::Unavailable),
            ("3D000", Kind::NoDatabase),
            ("08007", Kind::InDoubt),
            ("40003", Kind::InDoubt),
            ("53300", Kind::TooMany),
            ("53100", Kind::Resources),
            ("XX000", Kind::Internal),
            ("XX001", Kind::Resources),
            ("54000", Kind::Other),
            ("55000", Kind::Statement),
            ("25P04", Kind::Cancelled),
            ("72000", Kind::Conflict),
            ("HV00N", Kind::Unavailable),
            ("57014", Kind::Cancelled),
            ("55P03", Kind::Locked),
            ("40001", Kind::Conflict),
            ("40P01", Kind::Conflict),
            ("25006", Kind::ReadOnly),
            ("0A000", Kind::Statement),
            ("26000", Kind::Stale),
            ("42P05", Kind::Stale),
            ("42P01", Kind::Statement),
            ("42703", Kind::Statement),
            ("42601", Kind::Statement),
            ("42883", Kind::Statement),
            ("2BP01", Kind::Other),
            ("", Kind::Other),
        ];
        for (state, expected) in table {
            assert_eq!(kind(state), expected, "{state}");
        }
    }
}
