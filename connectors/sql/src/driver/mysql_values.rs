//! Converts the formats of MySQL and MariaDB to JSON.

use serde_json::Value;
use sqlx::mysql::{MySqlTypeInfo, MySqlValueRef};
use sqlx::{Decode, MySql, Type, TypeInfo, ValueRef};

use super::session::{hexadecimal, unreadable};
use crate::fault::Fault;

/// The JSON value of a column.
pub(super) fn json(column: &str, value: MySqlValueRef<'_>) -> Result<Value, Fault> {
    let info = value.type_info().into_owned();
    let bytes = <Option<&[u8]>>::decode_column(value).map_err(|()| unreadable(column, info.name()))?;
    match bytes {
        None => Ok(Value::Null),
        Some(bytes) => read(&info, bytes).ok_or_else(|| unreadable(column, info.name())),
    }
}

/// Reads the raw bytes from the wire, whatever the column's type.
trait Raw<'r>: Sized {
    fn decode_column(value: MySqlValueRef<'r>) -> Result<Self, ()>;
}

impl<'r> Raw<'r> for Option<&'r [u8]> {
    fn decode_column(value: MySqlValueRef<'r>) -> Result<Self, ()> {
        // sqlx treats a date of zeros as NULL, which is right: it is not a valid date.
        if value.is_null() {
            return Ok(None);
        }
        <&[u8] as Decode<MySql>>::decode(value).map(Some).map_err(|_| ())
    }
}

fn read(info: &MySqlTypeInfo, bytes: &[u8]) -> Option<Value> {
    let name = info.name();
    Some(match name {
        // TINYINT(1) is used for booleans, but can contain any number.
        "BOOLEAN" => match (unsigned(bytes)?, <u8 as Type<MySql>>::compatible(info)) {
            (number @ (0 | 1), _) => Value::from(number == 1),
            (number, true) => Value::from(number),
            (_, false) => Value::from(signed(bytes)?),
        },
        "FLOAT" => number(&f32::from_le_bytes(bytes.try_into().ok()?).to_string()),
        "DOUBLE" => number(&f64::from_le_bytes(bytes.try_into().ok()?).to_string()),
        "DECIMAL" => number(std::str::from_utf8(bytes).ok()?),
        "YEAR" => Value::from(unsigned(bytes)?),
        "BIT" => Value::from(
            bytes.iter().try_fold(0_u64, |all, byte| Some((all.checked_mul(256)?) | u64::from(*byte)))?,
        ),
        "DATE" | "DATETIME" | "TIMESTAMP" => Value::from(date(name, bytes)?),
        "TIME" => Value::from(time(bytes)?),
        "JSON" => serde_json::from_slice(bytes).ok()?,
        "ENUM" | "SET" => Value::from(std::str::from_utf8(bytes).ok()?),
        "GEOMETRY" | "NULL" => return None,
        _ if name.ends_with("INT UNSIGNED") => Value::from(unsigned(bytes)?),
        _ if name.ends_with("INT") => Value::from(signed(bytes)?),
        _ if <String as Type<MySql>>::compatible(info) => Value::from(std::str::from_utf8(bytes).ok()?),
        _ => Value::from(hexadecimal(bytes)),
    })
}

/// A JSON number if it is exact, otherwise a string.
fn number(digits: &str) -> Value {
    let exact = serde_json::from_str::<serde_json::Number>(digits).ok();
    exact.filter(|number| number.to_string() == digits).map_or_else(|| Value::from(digits), Value::Number)
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut all = [0; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(all))
}

fn signed(bytes: &[u8]) -> Option<i64> {
    let fill = if bytes.last()? & 0x80 == 0 { 0 } else { 0xff };
    let mut all = [fill; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

/// A length byte; year, month and day; then hour, minute, second and microseconds if they are not all zero.
fn date(name: &str, bytes: &[u8]) -> Option<String> {
    let (_, bytes) = bytes.split_first()?;
    let [low, high, month, day, rest @ ..] = bytes else { return None };
    let year = u16::from_le_bytes([*low, *high]);
    let date = format!("{year:04}-{month:02}-{day:02}");
    if name == "DATE" {
        return Some(date);
    }
    let (hour, minute, second, fraction) = match rest {
        [] => (0, 0, 0, 0),
        [hour, minute, second] => (*hour, *minute, *second, 0),
        [hour, minute, second, fraction @ ..] => {
            (*hour, *minute, *second, u32::from_le_bytes(fraction.try_into().ok()?))
        }
        _ => return None,
    };
    // A TIMESTAMP is a point in time, in UTC because every connection uses UTC; a DATETIME is a local time.
    let zone = if name == "TIMESTAMP" { "Z" } else { "" };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{}{zone}", fraction_text(fraction)))
}

/// A length byte, the sign, days, hour, minute, second and microseconds.
fn time(bytes: &[u8]) -> Option<String> {
    let (_, bytes) = bytes.split_first()?;
    let [negative, d0, d1, d2, d3, hour, minute, second, fraction @ ..] = bytes else {
        return bytes.is_empty().then(|| "00:00:00".to_owned());
    };
    let hours = u64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3])) * 24 + u64::from(*hour);
    let fraction = if fraction.is_empty() { 0 } else { u32::from_le_bytes(fraction.try_into().ok()?) };
    let minus = if *negative == 0 { "" } else { "-" };
    Some(format!("{minus}{hours:02}:{minute:02}:{second:02}{}", fraction_text(fraction)))
}

fn fraction_text(microseconds: u32) -> String {
    if microseconds == 0 {
        return String::new();
    }
    format!(".{}", format!("{microseconds:06}").trim_end_matches('0'))
}
