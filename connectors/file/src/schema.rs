//! Decodes and encodes the cells of a row.

use std::borrow::Cow;
use std::collections::HashMap;

use bridgehead_sdk::{Memberships, Ref, folded, nearest};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::refs;
use crate::rows::Row;
use crate::unique::{self, NoObject};

/// How the rows of a file are parsed.
#[derive(Debug)]
pub(crate) enum Schema {
    /// Fields in the order of the header.
    Csv(Header),
    /// Every row names its fields.
    Jsonl,
}

/// The header of a CSV file.
#[derive(Debug)]
pub(crate) struct Header {
    names: Vec<String>,
    index: HashMap<String, usize>,
    delimiter: u8,
}

/// The fields of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cells {
    /// As many as the header has columns.
    Csv(Vec<String>),
    /// In the order of the row.
    Jsonl(Map<String, Value>),
}

/// What is wrong with a row or one of its fields. Never contains a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {rule}")]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) rule: String,
}

impl Fault {
    pub(crate) fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

/// Splits one row, whose quotes were already validated, into its fields.
#[derive(Debug)]
pub(crate) struct Splitter {
    reader: csv_core::Reader,
    input: Vec<u8>,
    output: Vec<u8>,
    ends: Vec<usize>,
    delimiter: u8,
}

impl Splitter {
    pub(crate) fn new(delimiter: u8) -> Self {
        let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        // The reader removes a byte order mark from the first bytes it reads. That of the file was already removed, and
        // an identifier that starts with one must keep it.
        let _ = reader.read_record(b"x\n", &mut [0; 8], &mut [0; 8]);
        Self { reader, input: Vec::new(), output: Vec::new(), ends: Vec::new(), delimiter }
    }

    /// The fields of a non-blank row.
    pub(crate) fn split(&mut self, row: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.input.clear();
        self.input.extend_from_slice(row);
        self.input.push(b'\n');
        self.output.resize(self.input.len(), 0);
        self.ends.resize(self.input.len() + 1, 0);
        let (_, _, _, fields) = self.reader.read_record(&self.input, &mut self.output, &mut self.ends);
        let (output, ends) = (&self.output, &self.ends);
        (0..fields).map(move |field| {
            let start = field.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
            let end = ends.get(field).copied().unwrap_or(start);
            output.get(start..end).unwrap_or_default()
        })
    }

    /// The fields as text, for both the header and other rows: spaces around a field are kept only inside quotes.
    fn split_text(&mut self, row: &str) -> Vec<String> {
        let quoted = self.quoted(row.as_bytes());
        let fields = self.split(row.as_bytes()).zip(quoted.into_iter().chain(std::iter::repeat(false)));
        let text = |(field, is_quoted): (&[u8], bool)| {
            let text = String::from_utf8_lossy(field);
            if is_quoted { text.into_owned() } else { text.trim().to_owned() }
        };
        fields.map(text).collect()
    }

    /// Which fields are quoted.
    fn quoted(&self, row: &[u8]) -> Vec<bool> {
        let (mut all, mut starts, mut inside) = (Vec::new(), true, false);
        for byte in row {
            if starts {
                all.push(*byte == b'"');
                inside = *byte == b'"';
                starts = !inside && *byte == self.delimiter;
            } else if *byte == b'"' && all.last() == Some(&true) {
                // An escaped quote closes the field and opens it again.
                inside = !inside;
            } else if *byte == self.delimiter && !inside {
                starts = true;
            }
        }
        all
    }
}

impl Header {
    /// Parses the first row of a CSV file.
    pub(crate) fn parse(
        file: &str,
        row: &Row,
        delimiter: u8,
        splitter: &mut Splitter,
    ) -> Result<Self, Error> {
        let wrong = |reason: String| Error::damaged(file, row.line, reason);
        let text = std::str::from_utf8(&row.bytes)
            .map_err(|_| wrong("the header is not UTF-8; save the file as UTF-8".into()))?;
        let names: Vec<String> = splitter.split_text(text);
        let mut index = HashMap::new();
        for (position, name) in names.iter().enumerate() {
            // Spreadsheets leave columns without a name; these are kept and ignored.
            if !name.is_empty() && index.insert(name.clone(), position).is_some() {
                return Err(wrong(format!("the header has two columns named '{name}'; rename one")));
            }
        }
        Ok(Self { names, index, delimiter })
    }
}

impl Schema {
    /// Whether a row can have this field.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Csv(header) => header.index.contains_key(name),
            Self::Jsonl => true,
        }
    }

    /// Checks that a required column exists.
    pub(crate) fn require(&self, file: &str, name: &str) -> Result<(), Error> {
        let Self::Csv(header) = self else { return Ok(()) };
        if header.index.contains_key(name) {
            return Ok(());
        }
        let hint = match (header.names.as_slice(), nearest(name, header.names.iter().map(String::as_str))) {
            ([one], _) if one.contains([',', ';', '\t', '|']) => "; check `delimiter`".to_owned(),
            (_, Some(near)) => format!("; did you mean '{near}'?"),
            _ => "; the first line must name the columns".to_owned(),
        };
        Err(Error::damaged(file, 1, format!("the header has no column '{name}'{hint}")))
    }

    /// The names of the columns; none for JSON lines, where each row has its own.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Csv(header) => &header.names,
            Self::Jsonl => &[],
        }
    }

    /// An empty row.
    pub(crate) fn blank(&self) -> Cells {
        match self {
            Self::Csv(header) => Cells::Csv(vec![String::new(); header.names.len()]),
            Self::Jsonl => Cells::Jsonl(Map::new()),
        }
    }

    /// Parses the fields of a row.
    pub(crate) fn decode(&self, row: &[u8], splitter: &mut Splitter) -> Result<Cells, Fault> {
        let text = std::str::from_utf8(row).map_err(|_| Fault::new("row", "UTF-8 text"))?;
        match self {
            Self::Csv(header) => {
                let fields = splitter.split_text(text);
                if fields.len() != header.names.len() {
                    let rule = format!("{} fields like the header, not {}", header.names.len(), fields.len());
                    return Err(Fault::new("row", rule));
                }
                Ok(Cells::Csv(fields))
            }
            Self::Jsonl => unique::object(text).map(Cells::Jsonl).map_err(|why| {
                let rule = match why {
                    NoObject::Twice => "a JSON object without duplicate fields",
                    NoObject::Other => "a single JSON object",
                };
                Fault::new("row", rule)
            }),
        }
    }

    /// Whether a row that cannot be decoded contains one of these strings, which are folded.
    pub(crate) fn mentions(&self, row: &[u8], texts: &[String], splitter: &mut Splitter) -> bool {
        let text = folded(&String::from_utf8_lossy(row));
        match self {
            Self::Csv(_) => splitter.split_text(&text).iter().any(|field| texts.contains(field)),
            Self::Jsonl => texts.iter().any(|wanted| {
                // With quotes, because a short identifier would be found everywhere; a number has no quotes.
                let number = wanted.bytes().all(|byte| byte.is_ascii_digit());
                (number && text.contains(wanted.as_str()))
                    || text.contains(&Value::from(wanted.as_str()).to_string())
            }),
        }
    }

    /// Encodes the fields of a row, without a line break.
    pub(crate) fn encode(&self, cells: &Cells) -> Result<Vec<u8>, Fault> {
        match (self, cells) {
            (Self::Csv(header), Cells::Csv(fields)) => {
                let mut row = String::new();
                for (position, field) in fields.iter().enumerate() {
                    if position > 0 {
                        row.push(char::from(header.delimiter));
                    }
                    // A row with a single empty field would otherwise be a blank line.
                    if (field.is_empty() && fields.len() == 1) || needs_quotes(field, header.delimiter) {
                        row.push('"');
                        row.push_str(&field.replace('"', "\"\""));
                        row.push('"');
                    } else {
                        row.push_str(field);
                    }
                }
                Ok(row.into_bytes())
            }
            (_, Cells::Jsonl(fields)) => {
                serde_json::to_vec(fields).map_err(|_| Fault::new("row", "a writable value"))
            }
            (Self::Jsonl, Cells::Csv(_)) => Err(Fault::new("row", "a JSON object")),
        }
    }

    /// Encodes the fields of a row that was read as `before`.
    pub(crate) fn encode_again(&self, before: &[u8], cells: &Cells) -> Result<Vec<u8>, Fault> {
        match (cells, std::str::from_utf8(before)) {
            (Cells::Jsonl(fields), Ok(before)) => {
                unique::rewrite(before, fields).map_err(|_| Fault::new("row", "a writable value"))
            }
            _ => self.encode(cells),
        }
    }

    /// A field as text; `None` if it is blank, `null` or missing. A whole number is treated as text.
    pub(crate) fn text<'a>(&self, cells: &'a Cells, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        Ok(match (self, cells) {
            (Self::Csv(header), Cells::Csv(fields)) => header
                .index
                .get(name)
                .and_then(|position| fields.get(*position))
                .filter(|field| !field.is_empty())
                .map(|field| Cow::Borrowed(field.as_str())),
            (_, Cells::Jsonl(fields)) => match fields.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => {
                    Some(Cow::Borrowed(text.as_str())).filter(|text| !text.is_empty())
                }
                Some(Value::Number(number)) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
                Some(_) => return Err(Fault::new(name, "text")),
            },
            (Self::Jsonl, Cells::Csv(_)) => None,
        })
    }

    /// A field as references to groups or licenses.
    pub(crate) fn refs(&self, cells: &Cells, name: &str) -> Result<Vec<Ref>, Fault> {
        let Cells::Jsonl(fields) = cells else {
            return Ok(self.text(cells, name)?.map_or_else(Vec::new, |field| refs::split(&field)));
        };
        let Some(value) = fields.get(name) else {
            return Ok(Vec::new());
        };
        let one = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
        let read =
            Memberships::from_json(name, one).map_err(|_| Fault::new(name, "a list of identifiers"))?;
        Ok(read.of(name).to_vec())
    }

    /// The fields that are not among `known`: those without a special meaning in bridgehead.
    pub(crate) fn rest(&self, cells: &Cells, known: impl Fn(&str) -> bool) -> Map<String, Value> {
        match (self, cells) {
            (Self::Csv(header), Cells::Csv(fields)) => header
                .names
                .iter()
                .zip(fields)
                .filter(|(name, field)| !name.is_empty() && !field.is_empty() && !known(name))
                .map(|(name, field)| (name.clone(), Value::from(field.as_str())))
                .collect(),
            (_, Cells::Jsonl(fields)) => fields
                .iter()
                .filter(|(name, _)| !known(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            (Self::Jsonl, Cells::Csv(_)) => Map::new(),
        }
    }

    /// Sets a field; `null` clears it. The row must support the field.
    pub(crate) fn set(&self, cells: &mut Cells, name: &str, value: Value) -> Result<(), Fault> {
        match (self, cells) {
            (Self::Csv(header), Cells::Csv(fields)) => {
                let text = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text,
                    Value::Bool(_) | Value::Number(_) => value.to_string(),
                    Value::Array(_) | Value::Object(_) => {
                        return Err(Fault::new(name, "text, the only type that a CSV field can hold"));
                    }
                };
                if text.contains('\0') {
                    return Err(Fault::new(name, "text without a NUL character"));
                }
                let field = header.index.get(name).and_then(|position| fields.get_mut(*position));
                let missing = || Fault::new(name, "a column of the file; add it to the header");
                *field.ok_or_else(missing)? = text;
            }
            (_, Cells::Jsonl(fields)) => {
                if value.as_str().is_some_and(|text| text.contains('\0')) {
                    return Err(Fault::new(name, "text without a NUL character"));
                }
                if let Some(field) = fields.get_mut(name) {
                    *field = value;
                } else if !value.is_null() {
                    fields.insert(name.to_owned(), value);
                }
            }
            (Self::Jsonl, Cells::Csv(_)) => return Err(Fault::new(name, "a field of a JSON object")),
        }
        Ok(())
    }

    /// Sets a field to references.
    pub(crate) fn set_refs(&self, cells: &mut Cells, name: &str, refs: &[Ref]) -> Result<(), Fault> {
        let ids = refs.iter().map(|r| r.id.as_str());
        let value = match self {
            Self::Csv(_) => Value::from(refs::join(ids)),
            Self::Jsonl => ids.collect(),
        };
        self.set(cells, name, value)
    }
}

/// Whether a field would be parsed differently without quotes.
fn needs_quotes(field: &str, delimiter: u8) -> bool {
    field.trim() != field || field.contains([char::from(delimiter), '"', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::rows::{Rows, Syntax};

    fn header(delimiter: u8, names: &[&str]) -> (Schema, Splitter) {
        let mut splitter = Splitter::new(delimiter);
        let row = Row {
            bytes: names.join(&char::from(delimiter).to_string()).into_bytes(),
            line: 1,
            ..Row::default()
        };
        let header = Header::parse("accounts.csv", &row, delimiter, &mut splitter).unwrap();
        (Schema::Csv(header), splitter)
    }

    #[test]
    fn row_with_wrong_field_count_is_invalid() {
        let (schema, mut splitter) = header(b',', &["id", "name"]);
        for row in ["1", "1,2,3", "\"1,2\""] {
            let fault = schema.decode(row.as_bytes(), &mut splitter).unwrap_err();
            assert!(fault.rule.starts_with("2 fields"), "{fault}");
        }
        assert!(schema.decode(b"1,\xff", &mut splitter).is_err());
        let cells = schema.decode("\u{feff}1,".as_bytes(), &mut splitter).unwrap();
        assert_eq!(cells, Cells::Csv(vec!["\u{feff}1".into(), String::new()]));
    }

    #[test]
    fn missing_column_error_suggests_a_fix() {
        let (schema, _) = header(b',', &["ID", "name"]);
        assert!(schema.require("a.csv", "id").unwrap_err().to_string().contains("did you mean 'ID'?"));
        let (schema, _) = header(b',', &["id;name"]);
        assert!(schema.require("a.csv", "id").unwrap_err().to_string().contains("`delimiter`"));
    }

    #[test]
    fn duplicate_column_is_an_error() {
        let mut splitter = Splitter::new(b',');
        let row = Row { bytes: b"id,team,team,,".to_vec(), ..Row::default() };
        let error = Header::parse("accounts.csv", &row, b',', &mut splitter).unwrap_err();
        assert!(error.to_string().contains("two columns named 'team'"), "{error}");
    }

    #[test]
    fn json_lines_preserve_types_and_order() {
        let mut splitter = Splitter::new(b',');
        let text = r#"{"z":1,"id":7,"team":["t1",2],"deep":{"a":[null]},"email":null}"#;
        let mut cells = Schema::Jsonl.decode(text.as_bytes(), &mut splitter).unwrap();
        assert_eq!(Schema::Jsonl.text(&cells, "id").unwrap().unwrap(), "7");
        assert_eq!(Schema::Jsonl.text(&cells, "email").unwrap(), None);
        assert_eq!(Schema::Jsonl.refs(&cells, "team").unwrap(), [Ref::new("t1"), Ref::new("2")]);
        Schema::Jsonl.set(&mut cells, "email", json!("a@b.c")).unwrap();
        let written = String::from_utf8(Schema::Jsonl.encode(&cells).unwrap()).unwrap();
        assert_eq!(written, text.replace("\"email\":null", "\"email\":\"a@b.c\""));
    }

    #[test]
    fn nul_is_never_written() {
        let (schema, _) = header(b',', &["id", "name"]);
        for schema in [schema, Schema::Jsonl] {
            let mut cells = schema.blank();
            let fault = schema.set(&mut cells, "name", json!("a\0b")).unwrap_err();
            assert_eq!(fault.field, "name");
        }
    }

    const TEXT: &str = "([a-z,;\"'\\\\\t\r\n \u{feff}\u{5d0}\u{202e}é\u{1f600}]|[^\0]){0,12}";

    proptest! {
        #[test]
        fn any_csv_cells_survive_a_round_trip(
            rows in prop::collection::vec(prop::collection::vec(TEXT, 3), 1..5),
            delimiter in prop::sample::select(vec![b',', b';', b'\t', b'|']),
            line_break in prop::sample::select(vec!["\n", "\r\n"]),
        ) {
            let (schema, mut splitter) = header(delimiter, &["id", "a", "b"]);
            let mut content = Vec::new();
            for row in &rows {
                content.extend(schema.encode(&Cells::Csv(row.clone())).unwrap());
                content.extend(line_break.as_bytes());
            }
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, b"id\n").unwrap();
            std::io::Write::write_all(&mut file, &content).unwrap();
            let length = content.len() as u64 + 3;
            let mut reader = Rows::new(std::sync::Arc::new(file), "a".into(), Syntax::Csv(delimiter), length, 3, 2);
            let mut row = Row::default();
            let mut read = Vec::new();
            while reader.next(&mut row).unwrap() {
                match schema.decode(&row.bytes, &mut splitter).unwrap() {
                    Cells::Csv(fields) => read.push(fields),
                    Cells::Jsonl(_) => unreachable!(),
                }
            }
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn any_json_row_survives_a_round_trip(fields in prop::collection::btree_map(TEXT, TEXT, 0..5)) {
            let cells = Cells::Jsonl(fields.into_iter().map(|(name, text)| (name, Value::from(text))).collect());
            let row = Schema::Jsonl.encode(&cells).unwrap();
            prop_assert!(!row.contains(&b'\n'));
            prop_assert_eq!(Schema::Jsonl.decode(&row, &mut Splitter::new(b',')).unwrap(), cells);
        }
    }
}
