//! The command's side of the connection.

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

/// The daemon's response timeout for requests that need no network.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum time between two events while the daemon queries Iden or a target: a little longer than the longest sequence of retried
/// requests.
const SILENCE: Duration = Duration::from_mins(5);

/// A connection to a running daemon, for one request.
#[derive(Debug)]
pub(crate) struct Client {
    lines: Framed<UnixStream, LinesCodec>,
}

/// Connects to the daemon of a state folder; `None` if none is listening.
pub(crate) async fn connect(folder: &Path) -> Result<Option<Client>, Error> {
    let path = socket(folder);
    trust(folder, &path)?;
    match UnixStream::connect(&path).await {
        Ok(stream) => {
            Ok(Some(Client { lines: Framed::new(stream, LinesCodec::new_with_max_length(LONGEST)) }))
        }
        Err(source) if source.kind() == ErrorKind::PermissionDenied => Err(Error::Denied { path, source }),
        // There is no socket, or a stale one, or its path is too long for the address of a socket.
        Err(_) => Ok(None),
    }
}

/// A command run by root must not connect to another user's socket.
fn trust(folder: &Path, path: &Path) -> Result<(), Error> {
    let (Ok(folder), Ok(found)) = (std::fs::metadata(folder), std::fs::symlink_metadata(path)) else {
        // If it exists, connecting reports what is wrong.
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
    /// Makes a request with an immediate response.
    pub(crate) async fn ask<T: DeserializeOwned>(self, request: &Request) -> Result<T, Error> {
        let answer = self.follow(request, std::future::pending(), |_| {});
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Error::Silent(PATIENCE))?
    }

    /// Makes a request that takes the daemon some time, and passes every event to `heard` until it returns false.
    pub(crate) async fn look<T: DeserializeOwned>(
        self,
        request: &Request,
        heard: impl FnMut(Event) -> bool,
    ) -> Result<Option<T>, Error> {
        self.exchange(request, std::future::pending(), Some(SILENCE), heard).await
    }

    /// Makes a request, passes on every event, and waits for the response without a timeout. When `leave` is ready, the daemon is asked to
    /// stop cleanly, and its reply to that is the result.
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

    /// `None` if `heard` stopped before the end.
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
                    // Closing this side's output is the signal to stop; if that fails, the connection is lost.
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
