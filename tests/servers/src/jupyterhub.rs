//! JupyterHub, without a proxy and without notebooks.

use std::fs;
use std::process::Command;

use crate::port::{free_port, listens};
use crate::process::Process;
use crate::python::python;

/// JupyterHub's REST API, with the groups `analysts` and `staff`.
#[derive(Debug)]
pub struct JupyterHub {
    port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

/// Everything that the hub requires of a proxy, without any function.
const CONFIGURATION: &str = r#"
import json
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {}
    async def check_routes(self, user_dict, service_dict, routes=None): pass

with open("test.json") as file:
    test = json.load(file)
c = get_config()
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = f"http://127.0.0.1:{test['public']}"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = test["port"]
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.cookie_secret_file = "cookie"
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.load_groups = {"analysts": {"users": []}, "staff": {"users": []}}
c.JupyterHub.services = [
    {"name": "bridgehead", "api_token": test["token"]},
    {"name": "reader", "api_token": test["reader"]},
]
c.JupyterHub.load_roles = [
    {"name": "admin", "services": ["bridgehead"]},
    {"name": "reading", "services": ["reader"],
     "scopes": ["list:users", "read:users", "list:groups", "read:groups"]},
]
if test["users"]:
    c.Authenticator.allowed_users = set(test["users"])
"#;

impl JupyterHub {
    /// A token with all permissions.
    pub const TOKEN: &'static str = "token-Quiet-7-Harbour";
    /// A read-only token.
    pub const READER_TOKEN: &'static str = "token-Quiet-8-Harbour";

    /// Starts one with these users.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start(users: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let (port, public) = (free_port(), free_port());
        let names: Vec<String> = users.iter().map(|name| format!("{name:?}")).collect();
        let test = format!(
            r#"{{"port": {port}, "public": {public}, "token": "{}", "reader": "{}", "users": [{}]}}"#,
            Self::TOKEN,
            Self::READER_TOKEN,
            names.join(", ")
        );
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("the folder can be written to");
        };
        write("test.json", &test);
        write("jupyterhub_config.py", CONFIGURATION);
        let mut command: Command = python();
        command.args(["-m", "jupyterhub", "-f", "jupyterhub_config.py"]).current_dir(folder.path());
        let process = Process::start("jupyterhub", folder.path(), &mut command);
        let process = process.ready(|| listens(port)).await;
        Self { port, _process: process, _folder: folder }
    }

    /// The port of the hub.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of the REST API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hub/api", self.port)
    }
}
