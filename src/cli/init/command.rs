//! The command: questions, configuration, check, dry run.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use bridgehead_sdk::{Network, Question, Redactor};
use serde_json::json;

use super::super::args::{Global, Init};
use super::super::failure::{Exit, Failure, Outcome};
use super::super::signals::Told;
use super::super::{check, context, logging, print, sync};
use super::drive::{Circumstances, drive};
use super::interview::Interview;
use super::lines::{self, Lines};
use super::place::Place;
use super::plan::Plan;
use super::secret::Kept;
use super::target::Lookout;
use super::write::{self, App, Daemon};
use super::iden;
use crate::config::{self, Connectors, Document, Log};
use crate::runtime::sync::Options;
use crate::sandbox::{self, Sandbox};

/// Where a sandbox listens, as `bridgehead sandbox` does.
const SANDBOX: &str = "127.0.0.1:8900";

/// What is asked of everybody.
pub(super) fn basics(connectors: &Connectors) -> Vec<Question> {
    let choices = connectors.iter().map(|(name, factory)| {
        let schema = factory.schema();
        let said = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let first = said.split_once(". ").map_or(said.as_str(), |(first, _)| first);
        (name.clone(), first.trim_end_matches('.').to_owned())
    });
    vec![
        Question::text("connector", "What is to be connected").with_choices(choices),
        Question::text("name", "A name for it, which appears in logs and commands, such as acme-hr"),
    ]
}

pub(crate) async fn run(global: &Global, connectors: &Connectors, options: Init) -> Outcome {
    let mut told = Told::listen()?;
    let outcome = tokio::select! {
        outcome = Box::pin(work(global, connectors, options)) => outcome,
        () = told.wait() => Err(Failure::new(Exit::Failed, "\nstopped")),
    };
    lines::restore();
    outcome
}

async fn work(global: &Global, connectors: &Connectors, options: Init) -> Outcome {
    let place = Place::choose(options.output.as_deref(), global, connectors)?;
    let environment = context::sources(global).environment;
    let redactor = Redactor::new();
    logging::start_quiet(&Log::default(), &redactor);
    let network = network(&place, options.ca_file.as_deref(), &environment, &redactor, connectors)?;
    let mut flags = options.answers;
    if options.sandbox.is_some() {
        flags.insert(iden::URL.to_owned(), iden::SANDBOX.to_owned());
    }
    if place.existing.is_some() && flags.contains_key(iden::URL) {
        let message = format!(
            "{} says already where Iden is; leave out --sandbox and --iden-url, or write elsewhere with --output",
            place.folder.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let asked = if place.existing.is_some() { Vec::new() } else { iden::questions() };
    let mut plan = Plan::new(basics(connectors), asked, flags.contains_key(iden::APP));
    if !options.non_interactive {
        let where_to = place.configuration().display();
        let question = Question::text("write", format!("Write the configuration to {where_to}"));
        plan.confirms = Some(question.with_choices([("yes", ""), ("no", "")]).with_default("yes"));
    }
    let circumstances = Circumstances {
        flags: &flags,
        environment: &environment,
        folder: &place.folder,
        is_silent: options.non_interactive,
    };
    let mut lookout = Lookout { connectors, network: &network, redactor: &redactor, place: &place, environment: &environment };
    let interview = drive(&mut plan, &circumstances, &mut Lines::new(), &mut lookout).await?;
    if interview.text("write") == Some("no") {
        return Err(Failure::new(Exit::Failed, "nothing was written"));
    }
    let target = plan.into_target();
    for warning in &target.warnings {
        print::complain(format!("  look at this: {warning}"));
    }
    let name = interview.text("name").unwrap_or_default().to_owned();
    let is_sandbox = interview.text(iden::URL) == Some(iden::SANDBOX);
    let sandbox = if is_sandbox { Some(start(options.sandbox).await?) } else { None };
    let address = Iden::of(&interview, &place, sandbox.as_ref(), &environment)?;
    make_folder(&place.folder)?;
    for kept in interview.secrets().chain(address.iter().map(|address| &address.key)) {
        kept.store().map_err(|error| unwritten(kept.file.as_deref().unwrap_or(&place.folder), &error))?;
    }
    let app_id = app(&interview, &place, &network, sandbox.as_ref(), &name, &environment, global).await?;
    let ca_file = options.ca_file.as_deref().and_then(|path| std::path::absolute(path).ok());
    let ca_file = ca_file.as_ref().map(|path| path.to_string_lossy());
    let daemon = address.as_ref().map(|address| Daemon {
        url: &address.url,
        key: &address.key.reference,
        state: place.state(),
        ca_file: ca_file.as_deref(),
    });
    let text = write::file(daemon.as_ref(), &App {
        name: &name,
        id: &app_id,
        connector: interview.text("connector").unwrap_or_default(),
        warnings: &target.warnings,
        sections: &target.sections,
    });
    let file = place.file(&name);
    create(&file, &text)?;
    let secrets: Vec<_> = interview
        .secrets()
        .chain(address.iter().map(|address| &address.key))
        .filter_map(|kept| kept.file.clone())
        .collect();
    let next = Next { place: &place, name: &name, app_id: &app_id, sandbox: sandbox.as_ref() };
    if global.json {
        print::json(&json!({
            "configuration": file, "app": name, "app_id": app_id, "secrets": secrets,
            "seen": target.seen, "warnings": target.warnings, "next": next.commands(),
        }));
    } else {
        print::line(format!("wrote {}", file.display()));
        for secret in &secrets {
            print::line(format!("wrote {} (mode 0600)", secret.display()));
        }
    }
    if options.no_check {
        next.say(global, "To check it and preview the first sync:");
        return Ok(());
    }
    let there = Global { config: vec![place.configuration().to_owned()], json: global.json };
    let names = [name.clone()];
    let heading = |text: &str| if !global.json { print::line(format!("\n{text}")) };
    heading("Check:");
    let checked = check::run(&there, connectors, &names, false).await;
    let outcome = match checked {
        Ok(()) => {
            heading("Dry run: what the first sync would do. Nothing is changed.");
            sync::run(&there, connectors, &names, Options { dry_run: true, ..Options::default() }).await
        }
        failed => failed,
    };
    match &outcome {
        Ok(()) => next.say(global, "Next, the daemon:"),
        Err(_) => next.say(global, "Correct this in the configuration, then:"),
    }
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    outcome
}

/// Where Iden is, for a configuration that does not say so yet.
struct Iden {
    url: String,
    key: Kept,
}

impl Iden {
    fn of(
        interview: &Interview,
        place: &Place,
        sandbox: Option<&Sandbox>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, Failure> {
        if place.existing.is_some() {
            return Ok(None);
        }
        if let Some(sandbox) = sandbox {
            let key = Kept::take(sandbox.api_key(), "iden-api-key", &place.folder, environment);
            let key = key.map_err(|why| Failure::new(Exit::Failed, why))?;
            return Ok(Some(Self { url: sandbox.base_url(), key }));
        }
        let (url, key) = (interview.text(iden::URL), interview.secret(iden::KEY));
        let both = url.zip(key).map(|(url, key)| Self { url: url.to_owned(), key: key.clone() });
        both.map(Some).ok_or_else(|| Failure::new(Exit::Usage, "it is not answered where Iden is"))
    }
}

/// The id of the app, which is created if that was chosen.
async fn app(
    interview: &Interview,
    place: &Place,
    network: &Network,
    sandbox: Option<&Sandbox>,
    name: &str,
    environment: &BTreeMap<String, String>,
    global: &Global,
) -> Result<String, Failure> {
    if let Some(sandbox) = sandbox {
        let id = uuid::Uuid::new_v4();
        sandbox.add_app(id, name);
        return Ok(id.to_string());
    }
    match interview.text(iden::APP) {
        Some(iden::NEW) | None => {}
        Some(id) => return Ok(id.to_owned()),
    }
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let client = match &place.existing {
        None => iden::client(interview, network).map_err(failed)?,
        Some(config) => iden::configured(config, network, environment).map_err(failed)?,
    };
    let id = iden::create(&client, name).await.map_err(failed)?;
    if !global.json {
        print::line(format!("created the Bridge app '{name}' in Iden"));
    }
    Ok(id.to_string())
}

async fn start(address: Option<SocketAddr>) -> Result<Sandbox, Failure> {
    let listen = address.or_else(|| SANDBOX.parse().ok());
    let options = sandbox::Options { listen: listen.unwrap_or(sandbox::Options::default().listen), ..sandbox::Options::default() };
    Sandbox::start(options).await.map_err(|error| {
        let message = format!("{error}\nUse a sandbox that runs there with --iden-url, or another address with --sandbox ADDRESS.");
        Failure::new(Exit::Failed, message)
    })
}

/// How targets and Iden are reached: as the folder says, or with the authorities of the flag.
fn network(
    place: &Place,
    ca_file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    redactor: &Redactor,
    connectors: &Connectors,
) -> Result<Network, Failure> {
    if let Some(config) = &place.existing {
        return Ok(config.network.resolve(environment, redactor)?);
    }
    let Some(ca_file) = ca_file else { return Ok(config::Network::default().resolve(environment, redactor)?) };
    let ca_file = std::path::absolute(ca_file)
        .map_err(|error| Failure::new(Exit::Usage, format!("--ca-file: {error}")))?;
    let text = format!(
        "[bridge]\nbase_url = \"https://iden.invalid/org/none\"\napi_key = {{ env = \"NONE\" }}\n[network]\nca_file = {}\n",
        write::value(&ca_file.to_string_lossy().as_ref().into())
    );
    let document = Document { path: place.folder.join("init.toml"), text };
    let config = config::parse(&[document], &BTreeMap::new(), connectors)?;
    Ok(config.network.resolve(environment, redactor)?)
}

fn make_folder(folder: &Path) -> Outcome {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.map_err(|error| unwritten(folder, &error))
}

fn create(file: &Path, text: &str) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o644).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()));
    written.map_err(|error| unwritten(file, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display()))
}

/// What to do next.
struct Next<'a> {
    place: &'a Place,
    name: &'a str,
    app_id: &'a str,
    sandbox: Option<&'a Sandbox>,
}

impl Next<'_> {
    fn commands(&self) -> Vec<String> {
        let with = if self.place.is_usual() {
            String::new()
        } else {
            format!(" --config {}", quoted(&self.place.configuration().to_string_lossy()))
        };
        let sandbox = self.sandbox.map(|sandbox| {
            format!("bridgehead sandbox --listen {} --app {} &", sandbox.address(), self.app_id)
        });
        let own = ["check", "sync --dry-run", "run"].map(|what| {
            let name = if what == "run" { String::new() } else { format!(" {}", self.name) };
            format!("bridgehead{with} {what}{name}")
        });
        sandbox.into_iter().chain(own).collect()
    }

    fn say(&self, global: &Global, heading: &str) {
        if global.json {
            return;
        }
        let commands = self.commands();
        let is_done = heading.starts_with("Next");
        let shown = commands.iter().filter(|command| !is_done || command.ends_with(" run") || command.ends_with('&'));
        let shown: Vec<String> = shown.map(|command| format!("  {command}")).collect();
        print::line(format!("\n{heading}\n{}", shown.join("\n")));
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |one: char| one.is_alphanumeric() || "/._-+:@".contains(one);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
