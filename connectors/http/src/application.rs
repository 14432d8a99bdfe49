//! Builds everything that the connector needs from its settings, without sending anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::http::{Client, Credential, endpoint};
use bridgehead_sdk::{Action, EntityRecord, REDACTED, ResourceKind, ResourceType, SettingsError, Setup};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::accounts::{Accounts, Find, FollowUp};
use crate::actions::{Knowledge, Plan};
use crate::entities::{Entities, Source};
use crate::listings::Listings;
use crate::login::Login;
use crate::lookup::Lookup;
use crate::mapping::Mapping;
use crate::members::MembersOf;
use crate::pages::{ListOf, Pages};
use crate::reply;
use crate::request::{Headers, Request};
use crate::rules::Rule;
use crate::settings::{ActionSettings, EntitySettings, ListSettings, LookupSettings, Settings};
use crate::target::Target;
use crate::template::{Expression, Members, Scope, Vars};

/// One application, as its configuration describes it.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) target: Target,
    pub(crate) accounts: Accounts,
    pub(crate) entities: Arc<[Entities]>,
    pub(crate) plans: BTreeMap<Action, Plan>,
}

impl Application {
    /// Checks everything that a configuration can get wrong.
    pub(crate) fn new(settings: &Settings, setup: &Setup) -> Result<Self, SettingsError> {
        let texts = texts(&setup.target);
        check_no_secret(&texts, setup)?;
        let base = base(settings);
        let entities: Arc<[Entities]> = entities(settings, &base)?.into();
        let accounts = accounts(settings, &base, &entities)?;
        let plans = plans(settings, &base, &accounts, &entities)?;
        let target = target(settings, setup)?;
        check_all_used(&setup.target, &texts)?;
        Ok(Self { target, accounts, entities, plans })
    }
}

/// The variables that every request can use.
fn base(settings: &Settings) -> Scope {
    let mut scope = Scope::default();
    if !settings.secrets.is_empty() {
        scope = scope.with("secrets", Members::of(settings.secrets.keys()));
    }
    if let Some(login) = &settings.login {
        scope = scope.with("login", Login::members(login));
    }
    scope
}

fn target(settings: &Settings, setup: &Setup) -> Result<Target, SettingsError> {
    let url = endpoint("base_url", &settings.base_url)?;
    if url.query().is_some() {
        return Err(SettingsError::new("base_url", "must not contain a '?'; each request has its own query"));
    }
    let system: Arc<str> = setup.app.as_str().into();
    let limits = settings.limits.limits("limits")?;
    let client = Client::new(system.clone(), &setup.network, limits)?;
    let credential = Credential::new(&settings.auth, "auth", &client, &setup.redactor)?;
    let headers = Headers::new("headers", &settings.headers, &base(settings))?;
    let own = match &settings.auth.api_key {
        Some(api_key) => api_key.header.as_deref(),
        None if settings.auth.basic.is_some()
            || settings.auth.bearer.is_some()
            || settings.auth.oauth2.is_some() =>
        {
            Some("Authorization")
        }
        None => None,
    };
    if let Some(own) = own.filter(|own| headers.has(own)) {
        return Err(SettingsError::new(
            format!("headers.{own}"),
            "is also set by `auth`; remove one of the two",
        ));
    }
    let secrets = settings
        .secrets
        .iter()
        .map(|(name, secret)| (name.clone(), minijinja::Value::from(secret.expose_secret())));
    let vars = Vars::default().with("secrets", minijinja::Value::from_pairs(secrets));
    let mut before_login = Scope::default();
    if !settings.secrets.is_empty() {
        before_login = before_login.with("secrets", Members::of(settings.secrets.keys()));
    }
    let login = settings.login.as_ref();
    let login = login
        .map(|login| Login::new("login", login, &before_login, &headers, &setup.redactor))
        .transpose()?;
    let of_answer = reply::scope(Scope::default());
    let rules = Rule::all("errors", &settings.errors, None, &of_answer)?;
    Ok(Target { system, base: url, client, credential, login, headers, rules, vars })
}

fn listed(
    key: &str,
    list: &ListSettings,
    base: &Scope,
) -> Result<(Pages, Option<Expression>), SettingsError> {
    let list_of = ListOf {
        request: list.request(),
        records: list.records.as_deref(),
        paging: list.paging.as_ref(),
        allow: &list.allow,
    };
    let pages = Pages::new(key, list_of, base)?;
    let of_record = base.clone().any("record");
    let filter =
        list.filter.as_deref().map(|filter| Expression::new(&format!("{key}.filter"), filter, &of_record));
    Ok((pages, filter.transpose()?))
}

fn entities(settings: &Settings, base: &Scope) -> Result<Vec<Entities>, SettingsError> {
    let groups = settings
        .groups
        .iter()
        .enumerate()
        .map(|(at, one)| (format!("groups.{at}"), ResourceKind::Group, one));
    let licenses = settings
        .licenses
        .iter()
        .enumerate()
        .map(|(at, one)| (format!("licenses.{at}"), ResourceKind::License, one));
    let mut seen = vec![settings.accounts.slug.clone()];
    check_slug("accounts.slug", &settings.accounts.slug)?;
    groups
        .chain(licenses)
        .map(|(key, kind, one)| {
            check_slug(&format!("{key}.slug"), &one.slug)?;
            if seen.contains(&one.slug) {
                return Err(SettingsError::new(format!("{key}.slug"), "is already the slug of another type"));
            }
            seen.push(one.slug.clone());
            entity(&key, kind, one, base)
        })
        .collect()
}

fn check_slug(key: &str, slug: &str) -> Result<(), SettingsError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if slug.is_empty() || slug.len() > 255 || !slug.chars().all(fits) {
        return Err(SettingsError::new(key, "must be 1 to 255 letters, digits, hyphens and underscores"));
    }
    Ok(())
}

fn entity(
    key: &str,
    kind: ResourceKind,
    one: &EntitySettings,
    base: &Scope,
) -> Result<Entities, SettingsError> {
    let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
    let source = match (&one.list, &one.record, &one.fixed) {
        (Some(list), Some(record), None) => {
            let (pages, filter) = listed(&format!("{key}.list"), list, base)?;
            let mapping =
                Mapping::entity(&format!("{key}.record"), kind, record, &base.clone().any("record"))?;
            Source::Listed { pages: Box::new(pages), filter, mapping: Box::new(mapping) }
        }
        (Some(_), None, None) => {
            return error("record", "must define what to read from each record of `list`");
        }
        (None, None, Some(fixed)) if one.find.is_none() => {
            let records = fixed.iter().map(|one| EntityRecord::new(&one.id, &one.name)).collect();
            Source::Fixed(records)
        }
        (None, None, Some(_)) => return error("find", "does not apply together with `fixed`"),
        (_, _, Some(_)) => return error("fixed", "conflicts with list and record"),
        (None, _, None) => {
            return error("list", "is missing: define how to list them, or name them in `fixed`");
        }
    };
    let of_ref = base.clone().any("ref");
    let find = one
        .find
        .as_ref()
        .map(|find| Lookup::new(&format!("{key}.find"), find, "ref", &of_ref))
        .transpose()?;
    let is_single = matches!(&source, Source::Fixed(records) if records.len() == 1);
    let members = one
        .members
        .as_ref()
        .map(|members| MembersOf::new(&format!("{key}.members"), members, is_single, base))
        .transpose()?;
    let resource_type = ResourceType::new(one.slug.as_str(), one.name.clone(), kind);
    Ok(Entities { resource_type, source, find, members, listings: Listings::default() })
}

fn accounts(
    settings: &Settings,
    base: &Scope,
    entities: &Arc<[Entities]>,
) -> Result<Accounts, SettingsError> {
    let own = &settings.accounts;
    let (pages, filter) = listed("accounts.list", &own.list, base)?;
    let mut scope = base.clone().any("record");
    let mut follow_ups = Vec::new();
    let mut follow: BTreeMap<String, Members> = BTreeMap::new();
    for (at, settings) in own.follow_ups.iter().enumerate() {
        let key = format!("accounts.follow_ups.{at}");
        let request = Request::new(&key, settings.request(), &scope)?;
        if !request.uses().iter().any(|used| used.split('.').next() == Some("record")) {
            let message = "the request does not use {{ record.… }}, so it would be the same for every record";
            return Err(SettingsError::new(format!("{key}.path"), message));
        }
        let value = settings.value.as_deref().unwrap_or("answer");
        let value = Expression::new(&format!("{key}.value"), value, &reply::scope(scope.clone()))?;
        if follow.insert(settings.name.clone(), Members::Any).is_some() {
            return Err(SettingsError::new(
                format!("{key}.name"),
                "is already the name of another follow-up",
            ));
        }
        scope = scope.with("follow", Members::Of(follow.clone()));
        follow_ups.push(FollowUp { name: settings.name.clone(), request, value });
    }
    let kind_of = |slug: &str| {
        entities.iter().find(|one| one.resource_type.slug.as_str() == slug).map(|one| one.resource_type.kind)
    };
    let record_scope = Scope::default().any("record");
    let record_scope = if follow.is_empty() {
        record_scope
    } else {
        record_scope.with("follow", Members::Of(follow.clone()))
    };
    let shown_twice = entities.iter().find(|one| {
        one.members.is_some() && own.record.memberships.contains_key(one.resource_type.slug.as_str())
    });
    if let Some(one) = shown_twice {
        let slug = &one.resource_type.slug;
        let message =
            format!("conflicts with the `members` of {slug}: memberships are read from one place only");
        return Err(SettingsError::new(format!("accounts.record.memberships.{slug}"), message));
    }
    let mapping = Mapping::account("accounts.record", &own.record, &record_scope, kind_of)?;
    let of_requests = follow_ups.iter().flat_map(|one: &FollowUp| one.request.uses()).collect::<Vec<_>>();
    let used: Vec<&String> = mapping.uses().chain(&of_requests).collect();
    for (at, name) in follow.keys().enumerate() {
        let path = format!("follow.{name}");
        if !used
            .iter()
            .any(|used| **used == path || *used == "follow" || used.starts_with(&format!("{path}.")))
        {
            let key = format!("accounts.follow_ups.{at}.name");
            return Err(SettingsError::new(key, format!("nothing uses `{path}`")));
        }
    }
    if !(1..=64).contains(&own.follow_ups_at_once) {
        return Err(SettingsError::new("accounts.follow_ups_at_once", "must be between 1 and 64"));
    }
    Ok(Accounts {
        resource_type: ResourceType::account(own.slug.as_str(), own.name.clone()),
        pages,
        filter,
        follow_ups,
        at_once: usize::from(own.follow_ups_at_once),
        mapping,
        find: find(settings, base)?,
        entities: Arc::clone(entities),
        listings: Listings::default(),
        check: Request::new("check", settings.check.request(), base)?,
    })
}

fn find(settings: &Settings, base: &Scope) -> Result<Find, SettingsError> {
    let find = &settings.find;
    let lookup = |name: &str, field: &str, lookup: &Option<LookupSettings>| {
        let scope = base.clone().with("account", Members::of([field]));
        let key = format!("find.{name}");
        lookup
            .as_ref()
            .map(|lookup| Lookup::new(&key, lookup, &format!("account.{field}"), &scope))
            .transpose()
    };
    let record = &settings.accounts.record;
    let needed = [
        ("by_id", true, find.by_id.is_some()),
        ("by_username", record.username.is_some(), find.by_username.is_some()),
        ("by_email", record.email.is_some(), find.by_email.is_some()),
    ];
    if !find.scan
        && let Some((name, ..)) = needed.into_iter().find(|(_, needed, is_set)| *needed && !is_set)
    {
        let message = "is missing: define how to request an account, or set find.scan = true to read the \
                       whole list";
        return Err(SettingsError::new(format!("find.{name}"), message));
    }
    if find.scan && needed.into_iter().all(|(_, needed, is_set)| is_set || !needed) {
        return Err(SettingsError::new("find.scan", "does not apply: every key has its own request"));
    }
    Ok(Find {
        id: lookup("by_id", "id", &find.by_id)?,
        username: lookup("by_username", "username", &find.by_username)?,
        email: lookup("by_email", "email", &find.by_email)?,
    })
}

fn plans(
    settings: &Settings,
    base: &Scope,
    accounts: &Accounts,
    entities: &[Entities],
) -> Result<BTreeMap<Action, Plan>, SettingsError> {
    let slugs: Vec<String> = entities.iter().map(|one| one.resource_type.slug.as_str().to_owned()).collect();
    let knowledge = Knowledge { base, slugs: &slugs, extra: &settings.accounts.record.extra };
    let all: [(Action, &Option<ActionSettings>); 6] = [
        (Action::CreateAccount, &settings.create_account),
        (Action::UpdateAccount, &settings.update_account),
        (Action::DeleteAccount, &settings.delete_account),
        (Action::SuspendAccount, &settings.suspend_account),
        (Action::UnsuspendAccount, &settings.unsuspend_account),
        (Action::ResetPassword, &settings.reset_password),
    ];
    let mut plans = BTreeMap::new();
    for (action, settings) in all {
        let Some(settings) = settings else { continue };
        let plan = Plan::new(action, settings, &knowledge)?;
        if matches!(action, Action::SuspendAccount | Action::UnsuspendAccount)
            && !accounts.mapping.knows_suspension()
        {
            let message = format!(
                "is missing, or defines no account as inactive; without it the effect of {action} cannot be \
                 verified"
            );
            return Err(SettingsError::new("accounts.record.status", message));
        }
        let unseen = |slug: &&String| {
            let slug = slug.as_str();
            plan.sends_field("memberships", slug) && !accounts.shows(slug)
        };
        if let Some(slug) = slugs.iter().find(unseen) {
            let message = format!("is missing: {action} changes them, so they must be readable");
            return Err(SettingsError::new(format!("accounts.record.memberships.{slug}"), message));
        }
        plans.insert(action, plan);
    }
    Ok(plans)
}

/// Every string that may be a template, with its key.
fn texts(target: &serde_json::Map<String, Value>) -> Vec<(String, &str)> {
    let mut texts = Vec::new();
    for (name, value) in target {
        if !matches!(name.as_str(), "secrets" | "auth") {
            collect(name, value, &mut texts);
        }
    }
    texts
}

/// Rejects a secret in the place of a template: it would be parsed as a template.
fn check_no_secret(texts: &[(String, &str)], setup: &Setup) -> Result<(), SettingsError> {
    if let Some((key, _)) = texts.iter().find(|(_, text)| setup.redactor.redact(text) == REDACTED) {
        let message = "is a secret where a template belongs; name it under `secrets`, and write {{ secrets.NAME }} here";
        return Err(SettingsError::new(key.clone(), message));
    }
    Ok(())
}

/// Rejects a secret or login value that no template uses, because it was probably meant to be used.
fn check_all_used(
    target: &serde_json::Map<String, Value>,
    texts: &[(String, &str)],
) -> Result<(), SettingsError> {
    for (table, saved) in [
        ("secrets", target.get("secrets")),
        ("login", target.get("login").and_then(|login| login.get("save"))),
    ] {
        for name in saved.and_then(Value::as_object).into_iter().flat_map(|names| names.keys()) {
            let uses_it = |text: &str| {
                let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                text.split(&format!("{table}.{name}")).skip(1).any(ends)
                    || text.contains(&format!("{table}['{name}']"))
                    || text.contains(&format!("{table}[\"{name}\"]"))
            };
            if !texts.iter().any(|(_, text)| uses_it(text)) {
                let key =
                    if table == "login" { format!("login.save.{name}") } else { format!("secrets.{name}") };
                let message =
                    format!("is never used; write {{{{ {table}.{name} }}}} where it belongs, or remove it");
                return Err(SettingsError::new(key, message));
            }
        }
    }
    Ok(())
}

fn collect<'a>(key: &str, value: &'a Value, texts: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => texts.push((key.to_owned(), text)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| collect(&format!("{key}.{at}"), item, texts));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| collect(&format!("{key}.{name}"), field, texts));
        }
        _ => {}
    }
}
