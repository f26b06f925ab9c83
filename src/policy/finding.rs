//! Findings: what is wrong or unwise in a policy file, with its place, for people, for one-line logs and for programs.
//!
//! A finding keeps the one line that it shows, never the file. Lines that hold a secret are concealed and are shown by nobody.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::Source;

/// Whether the policy can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One mistake or doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub file: String,
    /// From one.
    pub line: usize,
    /// From one, in characters.
    pub column: usize,
    /// Lower case, one line, no full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// In bytes of the file; never empty.
    pub span: Range<usize>,
    /// The line in which the span begins, and the span within it. `None` where the line holds a secret.
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    marked: Range<usize>,
}

/// `file:line:column: message`, the form for logs.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Whether a rendering has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Coloured,
}

impl Finding {
    fn new(severity: Severity, source: &Source, span: Range<usize>, message: String) -> Self {
        let text = &source.text;
        let start = text.floor_char_boundary(span.start);
        // A span of nothing would leave nothing to point at.
        let end = text.ceil_char_boundary(span.end.max(start + 1));
        let (line, column) = source.position(start);
        let line_span = source.line_at(start);
        let mut shown = text.get(line_span.clone()).unwrap_or_default().to_owned();
        let marked = start.min(line_span.end) - line_span.start..end.min(line_span.end) - line_span.start;
        let marked = if marked.is_empty() {
            // The place is behind the line's last character.
            shown.push(' ');
            shown.len() - 1..shown.len()
        } else {
            marked
        };
        Self {
            severity,
            file: source.name.clone(),
            line,
            column,
            message,
            help: None,
            span: start..end,
            excerpt: Some(Excerpt { line: shown, marked }),
        }
    }

    /// Says what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// The message, the place, the line itself with a mark under it, and the help.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let renderer = match paint {
            Paint::Plain => Renderer::plain(),
            Paint::Coloured => Renderer::styled(),
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&self.message);
        let group: Group<'_> = match &self.excerpt {
            Some(excerpt) => title.element(
                Snippet::source(&excerpt.line)
                    .line_start(self.line)
                    .path(&self.file)
                    .annotation(AnnotationKind::Primary.span(excerpt.marked.clone())),
            ),
            None => title.element(Origin::path(&self.file).line(self.line).char_column(self.column)),
        };
        let group = match &self.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        };
        renderer.render(&[group])
    }
}

/// All findings of one reading.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    findings: Vec<Finding>,
    /// Lines, by the name of their file, that hold a secret.
    concealed: Vec<(String, Range<usize>)>,
}

impl Findings {
    /// Adds a mistake: there will be no policy.
    pub fn error(&mut self, source: &Source, span: Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, source, span, message.into())
    }

    /// Adds a doubt: legal, but unwise.
    pub fn warning(&mut self, source: &Source, span: Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, source, span, message.into())
    }

    fn add(&mut self, severity: Severity, source: &Source, span: Range<usize>, message: String) -> &mut Finding {
        let mut finding = Finding::new(severity, source, span, message);
        // A file that is not there has no line to show.
        if source.text.is_empty() || self.is_concealed(&finding) {
            finding.excerpt = None;
        }
        self.findings.push_mut(finding)
    }

    fn is_concealed(&self, finding: &Finding) -> bool {
        self.concealed.iter().any(|(file, lines)| {
            *file == finding.file && (lines.contains(&finding.span.start) || lines.end == finding.span.start)
        })
    }

    /// Lets no finding show the lines over which `span` goes: they hold a secret.
    pub fn conceal(&mut self, source: &Source, span: Range<usize>) {
        let lines = source.line_at(span.start).start..source.line_at(span.end.max(span.start)).end;
        self.concealed.push((source.name.clone(), lines));
        let hidden: Vec<bool> = self.findings.iter().map(|finding| self.is_concealed(finding)).collect();
        for (finding, hidden) in self.findings.iter_mut().zip(hidden) {
            if hidden {
                finding.excerpt = None;
            }
        }
    }

    /// Whether nothing can be made of the files.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    /// How many mistakes there are, without the doubts.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// File by file, top to bottom.
    pub fn sort(&mut self) {
        self.findings.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
    }

    /// The findings.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// How many findings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Every finding rendered, with an empty line between two.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        self.findings.iter().map(|finding| finding.render(paint)).collect::<Vec<_>>().join("\n\n")
    }

    /// For a reader that writes its findings down itself and gives them back.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A list of all findings, as `check --json` prints it.
impl Serialize for Findings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.findings.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::new("policies/a.toml", "mode = \"enforce\"\nsecret = \"hunter2\"\n\u{fc} = 1\n")
    }

    #[test]
    fn a_finding_shows_its_line() {
        let mut findings = Findings::default();
        findings.error(&source(), 7..16, "`mode`: expected `off`").help("did you mean `off`?");
        assert_eq!(
            findings.render(Paint::Plain),
            "error: `mode`: expected `off`
 --> policies/a.toml:1:8
  |
1 | mode = \"enforce\"
  |        ^^^^^^^^^
  |
  = help: did you mean `off`?"
        );
        assert_eq!(
            findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["policies/a.toml:1:8: `mode`: expected `off`"]
        );
        assert!(findings.render(Paint::Coloured).contains("\u{1b}["));
    }

    #[test]
    fn a_finding_reads_as_json() {
        let mut findings = Findings::default();
        findings.warning(&source(), 0..4, "odd");
        assert_eq!(
            serde_json::to_string(&findings).unwrap(),
            r#"[{"severity":"warning","file":"policies/a.toml","line":1,"column":1,"message":"odd","span":{"start":0,"end":4}}]"#
        );
    }

    #[test]
    fn a_span_of_nothing_is_widened_by_one() {
        let mut findings = Findings::default();
        assert_eq!(findings.error(&source(), 3..3, "here").span, 3..4);
        assert_eq!(findings.error(&source(), 36..36, "a character of two bytes").span, 36..38);
        findings.error(&source(), 16..16, "the line's end");
        findings.error(&source(), 999..1000, "the file's end");
        assert!(!findings.render(Paint::Plain).is_empty());
    }

    #[test]
    fn a_concealed_line_is_shown_by_nobody() {
        let mut findings = Findings::default();
        findings.error(&source(), 17..23, "before");
        findings.conceal(&source(), 26..35);
        findings.error(&source(), 26..35, "after");
        findings.error(&source(), 0..4, "elsewhere");
        let rendered = findings.render(Paint::Plain);
        assert!(!rendered.contains("hunter2"), "{rendered}");
        assert!(!format!("{findings:?}").contains("hunter2"));
        assert!(rendered.contains("policies/a.toml:2:10") && rendered.contains("mode = "), "{rendered}");
    }

    #[test]
    fn findings_sort_by_file_and_place() {
        let mut findings = Findings::default();
        findings.error(&Source::new("b.toml", "x"), 0..1, "third");
        findings.error(&source(), 9..10, "second");
        findings.error(&source(), 2..3, "first");
        findings.sort();
        assert_eq!(
            findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>(),
            ["third", "first", "second"]
        );
    }
}
