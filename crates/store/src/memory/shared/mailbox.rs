//! Requests of operators between nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::super::lease::{Mailbox, Progress, Request};
use super::super::super::{AppKey, Error};
use super::node::Node;

/// Nobody waits for an older request any more.
const OLD: Duration = Duration::from_mins(1);

/// The requests of all nodes, by id.
#[derive(Default)]
pub(super) struct Letters {
    sent: u64,
    all: BTreeMap<String, Letter>,
}

struct Letter {
    request: Request,
    process: String,
    asked_at: Instant,
    is_taken: bool,
    answer: Option<Vec<u8>>,
}

impl Letters {
    fn take(&mut self, process: &str) -> Vec<Request> {
        let waiting = self.all.values_mut().filter(|letter| {
            letter.process == process && !letter.is_taken && letter.asked_at.elapsed() < OLD
        });
        waiting
            .map(|letter| {
                letter.is_taken = true;
                letter.request.clone()
            })
            .collect()
    }
}

#[async_trait]
impl Mailbox for Node {
    async fn send(&self, app: &AppKey, process: &str, actor: &str, body: &[u8]) -> Result<String, Error> {
        let (app, process) = (app.clone(), process.to_owned());
        let (actor, body) = (actor.to_owned(), body.to_owned());
        let send = self.0.request(move |database| {
            let letters = &mut database.rows().letters;
            letters.sent += 1;
            let id = format!("{:08}", letters.sent);
            let request = Request { id: id.clone(), app, actor, body };
            let letter = Letter { request, process, asked_at: Instant::now(), is_taken: false, answer: None };
            letters.all.insert(id.clone(), letter);
            Ok(id)
        });
        send.await
    }

    async fn progress(&self, id: &str) -> Result<Progress, Error> {
        let id = id.to_owned();
        let progress = self.0.request(move |database| {
            Ok(match database.rows().letters.all.get(&id) {
                None => Progress::Gone,
                Some(Letter { answer: Some(answer), .. }) => Progress::Answered(answer.clone()),
                Some(Letter { is_taken: true, .. }) => Progress::Taken,
                Some(_) => Progress::Waiting,
            })
        });
        progress.await
    }

    async fn withdraw(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        let withdraw = self.0.request(move |database| {
            let letters = &mut database.rows().letters.all;
            let may_go = letters.get(&id).is_some_and(|letter| !letter.is_taken || letter.answer.is_some());
            Ok(may_go && letters.remove(&id).is_some())
        });
        withdraw.await
    }

    async fn take(&self) -> Result<Vec<Request>, Error> {
        let process = self.0.identity.process.clone();
        self.0.request(move |database| Ok(database.rows().letters.take(&process))).await
    }

    async fn answer(&self, id: &str, body: &[u8]) -> Result<(), Error> {
        let (id, body) = (id.to_owned(), body.to_owned());
        let answer = self.0.request(move |database| {
            if let Some(letter) = database.rows().letters.all.get_mut(&id) {
                letter.answer = Some(body);
            }
            Ok(())
        });
        answer.await
    }
}
