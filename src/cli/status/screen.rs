//! The answer to `/status` in words.

use std::net::SocketAddr;

use serde_json::Value;

use super::super::keys::grouped;
use crate::demo::table::Screen;
use crate::identity::{counted, span};
use crate::observe::ORIGINS_SHOWN;

/// Of more things of a kind the others are counted.
const NAMED_MAX: usize = 12;

pub(super) fn render(address: SocketAddr, status: &Value, screen: Screen) -> String {
    let said = Said(status);
    let alarms = said.list("alarms");
    let look = match alarms.len() {
        0 => "nothing needs a look".to_owned(),
        1 => "one thing needs a look:".to_owned(),
        number => format!("{number} things need a look:"),
    };
    let mut text = format!("countersign {} on {address}: {}, {look}\n", said.text("version"), said.text("state"));
    for alarm in &alarms {
        let alarm = Said(alarm);
        text.push_str(&format!("  ! {}\n", alarm.text("words")));
        if alarm.text("code") == "reload_failed" {
            text.push_str(&mistakes(&said.member("reload")));
        }
    }
    text.push('\n');
    for (name, told) in lines(&said) {
        text.push_str(&format!("{name:<13} {told}\n"));
    }
    text.push_str(&refused(&said, screen));
    text
}

/// Why a reload failed.
fn mistakes(reload: &Said<'_>) -> String {
    let mistakes = reload.list("mistakes");
    let line = |mistake: &&Value| format!("      {}\n", mistake.as_str().unwrap_or_default());
    let mut text: String = mistakes.iter().map(line).collect();
    let untold = reload.number("findings").saturating_sub(mistakes.len() as u64);
    if untold > 0 {
        text.push_str(&format!("      and {} more: `countersign check` has them all\n", grouped(untold)));
    }
    text
}

/// What there is, a line for each kind.
fn lines(said: &Said<'_>) -> Vec<(&'static str, String)> {
    let at = said.text("at");
    let ago = |time: &str| since(time, at).map_or_else(|| "never".to_owned(), |span| format!("{span} ago"));
    let for_so_long = |time: &str| since(time, at).unwrap_or_else(|| "an unknown time".to_owned());
    let mut lines = vec![("running", format!("for {}", for_so_long(said.text("started"))))];
    let (epoch, reload) = (said.member("epoch"), said.member("reload"));
    if epoch.0.is_object() {
        let last = match reload.text("result") {
            "" => "not reloaded since the start".to_owned(),
            result => format!("last reload {}: {result}", ago(reload.text("at"))),
        };
        let told = format!("{}, in force for {}; {last}", epoch.text("digest"), for_so_long(epoch.text("since")));
        lines.push(("policies", told));
    } else {
        lines.push(("policies", "none in force".to_owned()));
    }
    let all = |name: &str, told: &dyn Fn(&Said<'_>) -> String| {
        let list = said.list(name);
        let named: Vec<String> = list.iter().take(NAMED_MAX).map(|one| told(&Said(one))).collect();
        let untold = list.len() - named.len();
        match (named.is_empty(), untold) {
            (true, _) => "none".to_owned(),
            (false, 0) => named.join(", "),
            (false, untold) => format!("{}, and {untold} more", named.join(", ")),
        }
    };
    lines.push(("workspaces", all("workspaces", &|one| format!("{} ({})", one.text("workspace"), one.text("mode")))));
    lines.push((
        "certificates",
        all("certificates", &|one| {
            let days = one.0.get("days_left").and_then(Value::as_i64).unwrap_or_default();
            format!("{} ({})", one.text("name"), counted(days.into(), "day"))
        }),
    ));
    if !said.list("tls").is_empty() {
        lines.push(("TLS grade", all("tls", &|one| format!("{} ({})", one.text("listener"), one.text("grade")))));
    }
    lines.push((
        "upstreams",
        all("upstream_health", &|one| {
            let told = match (one.text("failing_since"), one.text("answered")) {
                ("", "") => "not asked yet".to_owned(),
                ("", answered) => format!("answered {}", ago(answered)),
                (failing, _) => format!("no answer for {}", for_so_long(failing)),
            };
            format!("{} ({told})", one.text("upstream"))
        }),
    ));
    if !said.list("key_sets").is_empty() {
        let told = |one: &Said<'_>| {
            let state = match (one.flag("stale"), one.0.get("age_seconds").and_then(Value::as_i64)) {
                (true, _) => ", stale".to_owned(),
                (false, Some(age)) => format!(", confirmed {} ago", span(age.max(0).into())),
                (false, None) => String::new(),
            };
            let keys = counted(one.number("keys").into(), "key");
            format!("{} of {} ({keys}{state})", one.text("set"), one.text("workspace"))
        };
        lines.push(("key sets", all("key_sets", &told)));
    }
    let of = match said.number("connections_max") {
        0 => String::new(),
        most => format!(" of {} at most", grouped(most)),
    };
    lines.push((
        "connections",
        format!(
            "{} open{of}, {} refused since the start; {} in flight",
            grouped(said.number("connections_open")),
            grouped(said.number("connections_refused")),
            counted(said.number("requests_in_flight").into(), "request"),
        ),
    ));
    let reached: Vec<String> = said
        .list("limits")
        .into_iter()
        .map(Said)
        .filter(|limit| limit.number("refused") + limit.number("observed") > 0)
        .map(|limit| {
            let (refused, observed) = (grouped(limit.number("refused")), grouped(limit.number("observed")));
            format!("{} ({refused} refused, {observed} only observed)", limit.text("limit"))
        })
        .collect();
    lines.push(("rates", if reached.is_empty() { "none was reached".to_owned() } else { reached.join(", ") }));
    let record = said.member("audit");
    lines.push((
        "record",
        format!(
            "{} written, {} lost, {}",
            grouped(record.number("written")),
            grouped(record.number("lost")),
            counted(record.number("disk_errors").into(), "failed write")
        ),
    ));
    let revocations = counted(said.number("revocations").into(), "revocation");
    lines.push(("state", format!("{} kept, {revocations}", grouped(said.number("state_entries")))));
    lines
}

/// The pages that are refused, and the lines with which they would not be.
fn refused(said: &Said<'_>, screen: Screen) -> String {
    let origins = said.list("refused_origins");
    if origins.is_empty() {
        return String::new();
    }
    let at = said.text("at");
    let ago = |time: &str| since(time, at).map_or_else(|| "-".to_owned(), |span| format!("{span} ago"));
    let mut table = screen.table();
    table.set_header(["refused origin", "workspace", "requests", "first", "last", "domain"]);
    let shown: Vec<Said<'_>> = origins.iter().take(ORIGINS_SHOWN).map(|origin| Said(origin)).collect();
    for origin in &shown {
        let workspace = match origin.text("workspace") {
            "" => "not said",
            workspace => workspace,
        };
        table.add_row([
            origin.text("origin"),
            workspace,
            &grouped(origin.number("requests")),
            &ago(origin.text("first_seen")),
            &ago(origin.text("last_seen")),
            if origin.flag("kin") { "of a trusted one" } else { "another" },
        ]);
    }
    let mut text =
        format!("\nPages of these origins are refused, since no list of trusted domains has them:\n{table}\n");
    let untold = origins.len() - shown.len();
    if untold > 0 {
        text.push_str(&format!("and {} more, which `--json` has\n", grouped(untold as u64)));
    }
    let addable: Vec<Said<'_>> = shown.into_iter().filter(|origin| !origin.text("add").is_empty()).collect();
    if !addable.is_empty() {
        text.push_str(
            "\nIf one of them is yours, this line lets it in. A domain that you add lets all of its pages write, and whoever sends without a \
             browser\ncan claim any origin: add none that you do not know.\n",
        );
        for origin in addable {
            let place = format!("{}:{}", origin.text("file"), origin.number("line"));
            text.push_str(&format!("  {place}: {}\n", origin.text("add")));
        }
    }
    text
}

/// An object of the answer. What is not there is empty: the answer of another version may have less.
struct Said<'s>(&'s Value);

impl<'s> Said<'s> {
    fn member(&self, name: &str) -> Said<'s> {
        Said(self.0.get(name).unwrap_or(&Value::Null))
    }

    fn text(&self, name: &str) -> &'s str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<&'s Value> {
        self.0.get(name).and_then(Value::as_array).into_iter().flatten().collect()
    }
}

/// From one time to another, in words.
fn since(time: &str, at: &str) -> Option<String> {
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    Some(span(seconds(at)?.saturating_sub(seconds(time)?).max(0).into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "version": "0.1.0", "started": "2026-11-20T08:00:00Z", "at": "2026-11-27T12:00:00Z", "state": "ready",
            "epoch": {"digest": "dbe75ffd349a", "since": "2026-11-27T09:00:00Z", "workspaces": 2},
            "reload": {"at": "2026-11-27T09:00:00Z", "result": "ok", "findings": 0, "mistakes": []},
            "certificates": [{"name": "public: certs/site.pem", "days_left": 81}],
            "tls": [{"listener": "public", "grade": "A+"}],
            "limits": [
                {"limit": "address", "refused": 0, "observed": 12}, {"limit": "subject", "refused": 0, "observed": 0},
            ],
            "key_sets": [{"workspace": "acme", "set": "idp", "keys": 2, "age_seconds": 240, "stale": false}],
            "audit": {"written": 1_204_113, "lost": 0, "disk_errors": 0},
            "connections_open": 12, "connections_max": 20_000, "connections_refused": 0, "requests_in_flight": 3,
            "alarms": [], "workspaces": [{"workspace": "acme", "mode": "enforce"}, {"workspace": "beta", "mode": "observe"}],
            "upstream_health": [{"upstream": "attributes", "answered": "2026-11-27T11:59:58Z"}],
            "state_entries": 40, "revocations": 1,
            "refused_origins": [
                {"origin": "https://new.acme.example", "workspace": "acme", "requests": 1204, "first_seen": "2026-11-24T12:00:00Z",
                 "last_seen": "2026-11-27T11:59:58Z", "kin": true, "file": "policies/workspaces/acme.toml", "line": 7,
                 "add": "trusted_domains = [..., \"https://new.acme.example\"]"},
                {"origin": "https://evil.test", "workspace": null, "requests": 3, "first_seen": "2026-11-27T11:00:00Z",
                 "last_seen": "2026-11-27T11:00:00Z", "kin": false, "file": null, "line": null, "add": null},
            ],
        })
    }

    fn shown(status: &Value) -> String {
        render("127.0.0.1:9100".parse().expect("an address"), status, Screen::Plain)
    }

    #[test]
    fn it_prints_what_the_document_shows() {
        let document = include_str!("../../../docs/operating.md");
        let shown = shown(&status());
        assert!(document.contains(&format!("```text\n{shown}```\n")), "{shown}");
    }

    #[test]
    fn what_needs_a_look_comes_first_with_its_mistakes() {
        let mut status = status();
        status["alarms"] = json!([
            {"code": "reload_failed", "words": "the last reload failed"}, {"code": "other", "words": "something else"},
        ]);
        status["reload"]["findings"] = json!(3);
        status["reload"]["mistakes"] = json!(["acme.toml:1:1: `mode` is missing", "b.toml:2:1: another"]);
        status["refused_origins"] = json!([]);
        let shown = shown(&status);
        let begin = "countersign 0.1.0 on 127.0.0.1:9100: ready, 2 things need a look:\n  ! the last reload failed\n      \
                     acme.toml:1:1: `mode` is missing\n      b.toml:2:1: another\n      and 1 more: `countersign check` has them all\n  \
                     ! something else\n\n";
        assert!(shown.starts_with(begin), "{shown}");
        assert!(!shown.contains("origin"), "{shown}");
    }

    #[test]
    fn a_thousand_workspaces_leave_it_one_screen() {
        let mut status = status();
        status["workspaces"] =
            (0..1000).map(|number| json!({"workspace": format!("w{number}"), "mode": "off"})).collect();
        let shown = shown(&status);
        assert!(shown.contains("w11 (off), and 988 more\n"), "{shown}");
    }

    #[test]
    fn nothing_at_all_is_told_as_well() {
        let shown = shown(&json!({"alarms": []}));
        assert!(shown.contains("policies      none in force\n"), "{shown}");
    }
}
