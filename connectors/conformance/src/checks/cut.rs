//! Connections that are cut: the data up to then must not be taken for complete.

use std::collections::BTreeSet;

use crate::Situation;
use crate::finding::{Finding, Verdict, failed, parts, skipped};
use crate::kit::Kit;
use crate::listing::{Listing, attempt, read};
use crate::network::{Cut, Peer};
use crate::probe::Probe;
use crate::rule::Rule;
use crate::tasks::{about, identity};
use bridgehead_sdk::{Action, Effect, Operation, ResourceKind, ResourceType};

pub(crate) const RULES: [Rule; 3] = [
    Rule::reads("cut-listing", "A listing that is cut in the middle is an error, never an end.", |kit| {
        Box::pin(cut_listing(kit))
    }),
    Rule::reads(
        "cut-look-up",
        "A look-up that is cut is an error: it does not prove that the account does not exist.",
        |kit| Box::pin(cut_look_up(kit)),
    ),
    Rule::changes(
        "cut-change",
        "A change whose response is cut off has an unknown effect, unless it is certain that nothing was \
         applied.",
        &[Action::CreateAccount],
        |kit| Box::pin(cut_change(kit)),
    ),
];

/// The minimum number of accounts to list.
const SOME: usize = 3;

/// The byte counts at which a conversation of `length` bytes is cut: near both ends, and at `parts - 1` places in
/// between.
fn places(length: usize, parts: usize) -> BTreeSet<usize> {
    let between = (1..parts).map(|part| length * part / parts);
    let ends = [1, 2, length.saturating_sub(2), length.saturating_sub(1)];
    between.chain(ends).filter(|place| (1..length).contains(place)).collect()
}

/// A connection to the target through a relay that cuts it.
async fn through(kit: &Kit<'_>, limit: Option<(usize, Cut)>) -> Verdict<(Peer, Probe)> {
    let Some(target) = kit.test_target.address() else {
        return skipped("the target is not reached over TCP");
    };
    let relay = Peer::relay(target, limit)?;
    let probe = kit.connect(Situation::Through(relay.address)).await?.impatient();
    Ok((relay, probe))
}

async fn cut_listing(kit: &Kit<'_>) -> Verdict {
    let Some(of) = kit.types(ResourceKind::Account).next() else {
        return skipped("it lists no accounts");
    };
    if kit.test_target.address().is_none() {
        return broken_listing(kit, of).await;
    }
    if kit.offers(Action::CreateAccount) && !kit.test_target.read_only() {
        for _ in 0..SOME {
            kit.person().await?;
        }
    }
    let (relay, probe) = through(kit, None).await?;
    let whole = read(&probe, of).await?;
    // A connector may run a process, so no more of them are kept than needed.
    drop(probe);
    for cut in Cut::BOTH {
        for place in places(relay.passed(), 12) {
            let (_relay, probe) = through(kit, Some((place, cut))).await?;
            if let Ok(listing) = attempt(&probe, of).await? {
                lacks_nobody(&listing, &whole).map_err(|why| {
                    Finding::Failed(format!(
                        "the connection was {cut} after {place} of {} bytes, and the listing ended {why}",
                        relay.passed()
                    ))
                })?;
            }
        }
    }
    Ok(())
}

fn lacks_nobody(listing: &Listing, whole: &Listing) -> Result<(), String> {
    let ids = listing.ids();
    let missing = whole.ids().into_iter().filter(|id| !ids.contains(id)).count();
    if missing == 0 { Ok(()) } else { Err(format!("as if it were complete: {missing} accounts are missing")) }
}

/// For targets that are not reached over TCP: the test target itself breaks off the listing.
async fn broken_listing(kit: &Kit<'_>, of: &ResourceType) -> Verdict {
    let probe = kit.connect(Situation::CutListing).await?;
    match attempt(&probe, of).await? {
        Err(_) => Ok(()),
        Ok(listing) => failed(format!(
            "the listing ended as if it were complete, with {} accounts",
            listing.records.len()
        )),
    }
}

async fn cut_look_up(kit: &Kit<'_>) -> Verdict {
    let account = if kit.offers(Action::CreateAccount) && !kit.test_target.read_only() {
        identity(&kit.person().await?.fields)
    } else {
        match kit.listed().await?.into_iter().next() {
            Some(record) => bridgehead_sdk::Account::by_id(record.id),
            None => return skipped("the target has no account to look up"),
        }
    };
    let (relay, probe) = through(kit, None).await?;
    if let Err(error) = probe.find(&account).await? {
        return failed(format!("through the kit's relay: {}", parts(&error)));
    }
    drop(probe);
    for cut in Cut::BOTH {
        for place in places(relay.passed(), 6) {
            let (_relay, probe) = through(kit, Some((place, cut))).await?;
            if let Ok(None) = probe.find(&account).await? {
                return failed(format!(
                    "the connection was {cut} after {place} of {} bytes, and find_account reported that the \
                     account does not exist",
                    relay.passed()
                ));
            }
        }
    }
    Ok(())
}

async fn cut_change(kit: &Kit<'_>) -> Verdict {
    let (relay, probe) = through(kit, None).await?;
    let (_, create) = creation(kit)?;
    if let Err(error) = probe.execute(1, &create).await? {
        return failed(format!("through the kit's relay: {}", parts(&error)));
    }
    drop(probe);
    for cut in Cut::BOTH {
        for place in places(relay.passed(), 6) {
            let (_relay, probe) = through(kit, Some((place, cut))).await?;
            let (account, create) = creation(kit)?;
            let answer = probe.execute(1, &create).await?;
            let there = kit.look(&account).await?.is_some();
            let where_ = || format!("the connection was {cut} after {place} of {} bytes", relay.passed());
            match answer {
                Ok(_) if !there => {
                    return failed(format!(
                        "{}; success was reported, but the account does not exist",
                        where_()
                    ));
                }
                Err(error) if there && error.effect() == Effect::NotApplied => {
                    return failed(format!(
                        "{}; the account was created, but the error says: {}",
                        where_(),
                        parts(&error)
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn creation(kit: &Kit<'_>) -> Verdict<(bridgehead_sdk::Account, Operation)> {
    let fields = kit.test_target.account(&kit.name());
    Ok((identity(&fields), about(Action::CreateAccount, &kit.with_password(&fields))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_points_cover_both_ends_and_the_middle() {
        assert_eq!(Vec::from_iter(places(100, 4)), [1, 2, 25, 50, 75, 98, 99]);
        assert_eq!(Vec::from_iter(places(2, 4)), [1]);
        assert!(places(0, 4).is_empty() && places(1, 4).is_empty());
    }
}
