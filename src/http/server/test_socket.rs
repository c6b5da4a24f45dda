//! Pairs of connected sockets for tests.

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Returns the client's end of a connection, and ours.
pub(in crate::http) async fn connected() -> (TcpStream, TcpStream) {
    connected_from(TcpSocket::new_v4().unwrap()).await
}

/// Returns the same for a client whose socket has options of its own.
pub(in crate::http) async fn connected_from(client: TcpSocket) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}
