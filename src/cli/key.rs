//! The command `key`: API keys in the file that `auth.keys_file` names.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};

use super::CliError;
use crate::auth::{self, AuthFault, AuthFaults, KeyEntry, KeyFile, NewKey};

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create a key: print it once, and add its digest to the file.
    New(NewArgs),
    /// List the keys of the file.
    List(FileArgs),
    /// Remove a key from the file.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The file of `auth.keys_file`.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct NewArgs {
    #[command(flatten)]
    file: FileArgs,
    /// The name of the key in logs and metrics.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A scope that the key grants; repeat it for each.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A claim of the key, as a text; repeat it for each. Claims of other types can be written into the file.
    #[arg(long = "claim", value_name = "NAME=TEXT", value_parser = claim)]
    claims: Vec<(String, String)>,
    /// When the key expires, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    file: FileArgs,
    /// The name of the key.
    #[arg(long, value_name = "NAME")]
    name: String,
}

impl KeyArgs {
    pub(super) fn run(self) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        match self.command {
            KeyCommand::New(new) => writeln!(out, "{}", new.create()?)?,
            KeyCommand::List(FileArgs { file }) => {
                for key in KeyFile::read(&file).map_err(faults)?.keys() {
                    writeln!(out, "{}", described(key))?;
                }
            }
            KeyCommand::Revoke(RevokeArgs { file, name }) => {
                auth::revoke(&file.file, &name).map_err(faults)?;
                writeln!(
                    out,
                    "key {name} is removed; SIGHUP makes riverhead read the file again"
                )?;
            }
        }
        Ok(())
    }
}

impl NewArgs {
    /// Creates the key, and returns it.
    fn create(self) -> Result<String, CliError> {
        let new = NewKey {
            name: self.name,
            scopes: self.scopes,
            claims: self.claims,
            expires: self.expires,
        };
        let key = auth::append(&self.file.file, &new).map_err(faults)?;
        Ok(key.secret().to_owned())
    }
}

/// Returns a line about a key.
fn described(key: &KeyEntry) -> String {
    let scopes = match key.scopes.is_empty() {
        true => "no scopes".to_owned(),
        false => format!("scopes {}", key.scopes.join(" ")),
    };
    let expires = key
        .expires
        .and_then(|expires| jiff::Timestamp::from_millisecond(expires).ok());
    let expires = expires.map_or_else(String::new, |expires| format!(", expires {expires}"));
    format!("{}: {scopes}{expires}", key.name)
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=TEXT")?;
    match name.is_empty() {
        true => Err("expected a name before the =".into()),
        false => Ok((name.to_owned(), value.to_owned())),
    }
}

fn faults(faults: Vec<AuthFault>) -> CliError {
    CliError::Auth(AuthFaults::from(faults))
}
