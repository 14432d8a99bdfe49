//! A relay to the database that loses selected messages.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the first message of a client that contains a certain text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// The message never arrives, and the connection ends.
    Message,
    /// The message arrives and is answered; the response is lost, and the connection ends.
    Answer,
}

/// Relays a separate port to the server, except for the lost messages. Ends with the test.
pub(crate) async fn relay(server: u16, text: &'static [u8], loss: Loss) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server))).await.unwrap();
            tokio::spawn(pass_on(client, server, text, loss));
        }
    });
    port
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, text: &'static [u8], loss: Loss) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok(length) = client.read(&mut from_client) => {
                let message = &from_client[..length];
                let is_it = message.windows(text.len()).any(|part| part == text);
                if length == 0 || (is_it && matches!(loss, Loss::Message)) {
                    return;
                }
                server.write_all(message).await.unwrap();
                if is_it {
                    // The client never receives the server's response.
                    assert!(server.read(&mut from_server).await.unwrap() > 0);
                    return;
                }
            }
            Ok(length) = server.read(&mut from_server) => {
                if length == 0 || client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
