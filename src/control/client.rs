//! The side of the command.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LinesCodec};

use super::protocol::{LONGEST, socket};
use super::{Error, Event, Request};

/// How long the daemon may take for what needs no network.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the daemon may take from one event to the next where it asks Iden or a target: a little longer than the longest chain
/// of requests that are repeated.
const SILENCE: Duration = Duration::from_mins(5);

/// A connection to a running daemon, for one request.
#[derive(Debug)]
pub(crate) struct Client {
    lines: Framed<UnixStream, LinesCodec>,
}

/// Connects to the daemon of a state folder; `None` if none listens there.
pub(crate) async fn connect(folder: &Path) -> Result<Option<Client>, Error> {
    let path = socket(folder);
    trust(folder, &path)?;
    match UnixStream::connect(&path).await {
        Ok(stream) => {
            Ok(Some(Client { lines: Framed::new(stream, LinesCodec::new_with_max_length(LONGEST)) }))
        }
        Err(source) if source.kind() == ErrorKind::PermissionDenied => Err(Error::Denied { path, source }),
        // No socket, one that was left behind, or no room for its path in the address of a socket.
        Err(_) => Ok(None),
    }
}

/// A command run by root must not be led to another user's socket.
fn trust(folder: &Path, path: &Path) -> Result<(), Error> {
    let (Ok(folder), Ok(found)) = (std::fs::metadata(folder), std::fs::symlink_metadata(path)) else {
        // If it is there, connecting says what is wrong.
        return Ok(());
    };
    if found.file_type().is_socket() && (found.uid() == folder.uid() || found.uid() == 0) {
        return Ok(());
    }
    let source = io::Error::other(
        "it is not a socket that belongs to the owner of the state folder; find out what \
                          created it",
    );
    Err(Error::Denied { path: path.to_owned(), source })
}

impl Client {
    /// Makes a request that is answered immediately.
    pub(crate) async fn ask<T: DeserializeOwned>(self, request: &Request) -> Result<T, Error> {
        let answer = self.follow(request, std::future::pending(), |_| {});
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Error::Silent(PATIENCE))?
    }

    /// Asks for something that the daemon has to find out, and hears of every event until `heard` has had enough.
    pub(crate) async fn look<T: DeserializeOwned>(
        self,
        request: &Request,
        heard: impl FnMut(Event) -> bool,
    ) -> Result<Option<T>, Error> {
        self.exchange(request, std::future::pending(), Some(SILENCE), heard).await
    }

    /// Asks for something, hears of every event, and waits for the answer however long it takes. When `leave` is ready,
    /// the daemon is told to stop in order, and what it says to that is the answer.
    pub(crate) async fn follow<T: DeserializeOwned>(
        self,
        request: &Request,
        leave: impl Future<Output = ()>,
        mut heard: impl FnMut(Event),
    ) -> Result<T, Error> {
        let heard = |event| {
            heard(event);
            true
        };
        self.exchange(request, leave, None, heard).await?.ok_or(Error::Lost)
    }

    /// `None` if `heard` had enough before the end.
    async fn exchange<T: DeserializeOwned>(
        mut self,
        request: &Request,
        leave: impl Future<Output = ()>,
        silence: Option<Duration>,
        mut heard: impl FnMut(Event) -> bool,
    ) -> Result<Option<T>, Error> {
        let line = serde_json::to_string(request).map_err(|_| Error::Malformed)?;
        self.lines.send(line).await.map_err(|_| Error::Lost)?;
        let mut leave = Box::pin(leave);
        let mut has_left = false;
        loop {
            let line = tokio::select! {
                line = self.lines.next() => line,
                () = quiet_for(silence) => return Err(Error::Silent(silence.unwrap_or_default())),
                () = &mut leave, if !has_left => {
                    has_left = true;
                    // An end of what this side says is the sign; if even that fails, the connection is gone.
                    self.lines.get_mut().shutdown().await.map_err(|_| Error::Lost)?;
                    continue;
                }
            };
            let line = line.ok_or(Error::Lost)?.map_err(|_| Error::Lost)?;
            match serde_json::from_str(&line).map_err(|_| Error::Malformed)? {
                Event::Done { answer } => {
                    return serde_json::from_value(answer).map(Some).map_err(|_| Error::Malformed);
                }
                Event::Failed { message, temporary } => return Err(Error::Refused { message, temporary }),
                event => {
                    if !heard(event) {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

async fn quiet_for(silence: Option<Duration>) {
    match silence {
        Some(silence) => tokio::time::sleep(silence).await,
        None => std::future::pending().await,
    }
}
