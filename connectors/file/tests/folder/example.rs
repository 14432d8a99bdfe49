//! The shipped example: its settings, and its people.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bridgehead_sdk::{Connector, Record, ResourceKind, Setup};

/// The connector of `config/examples/file.toml`, on a copy of the people, because a listing writes a file of types to the folder.
fn example(copy: &Path) -> std::sync::Arc<dyn Connector> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    let text = std::fs::read_to_string(base.join("file.toml")).unwrap();
    std::fs::create_dir(copy.join("people")).unwrap();
    for entry in std::fs::read_dir(base.join("people")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join("people").join(entry.file_name())).unwrap();
    }
    let configuration: serde_json::Value = toml::from_str(&text).unwrap();
    let target = configuration["apps"]["acme-hr"]["target"].as_object().unwrap().clone();
    let setup = Setup::new("acme-hr", target).with_base(copy);
    bridgehead_file::factory().build(setup).unwrap()
}

#[tokio::test]
async fn all_example_accounts_can_be_synced() {
    let copy = tempfile::tempdir().unwrap();
    let connector = example(copy.path());
    connector.check().await.unwrap();
    let description = connector.describe().await.unwrap();
    assert_eq!(description.actions.len(), 6);
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource_type in &description.resource_types {
        let page = connector.list(resource_type, None).await.unwrap();
        assert!(page.rejected.is_empty() && page.next.is_none());
        let ids = page.records.iter().map(|record| record.id().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(ids.len(), page.records.len());
        for record in &page.records {
            let Record::Account(account) = record else {
                continue;
            };
            let text = account.username.clone().unwrap() + account.email.as_deref().unwrap();
            assert!(text.is_ascii() && text.ends_with("@example.org"), "{text}");
            for (slug, refs) in account.memberships.0.iter().chain(&account.assignments.0) {
                assert!(refs.iter().all(|one| known[slug.as_str()].contains(&one.id)), "{}", account.id);
            }
        }
        known.insert(resource_type.slug.to_string(), ids);
    }
    assert_eq!((known["account"].len(), known["team"].len()), (500, 12));
    let licences = description.resource_types.iter().filter(|one| one.kind == ResourceKind::License);
    assert_eq!(licences.count(), 3);
}
