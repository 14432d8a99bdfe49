//! One bound connection, and the requests on it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ldap3::controls::{MakeCritical as _, PagedResults, RawControl};
use ldap3::exop::{PasswordModify, WhoAmI};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, ResultEntry, SearchOptions};
use secrecy::ExposeSecret as _;

use crate::client::Identity;
use crate::endpoint::Endpoint;
use crate::entry::{Entry, Ranged};
use crate::failure::{Failure, Refusal};
use crate::holder::Holder;
use crate::paging;
use crate::readiness::{self, Features};
use crate::servers::Present;
use crate::suspension::LOCKED_TIME;
use crate::traced;
use crate::usability;

/// Active Directory increments this with every change of an entry, including its members. Only Active Directory returns attributes in
/// parts.
const VERSION: &str = "uSNChanged";

/// How often an attribute in parts is read again if it is changed in the meantime.
const ROUNDS: usize = 4;

/// The result code of a server that refers to another one.
const REFERRAL: u32 = 10;

/// The time limit in seconds for searches that only a check needs.
const MOMENT: i32 = 2;

/// A bound connection. Requests on it may overlap.
#[derive(Debug)]
pub(crate) struct Session {
    ldap: Ldap,
    endpoint: Arc<Endpoint>,
    /// The choice of server that the connection belongs to; see `servers`.
    present: Present,
    pub(crate) features: Features,
    /// Set when a request was left without a response: later responses on this connection cannot be trusted.
    spoiled: Arc<AtomicBool>,
}

/// What to search for, and where.
#[derive(Clone, Debug)]
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: ldap3::Scope,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [&'a str],
    /// The maximum number of entries; 0 for all.
    pub(crate) limit: i32,
}

/// One part of a modification.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Change {
    kind: Kind,
    pub(crate) attribute: String,
    values: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Delete,
    Replace,
}

impl Change {
    pub(crate) fn add(attribute: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { kind: Kind::Add, attribute: attribute.to_owned(), values: vec![value.into()] }
    }

    pub(crate) fn delete(attribute: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { kind: Kind::Delete, attribute: attribute.to_owned(), values: vec![value.into()] }
    }

    /// Replaces the values of an attribute; without values, removes the attribute.
    pub(crate) fn replace<V: Into<Vec<u8>>>(attribute: &str, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self { kind: Kind::Replace, attribute: attribute.to_owned(), values }
    }

    /// Sets the values of an attribute in this order: the first one is the main value.
    pub(crate) fn set(attribute: &str, values: impl IntoIterator<Item = Vec<u8>>) -> Vec<Self> {
        let mut values = values.into_iter();
        let first = Self::replace(attribute, values.next());
        std::iter::once(first).chain(values.map(|value| Self::add(attribute, value))).collect()
    }

    /// The new values that are valid UTF-8.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let set = self.kind != Kind::Delete;
        self.values.iter().filter(move |_| set).filter_map(|value| std::str::from_utf8(value).ok())
    }

    fn into_mod(self) -> Mod<Vec<u8>> {
        let values: HashSet<Vec<u8>> = self.values.into_iter().collect();
        let attribute = self.attribute.into_bytes();
        match self.kind {
            Kind::Add => Mod::Add(attribute, values),
            Kind::Delete => Mod::Delete(attribute, values),
            Kind::Replace => Mod::Replace(attribute, values),
        }
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = traced::values(&self.attribute, self.values.iter().map(Vec::as_slice));
        write!(f, "{:?} {values}", self.kind)
    }
}

impl Session {
    /// Connects to the current server, negotiates TLS, and binds. If that server fails, the next one becomes the current server.
    pub(crate) async fn open(endpoint: &Arc<Endpoint>) -> Result<Self, Failure> {
        let servers = &endpoint.servers;
        let before = servers.present();
        let mut first = None;
        for server in servers.order() {
            let opened =
                tokio::time::timeout(endpoint.connect_timeout, Self::connect(endpoint, server)).await;
            let late = || Failure::Unreachable("no response in time (connect_timeout)".to_owned());
            match opened.unwrap_or_else(|_| Err(late())) {
                Ok(mut session) => {
                    session.present = servers.choose(server, before);
                    if session.present.server == server {
                        if session.present.number != before.number {
                            let why = first.map_or_else(
                                || "does not accept changes".to_owned(),
                                |why: Failure| why.to_string(),
                            );
                            tracing::warn!(
                                app = %endpoint.app, url = %servers.url(server),
                                "switching to this server, because the previous one {why}"
                            );
                        }
                        return Ok(session);
                    }
                    // Another call has switched to a different server in the meantime.
                    first.get_or_insert(Failure::NotSent);
                }
                Err(failure) if failure.is_of_server() => {
                    tracing::debug!(app = %endpoint.app, url = %servers.url(server), "{failure}");
                    first.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(first.unwrap_or(Failure::NotSent))
    }

    async fn connect(endpoint: &Arc<Endpoint>, server: usize) -> Result<Self, Failure> {
        let url = endpoint.servers.url(server);
        let mut settings = LdapConnSettings::new().set_starttls(endpoint.start_tls);
        if let Some(tls) = endpoint.tls.as_ref().filter(|_| endpoint.start_tls || url.scheme() == "ldaps") {
            settings = settings.set_config(Arc::clone(tls));
        }
        let conversation = endpoint.conversation();
        conversation
            .asks(|| format!("connect to {url}{}", if endpoint.start_tls { ", StartTLS" } else { "" }));
        let connected = LdapConnAsync::from_url_with_settings(settings, url).await;
        let (connection, mut ldap) = connected.map_err(|error| {
            let failure = Failure::of_connecting(&error);
            conversation.hears(|| failure.to_string());
            failure
        })?;
        // Drives the connection; ends with it, at the latest when its last handle is dropped.
        tokio::spawn(async move { drop(connection.drive().await) });
        let how = || format!("bind as {}", endpoint.identity.label());
        let bound = match &endpoint.identity {
            Identity::Simple { dn, password } => {
                conversation.exchange(how, ldap.simple_bind(dn, password.expose_secret())).await
            }
            Identity::External => conversation.exchange(how, ldap.sasl_external_bind()).await,
        };
        match bound {
            Ok(result) if result.rc == 0 => {}
            Ok(result) if matches!(result.rc, 51 | 52) => return Err(Failure::Refused(Refusal::of(&result))),
            Ok(result) if result.rc == REFERRAL => return Err(Failure::Incomplete(readiness::REFERS)),
            Ok(result) => return Err(Failure::Bind(Refusal::of(&result))),
            Err(_) => {
                conversation.hears(|| Failure::Cut.to_string());
                return Err(Failure::Unreachable(
                    "the server dropped the connection during the bind, as it \
                                                 does when it requires a client certificate \
                                                 (client_certificate)"
                        .to_owned(),
                ));
            }
        }
        let mut session = Self {
            ldap,
            endpoint: Arc::clone(endpoint),
            present: endpoint.servers.present(),
            features: Features::default(),
            spoiled: Arc::default(),
        };
        session.features = readiness::examine(&session, &endpoint.readiness).await?;
        Ok(session)
    }

    /// Whether another request can be sent on this connection.
    pub(crate) fn is_usable(&self) -> bool {
        !self.spoiled.load(Ordering::Relaxed)
            && !self.ldap.clone().is_closed()
            && self.present.number == self.endpoint.servers.present().number
    }

    /// Whether both connections are to the same server.
    pub(crate) fn is_at_server_of(&self, other: &Self) -> bool {
        self.present.server == other.present.server
    }

    /// The entries that a search finds. Exceeding the limit is not an error; any result other than success is, and so is a reference to
    /// another server.
    pub(crate) async fn search(&self, search: &Search<'_>) -> Result<Vec<Entry>, Failure> {
        let (entries, reference) = self.search_here(search).await?;
        match reference {
            Some(address) => Err(Failure::Reference(address)),
            None => Ok(entries),
        }
    }

    /// The entries that a search finds on this server, and the address that it refers to for others.
    pub(crate) async fn search_here(
        &self,
        search: &Search<'_>,
    ) -> Result<(Vec<Entry>, Option<String>), Failure> {
        let (mut entries, reference, result) = self.run(search, Vec::new(), None).await?;
        let enough = usize::try_from(search.limit).is_ok_and(|limit| limit > 0 && entries.len() >= limit);
        if result.rc != 0 && !(result.rc == 4 && enough) {
            return Err(self.refused(&result));
        }
        for entry in &mut entries {
            self.complete(entry).await?;
        }
        Ok((entries, reference))
    }

    /// The entries that a search finds on this server within a short time; a slower search is refused (3).
    pub(crate) async fn probe(&self, search: &Search<'_>) -> Result<Vec<Entry>, Failure> {
        let (entries, _, result) = self.run(search, Vec::new(), Some(MOMENT)).await?;
        let enough = usize::try_from(search.limit).is_ok_and(|limit| limit > 0 && entries.len() >= limit);
        if result.rc != 0 && !(result.rc == 4 && enough) {
            return Err(self.refused(&result));
        }
        Ok(entries)
    }

    /// A page of the entries that a search finds, and the cookie of the next page.
    pub(crate) async fn page(
        &self,
        search: &Search<'_>,
        size: u16,
        cookie: Vec<u8>,
    ) -> Result<(Vec<Entry>, Vec<u8>), Failure> {
        let control = PagedResults { size: i32::from(size), cookie }.critical();
        let (mut entries, reference, result) = self.run(search, vec![control.into()], None).await?;
        if result.rc != 0 {
            return Err(self.refused(&result));
        }
        if let Some(address) = reference {
            return Err(Failure::Reference(address));
        }
        // A server that does not page may have returned a part as if it were everything.
        let Some(cookie) = paging::cookie(&result) else {
            self.spoil();
            return Err(Failure::Garbled("a page without the control for paged results (RFC 2696)"));
        };
        for entry in &mut entries {
            self.complete(entry).await?;
        }
        Ok((entries, cookie))
    }

    /// A search with controls.
    pub(crate) async fn search_with(
        &self,
        search: &Search<'_>,
        control: RawControl,
    ) -> Result<Vec<Entry>, Failure> {
        let (entries, _, result) = self.run(search, vec![control], Some(MOMENT)).await?;
        if result.rc == 0 { Ok(entries) } else { Err(self.refused(&result)) }
    }

    /// The identity that bridgehead has for the server: `dn:…`, or `u:…` (RFC 4532).
    pub(crate) async fn who_am_i(&self) -> Result<String, Failure> {
        let mut ldap = self.ldap.clone();
        let conversation = self.endpoint.conversation();
        conversation.asks(|| "who am I".to_owned());
        let (answer, result) =
            self.call(async { ldap.extended(WhoAmI).await.map(|answer| (answer.0, answer.1)) }).await?;
        conversation.hears(|| traced::result(&result));
        if result.rc != 0 {
            return Err(self.refused(&result));
        }
        let name = answer.val.and_then(|name| String::from_utf8(name).ok());
        name.ok_or(Failure::Garbled("no identity for bridgehead"))
    }

    /// Adds an entry.
    pub(crate) async fn add(&self, dn: &str, attributes: Vec<(String, Vec<Vec<u8>>)>) -> Result<(), Failure> {
        let shown = self.endpoint.trace.as_ref().map(|_| traced::add(dn, &attributes)).unwrap_or_default();
        let attributes = attributes
            .into_iter()
            .map(|(name, values)| (name.into_bytes(), values.into_iter().collect::<HashSet<_>>()))
            .collect();
        let mut ldap = self.ldap.clone();
        self.change(|| shown, async { ldap.add(dn, attributes).await }).await
    }

    /// Changes an entry in one step.
    pub(crate) async fn modify(&self, dn: &str, changes: Vec<Change>) -> Result<(), Failure> {
        let shown = self.endpoint.trace.as_ref().map(|_| traced::modify(dn, &changes)).unwrap_or_default();
        let changes = changes.into_iter().map(Change::into_mod).collect();
        let mut ldap = self.ldap.clone();
        self.change(|| shown, async { ldap.modify(dn, changes).await }).await
    }

    /// Changes an entry that still has its name, in one step.
    pub(crate) async fn modify_held(&self, holder: &Holder, changes: Vec<Change>) -> Result<(), Failure> {
        self.modify(self.name_of(holder).await?, changes).await
    }

    /// Renames an entry without moving it.
    pub(crate) async fn rename(&self, dn: &str, rdn: &str) -> Result<(), Failure> {
        let mut ldap = self.ldap.clone();
        self.change(|| format!("rename {dn:?} {rdn:?}"), async { ldap.modifydn(dn, rdn, true, None).await })
            .await
    }

    /// Renames an entry that still has its name. Samba does not accept the identifier here.
    pub(crate) async fn rename_held(&self, holder: &Holder, rdn: &str) -> Result<(), Failure> {
        self.still_has_its_name(holder).await?;
        self.rename(&holder.dn, rdn).await
    }

    /// Deletes an entry.
    pub(crate) async fn delete(&self, dn: &str) -> Result<(), Failure> {
        let mut ldap = self.ldap.clone();
        self.change(|| format!("delete {dn:?}"), async { ldap.delete(dn).await }).await
    }

    /// Deletes an entry that still has its name.
    pub(crate) async fn delete_held(&self, holder: &Holder) -> Result<(), Failure> {
        self.delete(self.name_of(holder).await?).await
    }

    /// Sets a password with the extended operation of RFC 3062.
    pub(crate) async fn set_password(&self, dn: &str, password: &str) -> Result<(), Failure> {
        let request = PasswordModify { user_id: Some(dn), old_pass: None, new_pass: Some(password) };
        let mut ldap = self.ldap.clone();
        self.change(|| format!("set the password of {dn:?}"), async {
            ldap.extended(request).await.map(|answer| answer.1)
        })
        .await
    }

    async fn change(
        &self,
        shown: impl FnOnce() -> String,
        request: impl Future<Output = Result<LdapResult, LdapError>>,
    ) -> Result<(), Failure> {
        let result = self.call(self.endpoint.conversation().exchange(shown, request)).await?;
        if result.rc == 0 { Ok(()) } else { Err(self.refused(&result)) }
    }

    fn refused(&self, result: &LdapResult) -> Failure {
        let failure = Failure::Refused(Refusal::of(result));
        if failure.ends_connection() {
            self.spoil();
        }
        failure
    }

    pub(crate) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }

    /// Makes new connections try the other servers before this one.
    pub(crate) fn set_aside(&self) {
        self.endpoint.servers.set_aside(self.present);
        self.spoil();
    }

    /// Makes a request within the time limit. If the request is given up, so is the connection.
    async fn call<T>(&self, request: impl Future<Output = Result<T, LdapError>>) -> Result<T, Failure> {
        let answer = if self.is_usable() {
            let spoil = SpoilOnDrop(Some(&self.spoiled));
            match tokio::time::timeout(self.endpoint.request_timeout, request).await {
                Err(_) => Err(Failure::Silent),
                Ok(Err(error)) => Err(Failure::of_request(&error)),
                Ok(Ok(answer)) => {
                    spoil.disarm();
                    Ok(answer)
                }
            }
        } else {
            Err(Failure::NotSent)
        };
        answer.inspect_err(|failure| self.endpoint.conversation().hears(|| failure.to_string()))
    }

    async fn run(
        &self,
        search: &Search<'_>,
        mut controls: Vec<RawControl>,
        seconds: Option<i32>,
    ) -> Result<(Vec<Entry>, Option<String>, LdapResult), Failure> {
        let mut ldap = self.ldap.clone();
        let longest = i32::try_from(self.endpoint.request_timeout.as_secs()).unwrap_or(i32::MAX).max(1);
        let seconds = seconds.map_or(longest, |shorter| shorter.min(longest));
        ldap.with_search_options(SearchOptions::new().timelimit(seconds).sizelimit(search.limit));
        if self.features.usability && search.attributes.contains(&LOCKED_TIME) {
            controls.push(usability::request());
        }
        let conversation = self.endpoint.conversation();
        conversation.asks(|| {
            let oids: Vec<&str> = controls.iter().map(|control| control.ctype.as_str()).collect();
            traced::search(search, &oids)
        });
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        let attributes: Vec<&str> = search.attributes.to_vec();
        let found = self
            .call(async {
                let mut entries = Vec::new();
                let mut stream =
                    ldap.streaming_search(search.base, search.scope, search.filter, attributes).await?;
                while let Some(item) = stream.next().await? {
                    entries.push(item);
                }
                Ok((entries, stream.finish().await))
            })
            .await?;
        let mut entries = Vec::with_capacity(found.0.len());
        let mut reference = None;
        for item in found.0 {
            if item.is_ref() {
                let addresses = addresses(item).ok_or(Failure::Garbled("an invalid reference"))?;
                // Several addresses refer to the same part, so one ignored address is enough.
                if !addresses.iter().any(|address| self.endpoint.references.is_ignored(address)) {
                    reference = reference.or_else(|| addresses.into_iter().next());
                }
            } else if !item.is_intermediate() {
                let mut entry = Entry::read(item).ok_or(Failure::Garbled("an invalid entry"))?;
                if let Some(schema) = self.endpoint.schema.get() {
                    entry.rename_attributes(|name| schema.canonical(name));
                }
                entries.push(entry);
            }
        }
        conversation.hears(|| traced::found(&entries, reference.as_deref(), &found.1));
        Ok((entries, reference, found.1))
    }

    /// Reads partial attributes again.
    async fn complete(&self, entry: &mut Entry) -> Result<(), Failure> {
        while let Some(ranged) = entry.ranged() {
            let values = self.all_values(&entry.dn, &ranged.attribute).await?;
            entry.end_range(values);
        }
        Ok(())
    }

    /// All values of an attribute that is returned in parts. If the entry changes in between, values may have moved from one part to
    /// another, so all are read again.
    async fn all_values(&self, dn: &str, attribute: &str) -> Result<Vec<Vec<u8>>, Failure> {
        for _ in 0..ROUNDS {
            if let Some(values) = self.values_by_part(dn, attribute).await? {
                return Ok(values);
            }
        }
        Err(Failure::Garbled(
            "an attribute in parts that changed each time while it was read; try again later",
        ))
    }

    /// All values; `None` if the entry has changed in between.
    async fn values_by_part(&self, dn: &str, attribute: &str) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let missing = || Failure::Garbled("no further part of a ranged attribute");
        let mut all = Vec::new();
        let mut next = 0;
        let mut version: Option<Vec<Vec<u8>>> = None;
        loop {
            let part = Ranged::part(attribute, next);
            let attributes = [part.as_str(), VERSION];
            let search = Search {
                base: dn,
                scope: ldap3::Scope::Base,
                filter: "(objectClass=*)",
                attributes: &attributes,
                limit: 0,
            };
            let (mut found, _, result) = self.run(&search, Vec::new(), None).await?;
            if result.rc != 0 {
                return Err(self.refused(&result));
            }
            let mut entry = found.pop().ok_or_else(missing)?;
            let now = entry.values(VERSION).to_vec();
            if *version.get_or_insert_with(|| now.clone()) != now {
                return Ok(None);
            }
            let further = entry.ranged().map(|ranged| ranged.next);
            all.append(&mut entry.take_values(attribute).ok_or_else(missing)?);
            match further {
                // A server that goes back would be read forever.
                Some(further) if further > next => next = further,
                Some(_) => return Err(missing()),
                None => return Ok(Some(all)),
            }
        }
    }
}

/// The addresses in a reference, sanitized for display.
fn addresses(item: ResultEntry) -> Option<Vec<String>> {
    let addresses = item.0.expect_constructed()?.into_iter().map(|address| {
        let address = String::from_utf8_lossy(&address.expect_primitive()?).into_owned();
        Some(address.chars().filter(|c| !c.is_control()).take(300).collect())
    });
    let addresses: Option<Vec<String>> = addresses.collect();
    addresses.filter(|addresses| !addresses.is_empty())
}

/// Marks the connection as unusable unless all went well: when the deadline of a task drops a request, its response
/// would arrive later.
struct SpoilOnDrop<'a>(Option<&'a AtomicBool>);

impl SpoilOnDrop<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for SpoilOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(spoiled) = self.0 {
            spoiled.store(true, Ordering::Relaxed);
        }
    }
}
