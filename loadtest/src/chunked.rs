//! Decodes the body of an HTTP/1.1 response with chunked transfer coding.

use std::io;

/// The state of the decoder. Chunk frames may be cut anywhere.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The body is not chunked, and ends with the connection.
    Plain,
    /// Inside the line with a chunk's length.
    Length(String),
    /// This many bytes of the chunk are missing.
    Data(usize),
    /// This many bytes of the line end after a chunk are missing.
    Behind(usize),
    /// The last chunk has arrived.
    Ended,
}

impl Chunked {
    pub(crate) fn for_head(head: &str) -> Self {
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let state = if chunked {
            State::Length(String::new())
        } else {
            State::Plain
        };
        Self { state }
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Decodes `bytes`, and appends the body that they contain to `out`.
    pub(crate) fn decode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Plain => {
                    out.extend_from_slice(bytes);
                    bytes = &[];
                }
                State::Length(line) => {
                    let (byte, rest) = (bytes[0], &bytes[1..]);
                    bytes = rest;
                    if byte == b'\n' {
                        self.state = after_length(line)?;
                    } else {
                        line.push(char::from(byte));
                    }
                }
                State::Data(missing) => {
                    let (data, rest) = bytes.split_at(bytes.len().min(*missing));
                    out.extend_from_slice(data);
                    *missing -= data.len();
                    bytes = rest;
                    if *missing == 0 {
                        self.state = State::Behind(2);
                    }
                }
                State::Behind(missing) => {
                    bytes = &bytes[1..];
                    *missing -= 1;
                    if *missing == 0 {
                        self.state = State::Length(String::new());
                    }
                }
                State::Ended => bytes = &[],
            }
        }
        Ok(())
    }
}

fn after_length(line: &str) -> io::Result<State> {
    match usize::from_str_radix(line.trim_end(), 16) {
        Ok(0) => Ok(State::Ended),
        Ok(length) => Ok(State::Data(length)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("not a chunk length: {line:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_off_wherever_they_are_cut() {
        let wire = b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
        for cut in 0..wire.len() {
            let mut chunked = Chunked::for_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked");
            let mut out = Vec::new();
            chunked.decode(&wire[..cut], &mut out).unwrap();
            chunked.decode(&wire[cut..], &mut out).unwrap();
            assert_eq!(out, b"hello!");
            assert!(chunked.ended());
        }
    }
}
