//! The table of verdicts once more, from its specification alone and as plainly as it can be said: what `properties` compares `judge` with.
//!
//! It shares no step with `judge`. Names are folded and values compared here for the few spellings that the generator makes.

use super::properties::World;
use crate::decision::{
    Additions, Attribute, Change, Channel, Circumstances, Code, Collect, Context, Effect, Force, GroupIndex, Kind,
    Lock, Mode, Role, Spelling, Subject, TokenReader, Unlisted, Update, Value, Write,
};

pub(super) type Fate<'a> = (Code, Force, Effect<'a>);
const INCOMPLETE: Fate<'static> = (Code::Incomplete, Force::Applied, Effect::LeftOut);

impl World {
    /// The fate of each write.
    pub(super) fn named<'a>(&self, claims: &'a Update<'a>, update: &Update<'_>) -> Vec<Fate<'a>> {
        let writes = &update.writes;
        let fates: Vec<Fate<'a>> =
            writes.iter().map(|write| self.fate(write, self.signed(claims, update, write))).collect();
        let kept = |fate: &Fate<'_>| fate.2 != Effect::LeftOut;
        let lost = |index: GroupIndex, alternatives: &Vec<String>| {
            let is_one =
                |write: &Write<'_>| write.group == Some(index) && alternatives.iter().any(|name| *name == write.name);
            let mut present = writes.iter().zip(&fates).filter(|(write, _)| is_one(write)).peekable();
            present.peek().is_some() && !present.any(|(_, fate)| kept(fate))
        };
        let incomplete = |index: GroupIndex| update.groups[index.0].required.iter().any(|names| lost(index, names));
        let leave_out = |write: &Write<'_>| self.mode == Mode::Enforce && write.group.is_some_and(incomplete);
        let all = writes.iter().zip(&fates);
        all.map(|(write, fate)| if kept(fate) && leave_out(write) { INCOMPLETE } else { *fate }).collect()
    }

    /// The verdict for what only the token carries, by its name.
    pub(super) fn unnamed(&self, claims: &Update<'_>, update: &Update<'_>) -> Vec<(String, Code, Force)> {
        let mut verdicts = vec![];
        for claim in claims.writes.iter().filter(|claim| self.signs(claim)) {
            let identified = claim.group.is_none_or(|group| claims.groups[group.0].id.is_some());
            let names = |write: &Write<'_>| self.is_attribute(write) && self.is_own(write);
            let named = |write: &Write<'_>| names(write) && same_place(claims, claim, update, write);
            if !identified || update.writes.iter().any(named) {
                continue;
            }
            let attribute = self.attribute(claim);
            let code = match self.circumstances {
                Circumstances { token_reader: TokenReader::Upstream, .. } => Code::Signed,
                Circumstances { additions: Additions::Unwelcome, .. } => continue,
                _ if attribute.is_none() && self.signed_unlisted != Unlisted::Keep => Code::Unlisted,
                _ => Code::SignedAdded,
            };
            let observed = attribute.is_some_and(|attribute| attribute.lock == Lock::Observe);
            let force = if observed || self.mode == Mode::Observe { Force::Recorded } else { Force::Applied };
            verdicts.push((full(claim), code, force));
        }
        verdicts
    }

    /// The table, row by row. Under `observe` the verdict stands and the payload is left untouched.
    fn fate<'a>(&self, write: &Write<'_>, signed: Option<&'a Value<'a>>) -> Fate<'a> {
        let setting = write.role == Role::Setting && !self.is_attribute(write);
        let (lock, listed) = self.lock(write);
        let (locked, attribute) = (lock != Lock::Off, self.attribute(write));
        let value = if let Change::Set(value) = write.change { Some(value) } else { None };
        let erases = value.is_none_or(is_erasure);
        let agrees = value.zip(signed).is_some_and(|(value, signed)| text(value) == text(signed));
        let fits = erases || write.role != Role::WholeGroup && value.is_some_and(|value| fits(attribute, value));
        let Circumstances { channel, subject, .. } = self.circumstances;
        let lead = channel == Channel::Collector(Context::Proven)
            && subject == Subject::Lead
            && attribute.is_some_and(|attribute| attribute.collect == Collect::Leads);
        let mut observed = self.mode == Mode::Observe || lock == Lock::Observe;
        if setting || matches!(write.role, Role::Credential | Role::OwnCredential) {
            let effect = if write.role == Role::OwnCredential { Effect::LeftOut } else { Effect::Kept };
            return (if setting { Code::Setting } else { Code::Credential }, Force::Applied, effect);
        }
        if self.mode == Mode::Off {
            return (Code::Open, Force::Applied, Effect::Kept);
        }
        let (code, effect) = if locked && !self.is_own(write) {
            (Code::Alias, Effect::LeftOut)
        } else if let Some(signed) = signed {
            (if agrees { Code::Signed } else { Code::Overridden }, Effect::Replaced(signed))
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

    /// A reserved name is an attribute where the catalogue lists it.
    fn is_attribute(&self, write: &Write<'_>) -> bool {
        matches!(write.role, Role::Attribute | Role::WholeGroup)
            || write.role == Role::Setting && self.attribute(write).is_some()
    }

    /// The strictest lock that the write touches, and whether the catalogue has the name or the object that it stands in.
    pub(super) fn lock(&self, write: &Write<'_>) -> (Lock, bool) {
        let within = format!("{}.", write.name);
        let part = |attribute: &&Attribute| write.role == Role::WholeGroup && attribute.name.starts_with(&within);
        let touched = self.attribute(write).into_iter().chain(self.at(&self.fold(write.prefix)));
        let lock = touched.chain(self.attributes.iter().filter(part)).map(|attribute| attribute.lock).max();
        (lock.unwrap_or(Lock::Off), lock.is_some())
    }

    /// Spelled as the catalogue spells it and found as one name: where only a path through its dots finds it, the place is another.
    fn is_own(&self, write: &Write<'_>) -> bool {
        let spelled = |attribute: &Attribute| attribute.name == full(write) && self.member(write) == Some(attribute);
        self.attribute(write).is_none_or(|attribute| write.spelling == Spelling::Own && spelled(attribute))
    }

    /// The attribute that the write names: of the two that a name with a dot may mean, the one with the stricter lock.
    fn attribute(&self, write: &Write<'_>) -> Option<&Attribute> {
        let mut path: Vec<String> = full(write).split('.').map(|segment| self.fold(segment)).collect();
        let last = path.pop()?;
        path.retain(|object| object != "custom_attributes");
        path.push(last);
        match (self.member(write), self.at(&path.join("."))) {
            (Some(member), Some(path)) if path.lock > member.lock => Some(path),
            (member, path) => member.or(path),
        }
    }

    fn member(&self, write: &Write<'_>) -> Option<&Attribute> {
        let name = self.fold(&write.name);
        self.at(&if write.prefix.is_empty() { name } else { format!("{}.{name}", write.prefix) })
    }

    fn at(&self, key: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| self.meant(&attribute.name) == self.meant(key))
    }

    fn meant<'n>(&'n self, key: &'n str) -> &'n str {
        self.aliases.iter().find(|(alias, _)| alias == key).map_or(key, |(_, name)| name)
    }

    fn fold(&self, name: &str) -> String {
        let name = name.trim().to_lowercase();
        if self.replaces { name.replace(['.', ' '], "_") } else { name }
    }
}

fn full(write: &Write<'_>) -> String {
    if write.prefix.is_empty() { write.name.to_string() } else { format!("{}.{}", write.prefix, write.name) }
}

/// Whether the token's claim has the write's exact name and is of the same object: two objects are the same by their ids.
fn same_place(claims: &Update<'_>, claim: &Write<'_>, update: &Update<'_>, write: &Write<'_>) -> bool {
    let signed = claim.group.map(|group| (claims.groups[group.0].name, claims.groups[group.0].id));
    let plain = write.group.map(|group| (update.groups[group.0].name, update.groups[group.0].id));
    signed == plain && signed.is_none_or(|(_, id)| id.is_some()) && full(claim) == full(write)
}

fn is_erasure(value: &Value<'_>) -> bool {
    matches!(value, Value::Null) || ["", "null", "undefined"].contains(&text(value).trim())
}

/// `"5"`, `5` and `5.0` say the same.
fn text(value: &Value<'_>) -> String {
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
            rule.and_then(|rule| rule.max_length).is_none_or(|max| text.chars().count() <= max)
        }
        (Kind::Integer, Value::Text(text) | Value::Number(text)) => text.chars().all(|char| char.is_ascii_digit()),
        (kind, value) => kind == Kind::Scalar && !matches!(value, Value::List(_) | Value::Object(_)),
    }
}
