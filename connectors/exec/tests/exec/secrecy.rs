//! What the process must not receive, and which parts of its output must not be repeated.

use std::io::Write;
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{Account, Action};
use serde_json::{Value, json};

use crate::script::{Script, eventually};

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Captures everything that this thread logs; each of these tests runs on one thread.
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn stderr_is_logged_without_target_or_task_secrets() {
    let script = Script::with(
        "for id, method, params in requests():\n\
         \x20   print('token', settings['token'], 'password', params['account'].get('password'), file=sys.stderr)\n\
         \x20   sys.stderr.buffer.write(b'\\x1b[31mforged\\xff\\n' + b'z' * 200000 + b'\\n')\n\
         \x20   for line in settings['key'].splitlines(): print(line, file=sys.stderr)\n\
         \x20   sys.stderr.flush()\n\
         \x20   send(id=id, result={})\n",
        &json!({}),
    );
    let key = "-----BEGIN-----\nline-one-of-the-key\nline-two-of-the-key";
    script.redactor.protect_for_good(["target-token", key]);
    let target =
        json!({"command": ["python3", "script.py"], "settings": {"token": "target-token", "key": key}});
    let connector = crate::script::build(script.folder.path(), target, &script.redactor);
    let log = Log::default();
    let _guard = log.start();
    let payload = json!({"account": {"username": "ann", "password": "task-password"}});
    let operation = crate::script::operation(Action::CreateAccount, payload);
    connector.execute(&crate::script::context(), &operation).await.unwrap();
    connector.shutdown().await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("token [redacted] password [redacted]"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.contains("bridgehead::exec") && line.contains("app=acme-hr") && line.contains("INFO"),
        "{line}"
    );
    for secret in ["target-token", "task-password", "line-one", "line-two", "\u{1b}[31m"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("[31mforged"), "{text}");
    assert!(text.lines().all(|line| line.len() < 5000), "a line is not bounded");
}

#[tokio::test]
async fn output_of_a_dying_process_is_logged_but_not_reported() {
    let script = Script::new(
        "for id, method, params in requests():\n\
         \x20   raw('my password is hunter2\\n')\n\
         \x20   print('the reason', file=sys.stderr)\n\
         \x20   sys.stderr.flush()\n\
         \x20   time.sleep(1000)\n",
    );
    let log = Log::default();
    let _guard = log.start();
    let error = script.create("ann").await.unwrap_err();
    assert!(!error.message().contains("hunter2") && !error.message().contains("the reason"), "{error}");
    eventually("the end is logged", || log.text().contains("is not a valid response")).await;
    assert!(!log.text().contains("hunter2"), "{}", log.text());
}

#[tokio::test]
async fn inherited_secret_is_redacted_in_messages() {
    let name = "secrecy::inherited_secret_is_redacted_in_messages";
    if run_again_with(name, "HR_TOKEN", "token-of-the-daemon") {
        return;
    }
    let script = Script::with(
        "for id, method, params in requests(): send(id=id, error={'code': 1, 'message': 'token ' + os.environ['HR_TOKEN']})",
        &json!({"env": ["HR_TOKEN"]}),
    );
    let error = script.create("ann").await.unwrap_err();
    assert_eq!(error.message(), "token [redacted]");
}

#[tokio::test]
async fn process_sees_only_allowed_environment_variables() {
    let name = "secrecy::process_sees_only_allowed_environment_variables";
    if run_again_with(name, "IDEN_API_KEY", "the-bridge-key") {
        return;
    }
    let environment = |env: Value| async move {
        let script = Script::with(
            "for id, method, params in requests(): send(id=id, result={'id': 'u1', 'environment': dict(os.environ)})",
            &json!({ "command": [python(), "script.py"], "env": env }),
        );
        let found = script.connector.find_account(&Account::by_id("u1")).await.unwrap().unwrap();
        let Some(Value::Object(mut variables)) = found.extra.get("environment").cloned() else {
            panic!("no environment")
        };
        // Python sets this variable itself if no other locale is set.
        variables.shift_remove("LC_CTYPE");
        variables
    };
    let allowed = |name: &String| ["PATH", "HOME", "LANG"].contains(&name.as_str());
    let plain = environment(json!([])).await;
    assert!(plain.keys().all(allowed), "{:?}", plain.keys());
    assert!(plain.contains_key("PATH"));
    let inherited = environment(json!(["CARGO_MANIFEST_DIR", "NO_SUCH_VARIABLE"])).await;
    assert_eq!(inherited["CARGO_MANIFEST_DIR"], env!("CARGO_MANIFEST_DIR"));
    assert!(!inherited.contains_key("IDEN_API_KEY") && !inherited.contains_key("NO_SUCH_VARIABLE"));
    let set = environment(json!({"HR_REGION": "north"})).await;
    assert_eq!(set["HR_REGION"], "north");
    assert!(!set.contains_key("IDEN_API_KEY"));
}

/// The interpreter itself: `python3` may be a script that sets more variables.
fn python() -> String {
    let output = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.executable, end='')"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Runs this test again in a process with one more variable, because a process cannot change its own environment
/// safely. Returns `false` in that process.
fn run_again_with(test: &str, name: &str, value: &str) -> bool {
    if std::env::var(name).is_ok_and(|found| found == value) {
        return false;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(name, value)
        .status()
        .unwrap();
    assert!(status.success());
    true
}
