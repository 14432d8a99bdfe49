//! The requests of an action, in order, checked at load.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{Action, SettingsError};

use crate::reply;
use crate::request::Request;
use crate::settings::{ActionSettings, StepSettings};
use crate::template::{Expression, Members, Scope};

/// A checked action.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) account_id: Option<Expression>,
    pub(crate) result: Vec<(String, Expression)>,
    ignore: BTreeSet<String>,
    /// The values that reach the target: the variables used in requests, and those that identify the account in a request. A condition that
    /// only reads a change does not send it.
    sends: BTreeSet<String>,
}

/// One request of an action.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) request: Request,
    pub(crate) when: Option<Expression>,
    pub(crate) for_each: Option<Expression>,
    pub(crate) save: Vec<(String, Expression)>,
    pub(crate) changes: bool,
}

/// The variables that an action can use.
#[derive(Clone, Debug)]
pub(crate) struct Knowledge<'a> {
    /// The variables of every request.
    pub(crate) base: &'a Scope,
    /// The slugs of groups and licenses.
    pub(crate) slugs: &'a [String],
    /// The extra fields of an account.
    pub(crate) extra: &'a BTreeMap<String, String>,
}

/// The fields of an account, as templates know them.
const FIELDS: [&str; 10] = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "display_name",
    "status",
    "memberships",
    "assignments",
    "label",
];

impl Knowledge<'_> {
    fn scope(&self, action: Action) -> Scope {
        let mut scope =
            self.base.clone().any("account").with("task", Members::of(["id", "attempt", "may_have_applied"]));
        if matches!(action, Action::CreateAccount | Action::ResetPassword) {
            scope = scope.any("password");
        }
        if action == Action::UpdateAccount {
            scope = scope.any("changes");
        }
        if matches!(action, Action::CreateAccount | Action::UpdateAccount) {
            let refs = |slug: &String| (slug.clone(), Members::of(["wanted", "added", "removed"]));
            scope = scope.with("memberships", Members::Of(self.slugs.iter().map(refs).collect()));
        }
        if action != Action::CreateAccount {
            let fields = FIELDS.into_iter().map(str::to_owned).chain(self.extra.keys().cloned());
            scope = scope.with("current", Members::of(fields.chain(["record".to_owned()])));
        }
        scope
    }
}

impl Plan {
    /// Checks the settings of `action`.
    pub(crate) fn new(
        action: Action,
        settings: &ActionSettings,
        knowledge: &Knowledge<'_>,
    ) -> Result<Self, SettingsError> {
        let key = action.as_str();
        let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
        if settings.steps.is_empty() {
            return error("steps", "must contain at least one request");
        }
        if !settings.ignore.is_empty() && action != Action::UpdateAccount {
            return error("ignore", "only applies to update_account");
        }
        let mut scope = knowledge.scope(action);
        let mut saved: BTreeMap<String, Members> = BTreeMap::new();
        let mut steps: Vec<Step> = Vec::new();
        for (at, step) in settings.steps.iter().enumerate() {
            let step_key = format!("{key}.steps.{at}");
            steps.push(Step::new(&step_key, step, &scope)?);
            if let Some(name) = step.save.keys().find(|name| saved.contains_key(*name)) {
                return error(&format!("steps.{at}.save.{name}"), "is already saved by an earlier step");
            }
            saved.extend(step.save.keys().map(|name| (name.clone(), Members::Any)));
            if !saved.is_empty() {
                scope = scope.with("saved", Members::Of(saved.clone()));
            }
        }
        if !steps.iter().any(|step| step.changes) {
            return error(
                "steps",
                "change nothing: no step has a method that makes changes, and none sets \
                                   `changes = true`",
            );
        }
        let names_somebody =
            |used: &String| used.split('.').next().is_some_and(|name| matches!(name, "account" | "current"));
        if !steps.iter().any(|step| step.changes && step.request.uses().iter().any(names_somebody)) {
            return error(
                "steps",
                "change the same thing for every account: no request that makes changes uses `account` or \
                 `current`",
            );
        }
        let expression =
            |name: &str, source: &String| Expression::new(&format!("{key}.{name}"), source, &scope);
        let account_id = match (&settings.account_id, action) {
            (Some(source), Action::CreateAccount) => Some(expression("account_id", source)?),
            (None, Action::CreateAccount) => {
                return error("account_id", "must define the new account's identifier, such as \"saved.id\"");
            }
            (Some(_), _) => return error("account_id", "only applies to create_account"),
            (None, _) => None,
        };
        let mut result = Vec::new();
        for (name, source) in &settings.result {
            if name == "account_id" || bridgehead_sdk::is_secret_name(name) {
                return error(&format!("result.{name}"), "is a reserved name, or the name of a secret");
            }
            result.push((name.clone(), expression(&format!("result.{name}"), source)?));
        }
        let mut uses: BTreeSet<String> = steps.iter().flat_map(Step::uses).collect();
        uses.extend(
            account_id
                .iter()
                .chain(result.iter().map(|(_, value)| value))
                .flat_map(Expression::uses)
                .cloned(),
        );
        let sends = steps.iter().flat_map(Step::sends).collect();
        let plan =
            Self { steps, account_id, result, ignore: settings.ignore.iter().cloned().collect(), sends };
        if let Some(name) = saved.keys().find(|name| !uses_field(&uses, "saved", name)) {
            let at = settings.steps.iter().position(|step| step.save.contains_key(name)).unwrap_or_default();
            return error(
                &format!("steps.{at}.save.{name}"),
                "is never used; use it as {{ saved.… }}, or remove it",
            );
        }
        if action == Action::UpdateAccount
            && !["changes", "memberships"].iter().any(|name| plan.sends_any(name))
        {
            return error("steps", "use neither `changes` nor `memberships`, so they would update nothing");
        }
        if let Some(name) = plan.ignore.iter().find(|name| plan.sends.contains(&format!("changes.{name}"))) {
            return error("ignore", &format!("contains {name}, which a step uses"));
        }
        Ok(plan)
    }

    /// Whether any part of a variable is sent.
    pub(crate) fn sends_any(&self, variable: &str) -> bool {
        self.sends.iter().any(|used| used.split('.').next() == Some(variable))
    }

    /// Whether a field of a variable, or the whole variable, is sent.
    pub(crate) fn sends_field(&self, variable: &str, field: &str) -> bool {
        uses_field(&self.sends, variable, field)
    }

    /// The fields of a variable that are sent.
    pub(crate) fn fields_of(&self, variable: &str) -> BTreeSet<String> {
        let field = |used: &String| {
            let (of, rest) = used.split_once('.')?;
            (of == variable).then(|| rest.split('.').next().unwrap_or(rest).to_owned())
        };
        self.sends.iter().filter_map(field).collect()
    }

    /// Whether `ignore` lists a field, because the target cannot store it.
    pub(crate) fn ignores(&self, field: &str) -> bool {
        self.ignore.contains(field)
    }
}

impl Step {
    fn new(key: &str, settings: &StepSettings, scope: &Scope) -> Result<Self, SettingsError> {
        let expression = |name: &str, source: &Option<String>, scope: &Scope| {
            source
                .as_deref()
                .map(|source| Expression::new(&format!("{key}.{name}"), source, scope))
                .transpose()
        };
        let for_each = expression("for_each", &settings.for_each, scope)?;
        if for_each.is_some() && !settings.save.is_empty() {
            let message = "conflicts with for_each: there would be one response for each item";
            return Err(SettingsError::new(format!("{key}.save"), message));
        }
        let when = expression("when", &settings.when, scope)?;
        let scope = if for_each.is_some() { scope.clone().any("item") } else { scope.clone() };
        let request = Request::new(key, settings.request(), &scope)?;
        if for_each.is_some() && !request.uses().iter().any(|used| used.split('.').next() == Some("item")) {
            let message = "the request does not use {{ item }}, so it would be the same for every item";
            return Err(SettingsError::new(format!("{key}.for_each"), message));
        }
        let of_answer = reply::scope(scope);
        let save = settings.save.iter().map(|(name, source)| {
            Ok((name.clone(), Expression::new(&format!("{key}.save.{name}"), source, &of_answer)?))
        });
        let changes = settings.changes.unwrap_or_else(|| !request.is_safe());
        Ok(Self { save: save.collect::<Result<_, SettingsError>>()?, request, when, for_each, changes })
    }

    /// Whether its request sends a field of a variable, or the whole variable.
    pub(crate) fn sends_field(&self, variable: &str, field: &str) -> bool {
        uses_field(&self.sends(), variable, field)
    }

    /// Whether its request sends any part of a variable.
    pub(crate) fn sends_any(&self, variable: &str) -> bool {
        self.sends().iter().any(|used| used.split('.').next() == Some(variable))
    }

    fn sends(&self) -> BTreeSet<String> {
        let mut sends = self.request.uses();
        sends.extend(self.for_each.iter().flat_map(Expression::uses).cloned());
        sends
    }

    fn uses(&self) -> BTreeSet<String> {
        let own = self.when.iter().chain(&self.for_each).chain(self.save.iter().map(|(_, value)| value));
        let mut uses = self.request.uses();
        uses.extend(own.flat_map(Expression::uses).cloned());
        uses
    }
}

/// Whether a field of a variable, or the whole variable, is used.
fn uses_field(uses: &BTreeSet<String>, variable: &str, field: &str) -> bool {
    let path = format!("{variable}.{field}");
    uses.iter().any(|used| {
        used == variable
            || used.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
