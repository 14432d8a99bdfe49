//! The connector for the web service in `server.rs`. It keeps the contract, except for at most one mistake.

#![expect(
    clippy::too_many_lines,
    reason = "one step after another, each with the mistakes that can be made in it"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use bridgehead_sdk::ExposeSecret;
use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Answer, Client, Limits};
use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Code, Completion, Connector, Context, CreateAccount,
    Cursor, Description, Effect, Error, Evidence, Memberships, Network, Operation, Page, Record,
    ResourceKind, ResourceType, Retry, Subject, UpdateAccount, async_trait,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::mistakes::Mistake::{self, *};

mod changes;
mod listing;
mod lookup;
mod requests;

type User = Map<String, Value>;

pub(crate) struct Reference {
    client: Client,
    base: Url,
    token: &'static str,
    page: usize,
    mistake: Option<Mistake>,
    under_way: AtomicUsize,
    cache: Mutex<HashMap<String, Option<User>>>,
    pages: Mutex<HashMap<String, Value>>,
    asked: Mutex<String>,
    /// The state of one call that the mistakes share between calls: the position of a listing, the listing, or the
    /// account.
    kept: Mutex<HashMap<&'static str, String>>,
    under_list: Mutex<Option<ResourceType>>,
    described: AtomicUsize,
}

/// A cause that contains a secret.
#[derive(Debug, thiserror::Error)]
#[error("GET /?token={0} failed")]
struct Cause(&'static str);

/// Creating a client is slow, because it loads the trusted certificates, so clients are shared. Where connections matter, each connector
/// has its own anyway, because it uses its own address.
static CLIENT: LazyLock<Mutex<HashMap<usize, Client>>> = LazyLock::new(Mutex::default);

fn client() -> Client {
    // A connection pool belongs to the runtime on which its connections were opened.
    let runtime = tokio::runtime::Handle::current().id();
    let key = format!("{runtime:?}")
        .bytes()
        .fold(0usize, |all, byte| all.wrapping_mul(31).wrapping_add(byte.into()));
    let limits = Limits::default().with_request(Duration::from_secs(10));
    let mut clients = CLIENT.lock().unwrap();
    clients
        .entry(key)
        .or_insert_with(|| Client::new("the help desk", &Network::default(), limits).unwrap())
        .clone()
}

const FIELDS: [&str; 5] = ["username", "email", "first_name", "last_name", "display_name"];
const EMPTY: &[Value] = &[];

impl Reference {
    pub(crate) fn new(
        address: SocketAddr,
        token: &'static str,
        page: usize,
        mistake: Option<Mistake>,
    ) -> Self {
        Self {
            client: client(),
            base: Url::parse(&format!("http://{address}")).unwrap(),
            token,
            page,
            mistake,
            under_way: AtomicUsize::new(0),
            cache: Mutex::default(),
            pages: Mutex::default(),
            asked: Mutex::default(),
            kept: Mutex::default(),
            under_list: Mutex::default(),
            described: AtomicUsize::new(0),
        }
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn any(&self, mistakes: &[Mistake]) -> bool {
        self.mistake.is_some_and(|mistake| mistakes.contains(&mistake))
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if self.has(PathIsNotEscaped) {
            url = self.base.join(&path.join("/")).unwrap_or(url);
        } else {
            // The URL parser removes line breaks, so the path must not contain any.
            let escaped: Vec<String> = path
                .iter()
                .map(|part| url::form_urlencoded::byte_serialize(part.as_bytes()).collect())
                .collect();
            url = self.base.join(&escaped.join("/")).unwrap();
        }
        if !query.is_empty() && self.has(QueryIsNotEscaped) {
            let parts: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            url.set_query(Some(&parts.join("&")));
        } else if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// A minimal base64 encoder, for one of the mistakes.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let bits =
                chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(move |at| char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]))
        })
        .collect()
}

/// A running call, until it ends or is dropped.
struct Call<'a>(&'a AtomicUsize);

impl<'a> Call<'a> {
    /// Starts a call; returns the number of other running calls.
    fn begin(under_way: &'a AtomicUsize) -> (Self, usize) {
        (Self(under_way), under_way.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Connector for Reference {
    async fn describe(&self) -> Result<Description, Error> {
        let mut resource_types = vec![
            ResourceType::group("team", "Team"),
            ResourceType::license("seat", "Seat"),
            ResourceType::account("account", "Account"),
        ];
        let mut actions = Action::ALL.to_vec();
        if self.any(&[DescribesNothingWhileDown, DescribesNoActionsWhileDown, DescribesNoGroupsWhileDown]) {
            let up = self.get("", self.url(&["health"], &[])).await.is_ok_and(|health| health["ok"] == true);
            match self.mistake {
                Some(DescribesNothingWhileDown) if !up => resource_types.clear(),
                Some(DescribesNoActionsWhileDown) if !up => actions.clear(),
                Some(DescribesNoGroupsWhileDown) if !up => drop(resource_types.remove(0)),
                _ => {}
            }
        }
        if self.any(&[UndeclaredAndCarriedOut]) {
            actions.retain(|action| *action != Action::UnsuspendAccount);
        }
        if self.has(WithoutDelete) {
            actions.retain(|action| *action != Action::DeleteAccount);
        }
        if self.has(DescribesOtherwiseLater) && self.described.fetch_add(1, Ordering::SeqCst) > 0 {
            resource_types.remove(1);
        }
        if self.has(SlugTwice) {
            resource_types.push(ResourceType::group("team", "The same again"));
        }
        let version = match self.mistake {
            Some(SecretInDescription) => self.token,
            Some(NoVersion) => "",
            _ => "1.0",
        };
        let description =
            Description::new("help-desk", version).with_actions(actions).with_resource_types(resource_types);
        if self.has(EverythingIsUnverifiable) {
            return Ok(description.with_unverifiable(FIELDS).with_unverifiable(["status"]));
        }
        Ok(description)
    }

    async fn check(&self) -> Result<(), Error> {
        if self.has(CheckNeverAsks) {
            return Ok(());
        }
        if self.has(BlocksItsThread) {
            use std::io::Read;
            let address = (self.base.host_str().unwrap(), self.base.port().unwrap());
            let mut connection = std::net::TcpStream::connect(address)
                .map_err(|_| Error::unreachable("the help desk is unreachable"))?;
            drop(connection.read(&mut [0; 1]));
            return Err(Error::timeout("no answer"));
        }
        let url = self.url(&["health"], &[]);
        if self.has(CheckIsRemembered) {
            if self.kept.lock().unwrap().contains_key("checked") {
                return Ok(());
            }
            self.get("the help desk is not in order", url).await?;
            self.kept.lock().unwrap().insert("checked", String::new());
            return Ok(());
        }
        if self.has(CheckIgnoresTheStatus) {
            return self.ask(Method::GET, url, None).await.map(drop);
        }
        if self.has(CheckPassesServerErrors) {
            let answer = self.ask(Method::GET, url, None).await?;
            return if answer.status().is_client_error() {
                Err(self.refusal(&answer, "check"))
            } else {
                Ok(())
            };
        }
        if self.has(CheckWrites) {
            let probe = json!({ "username": "probe", "email": "probe@example.org" });
            let made =
                self.send("probe created", Method::POST, self.url(&["users"], &[]), Some(&probe)).await?;
            let id = made["id"].as_str().unwrap_or_default();
            self.send("probe", Method::DELETE, self.url(&["users", id], &[]), None).await?;
            return Ok(());
        }
        if self.has(CheckMarks) {
            let url = self.url(&["users", "a000001"], &[]);
            return self.send("mark", Method::PATCH, url, Some(&json!({ "seen": true }))).await.map(drop);
        }
        self.get("the help desk is not in order", url).await.map(drop)
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let shared = cursor.and_then(|_| self.under_list.lock().unwrap().clone());
        let of = shared.as_ref().filter(|_| self.has(ListingIsShared)).unwrap_or(of);
        *self.under_list.lock().unwrap() = Some(of.clone());
        let after = match cursor.map(|cursor| cursor.as_str().strip_prefix("after ")) {
            None => "",
            Some(Some(after)) => after,
            Some(None) if self.has(UnknownCursorBeginsAgain) => "",
            Some(None) if self.has(UnknownCursorIsAnEnd) => {
                return Ok(Page::last(Vec::new(), Evidence::EndOfCursor));
            }
            Some(None) => return Err(Error::incomplete_listing("this is no cursor of the help desk")),
        };
        let (after, round) = match after.split_once('#') {
            Some((after, round)) => (after, round.parse().unwrap_or(0)),
            None => (after, 0),
        };
        let kind = match of.kind {
            ResourceKind::Group => "teams",
            ResourceKind::License => "seats",
            ResourceKind::Account => "users",
        };
        let position = cursor.and_then(|_| self.kept.lock().unwrap().get(kind).cloned());
        let after = position.as_deref().filter(|_| self.has(PositionIsKeptInside)).unwrap_or(after);
        if self.has(SleepsInListing) && of.kind == ResourceKind::Account {
            std::thread::sleep(Duration::from_millis(1_300));
        }
        let key = format!("{kind} {after}");
        let kept = self.pages.lock().unwrap().get(&key).cloned().filter(|_| self.has(CacheOfPages));
        let (records, mut next, total) = match kept {
            Some(kept) => {
                let records = kept["records"].as_array().cloned().unwrap_or_default();
                (records, kept["next"].as_str().map(str::to_owned), kept["total"].clone())
            }
            None => self.page(of, kind, after).await?,
        };
        if self.has(CacheOfPages) {
            let kept = json!({ "records": records, "next": next, "total": total });
            self.pages.lock().unwrap().insert(key, kept);
        }
        match self.mistake {
            Some(FirstPageOfGroups) if of.kind == ResourceKind::Group => next = None,
            Some(FirstPageOfLicences) if of.kind == ResourceKind::License => next = None,
            Some(TenPagesAreEnough) if after > "a003000" => next = None,
            Some(CursorRepeats) if !after.is_empty() => next = Some(after.to_owned()),
            Some(SameRecordsForEver) if of.kind == ResourceKind::Account => {
                next = Some(format!("{after}#{}", round + 1));
            }
            _ => {}
        }
        if let Some(next) = &next {
            self.kept.lock().unwrap().insert(kind, next.clone());
        }
        let mut page = Page::default();
        for value in records {
            if of.kind != ResourceKind::Account {
                let record = Record::from_json(of.kind, value);
                page.records.push(record.map_err(|error| Error::incomplete_listing(error.to_string()))?);
                continue;
            }
            let mut user = value.as_object().cloned().unwrap_or_default();
            let left_out = match self.mistake {
                Some(WithoutEmailIsLeftOut) => !user.get("email").is_some_and(Value::is_string),
                Some(WithoutUsernameIsLeftOut) => !user.get("username").is_some_and(Value::is_string),
                Some(SuspendedAreNotListed) => user.get("active") == Some(&json!(false)),
                _ => false,
            };
            if left_out {
                continue;
            }
            if self.any(&[TeamErrorIsNoTeamInListing])
                && user["username"].as_str().is_some_and(|name| name.starts_with("bhk"))
            {
                let url = self.url(&["users", user["id"].as_str().unwrap_or_default(), "teams"], &[]);
                let teams = self.get("teams", url).await.map(|teams| teams["teams"].clone());
                user.insert("teams".to_owned(), teams.unwrap_or_default());
            }
            if self.has(ListingShowsNoTeams) {
                user.shift_remove("teams");
            }
            if self.has(ListingShowsOtherNames) {
                user.insert("display_name".to_owned(), user.get("username").cloned().unwrap_or_default());
            }
            match self.record(&user) {
                Ok(record) => page.records.push(record),
                Err(_) if self.has(UnreadableIsLeftOut) => {}
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        if self.has(PageIsAnotherTheSecondTime) && !after.is_empty() && *self.asked.lock().unwrap() == after {
            drop(page.records.pop());
        }
        after.clone_into(&mut self.asked.lock().unwrap());
        let next = next.map(|next| Cursor::new(format!("after {next}")));
        if self.has(EndWithoutEvidence) {
            page.next = next;
            return Ok(page);
        }
        let counted = page.records.len() as u64;
        let evidence = if self.any(&[TotalWithoutATotal, TotalIsCounted]) {
            Evidence::TotalMet
        } else {
            Evidence::EndOfCursor
        };
        let page = page.ending(next, evidence);
        Ok(match self.mistake {
            Some(TotalWithoutATotal) => page,
            Some(TotalIsCounted) => page.with_total(counted),
            _ => page.with_total(total.as_u64()),
        })
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let found = match self.find(account).await {
            Err(_) if self.has(FailureIsNobody) => None,
            other => other?,
        };
        let Some(user) = found else { return Ok(None) };
        match self.record(&user) {
            Ok(Record::Account(record)) => Ok(Some(*record)),
            _ if self.has(UnreadableIsNobody) => Ok(None),
            _ => Err(Error::new(
                Code::InternalError,
                format!("User {} of the help desk cannot be read", account.label()),
            )),
        }
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let (_call, others) = Call::begin(&self.under_way);
        if self.has(SleepsInActions) {
            std::thread::sleep(Duration::from_millis(1_300));
        }
        if self.has(OneAtATime) && others > 0 {
            return Err(Error::internal("one at a time, please"));
        }
        if self.has(DeleteByPattern)
            && operation.action() == Action::DeleteAccount
            && let Some(begin) =
                operation.account().username.as_deref().and_then(|name| name.strip_suffix('*'))
        {
            let found = self.get("", self.url(&["users"], &[("q", begin)])).await?;
            if let Some(id) = found["users"][0]["id"].as_str() {
                self.send("deleted", Method::DELETE, self.url(&["users", id], &[]), None).await?;
                return Ok(Completion::done());
            }
        }
        let done = match operation {
            // Treats an existing account as its own work, because the attempt is not the first.
            Operation::CreateAccount(create)
                if (context.attempt > 2 && self.has(AttemptIsEvidence)
                    || context.may_have_applied && self.has(SecondCreationSucceeds))
                    && self.find(&create.account).await?.is_some() =>
            {
                Ok(Completion::done())
            }
            Operation::DeleteAccount(delete)
                if context.may_have_applied
                    && self.has(SecondDeletionSucceeds)
                    && self.find(&delete.account).await?.is_none() =>
            {
                Ok(Completion::done())
            }
            Operation::DeleteAccount(_) if self.has(WithoutDelete) => {
                Err(Error::unsupported(operation.action()))
            }
            Operation::CreateAccount(create) => self.create(operation, create).await,
            Operation::UpdateAccount(update) => self.update(operation, update).await,
            _ => self.change(operation).await,
        };
        if self.has(CacheOfOwnWrites) {
            self.cache.lock().unwrap().clear();
        }
        if self.has(EveryErrorIsInternal) {
            return done.map_err(|error| Error::new(Code::InternalError, error.message().to_owned()));
        }
        done
    }
}

/// A target that breaks off in the middle of its listing, for a connector that is not reached over TCP.
pub(crate) async fn breaks_off(address: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(address).await.unwrap();
            let mut request = vec![0; 4096];
            let count = client.read(&mut request).await.unwrap();
            server.write_all(&request[..count]).await.unwrap();
            let mut part = [0; 200];
            server.read_exact(&mut part).await.unwrap();
            client.write_all(&part).await.unwrap();
        }
    });
    relay
}
