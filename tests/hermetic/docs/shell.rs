//! The commands of a block of shell: as much of the shell's grammar as the documentation uses.

use crate::docs::markdown::Page;

/// Returns the commands of the page's shell blocks, each as its words, without assignments before it.
pub(crate) fn commands_of(page: &Page) -> Vec<Vec<String>> {
    let blocks = page.blocks().into_iter();
    let shell = blocks.filter(|block| ["sh", "bash"].contains(&&*block.language));
    shell.flat_map(|block| commands(&block.text)).collect()
}

/// Splits a script into commands and words. A substitution outside of quotes is a command of its own; in quotes it stays text.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => match chars.next() {
                Some('\n') if quote.is_none() => end_word(&mut commands, &mut word),
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            (None, '$') if chars.peek() == Some(&'(') => end_command(&mut commands, &mut word),
            (None, '\n' | '|' | ';' | '&' | '(' | ')' | '`') => end_command(&mut commands, &mut word),
            (None, c) if c.is_whitespace() => end_word(&mut commands, &mut word),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    end_command(&mut commands, &mut word);
    let trimmed = commands.into_iter().map(without_assignments);
    trimmed.filter(|words| !words.is_empty()).collect()
}

fn end_word(commands: &mut [Vec<String>], word: &mut Option<String>) {
    if let Some(command) = commands.last_mut() {
        command.extend(word.take());
    }
}

fn end_command(commands: &mut Vec<Vec<String>>, word: &mut Option<String>) {
    end_word(commands, word);
    commands.push(Vec::new());
}

fn without_assignments(words: Vec<String>) -> Vec<String> {
    let is_assignment = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    words.into_iter().skip_while(is_assignment).collect()
}

#[test]
fn a_script_is_split_as_a_shell_does() {
    let script = "A=1 curl -N \\\n    'a b' \"c\\\"d\" # comment\nid=$(curl x | grep -m1 '^id: ')\nfor b in c; do d; done\ne#f";
    let expected = [
        &["curl", "-N", "a b", "c\"d"][..],
        &["curl", "x"],
        &["grep", "-m1", "^id: "],
        &["for", "b", "in", "c"],
        &["do", "d"],
        &["done"],
        &["e#f"],
    ];
    assert_eq!(commands(script), expected);
}
