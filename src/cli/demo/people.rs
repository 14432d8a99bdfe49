//! The folder of sample people, and the configuration that connects it.

use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The content of `config/examples/people`.
const FILES: [(&str, &str); 5] = [
    ("accounts.csv", include_str!("../../../config/examples/people/accounts.csv")),
    ("team.csv", include_str!("../../../config/examples/people/team.csv")),
    ("license-mail.csv", include_str!("../../../config/examples/people/license-mail.csv")),
    ("license-crm.csv", include_str!("../../../config/examples/people/license-crm.csv")),
    ("license-design.csv", include_str!("../../../config/examples/people/license-design.csv")),
];

/// A folder with people, a configuration and state, and the two apps that represent them in the sandbox.
pub(super) struct Place {
    folder: tempfile::TempDir,
    /// The app for the folder of people, with the connector `file`.
    pub(super) people: Uuid,
    /// The app for another system, with the connector `simulated`.
    pub(super) crm: Uuid,
}

impl Place {
    /// Copies the people, and writes the configuration.
    pub(super) fn prepare(base_url: &str) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bridgehead-demo-").tempdir()?;
        let place = Self { folder, people: Uuid::new_v4(), crm: Uuid::new_v4() };
        let people = place.path("people");
        std::fs::create_dir(&people)?;
        for (name, text) in FILES {
            std::fs::write(people.join(name), text)?;
        }
        // As many seats as are assigned: the next request for one fails.
        let seats = FILES[0].1.matches("design-suite").count();
        std::fs::write(place.configuration(), configuration(base_url, &place, seats))?;
        Ok(place)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.path("bridgehead.toml")
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Removes one person from the CSV, like a new HR export would.
    pub(super) fn remove(&self, id: &str) -> std::io::Result<()> {
        let path = self.path("people").join("accounts.csv");
        let text = std::fs::read_to_string(&path)?;
        let start = format!("{id},");
        let rest: String = text.split_inclusive('\n').filter(|line| !line.starts_with(&start)).collect();
        std::fs::write(path, rest)
    }
}

fn configuration(base_url: &str, place: &Place, seats: usize) -> String {
    let Place { people, crm, .. } = place;
    format!(
        r#"# Written by `bridgehead demo`.
[bridge]
base_url = "{base_url}"
api_key = {{ env = "IDEN_API_KEY" }}

[state]
path = "state"

[apps.people]
app_id = "{people}"
connector = "file"

[apps.people.tasks]
poll_interval = "300ms"

[apps.people.protect]
accounts = ["svc-*"]

[apps.people.target]
path = "people"
settle = "0s"    # nobody else writes to this folder
licenses = [
  {{ slug = "mail", name = "Mail plan", file = "license-mail.csv" }},
  {{ slug = "crm", name = "CRM", file = "license-crm.csv" }},
  {{ slug = "design", name = "Design tools", file = "license-design.csv", seats = {seats} }},
]

[apps.crm]
app_id = "{crm}"
connector = "simulated"

[apps.crm.tasks]
poll_interval = "300ms"
timeout = "2s"
give_up_after = "3s"

[apps.crm.target]
accounts = 40
groups = 3
slow_latency = "1500ms"
"#
    )
}
