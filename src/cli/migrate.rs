//! `bridgehead state migrate`: from the state folder into a database, and back.

use std::path::Path;

use super::args::{Destination, Global};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{daemon, place, print};
use bridgehead_store::moving::{self, Moved};
use bridgehead_store::postgres::Settings;

pub(crate) async fn run(global: &Global, context: &Context, to: Destination) -> Outcome {
    let Some(settings) = context.state_database()? else {
        let message = "state.url is not set: write url = { env = \"BRIDGEHEAD_STATE_URL\" } under [state] to name the database, also to move its state back into the folder";
        return Err(Failure::new(Exit::Configuration, message));
    };
    let folder = place::folder(context);
    // The locks are taken by the move itself; this says it in the words of the operator.
    if daemon::connect(context).await?.is_some() {
        let message =
            format!("A daemon runs on {}. Stop every daemon first, then move the state.", folder.display());
        return Err(Failure::new(Exit::Temporary, message));
    }
    let moved = match to {
        Destination::Url => moving::to_database(folder, &settings).await?,
        Destination::Path => moving::to_folder(&settings, folder).await?,
    };
    if global.json {
        print::json(&serde_json::json!({ "rows": moved.rows, "kept": moved.kept }));
    } else {
        print::line(text(to, folder, &settings, &moved));
    }
    Ok(())
}

fn text(to: Destination, folder: &Path, settings: &Settings, moved: &Moved) -> String {
    let rows: u64 = moved.rows.values().sum();
    let of = |table| moved.rows.get(table).copied().unwrap_or_default();
    let what = if moved.rows.is_empty() {
        "It was moved already; what an interrupted move had left to do is done.".to_owned()
    } else {
        format!(
            "{rows} rows were copied, read back and compared, {} tasks and {} records of syncs among them.",
            of("tasks"),
            of("records")
        )
    };
    let (place, next) = match to {
        Destination::Url => {
            let kept = moved.kept.as_ref().map_or_else(String::new, |kept| {
                format!(
                    "The files of the folder are in {}; they may hold what tasks had to report, so remove them once everything works. ",
                    kept.display()
                )
            });
            (
                format!("the database {}", settings.address),
                format!("{kept}Keep state.url in the configuration and start the daemon."),
            )
        }
        Destination::Path => (
            folder.display().to_string(),
            "Remove state.url from the configuration of every node, and start one daemon. What is left in the database does not count any more; drop its tables once everything works.".to_owned(),
        ),
    };
    format!("The state is in {place}. {what}\n{next}")
}
