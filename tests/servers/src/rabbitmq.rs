//! RabbitMQ with its management plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::port::{free_port, listens};
use crate::process::{Process, require};

/// RabbitMQ's management API, with an administrator `admin`, a user `monitor` with read access to many resources but no write access, and
/// the virtual hosts `/`, `sales` and `a/b c`.
///
/// The node has a separate port mapper (`epmd`); all processes listen only on loopback.
#[derive(Debug)]
pub struct RabbitMq {
    port: u16,
    // In the order in which they must stop.
    _node: Process,
    _mapper: Process,
    _folder: tempfile::TempDir,
}

impl RabbitMq {
    /// The password of `admin`.
    pub const PASSWORD: &'static str = "admin-Quiet-7-Harbour";
    /// The password of `monitor`.
    pub const MONITOR_PASSWORD: &'static str = "monitor-Quiet-8-Harbour";

    /// Starts one with these users in addition to its own; 10,000 of them take some seconds.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start(users: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let path = folder.path();
        let (amqp, management, mapper_port, distribution) =
            (free_port(), free_port(), free_port(), free_port());
        let configuration = format!(
            "listeners.tcp.default = 127.0.0.1:{amqp}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n\
             management.load_definitions = {definitions}\n\
             log.console = true\n",
            definitions = path.join("definitions.json").display(),
        );
        write(path, "rabbitmq.conf", &configuration);
        write(path, "definitions.json", &definitions(users));
        write(path, "enabled_plugins", "[rabbitmq_management].\n");
        fs::create_dir(path.join("home")).expect("the folder can be written to");
        let mut mapper = Command::new(require("epmd", "erlang-base"));
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()]);
        let mapper = Process::start("epmd", path, &mut mapper).ready(|| listens(mapper_port)).await;
        let mut node = Command::new(server());
        // Only these settings apply, not those of the package for its own server.
        node.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", path.join("home"))
            // The server replaces the script instead of running as its child.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_PORT", mapper_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", "test@localhost")
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_BASE", path)
            .env("RABBITMQ_MNESIA_BASE", path.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", path.join("log"))
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", path.join("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("enabled_plugins"))
            .env("RABBITMQ_PID_FILE", path.join("pid"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            );
        let node = Process::start("rabbitmq", path, &mut node);
        let log = path.join("rabbitmq.log");
        // The port opens before the definitions are loaded. Log messages may be dropped when thousands of users are loaded, but this line
        // is printed.
        let is_up = || fs::read_to_string(&log).is_ok_and(|log| log.contains(" completed with "));
        let node = node.ready(|| is_up() && listens(management)).await;
        Self { port: management, _node: node, _mapper: mapper, _folder: folder }
    }

    /// The port of the management API.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of the management API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }
}

/// The script that Debian's wrapper calls; the wrapper requires a particular user and folder.
fn server() -> PathBuf {
    let own = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if own.is_file() { own } else { require("rabbitmq-server", "rabbitmq-server") }
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the folder can be written to");
}

/// The content of the server. Users without a password cannot log in, and need no slow hashing.
fn definitions(users: &[String]) -> String {
    let user =
        |name: &str, secret: &str, tags: &str| format!(r#"{{"name": "{name}", {secret}, "tags": "{tags}"}}"#);
    let password = |password: &str| format!(r#""password": "{password}""#);
    let mut all = vec![
        user("admin", &password(RabbitMq::PASSWORD), "administrator"),
        user("monitor", &password(RabbitMq::MONITOR_PASSWORD), "monitoring"),
    ];
    all.extend(users.iter().map(|name| user(name, r#""password_hash": """#, "")));
    let hosts = ["/", "sales", "a/b c"].map(|name| format!(r#"{{"name": "{name}"}}"#));
    format!(r#"{{"users": [{}], "vhosts": [{}]}}"#, all.join(", "), hosts.join(", "))
}
