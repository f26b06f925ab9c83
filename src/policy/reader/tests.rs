use proptest::prelude::*;

use super::super::finding::Paint;
use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Level {
    Low,
    High,
}

impl Keyword for Level {
    const WORDS: &'static [(&'static str, Self)] = &[("low", Level::Low), ("high", Level::High)];
}

type Inner = (Option<Placed<Duration>>, Option<Placed<u64>>);
type Thing = (Option<Placed<Level>>, Option<Placed<u16>>, Option<Placed<Vec<Placed<String>>>>, Option<Placed<Inner>>);

fn thing(table: &mut Table<'_>) -> Thing {
    let named = table
        .optional("named", |value| value.named_tables("thing", |table| table.required("size", Value::bytes).is_some()));
    assert!(named.is_none_or(|named| named.value.iter().all(|named| named.value) || !table.has("strict")));
    (
        table.required("level", Value::keyword),
        table.optional("port", |value| value.integer(1..=9999)),
        table.optional("hosts", |value| value.list(Value::text)),
        table.optional("inner", |value| {
            value.table(|table| (table.optional("wait", Value::duration), table.optional("size", Value::bytes)))
        }),
    )
}

fn read_thing(text: &str) -> (Option<Thing>, Findings) {
    let mut findings = Findings::default();
    let thing = read(&Source::new("a.toml", text), &mut findings, thing);
    findings.sort();
    (thing, findings)
}

#[track_caller]
fn check(text: &str, lines: &[&str]) {
    let (_, findings) = read_thing(text);
    let found: Vec<String> = findings
        .iter()
        .map(|finding| match &finding.help {
            Some(help) => format!("{finding} ({help})"),
            None => finding.to_string(),
        })
        .collect();
    assert_eq!(found, lines, "{text}");
}

#[test]
fn values_come_with_their_places() {
    let (thing, findings) =
        read_thing("level = \"high\"\nport = 0x50\nhosts = [\"a\", \"b\"]\n[inner]\nwait = \"30s\"\nsize = 9\n");
    assert!(findings.is_empty(), "{findings:?}");
    let (level, port, hosts, inner) = thing.unwrap();
    assert_eq!(level, Some(Placed { value: Level::High, span: 8..14 }));
    assert_eq!(port.unwrap().value, 80);
    assert_eq!(hosts.unwrap().value.len(), 2);
    let inner = inner.unwrap();
    assert_eq!(inner.span, 46..53, "the header");
    assert_eq!(inner.value.0.unwrap().value, Duration::from_secs(30));
    assert_eq!(inner.value.1.unwrap().value, 9);
}

#[test]
fn every_mistake_is_found_at_once() {
    check(
        "port = 0\nhosts = [\"a\", 1, \"\"]\nlevle = \"low\"\n[inner]\nwait = 30\nsize = \"1 KB\"\nwhat = 1\n",
        &[
            "a.toml:1:1: `level` is missing",
            "a.toml:1:8: `port`: expected 1 to 9999, found 0",
            "a.toml:2:15: `hosts[1]`: expected text, found an integer",
            "a.toml:2:18: `hosts[2]`: expected text, found nothing between the quotes",
            "a.toml:3:1: unknown key `levle` (did you mean `level`?)",
            "a.toml:5:8: `inner.wait`: expected a duration such as `\"30s\"`, found an integer",
            "a.toml:6:8: `inner.size`: expected a size such as `512 B`, `256 KiB`, `1 MiB` or `2 GiB`, found `1 KB`",
            "a.toml:7:1: unknown key `inner.what` (known here: `wait`, `size`)",
        ],
    );
}

#[test]
fn a_near_word_is_suggested_and_a_far_one_is_not() {
    check("level = \"hihg\"", &["a.toml:1:9: `level`: expected `low` or `high`, found `hihg` (did you mean `high`?)"]);
    check("level = \"purple\"", &["a.toml:1:9: `level`: expected `low` or `high`, found `purple`"]);
    check("level = 1", &["a.toml:1:9: `level`: expected `low` or `high`, found an integer"]);
}

#[test]
fn a_key_of_the_top_level_under_a_table_belongs_above_it() {
    check(
        "level = \"low\"\n[inner]\nport = 1\n",
        &["a.toml:3:1: unknown key `inner.port` (`port` belongs above the first `[table]`)"],
    );
    check(
        "level = \"low\"\n[named]\nport = 1\n",
        &["a.toml:3:1: thing `port`: expected a table, found an integer (`port` belongs above the first `[table]`)"],
    );
    check(
        "level = \"low\"\ninner = { port = 1 }\n",
        &["a.toml:2:11: unknown key `inner.port` (known here: `wait`, `size`)"],
    );
}

#[test]
fn a_named_table_is_called_by_its_kind() {
    check(
        "level = \"low\"\n[named]\na = { }\n\"b.c\" = { size = true }\nd = { size = 1 }\n",
        &[
            "a.toml:3:5: thing `a`: `size` is missing",
            "a.toml:4:18: thing `b.c`: `size`: expected a size such as `\"256 KiB\"`, found a boolean",
        ],
    );
}

#[test]
fn of_syntax_errors_the_first_three_are_shown_and_nothing_else() {
    let (thing, findings) = read_thing("level = = 1\nport\nhosts = [\ninner = }\nwhat ever = 1\n");
    assert!(thing.is_none());
    assert_eq!(findings.len(), 3);
    check("level = \"low\"\nlevel = \"high\"\n", &["a.toml:2:1: duplicate key"]);
}

#[test]
fn a_secret_is_shown_by_no_finding() {
    for text in [
        "secret = \"hunter2\"",
        "level = { secret = \"hunter2\" }",
        "[inner]\nsecret = { text = \"hunter2\" }",
        "my_password = [\"hunter2\"]",
        "secret = \"hunter2",
        "level = 1 secret = \"hunter2\"",
        "secret = \"\"\"\nhunter2 \\q\n\"\"\"",
        "secret = hunter2",
    ] {
        let (_, findings) = read_thing(text);
        assert!(!findings.is_empty());
        let rendered = findings.render(Paint::Plain);
        assert!(!rendered.contains("hunter2"), "{rendered}");
        assert!(!format!("{findings:?}").contains("hunter2"));
    }
    let (_, findings) = read_thing("secret = { env = \"ACME\", text = 1 }");
    assert!(!findings.render(Paint::Plain).contains("ACME"), "the line is hidden whole");
    let (_, findings) = read_thing("secret = { env = \"ACME\" }");
    assert!(findings.render(Paint::Plain).contains("ACME"), "a name of a variable is no secret");
}

#[test]
fn names_are_shown_on_one_line() {
    assert_eq!(quoted("a\nb\u{202e}"), "`a\\nb\\u{202e}`");
    assert_eq!(quoted("say \"it's\""), "`say \"it's\"`");
    assert_eq!(quoted(&"a".repeat(100)), format!("`{}…`", "a".repeat(80)));
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"([a-z]{1,6}|level|inner|named|[\[\]{}=."'\n #,\\\u{fc}\u{0}-]|\PC){0,60}"#) {
        let (_, findings) = read_thing(&text);
        let _ = findings.render(Paint::Plain);
    }
}
