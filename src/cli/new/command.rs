//! Generates a connector: from the arguments to the files.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::args::{Global, New};
use super::super::failure::{Exit, Failure, Outcome};
use super::super::print;
use super::name::Name;
use super::source::{Source, VENDORED};
use super::template::{self, File, Language, Template};
use bridgehead_config::Connectors;

pub(crate) fn run(global: &Global, connectors: &Connectors, options: &New) -> Outcome {
    let name = Name::new(&options.name, connectors)?;
    let files = match (options.lang, options.template) {
        (Language::Rust, template) => {
            let source = Source::find(options.sdk.as_deref(), options.rev.as_deref())?;
            template::rust(template, &name, &source)?
        }
        (Language::Python, Template::Http) => template::python(&name),
        (Language::Node, Template::Http) => template::node(&name),
        (Language::Python | Language::Node, Template::File) => {
            let message = "the template 'file' is available for Rust only; omit --template";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let folder = options.path.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    write(&folder, &files)?;
    if global.json {
        let paths: Vec<String> =
            files.iter().map(|file| folder.join(&file.path).display().to_string()).collect();
        print::json(&json!({ "folder": folder.display().to_string(), "files": paths }));
        return Ok(());
    }
    let (source, own): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.path.starts_with(VENDORED));
    for file in own {
        print::line(folder.join(&file.path).display());
    }
    if !source.is_empty() {
        let (place, count) = (folder.join(VENDORED), source.len());
        print::line(format!("{} (bridgehead's own source, {count} files)", place.display()));
    }
    let next = match options.lang {
        Language::Rust => "cargo test",
        Language::Python | Language::Node => "less README.md",
    };
    print::line(format!(
        "\nThe connector works as generated. Prove it, then adapt it; README.md explains how:\n\n    cd \
         {}\n    {next}",
        folder.display()
    ));
    Ok(())
}

/// Writes to a new or empty folder: existing files are never overwritten.
fn write(folder: &Path, files: &[File]) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display()))
    };
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "{} already exists and is not empty; nothing was written. Choose another folder with \
                     --path",
                    folder.display()
                ),
            ));
        }
        Ok(false) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(folder, error)),
    }
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        let new = OpenOptions::new().write(true).create_new(true).open(&path);
        new.and_then(|mut new| new.write_all(file.text.as_bytes())).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
