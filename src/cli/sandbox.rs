//! `bridgehead sandbox`: runs the emulator as a process.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::{self, Global};
use super::failure::{Exit, Failure, Outcome};
use super::signals::Told;
use super::{logging, print};
use bridgehead_config::{Log, LogFormat};
use bridgehead_sandbox::{Options, Sandbox, run_until};

pub(crate) async fn run(global: &Global, options: args::Sandbox) -> Outcome {
    let mut told = Told::listen()?;
    let format = if global.json { LogFormat::Json } else { LogFormat::Text };
    logging::start(&Log { format, level: "info".into() }, &bridgehead_sdk::Redactor::new());
    let sandbox = Sandbox::start(Options {
        listen: options.listen,
        tenant: options.tenant,
        api_key: options.api_key,
        cleanup_delay: options.cleanup_delay,
        ..Options::default()
    })
    .await
    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    for (number, app) in options.apps.iter().enumerate() {
        sandbox.add_app(*app, &format!("App {}", number + 1));
    }
    let address = sandbox.address();
    if global.json {
        print::json(&json!({
            "base_url": sandbox.base_url(), "api_key": sandbox.api_key(), "control": format!("http://{address}/sandbox/v1/")
        }));
    } else {
        print::line(format!(
            "A Bridge API sandbox is listening on {address}, until Ctrl-C. It is not connected to \
             Iden.\n\n[bridge]\nbase_url = \"{}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}   # export \
             IDEN_API_KEY={}\n\nAdd tasks, look at records, inject faults: http://{address}/sandbox/v1/ \
             (docs/sandbox.md)",
            sandbox.base_url(),
            sandbox.api_key()
        ));
    }
    let stop = CancellationToken::new();
    let serving = run_until(sandbox, stop.clone());
    let signalled = async {
        told.wait().await;
        stop.cancel();
    };
    tokio::join!(serving, signalled);
    Ok(())
}
