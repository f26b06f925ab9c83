//! What to do with a key, in one sentence. It decides from numbers and times that it is told, and reads no clock.

use crate::identity::{moment, span};
use crate::observe::{KeyReport, WorkspaceReport};
use crate::policy::{KeyPolicy, KeyTerm, KeyUse, WebhookKey, word};
use crate::profile::Platforms;

/// A key that signed nothing can go after so many proofs that others signed.
pub(super) const SIGNED_MIN: u64 = 10_000;

/// And after so many webhooks: all are signed by one vendor's servers, and not for as many pages as there are users.
pub(super) const SIGNED_WEBHOOKS_MIN: u64 = 100;

/// And after so many seconds: who comes on workdays alone was there.
pub(super) const QUIET_SECONDS_MIN: i64 = 7 * DAY_SECONDS;

/// A key that still signs and ends within so many seconds is a finding.
pub(super) const ENDS_SOON_SECONDS: i64 = 7 * DAY_SECONDS;

pub(super) const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What is said of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) sentence: String,
    /// Somebody has to do something, or requests will fail.
    pub(super) is_finding: bool,
}

/// One key among those that follow one another.
pub(super) struct Asked<'k> {
    /// `key`, or another word where there may be a key of the same id.
    title: &'static str,
    pub(super) id: &'k str,
    pub(super) term: KeyTerm,
    /// What the gateway has counted; `None` where it does not have the key.
    pub(super) report: Option<&'k KeyReport>,
    /// What the keys sign.
    noun: &'static str,
    /// What no other key that is in force is for.
    only_for: Option<String>,
    /// What no other key is for when it has ended.
    only_for_at_end: Option<String>,
    signed_min: u64,
    now: i64,
}

impl<'k> Asked<'k> {
    /// Of the key of a policy among `keys`, all of its workspace's; `counted` is `None` where the gateway does not have that.
    pub(super) fn of_key(
        key: &'k KeyPolicy,
        keys: &[KeyPolicy],
        counted: Option<&'k WorkspaceReport>,
        now: i64,
    ) -> Self {
        Self {
            title: "key",
            id: &key.id,
            term: key.term,
            report: counted.and_then(|counted| in_force(&counted.keys, &key.id)),
            noun: counted.map_or("tokens", noun),
            only_for: only_for(key, keys, now),
            only_for_at_end: key.term.not_after.and_then(|end| only_for(key, keys, end)),
            signed_min: SIGNED_MIN,
            now,
        }
    }

    /// Of a key for webhooks, likewise.
    pub(super) fn of_webhook_key(
        key: &'k WebhookKey,
        keys: &[WebhookKey],
        counted: Option<&'k WorkspaceReport>,
        now: i64,
    ) -> Self {
        let only_for = |at| {
            let is_alone = !keys.iter().any(|other| other.id != key.id && other.term.holds(at));
            is_alone.then(|| "webhooks".to_owned())
        };
        Self {
            title: "webhook key",
            id: &key.id,
            term: key.term,
            report: counted.and_then(|counted| in_force(&counted.webhooks.keys, &key.id)),
            noun: "webhooks",
            only_for: only_for(now),
            only_for_at_end: key.term.not_after.and_then(only_for),
            signed_min: SIGNED_WEBHOOKS_MIN,
            now,
        }
    }

    /// What to do with it.
    pub(super) fn advice(&self) -> Advice {
        let Self { title, id, report, noun, signed_min, now, ref only_for, ref only_for_at_end, .. } = *self;
        let KeyTerm { not_before, not_after } = self.term;
        let fine = |told: String| Advice { sentence: format!("{title} `{id}` {told}"), is_finding: false };
        let Some(report) = report else {
            return fine("is not in the running gateway: was the policy reloaded?".to_owned());
        };
        let (ends_in, begins_in) =
            (not_after.map(|end| end.saturating_sub(now)), not_before.map(|begin| begin.saturating_sub(now)));
        if let (Some(ends_in @ ..=0), Some(end)) = (ends_in, not_after) {
            let (ago, end) = (span((-i128::from(ends_in)).max(0)), moment(end.into()));
            return fine(match only_for {
                Some(what) => format!("ended {ago} ago, at {end}, and no other key is for {what}: add one"),
                None => format!("ended {ago} ago, at {end}, and verifies nothing: safe to remove"),
            });
        }
        if let (Some(begins_in @ 1..), Some(begin)) = (begins_in, not_before) {
            return fine(format!("begins in {}, at {}", span(begins_in.into()), moment(begin.into())));
        }
        let quiet = now.saturating_sub(report.quiet_since);
        let last_use = report.last_use.filter(|last_use| now.saturating_sub(*last_use) < QUIET_SECONDS_MIN);
        if let Some(last_use) = last_use {
            let signs = format!("signs {} of the {noun}", share(signed(report), report.signed_since));
            let used = format!("last {} ago", span(now.saturating_sub(last_use).max(0).into()));
            return match (ends_in, not_after) {
                (Some(ends_in @ ..=ENDS_SOON_SECONDS), Some(end)) => {
                    let (ends_in, end) = (span(ends_in.into()), moment(end.into()));
                    let told = format!(
                        "ends in {ends_in}, at {end}, and still {signs}, {used}: let another key sign before that"
                    );
                    Advice { is_finding: true, ..fine(told) }
                }
                (Some(_) | None, _) => fine(format!("{signs}, {used}")),
            };
        }
        if let Some(what) = only_for {
            let since = date(report.quiet_since);
            // What comes seldom would be refused all the same.
            if let (Some(ends_in @ ..=ENDS_SOON_SECONDS), Some(end), Some(what)) = (ends_in, not_after, only_for_at_end)
            {
                let (ends_in, end) = (span(ends_in.into()), moment(end.into()));
                return fine(format!(
                    "signed nothing since {since}, and ends in {ends_in}, at {end}: no other key is for {what} then, add one"
                ));
            }
            return fine(format!("signed nothing since {since}, and stays: no other key is for {what}"));
        }
        let others = report.signed_since_quiet;
        if quiet < QUIET_SECONDS_MIN {
            let (counted, enough) = (span(quiet.max(0).into()), span(QUIET_SECONDS_MIN.into()));
            return fine(format!("signed nothing yet, counted for {counted} only: ask again when it is {enough}"));
        }
        let signed = format!("signed 0 of the last {} {noun} since {}", grouped(others), date(report.quiet_since));
        fine(if others < signed_min {
            format!("{signed}: too few to say more, ask again when there are {}", grouped(signed_min))
        } else {
            format!("{signed}: safe to remove")
        })
    }

    /// `in force`, and until when.
    pub(super) fn term(&self) -> String {
        let KeyTerm { not_before, not_after } = self.term;
        match (not_before.filter(|begin| *begin > self.now), not_after) {
            (_, Some(end)) if end <= self.now => format!("ended {}", date(end)),
            (Some(begin), _) => format!("from {}", date(begin)),
            (None, Some(end)) => format!("until {}, {} left", date(end), span(end.saturating_sub(self.now).into())),
            (None, None) => "in force".to_owned(),
        }
    }

    pub(super) fn state(&self) -> &'static str {
        let KeyTerm { not_before, not_after } = self.term;
        if not_after.is_some_and(|end| end <= self.now) {
            "ended"
        } else if not_before.is_some_and(|begin| begin > self.now) {
            "not_yet"
        } else {
            "in_force"
        }
    }
}

/// What was counted of a key that the policies in force have.
pub(super) fn in_force<'r>(keys: &'r [KeyReport], id: &str) -> Option<&'r KeyReport> {
    keys.iter().find(|report| report.key == id && report.in_force)
}

/// What no other key that is in force is for, on all platforms of this one.
fn only_for(key: &KeyPolicy, keys: &[KeyPolicy], now: i64) -> Option<String> {
    let others = keys.iter().filter(|other| {
        let covers = key.platforms.iter().all(|platform| other.platforms.has(platform));
        other.id != key.id && other.term.holds(now) && covers
    });
    let others: Vec<KeyUse> = others.flat_map(|other| &other.uses).copied().collect();
    let alone = key.uses.iter().find(|uses| !others.contains(uses));
    alone.map(|uses| {
        let what = match uses {
            KeyUse::Jwt => "tokens",
            KeyUse::UserHash => "user hashes",
            KeyUse::EncryptedPayload => "encrypted settings",
            KeyUse::CollectorTicket => "collector tickets",
        };
        match some_platforms(key) {
            Some(platforms) => format!("{what} from {}", platforms.join(", ")),
            None => what.to_owned(),
        }
    })
}

/// All that a key signed, also what was refused for something else: it is in use.
pub(super) fn signed(report: &KeyReport) -> u64 {
    report.verified.all() + report.refused.all()
}

/// What a workspace's keys sign: tokens, where it has seen nothing else.
pub(super) fn noun(counted: &WorkspaceReport) -> &'static str {
    let kinds = counted.keys.iter().flat_map(|key| [key.verified, key.refused]);
    let others: u64 = kinds.map(|kinds| kinds.all() - kinds.jwt).sum();
    if others == 0 { "tokens" } else { "proofs" }
}

/// `40 %`. Only all is all, and what is something is not nothing.
pub(super) fn share(part: u64, all: u64) -> String {
    let percent = u128::from(part) * 100 / u128::from(all.max(1));
    match percent {
        0 if part > 0 => "less than 1 %".to_owned(),
        percent => format!("{percent} %"),
    }
}

/// `1,204,113`.
pub(in super::super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2026-11-20`.
pub(super) fn date(seconds: i64) -> String {
    let moment = moment(seconds.into());
    moment.split_once('T').map_or_else(|| moment.clone(), |(date, _)| date.to_owned())
}

/// The words of the policy for a key's platforms, where it is not for all.
pub(super) fn some_platforms(key: &KeyPolicy) -> Option<Vec<&'static str>> {
    (key.platforms != Platforms::ALL).then(|| key.platforms.iter().map(word).collect())
}

/// The words of the policy for what a key is for.
pub(super) fn uses(key: &KeyPolicy) -> Vec<&'static str> {
    key.uses.iter().map(|uses| word(*uses)).collect()
}

#[cfg(test)]
mod tests;
