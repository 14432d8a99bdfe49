//! The connector of the target beside it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Description, Error, Evidence,
    Operation, Page, Record, ResourceType, Subject, async_trait,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::defects::Defect;

pub(crate) struct Reference {
    pub(crate) address: SocketAddr,
    pub(crate) token: &'static str,
    pub(crate) defect: Option<Defect>,
    under_way: AtomicUsize,
}

/// A cause that says too much.
#[derive(Debug, thiserror::Error)]
#[error("GET /?token={0} failed")]
struct Cause(&'static str);

impl Reference {
    pub(crate) fn new(address: SocketAddr, token: &'static str, defect: Option<Defect>) -> Self {
        Self { address, token, defect, under_way: AtomicUsize::new(0) }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Asks, and reads every line of the answer. A line that does not end has been cut.
    async fn ask(&self, mut request: Value) -> Result<Vec<Value>, Error> {
        let many = request["op"] == "list";
        request["token"] = self.token.into();
        if request["op"] == "check" && self.has(Defect::BlocksItsThread) {
            return self.ask_and_block(&request);
        }
        let mut connection = TcpStream::connect(self.address).await.map_err(|error| {
            let unreachable = Error::unreachable("the reference target cannot be reached").source(error);
            if self.has(Defect::UnreachableIsAboutTheAccount) {
                unreachable.subject(Subject::Account)
            } else {
                unreachable
            }
        })?;
        connection.write_all(format!("{request}\n").as_bytes()).await.map_err(|_| self.cut())?;
        let mut reader = BufReader::new(connection);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).await;
            let whole = matches!(read, Ok(1..)) && line.ends_with('\n');
            if !whole && many && self.has(Defect::CutIsAnEnd) {
                lines.push(json!({ "next": null }));
                return Ok(lines);
            }
            if !whole {
                return Err(self.cut());
            }
            let line: Value = serde_json::from_str(&line).map_err(|_| self.cut())?;
            if let Some(error) = line.get("error").and_then(Value::as_str) {
                return Err(self.error(error, &request));
            }
            let last = !many || line.get("next").is_some();
            lines.push(line);
            if last {
                return Ok(lines);
            }
        }
    }

    /// The same question, with a socket that blocks.
    fn ask_and_block(&self, request: &Value) -> Result<Vec<Value>, Error> {
        use std::io::{BufRead, Write};
        let connection = std::net::TcpStream::connect(self.address);
        let mut connection =
            connection.map_err(|_| Error::unreachable("the reference target cannot be reached"))?;
        let mut line = String::new();
        let asked = connection.write_all(format!("{request}\n").as_bytes());
        let read = asked.and_then(|()| std::io::BufReader::new(connection).read_line(&mut line));
        let answer: Value =
            read.ok().and_then(|_| serde_json::from_str(&line).ok()).ok_or_else(|| self.cut())?;
        match answer["error"].as_str() {
            Some(error) => Err(self.error(error, request)),
            None => Ok(vec![answer]),
        }
    }

    fn cut(&self) -> Error {
        let error = Error::timeout("the reference target broke off its answer");
        if self.has(Defect::NotAppliedAfterApplying) {
            error.effect(bridgehead_sdk::Effect::NotApplied)
        } else {
            error
        }
    }

    fn error(&self, said: &str, request: &Value) -> Error {
        let who = request["value"].as_str().or(request["account"]["username"].as_str()).unwrap_or("somebody");
        let message = format!("User {who} at the reference target: {said}");
        match said {
            "missing" => Error::account_not_found(message),
            "duplicate" if self.has(Defect::DuplicateIsAnInternalError) => Error::internal(message),
            "duplicate" if self.has(Defect::SecretInError) => {
                Error::account_already_exists(format!("{message} (token {})", self.token))
            }
            "duplicate" if self.has(Defect::SecretInCause) => {
                Error::account_already_exists(message).source(Cause(self.token))
            }
            "duplicate" => Error::account_already_exists(message),
            "no team" if self.has(Defect::MissingTeamIsAMissingAccount) => Error::account_not_found(message),
            "no team" => Error::group_not_found(message),
            "no seat" if self.has(Defect::MissingSeatIsAGroup) => Error::group_not_found(message),
            "no seat" => Error::internal(message).subject(Subject::License),
            "forbidden" if self.has(Defect::RefusalIsAConnectionError) => Error::credential_refused(message),
            "forbidden" => Error::permission_denied(message),
            "credential" if self.has(Defect::CredentialIsAnAccountError) => Error::permission_denied(message),
            "credential" => Error::credential_refused("the reference target refuses the token"),
            _ => Error::internal(message),
        }
    }

    async fn find(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let mut request = json!({ "op": "find" });
        name(&mut request, account);
        let answer = self.ask(request).await?;
        let found =
            answer.into_iter().next().and_then(|mut answer| answer.get_mut("account").map(Value::take));
        let found = found.filter(|found| !found.is_null());
        found.map(|found| serde_json::from_value(found).map_err(|_| self.cut())).transpose()
    }

    async fn create(&self, operation: &Operation) -> Result<Completion, Error> {
        let Operation::CreateAccount(create) = operation else { panic!("not a creation") };
        if self.has(Defect::PanicsAtEmoji)
            && create.account.display_name.as_deref().is_some_and(|name| name.contains('🦄'))
        {
            panic!("not a unicorn");
        }
        let account = serde_json::to_value(&create.account).unwrap();
        let memberships = create.memberships.clone().unwrap_or_default().to_json(false);
        let request = json!({ "op": "create_account", "account": account, "memberships": memberships });
        let id = if self.has(Defect::CreatesInTwoSteps) {
            let bare = json!({ "username": account["username"], "email": account["email"] });
            let request = json!({ "op": "create_account", "account": bare, "memberships": memberships });
            let id = self.ask(request).await?[0]["id"].clone();
            let rest = json!({ "op": "update_account", "by": "id", "value": id, "changes": account });
            self.ask(rest).await?;
            id
        } else {
            self.ask(request).await?[0]["id"].clone()
        };
        let id = id.as_str().unwrap_or_default().to_owned();
        let completion =
            Completion::created(if self.has(Defect::AnotherIdIsAnswered) { "elsewhere" } else { &id });
        Ok(match &create.password {
            Some(password) if self.has(Defect::PasswordInResult) => {
                completion.with("initial", password.expose_secret().to_owned())
            }
            _ => completion,
        })
    }

    async fn change(&self, operation: &Operation) -> Result<Completion, Error> {
        let mut request = json!({ "op": operation.action().as_str() });
        name(&mut request, operation.account());
        if let Operation::UpdateAccount(update) = operation {
            request["changes"] = Value::Object(update.changes.clone());
            request["memberships"] = update.memberships.clone().unwrap_or_default().to_json(false);
        }
        self.ask(request).await?;
        if operation.action() == Action::ResetPassword && self.has(Defect::DeclaredAndNotOffered) {
            return Err(Error::unsupported(operation.action()));
        }
        Ok(Completion::done())
    }
}

/// A call under way, until it ends or is dropped.
struct Call<'a>(&'a AtomicUsize);

impl<'a> Call<'a> {
    /// Begins, and says how many others are under way.
    fn begin(under_way: &'a AtomicUsize) -> (Self, usize) {
        (Self(under_way), under_way.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// By identifier, else by user name, else by e-mail.
fn name(request: &mut Value, account: &Account) {
    let (by, value) = match (&account.id, &account.username, &account.email) {
        (Some(id), ..) => ("id", id.as_str()),
        (None, Some(username), _) => ("username", username.as_str()),
        (None, None, email) => ("email", email.as_deref().unwrap_or_default()),
    };
    request["by"] = by.into();
    request["value"] = value.into();
}

#[async_trait]
impl Connector for Reference {
    async fn describe(&self) -> Result<Description, Error> {
        let mut actions = std::collections::BTreeSet::from(Action::ALL);
        if self.has(Defect::UndeclaredAndCarriedOut) {
            actions.remove(&Action::UnsuspendAccount);
        }
        if self.has(Defect::WithoutDelete) {
            actions.remove(&Action::DeleteAccount);
        }
        let mut resource_types = vec![
            ResourceType::group("team", "Team"),
            ResourceType::license("seat", "Seat"),
            ResourceType::account("account", "Account"),
        ];
        if self.has(Defect::SlugTwice) {
            resource_types.push(ResourceType::group("team", "The same again"));
        }
        let version = if self.has(Defect::SecretInDescription) { self.token } else { "1.0" };
        Ok(Description {
            name: "reference".into(),
            version: version.into(),
            actions,
            resource_types,
            ..Description::default()
        })
    }

    async fn check(&self) -> Result<(), Error> {
        self.ask(json!({ "op": "check" })).await.map(drop)
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let after = match cursor.map(|cursor| cursor.as_str().strip_prefix("after ")) {
            None => "",
            Some(Some(after)) => after,
            Some(None) if self.has(Defect::UnknownCursorBeginsAgain) => "",
            Some(None) => {
                return Err(Error::incomplete_listing("this is no cursor of the reference connector"));
            }
        };
        let mut lines = self.ask(json!({ "op": "list", "type": of.slug, "after": after })).await?;
        let end = lines.pop().unwrap_or_default();
        let record = |line| {
            Record::from_json(of.kind, line).map_err(|error| Error::incomplete_listing(error.to_string()))
        };
        let records = lines.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let next = end["next"].as_str().map(|next| Cursor::new(format!("after {next}")));
        let page = Page { records, ..Page::default() };
        if self.has(Defect::EndWithoutEvidence) {
            return Ok(Page { next, ..page });
        }
        Ok(page.ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let found = self.find(account).await;
        if self.has(Defect::FailureIsNobody) { Ok(found.unwrap_or(None)) } else { found }
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let (_call, others) = Call::begin(&self.under_way);
        match operation {
            // It takes what is there for its own work, because the attempt is not the first.
            Operation::CreateAccount(create)
                if context.attempt > 2
                    && self.has(Defect::AttemptIsEvidence)
                    && self.find(&create.account).await?.is_some() =>
            {
                Ok(Completion::done())
            }
            Operation::DeleteAccount(_) if self.has(Defect::WithoutDelete) => {
                Err(Error::unsupported(operation.action()))
            }
            _ if others > 0 && self.has(Defect::OneAtATime) => Err(Error::internal("one at a time, please")),
            Operation::CreateAccount(_) => self.create(operation).await,
            _ => self.change(operation).await,
        }
    }
}

/// A target that has broken off in the middle of its listing, for a connector that is not reached over TCP.
pub(crate) async fn breaks_off(address: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(address).await.unwrap();
            let mut line = Vec::new();
            BufReader::new(&mut client).read_until(b'\n', &mut line).await.unwrap();
            server.write_all(&line).await.unwrap();
            let mut part = [0; 200];
            server.read_exact(&mut part).await.unwrap();
            client.write_all(&part).await.unwrap();
        }
    });
    relay
}
