//! The first bytes of a connection, before hyper gets it: a PROXY header if one is due, and the detection of the protocol.

use std::io;

use bytes::Bytes;

use super::conn::ConnState;
use crate::client::{InvalidProxyHeader, ProxyHeader};

/// The version of HTTP that a client speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Protocol {
    /// HTTP/1.1 or 1.0, and everything that is not HTTP/2. Holds the bytes that were read to detect it.
    Http1(Bytes),
    /// HTTP/2 with prior knowledge (RFC 9113, section 3.3). Holds the preface.
    Http2(Bytes),
}

/// Why a connection that must begin with a PROXY header is closed before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    #[error(transparent)]
    Bad(#[from] InvalidProxyHeader),
    #[error(transparent)]
    Gone(#[from] io::Error),
}

/// Reads a PROXY header and not one byte more.
///
/// # Errors
/// When the header is invalid, or the connection ends before it is complete.
pub(super) async fn read_proxy_header(conn: &ConnState) -> Result<ProxyHeader, ProxyHeaderError> {
    let mut header = vec![0; ProxyHeader::FIXED_LEN];
    fill(conn, &mut header).await?;
    let rest = header
        .first_chunk()
        .map_or(Err(InvalidProxyHeader), ProxyHeader::remaining_len)?;
    header.resize(ProxyHeader::FIXED_LEN + rest, 0);
    fill(conn, &mut header[ProxyHeader::FIXED_LEN..]).await?;
    Ok(ProxyHeader::read(&header)?)
}

/// Reads until the protocol is known. One byte is enough unless it could begin the HTTP/2 preface.
pub(super) async fn detect_protocol(conn: &ConnState) -> io::Result<Protocol> {
    let (mut read, mut length) = ([0; PREFACE.len()], 0);
    loop {
        let more = conn.read(&mut read[length..]).await?;
        length += more;
        let first = &read[..length];
        if more == 0 || !PREFACE.starts_with(first) {
            return Ok(Protocol::Http1(Bytes::copy_from_slice(first)));
        }
        if length == PREFACE.len() {
            return Ok(Protocol::Http2(Bytes::from_static(PREFACE)));
        }
    }
}

/// Reads until `buffer` is full.
async fn fill(conn: &ConnState, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = conn.read(buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
    }
    Ok(())
}

/// The connection preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpStream};

    use super::*;
    use crate::http::server::test_socket::connected;

    /// Returns the client's end of a connection, and the state of ours.
    async fn pair() -> (TcpStream, ConnState) {
        let (client, socket) = connected().await;
        client.set_nodelay(true).unwrap();
        (client, ConnState::new(socket, None))
    }

    #[tokio::test]
    async fn the_first_byte_that_is_no_preface_tells() {
        for text in ["G", "PUT / HTTP/1.1\r\n", "PRI * HTTP/1", "\x16\x03\x01"] {
            let (mut client, conn) = pair().await;
            client.write_all(text.as_bytes()).await.unwrap();
            let Protocol::Http1(read) = detect_protocol(&conn).await.unwrap() else {
                panic!("{text}");
            };
            assert!(text.as_bytes().starts_with(&read), "{text}");
        }
    }

    #[tokio::test]
    async fn a_preface_in_pieces_is_one() {
        let (mut client, conn) = pair().await;
        let (start, rest) = PREFACE.split_at(7);
        client.write_all(start).await.unwrap();
        let reading = detect_protocol(&conn);
        let writing = client.write_all(rest);
        let (read, written) = tokio::join!(reading, writing);
        written.unwrap();
        assert_eq!(read.unwrap(), Protocol::Http2(Bytes::from_static(PREFACE)));
    }

    #[tokio::test]
    async fn who_closes_first_has_said_nothing() {
        let (client, conn) = pair().await;
        drop(client);
        assert_eq!(
            detect_protocol(&conn).await.unwrap(),
            Protocol::Http1(Bytes::new())
        );
        let (mut client, conn) = pair().await;
        client
            .write_all(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..13])
            .await
            .unwrap();
        drop(client);
        assert!(matches!(
            read_proxy_header(&conn).await,
            Err(ProxyHeaderError::Gone(_))
        ));
    }
}
