//! Finds and reads the files.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{Error, Errors};

/// The size limit of a file. No configuration is this long; it is probably the wrong file.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The location of the configuration.
#[derive(Clone, Default)]
pub struct Sources {
    /// Files, and folders whose `*.toml` files are read in the order of their names. Later ones take precedence.
    pub paths: Vec<PathBuf>,
    /// The environment: `BRIDGEHEAD__…` overrides keys, and `{ env = "NAME" }` is looked up in it. Passed in, so that tests and embedders
    /// need not change the process environment.
    pub environment: BTreeMap<String, String>,
}

impl std::fmt::Debug for Sources {
    /// The environment contains secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// One file that was read.
#[derive(Clone)]
pub struct Document {
    /// Its path; relative paths in it start at its folder, and errors contain it.
    pub path: PathBuf,
    /// Its content in TOML.
    pub text: String,
}

impl std::fmt::Debug for Document {
    /// The content is not checked yet, and may contain a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Sources {
    /// Reads every file, in the order of the layers.
    pub(super) fn read(&self) -> Result<Vec<Document>, Errors> {
        if self.paths.is_empty() {
            return Err(Error::NoSources.into());
        }
        let mut documents = Vec::new();
        let mut errors = Vec::new();
        for path in &self.paths {
            let files = match files(path) {
                Ok(files) => files,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            for file in files {
                match read(&file) {
                    Ok(text) => documents.push(Document { path: file, text }),
                    Err(error) => errors.push(error),
                }
            }
        }
        Errors::unless_empty(errors).map(|()| documents)
    }
}

impl Sources {
    /// The files that can be read, in the order of the layers, without those that cannot.
    pub(super) fn readable(&self) -> Vec<Document> {
        let files = self.paths.iter().filter_map(|path| files(path).ok()).flatten();
        files.filter_map(|path| Some(Document { text: read(&path).ok()?, path })).collect()
    }
}

/// The file itself, or the `*.toml` files of a folder by name. Hidden files are skipped: editors store their own there.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let name = entry.map_err(|error| unreadable(path, &error))?.file_name();
        let file = path.join(&name);
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && file.extension().is_some_and(|extension| extension == "toml") && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::EmptyFolder { path: path.to_path_buf() });
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    let problem = if bytes.len() as u64 > LONGEST {
        "it is larger than 4 MiB, which is too large for a configuration"
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(_) => "it is not UTF-8; save it as UTF-8",
        }
    };
    Err(Error::Unreadable { path: path.to_path_buf(), problem: problem.to_owned() })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let path = path.to_path_buf();
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path },
        ErrorKind::PermissionDenied => Error::Unreadable {
            path,
            problem: "permission denied; make it readable for the user that runs bridgehead".to_owned(),
        },
        _ => Error::Unreadable { path, problem: error.to_string() },
    }
}
