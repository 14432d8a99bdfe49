//! Relays to a target that understand other protocols than HTTP: LDAP, PostgreSQL and MySQL.
//!
//! They read only as much of each protocol as is needed to separate requests, and to respond in the target's place. None of the connections
//! may be encrypted.

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

/// An error in the form of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub(super) name: &'static str,
    pub(super) number: u16,
    /// Its SQLSTATE, for a database.
    pub(super) state: &'static str,
    pub(super) means: Means,
    /// Whether the connection ends after it.
    pub(super) ends: bool,
    /// Whether it means the same as another error.
    pub(super) is_a_variant: bool,
}

impl Said {
    /// The same error, as one of several with the same meaning.
    const fn variant(self) -> Self {
        Self { is_a_variant: true, ..self }
    }
}

/// What an error of the target means for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Means {
    /// The condition is temporary.
    Busy,
    /// The connector is not allowed to do this.
    Denied,
    /// Something is wrong at the target, but it does not mean that an account is missing or already exists.
    Trouble,
    /// This depends on the request.
    Anything,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.state.is_empty() { self.number.to_string() } else { self.state.to_owned() };
        write!(f, "{} ({sign})", self.name)
    }
}

/// A request of a client: everything up to the point where the target responds.
struct Asked {
    bytes: Vec<u8>,
    /// The request as the kit records it; `None` for messages that belong to the login, or have no response.
    seen: Option<Seen>,
    /// Identifies its response.
    id: u32,
    /// The kind of message, in the terms of the protocol.
    kind: u8,
}

/// A part of the target's response.
struct Answered {
    bytes: Vec<u8>,
    id: u32,
    /// Whether this is the last part of the response, so that the request has been executed.
    is_done: bool,
    /// The result code, if it has one.
    code: Option<u16>,
}

/// How a request is rejected.
enum Refusal {
    /// This is sent to the target instead, so that the target itself returns the error.
    ByTarget(Vec<u8>),
    /// The relay sends this response.
    ByRelay(Vec<u8>),
}

/// A protocol, as far as the relay understands it.
trait Language: Send {
    /// Takes the first complete request from the bytes that the client sent.
    fn request(&mut self, from_client: &mut Vec<u8>) -> Option<Asked>;

    /// Takes the first complete part of a response from the bytes that the target sent.
    fn answer(&mut self, from_target: &mut Vec<u8>) -> Option<Answered>;

    fn refuse(&self, asked: &Asked, said: Said) -> Refusal;

    /// What is sent of a part of a response that ends with an error after its first record; `records` counts the forwarded ones.
    fn partly(&self, answered: Answered, said: Said, records: &mut usize) -> Vec<u8>;
}

/// What happens to the response to a request.
#[derive(Clone, Copy)]
enum Fate {
    /// It is lost, and the connection is closed.
    Lost,
    /// It breaks off.
    Half,
    /// The connection is closed after it.
    Last,
    /// It ends with an error after its first record.
    Partly(Said, usize),
}

/// The bad responses of targets with this protocol.
pub(super) fn bads(protocol: Protocol) -> Option<&'static Bads> {
    match protocol {
        Protocol::Http => None,
        Protocol::Ldap => Some(&ldap::BADS),
        Protocol::Postgres => Some(&postgres::BADS),
        Protocol::MySql => Some(&mysql::BADS),
    }
}

/// Serves a connection to a target with this protocol.
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
    // The recorded requests that have no response yet, by their ids.
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

/// The first word of a statement, in upper case.
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

/// Removes this many bytes from the start.
fn take(buffer: &mut Vec<u8>, count: usize) -> Vec<u8> {
    buffer.drain(..count.min(buffer.len())).collect()
}
