//! Who is at the other end of the control socket.

use bridgehead_runtime::audit::Actor;
use tokio::net::UnixStream;

/// The user of the operating system that has connected, as the kernel says (`SO_PEERCRED`).
pub(super) fn actor(stream: &UnixStream) -> Actor {
    match stream.peer_cred() {
        Ok(peer) => user(peer.uid()),
        // It was read a moment ago to let it in; it is not the daemon.
        Err(_) => Actor::user(u32::MAX, Some("unknown")),
    }
}

/// This process's own user, for what a command does while no daemon runs.
pub(crate) fn own() -> Actor {
    user(rustix::process::getuid().as_raw())
}

fn user(uid: u32) -> Actor {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Actor::user(uid, name(&users, uid))
}

/// The name of a user in the form of `/etc/passwd`. Those of a directory service are known by their number alone.
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
    fn a_user_has_a_name_if_the_system_knows_one() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
        assert_eq!((name(users, 1000), name(users, 0), name(users, 7)), (Some("ann"), Some("root"), None));
    }
}
