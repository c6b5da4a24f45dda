//! The credential that a probe sends, from a file. It is shown nowhere.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use http::HeaderValue;

use super::StreamError;

/// A file with an API key or a token. It is read at each connection, because tokens are renewed while a probe runs.
#[derive(Clone, Debug)]
pub(crate) struct CredentialFile(pub(crate) PathBuf);

impl CredentialFile {
    /// Reads the file. Returns the value of the header `authorization`, which `Debug` does not show.
    pub(crate) fn header(&self) -> Result<HeaderValue, StreamError> {
        let unfit = |why: String| StreamError::Credential {
            path: self.0.clone(),
            why,
        };
        let text = read(&self.0).map_err(|error| unfit(format!("cannot be read: {error}")))?;
        let credential = text.trim_ascii();
        if credential.is_empty() {
            return Err(unfit("is missing: the file is empty".into()));
        }
        if !credential.iter().all(u8::is_ascii_graphic) {
            return Err(unfit("is not one word of ASCII characters".into()));
        }
        let value = HeaderValue::from_bytes(&[b"Bearer ", credential].concat());
        let mut value = value.map_err(|error| unfit(format!("cannot be sent: {error}")))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut text)?;
    match text.len() as u64 > MAX_FILE_BYTES {
        true => Err(io::Error::other(format!(
            "it has more than {MAX_FILE_BYTES} bytes"
        ))),
        false => Ok(text),
    }
}

/// The longest file, in bytes. A gateway accepts credentials of up to 8 KiB, and heads of up to 32 KiB.
const MAX_FILE_BYTES: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_credential_is_one_word_and_no_fault_shows_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = CredentialFile(directory.path().join("token"));
        let read = |text: &[u8]| {
            fs::write(&file.0, text).unwrap();
            file.header()
        };
        let header = read(b"rvh_secret\r\n").unwrap();
        assert_eq!(header, "Bearer rvh_secret");
        assert!(!format!("{header:?}").contains("secret"));
        for bad in [
            &b""[..],
            b" \n",
            b"secret secret",
            b"secret\nsecret\n",
            b"secret\xff",
            b"secret\x01",
            &b"secret".repeat(3_000),
        ] {
            let fault = read(bad).unwrap_err();
            let shown = format!("{fault} {fault:?}");
            assert!(shown.contains("token"), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        fs::remove_file(&file.0).unwrap();
        assert!(file.header().unwrap_err().to_string().contains("cannot be read"));
    }
}
