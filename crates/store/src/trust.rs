//! Whether the files of the state are what this process may use, and still the ones it has opened.

/// Why a file or folder is not used. A user with write access to its parent could otherwise choose what the daemon
/// reads and overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It belongs to another user.
    #[error(
        "belongs to user {owner}, but bridgehead runs as user {user}; run bridgehead as the owner of the \
         state, or stop it and transfer the whole state folder with chown -R"
    )]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who this process is.
        user: u32,
    },
    /// A file is a symbolic link.
    #[error(
        "is a symbolic link, which is not followed in a state folder; find out who created it, and replace \
         it with the file itself"
    )]
    Link,
    /// The folder is reached through a link that another user can change.
    #[error(
        "is a symbolic link that belongs to user {owner}, who could redirect it at any time; set state.path \
         to the folder itself"
    )]
    LinkOf {
        /// Whose link it is.
        owner: u32,
    },
    /// It is a pipe, a device, a folder or a socket.
    #[error("is not a regular file; find out who created it, and move it away")]
    Kind,
    /// It has more than one name, so another user may keep access to it.
    #[error(
        "has a second name (a hard link), through which it could be changed; find and remove the other \
         name, or replace the file with a copy"
    )]
    Linked,
}

/// What happened to state that a running process had opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It was removed.
    #[error("{0} was removed")]
    Gone(&'static str),
    /// Something else has its name.
    #[error("{0} was replaced")]
    Replaced(&'static str),
    /// Some of it was cut off, or written over with something shorter.
    #[error("{0} was truncated")]
    Cut(&'static str),
    /// Another process writes to it.
    #[error("another bridgehead took over {0}")]
    TakenOver(&'static str),
}
