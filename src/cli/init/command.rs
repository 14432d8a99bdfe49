//! The command: questions, configuration, check, dry run.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bridgehead_sdk::{Discovered, Network, Question, Redactor};
use serde_json::{Value, json};

use super::super::args::{Global, Init};
use super::super::failure::{Exit, Failure, Outcome};
use super::super::signals::Told;
use super::super::{check, context, logging, print, sync};
use super::drive::{Circumstances, drive};
use super::iden;
use super::interview::Interview;
use super::lines::{self, Lines};
use super::next::Next;
use super::place::Place;
use super::plan::Plan;
use super::secret::{Kept, SERVICE_USER, service_user};
use super::target::Lookout;
use super::write::{self, App, Daemon};
use crate::control;
use bridgehead_config::{self as config, Connectors, Document, Log};
use bridgehead_runtime::sync::Options;
use bridgehead_sandbox::{self as sandbox, Sandbox};

/// The listening address of a sandbox, as for `bridgehead sandbox`.
const SANDBOX: &str = "127.0.0.1:8900";
/// The name of the file for an API key that was typed.
pub(super) const KEY_FILE: &str = "iden-api-key";

/// The questions that do not depend on the connector.
pub(super) fn basics(connectors: &Connectors) -> Vec<Question> {
    let choices = connectors.iter().map(|(name, factory)| {
        let schema = factory.schema();
        let said = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let first = said.split_once(". ").map_or(said.as_str(), |(first, _)| first);
        (name.clone(), first.trim_end_matches('.').to_owned())
    });
    vec![
        Question::text("connector", "What do you want to connect").with_choices(choices),
        Question::text("name", "Its name in logs and commands, such as acme-hr"),
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
    let redactor = Redactor::new().recognizing();
    logging::start_quiet(&Log::default(), &redactor);
    let network = network(&place, options.ca_file.as_deref(), &environment, &redactor, connectors)?;
    let mut flags = options.answers;
    if options.sandbox.is_some() {
        flags.insert(iden::URL.to_owned(), iden::SANDBOX.to_owned());
    }
    if place.existing.is_some() && flags.contains_key(iden::URL) {
        let message = format!(
            "{} already contains the address of Iden; omit --sandbox and --iden-url, or write to another place with --output",
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
    let mut lookout = Lookout {
        connectors,
        network: &network,
        redactor: &redactor,
        place: &place,
        environment: &environment,
    };
    let interview = drive(&mut plan, &circumstances, &mut Lines::new(), &mut lookout).await?;
    if interview.text("write") == Some("no") {
        return Err(Failure::new(Exit::Failed, "nothing was written"));
    }
    let sandbox = match interview.text(iden::URL) {
        Some(iden::SANDBOX) => Some(start(options.sandbox).await?),
        _ => None,
    };
    let answers = Answers {
        interview: &interview,
        target: plan.into_target(),
        place: &place,
        network: &network,
        environment: &environment,
        ca_file: options.ca_file.as_deref().and_then(|path| std::path::absolute(path).ok()),
        sandbox: sandbox.as_ref(),
    };
    let app_id = answers.write(global, connectors).await?;
    let is_running = match &place.existing {
        Some(config) => control::connect(&config.state.path).await.is_ok_and(|daemon| daemon.is_some()),
        None => false,
    };
    let next =
        Next { place: &place, name: answers.name(), app_id: &app_id, sandbox: sandbox.as_ref(), is_running };
    if global.json {
        print::json(&answers.written(&next));
    } else {
        for file in place.daemon_file().into_iter().chain([place.file(answers.name())]) {
            print::line(format!("wrote {}", file.display()));
        }
        for secret in answers.secret_files() {
            print::line(format!("wrote {} (mode 0600)", secret.display()));
        }
        if let Some(readers) = answers.readers() {
            print::line(readers);
        }
    }
    if options.no_check {
        next.say(global, "To check it and preview the first sync:", false);
        return Ok(());
    }
    let outcome = prove(global, connectors, &place, answers.name()).await;
    match &outcome {
        Ok(()) if is_running => next.say(global, "Next, apply it to the running daemon:", true),
        Ok(()) => next.say(global, "Next, the daemon:", true),
        Err(_) => next.say(global, "Correct this in the configuration, then run:", false),
    }
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    outcome
}

/// Checks the written configuration and does a dry run of the first sync, with the usual commands.
async fn prove(global: &Global, connectors: &Connectors, place: &Place, name: &str) -> Outcome {
    let there = Global { config: vec![place.configuration().to_owned()], json: global.json };
    let names = [name.to_owned()];
    let heading = |text: &str| {
        if !global.json {
            print::line(format!("\n{text}"));
        }
    };
    heading("Check:");
    check::run(&there, connectors, &names, false).await?;
    heading("Dry run: what the first sync would do. Nothing is changed.");
    sync::run(&there, connectors, &names, Options { dry_run: true, ..Options::default() }).await
}

/// All data that is written.
struct Answers<'a> {
    interview: &'a Interview,
    target: Discovered,
    place: &'a Place,
    network: &'a Network,
    environment: &'a BTreeMap<String, String>,
    ca_file: Option<PathBuf>,
    sandbox: Option<&'a Sandbox>,
}

impl Answers<'_> {
    fn name(&self) -> &str {
        self.interview.text("name").unwrap_or_default()
    }

    /// The files of the secrets that were typed.
    fn secret_files(&self) -> Vec<PathBuf> {
        let of_sandbox = self.sandbox.and_then(|_| self.iden().ok()??.1.file);
        self.interview.secrets().filter_map(|kept| kept.file.clone()).chain(of_sandbox).collect()
    }

    /// Writes the secrets and the configuration, and creates the app in Iden if requested; returns its id.
    async fn write(&self, global: &Global, connectors: &Connectors) -> Result<String, Failure> {
        let iden = self.iden()?;
        let file = self.place.file(self.name());
        // Checked before anything is created, here or in Iden.
        acceptable(&file, &self.text(&uuid::Uuid::nil().to_string(), iden.as_ref()), connectors)?;
        let folder = &self.place.folder;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(|error| unwritten(folder, &error))?;
        for kept in self.interview.secrets().chain(iden.iter().map(|(_, key)| key)) {
            kept.store(self.owner())
                .map_err(|error| unwritten(kept.file.as_deref().unwrap_or(folder), &error))?;
        }
        let app_id = self.app(global).await?;
        if let (Some(daemon_file), Some(iden)) = (self.place.daemon_file(), &iden) {
            create(&daemon_file, &self.daemon_text(iden))?;
            create(&file, &self.text(&app_id, None))?;
        } else {
            create(&file, &self.text(&app_id, iden.as_ref()))?;
        }
        Ok(app_id)
    }

    /// The owner of secret files: if root writes them, the service's user must be able to read them.
    fn owner(&self) -> Option<(u32, u32)> {
        let is_for_service = self.place.folder.starts_with("/etc") && rustix::process::geteuid().is_root();
        is_for_service
            .then(|| std::fs::read_to_string("/etc/passwd").ok())
            .flatten()
            .as_deref()
            .and_then(service_user)
    }

    /// A note about who can read the secrets.
    fn readers(&self) -> Option<String> {
        let files: Vec<String> = self.secret_files().iter().map(|file| file.display().to_string()).collect();
        if files.is_empty() || !rustix::process::geteuid().is_root() {
            return None;
        }
        let files = files.join(" ");
        Some(if self.owner().is_some() {
            format!("{files}: now owned by {SERVICE_USER}, so that the service can read it")
        } else {
            format!(
                "Only root can read {files}. For the service, run `chown {SERVICE_USER}: {files}` once that user exists."
            )
        })
    }

    fn text(&self, app_id: &str, iden: Option<&(String, Kept)>) -> String {
        let app = App {
            name: self.name(),
            id: app_id,
            connector: self.interview.text("connector").unwrap_or_default(),
            warnings: &self.target.warnings,
            sections: &self.target.sections,
        };
        let ca_file = self.ca_file.as_ref().map(|path| path.to_string_lossy());
        write::file(iden.map(|iden| self.daemon(iden, ca_file.as_deref())).as_ref(), Some(&app))
    }

    /// The text of the settings that concern all apps, without an app.
    fn daemon_text(&self, iden: &(String, Kept)) -> String {
        let ca_file = self.ca_file.as_ref().map(|path| path.to_string_lossy());
        write::file(Some(&self.daemon(iden, ca_file.as_deref())), None)
    }

    fn daemon<'a>(&self, (url, key): &'a (String, Kept), ca_file: Option<&'a str>) -> Daemon<'a> {
        Daemon { url, key: &key.reference, state: self.place.state(), ca_file }
    }

    /// Iden's URL and the key, if the configuration does not have them yet.
    fn iden(&self) -> Result<Option<(String, Kept)>, Failure> {
        if self.place.existing.is_some() {
            return Ok(None);
        }
        if let Some(sandbox) = self.sandbox {
            let key = Kept::take(sandbox.api_key(), KEY_FILE, &self.place.folder, self.environment);
            return Ok(Some((sandbox.base_url(), key.map_err(failed)?)));
        }
        let both = self.interview.text(iden::URL).zip(self.interview.secret(iden::KEY));
        let both = both.map(|(url, key)| (url.to_owned(), key.clone()));
        both.map(Some).ok_or_else(|| failed("the address of Iden is missing".to_owned()))
    }

    /// The id of the app, which is created if that was selected.
    async fn app(&self, global: &Global) -> Result<String, Failure> {
        let name = self.name();
        if let Some(sandbox) = self.sandbox {
            let id = uuid::Uuid::new_v4();
            sandbox.add_app(id, name);
            return Ok(id.to_string());
        }
        match self.interview.text(iden::APP) {
            Some(iden::NEW) | None => {}
            Some(id) => return Ok(id.to_owned()),
        }
        let client = match &self.place.existing {
            None => iden::client(self.interview, self.network),
            Some(config) => iden::configured(config, self.network, self.environment),
        };
        let id = iden::create(&client.map_err(failed)?, name).await.map_err(failed)?;
        if !global.json {
            print::line(format!("created the Bridge app '{name}' in Iden"));
        }
        Ok(id.to_string())
    }

    /// The result as JSON.
    fn written(&self, next: &Next<'_>) -> Value {
        json!({
            "configuration": self.place.file(self.name()), "daemon_configuration": self.place.daemon_file(), "app": self.name(), "app_id": next.app_id,
            "secrets": self.secret_files(), "seen": self.target.seen, "warnings": self.target.warnings,
            "next": next.commands(),
        })
    }
}

fn failed(why: String) -> Failure {
    Failure::new(Exit::Failed, why)
}

async fn start(address: Option<SocketAddr>) -> Result<Sandbox, Failure> {
    let listen = address.or_else(|| SANDBOX.parse().ok());
    let options = sandbox::Options {
        listen: listen.unwrap_or(sandbox::Options::default().listen),
        ..sandbox::Options::default()
    };
    Sandbox::start(options).await.map_err(|error| {
        let message = format!("{error}\nTo use a sandbox that is already running there, give its address with --iden-url. To start one elsewhere, use --sandbox ADDRESS.");
        Failure::new(Exit::Failed, message)
    })
}

/// The network settings for targets and Iden: those of the folder's configuration, or with the authorities from the flag.
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
    let Some(ca_file) = ca_file else {
        return Ok(config::Network::default().resolve(environment, redactor)?);
    };
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

/// Checks that the configuration is valid, and that no answer has put a plain-text secret into it.
fn acceptable(file: &Path, text: &str, connectors: &Connectors) -> Outcome {
    let bridge = "[bridge]\nbase_url = \"https://iden.invalid/org/none\"\napi_key = { env = \"NONE\" }\n";
    let documents = [bridge, text].map(|text| Document { path: file.to_owned(), text: text.to_owned() });
    config::parse(&documents, &BTreeMap::new(), connectors).map(drop).map_err(|errors| {
        let message = format!("{errors}\nNothing was written to {}. Change this answer.", file.display());
        Failure::new(Exit::Configuration, message)
    })
}

fn create(file: &Path, text: &str) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o644).open(file);
    let written =
        opened.and_then(|mut opened| opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()));
    written.map_err(|error| unwritten(file, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display()))
}
