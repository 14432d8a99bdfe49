//! MySQL's and MariaDB's error numbers. <https://mariadb.com/kb/en/mariadb-error-code-reference/>

use super::Kind;

/// The number of a statement that is larger than `max_allowed_packet`.
pub(super) const TOO_LARGE: u16 = 1153;

/// The kind of an error number. Numbers below 1000 are of the server's files; from 2000, and 9000, those of a proxy in between, which passes
/// on what a client would report.
#[expect(clippy::too_many_lines, reason = "a table of numbers")]
pub(super) fn kind(number: u16, message: &str) -> Kind {
    match number {
        // A column is compared with a value that has letters the column cannot hold. Between two columns, the statement is wrong.
        1267 if message.contains(",COERCIBLE)") => Kind::Value,
        1022 | 1062 | 1169 | 1586 | 1859 => Kind::Unique,
        1216 | 1217 | 1451 | 1452 => Kind::ForeignKey,
        1048 | 1364 | 1369 | 3819 | 4025 | 1557 | 1761 | 1762 => Kind::Rule,
        1264 | 1265 | 1292 | 1366 | 1367 | 1406 | 1411 | 1416 | 1425 | 1441 | 1690 | 3140 | 3141 | 4038 => {
            Kind::Value
        }
        TOO_LARGE | 2020 => Kind::TooLarge,
        1644 => Kind::Raised,
        1142 | 1143 | 1227 | 1370 | 1419 => Kind::Denied,
        1045 | 1130 | 1131 | 1132 | 1133 | 1251 | 1698 | 1820 | 1862 | 3118 | 3955 | 4151 => Kind::Credential,
        // Also reported for a database that does not exist, if the user may not know that.
        1044 => Kind::NoAccess,
        1049 => Kind::NoDatabase,
        1042
        | 1043
        | 1047
        | 1053
        | 1077
        | 1079
        | 1081
        | 1129
        | 1152
        | 1154..=1161
        | 1184
        | 1429
        | 1927
        | 2000..=2062
        | 3168
        | 3169
        | 4031
        | 9001
        | 9006
        | 9501 => Kind::Unavailable,
        1040 | 1203 | 1226 => Kind::TooMany,
        1..=40
        | 1016
        | 1021
        | 1023
        | 1024
        | 1026
        | 1030
        | 1034
        | 1035
        | 1037
        | 1038
        | 1041
        | 1114
        | 1126
        | 1135
        | 1194
        | 1195
        | 1461
        | 1637
        | 1712
        | 1812
        | 1814
        | 1877
        | 1878 => Kind::Resources,
        1317 | 1969 | 3024 | 1028 => Kind::Cancelled,
        1205 | 1206 | 1015 | 1099 | 1100 | 3572 => Kind::Locked,
        // The table was changed by another client, or a cluster rolled the transaction back.
        1213 | 1020 | 1297 | 1412 | 1614 | 3100 | 3101 => Kind::Conflict,
        1036 | 1290 | 1792 | 1836 | 1874 | 3989 => Kind::ReadOnly,
        1180 | 1181 => Kind::InDoubt,
        // A prepared statement that the server no longer has, or cannot adapt.
        1243 | 1615 => Kind::Stale,
        // Among them: a view whose tables were changed, and a view or a trigger whose owner was dropped (1356, 1449).
        1046
        | 1051
        | 1052
        | 1054..=1060
        | 1063..=1066
        | 1072
        | 1103
        | 1109
        | 1110
        | 1111
        | 1115
        | 1136
        | 1140
        | 1146
        | 1149
        | 1193
        | 1210
        | 1222
        | 1235
        | 1241
        | 1242
        | 1247
        | 1248
        | 1253
        | 1267
        | 1273
        | 1288
        | 1295
        | 1305
        | 1318
        | 1327
        | 1348
        | 1356
        | 1393
        | 1394
        | 1442
        | 1449
        | 1582
        | 1906
        | 1932
        | 3105 => Kind::Statement,
        _ => Kind::Other,
    }
}

/// The constraint named in a message: `… for key 'accounts.login'`, `… CONSTRAINT `name` …`.
pub(super) fn constraint(number: u16, message: &str) -> Option<String> {
    let between = |start: &str, end: char| {
        let (_, behind) = message.rsplit_once(start)?;
        let (name, _) = behind.split_once(end)?;
        Some(name.to_owned())
    };
    match number {
        1022 | 1062 | 1169 | 1586 | 1859 => between("for key '", '\''),
        1216 | 1217 | 1451 | 1452 | 4025 => between("CONSTRAINT `", '`'),
        3819 => between("Check constraint '", '\''),
        1048 => between("Column '", '\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_error_numbers_map_to_fault_kinds() {
        let table = [
            (1062, Kind::Unique),
            (1452, Kind::ForeignKey),
            (1451, Kind::ForeignKey),
            (1048, Kind::Rule),
            (4025, Kind::Rule),
            (3819, Kind::Rule),
            (1366, Kind::Value),
            (1406, Kind::Value),
            (1644, Kind::Raised),
            (1142, Kind::Denied),
            (1045, Kind::Credential),
            (1044, Kind::NoAccess),
            (1049, Kind::NoDatabase),
            (1698, Kind::Credential),
            (2006, Kind::Unavailable),
            (2013, Kind::Unavailable),
            (1053, Kind::Unavailable),
            (1927, Kind::Unavailable),
            (1040, Kind::TooMany),
            (1226, Kind::TooMany),
            (1114, Kind::Resources),
            (3024, Kind::Cancelled),
            (1969, Kind::Cancelled),
            (1205, Kind::Locked),
            (1213, Kind::Conflict),
            (1290, Kind::ReadOnly),
            (1180, Kind::InDoubt),
            (1243, Kind::Stale),
            (1153, Kind::TooLarge),
            (1158, Kind::Unavailable),
            (9001, Kind::Unavailable),
            (3, Kind::Resources),
            (1026, Kind::Resources),
            (1461, Kind::Resources),
            (1412, Kind::Conflict),
            (3101, Kind::Conflict),
            (1874, Kind::ReadOnly),
            (1118, Kind::Other),
            (1356, Kind::Statement),
            (1449, Kind::Statement),
            (1146, Kind::Statement),
            (1064, Kind::Statement),
            (1906, Kind::Statement),
            (9999, Kind::Other),
        ];
        for (number, expected) in table {
            assert_eq!(kind(number, ""), expected, "{number}");
        }
        let mix = |other: &str| {
            format!(
                "Illegal mix of collations (latin1_swedish_ci,IMPLICIT) and (utf8mb4_general_ci,{other}) for operation '='"
            )
        };
        assert_eq!(kind(1267, &mix("COERCIBLE")), Kind::Value);
        assert_eq!(kind(1267, &mix("IMPLICIT")), Kind::Statement);
    }

    #[test]
    fn constraint_names_are_parsed_from_messages() {
        let found = |number, message| constraint(number, message).unwrap_or_default();
        assert_eq!(found(1062, "Duplicate entry 'for key 'x' for key 'login'"), "login");
        let message = "Cannot add or update a child row: a foreign key constraint fails (`crm`.`seats`, CONSTRAINT `fk_team` \
                       FOREIGN KEY (`team`) REFERENCES `teams` (`id`))";
        assert_eq!(found(1452, message), "fk_team");
        assert_eq!(found(4025, "CONSTRAINT `seats` failed for `crm`.`accounts`"), "seats");
        assert_eq!(constraint(1064, "near 'for key 'a''"), None);
    }
}
