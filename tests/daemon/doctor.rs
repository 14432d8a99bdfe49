//! `check` as a diagnosis: the clock, the page's token, free space and owner of the state folder, and the route to each server.

use std::process::Output;

use serde_json::Value;

use crate::support::World;

const SIMULATED: &str = "connector = \"simulated\"\n[apps.hr.target]\naccounts = 3\n";

async fn run(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = world.command(arguments);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ran")
}

/// The findings about `what`.
async fn found(world: &World, what: &str, variables: &[(&str, &str)]) -> Vec<Value> {
    let output = run(world, &["check", "--json"], variables).await;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("findings");
    findings.into_iter().filter(|finding| finding["what"] == what).collect()
}

#[tokio::test]
async fn clock_skew_is_reported_with_amount_and_advice() {
    let world = World::new().await;
    world.configure(SIMULATED);
    let clock = found(&world, "clock", &[]).await;
    assert_eq!((clock.len(), &clock[0]["result"]), (1, &Value::from("ok")), "{clock:?}");
    for (ahead, direction) in [("300", "ahead of"), ("-300", "behind")] {
        let clock = found(&world, "clock", &[("BRIDGEHEAD_TEST_CLOCK_AHEAD", ahead)]).await;
        let [finding] = &*clock else { panic!("{clock:?}") };
        assert_eq!(finding["result"], "warning", "{clock:?}");
        let told = finding["found"].as_str().expect("a text");
        assert!(told.contains(direction) && told.contains("certificates"), "{told}");
        assert!(finding["advice"].as_str().expect("advice").contains("timedatectl"), "{finding}");
    }
    // The running daemon checks its own clock.
    let daemon = world.start_with(&[("BRIDGEHEAD_TEST_CLOCK_AHEAD", "300")]);
    daemon.says("sync completed").await;
    let clock = found(&world, "clock", &[]).await;
    assert_eq!(clock[0]["result"], "warning", "{clock:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn check_finds_an_unusable_page_token() {
    let world = World::new().await;
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"PAGE_TOKEN\" }\n";
    world.configure(&format!("{SIMULATED}{admin}"));
    for (variables, why) in [(&[][..], "PAGE_TOKEN"), (&[("PAGE_TOKEN", "hunter2")][..], "at least 16")] {
        let refused = run(&world, &["run"], variables).await;
        assert_eq!(refused.status.code(), Some(78), "{refused:?}");
        for arguments in [&["check"][..], &["check", "--offline"]] {
            let checked = run(&world, arguments, variables).await;
            let told = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(!checked.status.success(), "{told}");
            assert!(told.contains("failed   admin.token: ") && told.contains(why), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
    let token = [("PAGE_TOKEN", "0123456789abcdef")];
    let found = found(&world, "admin.token", &token).await;
    assert_eq!(found[0]["result"], "ok", "{found:?}");
}

#[tokio::test]
async fn check_shows_the_route_to_each_server_without_passwords() {
    let world = World::new().await;
    let write = |network: &str| {
        let text = format!(
            "[bridge]\nbase_url = \"https://bridge.example.org/org/acme\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\n\
             request_timeout = \"1s\"\n[state]\npath = \"state\"\n{network}\n[apps.hr]\napp_id = \"{}\"\nconnector = \"scim\"\n\
             [apps.hr.target]\nurl = \"https://scim.intranet.example.org:8443/v2\"\nauth = {{ bearer = {{ env = \"IDEN_API_KEY\" }} }}\n",
            world.app
        );
        world.write("bridgehead.toml", &text);
    };
    let ways = |found: &[Value]| -> String {
        found.iter().filter_map(|finding| finding["found"].as_str()).collect::<Vec<_>>().join("\n")
    };
    // Nothing listens there, which does not affect the route.
    let proxy = [("HTTPS_PROXY", "http://ann:hunter2@127.0.0.1:9"), ("NO_PROXY", "intranet.example.org")];
    write("");
    let told = ways(&found(&world, "network", &proxy).await);
    assert!(
        told.contains("https://bridge.example.org is reached through http://127.0.0.1:9 (the environment)"),
        "{told}"
    );
    assert!(told.contains("https://scim.intranet.example.org:8443 is reached directly"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("ann"), "{told}");
    // The configuration takes precedence over the environment.
    write("[network]\nproxy = \"http://127.0.0.1:10\"\nno_proxy = [\"bridge.example.org\"]\n");
    let told = ways(&found(&world, "network", &proxy).await);
    assert!(told.contains("https://bridge.example.org is reached directly (network.no_proxy"), "{told}");
    assert!(
        told.contains(
            "https://scim.intranet.example.org:8443 is reached through http://127.0.0.1:10 (network.proxy)"
        ),
        "{told}"
    );
}
