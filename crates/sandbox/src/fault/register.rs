//! The active faults, and how they affect a request.

use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use uuid::Uuid;

use super::rule::{Effect, Fault, Times};
use crate::lock::lock;

/// Identifies a fault that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// A fault and its effect so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultStatus {
    /// Its identifier.
    pub id: FaultId,
    /// How many requests it matched.
    pub matched: u64,
    /// How many of them it fired on.
    pub fired: u64,
    /// The fault itself.
    pub fault: Fault,
}

struct Rule {
    status: FaultStatus,
    dice: StdRng,
}

impl Rule {
    /// Whether the fault fires on a request.
    fn fires(&mut self, method: &str, path: &str, app: Option<Uuid>) -> bool {
        let FaultStatus { matched, fired, fault, .. } = &mut self.status;
        let is_about = fault.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && fault.path.as_ref().is_none_or(|pattern| pattern.admits(path))
            && fault.app.is_none_or(|wanted| app == Some(wanted));
        if !is_about {
            return false;
        }
        *matched += 1;
        let is_spent = matches!(fault.times, Times::Count(times) if *fired >= times);
        if *matched <= fault.skip || is_spent {
            return false;
        }
        if !self.dice.random_bool(fault.probability.clamp(0.0, 1.0)) {
            return false;
        }
        *fired += 1;
        true
    }
}

/// The combined effect of the faults on a request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// How long to wait before executing the request.
    pub(crate) stall: Duration,
    /// How long to wait before sending the response.
    pub(crate) delay: Duration,
    pub(crate) effect: Option<Effect>,
    pub(crate) fired: Vec<FaultId>,
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<Rules>);

#[derive(Default)]
struct Rules {
    rules: Vec<Rule>,
    added: u64,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) -> FaultId {
        let mut rules = lock(&self.0);
        rules.added += 1;
        let id = FaultId(rules.added);
        let dice = StdRng::seed_from_u64(fault.seed);
        rules.rules.push(Rule { status: FaultStatus { id, matched: 0, fired: 0, fault }, dice });
        id
    }

    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        lock(&self.0).rules.iter().map(|rule| rule.status.clone()).collect()
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).rules.clear();
    }

    /// Returns whether the fault existed.
    pub(crate) fn remove(&self, id: FaultId) -> bool {
        let mut rules = lock(&self.0);
        let before = rules.rules.len();
        rules.rules.retain(|rule| rule.status.id != id);
        rules.rules.len() < before
    }

    /// Determines how the faults affect a request. Faults after the first one whose effect replaces the response are not evaluated.
    pub(crate) fn plan(&self, method: &str, path: &str, app: Option<Uuid>) -> Plan {
        let mut plan = Plan::default();
        for rule in &mut lock(&self.0).rules {
            if !rule.fires(method, path, app) {
                continue;
            }
            plan.fired.push(rule.status.id);
            match &rule.status.fault.effect {
                Effect::Delay(by) => plan.delay = plan.delay.saturating_add(*by),
                Effect::Stall(by) => plan.stall = plan.stall.saturating_add(*by),
                effect => {
                    plan.effect = Some(effect.clone());
                    break;
                }
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(faults: &Faults, requests: usize) -> Vec<bool> {
        (0..requests).map(|_| faults.plan("GET", "/x/", None).effect.is_some()).collect()
    }

    #[test]
    fn fault_skips_and_then_fires_a_number_of_times() {
        let faults = Faults::default();
        faults.add(Fault::new(Effect::Cut).skip(1).times(2));
        assert_eq!(effects(&faults, 5), [false, true, true, false, false]);
        let status = &faults.list()[0];
        assert_eq!((status.matched, status.fired), (5, 2));
    }

    #[test]
    fn same_seed_gives_the_same_sequence() {
        let sequence = |seed| {
            let faults = Faults::default();
            faults.add(Fault::new(Effect::Cut).probability(0.5, seed));
            effects(&faults, 64)
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        assert!(sequence(7).contains(&true) && sequence(7).contains(&false));
    }

    #[test]
    fn delays_add_up_and_the_first_other_effect_applies() {
        let faults = Faults::default();
        faults.add(Fault::new(Effect::Delay(Duration::from_millis(2))));
        faults.add(Fault::new(Effect::Delay(Duration::from_millis(3))));
        faults.add(Fault::new(Effect::answer(503)).times(1));
        faults.add(Fault::new(Effect::Cut));
        let first = faults.plan("GET", "/", None);
        assert_eq!(first.delay, Duration::from_millis(5));
        assert_eq!(first.effect, Some(Effect::answer(503)));
        assert_eq!(faults.plan("GET", "/", None).effect, Some(Effect::Cut));
    }

    #[test]
    fn method_path_and_app_must_all_match() {
        let app = Uuid::from_u128(1);
        let faults = Faults::default();
        faults.add(Fault::new(Effect::Cut).method("patch").path("**/status/").app(app));
        let fires = |method, path, app| faults.plan(method, path, app).effect.is_some();
        assert!(fires("PATCH", "/a/status/", Some(app)));
        assert!(!fires("PUT", "/a/status/", Some(app)));
        assert!(!fires("PATCH", "/a/", Some(app)));
        assert!(!fires("PATCH", "/a/status/", None));
    }

    #[test]
    fn fault_survives_a_json_round_trip() {
        let fault = Fault::new(Effect::SlowLoris { every: Duration::from_millis(10) }).path("^/x$").times(3);
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault, "{text}");
        let forever: Fault =
            serde_json::from_str(r#"{"effect": {"lose": {"status": 500}}, "times": "forever"}"#).unwrap();
        assert_eq!(forever, Fault::new(Effect::Lose(crate::Loss::Status(500))));
    }
}
