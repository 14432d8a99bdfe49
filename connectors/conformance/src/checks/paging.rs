//! Listings of every length that may cause problems.

use std::collections::HashSet;

use crate::finding::{Finding, Verdict, ensure, failed, parts, skipped};
use crate::kit::Kit;
use crate::listing::{Listing, read};
use crate::probe::Probe;
use crate::rule::Rule;
use crate::tasks::named;
use bridgehead_sdk::{Account, ResourceKind, ResourceType};

pub(crate) const RULES: [Rule; 7] = [
    Rule::reads(
        "paging-many",
        "In a listing of many pages each account occurs exactly once, and the last is found.",
        |kit| Box::pin(paging_many(kit)),
    ),
    Rule::reads("paging-none", "A target without accounts is listed to the end, with no accounts.", |kit| {
        Box::pin(of_length(kit, 0))
    }),
    Rule::reads("paging-one", "A target with one account is listed to the end.", |kit| {
        Box::pin(of_length(kit, 1))
    }),
    Rule::reads("paging-full-page", "A target with exactly one page is listed to the end.", |kit| {
        Box::pin(async move {
            let size = page_size(kit).await?;
            of_length(kit, size).await
        })
    }),
    Rule::reads(
        "paging-page-and-one",
        "A target with one page and one account is listed to the end.",
        |kit| {
            Box::pin(async move {
                let size = page_size(kit).await?;
                of_length(kit, size + 1).await
            })
        },
    ),
    Rule::reads("page-again", "The same cursor used twice returns the same page.", |kit| {
        Box::pin(page_again(kit))
    }),
    Rule::reads(
        "pages-bounded",
        "A page contains a bounded number of records, however many there are.",
        |kit| Box::pin(pages_bounded(kit)),
    ),
];

fn accounts<'k>(kit: &'k Kit<'_>) -> Verdict<&'k ResourceType> {
    kit.types(ResourceKind::Account).next().ok_or_else(|| Finding::Skipped("it lists no accounts".to_owned()))
}

/// The long listing, which is read once for all checks.
async fn many<'k>(kit: &'k Kit<'_>) -> Verdict<&'k (Probe, Listing)> {
    let of = accounts(kit)?;
    let many = kit
        .many
        .get(|| async {
            let probe = kit.populated(kit.test_target.many()).await.map_err(|skip| (true, skip.0))?;
            match read(&probe, of).await {
                Ok(listing) => Ok((probe, listing)),
                Err(Finding::Failed(why) | Finding::Late(why)) => Err((false, why)),
                Err(Finding::Skipped(why)) => Err((true, why)),
            }
        })
        .await?;
    match many {
        Ok(many) => Ok(many),
        Err((true, why)) => skipped(why.clone()),
        Err((false, why)) => failed(why.clone()),
    }
}

/// A connector whose target has very many accounts.
pub(super) async fn filled(kit: &Kit<'_>) -> Verdict<Probe> {
    many(kit).await.map(|(probe, _)| probe.clone())
}

async fn page_size(kit: &Kit<'_>) -> Verdict<usize> {
    let (_, listing) = match many(kit).await {
        // A listing that cannot be read is the finding of another check.
        Err(Finding::Failed(why) | Finding::Late(why)) => {
            return skipped(format!("the page size is unknown: {why}"));
        }
        other => other?,
    };
    match listing.pages.first() {
        Some((size, Some(_))) if *size > 0 => Ok(*size),
        _ => skipped("everything fits in one page"),
    }
}

async fn paging_many(kit: &Kit<'_>) -> Verdict {
    let (probe, listing) = match (many(kit).await, kit.test_target.page_size()) {
        (Err(Finding::Skipped(_)), Some(_)) => return several_pages(kit).await,
        (many, _) => many?,
    };
    complete(listing, kit.test_target.many())?;
    let accounts: Vec<_> = listing.accounts().collect();
    for record in [accounts.first(), accounts.get(accounts.len() / 2), accounts.last()].into_iter().flatten()
    {
        let mut names = vec![Account::by_id(record.id.clone())];
        names.extend(record.username.as_deref().map(|name| named("username", name)));
        for account in names {
            match probe.find(&account).await? {
                Ok(Some(found)) if found.id == record.id => {}
                Ok(_) => {
                    return failed(format!(
                        "find_account does not find {}, which is listed",
                        account.label()
                    ));
                }
                Err(error) => {
                    return failed(format!("find_account of {}: {}", account.label(), parts(&error)));
                }
            }
        }
    }
    Ok(())
}

/// Checks the listing of a target that cannot be populated, but has several pages with the kit's own accounts.
async fn several_pages(kit: &Kit<'_>) -> Verdict {
    let people = kit.some_people(kit.several_pages()).await?;
    if people.is_empty() {
        return skipped("it needs several pages of accounts, but may not create any");
    }
    let listing = read(&kit.working, accounts(kit)?).await?;
    if listing.pages.len() < 2 {
        return skipped(format!("everything fits in one page: {} accounts", listing.records.len()));
    }
    if let Some(id) = listing.repeated() {
        return failed(format!("record '{id}' occurs twice"));
    }
    let ids = listing.ids();
    for person in &people {
        ensure(ids.contains(person.record.id.as_str()), || {
            format!("list leaves out {}, which exists, in {} pages", person.record.id, listing.pages.len())
        })?;
    }
    Ok(())
}

async fn of_length(kit: &Kit<'_>, wanted: usize) -> Verdict {
    let of = accounts(kit)?;
    let probe = kit.populated(wanted).await?;
    complete(&read(&probe, of).await?, wanted)
}

fn complete(listing: &Listing, wanted: usize) -> Verdict {
    if let Some(id) = listing.repeated() {
        return failed(format!("record '{id}' occurs twice"));
    }
    if let Some(rejected) = listing.rejected.first() {
        return failed(format!("the test target's own accounts are rejected: {rejected}"));
    }
    let (count, pages) = (listing.records.len(), listing.pages.len());
    ensure(count == wanted, || {
        format!(
            "the target has {wanted} accounts; {count} were returned, in {pages} \
                                        pages"
        )
    })
}

async fn page_again(kit: &Kit<'_>) -> Verdict {
    let of = accounts(kit)?;
    let probe = match many(kit).await {
        Ok((probe, _)) => probe,
        Err(Finding::Skipped(_)) => {
            if kit.test_target.page_size().is_some() {
                kit.some_people(kit.several_pages()).await?;
            }
            &kit.working
        }
        // A listing that cannot be read is the finding of another check.
        Err(Finding::Failed(why) | Finding::Late(why)) => {
            return skipped(format!("it cannot be read: {why}"));
        }
    };
    // Pages are requested again in a listing that is under way, as the runtime does after an error: a position that the target discards
    // once it has moved on, as with LDAP's paged results, need not be valid later. The first page has no cursor, the second has one.
    let mut cursor: Option<bridgehead_sdk::Cursor> = None;
    for page in ["first", "second"] {
        let mut seen: Vec<(Vec<String>, Option<bridgehead_sdk::Cursor>)> = Vec::new();
        for _ in 0..2 {
            match probe.list(of, cursor.as_ref()).await? {
                Ok(page) => {
                    seen.push((
                        page.records.iter().map(|record| record.id().to_owned()).collect(),
                        page.next,
                    ));
                }
                Err(error) => return failed(format!("requesting a page again: {}", parts(&error))),
            }
        }
        let sets: Vec<HashSet<&String>> = seen.iter().map(|(ids, _)| ids.iter().collect()).collect();
        let ends: Vec<bool> = seen.iter().map(|(_, next)| next.is_none()).collect();
        ensure(sets.first() == sets.last() && ends.first() == ends.last(), || {
            format!(
                "the {page} page contained other records, or ended differently, when it was requested \
                     again"
            )
        })?;
        match seen.pop() {
            Some((_, Some(next))) => cursor = Some(next),
            // There is only one page.
            _ => break,
        }
    }
    Ok(())
}

async fn pages_bounded(kit: &Kit<'_>) -> Verdict {
    let (_, listing) = match many(kit).await {
        Err(Finding::Failed(why) | Finding::Late(why)) => {
            return skipped(format!("it cannot be read: {why}"));
        }
        other => other?,
    };
    let largest = listing.pages.iter().map(|(count, _)| *count).max().unwrap_or_default();
    let bound = kit.test_target.largest_page();
    ensure(largest <= bound, || format!("a page contained {largest} records, the limit is {bound}"))
}
