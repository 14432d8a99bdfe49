//! Whether this process may use the files of the state, and whether they are still the ones that it opened.

/// Why a file or folder is not used. Otherwise, a user with write access to its parent could choose what the daemon reads and overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It belongs to another user.
    #[error(
        "belongs to user {owner}, but bridgehead runs as user {user}; run bridgehead as the owner of the \
         state, or stop it and transfer the whole state folder with chown -R"
    )]
    Owner {
        /// The owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// A file is a symbolic link.
    #[error(
        "is a symbolic link, which is not followed in a state folder; find out who created it, and replace \
         it with the file itself"
    )]
    Link,
    /// The folder's path contains a link that another user can change.
    #[error(
        "is a symbolic link that belongs to user {owner}, who could redirect it at any time; set state.path \
         to the folder itself"
    )]
    LinkOf {
        /// The owner of the link.
        owner: u32,
    },
    /// It is a pipe, a device, a folder or a socket.
    #[error("is not a regular file; find out who created it, and move it away")]
    Kind,
    /// It has more than one name, so another user may still have access to it.
    #[error(
        "has a second name (a hard link), through which it could be changed; find and remove the other \
         name, or replace the file with a copy"
    )]
    Linked,
}

/// What happened to state that a running process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It was removed.
    #[error("{0} was removed")]
    Gone(&'static str),
    /// Another file or folder has its name.
    #[error("{0} was replaced")]
    Replaced(&'static str),
    /// Part of it was truncated, or it was overwritten with something shorter.
    #[error("{0} was truncated")]
    Cut(&'static str),
    /// Another process writes to it.
    #[error("another bridgehead took over {0}")]
    TakenOver(&'static str),
}
