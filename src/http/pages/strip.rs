//! Leaves out what browsers do not read in a file: comments of modules, indentation, spaces and line ends that mean nothing.
//!
//! No general minifier: it works line by line, and rests on how our own files are written. A comment has lines of its own, and a text
//! over several lines is a template with backticks.

use super::assets::MediaType;

/// Returns the text without what does not count.
pub(super) fn strip(media_type: MediaType, text: &str) -> String {
    match media_type {
        MediaType::JavaScript => strip_module(text),
        MediaType::Css => strip_style(text),
        MediaType::Html | MediaType::Svg => joined(text.lines().map(str::trim), "\n"),
        MediaType::Text => text.to_owned(),
    }
}

fn strip_module(text: &str) -> String {
    let mut stripped = String::with_capacity(text.len());
    let mut is_in_template = false;
    for line in text.lines() {
        let code = line.trim();
        if is_in_template {
            stripped.push_str(line);
        } else if is_comment(code) {
            continue;
        } else {
            stripped.push_str(&squeezed(code));
        }
        is_in_template ^= backticks(line) % 2 == 1;
        // Behind these characters a statement cannot end.
        if is_in_template || !code.ends_with([';', '{', ',', '(', '[']) {
            stripped.push('\n');
        }
    }
    stripped
}

/// Returns a line of code without the spaces that separate nothing. A line with a text or a pattern in it stays as it is.
fn squeezed(code: &str) -> String {
    if code.contains(['"', '\'', '`', '/']) {
        return code.to_owned();
    }
    let signs = ["=>", "=", "===", "!==", "&&", "||", "??", "<", ">", "+", "*"].into_iter();
    let between = signs.fold(code.to_owned(), |code, sign| {
        code.replace(&format!(" {sign} "), sign)
    });
    without_spaces(
        between,
        &[(", ", ","), (") {", "){"), ("{ ", "{"), (" }", "}"), (": ", ":")],
    )
}

fn without_spaces(text: String, pairs: &[(&str, &str)]) -> String {
    let replace = |text: String, (long, short): &(&str, &str)| text.replace(long, short);
    pairs.iter().fold(text, replace)
}

/// Whether a line is empty, or of a comment only.
fn is_comment(code: &str) -> bool {
    code.is_empty() || code.starts_with("//") || code.starts_with("/*") || code.starts_with('*')
}

/// Returns how many backticks of a line begin or end a template.
fn backticks(line: &str) -> usize {
    line.replace("\\`", "").matches('`').count()
}

fn strip_style(text: &str) -> String {
    const PAIRS: [(&str, &str); 7] = [
        (" {", "{"),
        ("{ ", "{"),
        ("; ", ";"),
        (": ", ":"),
        (", ", ","),
        (" }", "}"),
        (";}", "}"),
    ];
    without_spaces(joined(text.lines().map(str::trim), ""), &PAIRS)
}

fn joined<'a>(lines: impl Iterator<Item = &'a str>, separator: &str) -> String {
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_keeps_its_code_and_its_texts() {
        let module = "// What it is.\n\n/**\n * Returns `a`.\n */\nexport function f(a) {\n  // Why.\n  return g(\n    a,\n  )\n}\n";
        assert_eq!(
            strip(MediaType::JavaScript, module),
            "export function f(a){return g(a,)\n}\n"
        );
        let spaced = "const f = (a, b) => { return a < b ? { a: 1 } : c; };\nconst s = \"a , b\";\nconst r = /a : b/;\n";
        assert_eq!(
            strip(MediaType::JavaScript, spaced),
            "const f=(a,b)=>{return a<b ? {a:1} :c;};const s = \"a , b\";const r = /a : b/;"
        );
        let template = "const a = `\n// a line of the text\n\n  * as is, with \\`ticks\\`\n`;\n// gone\nconst b = `${a}`;\n  c();\n";
        assert_eq!(
            strip(MediaType::JavaScript, template),
            "const a = `\n// a line of the text\n\n  * as is, with \\`ticks\\`\n`;const b = `${a}`;c();"
        );
    }

    #[test]
    fn a_style_sheet_and_a_page_keep_what_they_say() {
        let style = "a:hover,\nb > c { color: red; margin: 0 1px; }\n@media (max-width: 1em) {\n  a { b: \"; \"; }\n}\n";
        assert_eq!(
            strip(MediaType::Css, style),
            "a:hover,b > c{color:red;margin:0 1px}@media (max-width:1em){a{b:\";\"}}"
        );
        assert_eq!(
            strip(MediaType::Html, "<p>\n  a\n  b\n\n</p>\n"),
            "<p>\na\nb\n</p>"
        );
    }
}
