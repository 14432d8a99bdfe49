//! The environment of a measurement: a sandbox, and daemons with separate folders.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::Connection;
use super::process::Process;
use crate::failure::{Failure, Result};
use crate::tool;

/// How many entries of the ledger are read per request.
const LEDGER: usize = 100_000;

/// A program that was built with this profile.
pub(super) fn built(profile: &str, name: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    tool::target().join(folder).join(name)
}

/// A sandbox, and a folder for the daemons' state. The folder is on the disk with the build, because the journal has to wait for a real
/// disk.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) key: String,
    base_url: String,
    program: PathBuf,
    under: Vec<String>,
    folder: TempDir,
    _sandbox: Process,
}

impl Place {
    pub(super) fn start(options: &super::Options) -> Result<Self> {
        let program = built(&options.profile, "bridgehead");
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(tool::target())
            .map_err(Failure::of(&tool::target()))?;
        let mut child = Command::new(&program)
            .args(["sandbox", "--json", "--listen", "127.0.0.1:0", "--cleanup-delay", "0s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Failure::of(&program))?;
        let output = child.stdout.take();
        let sandbox = Process::new(child, false);
        let started: Value = output
            .and_then(|output| {
                let mut said = String::new();
                let mut output = BufReader::new(output);
                // Reads as many lines as the object takes.
                while output.read_line(&mut said).ok()? > 0 {
                    if let Ok(value) = serde_json::from_str(&said) {
                        return Some(value);
                    }
                }
                None
            })
            .ok_or_else(|| Failure::Unfit("the sandbox did not start".to_owned()))?;
        let text = |name: &str| started[name].as_str().unwrap_or_default().to_owned();
        let control = text("control");
        let address = control.trim_start_matches("http://").split('/').next().unwrap_or_default();
        Ok(Self {
            address: address
                .parse()
                .map_err(|_| Failure::Unfit(format!("the sandbox listens on '{address}'")))?,
            key: text("api_key"),
            base_url: text("base_url"),
            program,
            under: options
                .under
                .iter()
                .flat_map(|under| under.split_whitespace())
                .map(str::to_owned)
                .collect(),
            folder,
            _sandbox: sandbox,
        })
    }

    pub(super) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, &self.key).await
    }

    /// The address in the daemon's configuration.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The path of an app in the Bridge API.
    pub(super) fn path(&self, app: &str) -> String {
        let tenant = self.base_url.rsplit('/').next().unwrap_or_default();
        format!("/org/{tenant}/api/v1/bridge/apps/{app}")
    }

    /// Creates an app and clears the ledger.
    pub(super) async fn app(&self, number: usize, types: Value) -> Result<String> {
        let app = format!("11111111-1111-4111-8111-{number:012}");
        let body = json!({"app_id": app, "name": format!("App {number}"), "resource_types": types});
        let mut control = self.connect().await?;
        control.call(Method::POST, "/sandbox/v1/apps", body.to_string().into()).await?;
        control.call(Method::DELETE, "/sandbox/v1/ledger", Bytes::new()).await?;
        Ok(app)
    }

    /// Delays every further response of the Bridge by this many milliseconds.
    pub(super) async fn delay(&self, milliseconds: u64) -> Result<()> {
        let mut control = self.connect().await?;
        control.call(Method::DELETE, "/sandbox/v1/faults", Bytes::new()).await?;
        if milliseconds > 0 {
            let fault = json!({"effect": {"delay": format!("{milliseconds}ms")}});
            control.call(Method::POST, "/sandbox/v1/faults", fault.to_string().into()).await?;
        }
        Ok(())
    }

    /// Starts a daemon with one app and these lines of configuration.
    pub(super) fn daemon(&self, app: &str, lines: &str) -> Result<Process> {
        self.daemon_of(
            app,
            &format!("[apps.bench]\napp_id = \"{app}\"\nconnector = \"simulated\"\n{lines}\n"),
        )
    }

    /// Starts a daemon with these apps, in a folder with this name.
    pub(super) fn daemon_of(&self, name: &str, apps: &str) -> Result<Process> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).map_err(Failure::of(&folder))?;
        let file = folder.join("bridgehead.toml");
        let config = format!(
            "[bridge]\nbase_url = \"{}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\n[state]\npath = \"{}\"\n\
             [log]\nlevel = \"warn\"\n{apps}",
            self.base_url,
            folder.join("state").display(),
        );
        std::fs::write(&file, config).map_err(Failure::of(&file))?;
        self.start_daemon(&file)
    }

    fn start_daemon(&self, file: &Path) -> Result<Process> {
        let mut words = self.under.iter();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.arg("run").arg("--config").arg(file).env("IDEN_API_KEY", &self.key);
        let child = command.stdout(Stdio::null()).spawn().map_err(Failure::of(&self.program))?;
        Ok(Process::new(child, !self.under.is_empty()))
    }

    /// Waits until this many requests of this kind have been answered.
    pub(super) async fn wait_for(&self, filter: &str, count: usize) -> Result<()> {
        let mut control = self.connect().await?;
        let path = format!("/sandbox/v1/ledger?limit=1&{filter}");
        for _ in 0..60_000 {
            let page = control.get(&path).await?;
            if page["count"].as_u64().is_some_and(|found| found >= count as u64) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Failure::Unfit(format!("the daemon did not come to {count} requests with {filter}")))
    }

    /// All requests that were made.
    pub(super) async fn requests(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut control = self.connect().await?;
        loop {
            let page =
                control.get(&format!("/sandbox/v1/ledger?limit={LEDGER}&offset={}", all.len())).await?;
            match page["results"].as_array() {
                Some(entries) if !entries.is_empty() => all.extend(entries.iter().cloned()),
                _ => return Ok(all),
            }
        }
    }
}
