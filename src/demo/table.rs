//! The demo on the command line: for each request what was sent, what arrived at the API, and why.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use super::scenario::{AttributeOutcome, DemoOutcome, Fate};

/// What the output goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// As many columns; wraps, with colours and box lines.
    Terminal { columns: u16 },
    /// A file or a pipe: no colours, no wrapping, ASCII lines.
    Plain,
}

impl Screen {
    /// What standard output is; `NO_COLOR` and the like make a terminal plain.
    #[must_use]
    pub fn of_stdout() -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        match (choice, Table::new().set_content_arrangement(ContentArrangement::Dynamic).width()) {
            (anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi, Some(columns)) => {
                Screen::Terminal { columns: columns.max(COLUMNS_MIN) }
            }
            (_, None) | (anstream::ColorChoice::Auto | anstream::ColorChoice::Never, Some(_)) => Screen::Plain,
        }
    }

    /// A table for it, with nothing in it.
    #[must_use]
    pub fn table(self) -> Table {
        let mut table = Table::new();
        match self {
            Screen::Terminal { columns } => {
                table
                    .load_style(presets::UTF8_FULL_CONDENSED)
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(columns)
                    .enforce_styling();
            }
            Screen::Plain => {
                table.load_style(presets::ASCII_MARKDOWN).force_no_tty();
            }
        }
        table
    }
}

/// Less than this and no column has room for a word.
const COLUMNS_MIN: u16 = 60;

/// Prints one request and what became of it.
///
/// # Errors
///
/// Standard output cannot be written to.
pub fn print(story: &str, outcome: &DemoOutcome) -> std::io::Result<()> {
    use std::io::Write as _;
    let text = render(story, outcome, Screen::of_stdout());
    anstream::stdout().lock().write_all(text.as_bytes())
}

/// The text of one request and what became of it.
#[must_use]
pub fn render(story: &str, outcome: &DemoOutcome, screen: Screen) -> String {
    let mut text = String::new();
    let heading = style(screen, Style::new().bold());
    let faint = style(screen, Style::new().dimmed());
    let told = style(
        screen,
        match &outcome.answer.refusal {
            Some(_) => Style::new().fg_color(Some(AnsiColor::Red.into())),
            None => Style::new().fg_color(Some(AnsiColor::Green.into())),
        },
    );
    let fate = match (&outcome.answer.refusal, &outcome.arrived) {
        (Some(refusal), None) => format!("refused: {} ({})", refusal.words, refusal.code),
        (Some(refusal), Some(_)) => format!("refused: {} ({}), yet it arrived", refusal.words, refusal.code),
        (None, Some(_)) => "sent on".to_owned(),
        (None, None) => "nothing arrived at the API".to_owned(),
    };
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        "{heading}{}{heading:#}\n{story}\n{faint}{} from {}{faint:#}\n{told}{} {fate}{told:#}\n{}\n\n",
        outcome.title,
        outcome.call,
        outcome.origin,
        outcome.answer.status,
        table(outcome, screen),
    );
    text
}

fn style(screen: Screen, style: Style) -> Style {
    match screen {
        Screen::Terminal { .. } => style,
        Screen::Plain => Style::new(),
    }
}

fn table(outcome: &DemoOutcome, screen: Screen) -> Table {
    let mut table = screen.table();
    table.set_header(["attribute", "sent", "signed", "arrived at the API", "verdict", "why"]);
    for attribute in &outcome.attributes {
        table.add_row(row(attribute));
    }
    table
}

fn row(attribute: &AttributeOutcome) -> Vec<Cell> {
    let value = |value: &Option<String>| Cell::new(value.as_deref().unwrap_or("-"));
    let colour = match attribute.fate {
        Fate::Arrived => Color::Green,
        Fate::Replaced => Color::Yellow,
        Fate::Absent => Color::Red,
    };
    let (code, words) = match &attribute.verdict {
        Some(verdict) => (verdict.code.as_str(), verdict.words()),
        None => ("-", "not judged".to_owned()),
    };
    vec![
        Cell::new(&attribute.name),
        value(&attribute.sent),
        value(&attribute.signed),
        value(&attribute.arrived).fg(colour),
        Cell::new(code).fg(colour),
        Cell::new(words),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Code, Force};
    use crate::demo::scenario::{Answer, DemoVerdict};

    fn outcome() -> DemoOutcome {
        DemoOutcome {
            title: "Unsigned update".into(),
            call: "POST /messenger/web/ping".into(),
            origin: "https://app.acme.example",
            answer: Answer { status: 200, refusal: None },
            attributes: vec![AttributeOutcome {
                name: "plan".into(),
                sent: Some("\"enterprise\"".into()),
                signed: None,
                arrived: None,
                fate: Fate::Absent,
                verdict: Some(DemoVerdict { name: "plan".into(), code: Code::Locked, force: Force::Applied }),
            }],
            sent: String::new(),
            arrived: Some(String::new()),
        }
    }

    #[test]
    fn plain_output_is_ascii_and_one_line_a_row() {
        let text = render("A story.", &outcome(), Screen::Plain);
        assert!(text.is_ascii() && !text.contains('\u{1b}'));
        let row = text.lines().find(|line| line.contains("enterprise")).unwrap();
        assert!(row.contains("locked") && row.contains(Code::Locked.words()));
    }

    #[test]
    fn a_terminal_gets_colours_and_no_line_that_is_too_long() {
        let text = render("A story.", &outcome(), Screen::Terminal { columns: 70 });
        assert!(text.contains('\u{1b}'));
        let table = anstream::adapter::strip_str(&text).to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 70));
    }
}
