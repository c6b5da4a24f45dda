//! What the command line says of itself: completions for shells, and pages of the manual.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CliError};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// A command, whose page is printed
    command: Option<String>,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), NAME, &mut text);
        Ok(io::stdout().write_all(&text)?)
    }
}

impl ManArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let mut whole = Cli::command();
        whole.build();
        let command = match &self.command {
            None => whole,
            Some(name) => whole
                .find_subcommand(name)
                .cloned()
                .ok_or_else(|| CliError::Arguments(format!("there is no command `{name}`")))?,
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        Ok(io::stdout().write_all(&page)?)
    }
}

const NAME: &str = "riverhead";
