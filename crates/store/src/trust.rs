//! Whether the files of the state are what this process may use, and still the ones it has opened.

/// Why a file or folder is not used. Whoever may write where it lies could otherwise choose what the daemon reads and
/// overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It belongs to somebody else.
    #[error(
        "belongs to user {owner}, but user {user} is to use it; run bridgehead as the owner of the state, or stop it and hand the \
         whole state folder over with chown -R"
    )]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who this process is.
        user: u32,
    },
    /// A file is a symbolic link.
    #[error(
        "is a symbolic link, which is not followed in a state folder; find out who made it, and put the file itself in its place"
    )]
    Link,
    /// The folder is reached through a link that somebody else can change.
    #[error(
        "is a symbolic link that belongs to user {owner}, who could lead it elsewhere at any time; set state.path to the folder itself"
    )]
    LinkOf {
        /// Whose link it is.
        owner: u32,
    },
    /// It is a pipe, a device, a folder or a socket.
    #[error("is not a regular file; find out who made it, and move it away")]
    Kind,
    /// It has more than one name, so that somebody may hold on to it elsewhere.
    #[error(
        "has a second name (a hard link), through which it could be changed from elsewhere; find the other name and remove it, or \
         put a copy in its place"
    )]
    Linked,
}

/// What became of state that a running process had opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It is not there any more.
    #[error("{0} is gone")]
    Gone(&'static str),
    /// Something else has its name.
    #[error("{0} was replaced by another")]
    Replaced(&'static str),
    /// Some of it was cut off, or written over with something shorter.
    #[error("{0} was cut short")]
    Cut(&'static str),
    /// Another process writes to it.
    #[error("another bridgehead has taken over {0}")]
    TakenOver(&'static str),
}
