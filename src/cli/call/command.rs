//! Runs an operation: from the arguments to the output.

use bridgehead_sdk::{
    Account, Action, Cursor, Description, Error, Operation, ResourceKind, ResourceType, nearest,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::super::args::{Call, CallOperation, Global};
use super::super::context::{Context, build_connector};
use super::super::failure::{Exit, Failure, Outcome};
use super::super::signals::Told;
use super::super::{confirm, daemon, logging};
use super::payload::{self, usage};
use super::show::Show;
use bridgehead_config::Connectors;
use bridgehead_runtime::hand::Hand;
use bridgehead_runtime::{Decision, ShuttingDown};

pub(crate) async fn run(global: &Global, connectors: &Connectors, options: Call) -> Outcome {
    payload::refuse_strangers(&options)?;
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(std::slice::from_ref(&options.app))?;
    let name = options.app.as_str();
    let wanted = payload::gather(&options, &context.redactor)?;
    let app = &context.config.apps[name];
    let connector = {
        let network = context.traced_network(options.trace)?;
        build_connector(name, app, connectors, &network, &context.redactor)?
    };
    if let Some(action) = payload::action(options.operation) {
        consent(&context, &options, action, &wanted).await?;
    }
    context.end_orphans().await?;
    let stop = CancellationToken::new();
    let _interrupt = Told::listen()?.cancels(&stop);
    let hand = Hand::new(name, app.clone(), connector, &context.redactor, Some(options.wait)).await?;
    let show = Show { global, app: name, redactor: &context.redactor, refs: context.refs() };
    let outcome = tokio::select! {
        outcome = carry_out(&hand, &show, &options, wanted, &stop) => outcome,
        () = stop.cancelled() => Err(stopped(&options)),
    };
    hand.close().await;
    outcome
}

async fn carry_out(
    hand: &Hand,
    show: &Show<'_>,
    options: &Call,
    wanted: Value,
    stop: &CancellationToken,
) -> Outcome {
    if let Some(action) = payload::action(options.operation) {
        let told = hand.execute(action, wanted, stop).await.map_err(|ShuttingDown| stopped(options))?;
        show.changed(&told);
        return match told.decision {
            Decision::Complete => Ok(()),
            Decision::Fail => Err(Failure::silent(Exit::Failed)),
            Decision::Retry | Decision::Hold | Decision::Look => Err(Failure::silent(Exit::Temporary)),
        };
    }
    match options.operation {
        CallOperation::Check => {
            let answer = hand.check().await;
            show.checked(&answer);
            answered(&answer)
        }
        CallOperation::Find => {
            let account = account_of(&wanted)?;
            let answer = hand.find(&account).await;
            show.found(hand, &account, &answer);
            answered(&answer)
        }
        CallOperation::List => list(hand, show, options).await,
        _ => {
            let answer = hand.describe().await;
            show.described(&answer);
            answered(&answer)
        }
    }
}

async fn list(hand: &Hand, show: &Show<'_>, options: &Call) -> Outcome {
    let description = match hand.describe().await {
        Ok(description) => description,
        Err(error) => {
            let answer = Err(error);
            show.described(&answer);
            return answered(&answer);
        }
    };
    let of = type_of(&description, options.resource_type.as_deref())?;
    let mut listing = show.listing(&of.slug, options.cursor.is_none());
    let mut cursor = options.cursor.clone().map(Cursor::new);
    for _ in 0..options.pages {
        let answer = hand.list(&description, of, cursor.as_ref()).await;
        listing.page(hand, &answer);
        match answer {
            Err(error) => {
                listing.end();
                return answered::<()>(&Err(error));
            }
            Ok(page) if page.next.is_none() => break,
            Ok(page) => cursor = page.next,
        }
    }
    listing.end();
    Ok(())
}

/// The resource type with this name; the accounts if no name is given.
fn type_of<'a>(description: &'a Description, wanted: Option<&str>) -> Result<&'a ResourceType, Failure> {
    let types = &description.resource_types;
    let found = match wanted {
        Some(slug) => types.iter().find(|of| of.slug.as_str() == slug),
        None => types.iter().find(|of| of.kind == ResourceKind::Account),
    };
    found.ok_or_else(|| {
        let known = types.iter().map(|of| of.slug.as_str());
        let hint = match wanted.and_then(|slug| nearest(slug, known.clone())) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("it lists {}", known.collect::<Vec<_>>().join(", ")),
        };
        usage(format!("the connector does not list {}; {hint}", wanted.unwrap_or("accounts")))
    })
}

/// The account to look for, parsed in the same way as for a task.
fn account_of(payload: &Value) -> Result<Account, Failure> {
    let read = serde_json::from_value(payload.clone()).map_err(|_| "the payload cannot be read".to_owned());
    let operation = read
        .and_then(|read| Operation::parse(Action::DeleteAccount, read).map_err(|error| error.to_string()))
        .map_err(|why| usage(format!("{why}; identify the account with --id, --username or --email")))?;
    Ok(operation.account().clone())
}

fn answered<T>(answer: &Result<T, Error>) -> Outcome {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.retry() == bridgehead_sdk::Retry::Never => Err(Failure::silent(Exit::Failed)),
        Err(_) => Err(Failure::silent(Exit::Temporary)),
    }
}

/// Refuses if a daemon is running, and asks for confirmation unless it was given.
async fn consent(context: &Context, options: &Call, action: Action, payload: &Value) -> Outcome {
    // The same code that rejects the payload of a task rejects an unreadable one later, so no confirmation is needed.
    let Ok(account) = account_of(payload) else { return Ok(()) };
    if options.yes {
        return Ok(());
    }
    let app = &options.app;
    if daemon::connect(context).await?.is_some() {
        let message = format!(
            "a daemon is running on the state folder {}, and a manual operation is not coordinated with its \
             tasks: both may change the same account at the same time. Stop the daemon first, or pass --yes \
             if no task of {app} affects this account",
            context.config.state.path.display()
        );
        return Err(Failure::new(Exit::Temporary, message));
    }
    let what = format!("{action} for {} in {app}: this changes the target.", account.label());
    if !confirm::is_possible() {
        return Err(usage(format!("{what} Pass --yes to confirm.")));
    }
    let what = bridgehead_sdk::visible(&what).into_owned();
    if confirm::by_typing(&format!("{what}\nType {app} to continue: "), app) {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "not confirmed; nothing was changed"))
    }
}

fn stopped(options: &Call) -> Failure {
    let message = if payload::action(options.operation).is_some() {
        "interrupted: the effect is unknown. Check with `bridgehead call APP find`"
    } else {
        "interrupted; nothing was changed"
    };
    Failure::new(Exit::Failed, message)
}
