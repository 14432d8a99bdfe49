//! Decides which apps a node takes and gives up, based only on its view of the nodes. Pure.
//!
//! All nodes follow the same rule and have almost the same view, so they rarely want the same app; if they do, the database grants it to
//! one of them. The apps of a node that dies or leaves are taken over immediately. If a node has come back, or has fewer apps than another,
//! there is no hurry: one app is moved at a time, and only to a node that has been up for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use bridgehead_store::AppKey;
use bridgehead_store::lease::{NodeSeen, View};

/// A node gets apps from other nodes only after it has been up for this many leases.
const STEADY: u32 = 4;

/// A node's action for one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It takes an app that has no owner.
    Acquire(AppKey),
    /// It stops running an app that it may no longer run.
    Leave(AppKey),
    /// It gives the app to another node that has fewer.
    Release {
        /// The app.
        app: AppKey,
        /// The name of the node that should get it.
        to: String,
    },
}

/// What this node should do now. `lease` is the duration of a lease; `may_move` says whether it is time to move an app.
pub(crate) fn steps(view: &View, lease: Duration, may_move: bool) -> Vec<Step> {
    let alive: Vec<&NodeSeen> = view.nodes.iter().filter(|node| node.silent_for < lease).collect();
    let Some(me) = alive.iter().find(|node| node.process == view.me) else { return Vec::new() };
    if me.presence.is_leaving {
        return Vec::new();
    }
    let mut load: BTreeMap<&str, usize> = alive.iter().map(|node| (node.process.as_str(), 0)).collect();
    for owner in view.owners.iter().filter(|owner| !owner.lasts_for.is_zero()) {
        if let Some(count) = load.get_mut(owner.process.as_str()) {
            *count += 1;
        }
    }
    let mut apps: Vec<&AppKey> = alive.iter().flat_map(|node| &node.presence.apps).collect();
    apps.sort();
    apps.dedup();
    let own = view.owners.iter().filter(|owner| owner.process == view.me && !owner.lasts_for.is_zero());
    let own = own.filter_map(|owner| owner.app.parse::<AppKey>().ok());
    let mut steps: Vec<Step> = own.filter(|app| !me.presence.apps.contains(app)).map(Step::Leave).collect();
    let mut has_orphans = false;
    for app in apps.iter().filter(|app| view.owner(app).is_none()) {
        has_orphans = true;
        let fit = alive.iter().filter(|node| !node.presence.is_leaving && node.presence.apps.contains(app));
        let chosen = fit.min_by_key(|node| (load[node.process.as_str()], preference(app, node)));
        if let Some(chosen) = chosen {
            *load.entry(&chosen.process).or_default() += 1;
            if chosen.process == view.me {
                steps.push(Step::Acquire((*app).clone()));
            }
        }
    }
    // While an app still has no owner, no app is moved.
    if steps.is_empty() && !has_orphans && may_move {
        steps.extend(give_away(view, &alive, &load, lease));
    }
    steps
}

/// Picks an app to give to a node that has at least two fewer. With a smaller difference, moving would not help and the app would come
/// back.
fn give_away(
    view: &View,
    alive: &[&NodeSeen],
    load: &BTreeMap<&str, usize>,
    lease: Duration,
) -> Option<Step> {
    let mine = load.get(view.me.as_str()).copied()?;
    let own = view.owners.iter().filter(|owner| owner.process == view.me && !owner.lasts_for.is_zero());
    let own: Vec<AppKey> = own.filter_map(|owner| owner.app.parse().ok()).collect();
    let steady = alive
        .iter()
        .filter(|node| node.process != view.me && !node.presence.is_leaving && node.up_for >= lease * STEADY);
    let mut others: Vec<_> = steady.filter(|node| load[node.process.as_str()] + 1 < mine).collect();
    others.sort_by_key(|node| (load[node.process.as_str()], node.process.clone()));
    others.into_iter().find_map(|node| {
        let apps = own.iter().filter(|app| node.presence.apps.contains(app));
        let app = apps.min_by_key(|app| preference(app, node))?;
        Some(Step::Release { app: app.clone(), to: node.name.clone() })
    })
}

/// An app's preference among several nodes: all nodes compute the same value, and it differs from app to app.
fn preference(app: &AppKey, node: &NodeSeen) -> u64 {
    xxh3_64(format!("{app} {} {}", node.name, node.process).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bridgehead_store::lease::{OwnerSeen, Presence};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn app(number: u128) -> AppKey {
        AppKey::from(Uuid::from_u128(number))
    }

    fn node(name: &str, apps: &[u128]) -> NodeSeen {
        NodeSeen {
            name: name.to_owned(),
            process: format!("process of {name}"),
            version: "1".to_owned(),
            up_for: LEASE * 10,
            silent_for: Duration::ZERO,
            presence: Presence { apps: apps.iter().map(|number| app(*number)).collect(), is_leaving: false },
        }
    }

    fn owner(number: u128, node: &str) -> OwnerSeen {
        OwnerSeen {
            app: app(number).to_string(),
            node: node.to_owned(),
            process: format!("process of {node}"),
            epoch: 1,
            owned_for: Duration::ZERO,
            lasts_for: LEASE,
        }
    }

    fn view(me: &str, nodes: &[NodeSeen], owners: &[OwnerSeen]) -> View {
        View { me: format!("process of {me}"), nodes: nodes.to_vec(), owners: owners.to_vec() }
    }

    fn acquired(steps: &[Step]) -> Vec<AppKey> {
        let app = |step: &Step| if let Step::Acquire(app) = step { Some(app.clone()) } else { None };
        steps.iter().filter_map(app).collect()
    }

    #[test]
    fn a_node_alone_takes_everything_and_two_share_it() {
        let all = [1, 2, 3, 4, 5];
        let alone = steps(&view("a", &[node("a", &all)], &[]), LEASE, true);
        assert_eq!(acquired(&alone).len(), 5);
        let nodes = [node("a", &all), node("b", &all)];
        let a = acquired(&steps(&view("a", &nodes, &[]), LEASE, true));
        let b = acquired(&steps(&view("b", &nodes, &[]), LEASE, true));
        assert_eq!((a.len() + b.len(), a.len().abs_diff(b.len())), (5, 1), "{a:?} {b:?}");
        assert!(a.iter().all(|app| !b.contains(app)));
    }

    #[test]
    fn what_a_dead_node_had_is_taken_and_what_has_an_owner_is_left_alone() {
        let dead = NodeSeen { silent_for: LEASE, ..node("b", &[1, 2]) };
        let ended = OwnerSeen { lasts_for: Duration::ZERO, ..owner(2, "b") };
        let nodes = [node("a", &[1, 2]), dead.clone()];
        let told = steps(&view("a", &nodes, &[owner(1, "b"), ended]), LEASE, true);
        assert_eq!(told, [Step::Acquire(app(2))], "the other lease lasts");
    }

    #[test]
    fn an_app_is_run_only_where_it_may_be_and_never_by_a_node_that_leaves() {
        let mut nodes = [node("a", &[1]), node("b", &[2])];
        assert_eq!(acquired(&steps(&view("a", &nodes, &[]), LEASE, true)), [app(1)]);
        nodes[0].presence.is_leaving = true;
        assert_eq!(steps(&view("a", &nodes, &[]), LEASE, true), []);
        assert_eq!(
            acquired(&steps(&view("b", &nodes, &[]), LEASE, true)),
            [app(2)],
            "nobody may run the first"
        );
    }

    #[test]
    fn a_node_gives_up_what_it_may_not_run_any_more() {
        let nodes = [node("a", &[1]), node("b", &[1, 2])];
        let told = steps(&view("a", &nodes, &[owner(1, "a"), owner(2, "a")]), LEASE, false);
        assert_eq!(told, [Step::Leave(app(2))]);
    }

    #[test]
    fn apps_move_one_at_a_time_to_a_node_that_has_been_there_for_a_while() {
        let all = [1, 2, 3, 4];
        let owners: Vec<OwnerSeen> = all.iter().map(|number| owner(*number, "a")).collect();
        let mut nodes = [node("a", &all), node("b", &all)];
        let moved = steps(&view("a", &nodes, &owners), LEASE, true);
        assert!(matches!(&moved[..], [Step::Release { to, .. }] if to == "b"), "{moved:?}");
        assert_eq!(steps(&view("a", &nodes, &owners), LEASE, false), [], "not so soon after the last one");
        nodes[1].up_for = LEASE;
        assert_eq!(steps(&view("a", &nodes, &owners), LEASE, true), [], "it may be flapping");
        nodes[1].up_for = LEASE * 10;
        let even = [owner(1, "a"), owner(2, "a"), owner(3, "b")];
        let nodes = [node("a", &[1, 2, 3]), node("b", &[1, 2, 3])];
        assert_eq!(steps(&view("a", &nodes, &even), LEASE, true), [], "it would only come back");
    }

    proptest! {
        /// From any start, the nodes settle with each app at exactly one node.
        #[test]
        fn nodes_come_to_rest_with_every_app_at_one_of_them(
            nodes in 1usize..6,
            apps in 1u128..30,
            first in prop::collection::vec(prop::option::of(0usize..6), 30),
        ) {
            let all: Vec<u128> = (0..apps).collect();
            let seen: Vec<NodeSeen> = (0..nodes).map(|one| node(&one.to_string(), &all)).collect();
            let mut owned: BTreeMap<u128, usize> = all
                .iter()
                .filter_map(|app| Some((*app, first[usize::try_from(*app).unwrap()].filter(|one| *one < nodes)?)))
                .collect();
            let mut at_rest = false;
            for _ in 0..200 {
                let owners: Vec<OwnerSeen> =
                    owned.iter().map(|(app, one)| owner(*app, &one.to_string())).collect();
                let mut taken = BTreeSet::new();
                let mut has_changed = false;
                for one in 0..nodes {
                    for step in steps(&view(&one.to_string(), &seen, &owners), LEASE, true) {
                        has_changed = true;
                        let number = |key: &AppKey| all.iter().copied().find(|n| app(*n) == *key).unwrap();
                        match step {
                            Step::Acquire(key) => {
                                prop_assert!(taken.insert(key.clone()), "two nodes want the same");
                                prop_assert!(owned.insert(number(&key), one).is_none());
                            }
                            Step::Leave(app) | Step::Release { app, .. } => {
                                prop_assert_eq!(owned.remove(&number(&app)), Some(one));
                            }
                        }
                    }
                }
                if !has_changed {
                    at_rest = true;
                    break;
                }
            }
            prop_assert!(at_rest, "apps move for ever");
            prop_assert_eq!(owned.len(), all.len());
            let counts: Vec<usize> =
                (0..nodes).map(|one| owned.values().filter(|owner| **owner == one).count()).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", counts);
        }
    }
}
