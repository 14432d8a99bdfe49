//! From the tree to the typed configuration: every rule that is not about the syntax, pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::Action;
use uuid::Uuid;

use super::error::{Problems, Reported};
use super::keys::{Keys, unknown};
use super::origin::Origin;
use super::section::Section;
use super::tree::{Entry, Node, join};
use super::values::{base_url, boolean, choice, listen, number, text, whole};
use super::{
    Admin, App, Bridge, Config, Connectors, Guard, Log, LogFormat, OnInvalid, Pattern, Protect, RateLimit,
    Refs, Runtime, Schedule, Secret, State, Sync, Target, TaskGuard, Tasks, WithoutProof,
};
use super::{conformance, duration, log_level, network, schedule, target, values};

/// What reading an app needs besides its table.
pub(super) struct Context<'a> {
    pub(super) connectors: &'a Connectors,
    pub(super) environment: &'a Arc<BTreeMap<String, String>>,
    pub(super) problems: &'a Problems,
}

/// Reads the whole tree, defaults included. Everything that is wrong is reported, not only the first.
pub(super) fn config(tree: &Node, context: &Context<'_>) -> Result<Config, Reported> {
    let root = Section::root(tree, context.problems);
    let bridge = bridge(&root.section("bridge"));
    let network = root.optional_section("network").map(|section| network::read(&section)).transpose();
    let state = state(&root.section("state"));
    let admin = root.optional_section("admin").map(|section| admin(&section)).transpose();
    let log = log(&root.section("log"));
    let runtime = runtime(&root.section("runtime"));
    let apps = match root.optional_section("apps") {
        Some(section) => apps(&section, context),
        None => Ok(BTreeMap::new()),
    };
    Ok(Config {
        bridge: bridge?,
        network: network?.unwrap_or_default(),
        state: state?,
        admin: admin?,
        log: log?,
        runtime: runtime?,
        apps: apps?,
    })
}

fn bridge(section: &Section<'_>) -> Result<Bridge, Reported> {
    let base_url = section.required(
        "base_url",
        "write base_url = \"https://developer.idenhq.com/org/NAME\" under [bridge]",
        base_url,
    );
    let api_key = section.required(
        "api_key",
        "write api_key = { env = \"IDEN_API_KEY\" } under [bridge], or { file = \"path\" }, or { credential = \"name\" }",
        Secret::from_node,
    );
    let request_timeout =
        section.get("request_timeout", |node| duration::at_least(node, Duration::from_millis(100), "30s"));
    let rate_limit = rate_limit(section);
    let refs = section.get("refs", |node| choice(node, &[("id", Refs::Id), ("object", Refs::Object)]));
    Ok(Bridge {
        base_url: base_url?,
        api_key: api_key?,
        request_timeout: request_timeout?,
        rate_limit: rate_limit?,
        refs: refs?,
    })
}

fn rate_limit(section: &Section<'_>) -> Result<Option<RateLimit>, Reported> {
    let Some(section) = section.optional_section(target::RATE_LIMIT) else {
        return Ok(None);
    };
    let advice = "write for example { per_second = 50, burst = 100 }";
    let per_second = section.required("per_second", advice, |node| number(node, 0.0001..=100_000.0));
    let burst = section.required("burst", advice, |node| whole(node, 1..=1_000_000));
    Ok(Some(RateLimit { per_second: per_second?, burst: u32::try_from(burst?).unwrap_or(u32::MAX) }))
}

fn state(section: &Section<'_>) -> Result<State, Reported> {
    let path = section.get("path", |node| match &node.origin {
        Origin::Default => text(node, "/var/lib/bridgehead").map(PathBuf::from),
        _ => values::path(node, "/var/lib/bridgehead"),
    });
    Ok(State { path: path? })
}

fn admin(section: &Section<'_>) -> Result<Admin, Reported> {
    let advice = "write listen = \"127.0.0.1:9464\", or leave out [admin]";
    Ok(Admin { listen: section.required("listen", advice, listen)? })
}

fn log(section: &Section<'_>) -> Result<Log, Reported> {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.get("format", |node| choice(node, &formats));
    let level = section.get("level", log_level::read);
    Ok(Log { format: format?, level: level? })
}

fn runtime(section: &Section<'_>) -> Result<Runtime, Reported> {
    Ok(Runtime { shutdown_grace: section.get("shutdown_grace", |node| duration::read(node, "30s"))? })
}

fn apps(section: &Section<'_>, context: &Context<'_>) -> Result<BTreeMap<String, App>, Reported> {
    let mut apps = Ok(BTreeMap::new());
    let mut owners: BTreeMap<Uuid, String> = BTreeMap::new();
    for (name, entry) in section.entries() {
        let path = join(&section.path, name);
        let named = values::app_name(name)
            .map_err(|problem| context.problems.report(&entry.key_origin, path.as_str(), problem));
        let section = Section::new(&entry.node, entry.key_origin.clone(), path, context.problems);
        let app = app(&section, entry, context).and_then(|app| named.map(|()| app));
        let app = app.and_then(|app| match owners.insert(app.app_id, name.clone()) {
            // Two apps with one identifier would execute every task twice, and remove one another's accounts.
            Some(other) => {
                let other = join("apps", &other);
                Err(section.report("app_id", format!("{other} has the same app_id; every app needs its own")))
            }
            None => Ok(app),
        });
        match (app, &mut apps) {
            (Ok(app), Ok(apps)) => {
                apps.insert(name.clone(), app);
            }
            (Ok(_), Err(_)) => {}
            (Err(reported), _) => apps = Err(reported),
        }
    }
    apps
}

fn app(section: &Section<'_>, entry: &Entry, context: &Context<'_>) -> Result<App, Reported> {
    let known: Vec<&str> = context.connectors.keys().map(String::as_str).collect();
    let app_id = section.required(
        "app_id",
        "write app_id = \"…\" with the UUID that `bridgehead apps list` shows",
        values::uuid,
    );
    let connector = section.required(
        "connector",
        &format!("write connector = \"…\" with one of {}", known.join(", ")),
        |node| values::name(node, "connector", &known),
    );
    let register_resource_types = section.get("register_resource_types", boolean);
    let tasks = tasks(&section.section("tasks"));
    let sync = sync(&section.section("sync"));
    let protect = protect(&section.section("protect"));
    let target = read_target(section, entry, context);
    let conformance = section
        .optional_section("conformance")
        .map(|section| conformance::read(&section, context))
        .transpose();
    Ok(App {
        app_id: app_id?,
        connector: connector?,
        register_resource_types: register_resource_types?,
        tasks: tasks?,
        sync: sync?,
        protect: protect?,
        target: target?,
        conformance: conformance?.unwrap_or_default(),
    })
}

fn tasks(section: &Section<'_>) -> Result<Tasks, Reported> {
    let enabled = section.get("enabled", boolean);
    let poll_interval =
        section.get("poll_interval", |node| duration::at_least(node, Duration::from_millis(100), "10s"));
    let concurrency = section.get("concurrency", concurrency);
    let timeout = section.get("timeout", |node| duration::at_least(node, Duration::from_millis(100), "60s"));
    let give_up_after = section.get("give_up_after", |node| duration::read(node, "15m"));
    let hold_for = section.get("hold_for", |node| duration::read(node, "1h"));
    let verify = section.get("verify", boolean);
    let guard = section.optional_section("guard").map(|section| task_guard(&section)).transpose();
    let (timeout, give_up_after) = (timeout?, give_up_after?);
    if timeout > give_up_after {
        // Point to the one that the operator wrote.
        let written = |name| section.node(name).is_some_and(|node| node.origin != Origin::Default);
        return Err(if written("timeout") {
            let limit = friendly(give_up_after);
            section.report("timeout", format!("must be at most give_up_after, which is \"{limit}\""))
        } else {
            let limit = friendly(timeout);
            section.report("give_up_after", format!("must be at least timeout, which is \"{limit}\""))
        });
    }
    Ok(Tasks {
        enabled: enabled?,
        poll_interval: poll_interval?,
        concurrency: concurrency?,
        timeout,
        give_up_after,
        hold_for: hold_for?,
        verify: verify?,
        guard: guard?,
    })
}

fn task_guard(section: &Section<'_>) -> Result<TaskGuard, Reported> {
    let advice = "write for example { max = 50, per = \"1h\" }";
    let max = section.required("max", advice, |node| whole(node, 0..=100_000));
    let per = section.required("per", advice, |node| {
        let per = duration::read(node, "1h")?;
        if (1..=30 * 24 * 3600).contains(&per.as_secs()) {
            Ok(per)
        } else {
            Err("must be between 1s and 30d, such as \"1h\"".to_owned())
        }
    });
    Ok(TaskGuard { max: usize::try_from(max?).unwrap_or(usize::MAX), per: per? })
}

pub(super) fn friendly(duration: Duration) -> String {
    jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(&duration)
}

fn concurrency(node: &Node) -> Result<usize, String> {
    whole(node, 1..=1024).map(|number| usize::try_from(number).unwrap_or(1024))
}

fn sync(section: &Section<'_>) -> Result<Sync, Reported> {
    let enabled = section.get("enabled", boolean);
    let schedule = read_schedule(section);
    let on_start = section.get("on_start", boolean);
    let push_concurrency = section.get("push_concurrency", concurrency);
    let choices = [("abandon", OnInvalid::Abandon), ("skip", OnInvalid::Skip)];
    let on_invalid = section.get("on_invalid", |node| choice(node, &choices));
    let choices = [("hold", WithoutProof::Hold), ("allow", WithoutProof::Allow)];
    let complete_without_proof = section.get("complete_without_proof", |node| choice(node, &choices));
    let guard = guard(&section.section("guard"));
    Ok(Sync {
        enabled: enabled?,
        schedule: schedule?,
        on_start: on_start?,
        push_concurrency: push_concurrency?,
        on_invalid: on_invalid?,
        complete_without_proof: complete_without_proof?,
        guard: guard?,
    })
}

fn read_schedule(section: &Section<'_>) -> Result<Schedule, Reported> {
    let every = section.optional("every", |node| duration::at_least(node, Duration::from_secs(1), "6h"));
    let cron = section.optional("cron", schedule::expression);
    let timezone = section.optional("timezone", schedule::timezone);
    if section.node("cron").is_some() && section.node("every").is_some() {
        return Err(section.report("cron", "stands beside 'every'; keep one of the two"));
    }
    if section.node("timezone").is_some() && section.node("cron").is_none() {
        return Err(
            section.report("timezone", "has a meaning only beside 'cron'; write cron, or leave it out")
        );
    }
    let (every, cron, timezone) = (every?, cron?, timezone?);
    match (every, cron) {
        (_, Some(expression)) => {
            Ok(Schedule::Cron { expression, timezone: timezone.unwrap_or(jiff::tz::TimeZone::UTC) })
        }
        (Some(every), None) => Ok(Schedule::Every(every)),
        (None, None) => Err(section.report("every", "missing; write every = \"6h\"")),
    }
}

fn guard(section: &Section<'_>) -> Result<Guard, Reported> {
    let max_removals = section.get("max_removals", |node| whole(node, 0..=u64::MAX));
    let max_removal_percent = section.get("max_removal_percent", |node| number(node, 0.0..=100.0));
    let max_deactivations = section.get("max_deactivations", |node| whole(node, 0..=u64::MAX));
    let max_deactivation_percent = section.get("max_deactivation_percent", |node| number(node, 0.0..=100.0));
    let max_membership_losses = section.get("max_membership_losses", |node| whole(node, 0..=u64::MAX));
    let max_membership_loss_percent =
        section.get("max_membership_loss_percent", |node| number(node, 0.0..=100.0));
    let min_records = section.get("min_records", |node| whole(node, 0..=u64::MAX));
    let window = section.get("window", |node| duration::read(node, "24h"));
    Ok(Guard {
        max_removals: max_removals?,
        max_removal_percent: max_removal_percent?,
        max_deactivations: max_deactivations?,
        max_deactivation_percent: max_deactivation_percent?,
        max_membership_losses: max_membership_losses?,
        max_membership_loss_percent: max_membership_loss_percent?,
        min_records: min_records?,
        window: window?,
    })
}

fn protect(section: &Section<'_>) -> Result<Protect, Reported> {
    let accounts = section.list("accounts", "[\"admin\", \"svc-*\"]", |node| {
        Pattern::new(text(node, "svc-*")?).map_err(|error| error.to_string())
    });
    let names = Action::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>();
    let actions = section.list("actions", "[\"create_account\", \"update_account\"]", |node| {
        let name = text(node, "create_account")?;
        name.parse::<Action>().map_err(|_| unknown("action", name, &names))
    });
    Ok(Protect { accounts: accounts?.unwrap_or_default(), actions: actions?.map(BTreeSet::from_iter) })
}

fn read_target(app: &Section<'_>, entry: &Entry, context: &Context<'_>) -> Result<Target, Reported> {
    let section = app.optional_section("target");
    let rate_limit = section.as_ref().map_or(Ok(None), rate_limit);
    let path = app.key("target");
    let node = match app.node("target") {
        Some(node) => {
            let connector = app.node("connector").and_then(Node::as_str);
            let schema =
                connector.and_then(|name| context.connectors.get(name)).map(|factory| factory.schema());
            target::check(node, &path, schema.as_ref().map(Keys::of), context.problems);
            node.clone()
        }
        // A connector may need no settings; if it does, it says so, and this is the place.
        None => Node::table(entry.key_origin.clone()),
    };
    // Set through the environment alone, a target belongs to the file that defines its app.
    let folder = node.origin.folder().or_else(|| entry.key_origin.folder());
    let base = folder.unwrap_or_else(|| PathBuf::from("."));
    let environment = context.environment.clone();
    Ok(Target::new(path, node, base, rate_limit?, environment))
}
