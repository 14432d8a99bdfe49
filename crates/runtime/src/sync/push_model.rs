//! Tests pushing with a model of the Bridge that rejects pages for every possible reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{EntityRecord, Slug, async_trait};
use proptest::prelude::*;

use super::push::{PushCounts, PushPipeline};
use crate::fakes::{Place, Script};
use bridgehead_bridge::{
    self as bridge, BrokenRule, Call, Operation, Progress, Pushed, Refs, SyncId, WireRecord, fuzz,
};

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// 422: it breaks a rule.
    Rule,
    /// 400: it breaks the schema.
    Schema,
    /// 413: it is too large even alone.
    TooLarge,
    /// 422: its identifier already exists, permanently.
    Duplicate,
    /// 422 for the same reason, but only while another page is being sent.
    Collision,
}

#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    questions: usize,
    accepted: Vec<String>,
    under_way: usize,
}

/// A session that rejects a whole page for any invalid record on it.
struct Session {
    flaws: BTreeMap<String, Flaw>,
    /// Pages with more records than this are too large.
    most: usize,
    seen: Mutex<Seen>,
}

#[async_trait]
impl Script for Session {
    async fn push(&self, _: &Slug, records: &[WireRecord]) -> Result<Pushed, bridge::Error> {
        self.seen.lock().unwrap().under_way += 1;
        // Let concurrent pages run, as over a network.
        tokio::task::yield_now().await;
        let call = Call::new(Operation::Push, None);
        let mut seen = self.seen.lock().unwrap();
        let is_alone = seen.under_way == 1;
        seen.under_way -= 1;
        seen.requests += 1;
        assert!(records.len() <= 100 && !records.is_empty(), "{} records on a page", records.len());
        if records.len() > self.most {
            return Err(bridge::Error::Unexpected { call, status: 413 });
        }
        for record in records {
            let id = record.id();
            match self.flaws.get(id) {
                None => {}
                Some(Flaw::Rule) => {
                    let detail = format!("Record '{id}': unknown membership slug 'x'");
                    return Err(bridge::Error::Unprocessable { call, rule: BrokenRule::Other, detail });
                }
                Some(Flaw::Schema) => {
                    return Err(bridge::Error::BadRequest { call, detail: "Field required".to_owned() });
                }
                Some(Flaw::TooLarge) => return Err(bridge::Error::Unexpected { call, status: 413 }),
                Some(Flaw::Collision) if is_alone => {}
                Some(Flaw::Duplicate | Flaw::Collision) => {
                    let detail = "a record with the same identifier already exists.".to_owned();
                    return Err(bridge::Error::Unprocessable { call, rule: BrokenRule::Duplicate, detail });
                }
            }
        }
        seen.accepted.extend(records.iter().map(|record| record.id().to_owned()));
        Ok(Pushed::default())
    }

    async fn progress(&self) -> Result<Progress, bridge::Error> {
        self.seen.lock().unwrap().questions += 1;
        fuzz::progress(br#"{"status": "in_progress", "progress": []}"#)
    }
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        Just(Flaw::Rule),
        Just(Flaw::Schema),
        Just(Flaw::TooLarge),
        Just(Flaw::Duplicate),
        Just(Flaw::Collision)
    ]
}

#[test]
fn only_invalid_records_are_refused_and_valid_ones_arrive_once() {
    let place = Place::new();
    let given = (0_usize..350, prop::collection::btree_map(0_usize..350, flaw(), 0..12), 1_usize..=100);
    proptest!(ProptestConfig::with_cases(300), |((records, flaws, most) in given)| {
        let flaws: BTreeMap<String, Flaw> =
            flaws.into_iter().filter(|(n, _)| *n < records).map(|(n, flaw)| (n.to_string(), flaw)).collect();
        let bad: BTreeSet<String> =
            flaws.iter().filter(|(_, flaw)| **flaw != Flaw::Collision).map(|(id, _)| id.clone()).collect();
        let session = Arc::new(Session { flaws: flaws.clone(), most, seen: Mutex::default() });
        let app = place.app(&session);
        let refused = place.runtime.block_on(async {
            let mut pusher = PushPipeline::new(&app, SyncId::new("s1"), "team".into(), PushCounts::default());
            let all = (0..records).map(|n| EntityRecord::new(n.to_string(), "x").into());
            let all = all.map(|record| WireRecord::of(&record, Refs::Id).unwrap()).collect();
            pusher.push(all).await.unwrap();
            pusher.flush().await.unwrap()
        });
        let ids: Vec<&str> = refused.iter().map(|refused| refused.id.as_str()).collect();
        prop_assert_eq!(ids.len(), bad.len(), "{:?}", ids);
        prop_assert!(ids.iter().all(|id| bad.contains(*id)), "{:?}", ids);
        prop_assert!(refused.iter().all(|refused| !refused.detail.is_empty()));
        let seen = session.seen.lock().unwrap();
        let mut arrived: Vec<usize> = seen.accepted.iter().map(|id| id.parse().unwrap()).collect();
        arrived.sort_unstable();
        let good: Vec<usize> = (0..records).filter(|n| !bad.contains(&n.to_string())).collect();
        prop_assert_eq!(arrived, good);
        // A page is halved seven times until a single record is left, on each of the two possible paths.
        let pages = records.div_ceil(100);
        let parts = if most < 100 { pages * 4 * 100usize.div_ceil(most) } else { 2 * pages };
        let bound = parts + 30 * flaws.len();
        prop_assert!(seen.requests <= bound, "{} requests for {} pages and {:?}", seen.requests, pages, flaws);
        prop_assert!(seen.questions <= seen.requests);
    });
}
