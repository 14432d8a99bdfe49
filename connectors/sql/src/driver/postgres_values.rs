//! Converts PostgreSQL's binary formats to JSON.
//!
//! Values get the form in which the server itself writes them as text, so that statements can compare with the values of a listing.

use std::fmt::Write;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::postgres::{PgTypeInfo, PgTypeKind, PgValueFormat, PgValueRef};
use sqlx::types::Uuid;
use sqlx::{TypeInfo, ValueRef};

use super::session::{hexadecimal, unreadable};
use crate::fault::Fault;

/// The JSON value of a column.
pub(super) fn json(column: &str, value: &PgValueRef<'_>) -> Result<Value, Fault> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let info = value.type_info();
    let bytes = value.as_bytes().map_err(|_| unreadable(column, info.name()))?;
    let read = match value.format() {
        PgValueFormat::Text => std::str::from_utf8(bytes).ok().map(Value::from),
        PgValueFormat::Binary => read(&info, bytes),
    };
    read.ok_or_else(|| unreadable(column, info.name()))
}

fn read(info: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    match info.kind() {
        PgTypeKind::Array(element) => return array(element, bytes),
        PgTypeKind::Domain(base) => return read(base, bytes),
        PgTypeKind::Enum(_) => return text(bytes),
        PgTypeKind::Simple => {}
        // The result of a function without a return value.
        PgTypeKind::Pseudo if info.name().eq_ignore_ascii_case("void") => return Some(Value::Null),
        PgTypeKind::Pseudo if info.name().eq_ignore_ascii_case("unknown") => return text(bytes),
        PgTypeKind::Pseudo | PgTypeKind::Composite(_) | PgTypeKind::Range(_) => return None,
    }
    Some(match info.name().to_ascii_uppercase().as_str() {
        "BOOL" => Value::from(bytes.first()? != &0),
        "INT2" => Value::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        "INT4" => Value::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        "INT8" => Value::from(i64::from_be_bytes(bytes.try_into().ok()?)),
        "OID" | "XID" | "CID" | "REGCLASS" | "REGROLE" => {
            Value::from(u32::from_be_bytes(bytes.try_into().ok()?))
        }
        // Like the server: the shortest form that reads back the same in this width.
        "FLOAT4" => number(&f32::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "FLOAT8" => number(&f64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        "NUMERIC" => number(&numeric(bytes)?),
        "UUID" => Value::from(Uuid::from_slice(bytes).ok()?.to_string()),
        "JSON" => serde_json::from_slice(bytes).ok()?,
        "JSONB" => serde_json::from_slice(bytes.strip_prefix(&[1])?).ok()?,
        "BYTEA" => Value::from(hexadecimal(bytes)),
        "DATE" => Value::from(date(i32::from_be_bytes(bytes.try_into().ok()?))?),
        "TIME" => Value::from(time(i64::from_be_bytes(bytes.try_into().ok()?))?),
        "TIMESTAMP" => Value::from(timestamp(bytes, "")?),
        "TIMESTAMPTZ" => Value::from(timestamp(bytes, "Z")?),
        "INET" | "CIDR" => Value::from(network(bytes)?),
        // The server pads these values with spaces, which are not part of the value.
        "CHAR" | "BPCHAR" => Value::from(std::str::from_utf8(bytes).ok()?.trim_end_matches(' ')),
        "TEXT" | "VARCHAR" | "NAME" | "\"CHAR\"" | "UNKNOWN" | "XML" | "CITEXT" => text(bytes)?,
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok().map(Value::from)
}

/// A JSON number if possible, otherwise a string: `NaN`, and numbers with too many digits.
fn number(digits: &str) -> Value {
    let exact = serde_json::from_str::<serde_json::Number>(digits).ok();
    exact.filter(|number| number.to_string() == digits).map_or_else(|| Value::from(digits), Value::Number)
}

/// `int16` each: the number of digits in base 10000, the weight of the first, sign, scale; then the digits.
fn numeric(bytes: &[u8]) -> Option<String> {
    const NEGATIVE: u16 = 0x4000;
    let mut parts = bytes.chunks_exact(2).map(|part| u16::from_be_bytes([part[0], part[1]]));
    let count = parts.next()?;
    let weight = parts.next()?.cast_signed();
    let sign = parts.next()?;
    let scale = usize::from(parts.next()?);
    match sign {
        0 | NEGATIVE => {}
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    let digits: Vec<u16> = parts.take(usize::from(count)).collect();
    let digit =
        |place: i32| usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(0);
    let mut whole = String::new();
    for place in 0..=i32::from(weight) {
        write!(whole, "{:04}", digit(place)).ok()?;
    }
    let whole = whole.trim_start_matches('0');
    let mut fraction = String::new();
    let mut place = i32::from(weight) + 1;
    while fraction.len() < scale {
        write!(fraction, "{:04}", digit(place)).ok()?;
        place += 1;
    }
    fraction.truncate(scale);
    let point = if scale == 0 { "" } else { "." };
    let minus = if sign == NEGATIVE { "-" } else { "" };
    Some(format!("{minus}{}{point}{fraction}", if whole.is_empty() { "0" } else { whole }))
}

/// Days since 2000.
fn date(days: i32) -> Option<String> {
    match days {
        i32::MAX => return Some("infinity".to_owned()),
        i32::MIN => return Some("-infinity".to_owned()),
        _ => {}
    }
    let epoch = Date::new(2000, 1, 1).ok()?;
    Some(epoch.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).ok()?.to_string())
}

/// Microseconds since midnight.
fn time(microseconds: i64) -> Option<String> {
    if microseconds == 86_400_000_000 {
        return Some("24:00:00".to_owned());
    }
    let midnight = jiff::civil::Time::midnight();
    Some(midnight.checked_add(SignedDuration::from_micros(microseconds)).ok()?.to_string())
}

/// Microseconds since 2000, in UTC because every connection uses UTC.
fn timestamp(bytes: &[u8], zone: &str) -> Option<String> {
    const EPOCH: i64 = 946_684_800_000_000;
    let microseconds = i64::from_be_bytes(bytes.try_into().ok()?);
    match microseconds {
        i64::MAX => return Some("infinity".to_owned()),
        i64::MIN => return Some("-infinity".to_owned()),
        _ => {}
    }
    let timestamp = Timestamp::from_microsecond(microseconds.checked_add(EPOCH)?).ok()?;
    let written = timestamp.to_string();
    Some(format!("{}{zone}", written.trim_end_matches('Z')))
}

/// Family, length of the mask, whether it is a CIDR, length, address.
fn network(bytes: &[u8]) -> Option<String> {
    let [_, mask, is_cidr, length, address @ ..] = bytes else { return None };
    let (address, whole) = match (length, address) {
        (4, address) => (std::net::IpAddr::from(<[u8; 4]>::try_from(address).ok()?), 32),
        (16, address) => (std::net::IpAddr::from(<[u8; 16]>::try_from(address).ok()?), 128),
        _ => return None,
    };
    let plain = *is_cidr == 0 && *mask == whole;
    Some(if plain { address.to_string() } else { format!("{address}/{mask}") })
}

/// The number of dimensions, whether there are NULLs, the type's OID; for each dimension its length and lower bound; then each element with
/// its length. Only one dimension is supported: a list of references has no more.
fn array(element: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let dimensions = take(&mut rest)?;
    take(&mut rest)?;
    take(&mut rest)?;
    match dimensions {
        0 => return Some(Value::Array(Vec::new())),
        1 => {}
        _ => return None,
    }
    let length = take(&mut rest)?;
    take(&mut rest)?;
    let mut elements = Vec::new();
    for _ in 0..length {
        let Ok(length) = usize::try_from(take(&mut rest)?) else {
            elements.push(Value::Null);
            continue;
        };
        let (bytes, behind) = rest.split_at_checked(length)?;
        elements.push(read(element, bytes)?);
        rest = behind;
    }
    Some(Value::Array(elements))
}

fn take(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(i32::from_be_bytes(*bytes))
}
