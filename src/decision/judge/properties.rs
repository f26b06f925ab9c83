//! What holds of every judgement, whatever the catalogue, the token and the payload.

use std::borrow::Cow;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::reference::{Fate, leaks, text};
use crate::decision::{
    Additions, Attribute, Catalogue, Change, Channel, Circumstances, Code, Collect, Context, Effect, Folding, Force,
    Group, GroupIndex, Judged, Kind, KnownSecrets, Lock, Mode, Role, SecretIndex, Signed, Spelling, Subject,
    TokenReader, Unlisted, Update, Value, ValueRule, Verdict, Write, judge,
};

const LISTED: [&str; 11] = [
    "plan",
    "plan_tier",
    "seats",
    "email",
    "notes",
    "tags",
    "company",
    "company.plan",
    "company.id",
    "company.company_id",
    "company.name",
];

/// Spellings of what may be listed, and of what never is. None of them has a prefix of its own.
const NAMES: [&str; 25] = [
    "plan",
    "plan",
    "Plan",
    " plan",
    "level",
    "custom_attributes.plan",
    "plan_tier",
    "plan.tier",
    "plan tier",
    "Plan_Tier ",
    "seats",
    "SEATS",
    "email",
    "notes",
    "tags",
    "company",
    "company.plan",
    "company.other",
    "id",
    "company_id",
    "Company_Id",
    "name",
    "other",
    "other.plan",
    SECRET,
];

const VALUES: [&str; 19] = [
    "null",
    "''",
    "'null'",
    "' undefined '",
    "'pro'",
    "'pro'",
    "'free'",
    "'a longer text'",
    "'5'",
    "5",
    "5.0",
    "7",
    "true",
    "'true'",
    "['5']",
    "{a:5}",
    "'the-secret'",
    "['the-secret']",
    "{the-secret:5}",
];

/// What no update may hold.
pub(super) const SECRET: &str = "the-secret";

struct Known;

impl KnownSecrets for Known {
    fn bytes_min(&self) -> usize {
        SECRET.len()
    }

    fn find(&self, text: &str) -> Option<SecretIndex> {
        text.contains(SECRET).then_some(SecretIndex(0))
    }
}

fn value(spelled: &'static str) -> Value<'static> {
    match spelled {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "['5']" => Value::List(vec![value("'5'")]),
        "['the-secret']" => Value::List(vec![value("'the-secret'")]),
        "{a:5}" => Value::Object(vec![(Cow::Borrowed("a"), value("5"))]),
        "{the-secret:5}" => Value::Object(vec![(Cow::Borrowed(SECRET), value("5"))]),
        text if text.starts_with('\'') => Value::Text(Cow::Borrowed(text.trim_matches('\''))),
        digits => Value::Number(Cow::Borrowed(digits)),
    }
}

/// A write that owns what it says, in a form that a failing case can show.
#[derive(Clone, Debug)]
struct Draft {
    prefix: &'static str,
    name: String,
    /// `None` for a delete.
    value: Option<&'static str>,
    role: Role,
    spelling: Spelling,
    group: Option<usize>,
}

impl Draft {
    fn full(&self) -> String {
        format!("{}.{}", self.prefix, self.name).trim_start_matches('.').to_owned()
    }
}

#[derive(Clone, Debug)]
struct Drafts {
    writes: Vec<Draft>,
    ids: Vec<Option<&'static str>>,
}

/// What a catalogue is built from, and what besides the payload decides.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub mode: Mode,
    pub unlisted: Unlisted,
    pub signed_unlisted: Unlisted,
    /// Whether the backend makes dots and spaces within a name into `_`.
    pub replaces: bool,
    pub aliases: Vec<(String, String)>,
    pub attributes: Vec<Attribute>,
    pub circumstances: Circumstances<'static>,
}

impl World {
    fn catalogue(&self) -> Catalogue {
        let folding = Folding {
            replaced: if self.replaces { vec!['.', ' '] } else { vec![] },
            replacement: self.replaces.then_some('_'),
            containers: vec!["custom_attributes".into()],
        };
        let attributes = self.attributes.clone();
        Catalogue::new(self.mode, self.unlisted, self.signed_unlisted, folding, &self.aliases, attributes)
            .expect("no two listed names have one key")
    }

    /// Enforces each lock, and drops what is not listed.
    ///
    /// A lock in `observe` is no step between: it only records what is wrong with a value, where an open attribute leaves it out.
    fn stricter(&self) -> World {
        let enforced = |attribute: &Attribute| Attribute { lock: Lock::Enforce, ..attribute.clone() };
        World {
            attributes: self.attributes.iter().map(enforced).collect(),
            unlisted: Unlisted::Drop,
            signed_unlisted: Unlisted::Drop,
            ..self.clone()
        }
    }
}

/// The values, the required names and the drafts outlive the update that borrows them.
fn with_update<T>(drafts: &Drafts, then: impl FnOnce(Update<'_>) -> T) -> T {
    let values: Vec<Option<Value<'static>>> = drafts.writes.iter().map(|draft| draft.value.map(value)).collect();
    let required = [vec!["company_id".to_owned(), "id".to_owned()], vec!["name".to_owned()]];
    let writes = drafts
        .writes
        .iter()
        .zip(&values)
        .map(|(draft, value)| Write {
            prefix: draft.prefix,
            name: Cow::Borrowed(&draft.name),
            change: value.as_ref().map_or(Change::Delete, Change::Set),
            role: draft.role,
            spelling: draft.spelling,
            group: draft.group.map(GroupIndex),
        })
        .collect();
    let groups = drafts.ids.iter().map(|id| Group { name: "company", id: *id, required: &required }).collect();
    then(Update { writes, groups })
}

fn with_judged<T>(
    world: &World,
    claims: Option<&Drafts>,
    drafts: &Drafts,
    then: impl FnOnce(&Judged<'_>, &Update<'_>, &Update<'_>) -> T,
) -> T {
    let none = Drafts { writes: vec![], ids: vec![] };
    with_update(claims.unwrap_or(&none), |signed| {
        with_update(drafts, |update| {
            let vouched = claims.map(|_| Signed::vouched(signed.clone()));
            let judged = judge(&world.catalogue(), world.circumstances, &Known, vouched.as_ref(), &update);
            then(&judged, &signed, &update)
        })
    })
}

fn modes() -> impl Strategy<Value = Mode> {
    select(&[Mode::Off, Mode::Observe, Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Enforce][..])
}

fn unlisted() -> impl Strategy<Value = Unlisted> {
    select(&[Unlisted::Drop, Unlisted::Observe, Unlisted::Keep, Unlisted::Keep][..])
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let locks = select(&[Lock::Off, Lock::Observe, Lock::Enforce, Lock::Enforce][..]);
    let rules = select(
        &[(Kind::Scalar, None), (Kind::Text, None), (Kind::Text, Some(4)), (Kind::Integer, None), (Kind::Any, None)][..],
    );
    let collects = select(&[Collect::Never, Collect::Leads][..]);
    (subsequence(&LISTED[..], 6..=8), vec((locks, rules, collects), 8)).prop_map(|(names, facts)| {
        names
            .into_iter()
            .zip(facts)
            .map(|(name, (lock, (kind, max_length), collect))| Attribute {
                name: name.into(),
                lock,
                rule: ValueRule { kind, max_length, ..ValueRule::default() },
                collect,
            })
            .collect()
    })
}

/// What a ticket names.
static ASKED: LazyLock<Vec<String>> = LazyLock::new(|| ["plan", "company.plan"].map(str::to_owned).to_vec());

fn circumstances() -> impl Strategy<Value = Circumstances<'static>> {
    let channels = select(
        &[
            Channel::Messenger,
            Channel::Messenger,
            Channel::Collector(Context::Proven),
            Channel::Collector(Context::Missing),
            Channel::Server,
        ][..],
    );
    let subjects = select(vec![Subject::Lead, Subject::LeadFor(&ASKED), Subject::NotLead]);
    let readers = select(&[TokenReader::Upstream, TokenReader::Gateway][..]);
    let additions = select(&[Additions::Welcome, Additions::Unwelcome][..]);
    (channels, subjects, readers, additions).prop_map(|(channel, subject, token_reader, additions)| Circumstances {
        channel,
        subject,
        token_reader,
        additions,
    })
}

fn worlds() -> impl Strategy<Value = World> {
    (modes(), unlisted(), unlisted(), any::<bool>(), attributes(), circumstances()).prop_map(
        |(mode, unlisted, signed_unlisted, replaces, attributes, circumstances)| World {
            mode,
            unlisted,
            // Who keeps what nobody signed keeps what somebody did.
            signed_unlisted: if unlisted == Unlisted::Keep { Unlisted::Keep } else { signed_unlisted },
            replaces,
            aliases: vec![("level".into(), "plan".into()), ("company.id".into(), "company.company_id".into())],
            attributes: without_twins(attributes),
            circumstances,
        },
    )
}

/// `company.id` and `company.company_id` are one name by the alias table, so that no catalogue lists both.
fn without_twins(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    if attributes.iter().any(|attribute| attribute.name == "company.company_id") {
        attributes.retain(|attribute| attribute.name != "company.id");
    }
    attributes
}

/// Where a write stands: of the user, of a company of its own, or of one of two companies.
const PLACES: [(&str, Option<usize>); 6] =
    [("", None), ("", None), ("", None), ("company", None), ("company", Some(0)), ("company", Some(1))];

fn draft(names: impl Strategy<Value = String>) -> impl Strategy<Value = Draft> {
    (select(&PLACES[..]), names, 0..20_u8, select(&VALUES[..]), 0..40_u8).prop_map(
        |((prefix, group), name, deletes, value, role)| {
            let draft = Draft {
                prefix,
                name,
                value: (deletes > 1).then_some(value),
                role: Role::Attribute,
                spelling: Spelling::Own,
                group,
            };
            match role {
                0 => Draft { role: Role::Setting, ..draft },
                1 => Draft { role: Role::Credential, ..draft },
                2 => Draft { role: Role::OwnCredential, ..draft },
                3..6 => Draft { role: Role::WholeGroup, prefix: "", name: "company".into(), group: None, ..draft },
                // A profile reads a company as its members, or else as a whole.
                _ if (prefix, &*draft.name) == ("", "company") && value.starts_with(['[', '{']) => {
                    Draft { role: Role::WholeGroup, group: None, ..draft }
                }
                6..9 => Draft { spelling: Spelling::Alias, ..draft },
                _ => draft,
            }
        },
    )
}

fn pooled() -> impl Strategy<Value = Draft> {
    draft(select(&NAMES[..]).prop_map(str::to_owned))
}

fn ids() -> impl Strategy<Value = Vec<Option<&'static str>>> {
    vec(select(&[None, Some("1"), Some("1"), Some("2")][..]), 2)
}

fn updates() -> impl Strategy<Value = Drafts> {
    (vec(pooled(), 0..7), ids()).prop_map(|(writes, ids)| Drafts { writes, ids })
}

/// What a token says and what the payload says; often of the same attributes.
fn requests() -> impl Strategy<Value = (Option<Drafts>, Drafts)> {
    (prop::option::weighted(0.7, updates()), updates(), 0..4_usize).prop_map(|(claims, drafts, shared)| {
        let claims = claims.map(|claims| {
            let writes = drafts.writes.iter().take(shared).chain(&claims.writes).cloned().collect();
            let ids = if shared == 0 { claims.ids } else { drafts.ids.clone() };
            as_claims(Drafts { writes, ids })
        });
        (claims, drafts)
    })
}

/// Claims set attributes at their own places, and none of them twice: nothing else leaves the readers of tokens.
fn as_claims(Drafts { writes, ids }: Drafts) -> Drafts {
    let mut claims: Vec<Draft> = vec![];
    for draft in writes {
        let same_object = |other: &Draft| match (other.group, draft.group) {
            (Some(a), Some(b)) => a == b || ids[a] == ids[b],
            (a, b) => a == b,
        };
        let twice = claims.iter().any(|other| same_object(other) && other.full() == draft.full());
        let plain = draft.spelling == Spelling::Own && draft.role != Role::Setting;
        if !twice && plain && draft.value.is_some() {
            claims.push(draft);
        }
    }
    Drafts { writes: claims, ids }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn every_write_has_the_fate_that_the_specification_gives_it(world in worlds(), (claims, drafts) in requests()) {
        with_judged(&world, claims.as_ref(), &drafts, |judged, signed, update| {
            let named: Vec<Fate<'_>> =
                judged.verdicts().iter().map(|verdict| (verdict.code, verdict.force, verdict.effect)).collect();
            prop_assert_eq!(named, world.named(signed, update));
            // What a gateway adds to a company, and what it says in mode off, the specification leaves open.
            let of_the_user = signed.writes.iter().all(|claim| claim.prefix.is_empty());
            if world.mode != Mode::Off && (of_the_user || world.circumstances.token_reader == TokenReader::Upstream) {
                let unnamed: Vec<(String, Code, Force)> =
                    judged.unnamed().iter().map(|(name, verdict)| (name.clone(), verdict.code, verdict.force)).collect();
                prop_assert_eq!(unnamed, world.unnamed(signed, update));
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn every_write_has_one_verdict_and_every_addition_too(world in worlds(), (claims, drafts) in requests()) {
        with_judged(&world, claims.as_ref(), &drafts, |judged, _, update| {
            prop_assert_eq!(judged.verdicts().len(), update.writes.len());
            for verdict in judged.verdicts() {
                prop_assert!(verdict.force == Force::Applied || verdict.effect == Effect::Kept);
            }
            let written = |verdict: &Verdict<'_>| verdict.code == Code::SignedAdded && verdict.force == Force::Applied;
            let unnamed: Vec<&String> =
                judged.unnamed().iter().filter(|(_, verdict)| written(verdict)).map(|(name, _)| name).collect();
            let added: Vec<&String> = judged.additions().iter().map(|addition| &addition.name).collect();
            prop_assert_eq!(added, unnamed);
            Ok(())
        })?;
    }

    #[test]
    fn no_unsigned_value_of_an_enforced_attribute_goes_on(world in worlds(), (claims, drafts) in requests()) {
        let world = World { mode: Mode::Enforce, ..world };
        with_judged(&world, claims.as_ref(), &drafts, |judged, signed, update| {
            for (verdict, write) in judged.verdicts().iter().zip(&update.writes) {
                if let Effect::Replaced(value) = verdict.effect {
                    prop_assert!(signed.writes.iter().any(|claim| claim.change == Change::Set(value)));
                }
                let attribute = matches!(write.role, Role::Attribute | Role::WholeGroup);
                if attribute && world.lock(write).0 == Lock::Enforce {
                    let excepted = match world.circumstances.channel {
                        Channel::Server => Code::Server,
                        Channel::Messenger | Channel::Collector(_) => Code::Lead,
                    };
                    prop_assert!(verdict.effect != Effect::Kept || verdict.code == excepted, "{write:?} {verdict:?}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_secret_goes_on_whatever_the_lock_and_the_mode(world in worlds(), (claims, drafts) in requests()) {
        with_judged(&world, claims.as_ref(), &drafts, |judged, signed, update| {
            let holds = |text: &str| text.contains(SECRET);
            for (verdict, write) in judged.verdicts().iter().zip(&update.writes) {
                let left = match (verdict.effect, write.change) {
                    (Effect::Kept, Change::Set(value)) => Some(value),
                    (Effect::Replaced(value), _) => Some(value),
                    (Effect::Kept, Change::Delete) | (Effect::LeftOut, _) => None,
                };
                prop_assert!(verdict.effect == Effect::LeftOut || !holds(&write.name), "{write:?} {verdict:?}");
                prop_assert!(!left.is_some_and(|value| holds(&text(value))), "{write:?} {verdict:?}");
            }
            for addition in judged.additions() {
                prop_assert!(!holds(&addition.name) && !holds(&text(addition.value)));
            }
            prop_assert_eq!(judged.is_secret_signed(), signed.writes.iter().any(leaks));
            let secret = judged.verdicts().iter().chain(judged.unnamed().iter().map(|(_, verdict)| verdict));
            let secret = secret.filter(|verdict| verdict.code == Code::Secret).count();
            prop_assert!(judged.leaks().len() <= secret);
            Ok(())
        })?;
    }

    #[test]
    fn judging_what_went_on_changes_nothing(world in worlds(), (claims, drafts) in requests()) {
        with_judged(&world, claims.as_ref(), &drafts, |judged, signed, update| {
            let writes: Vec<Write<'_>> = judged
                .verdicts()
                .iter()
                .zip(&update.writes)
                .filter_map(|(verdict, write)| match verdict.effect {
                    Effect::Kept => Some(write.clone()),
                    Effect::LeftOut => None,
                    Effect::Replaced(value) => Some(Write { change: Change::Set(value), ..write.clone() }),
                })
                .collect();
            let update = Update { writes, groups: update.groups.clone() };
            let vouched = claims.as_ref().map(|_| Signed::vouched(signed.clone()));
            let catalogue = world.catalogue();
            let again = judge(&catalogue, world.circumstances, &Known, vouched.as_ref(), &update);
            for (verdict, write) in again.verdicts().iter().zip(&update.writes) {
                let same = match verdict.effect {
                    Effect::Kept => true,
                    Effect::LeftOut => false,
                    Effect::Replaced(value) => write.change == Change::Set(value),
                };
                prop_assert!(same, "{write:?} {verdict:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_stricter_policy_keeps_no_more(world in worlds(), (claims, drafts) in requests()) {
        let kept = |world: &World| {
            with_judged(world, claims.as_ref(), &drafts, |judged, _, _| {
                judged.verdicts().iter().map(|verdict| verdict.effect != Effect::LeftOut).collect::<Vec<bool>>()
            })
        };
        for (before, after) in kept(&world).into_iter().zip(kept(&world.stricter())) {
            prop_assert!(before || !after);
        }
    }

    #[test]
    fn no_name_makes_it_panic(world in worlds(), writes in vec(draft(any::<String>()), 0..5), ids in ids()) {
        let drafts = Drafts { writes, ids };
        let verdicts = with_judged(&world, Some(&drafts), &drafts, |judged, _, _| judged.verdicts().len());
        prop_assert_eq!(verdicts, drafts.writes.len());
    }
}
