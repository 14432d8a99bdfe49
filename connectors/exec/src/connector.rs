//! The SDK's connector trait on top of the process: builds requests and parses results.

use std::sync::Arc;

use bridgehead_sdk::{
    Account, AccountRecord, Code, Completion, Connector, Context, Cursor, Description, Error, Factory,
    Memberships, Operation, Page, Payload, Protection, Record, ResourceType, async_trait,
};
use serde_json::{Map, Value, json};

use crate::answers::{self, Unexpected};
use crate::discovery::Start;
use crate::errors;
use crate::process::Request;
use crate::settings::{Launch, Settings, secret_lines};
use crate::supervisor::Supervisor;

/// A connector in another language, as a child process. The process starts at the first call, and ends when this value
/// is dropped.
pub struct ExecConnector {
    supervisor: Supervisor,
}

/// The factory for the daemon's registry: `.connector("exec", bridgehead_exec::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    bridgehead_sdk::with_discovery(plain_factory(), Start)
}

/// The same, without the discovery of a first configuration.
pub(crate) fn plain_factory() -> Arc<dyn Factory> {
    bridgehead_sdk::factory(|settings: Settings, setup| {
        Ok(ExecConnector { supervisor: Supervisor::new(Launch::new(settings, setup)?) })
    })
}

impl std::fmt::Debug for ExecConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecConnector")
            .field("app", &self.launch().app)
            .field("program", &self.launch().program)
            .finish_non_exhaustive()
    }
}

impl ExecConnector {
    fn launch(&self) -> &Launch {
        self.supervisor.launch()
    }

    async fn call(&self, request: Request) -> Result<Value, Error> {
        let method = request.method;
        self.supervisor
            .call(request)
            .await?
            .map_err(|error| errors::from_object(&error, &self.launch().app, method, &self.launch().redactor))
    }

    /// A description of the call for messages.
    fn what(&self, method: &str, preposition: &str, label: &str) -> String {
        let label = errors::text(label, errors::LABEL, &self.launch().redactor);
        format!("{method} {preposition} {label}")
    }

    /// Keeps the secrets of a payload out of logs and reports.
    fn protect(&self, payload: &Payload) -> Arc<Protection> {
        let secrets = payload.secrets();
        let lines = secrets.iter().flat_map(|secret| secret_lines(secret));
        let texts = secrets.iter().map(|secret| secret.as_str()).chain(lines);
        Arc::new(self.launch().redactor.protect(texts))
    }

    /// Removes known secrets from additional fields, which are otherwise sent to Iden unchanged.
    fn redact(&self, fields: &mut Map<String, Value>) {
        let mut value = Value::Object(std::mem::take(fields));
        self.launch().redactor.redact_json(&mut value);
        if let Value::Object(redacted) = value {
            *fields = redacted;
        }
    }

    fn wrong(&self, what: &str, error: &Unexpected) -> String {
        let message = format!(
            "the connector process of {} sent an invalid response to {what}: {error}",
            self.launch().app
        );
        errors::text(&message, 500, &self.launch().redactor)
    }
}

#[async_trait]
impl Connector for ExecConnector {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(self.supervisor.describe().await?.as_ref().clone())
    }

    async fn check(&self) -> Result<(), Error> {
        let request =
            Request { method: "check", params: json!({}), what: "check".to_owned(), protection: None };
        let result = self.call(request).await?;
        match answers::fields(result) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::internal(self.wrong("check", &error))),
        }
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let slug = resource_type.slug.as_str();
        let what = self.what("list", "of", slug);
        let request = Request {
            method: "list",
            params: json!({ "resource_type": slug, "cursor": cursor.map(Cursor::as_str) }),
            what: what.clone(),
            protection: None,
        };
        let result = self.call(request).await?;
        let mut page = answers::page(resource_type.kind, result)
            .map_err(|error| Error::incomplete_listing(self.wrong(&what, &error)))?;
        for record in &mut page.records {
            match record {
                Record::Account(account) => self.redact(&mut account.extra),
                Record::Entity(entity) => self.redact(&mut entity.extra),
            }
        }
        Ok(page)
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let payload = Payload::new(json!(account));
        let what = self.what("find_account", "for", account.label());
        let protection = self.protect(&payload);
        let request = Request {
            method: "find_account",
            params: json!({ "account": payload.account }),
            what: what.clone(),
            protection: Some(Arc::clone(&protection)),
        };
        let result = self.call(request).await?;
        let mut found =
            answers::account(result).map_err(|error| Error::internal(self.wrong(&what, &error)))?;
        if let Some(record) = &mut found {
            self.redact(&mut record.extra);
        }
        drop(protection);
        Ok(found)
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let method = operation.action().as_str();
        let what = self.what(method, "for", operation.account().label());
        let protection = self.protect(operation.payload());
        let request = Request {
            method,
            params: params(context, operation),
            what: what.clone(),
            protection: Some(Arc::clone(&protection)),
        };
        let result = self.call(request).await?;
        // The program reports success, but in an invalid form, so the effect is unknown and is verified by reading
        // back.
        let mut result = answers::fields(result)
            .map_err(|error| Error::new(Code::InternalError, self.wrong(&what, &error)))?;
        self.redact(&mut result);
        drop(protection);
        Ok(result.into())
    }

    async fn shutdown(&self) {
        self.supervisor.shutdown().await;
    }
}

/// The requested groups and licenses, where a connector looks for them: as Iden sent them, plus those from other parts of the task, above
/// all licenses under `assignments`.
fn memberships(operation: &Operation) -> Value {
    let sent = &operation.payload().memberships;
    let wanted = match operation {
        Operation::CreateAccount(create) => create.memberships.as_ref(),
        Operation::UpdateAccount(update) => update.memberships.as_ref(),
        _ => None,
    };
    let Some(wanted) = wanted else { return sent.clone() };
    // This was already validated when the task was parsed.
    let here = Memberships::from_json("memberships", sent.clone()).unwrap_or_default();
    let mut all = sent.as_object().cloned().unwrap_or_default();
    for (slug, refs) in &wanted.0 {
        let known = here.of(slug.as_str());
        let elsewhere = refs.iter().filter(|one| known.iter().all(|known| known.id != one.id));
        let elsewhere = elsewhere.map(|one| match &one.name {
            Some(name) => json!({ "id": one.id, "name": name }),
            None => json!(one.id),
        });
        match all.entry(slug.as_str()).or_insert_with(|| json!([])) {
            Value::Array(list) => list.extend(elsewhere),
            // A single reference, or `null` for none.
            other => *other = wanted.to_json(true)[slug.as_str()].clone(),
        }
    }
    Value::Object(all)
}

/// The parameters of an action: the payload as Iden sent it, including unknown fields, with the account's identifier
/// and the memberships where a connector looks for them.
fn params(context: &Context, operation: &Operation) -> Value {
    let payload = operation.payload();
    let mut params = payload.extra.clone();
    let mut account = match &payload.account {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    if let Some(id) = &operation.account().id {
        account.insert("id".to_owned(), Value::from(id.as_str()));
    }
    params.insert("task_id".to_owned(), Value::from(context.task_id.as_str()));
    params.insert("attempt".to_owned(), Value::from(context.attempt));
    params.insert("may_have_applied".to_owned(), Value::from(context.may_have_applied));
    params.insert("account".to_owned(), Value::Object(account));
    params.insert("memberships".to_owned(), memberships(operation));
    params.insert("changes".to_owned(), payload.changes.clone());
    Value::Object(params)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bridgehead_sdk::Action;

    use super::*;

    fn sent(payload: Value) -> Value {
        let payload = serde_json::from_value(payload).unwrap();
        let operation = Operation::parse(Action::UpdateAccount, payload).unwrap();
        let context = Context::first("task-1", Duration::from_mins(1)).with_may_have_applied(true);
        params(&context, &operation)
    }

    #[test]
    fn action_payload_is_forwarded_unchanged() {
        let params = sent(json!({
            "account": {"id": "u1", "email": "ann@example.org", "shoe_size": 38},
            "memberships": {"team": ["t1"]}, "changes": {"title": null}, "reason": "moved", "task_id": "forged",
        }));
        assert_eq!(
            params,
            json!({
                "task_id": "task-1", "attempt": 2, "may_have_applied": true,
                "account": {"id": "u1", "email": "ann@example.org", "shoe_size": 38},
                "memberships": {"team": ["t1"]}, "changes": {"title": null}, "reason": "moved",
            })
        );
    }

    #[test]
    fn memberships_are_normalized_into_one_place() {
        let params = sent(json!({
            "account": {"id": "u1", "assignments": {"plan": "p1"}},
            "memberships": {"team": ["t1", {"id": "t2", "since": 2020}], "seat": "s1"},
            "assignments": {"seat": ["s1", {"id": "s2", "name": "Pro"}]},
        }));
        let wanted = json!({
            "team": ["t1", {"id": "t2", "since": 2020}],
            "seat": [{"id": "s1"}, {"id": "s2", "name": "Pro"}],
            "plan": ["p1"],
        });
        assert_eq!(params["memberships"], wanted);
    }

    #[test]
    fn identifier_is_always_sent_in_the_account() {
        for payload in [
            json!({"account": {"account_id": "17"}}),
            json!({"account": {"id": 17}}),
            json!({"account": null, "account_id": "17"}),
            json!({"account": {"id": null}, "id": 17}),
            json!({"account": "17"}),
        ] {
            let params = sent(payload.clone());
            assert_eq!(params["account"]["id"], "17", "{payload}");
            assert_eq!(params["memberships"], Value::Null);
            assert_eq!(params["changes"], Value::Null);
        }
        assert!(sent(json!({"account": {"username": "ann"}}))["account"].get("id").is_none());
    }
}
