//! Every state that the protocol can reach is visited.

use bridgehead_lease_model::{Event, Fault, World};
use stateright::{Checker, Model, Property};

const EARLY: &str = "no node looks for what another one may still be doing";
const ONE: &str = "at most one node may start calls";
const FOLLOWED: &str = "a node that dies is followed";

struct Protocol(Fault);

impl Model for Protocol {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        vec![World::default()]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Event>) {
        actions.extend(state.events(self.0));
    }

    fn next_state(&self, state: &World, event: Event) -> Option<World> {
        Some(state.after(event, self.0))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EARLY, |model: &Self, world: &World| world.nobody_looks_too_early(model.0)),
            Property::always(ONE, |_: &Self, world: &World| world.one_may_start()),
            Property::sometimes(FOLLOWED, |_: &Self, world: &World| world.has_taken_over()),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.is_within_horizon()
    }
}

#[test]
fn in_every_order_of_events_one_node_may_start_calls_and_nobody_looks_too_early() {
    let checker = Protocol(Fault::None).checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000, "{} states", checker.unique_state_count());
}

#[test]
fn a_protocol_with_a_fault_is_found() {
    for (fault, property) in [
        (Fault::CountsFromAnswer, ONE),
        (Fault::CountsFromAnswer, EARLY),
        (Fault::DoesNotSettle, EARLY),
        (Fault::IsNotFenced, EARLY),
    ] {
        let checker = Protocol(fault).checker().threads(2).spawn_bfs().join();
        assert!(checker.discovery(property).is_some(), "{fault:?} is not found by {property:?}");
    }
}
