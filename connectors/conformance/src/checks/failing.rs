//! A failing target: each request of each call gets each bad response, one after another.

use crate::bad::{Bad, WAIT};
use crate::finding::{Finding, Verdict, ensure, failed, parts, skipped};
use crate::http::{Http, is_whole};
use crate::kit::{Kit, who};
use crate::listing::attempt;
use crate::network::Nobody;
use crate::probe::{Answer, Probe};
use crate::relay::{Act, Seen};
use crate::rule::Rule;
use crate::tasks::{changed, identity, named};
use crate::wire::{Means, Said};
use crate::{Protocol, Situation};
use bridgehead_sdk::{Account, Action, Code, Description, Effect, Error, Retry, Subject};

use super::reads_only::reading_changes_nothing;
use super::refs::{member, wishes};
use super::trial::{Trial, picks, trials};

pub(crate) const RULES: [Rule; 9] = [
    Rule::reads(
        "failing-listing",
        "Whatever bad response a page of a listing gets, the listing ends with an error, or contains every \
         record.",
        |kit| Box::pin(failing_listing(kit)),
    ),
    Rule::reads(
        "failing-look-up",
        "Whatever bad response a look-up gets, the result is an error or the account as it is: never none, \
         and never another account.",
        |kit| Box::pin(failing_look_up(kit)),
    ),
    Rule::changes(
        "failing-change",
        "Success is reported only for changes that were made, and \"not applied\" only for changes that \
         were not, whichever request fails.",
        &[Action::CreateAccount],
        |kit| Box::pin(failing_change(kit)),
    ),
    Rule::reads(
        "failing-codes",
        "401, 403, 429 and 5xx each have their code; temporary failures are retried, after the requested \
         time.",
        |kit| Box::pin(failing_codes(kit)),
    ),
    Rule::reads("never-retries", "A request that failed is not sent again within the call.", |kit| {
        Box::pin(never_retries(kit))
    }),
    Rule::reads("failing-check", "check() passes only if the target responds as it should.", |kit| {
        Box::pin(failing_check(kit))
    }),
    Rule::reads(
        "describe-while-down",
        "When the target is down, describe() is an error, or returns the same as before.",
        |kit| Box::pin(describe_while_down(kit)),
    ),
    Rule::reads("reading-changes-nothing", "check, list and find_account only read.", |kit| {
        Box::pin(reading_changes_nothing(kit))
    }),
    Rule::reads("bodies-out-of-errors", "No message quotes the body of a response.", |kit| {
        Box::pin(bodies_out_of_errors(kit))
    }),
];

/// The number of accounts that the kit adds to a listing.
const SOME: usize = 5;

/// Whether to send this bad response: for a slow target, only responses that are common.
fn is_given(kit: &Kit<'_>, bad: Bad) -> bool {
    kit.test_target.fails_in_every_way() || !bad.is_rare()
}

/// Whether to make this request fail. In protocols other than HTTP one page takes several requests, so only some of
/// them fail.
fn is_picked(kit: &Kit<'_>, number: usize, requests: usize) -> bool {
    kit.test_target.protocol() == Protocol::Http || number == 0 || number == MIDDLE || number + 1 == requests
}

/// A request that is usually neither the first nor the last.
const MIDDLE: usize = 4;

async fn failing_listing(kit: &Kit<'_>) -> Verdict {
    kit.http().await?;
    kit.some_people(SOME).await?;
    if let Err(Finding::Failed(why) | Finding::Late(why)) = member(kit).await {
        return failed(why);
    }
    for of in &kit.description.resource_types {
        let (http, whole) = kit.paged(of).await?;
        http.relay.pass();
        attempt(&http.probe, of).await?.ok();
        let requests = http.relay.seen().len();
        for bad in http.relay.bads().all().filter(|bad| is_given(kit, *bad)) {
            for number in picks(requests).filter(|number| is_picked(kit, *number, requests)) {
                http.relay.at(number, Act::Answer(bad));
                if let Ok(listing) = attempt(&http.probe, of).await? {
                    let what = format!(
                        "list {}, request {} of {requests} was answered with {bad}",
                        of.slug,
                        number + 1
                    );
                    is_whole(&what, &listing, &whole)?;
                }
            }
        }
        http.relay.cap(None);
    }
    Ok(())
}

async fn failing_look_up(kit: &Kit<'_>) -> Verdict {
    let http = kit.http().await?;
    let record = match member(kit).await {
        Ok(person) => person.record,
        Err(Finding::Skipped(_)) => match kit.listed().await?.into_iter().next() {
            Some(record) => record,
            None => return skipped("the target has no account to look up"),
        },
        Err(finding) => return Err(finding),
    };
    let nobody = kit.test_target.account(&kit.name());
    let mut forms = vec![(Account::by_id(record.id.clone()), Account::by_id("bridgehead-kit-not-there"))];
    for (field, value) in [("username", &record.username), ("email", &record.email)] {
        if let (Some(value), Some(other)) = (value, nobody.get(field).and_then(|other| other.as_str())) {
            forms.push((named(field, value), named(field, other)));
        }
    }
    for (account, nobody) in forms {
        // Record how the target itself reports that the account does not exist.
        http.relay.pass();
        http.probe.find(&nobody).await?.ok();
        let nobodies = http.relay.seen();
        http.relay.pass();
        let was = match http.probe.find(&account).await? {
            Ok(Some(was)) => was,
            Ok(None) => return failed(format!("find_account does not find {}, which exists", who(&account))),
            Err(error) => return failed(format!("find_account of {}: {}", who(&account), parts(&error))),
        };
        let requests = http.relay.seen().len();
        for number in picks(requests) {
            for bad in http.relay.bads().all().filter(|bad| is_given(kit, *bad)) {
                http.relay.at(number, Act::Answer(bad));
                let what = || {
                    format!(
                        "find_account of {}, request {} of {requests} was answered with {bad}",
                        who(&account),
                        number + 1
                    )
                };
                match http.probe.find(&account).await? {
                    Ok(None) if nobodies.iter().any(|answer| bad.says_nobody(answer)) => {}
                    Ok(None) => {
                        return failed(format!("{}: it reports that the account does not exist", what()));
                    }
                    Ok(Some(now)) => {
                        ensure(now.id == was.id, || format!("{}: it returns {}", what(), now.id))?;
                        let changed = changed(&was, &now);
                        ensure(changed.is_empty(), || {
                            format!("{}: the account has a different {}", what(), changed.join(", "))
                        })?;
                    }
                    Err(_) => {}
                }
            }
        }
    }
    Ok(())
}

async fn failing_change(kit: &Kit<'_>) -> Verdict {
    let http = kit.http().await?;
    let wishes = wishes(kit).await?;
    for kind in trials(kit) {
        let mut trial = kind.prepare(kit, &wishes).await?;
        http.relay.pass();
        if let Err(error) = http.probe.execute(1, &trial.operation).await? {
            return failed(format!("{}, through the kit's relay: {}", trial.call, parts(&error)));
        }
        let requests = http.relay.seen();
        trial = kind.prepare(kit, &wishes).await?;
        for number in picks(requests.len()).filter(|number| is_picked(kit, *number, requests.len())) {
            // If the connector cannot delete, created accounts stay, so only a few are created.
            let few = |bad: &Bad| kit.offers(Action::DeleteAccount) || matches!(bad, Bad::Status(403 | 500));
            let bads = http.relay.bads();
            // For a request that only reads, it makes no difference whether the target executed it, and lookups are
            // tested separately.
            let reads = requests.get(number).is_some_and(Seen::reads);
            let telling = |bad: &Bad| is_given(kit, *bad) && (!reads || bads.reading.contains(bad));
            let answered = bads.refusals.iter().chain(bads.confused).copied();
            let answered = answered.filter(few).filter(telling).map(Act::Answer);
            let lost =
                bads.lost.iter().copied().filter(few).filter(|bad| is_given(kit, *bad)).map(Act::PassAnd);
            for act in answered.chain(lost.filter(|_| !reads)) {
                http.relay.at(number, act.clone());
                let answer = http.probe.execute(1, &trial.operation).await?;
                let what = || {
                    let (bad, passed) = match &act {
                        Act::PassAnd(bad) => (*bad, "executed, and "),
                        Act::Answer(bad) => (*bad, ""),
                        _ => (Bad::Empty, ""),
                    };
                    format!(
                        "{}, request {} of {} {passed}was answered with {bad}",
                        trial.call,
                        number + 1,
                        requests.len()
                    )
                };
                // A protocol other than HTTP may continue on another connection, and prepare fewer statements than
                // before.
                let sent = http.relay.seen().len();
                let has_gone_on = kit.test_target.protocol() != Protocol::Http && sent != number + 1;
                http.relay.pass();
                let place = Place { is_last: number + 1 == requests.len(), has_gone_on };
                if trial.judge(kit, &what(), &answer, &act, place).await? {
                    trial = kind.prepare(kit, &wishes).await?;
                }
            }
        }
    }
    Ok(())
}

/// Checks the error of a call whose target sent this response.
fn coded(bad: Bad, changes: bool, error: &Error) -> Result<(), String> {
    let code = error.code();
    let later = error.retry() != Retry::Never;
    let asked = matches!(error.retry(), Retry::After(wait) if wait.as_secs().abs_diff(WAIT) <= 1);
    let wanted = match bad {
        Bad::Status(401) | Bad::Page(401) => {
            (code == Code::PermissionDenied && error.subject() == Subject::Connection && later)
                .then_some(())
                .ok_or("PERMISSION_DENIED, retry later, subject connection")
        }
        Bad::Status(403) | Bad::Page(403) => (code == Code::PermissionDenied && !(changes && later))
            .then_some(())
            .ok_or("PERMISSION_DENIED, retry never"),
        Bad::Wait(429) => (code == Code::RateLimited && asked)
            .then_some(())
            .ok_or("RATE_LIMITED, retry after the requested 7 s"),
        // A connector that cannot read the date may wait for any time.
        Bad::Status(429) | Bad::Page(429) => {
            (code == Code::RateLimited && later).then_some(()).ok_or("RATE_LIMITED, retry later")
        }
        Bad::Until(429) => {
            let wait = match error.retry() {
                Retry::After(wait) => wait.as_secs() <= WAIT + 1,
                _ => later,
            };
            (code == Code::RateLimited && wait)
                .then_some(())
                .ok_or("RATE_LIMITED, retry after the requested 7 s, or later")
        }
        Bad::Wait(503) => (is_trouble(code) && asked)
            .then_some(())
            .ok_or("RATE_LIMITED, TIMEOUT or INTERNAL_ERROR, retry after the requested 7 s"),
        Bad::Status(500 | 502 | 504) => {
            is_trouble(code).then_some(()).ok_or("INTERNAL_ERROR, TIMEOUT or RATE_LIMITED")
        }
        Bad::Says(said) => match said.means {
            Means::Busy => (is_trouble(code) && later)
                .then_some(())
                .ok_or("RATE_LIMITED, TIMEOUT or INTERNAL_ERROR, retry later"),
            Means::Denied => (error.subject() == Subject::Connection
                || (code == Code::PermissionDenied && !(changes && later)))
                .then_some(())
                .ok_or("PERMISSION_DENIED, retry never, or an error of the connection"),
            Means::Trouble => (!matches!(code, Code::AccountNotFound | Code::AccountAlreadyExists))
                .then_some(())
                .ok_or("no error saying that the account is missing or already exists"),
            Means::Anything => Ok(()),
        },
        _ => Ok(()),
    };
    wanted.map_err(|wanted| format!("expected {wanted}; got {}", parts(error)))
}

fn is_trouble(code: Code) -> bool {
    matches!(code, Code::InternalError | Code::Timeout | Code::RateLimited)
}

/// What a call did with a bad response.
struct Observed {
    call: String,
    changes: bool,
    bad: Bad,
    /// The number of the request that got it.
    number: usize,
    error: Option<Error>,
    /// The request that got it, and how often it was repeated.
    again: Option<(String, usize)>,
    /// The calls so far whose error message quoted a body.
    quoted: Vec<String>,
}

/// Every possible call, with every bad response to each of its requests. It runs once, for all checks that judge it.
#[derive(Default)]
pub(crate) struct Round {
    observed: Vec<Observed>,
    /// The finding that ended the round early.
    ended: Option<Finding>,
}

impl Round {
    fn note(
        &mut self,
        kit: &Kit<'_>,
        http: &Http,
        call: (&str, bool),
        bad: Bad,
        number: usize,
        error: Option<Error>,
    ) {
        let seen = http.relay.seen();
        let again = seen.get(number).map(|failing| {
            let again = seen.iter().skip(number + 1).filter(|later| later.is_again(failing)).count();
            (format!("{} {}", failing.method, failing.path), again)
        });
        let quoted = kit.watch.leaks().bodies.into_iter().collect();
        self.observed.push(Observed {
            call: call.0.to_owned(),
            changes: call.1,
            bad,
            number,
            error,
            again,
            quoted,
        });
    }

    async fn go(&mut self, kit: &Kit<'_>, http: &Http) -> Verdict {
        let probe = &http.probe;
        let nobody = identity(&kit.test_target.account(&kit.name()));
        let tried: Vec<Bad> =
            http.relay.bads().tried.iter().copied().filter(|bad| is_given(kit, *bad)).collect();
        for bad in tried.iter().copied() {
            http.relay.at(0, Act::Answer(bad));
            let error = outcome(probe.check().await)?;
            self.note(kit, http, ("check", false), bad, 0, error);
            for of in &kit.description.resource_types {
                http.relay.at(0, Act::Answer(bad));
                let error = outcome(probe.list(of, None).await)?;
                self.note(kit, http, (&format!("list {}", of.slug), false), bad, 0, error);
            }
            http.relay.at(0, Act::Answer(bad));
            let error = outcome(probe.find(&nobody).await)?;
            self.note(kit, http, ("find_account", false), bad, 0, error);
        }
        if kit.test_target.read_only() || !kit.offers(Action::CreateAccount) {
            return Ok(());
        }
        let wishes = wishes(kit).await?;
        for kind in trials(kit) {
            let mut trial = kind.prepare(kit, &wishes).await?;
            http.relay.pass();
            probe.execute(1, &trial.operation).await?.ok();
            let requests = http.relay.seen().len();
            trial = kind.prepare(kit, &wishes).await?;
            for number in picks(requests).filter(|number| is_picked(kit, *number, requests)) {
                // Variants of a response are only tried on the first request of a call.
                for bad in tried.iter().copied().filter(|bad| number == 0 || !bad.is_a_variant()) {
                    http.relay.at(number, Act::Answer(bad));
                    let error = outcome(probe.execute(1, &trial.operation).await)?;
                    let is_done = error.is_none();
                    self.note(kit, http, (&trial.call, true), bad, number, error);
                    // An earlier request may have changed something.
                    if is_done || (number > 0 && trial.is_changed(trial.now(kit).await?.as_ref())) {
                        trial = kind.prepare(kit, &wishes).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The round, which runs only once. A call that hangs or panics ends it, and fails all checks that judge it.
async fn round<'k>(kit: &'k Kit<'_>) -> Verdict<&'k Round> {
    let http = kit.http().await?;
    let round = kit.round.get(|| async {
        let mut round = Round::default();
        round.ended = round.go(kit, &http).await.err();
        http.relay.pass();
        round
    });
    round.await
}

impl Round {
    /// Judges the observations, then the finding that ended the round.
    fn judge(&self, mut judge: impl FnMut(&Observed) -> Verdict) -> Verdict {
        self.observed.iter().try_for_each(&mut judge)?;
        match &self.ended {
            None => Ok(()),
            Some(Finding::Failed(why)) => failed(why.clone()),
            Some(Finding::Late(why)) => Err(Finding::Late(why.clone())),
            Some(Finding::Skipped(why)) => skipped(why.clone()),
        }
    }
}

/// The error of a call, if it failed.
fn outcome<T>(answer: Answer<T>) -> Verdict<Option<Error>> {
    answer.map(Result::err)
}

async fn failing_codes(kit: &Kit<'_>) -> Verdict {
    round(kit).await?.judge(|seen| match &seen.error {
        Some(error) => coded(seen.bad, seen.changes, error).map_err(|why| {
            Finding::Failed(format!(
                "{}, request {} was answered with {}: {why}",
                seen.call,
                seen.number + 1,
                seen.bad
            ))
        }),
        // Calls that succeed anyway are judged by other checks.
        None => Ok(()),
    })
}

async fn never_retries(kit: &Kit<'_>) -> Verdict {
    round(kit).await?.judge(|seen| match &seen.again {
        Some((request, again)) if *again > 0 && is_trouble_of(seen.bad) => failed(format!(
            "{}: {request} was answered with {}, and sent again {again} times",
            seen.call, seen.bad
        )),
        _ => Ok(()),
    })
}

/// Whether the same request may succeed later, which may tempt a connector to retry.
fn is_trouble_of(bad: Bad) -> bool {
    matches!(bad, Bad::Wait(_) | Bad::Status(500) | Bad::Says(Said { means: Means::Busy, .. }))
}

async fn failing_check(kit: &Kit<'_>) -> Verdict {
    let http = kit.http().await?;
    for bad in http.relay.bads().refusals.iter().copied().chain([Bad::HangUp]) {
        http.relay.always(bad);
        let answer = http.probe.check().await?;
        http.relay.pass();
        ensure(answer.is_err(), || {
            format!("the target answers every request with {bad}, but check() passes")
        })?;
    }
    Ok(())
}

async fn describe_while_down(kit: &Kit<'_>) -> Verdict {
    let mut reasons = Vec::new();
    let nobody = Nobody::new()?;
    for (which, situation) in [
        ("that is unreachable", Situation::Unreachable(nobody.address)),
        ("that rejects the credential", Situation::BadCredential),
    ] {
        match kit.connect(situation).await {
            Ok(probe) => says_the_same(kit, which, &probe).await?,
            Err(Finding::Skipped(why)) => reasons.push(why),
            Err(finding) => return Err(finding),
        }
    }
    if let Err(Finding::Skipped(why)) = kit.http().await {
        reasons.push(why);
    } else {
        // There is no 404 in `down`: a target may use it to say that it has no discovery, which is a valid response.
        for bad in kit.http().await?.relay.bads().down.iter().copied() {
            // A new connector each time: one that has worked before may have cached its capabilities.
            let http = kit.relayed(Situation::Through).await?;
            http.relay.always(bad);
            says_the_same(kit, &format!("that responds with {bad}"), &http.probe).await?;
        }
        return Ok(());
    }
    if reasons.len() == 3 { skipped(reasons.swap_remove(0)) } else { Ok(()) }
}

async fn says_the_same(kit: &Kit<'_>, which: &str, probe: &Probe) -> Verdict {
    let Ok(now) = probe.describe().await? else { return Ok(()) };
    let slugs = |description: &Description| {
        let types = description.resource_types.iter();
        types.map(|of| (of.kind, of.slug.to_string())).collect::<std::collections::BTreeSet<_>>()
    };
    let was = &kit.description;
    ensure(slugs(&now) == slugs(was) && now.actions == was.actions, || {
        format!(
            "of a target {which}, it describes {} resource types and {} actions; there are {} and {}. A \
             failed request is an error",
            now.resource_types.len(),
            now.actions.len(),
            was.resource_types.len(),
            was.actions.len()
        )
    })
}

async fn bodies_out_of_errors(kit: &Kit<'_>) -> Verdict {
    kit.http_alone().await?;
    round(kit).await?.judge(|seen| {
        ensure(seen.quoted.is_empty(), || {
            format!("the message of {} quotes the body of a response ({})", seen.quoted.join(", "), seen.bad)
        })
    })
}

/// The request of a call that was made to fail.
#[derive(Clone, Copy)]
struct Place {
    is_last: bool,
    /// Whether the call sent requests after it, or left out some before it: statements that are already prepared are not prepared again.
    has_gone_on: bool,
}

/// Judging a trial, which only this module needs.
impl Trial {
    /// Fails if the result of the call does not match what was done. Returns whether the account cannot be used again.
    async fn judge(
        &self,
        kit: &Kit<'_>,
        what: &str,
        answer: &Result<bridgehead_sdk::Completion, Error>,
        act: &Act,
        Place { is_last, has_gone_on }: Place,
    ) -> Verdict<bool> {
        let now = self.now(kit).await?;
        let is_changed = self.is_changed(now.as_ref());
        match answer {
            // A success from the target is believed, except for a creation: its response must identify the account.
            Ok(_)
                if matches!(act, Act::Answer(bad) if bad.says_success())
                    && self.action != Action::CreateAccount => {}
            Ok(_) if self.shows(now.as_ref()) == Some(false) => {
                return failed(format!("{what}: success is reported, but the change was not made"));
            }
            // A new password is not visible, but according to its response, the target did nothing.
            Ok(_)
                if self.shows(now.as_ref()).is_none()
                    && !has_gone_on
                    && matches!(act, Act::Answer(bad) if !bad.says_success()) =>
            {
                return failed(format!("{what}: success is reported"));
            }
            Err(error) if is_changed && error.effect() == Effect::NotApplied => {
                return failed(format!("{what}: something was changed, but the error says {}", parts(error)));
            }
            // An invisible change may have been made nevertheless, if this was the last request.
            Err(error)
                if is_last
                    && self.shows(now.as_ref()).is_none()
                    && matches!(act, Act::PassAnd(_))
                    && error.effect() == Effect::NotApplied =>
            {
                return failed(format!("{what}: the change was made, but the error says {}", parts(error)));
            }
            _ => {}
        }
        Ok(is_changed || answer.is_ok())
    }
}
