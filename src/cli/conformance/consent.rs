//! The conditions for the kit to change a live target.

use bridgehead_sdk::Action;

use super::super::context::Context;
use super::super::failure::{Exit, Failure};
use super::super::{confirm, daemon};
use super::test_target;
use bridgehead_config::App;

/// The actions that the kit needs to create accounts and remove them again.
const NEEDED: [Action; 2] = [Action::CreateAccount, Action::DeleteAccount];

/// Refuses if the operator declines, and asks if there is no answer yet.
pub(super) async fn obtain(context: &Context, name: &str, yes: bool) -> Result<(), Failure> {
    let app = &context.config.apps[name];
    if let Some(problem) = forbidden(name, app) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{problem}; run the kit with --read-only, or give it a separate configuration for a test \
                 target"
            ),
        ));
    }
    if daemon::connect(context).await?.is_some() {
        return Err(Failure::new(
            Exit::Temporary,
            format!(
                "a daemon is running on the state folder {}: its next sync would push the kit's accounts to \
                 Iden. Stop it first, or run the kit with --read-only",
                context.config.state.path.display()
            ),
        ));
    }
    if yes {
        return Ok(());
    }
    let warning = format!(
        "The kit creates, changes and deletes accounts in '{name}', with names that start with bhk-. It \
         removes them at the end, as far as the connector allows. Use a test target."
    );
    if !confirm::is_possible() {
        return Err(Failure::new(
            Exit::Usage,
            format!("{warning}\nPass --yes to confirm, or --read-only to change nothing."),
        ));
    }
    if confirm::by_typing(&format!("{warning}\nType {name} to continue: "), name) {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "not confirmed; nothing was changed"))
    }
}

/// The settings that forbid tasks to do what the kit would do: they do not apply to the kit, but suggest that the target is not meant for
/// tests.
fn forbidden(name: &str, app: &App) -> Option<String> {
    let account = test_target::account(app, "bhk-00000-00");
    let names = ["id", "username", "email"].into_iter().filter_map(|field| account.get(field)?.as_str());
    for text in names {
        if let Some(pattern) = app.protect.accounts.iter().find(|pattern| pattern.matches(text)) {
            return Some(format!(
                "apps.{name}.protect.accounts protects '{pattern}', which includes the kit's own accounts"
            ));
        }
    }
    let allowed = app.protect.actions.as_ref()?;
    let missing: Vec<&str> =
        NEEDED.iter().filter(|action| !allowed.contains(action)).map(|action| action.as_str()).collect();
    (!missing.is_empty())
        .then(|| format!("apps.{name}.protect.actions does not allow {}", missing.join(", ")))
}
