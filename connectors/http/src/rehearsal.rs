//! Predicts what tasks would fail on: every template is rendered with the minimum that a task can contain, and with accounts of the target.
//! Nothing is sent.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::Action;
use minijinja::Value;

use crate::accounts::Found;
use crate::actions::{Plan, Step};
use crate::application::Application;
use crate::execute::{current_account, with_label};
use crate::template::{Fault, Reason, Vars};

/// A placeholder for values that a task or the target would provide.
const ANYTHING: &str = "rehearsal";

impl Application {
    /// Messages that name the template and the value that it lacks, judging by these accounts.
    pub(crate) fn rehearse(&self, some: &[Found]) -> BTreeSet<String> {
        let mut told = BTreeSet::new();
        for (action, plan) in &self.plans {
            // One account may have fields that another lacks; an account to create does not exist yet.
            let samples: Vec<Option<&Found>> = match action {
                Action::CreateAccount => vec![None],
                _ => some.iter().map(Some).collect(),
            };
            for vars in samples.into_iter().flat_map(|sample| self.least(*action, plan, sample)) {
                for step in &plan.steps {
                    if let Some(fault) = self.lacks(step, &vars) {
                        told.insert(format!(
                            "a task of {action} can fail: {fault}; define what to send without it, such as \
                             `| default(omit)`"
                        ));
                    }
                }
            }
        }
        told
    }

    /// The minimum that a task of an action can contain, in each relevant variant.
    fn least(&self, action: Action, plan: &Plan, sample: Option<&Found>) -> Vec<Vars> {
        let login = if self.accounts.mapping.has("username") { "username" } else { "email" };
        let mut vars = self.target.vars.with("task", task());
        if action == Action::CreateAccount {
            vars.set("account", with_label(serde_json::json!({ login: ANYTHING }), ANYTHING));
        } else {
            // Actions on existing accounts cannot be checked without an account of the target.
            let Some(sample) = sample else { return Vec::new() };
            let id = sample.record.id.as_str();
            vars.set("account", with_label(serde_json::json!({ "id": id }), id));
            vars.set("current", current_account(sample));
        }
        if action == Action::ResetPassword {
            vars.set("password", ANYTHING);
        }
        if matches!(action, Action::CreateAccount | Action::UpdateAccount) {
            let refs = || Value::from(vec![ANYTHING]);
            let lists = || Value::from_pairs([("wanted", refs()), ("added", refs()), ("removed", refs())]);
            let slugs = self.entities.iter().map(|one| one.resource_type.slug.as_str().to_owned());
            vars.set("memberships", Value::from_pairs(slugs.map(|slug| (slug, lists()))));
        }
        let saved = plan.steps.iter().flat_map(|step| &step.save);
        vars.set("saved", Value::from_pairs(saved.map(|(name, _)| (name.clone(), Value::from(ANYTHING)))));
        if action != Action::UpdateAccount {
            return vec![vars];
        }
        // An update may change any single field, or only groups.
        let fields = plan.fields_of("changes").into_iter().map(|field| BTreeMap::from([(field, ANYTHING)]));
        fields.chain([BTreeMap::new()]).map(|changes| vars.with("changes", Value::from(changes))).collect()
    }

    /// A value that a step needs, but that a task or the target may not provide.
    fn lacks(&self, step: &Step, vars: &Vars) -> Option<Fault> {
        let of_task = |fault: &Fault| match &fault.reason {
            Reason::Missing(names) => names
                .iter()
                .any(|name| ["account.", "current.", "changes."].iter().any(|of| name.starts_with(of))),
            _ => false,
        };
        match step.when.as_ref().map(|when| when.truth(vars)) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => return None,
            Some(Err(fault)) => return Some(fault).filter(of_task),
        }
        let items = match step.for_each.as_ref().map(|for_each| for_each.list(vars)) {
            None => vec![Value::UNDEFINED],
            Some(Ok(items)) => items,
            Some(Err(fault)) => return Some(fault).filter(of_task),
        };
        items.into_iter().find_map(|item| {
            let vars = vars.with("item", item);
            let written = step.request.url(&self.target.base, &vars).and_then(|url| {
                let builder = self.target.client.request(step.request.method(), url);
                step.request.fill(builder, &self.target.headers, &vars)
            });
            written.err().filter(of_task)
        })
    }

    /// Fields that actions write and that nothing reads, so that reading back cannot prove them.
    pub(crate) fn unverifiable(&self) -> BTreeSet<String> {
        let mapping = &self.accounts.mapping;
        let mut fields = BTreeSet::new();
        for (action, plan) in &self.plans {
            match action {
                Action::CreateAccount => fields.extend(plan.fields_of("account")),
                Action::UpdateAccount => fields.extend(plan.fields_of("changes")),
                _ => {}
            }
        }
        let is_shown = |field: &str| match field {
            "id" | "account_id" | "label" | "password" | "new_password" | "memberships" | "assignments" => {
                true
            }
            "status" => mapping.has_status(),
            other => mapping.has(other),
        };
        fields.retain(|field| !is_shown(field) && !bridgehead_sdk::is_secret_name(field));
        fields
    }
}

fn task() -> Value {
    Value::from_pairs([
        ("id", Value::from(ANYTHING)),
        ("attempt", Value::from(1)),
        ("may_have_applied", Value::from(false)),
    ])
}
