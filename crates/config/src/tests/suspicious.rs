//! Settings that look valid but cannot be intended: they are rejected, or cause a warning that says what to write.

use super::support::{environment, layered, with_app};

const KEY: &str = "api_key = { env = \"IDEN_API_KEY\" }\n";

#[test]
fn implausible_values_are_refused_with_a_suggestion() {
    for (text, told) in [
        ("[apps.acme-hr.sync]\nevery = \"1ns\"\n", "sync.every: must be at least 1s"),
        ("[apps.acme-hr.sync]\nevery = \"20ms\"\n", "sync.every: must be at least 1s, such as \"6h\""),
        ("[apps.acme-hr.tasks]\ntimeout = \"5ms\"\n", "tasks.timeout: must be at least 100ms"),
        ("[apps.acme-hr.sync.guard]\nwindow = \"1us\"\n", "guard.window: must be at least 1ms"),
        ("[log]\nlevel = \"bridgehed=debug\"\n", "did you mean 'bridgehead'?"),
        ("[log]\nlevel = \"hyper=debug\"\n", "would log nothing of bridgehead itself"),
        ("[state]\npath = \"~/state\"\n", "state.path: contains a '~' or a variable"),
        ("[state]\npath = \"/var/${NAME}\"\n", "state.path: contains a '~' or a variable"),
        ("[network]\nca_file = \"$HOME/ca.pem\"\n", "network.ca_file: contains a '~' or a variable"),
    ] {
        let errors = with_app(text, &[]).expect_err(text).to_string();
        assert!(errors.contains(told), "{text}: {errors}");
    }
    for (url, meant) in [
        ("https://h.test/org/acme/api/v1", "https://h.test/org/acme"),
        ("https://h.test/org/acme/api/v1/bridge/", "https://h.test/org/acme"),
        ("https://h.test//org//acme", "https://h.test/org/acme"),
    ] {
        let text = format!("[bridge]\nbase_url = \"{url}\"\n{KEY}");
        let errors = layered(&[&text], &[]).expect_err(url).to_string();
        assert!(errors.contains(&format!("write \"{meant}\"")), "{url}: {errors}");
    }
    for good in ["/var/lib/cost$5", "state~1", "a/~b"] {
        let text = format!("[state]\npath = \"{good}\"\n");
        assert!(with_app(&text, &[]).is_ok(), "{good}");
    }
}

#[test]
fn dangerous_values_are_warned_about() {
    for (text, told) in [
        ("[admin]\nlisten = \"0.0.0.0:9464\"\n", "admin.listen = \"0.0.0.0:9464\" shows accounts"),
        ("[apps.acme-hr.sync]\nevery = \"5s\"\n", "apps.acme-hr.sync.every = \"5s\" reads the whole target"),
        (
            "[apps.acme-hr.sync.guard]\nmax_removal_percent = 100\n",
            "apps.acme-hr.sync.guard.max_removal_percent = 100 lets a sync remove every account",
        ),
        (
            "[apps.acme-hr.sync.guard]\nmax_deactivation_percent = 99.5\n",
            "guard.max_deactivation_percent = 99.5 lets a sync deactivate 99.5 % of the accounts",
        ),
        (
            "[apps.acme-hr.sync.guard]\nwindow = \"1h\"\n",
            "guard.window = \"1h\" is shorter than the time between two syncs (6h)",
        ),
        ("[log]\nlevel = \"Off\"\n", "log.level = \"off\" logs nothing"),
        ("[log]\nlevel = \"info,bridgehead=off\"\n", "log.level = \"off\" logs nothing"),
        (
            "[apps.acme-hr.sync.guard]\nmin_records = 500\n",
            "apps.acme-hr.sync.guard.min_records = 500 exempts every type",
        ),
        (
            "[apps.acme-hr.sync.guard]\nmin_records = 1000000\n",
            "apps.acme-hr.sync.guard.min_records = 1000000 exempts every type",
        ),
    ] {
        let config = with_app(text, &[]).unwrap_or_else(|errors| panic!("{text}: {errors}"));
        let warnings = config.warnings(&environment(&[])).join("\n");
        assert!(warnings.contains(told), "{text}: {warnings}");
    }
    let usual = with_app("[admin]\nlisten = \"127.0.0.1:9464\"\n[log]\nlevel = \"info\"\n", &[]).unwrap();
    assert_eq!(usual.warnings(&environment(&[])), Vec::<String>::new());
    let variables = environment(&[("BRIDGEHEAD_LOG_LEVEL", "debug"), ("BRIDGEHEAD_BRIDGE_API_KEY", "k")]);
    assert_eq!(
        usual.warnings(&variables),
        ["the environment variable BRIDGEHEAD_LOG_LEVEL is ignored: use the prefix BRIDGEHEAD__, \
             upper-case letters, and two underscores between levels; write BRIDGEHEAD__LOG__LEVEL"]
    );
}

#[test]
fn secret_given_as_a_variable_name_is_not_shown() {
    for (name, shown) in [
        ("IDEN_API_KEY", true),
        ("TOKEN", true),
        ("iden_live_9f8a7b6c5d4e", false),
        ("4F9A7B6C5D4E", false),
        ("A4F9A7B6C5D4E", false),
    ] {
        let text = format!("[bridge]\nbase_url = \"https://h.test\"\napi_key = {{ env = \"{name}\" }}\n");
        let told = match layered(&[&text], &[]) {
            Err(errors) => errors.to_string(),
            Ok(config) => config.bridge.api_key.read(&environment(&[])).unwrap_err().to_string(),
        };
        assert_eq!(told.contains(name), shown, "{name}: {told}");
    }
}
