use super::*;

const TERMS: Terms = Terms { lease: Duration::from_secs(15), longest_call: Duration::from_secs(60) };

fn second(asked_at: Instant, second: f64) -> Instant {
    asked_at + Duration::from_secs_f64(second)
}

#[test]
fn no_call_starts_in_the_last_fifth_of_a_lease_counted_from_before_the_request() {
    let asked_at = Instant::now();
    let grant = Grant { asked_at };
    for (at, expected) in [(0.0, true), (11.9, true), (12.0, false), (15.0, false), (99.0, false)] {
        assert_eq!(grant.may_start(second(asked_at, at), &TERMS), expected, "after {at} s");
    }
}

#[test]
fn a_lease_is_renewed_twice_before_a_node_stops() {
    let asked_at = Instant::now();
    let grant = Grant { asked_at };
    assert_eq!(grant.renew_at(&TERMS), second(asked_at, 5.0));
    assert!(2 * TERMS.renew_after() < TERMS.lease.saturating_sub(TERMS.margin()));
}

#[test]
fn an_answer_that_comes_late_does_not_shorten_a_lease() {
    let asked_at = Instant::now();
    let (early, late) = (Grant { asked_at }, Grant { asked_at: second(asked_at, 5.0) });
    assert_eq!(early.later(late), late);
    assert_eq!(late.later(early), late);
}
