//! The table of verdicts once more, from its specification alone and as plainly as it can be said: what `properties` compares `judge` with.
//! It shares no step with `judge`; names are folded and values compared here for the few spellings that the generator makes.

use super::properties::{SECRET, World};
use crate::decision::{
    Additions, Attribute, Change, Channel, Circumstances, Code, Collect, Context, Effect, Force, GroupIndex, Kind,
    Lock, Mode, Role, Spelling, Subject, TokenReader, Unlisted, Update, Value, WITHHELD, Write,
};

pub(super) type Fate<'a> = (Code, Force, Effect<'a>);

impl World {
    pub(super) fn named<'a>(&self, claims: &'a Update<'a>, update: &Update<'_>) -> Vec<Fate<'a>> {
        let writes = &update.writes;
        let fates: Vec<Fate<'a>> = writes.iter().map(|write| self.told(claims, update, write)).collect();
        let kept = |fate: &Fate<'_>| fate.2 != Effect::LeftOut;
        let lost = |index: GroupIndex, alternatives: &Vec<String>| {
            let is_one =
                |write: &Write<'_>| write.group == Some(index) && alternatives.iter().any(|name| *name == write.name);
            let mut present = writes.iter().zip(&fates).filter(|(write, _)| is_one(write)).peekable();
            present.peek().is_some() && !present.any(|(_, fate)| kept(fate))
        };
        let incomplete = |index: GroupIndex| update.groups[index.0].required.iter().any(|names| lost(index, names));
        let anything = self.mode == Mode::Enforce || fates.iter().any(|fate| fate.0 == Code::Secret);
        let leave_out = |write: &Write<'_>| anything && write.group.is_some_and(incomplete);
        let incomplete = (Code::Incomplete, Force::Applied, Effect::LeftOut);
        let all = writes.iter().zip(&fates);
        all.map(|(write, fate)| if kept(fate) && leave_out(write) { incomplete } else { *fate }).collect()
    }

    pub(super) fn unnamed(&self, claims: &Update<'_>, update: &Update<'_>) -> Vec<(String, Code, Force)> {
        let mut verdicts = vec![];
        for claim in claims.writes.iter().filter(|claim| self.signs(claim) && !leaks(claim)) {
            let identified = claim.group.is_none_or(|group| claims.groups[group.0].id.is_some());
            let names = |write: &Write<'_>| self.is_attribute(write) && self.is_own(write);
            let named = |write: &Write<'_>| names(write) && !leaks(write) && same_place(claims, claim, update, write);
            if !identified || update.writes.iter().any(named) {
                continue;
            }
            let (lock, listed) = self.lock(claim);
            let code = match self.circumstances {
                Circumstances { token_reader: TokenReader::Upstream, .. } => Code::Signed,
                Circumstances { additions: Additions::Unwelcome, .. } => continue,
                _ if !listed && self.signed_unlisted != Unlisted::Keep => Code::Unlisted,
                _ => Code::SignedAdded,
            };
            let force =
                if lock == Lock::Observe || self.mode == Mode::Observe { Force::Recorded } else { Force::Applied };
            verdicts.push((full(claim), code, force));
        }
        for claim in claims.writes.iter().filter(|claim| leaks(claim)) {
            let name = if claim.name.contains(SECRET) { WITHHELD.to_owned() } else { full(claim) };
            verdicts.push((name, Code::Secret, Force::Applied));
        }
        verdicts
    }

    /// A secret goes nowhere, whatever it stands in, and nothing stands in the place of a signed one.
    fn told<'a>(&self, claims: &'a Update<'a>, update: &Update<'_>, write: &Write<'_>) -> Fate<'a> {
        let secret = (Code::Secret, Force::Applied, Effect::LeftOut);
        let names = |claim: &Write<'_>| self.is_attribute(claim) && claim.role != Role::WholeGroup;
        let leaking = |claim: &Write<'_>| names(claim) && leaks(claim) && same_place(claims, claim, update, write);
        let signed_leak = self.mode != Mode::Off && self.is_attribute(write) && claims.writes.iter().any(leaking);
        if leaks(write) || signed_leak {
            return secret;
        }
        self.fate(write, self.signed(claims, update, write))
    }

    /// The table, row by row. Under `observe` the verdict stands and the payload is left untouched.
    fn fate<'a>(&self, write: &Write<'_>, signed: Option<&'a Value<'a>>) -> Fate<'a> {
        let setting = write.role == Role::Setting && !self.is_attribute(write);
        let (lock, listed) = self.lock(write);
        let (locked, attribute) = (lock != Lock::Off, self.attribute(write));
        let value = if let Change::Set(value) = write.change { Some(value) } else { None };
        let erases =
            value.is_none_or(|value| *value == Value::Null || ["", "null", "undefined"].contains(&text(value).trim()));
        let agrees = value.zip(signed).is_some_and(|(value, signed)| text(value) == text(signed));
        let fits = erases || write.role != Role::WholeGroup && value.is_some_and(|value| fits(attribute, value));
        let Circumstances { channel, subject, .. } = self.circumstances;
        let lead = channel == Channel::Collector(Context::Proven)
            && match subject {
                Subject::Lead => true,
                Subject::LeadFor(names) => attribute.is_some_and(|attribute| names.contains(&attribute.name)),
                Subject::NotLead => false,
            }
            && attribute.is_some_and(|attribute| attribute.collect == Collect::Leads);
        let mut observed = self.mode == Mode::Observe || lock == Lock::Observe;
        let own = if write.role == Role::OwnCredential { Effect::LeftOut } else { Effect::Kept };
        if setting || matches!(write.role, Role::Credential | Role::OwnCredential) {
            return (if setting { Code::Setting } else { Code::Credential }, Force::Applied, own);
        }
        if self.mode == Mode::Off {
            return (Code::Open, Force::Applied, Effect::Kept);
        }
        let (code, effect) = if locked && !self.is_own(write) {
            (Code::Alias, Effect::LeftOut)
        } else if let Some(signed) = signed {
            (if agrees { Code::Signed } else { Code::Overridden }, Effect::Replaced(signed))
        } else if locked && channel == Channel::Server {
            if fits { (Code::Server, Effect::Kept) } else { (Code::Type, Effect::LeftOut) }
        } else if locked && erases {
            (Code::EraseLocked, Effect::LeftOut)
        } else if locked && lead {
            if fits { (Code::Lead, Effect::Kept) } else { (Code::Type, Effect::LeftOut) }
        } else if locked {
            (if channel == Channel::Messenger { Code::Locked } else { Code::NotLead }, Effect::LeftOut)
        } else if !listed && self.unlisted != Unlisted::Keep {
            observed |= self.unlisted == Unlisted::Observe;
            (Code::Unlisted, Effect::LeftOut)
        } else if !fits {
            (Code::Type, Effect::LeftOut)
        } else {
            (Code::Open, Effect::Kept)
        };
        if observed { (code, Force::Recorded, Effect::Kept) } else { (code, Force::Applied, effect) }
    }

    /// What the token says of it: only the catalogue's own spelling is signed, and what is not listed only where that may create it.
    fn signed<'a>(&self, claims: &'a Update<'a>, update: &Update<'_>, write: &Write<'_>) -> Option<&'a Value<'a>> {
        let claim = claims.writes.iter().find(|claim| self.signs(claim) && same_place(claims, claim, update, write))?;
        let Change::Set(value) = claim.change else { return None };
        (self.is_own(write) && (self.lock(write).1 || self.signed_unlisted == Unlisted::Keep)).then_some(value)
    }

    fn signs(&self, claim: &Write<'_>) -> bool {
        claim.role != Role::WholeGroup && self.is_attribute(claim) && self.is_own(claim)
    }

    fn is_attribute(&self, write: &Write<'_>) -> bool {
        matches!(write.role, Role::Attribute | Role::WholeGroup)
            || write.role == Role::Setting && self.attribute(write).is_some()
    }

    /// The strictest lock that the write touches, and whether anything of it is listed.
    pub(super) fn lock(&self, write: &Write<'_>) -> (Lock, bool) {
        let within = format!("{}.", write.name);
        let part = |attribute: &&Attribute| write.role == Role::WholeGroup && attribute.name.starts_with(&within);
        let around = self.at(&self.fold(write.prefix)).into_iter().chain(self.path(write));
        let touched = self.attribute(write).into_iter().chain(around).chain(self.attributes.iter().filter(part));
        let lock = touched.map(|attribute| attribute.lock).max();
        (lock.unwrap_or(Lock::Off), lock.is_some())
    }

    /// The object that a name with a dot stands in, read as a path: it counts where the name is listed, or where nobody may write to it.
    fn path(&self, write: &Write<'_>) -> Option<&Attribute> {
        let (path, _) = self.path_of(write)?;
        let object = self.at(&path).filter(|_| write.name.contains('.'))?;
        (self.attribute(write).is_some() || object.lock == Lock::Enforce).then_some(object)
    }

    /// Spelled as the catalogue spells it and found as one name: where only a path through its dots finds it, the place is another.
    fn is_own(&self, write: &Write<'_>) -> bool {
        let spelled = |attribute: &Attribute| attribute.name == full(write) && self.member(write) == Some(attribute);
        let within = self.at(&self.fold(write.prefix)).is_some() || self.path(write).is_none();
        self.attribute(write).map_or(within, |attribute| write.spelling == Spelling::Own && spelled(attribute))
    }

    /// The attribute that the write names: of the two that a name with a dot may mean, the one with the stricter lock.
    fn attribute(&self, write: &Write<'_>) -> Option<&Attribute> {
        let (path, last) = self.path_of(write).unwrap_or_default();
        let path = if path.is_empty() { last } else { format!("{path}.{last}") };
        match (self.member(write), self.at(&path)) {
            (Some(member), Some(path)) if path.lock > member.lock => Some(path),
            (member, path) => member.or(path),
        }
    }

    fn path_of(&self, write: &Write<'_>) -> Option<(String, String)> {
        let mut path: Vec<String> = full(write).split('.').map(|segment| self.fold(segment)).collect();
        let last = path.pop()?;
        path.retain(|object| object != "custom_attributes");
        Some((path.join("."), last))
    }

    fn member(&self, write: &Write<'_>) -> Option<&Attribute> {
        let name = self.fold(&write.name);
        self.at(&if write.prefix.is_empty() { name } else { format!("{}.{name}", write.prefix) })
    }

    fn at(&self, key: &str) -> Option<&Attribute> {
        let meant = |key| self.aliases.iter().find(|(alias, _)| alias == key).map_or(key, |(_, name)| name.as_str());
        self.attributes.iter().find(|attribute| meant(&attribute.name) == meant(key))
    }

    fn fold(&self, name: &str) -> String {
        let name = name.trim().to_lowercase();
        if self.replaces { name.replace(['.', ' '], "_") } else { name }
    }
}

fn full(write: &Write<'_>) -> String {
    if write.prefix.is_empty() { write.name.to_string() } else { format!("{}.{}", write.prefix, write.name) }
}

fn same_place(claims: &Update<'_>, claim: &Write<'_>, update: &Update<'_>, write: &Write<'_>) -> bool {
    let signed = claim.group.map(|group| (claims.groups[group.0].name, claims.groups[group.0].id));
    let plain = write.group.map(|group| (update.groups[group.0].name, update.groups[group.0].id));
    signed == plain && signed.is_none_or(|(_, id)| id.is_some()) && full(claim) == full(write)
}

/// Whether a secret stands in its name or value.
pub(super) fn leaks(write: &Write<'_>) -> bool {
    let value = if let Change::Set(value) = write.change { text(value) } else { String::new() };
    write.name.contains(SECRET) || value.contains(SECRET)
}

pub(super) fn text(value: &Value<'_>) -> String {
    match value {
        Value::Null => "no value".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Text(text) | Value::Number(text) => text.trim_end_matches(".0").to_owned(),
        Value::List(items) => items.iter().map(|item| ["[", &text(item), "]"].concat()).collect(),
        Value::Object(entries) => entries.iter().map(|(name, value)| [name, ":", &text(value), ";"].concat()).collect(),
    }
}

fn fits(attribute: Option<&Attribute>, value: &Value<'_>) -> bool {
    let rule = attribute.map(|attribute| &attribute.rule);
    match (rule.map_or(Kind::Scalar, |rule| rule.kind), value) {
        (Kind::Any, _) => true,
        (Kind::Text, Value::Text(text)) => {
            rule.is_none_or(|rule| text.chars().count() <= rule.max_length.unwrap_or(999))
        }
        (Kind::Integer, Value::Text(text) | Value::Number(text)) => text.chars().all(|char| char.is_ascii_digit()),
        (kind, value) => kind == Kind::Scalar && !matches!(value, Value::List(_) | Value::Object(_)),
    }
}
