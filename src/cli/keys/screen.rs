//! What `countersign keys` shows to people.

use super::advice::{DAY_SECONDS, date, grouped};
use super::{Answer, OfKey, OfSet, OfWebhooks, OfWorkspace};
use crate::demo::table::Screen;
use crate::identity::{counted, span};
use crate::observe::{ADDRESSES_MAX, LONG_LIFE_SECONDS, Risks};

pub(super) fn render(answer: &Answer, screen: Screen) -> String {
    let mut text = String::new();
    let (address, counted_for) = (answer.address, since(answer.started, answer.at));
    text.push_str(&format!(
        "The gateway on {address} has counted for {counted_for}, since it started; others count for themselves.\n"
    ));
    if !answer.same_policies {
        text.push_str("It has other policies in force than those that were read here.\n");
    }
    for workspace in &answer.workspaces {
        if workspace.since.is_none() {
            text.push_str(&format!("\n{}: not in the running gateway\n", workspace.workspace));
        }
        // One that takes webhooks alone has nothing to say of tokens.
        let has_proofs = !workspace.keys.is_empty() || !workspace.sets.is_empty() || workspace.unsigned.proofs() > 0;
        if has_proofs || workspace.webhooks.is_none() {
            text.push_str(&counts(
                workspace,
                (workspace.signed, workspace.unsigned.proofs()),
                workspace.noun,
                answer.at,
            ));
            text.push_str(&of_keys(&workspace.keys, screen, answer.at));
        }
        for OfSet { set, in_gateway, share, last_use, .. } in &workspace.sets {
            let told = match (in_gateway, last_use) {
                (false, _) => "is not in the running gateway: was the policy reloaded?".to_owned(),
                (true, None) => "signed nothing yet".to_owned(),
                (true, Some(last_use)) => {
                    format!("signs {share} of the {}, last {} ago", workspace.noun, since(*last_use, answer.at))
                }
            };
            text.push_str(&format!("set `{set}` {told}\n"));
        }
        text.extend(unwise(workspace));
        if let Some(OfWebhooks { signed, keys }) = &workspace.webhooks {
            text.push_str(&counts(workspace, (*signed, workspace.unsigned.webhook), "webhooks", answer.at));
            text.push_str(&of_keys(keys, screen, answer.at));
        }
    }
    text
}

/// For how long something is so.
fn since(moment: i64, now: i64) -> String {
    span(now.saturating_sub(moment).max(0).into())
}

/// What keys signed together, and what none of them did.
fn counts(workspace: &OfWorkspace, (signed, unsigned): (u64, u64), noun: &str, now: i64) -> String {
    let Some(begin) = workspace.since else { return String::new() };
    format!(
        "\n{}: since {} ({} ago) its keys signed {} {}, and {} came that no key in force for them signed\n",
        workspace.workspace,
        date(begin),
        since(begin, now),
        grouped(signed),
        if signed == 1 { noun.trim_end_matches('s') } else { noun },
        grouped(unsigned),
    )
}

/// Keys that follow one another: a row for each, and a sentence.
fn of_keys(keys: &[OfKey], screen: Screen, now: i64) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let mut table = screen.table();
    table.set_header(["key", "algorithm", "use", "term", "verified", "refused", "share", "last use"]);
    for key in keys {
        table.add_row([
            key.key.clone(),
            key.algorithm.clone(),
            match &key.platforms {
                Some(platforms) => format!("{} from {}", key.uses.join(", "), platforms.join(", ")),
                None => key.uses.join(", "),
            },
            key.term.clone(),
            grouped(key.verified.all()),
            grouped(key.refused.all()),
            key.share.clone(),
            key.last_use.map_or_else(|| "-".to_owned(), |last_use| format!("{} ago", since(last_use, now))),
        ]);
    }
    let mut text = format!("{table}\n");
    for key in keys {
        text.push_str(&format!("{}\n", key.advice));
    }
    text
}

/// What is unwise about the tokens that hold, where anything is.
fn unwise(workspace: &OfWorkspace) -> Option<String> {
    let Risks { no_expiry, long_life, shared } = workspace.risks;
    let limit = if workspace.has_lifetime_max {
        "`max_lifetime`".to_owned()
    } else {
        counted((LONG_LIFE_SECONDS / DAY_SECONDS).into(), "day")
    };
    let requests = |number: u64| match number {
        1 => "1 request".to_owned(),
        number => format!("{} requests", grouped(number)),
    };
    let told = [
        (no_expiry > 0).then(|| format!("{} with a token without `exp`", requests(no_expiry))),
        (long_life > 0).then(|| format!("{} with a token that lives longer than {limit}", requests(long_life))),
        (shared > 0).then(|| {
            let tokens = if shared == 1 { "1 token".to_owned() } else { format!("{} tokens", grouped(shared)) };
            format!("{tokens} from more than {ADDRESSES_MAX} addresses each")
        }),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| format!("unwise: {}\n", told.join("; ")))
}
