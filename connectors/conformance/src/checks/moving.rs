//! Listings of a target that limits page sizes, that changes meanwhile, or that has records that cannot be read.

use serde_json::Value;

use crate::Situation;
use crate::finding::{Finding, Verdict, ensure, failed, parts, skipped};
use crate::http::is_whole;
use crate::kit::Kit;
use crate::listing::{Listing, attempt, read};
use crate::network::Nobody;
use crate::probe::Probe;
use crate::relay::Act;
use crate::rule::Rule;
use crate::tasks::about;
use bridgehead_sdk::{Account, Action, Cursor, Record};

pub(crate) const RULES: [Rule; 5] = [
    Rule::reads("small-pages", "In pages of two, every listing returns the same as in large pages.", |kit| {
        Box::pin(small_pages(kit))
    }),
    Rule::reads(
        "listings-at-once",
        "Listings that are read at the same time, page by page, do not affect each other.",
        |kit| Box::pin(listings_at_once(kit)),
    ),
    Rule::reads(
        "capped-pages",
        "A target that returns fewer records than requested is read to the end, or the listing is an error.",
        |kit| Box::pin(capped_pages(kit)),
    ),
    Rule::changes(
        "changing-while-listed",
        "An account that exists the whole time is listed, even if others come and go between the pages; or \
         the listing is an error.",
        &[Action::CreateAccount, Action::DeleteAccount],
        |kit| Box::pin(changing_while_listed(kit)),
    ),
    Rule::reads(
        "unreadable-records",
        "A record that lacks a field, or has a field of the wrong type, is listed, rejected, or an error: \
         never left out.",
        |kit| Box::pin(unreadable_records(kit)),
    ),
];

async fn small_pages(kit: &Kit<'_>) -> Verdict {
    let nobody = Nobody::new()?;
    let (_http, small) = match kit.relayed(Situation::SmallPages).await {
        Ok(http) => (Some(http.relay), http.probe),
        Err(Finding::Skipped(_)) if kit.test_target.address().is_none() => {
            (None, kit.connect(Situation::SmallPages(nobody.address)).await?)
        }
        Err(finding) => return Err(finding),
    };
    kit.some_people(kit.several_pages()).await?;
    for of in &kit.description.resource_types {
        let whole = read(&kit.working, of).await?;
        let listing = read(&small, of).await?;
        is_whole(&format!("list {} in pages of two", of.slug), &listing, &whole)?;
    }
    Ok(())
}

/// How many pages of each listing are read alternately if the target cannot be asked for small pages.
const PAGES: usize = 4;

async fn listings_at_once(kit: &Kit<'_>) -> Verdict {
    let nobody = Nobody::new()?;
    let (_http, probe, most) = match kit.relayed(Situation::SmallPages).await {
        Ok(http) => (Some(http.relay), http.probe, usize::MAX),
        Err(Finding::Skipped(_)) => match kit.connect(Situation::SmallPages(nobody.address)).await {
            Ok(probe) if kit.test_target.address().is_none() => (None, probe, usize::MAX),
            _ => match super::paging::filled(kit).await {
                Ok(probe) => (None, probe, PAGES),
                Err(_) => (None, kit.working.clone(), usize::MAX),
            },
        },
        Err(finding) => return Err(finding),
    };
    if most == usize::MAX {
        kit.some_people(kit.several_pages()).await?;
    }
    // Accounts are listed twice: two readers of the same listing must not share their position.
    let types = &kit.description.resource_types;
    let of: Vec<_> = types.iter().chain(kit.types(bridgehead_sdk::ResourceKind::Account)).collect();
    let mut alone: Vec<Vec<String>> = Vec::new();
    for of in &of {
        alone.push(pages(&probe, &[of], most).await?.swap_remove(0));
    }
    let together = pages(&probe, &of, most).await?;
    for ((of, alone), together) in of.iter().zip(&alone).zip(&together) {
        ensure(alone == together, || {
            format!(
                "list {}: {} records are returned when it is read alone, and {} others when other listings \
                 are read alternately",
                of.slug,
                alone.len(),
                together.iter().filter(|id| !alone.contains(id)).count()
            )
        })?;
    }
    Ok(())
}

/// The identifiers on the first pages of several listings, which are read alternately, page by page.
async fn pages(
    probe: &Probe,
    listings: &[&bridgehead_sdk::ResourceType],
    most: usize,
) -> Verdict<Vec<Vec<String>>> {
    let mut read: Vec<(Vec<String>, Option<Cursor>, bool)> = vec![(Vec::new(), None, false); listings.len()];
    for _ in 0..most.min(20_000) {
        for (of, (ids, cursor, ended)) in listings.iter().zip(&mut read) {
            if *ended {
                continue;
            }
            match probe.list(of, cursor.as_ref()).await? {
                Ok(page) => {
                    ids.extend(page.records.iter().map(|record| record.id().to_owned()));
                    *ended = page.next.is_none();
                    *cursor = page.next;
                }
                Err(error) => {
                    return failed(format!(
                        "list {}, alternating with {} others: {}",
                        of.slug,
                        listings.len() - 1,
                        parts(&error)
                    ));
                }
            }
        }
        if read.iter().all(|(.., ended)| *ended) {
            break;
        }
    }
    let sorted = |(mut ids, ..): (Vec<String>, _, _)| {
        ids.sort();
        ids
    };
    Ok(read.into_iter().map(sorted).collect())
}

async fn capped_pages(kit: &Kit<'_>) -> Verdict {
    let http = kit.http_alone().await?;
    kit.some_people(kit.several_pages()).await?;
    let mut tried = false;
    for of in &kit.description.resource_types {
        http.relay.pass();
        http.relay.cap(None);
        let whole = read(&http.probe, of).await?;
        let asks = http.relay.seen().iter().any(|seen| crate::relay::capped(&seen.path, 1).is_some());
        if !asks || whole.records.len() < 3 {
            continue;
        }
        tried = true;
        let most = (whole.records.len() / 5).max(2);
        http.relay.cap(Some(most));
        let listing = attempt(&http.probe, of).await;
        http.relay.cap(None);
        if let Ok(listing) = listing? {
            is_whole(
                &format!("list {} of a target that returns {most} records at most", of.slug),
                &listing,
                &whole,
            )?;
        }
    }
    if tried {
        Ok(())
    } else {
        skipped("the connector sends no page size in a query, or there is too little to list")
    }
}

async fn changing_while_listed(kit: &Kit<'_>) -> Verdict {
    let of = kit.accounts()?;
    let people = kit.some_people(kit.several_pages()).await?;
    let (_http, probe): (_, Probe) = match kit.paged(of).await {
        Ok((http, _)) => {
            let probe = http.probe.clone();
            (Some(http), probe)
        }
        Err(Finding::Skipped(_)) => (None, kit.working.clone()),
        Err(finding) => return Err(finding),
    };
    let verdict = change_between_pages(kit, &probe, people).await;
    if let Ok(http) = kit.http().await {
        http.relay.cap(None);
    }
    verdict
}

async fn change_between_pages(kit: &Kit<'_>, probe: &Probe, mut people: Vec<crate::kit::Person>) -> Verdict {
    let of = kit.accounts()?;
    let whole = read(&kit.working, of).await?;
    let mut listing = Listing::default();
    let mut removed = Vec::new();
    let mut cursor: Option<Cursor> = None;
    let mut pages = 0;
    loop {
        let page = match probe.list(of, cursor.as_ref()).await? {
            Ok(page) => page,
            // The connector may report that the listing could not be read to its end.
            Err(_) if pages > 0 => return Ok(()),
            Err(error) => return failed(parts(&error)),
        };
        pages += 1;
        let here: Vec<String> = page.records.iter().map(|record| record.id().to_owned()).collect();
        listing.records.extend(page.records);
        listing.rejected.extend(page.rejected);
        let Some(next) = page.next else { break };
        // An account on this page is deleted, so that all later ones move up.
        if let Some(at) =
            people.iter().position(|person| here.iter().any(|id| *id == person.record.id.as_str()))
            && removed.len() < 2
        {
            let person = people.swap_remove(at);
            kit.done(&about(Action::DeleteAccount, &person.known())?).await?;
            removed.push(person.record.id.to_string());
        }
        if pages == 2 {
            kit.person().await?;
        }
        if pages > 20_000 {
            return failed("no end after 20,000 pages");
        }
        cursor = Some(next);
    }
    if pages == 1 {
        return skipped("everything fits in one page");
    }
    if removed.is_empty() {
        return skipped("none of the kit's own accounts was on a page that another page follows");
    }
    let mut left = whole;
    left.records.retain(|record| !removed.iter().any(|id| id == record.id()));
    is_whole(
        &format!("{} accounts were deleted while the {pages} pages were read", removed.len()),
        &listing,
        &left,
    )
}

async fn unreadable_records(kit: &Kit<'_>) -> Verdict {
    let of = kit.accounts()?;
    let http = kit.http_alone().await?;
    let record = match kit.some_people(1).await?.pop() {
        Some(person) => person.record,
        None => match kit.listed().await?.into_iter().next() {
            Some(record) => record,
            None => return skipped("the target has no account to check"),
        },
    };
    for (field, text) in [("email", &record.email), ("user name", &record.username)] {
        let Some(text) = text else { continue };
        let from = Value::from(text.as_str()).to_string();
        for to in ["null", "5", "[1]", "{\"a\":1}", "\"\""] {
            let (from, to) = (from.clone(), to.to_owned());
            let what = format!("the target returns {to} as the {field} of an account");
            http.relay.play(move |_, _| Act::Replace(from.clone(), to.clone()));
            let listing = attempt(&http.probe, of).await;
            let found = http.probe.find(&Account::by_id(record.id.clone())).await;
            http.relay.pass();
            if let Ok(listing) = listing? {
                let there = listing.records.iter().map(Record::id).any(|id| id == record.id.as_str());
                if !there && listing.rejected.is_empty() {
                    return failed(format!("{what}: the listing leaves out the account"));
                }
            }
            if let Ok(None) = found? {
                return failed(format!("{what}: find_account reports that the account does not exist"));
            }
        }
    }
    Ok(())
}
