//! The text of one policy file, and where in it something stands.

use std::fmt;
use std::ops::Range;

/// One file as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path as operators know it.
    pub name: String,
    pub text: String,
}

/// Shows the name alone: the text may hold a secret that somebody put there by mistake.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileLine {
    /// Its path as operators know it.
    pub file: String,
    /// From one.
    pub line: usize,
}

impl Source {
    /// A file of this name and text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// What names the file elsewhere: `policies/workspaces/acme.toml` is `acme`.
    #[must_use]
    pub fn stem(&self) -> &str {
        let file = self.name.rsplit(['/', '\\']).next().unwrap_or(&self.name);
        file.strip_suffix(".toml").unwrap_or(file)
    }

    /// The bytes of the line in which `offset` stands, without its end.
    pub(super) fn line_at(&self, offset: usize) -> Range<usize> {
        let offset = self.text.floor_char_boundary(offset);
        let (before, after) = self.text.split_at_checked(offset).unwrap_or((&self.text, ""));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(self.text.len(), |newline| offset + newline);
        let line = self.text.get(start..end).unwrap_or_default();
        start..start + line.trim_end_matches('\r').len()
    }

    /// The line in which `offset` stands.
    pub(super) fn file_line(&self, offset: usize) -> FileLine {
        FileLine { file: self.name.clone(), line: self.position(offset).0 }
    }

    /// Line and column of `offset`, both from one, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("a.toml", "a = 1\r\nb\u{fc} = 2\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(11), (2, 4));
        assert_eq!(source.position(9), (2, 2), "within a character: its beginning");
        assert_eq!(source.position(999), (3, 1));
        assert_eq!(source.line_at(3), 0..5);
        assert_eq!(source.line_at(8), 7..14);
        assert_eq!(source.line_at(999), 15..15);
    }

    #[test]
    fn the_stem_names_the_file() {
        assert_eq!(Source::new("policies/workspaces/acme.toml", "").stem(), "acme");
        assert_eq!(Source::new("acme", "").stem(), "acme");
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Source::new("a.toml", "secret")), r#"Source { name: "a.toml", .. }"#);
    }
}
