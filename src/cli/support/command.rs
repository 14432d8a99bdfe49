//! Shows the contents of the archive, asks for confirmation, and writes it.

use std::path::PathBuf;

use bridgehead_config::Connectors;
use bridgehead_runtime::{Clock, SystemClock};
use serde_json::json;

use super::super::args::{Global, Support};
use super::super::failure::{Exit, Failure, Outcome};
use super::super::{confirm, print};
use super::parts::Part;
use super::{archive, parts};

pub(crate) async fn run(global: &Global, connectors: &Connectors, options: Support) -> Outcome {
    let now = SystemClock.now();
    let to = options.output.unwrap_or_else(|| {
        PathBuf::from(now.strftime("bridgehead-support-%Y%m%dT%H%M%SZ.tar.gz").to_string())
    });
    let parts = parts::gather(global, connectors, now).await;
    let list = list(&parts);
    if options.dry_run {
        tell(global, &to, &parts, false, &list);
        return Ok(());
    }
    if !options.yes {
        if !confirm::is_possible() {
            let message = format!(
                "{list}\nThere is no terminal to answer on, so nothing was written: look at the list, then use --yes."
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        print::complain(&list);
        let question = format!("Type \"yes\" to write {}: ", print::visible(&to.display().to_string()));
        if !confirm::by_typing(&question, "yes") {
            return Err(Failure::new(Exit::Failed, "Nothing was written."));
        }
    }
    archive::write(&to, &parts, now).map_err(|error| {
        let message = format!("{}: {error}; choose another file with --output", to.display());
        Failure::new(Exit::Failed, message)
    })?;
    // On a terminal, the list was already shown.
    tell(global, &to, &parts, true, if options.yes { &list } else { "" });
    Ok(())
}

fn tell(global: &Global, to: &std::path::Path, parts: &[Part], is_written: bool, list: &str) {
    if global.json {
        let contents: Vec<_> = parts
            .iter()
            .map(|part| json!({ "name": part.name, "bytes": part.content.len(), "what": part.what }))
            .collect();
        print::json(&json!({ "file": to, "written": is_written, "contents": contents }));
        return;
    }
    if !list.is_empty() {
        print::line(list);
    }
    if is_written {
        let to = to.display();
        print::line(format!("Written to {to}. Look into it before you send it: tar -xzOf {to} | less"));
    }
}

fn list(parts: &[Part]) -> String {
    let mut lines = vec!["The archive contains:".to_owned()];
    for part in parts {
        lines.push(format!("  {:18} {:>8} bytes  {}", part.name, part.content.len(), part.what));
    }
    lines.push(
        "Secrets, names, mail addresses, ids of accounts, tasks' payloads and sentences that may name people are\nleft out. \
         Names of apps, hosts and ids of tasks are in it."
            .to_owned(),
    );
    lines.join("\n")
}
