//! `bridgehead state migrate`: moves the state from the state folder into a database, or back.

use std::path::Path;

use super::args::{Destination, Global};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{daemon, place, print};
use bridgehead_store::moving::{self, Moved};
use bridgehead_store::postgres::Settings;

pub(crate) async fn run(global: &Global, context: &Context, to: Destination) -> Outcome {
    let Some(settings) = context.state_database()? else {
        let message = "state.url is not set, so the database is unknown; add url = { env = \"BRIDGEHEAD_STATE_URL\" } to [state], also to move state from a database into the folder";
        return Err(Failure::new(Exit::Configuration, message));
    };
    let folder = place::folder(context);
    // The move takes the locks itself; this gives a clearer message.
    if daemon::connect(context).await?.is_some() {
        let message =
            format!("a daemon is using {}; stop all daemons before you move the state", folder.display());
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
        "It had been moved before; the interrupted move is now complete.".to_owned()
    } else {
        format!(
            "{rows} rows were copied, read back and compared, including {} tasks and {} records of syncs.",
            of("tasks"),
            of("records")
        )
    };
    let (place, next) = match to {
        Destination::Url => {
            let kept = moved.kept.as_ref().map_or_else(String::new, |kept| {
                format!(
                    "The old files are in {}. They may contain results that were not reported yet, so delete them once everything works. ",
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
            "Remove state.url from the configuration of every node, and start one daemon. The tables in the database are no longer used; drop them once everything works.".to_owned(),
        ),
    };
    format!("The state is in {place}. {what}\n{next}")
}
