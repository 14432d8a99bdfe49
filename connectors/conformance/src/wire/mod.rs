//! Ways to a target that understand other protocols than HTTP: LDAP, and those of PostgreSQL and of MySQL.
//!
//! Only as much is read of each as it takes to tell one request from the next, and to answer it in the target's place. None of them may
//! be encrypted.

mod ldap;
mod mysql;
mod postgres;

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bad::{Bad, Bads};
use super::kit::lock;
use super::relay::{Act, Seen, Shared};
use super::test_target::Protocol;

/// An error as a target says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub(super) name: &'static str,
    pub(super) number: u16,
    /// Its SQLSTATE, of a database.
    pub(super) state: &'static str,
    pub(super) means: Means,
    /// Whether the connection ends with it.
    pub(super) ends: bool,
    /// Whether it says what another one says.
    pub(super) is_a_variant: bool,
}

impl Said {
    /// The same, as one of several that mean the same.
    const fn variant(self) -> Self {
        Self { is_a_variant: true, ..self }
    }
}

/// What an error of a target means for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Means {
    /// It will pass.
    Busy,
    /// The connector may not do it.
    Denied,
    /// Something is wrong at the target, and nobody is missing or there already because of it.
    Trouble,
    /// It depends on what was asked.
    Anything,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.state.is_empty() { self.number.to_string() } else { self.state.to_owned() };
        write!(f, "{} ({sign})", self.name)
    }
}

/// A request of a client: everything up to where the target answers.
struct Asked {
    bytes: Vec<u8>,
    /// What the kit sees of it; `None` for what belongs to the login, or is not answered.
    seen: Option<Seen>,
    /// By which its answer is known.
    id: u32,
    /// What language it is in knows what this is.
    kind: u8,
}

/// A part of an answer of the target.
struct Answered {
    bytes: Vec<u8>,
    id: u32,
    /// Whether the request has been executed.
    is_done: bool,
    /// The code of the result, if it has one.
    code: Option<u16>,
}

/// How a request is refused.
enum Refusal {
    /// The target is asked this in its place, and will say the error itself.
    ByTarget(Vec<u8>),
    /// The relay says it.
    ByRelay(Vec<u8>),
}

/// A protocol, as far as the relay understands it.
trait Language: Send {
    /// Takes the first request from what has come from the client, once it is there.
    fn request(&mut self, from_client: &mut Vec<u8>) -> Option<Asked>;

    /// Takes the first part of an answer from what has come from the target.
    fn answer(&mut self, from_target: &mut Vec<u8>) -> Option<Answered>;

    fn refuse(&self, asked: &Asked, said: Said) -> Refusal;

    /// What is left of a part of an answer that ends in an error after its first record; `records` counts those that have passed.
    fn partly(&self, answered: Answered, said: Said, records: &mut usize) -> Vec<u8>;
}

/// What becomes of the answer to a request.
#[derive(Clone, Copy)]
enum Fate {
    /// It is lost, and the connection with it.
    Lost,
    /// It breaks off.
    Half,
    /// The connection ends behind it.
    Last,
    /// It ends in an error behind its first record.
    Partly(Said, usize),
}

/// The bad answers that a target of this protocol can give.
pub(super) fn bads(protocol: Protocol) -> Option<&'static Bads> {
    match protocol {
        Protocol::Http => None,
        Protocol::Ldap => Some(&ldap::BADS),
        Protocol::Postgres => Some(&postgres::BADS),
        Protocol::MySql => Some(&mysql::BADS),
    }
}

/// Serves a connection to a target of this protocol.
pub(super) async fn serve(mut client: TcpStream, shared: Arc<Shared>, protocol: Protocol) {
    let mut language: Box<dyn Language> = match protocol {
        Protocol::Ldap => Box::new(ldap::Ldap),
        Protocol::Postgres => Box::new(postgres::Postgres::default()),
        Protocol::MySql => Box::new(mysql::MySql::default()),
        Protocol::Http => return,
    };
    let Ok(mut target) = TcpStream::connect(shared.target).await else { return };
    // The other side closed the connection: this is expected.
    drop(converse(&mut client, &mut target, &mut *language, &shared).await);
    drop(client.shutdown().await);
}

async fn converse(
    client: &mut TcpStream,
    target: &mut TcpStream,
    language: &mut dyn Language,
    shared: &Shared,
) -> std::io::Result<()> {
    let (mut from_client, mut from_target) = (Vec::new(), Vec::new());
    let mut fate: Option<(u32, Fate)> = None;
    // Which of the requests that the kit saw have no answer yet, by what they are known by.
    let mut open: Vec<(u32, usize)> = Vec::new();
    loop {
        tokio::select! {
            count = client.read_buf(&mut from_client) => {
                if count? == 0 {
                    return Ok(());
                }
                while let Some(asked) = language.request(&mut from_client) {
                    let act = match &asked.seen {
                        Some(seen) => {
                            let (number, act) = shared.meet(seen);
                            open.retain(|(id, _)| *id != asked.id);
                            open.push((asked.id, number));
                            act
                        }
                        None => Act::Pass,
                    };
                    match act {
                        Act::Answer(Bad::Says(said)) => match language.refuse(&asked, said) {
                            Refusal::ByTarget(instead) => {
                                fate = said.ends.then_some((asked.id, Fate::Last));
                                target.write_all(&instead).await?;
                            }
                            Refusal::ByRelay(answer) => {
                                client.write_all(&answer).await?;
                                if said.ends {
                                    return Ok(());
                                }
                            }
                        },
                        Act::Answer(Bad::HangUp) => return Ok(()),
                        act => {
                            fate = match act {
                                Act::Answer(Bad::Partly(said)) => Some((asked.id, Fate::Partly(said, 0))),
                                Act::Answer(Bad::Half) | Act::PassAnd(Bad::Half) => Some((asked.id, Fate::Half)),
                                Act::PassAnd(Bad::HangUp) => Some((asked.id, Fate::Lost)),
                                _ => fate,
                            };
                            target.write_all(&asked.bytes).await?;
                        }
                    }
                }
            }
            count = target.read_buf(&mut from_target) => {
                if count? == 0 {
                    return Ok(());
                }
                while let Some(answered) = language.answer(&mut from_target) {
                    if let Some(code) = answered.code
                        && let Some((_, number)) = open.iter().find(|(id, _)| *id == answered.id)
                        && let Some(seen) = lock(&shared.seen).get_mut(*number)
                    {
                        seen.status = Some(code);
                    }
                    let is_done = answered.is_done;
                    match &mut fate {
                        Some((id, Fate::Lost)) if *id == answered.id => {
                            if is_done {
                                return Ok(());
                            }
                        }
                        Some((id, Fate::Half)) if *id == answered.id => {
                            let half = answered.bytes.get(..answered.bytes.len() / 2);
                            client.write_all(half.unwrap_or_default()).await?;
                            return Ok(());
                        }
                        Some((id, Fate::Last)) if *id == answered.id => {
                            client.write_all(&answered.bytes).await?;
                            if is_done {
                                return Ok(());
                            }
                        }
                        Some((id, Fate::Partly(said, records))) if *id == answered.id => {
                            client.write_all(&language.partly(answered, *said, records)).await?;
                            if is_done {
                                fate = None;
                            }
                        }
                        _ => client.write_all(&answered.bytes).await?,
                    }
                }
            }
        }
    }
}

/// The first word of a statement, in capitals.
fn verb(statement: &str) -> String {
    let words = statement.trim_start().split(|letter: char| !letter.is_ascii_alphabetic());
    words.take(1).collect::<String>().to_ascii_uppercase()
}

fn seen(method: &str, path: &str, body: &[u8]) -> Seen {
    Seen {
        method: method.to_owned(),
        path: path.to_owned(),
        body: body.to_vec(),
        status: None,
        is_null: false,
    }
}

/// Takes so many bytes from the front.
fn take(buffer: &mut Vec<u8>, count: usize) -> Vec<u8> {
    buffer.drain(..count.min(buffer.len())).collect()
}
