//! The location that a value of the configuration comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The location that a value of the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A location in a file. Line and column start at 1, the column counts characters.
    File {
        /// The path of the file, as the operator specified it.
        path: Arc<Path>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: Arc<str>,
    },
    /// The default, because nothing else was configured.
    Default,
}

impl Origin {
    /// The start of a file, for keys that are missing from it.
    pub(super) fn start_of(path: impl Into<Arc<Path>>) -> Self {
        Self::File { path: path.into(), line: 1, column: 1 }
    }

    /// Whether both are on the same line of the same file.
    pub(super) fn is_same_line(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path, line, .. }, Self::File { path: other_path, line: other_line, .. }) => {
                path == other_path && line == other_line
            }
            _ => false,
        }
    }

    /// The base folder of relative paths: the folder of the file. Only files have one.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let Self::File { path, .. } = self else {
            return None;
        };
        // Absolute, so that a connector that changes its working directory finds the same files.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Some(path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment { variable } => f.write_str(variable),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Converts byte offsets of a text to lines and columns.
pub(super) struct Positions<'a> {
    path: Arc<Path>,
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Positions<'a> {
    pub(super) fn new(path: &Path, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            path: path.into(),
            text,
            line_starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect(),
        }
    }

    pub(super) fn at(&self, offset: usize) -> Origin {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or_default();
        Origin::File { path: self.path.clone(), line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, offset: usize) -> String {
        Positions::new(Path::new("f"), text).at(offset).to_string()
    }

    #[test]
    fn offsets_map_to_lines_and_character_columns() {
        assert_eq!(place("", 0), "f:1:1");
        assert_eq!(place("a = 1", 4), "f:1:5");
        assert_eq!(place("a = 1\nb = 2", 6), "f:2:1");
        assert_eq!(place("a = \"é\" # x", 8), "f:1:8");
        assert_eq!(place("a\n", 2), "f:2:1");
        assert_eq!(place("a\n", 99), "f:2:1");
    }

    #[test]
    fn folder_of_a_file_is_absolute() {
        let folder = Origin::start_of(Path::new("some/where.toml")).folder().unwrap();
        assert!(folder.is_absolute() && folder.ends_with("some"), "{}", folder.display());
        assert_eq!(Origin::Default.folder(), None);
    }
}
