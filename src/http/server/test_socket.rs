//! Pairs of connected sockets for tests.

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A client's end of a connection, and ours.
pub(in crate::http) async fn connected() -> (TcpStream, TcpStream) {
    connected_from(TcpSocket::new_v4().unwrap()).await
}

/// The same with a client's socket that is not like others.
pub(in crate::http) async fn connected_from(client: TcpSocket) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}
