//! Page titles as URL paths, and edit summaries in wikitext and HTML.
//!
//! Not here: the vocabulary (`wikis`).

/// An edit summary, as typed and as rendered by MediaWiki.
pub(super) struct Comment {
    /// The wikitext that was typed.
    pub(super) wikitext: String,
    /// The rendered HTML.
    pub(super) html: String,
}

impl Comment {
    /// Creates the summary of an edit to `section` of the page `title`.
    pub(super) fn new(title: &str, section: &str, remark: &str) -> Self {
        let page = path(title);
        let anchor = path(section);
        Self {
            wikitext: format!("/* {section} */ {remark}"),
            html: format!(
                "<span class=\"autocomment\"><a href=\"/wiki/{page}#{anchor}\">→{section}</a>: </span> {}",
                linked(remark)
            ),
        }
    }
}

/// Returns `text` as the path of a page: spaces become underscores, and other special characters `%XX` for each byte of their
/// UTF-8.
pub(super) fn path(text: &str) -> String {
    let mut path = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b' ' => path.push('_'),
            b'-' | b'_' | b'.' | b':' | b'/' | b'(' | b')' | b',' | b'!' => path.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// Returns `text` with links for `[[page]]` and `[[page|label]]`.
fn linked(text: &str) -> String {
    let Some((before, rest)) = text.split_once("[[") else {
        return text.to_owned();
    };
    let Some((link, after)) = rest.split_once("]]") else {
        return text.to_owned();
    };
    let (page, label) = link.split_once('|').unwrap_or((link, link));
    let path = path(page.trim_start_matches(':'));
    format!(
        "{before}<a href=\"/wiki/{path}\" title=\"{page}\">{label}</a>{}",
        linked(after)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_the_path_that_mediawiki_gives_it() {
        assert_eq!(path("Straßenbahn Görlitz"), "Stra%C3%9Fenbahn_G%C3%B6rlitz");
        assert_eq!(path("File:A (2024), b.jpg"), "File:A_(2024),_b.jpg");
        assert_eq!(path("Rock 'n' roll"), "Rock_%27n%27_roll");
    }

    #[test]
    fn links_of_a_remark_are_rendered() {
        assert_eq!(linked("no links"), "no links");
        assert_eq!(
            linked("a [[B c]], [[:d|e]]!"),
            concat!(
                "a <a href=\"/wiki/B_c\" title=\"B c\">B c</a>, ",
                "<a href=\"/wiki/d\" title=\":d\">e</a>!"
            )
        );
        assert_eq!(linked("an [[open link"), "an [[open link");
    }

    #[test]
    fn a_comment_names_its_section_in_both_forms() {
        let comment = Comment::new("Île de Ré", "Voir aussi", "source");
        assert_eq!(comment.wikitext, "/* Voir aussi */ source");
        assert!(
            comment
                .html
                .contains("href=\"/wiki/%C3%8Ele_de_R%C3%A9#Voir_aussi\""),
            "{}",
            comment.html
        );
    }
}
