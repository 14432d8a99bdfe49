//! Another client renames or moves an account or a group between the look-up and the change of a task.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::sync::Arc;

use bridgehead_sdk::{AccountStatus, Action, Code, Connector, Effect, Error, Retry};
use bridgehead_test_servers::{Directory, OpenLdap};
use serde_json::{Value, json};

use crate::proxy;
use crate::support::{connector, find, group_id, id, run, settings, with};

const ANN: &str = "uid=ann,ou=people,dc=test";
const ENGINEERING: &str = "cn=engineering,ou=groups,dc=test";
const ANN_LEAVES: &str = "dn: uid=ann,ou=people,dc=test\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 1\nnewsuperior: ou=left,ou=people,dc=test\n";
const GROUP_RENAMED: &str =
    "dn: cn=engineering,ou=groups,dc=test\nchangetype: modrdn\nnewrdn: cn=building\ndeleteoldrdn: 1\n";

/// A directory with ann, who is in a group if `joined`, and a connector whose first request that contains all of `texts` arrives after the
/// change `ldif`.
struct World {
    server: OpenLdap,
    connector: Arc<dyn Connector>,
    ann: String,
    group: String,
}

impl World {
    async fn new(joined: bool, texts: &'static [&'static str], ldif: &'static str) -> Self {
        let server = OpenLdap::start().await;
        let directory = server.directory.clone();
        directory.add_ldif("dn: ou=left,ou=people,dc=test\nobjectClass: organizationalUnit\nou: left\n");
        let own = json!({ "groups": [{ "slug": "group", "placeholder_member": "cn=placeholder,dc=test" }] });
        let direct = connector(&directory, with(settings("openldap", &directory), &own));
        let group = group_id(&direct, "group", "engineering").await;
        let memberships = if joined { json!({ "group": [group] }) } else { json!({ "group": [] }) };
        let task = json!({ "account": { "username": "ann" }, "memberships": memberships });
        let ann = id(&run(&direct, Action::CreateAccount, task).await.unwrap());
        let other = directory.clone();
        let address = (directory.address, directory.ldap_port).into();
        let proxy = proxy::before(address, texts, move || other.modify_ldif(ldif)).await;
        let plain = json!({ "url": format!("ldap://{proxy}") });
        let connector = connector(&directory, with(with(settings("openldap", &directory), &own), &plain));
        Self { server, connector, ann, group }
    }

    fn directory(&self) -> &Directory {
        &self.server.directory
    }

    /// Runs a task for ann twice: the first attempt must ask for another one, which must succeed.
    async fn run_twice(&self, action: Action, more: Value) -> Error {
        let mut payload = json!({ "account": { "id": self.ann } });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = run(&self.connector, action, payload.clone()).await.unwrap_err();
        assert_eq!((error.code(), error.retry()), (Code::InternalError, Retry::Backoff), "{error}");
        assert!(error.message().contains("was renamed or moved by another client"), "{error}");
        run(&self.connector, action, payload).await.unwrap();
        error
    }

    fn members(&self, group: &str) -> Vec<String> {
        self.directory().entry(group).unwrap().all("member").to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_is_moved_before_its_deletion_is_still_deleted() {
    for joined in [false, true] {
        // The request to delete the entry.
        let world = World::new(joined, &["\x4a\x19uid=ann,ou=people,dc=test"], ANN_LEAVES).await;
        let error = world.run_twice(Action::DeleteAccount, json!({})).await;
        assert_eq!(error.effect(), Effect::Unknown, "it may have left its groups");
        assert!(find(&world.connector, &world.ann).await.is_none());
        assert_eq!(world.members(ENGINEERING), ["cn=placeholder,dc=test"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_is_moved_before_its_suspension_is_still_suspended() {
    // The value of the lock.
    let world = World::new(false, &["000001010000Z"], ANN_LEAVES).await;
    world.run_twice(Action::SuspendAccount, json!({})).await;
    assert_eq!(find(&world.connector, &world.ann).await.unwrap().status, AccountStatus::Suspended);
    assert!(world.directory().entry(ANN).is_none(), "nothing happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_of_an_account_that_is_moved_meanwhile_are_changed() {
    for joined in [false, true] {
        let world = World::new(joined, &[ENGINEERING, "uid=ann,ou=people"], ANN_LEAVES).await;
        let wanted = if joined { json!([]) } else { json!([world.group]) };
        world.run_twice(Action::UpdateAccount, json!({ "memberships": { "group": wanted } })).await;
        let found = find(&world.connector, &world.ann).await.unwrap();
        assert_eq!(found.memberships.of("group").len(), usize::from(!joined));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_in_a_group_that_is_renamed_meanwhile_are_changed() {
    for joined in [false, true] {
        let world = World::new(joined, &[ENGINEERING, "uid=ann,ou=people"], GROUP_RENAMED).await;
        let wanted = if joined { json!([]) } else { json!([world.group]) };
        world.run_twice(Action::UpdateAccount, json!({ "memberships": { "group": wanted } })).await;
        let found = find(&world.connector, &world.ann).await.unwrap();
        assert_eq!(found.memberships.of("group").len(), usize::from(!joined));
        let is_member = world.members("cn=building,ou=groups,dc=test").iter().any(|member| member == ANN);
        assert_eq!(is_member, !joined);
    }
}

/// Ann is renamed, and somebody else gets her name.
const ANN_REPLACED: &str = "dn: uid=ann,ou=people,dc=test\nchangetype: modrdn\nnewrdn: uid=former\ndeleteoldrdn: 1\n\n\
    dn: uid=ann,ou=people,dc=test\nchangetype: add\nobjectClass: inetOrgPerson\nuid: ann\ncn: Second\nsn: Second\n";
/// The name is checked right before the change.
const BEFORE_THE_CHANGE: &[&str] = &["uid=ann,ou=people,dc=test\x0a\x01\x00", "entryUUID"];
const FORMER: &str = "uid=former,ou=people,dc=test";

/// The entry that has the name now, as it was created.
fn second_is_unchanged(world: &World) {
    let second = world.directory().entry(ANN).unwrap();
    assert_eq!(
        (second.all("cn"), second.all("sn")),
        (&["Second".to_owned()][..], &["Second".to_owned()][..])
    );
    assert!(world.members(ENGINEERING).iter().all(|member| member != ANN), "it joined a group");
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_somebody_else_gets_meanwhile_is_not_deleted() {
    let world = World::new(false, BEFORE_THE_CHANGE, ANN_REPLACED).await;
    let error = world.run_twice(Action::DeleteAccount, json!({})).await;
    assert_eq!(error.effect(), Effect::NotApplied);
    second_is_unchanged(&world);
    assert!(find(&world.connector, &world.ann).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_somebody_else_gets_meanwhile_is_not_changed() {
    for (action, text, payload) in [
        (Action::SuspendAccount, "000001010000Z", json!({})),
        (Action::UpdateAccount, "Changed", json!({ "changes": { "last_name": "Changed" } })),
        (Action::UpdateAccount, "uid=renamed", json!({ "changes": { "username": "renamed" } })),
    ] {
        let world = World::new(false, BEFORE_THE_CHANGE, ANN_REPLACED).await;
        world.run_twice(action, payload).await;
        second_is_unchanged(&world);
        let second = world.connector.find_account(&bridgehead_sdk::Account::by_username("ann")).await;
        assert_eq!(second.unwrap().unwrap().status, AccountStatus::Active, "{action}");
        let found = find(&world.connector, &world.ann).await.unwrap();
        match text {
            "Changed" => assert_eq!(found.last_name.as_deref(), Some("Changed")),
            "uid=renamed" => assert_eq!(found.username.as_deref(), Some("renamed")),
            _ => assert_eq!(found.status, AccountStatus::Suspended),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_somebody_else_gets_meanwhile_joins_no_group() {
    let world = World::new(false, &[ENGINEERING, "uid=ann,ou=people"], ANN_REPLACED).await;
    world.run_twice(Action::UpdateAccount, json!({ "memberships": { "group": [world.group] } })).await;
    second_is_unchanged(&world);
    assert!(world.members(ENGINEERING).iter().any(|member| member == FORMER));
}

#[tokio::test(flavor = "multi_thread")]
async fn group_that_gets_the_name_of_another_meanwhile_is_not_changed() {
    let replaced = "dn: cn=engineering,ou=groups,dc=test\nchangetype: modrdn\nnewrdn: cn=building\ndeleteoldrdn: 1\n\n\
        dn: cn=engineering,ou=groups,dc=test\nchangetype: add\nobjectClass: groupOfNames\ncn: engineering\n\
        member: cn=placeholder,dc=test\n";
    let world =
        World::new(false, &["cn=engineering,ou=groups,dc=test\x0a\x01\x00", "entryUUID"], replaced).await;
    world.run_twice(Action::UpdateAccount, json!({ "memberships": { "group": [world.group] } })).await;
    assert_eq!(world.members(ENGINEERING), ["cn=placeholder,dc=test"]);
    assert!(world.members("cn=building,ou=groups,dc=test").iter().any(|member| member == ANN));
}
