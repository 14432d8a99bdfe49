//! Runs the README's first steps in order, starting from an empty folder.

use std::path::Path;

use crate::support::World;

/// The blocks of TOML under a heading, without the indentation of their list.
fn blocks(page: &str, heading: &str) -> Vec<String> {
    let (_, section) = page.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .map(|block| {
            block
                .lines()
                .fold(String::new(), |text, line| text + line.strip_prefix("   ").unwrap_or(line) + "\n")
        })
        .collect()
}

#[tokio::test]
async fn readme_first_steps_work_in_order() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
        .expect("it is there");
    let [bridge, app] = &blocks(&page, "\n## Connect a system\n")[..] else { panic!("two blocks of TOML") };
    let world = World::new().await;
    let (before, rest) = bridge.split_once("base_url = \"").expect("a base URL");
    let (_, rest) = rest.split_once('"').expect("its end");
    world.write("bridgehead.toml", &format!("{before}base_url = \"{}\"{rest}", world.sandbox.base_url()));
    let created = world.run(&["apps", "create", "ACME HR"]).await;
    assert!(created.status.success(), "{created:?}");
    let printed = String::from_utf8_lossy(&created.stdout).into_owned();
    let app_id =
        |text: &str| text.lines().find(|line| line.starts_with("app_id = ")).expect("an id").to_owned();
    for line in ["[apps.acme-hr]", "[apps.acme-hr.target]"] {
        assert!(
            app.contains(line) && printed.contains(line),
            "the command and the page say the same: {printed}"
        );
    }

    let app = app.replace(&app_id(app), &app_id(&printed));
    let configured = world.read("bridgehead.toml");
    world.write("bridgehead.toml", &format!("{configured}\n{app}"));
    world.write("people/accounts.csv", "id,email\nu1,u1@example.org\n");
    for step in [&["check"][..], &["sync", "--dry-run"]] {
        let done = world.run(step).await;
        assert!(done.status.success(), "{step:?}: {done:?}");
    }
}
