//! The user at the other end of the control socket.

use bridgehead_runtime::audit::Actor;
use tokio::net::UnixStream;

/// The connected user of the operating system, according to the kernel (`SO_PEERCRED`).
pub(super) fn actor(stream: &UnixStream) -> Actor {
    match stream.peer_cred() {
        Ok(peer) => user(peer.uid()),
        // The credentials were just read to admit the connection; the actor must not be mistaken for the daemon.
        Err(_) => Actor::user(u32::MAX, Some("unknown")),
    }
}

/// This process's own user, for actions of a command while no daemon is running.
pub(crate) fn own() -> Actor {
    user(rustix::process::getuid().as_raw())
}

fn user(uid: u32) -> Actor {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Actor::user(uid, name(&users, uid))
}

/// The name of a user in a file in the format of `/etc/passwd`. Users of a directory service are identified by number only.
fn name(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_name_is_looked_up_in_passwd() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
        assert_eq!((name(users, 1000), name(users, 0), name(users, 7)), (Some("ann"), Some("root"), None));
    }
}
