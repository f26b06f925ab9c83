//! The table of verdicts (the one place where an attribute's fate is decided).

use std::borrow::Cow;
use std::collections::HashMap;

use super::catalogue::{Attribute, Catalogue, Collect, Listing, Lock, Mode, Unlisted};
use super::leak::{KnownSecrets, Leak, LeakPlace, Leaked, Part, Screen, WITHHELD};
use super::update::{Change, Group, GroupIndex, Role, Signed, Spelling, Update, Write};
use super::value::Value;
use super::verdict::{Addition, Code, Effect, Force, Judged, Verdict};

/// How an update came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// From a browser, which can send anything.
    Messenger,
    /// An answer to a bot's question.
    Collector(Context),
    /// From a server that the operator trusts to write what is locked.
    Server,
}

/// Whether the collector's request names the conversation in which the question was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Proven,
    Missing,
}

/// Whose attributes change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'s> {
    /// Proven to have no account: nothing names one, in the payload or in a session.
    Lead,
    /// Not known to be a lead, and let answer what a bot's own server asked for: attributes as the catalogue spells them.
    LeadFor(&'s [String]),
    /// A user, or not known to be a lead.
    NotLead,
}

/// Who reads the token behind us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReader {
    /// The backend reads tokens itself: what only the token carries needs no help.
    Upstream,
    /// Only we do: what the token carries is written into the payload.
    Gateway,
}

/// Whether an operation's document takes attributes that the payload did not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Additions {
    Welcome,
    Unwelcome,
}

/// What besides the payload decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances<'s> {
    pub channel: Channel,
    pub subject: Subject<'s>,
    pub token_reader: TokenReader,
    pub additions: Additions,
}

/// Gives every write of `update`, and everything that `signed` carries beside it, exactly one verdict. None of them lets one of `secrets` go on.
#[must_use]
pub fn judge<'a>(
    catalogue: &Catalogue,
    circumstances: Circumstances<'_>,
    secrets: &dyn KnownSecrets,
    signed: Option<&'a Signed<'a>>,
    update: &'a Update<'a>,
) -> Judged<'a> {
    let screen = Screen::new(secrets);
    let mut claims = Claims::of(catalogue, screen, signed);
    let mut leaks = Vec::new();
    let mut verdicts = Vec::with_capacity(update.writes.len());
    for (index, write) in update.writes.iter().enumerate() {
        let leak = screen.leak_of(write);
        if let Some((part, leak)) = leak {
            let place = match part {
                Part::Name => LeakPlace::Name(index),
                Part::Value => LeakPlace::Value(index),
            };
            leaks.push(Leaked { leak, place });
        }
        let secrecy = if leak.is_some() { Secrecy::Leaks } else { Secrecy::Keeps };
        verdicts.push(verdict(catalogue, circumstances, &mut claims, update, write, secrecy));
    }
    // Elsewhere nothing is left out but what leaks.
    if catalogue.mode == Mode::Enforce || verdicts.iter().any(|verdict| verdict.code == Code::Secret) {
        leave_out_incomplete_groups(update, &mut verdicts);
    }
    leaks.extend(claims.leaks.iter().map(ClaimLeak::leaked));
    let (unnamed, additions) = claims.unnamed(catalogue, circumstances);
    Judged { verdicts, unnamed, additions, leaks }
}

/// What is known of a write before its fate is decided: the columns of the table.
#[derive(Clone, Copy)]
enum Standing {
    /// An attribute with this lock.
    Listed(Lock),
    /// Folds to an attribute with this lock, and is spelled otherwise.
    Alias(Lock),
    Unlisted,
}

/// What the token says of the attribute, against what the payload says.
#[derive(Clone, Copy)]
enum Token<'a> {
    Silent,
    /// It says what nobody may say.
    Leaks,
    Agrees(&'a Value<'a>),
    Differs(&'a Value<'a>),
}

/// What the write itself does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Sets,
    SetsUnfit,
    Erases,
    /// Its name or value holds a secret.
    Leaks,
}

/// Whether the write holds a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Keeps,
    Leaks,
}

/// Whether this is an answer that a lead may give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// No answer to a bot at all.
    No,
    OfLead,
    OfOther,
    /// None either: a trusted server's own word.
    OfServer,
}

fn verdict<'a>(
    catalogue: &Catalogue,
    circumstances: Circumstances<'_>,
    claims: &mut Claims<'a>,
    update: &'a Update<'a>,
    write: &'a Write<'a>,
    secrecy: Secrecy,
) -> Verdict<'a> {
    // What leaks comes to the table, also where everything else passes unjudged.
    match (write.role, secrecy) {
        (Role::Credential, Secrecy::Keeps) => return passed(Code::Credential),
        (Role::OwnCredential, Secrecy::Keeps) => {
            return Verdict { code: Code::Credential, force: Force::Applied, effect: Effect::LeftOut, attribute: None };
        }
        (Role::Setting | Role::Attribute | Role::WholeGroup, _)
        | (Role::Credential | Role::OwnCredential, Secrecy::Leaks) => {}
    }
    let full = write.full_name();
    let listing = listing(catalogue, write, &full);
    let found = match listing {
        Listing::Own(index, attribute) | Listing::Alias(index, attribute) => Some((index, attribute)),
        Listing::Unlisted => None,
    };
    // A reserved name that the operator lists is an attribute: the operator knows better than the profile.
    if write.role == Role::Setting && found.is_none() && secrecy == Secrecy::Keeps {
        return passed(Code::Setting);
    }
    if catalogue.mode == Mode::Off && secrecy == Secrecy::Keeps {
        return Verdict { attribute: found.map(|(index, _)| index), ..passed(Code::Open) };
    }
    let group = write.group.and_then(|GroupIndex(index)| update.groups.get(index));
    let standing = standing(catalogue, write, &full, listing);
    // An alias takes no signature: the token names the attribute by its own spelling, and the value goes on there. Nor does a name that
    // signers may not create.
    // Nor does what leaks: the payload has not named what it may not say, so that the signed value takes its place.
    let token = match (standing, secrecy, catalogue.signed_unlisted) {
        (_, Secrecy::Leaks, _) => Token::Silent,
        // What leaks is no less a leak for it.
        (Standing::Alias(_), Secrecy::Keeps, _) => claims.token_of_alias(&full, group),
        (standing, Secrecy::Keeps, signed_unlisted) => {
            match (claims.token(&full, group, write.change), standing, signed_unlisted) {
                (Token::Leaks, _, _) => Token::Leaks,
                (_, Standing::Unlisted, Unlisted::Drop | Unlisted::Observe) => Token::Silent,
                (token, Standing::Listed(_) | Standing::Alias(_) | Standing::Unlisted, _) => token,
            }
        }
    };
    let deed = match secrecy {
        Secrecy::Leaks => Deed::Leaks,
        Secrecy::Keeps => deed(write, found.map(|(_, attribute)| attribute)),
    };
    let answer = answer(circumstances, found.map(|(_, attribute)| attribute));
    let (code, effect) = decide(standing, token, deed, answer, catalogue.unlisted);
    let force = force(catalogue, standing, code);
    let effect = match force {
        Force::Applied => effect,
        Force::Recorded => Effect::Kept,
    };
    Verdict { code, force, effect, attribute: found.map(|(index, _)| index) }
}

/// The table. Rows are tried from the top; what a row does not name it does not look at.
fn decide(standing: Standing, token: Token<'_>, deed: Deed, answer: Answer, unlisted: Unlisted) -> (Code, Effect<'_>) {
    use Lock::{Enforce, Observe, Off};
    match (standing, token, deed, answer) {
        // A secret goes nowhere, whoever sends or signs it: the messenger would keep it and show it.
        (_, _, Deed::Leaks, _) | (_, Token::Leaks, _, _) => (Code::Secret, Effect::LeftOut),
        // Another spelling of a locked name is a way around the lock, whatever it carries.
        (Standing::Alias(Observe | Enforce), _, _, _) => (Code::Alias, Effect::LeftOut),
        // A signed value is the truth, whatever the lock; it is written as it was signed.
        (Standing::Listed(_), Token::Agrees(value), _, _) => (Code::Signed, Effect::Replaced(value)),
        (Standing::Listed(_), Token::Differs(value), _, _) => (Code::Overridden, Effect::Replaced(value)),
        // Who may write without a token may clear without one.
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::Sets | Deed::Erases, Answer::OfServer) => {
            (Code::Server, Effect::Kept)
        }
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::SetsUnfit, Answer::OfServer) => {
            (Code::Type, Effect::LeftOut)
        }
        // The rule this gateway exists for, and its one exception for those who are not trusted.
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::Erases, _) => (Code::EraseLocked, Effect::LeftOut),
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::Sets, Answer::OfLead) => (Code::Lead, Effect::Kept),
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::SetsUnfit, Answer::OfLead) => {
            (Code::Type, Effect::LeftOut)
        }
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::Sets | Deed::SetsUnfit, Answer::OfOther) => {
            (Code::NotLead, Effect::LeftOut)
        }
        (Standing::Listed(Observe | Enforce), Token::Silent, Deed::Sets | Deed::SetsUnfit, Answer::No) => {
            (Code::Locked, Effect::LeftOut)
        }
        // Open to anybody, within the attribute's type.
        (Standing::Listed(Off) | Standing::Alias(Off), Token::Silent, Deed::SetsUnfit, _) => {
            (Code::Type, Effect::LeftOut)
        }
        (Standing::Listed(Off) | Standing::Alias(Off), Token::Silent, Deed::Sets | Deed::Erases, _) => {
            (Code::Open, Effect::Kept)
        }
        // `Alias` is asked of no token (see the caller); were it, the payload's spelling would still not be the signed one.
        (Standing::Alias(Off), Token::Agrees(_) | Token::Differs(_), _, _) => (Code::Open, Effect::Kept),
        // Browsers do not create attributes. (A signer may where the operator says so; elsewhere its token is not asked here.)
        (Standing::Unlisted, Token::Agrees(value), _, _) => (Code::Signed, Effect::Replaced(value)),
        (Standing::Unlisted, Token::Differs(value), _, _) => (Code::Overridden, Effect::Replaced(value)),
        (Standing::Unlisted, Token::Silent, deed, _) => match (unlisted, deed) {
            (Unlisted::Drop | Unlisted::Observe, _) => (Code::Unlisted, Effect::LeftOut),
            (Unlisted::Keep, Deed::SetsUnfit) => (Code::Type, Effect::LeftOut),
            (Unlisted::Keep, Deed::Sets | Deed::Erases | Deed::Leaks) => (Code::Open, Effect::Kept),
        },
    }
}

fn passed<'a>(code: Code) -> Verdict<'a> {
    Verdict { code, force: Force::Applied, effect: Effect::Kept, attribute: None }
}

fn listing<'c>(catalogue: &'c Catalogue, write: &Write<'_>, full: &str) -> Listing<'c> {
    match (catalogue.find(write.prefix, &write.name, full), write.spelling) {
        (Listing::Own(index, attribute), Spelling::Alias) => Listing::Alias(index, attribute),
        (listing, Spelling::Own | Spelling::Alias) => listing,
    }
}

fn standing(catalogue: &Catalogue, write: &Write<'_>, full: &str, listing: Listing<'_>) -> Standing {
    // A lock on an object holds for all of its members, also where the path is spelled as one name with a dot in it.
    let of_object = catalogue.lock_of_objects_around(write.prefix);
    let of_path = if write.name.contains('.') {
        full.rsplit_once('.').and_then(|(path, _)| catalogue.lock_of_objects_around(path))
    } else {
        None
    };
    match (write.role, listing) {
        // Whoever replaces or clears a whole object writes all of its members.
        (Role::WholeGroup, _) => match catalogue.group_lock(&write.full_name()) {
            Some(lock) => Standing::Listed(lock),
            None => Standing::Unlisted,
        },
        (_, Listing::Own(_, attribute)) => Standing::Listed(strictest(attribute.lock, of_object, of_path)),
        (_, Listing::Alias(_, attribute)) => Standing::Alias(strictest(attribute.lock, of_object, of_path)),
        (_, Listing::Unlisted) => match (of_object, of_path, catalogue.group_lock_of_object(write)) {
            // Listing the object as a whole lists its members.
            (Some(_), Some(Lock::Enforce), _) => Standing::Listed(Lock::Enforce),
            (Some(lock), Some(Lock::Off | Lock::Observe) | None, _) => Standing::Listed(lock),
            // A path spelled as one name; an object under a name that folds to a group's, without being spelled so: `Company`.
            (None, Some(Lock::Enforce), _) | (None, _, Some(Lock::Enforce)) => Standing::Alias(Lock::Enforce),
            (None, Some(Lock::Off | Lock::Observe) | None, Some(Lock::Off | Lock::Observe) | None) => {
                Standing::Unlisted
            }
        },
    }
}

fn strictest(own: Lock, of_object: Option<Lock>, of_path: Option<Lock>) -> Lock {
    own.max(of_object.unwrap_or(Lock::Off)).max(of_path.unwrap_or(Lock::Off))
}

impl Catalogue {
    fn lock_of_objects_around(&self, prefix: &str) -> Option<Lock> {
        // Most members are of no object.
        if prefix.is_empty() {
            return None;
        }
        let ends = prefix.match_indices('.').map(|(index, _)| index).chain([prefix.len()]);
        ends.filter_map(|end| prefix.get(..end).filter(|object| !object.is_empty()))
            .filter_map(|object| self.find_object(object))
            .map(|(_, attribute)| attribute.lock)
            .max()
    }

    fn group_lock_of_object(&self, write: &Write<'_>) -> Option<Lock> {
        match write.change {
            Change::Set(Value::Object(_) | Value::List(_)) => self.group_lock(&write.full_name()),
            Change::Set(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_)) | Change::Delete => None,
        }
    }
}

fn deed(write: &Write<'_>, attribute: Option<&Attribute>) -> Deed {
    let value = match write.change {
        Change::Delete => return Deed::Erases,
        Change::Set(value) if value.is_erasure() => return Deed::Erases,
        Change::Set(value) => value,
    };
    let fits = match (attribute, write.role) {
        (_, Role::WholeGroup) => false,
        (Some(attribute), _) => attribute.rule.admits(value),
        // Nested values are a way to smuggle: without a rule that says otherwise an attribute is a scalar.
        (None, _) => !matches!(value, Value::Object(_) | Value::List(_)),
    };
    if fits { Deed::Sets } else { Deed::SetsUnfit }
}

fn answer(circumstances: Circumstances<'_>, attribute: Option<&Attribute>) -> Answer {
    let collectable = attribute.is_some_and(|attribute| attribute.collect == Collect::Leads);
    match (circumstances.channel, circumstances.subject) {
        (Channel::Messenger, _) => Answer::No,
        (Channel::Server, _) => Answer::OfServer,
        (Channel::Collector(Context::Proven), Subject::Lead) if collectable => Answer::OfLead,
        (Channel::Collector(Context::Proven), Subject::LeadFor(names)) if collectable && asks_for(names, attribute) => {
            Answer::OfLead
        }
        (
            Channel::Collector(Context::Proven | Context::Missing),
            Subject::Lead | Subject::LeadFor(_) | Subject::NotLead,
        ) => Answer::OfOther,
    }
}

fn asks_for(names: &[String], attribute: Option<&Attribute>) -> bool {
    attribute.is_some_and(|attribute| names.contains(&attribute.name))
}

/// Whether a verdict is carried out: the workspace's mode is the ceiling, the attribute's own lock may be lower. A leak has no ceiling.
fn force(catalogue: &Catalogue, standing: Standing, code: Code) -> Force {
    let applied = match (catalogue.mode, standing) {
        _ if code == Code::Secret => true,
        (Mode::Off | Mode::Observe, _) => false,
        (Mode::Enforce, Standing::Listed(lock) | Standing::Alias(lock)) => lock != Lock::Observe,
        (Mode::Enforce, Standing::Unlisted) => code != Code::Unlisted || catalogue.unlisted == Unlisted::Drop,
    };
    if applied { Force::Applied } else { Force::Recorded }
}

/// What became of the alternatives of one required member. One that never came was not lost: what the backend makes of such an
/// object is not our doing.
#[derive(Clone, Copy, Default)]
struct Required {
    lost: bool,
    kept: bool,
}

/// Leaves out what is left of an object that lost what it cannot do without: a company without its id would be another company.
fn leave_out_incomplete_groups<'a>(update: &'a Update<'a>, verdicts: &mut [Verdict<'a>]) {
    if update.groups.is_empty() {
        return;
    }
    let mut required: Vec<Vec<Required>> =
        update.groups.iter().map(|group| vec![Required::default(); group.required.len()]).collect();
    for (write, verdict) in update.writes.iter().zip(verdicts.iter()) {
        let Some(GroupIndex(index)) = write.group else { continue };
        let (Some(group), Some(states)) = (update.groups.get(index), required.get_mut(index)) else { continue };
        for (alternatives, state) in group.required.iter().zip(states) {
            if alternatives.iter().any(|name| *name == write.name) {
                match verdict.effect {
                    Effect::LeftOut => state.lost = true,
                    Effect::Kept | Effect::Replaced(_) => state.kept = true,
                }
            }
        }
    }
    for (write, verdict) in update.writes.iter().zip(verdicts.iter_mut()) {
        let states = write.group.and_then(|GroupIndex(index)| required.get(index));
        let incomplete = states.is_some_and(|states| states.iter().any(|state| state.lost && !state.kept));
        if incomplete && verdict.effect != Effect::LeftOut {
            *verdict =
                Verdict { code: Code::Incomplete, force: Force::Applied, effect: Effect::LeftOut, ..verdict.clone() };
        }
    }
}

/// One signed claim, and whether the payload named it too.
struct Claim<'a> {
    name: Cow<'a, str>,
    attribute: Option<usize>,
    /// The lock on the attribute or on an object around it; `None`: neither is listed.
    lock: Option<Lock>,
    group: Option<&'a str>,
    value: &'a Value<'a>,
    named: bool,
    secrecy: Secrecy,
}

/// A claim that holds a secret.
struct ClaimLeak {
    name: String,
    attribute: Option<usize>,
    leak: Leak,
}

impl ClaimLeak {
    fn leaked(&self) -> Leaked {
        Leaked { leak: self.leak, place: LeakPlace::Claim(self.name.clone()) }
    }
}

/// The claims of a token, found by attribute and object.
struct Claims<'a> {
    claims: Vec<Claim<'a>>,
    /// Where each is, in a token of many claims.
    by_name: HashMap<(Cow<'a, str>, Option<&'a str>), usize>,
    /// Also of what is no attribute: where the token goes on, all of it does.
    leaks: Vec<ClaimLeak>,
}

/// Up to so many claims it is quicker to look at each than to hash their names.
const FEW_CLAIMS: usize = 16;

impl<'a> Claims<'a> {
    fn of(catalogue: &Catalogue, screen: Screen<'_>, signed: Option<&'a Signed<'a>>) -> Self {
        let mut all = Self { claims: Vec::new(), by_name: HashMap::new(), leaks: Vec::new() };
        let Some(update) = signed.map(Signed::claims) else { return all };
        for write in &update.writes {
            let secrecy = match screen.leak_of(write) {
                Some(leak) => all.leak(catalogue, write, leak),
                None => Secrecy::Keeps,
            };
            if catalogue.mode == Mode::Off {
                continue;
            }
            let (Role::Attribute | Role::Setting, Change::Set(value)) = (write.role, write.change) else { continue };
            // Another spelling signs another name. What leaks leaks under it.
            let leaks = secrecy == Secrecy::Leaks;
            if write.spelling == Spelling::Alias && !leaks {
                continue;
            }
            let group = match write.group.and_then(|GroupIndex(index)| update.groups.get(index)) {
                // Of an object without an id nobody can say which one was signed.
                Some(Group { id: None, .. }) => continue,
                Some(Group { id: Some(id), .. }) => Some(*id),
                None => None,
            };
            let name = write.full_name();
            let listing = catalogue.find(write.prefix, &write.name, &name);
            let attribute = match listing {
                Listing::Own(index, _) => Some(index),
                Listing::Alias(..) if !leaks => continue,
                Listing::Alias(index, _) => Some(index),
                // `exp` is no attribute, unless the operator lists it.
                Listing::Unlisted if write.role == Role::Setting => continue,
                Listing::Unlisted => None,
            };
            let lock = match standing(catalogue, write, &name, listing) {
                Standing::Listed(lock) => Some(lock),
                Standing::Alias(_) if !leaks => continue,
                Standing::Alias(lock) => Some(lock),
                Standing::Unlisted => None,
            };
            match all.find(&name, group).and_then(|index| all.claims.get_mut(index)) {
                None => all.push(Claim { name, attribute, lock, group, value, named: false, secrecy }),
                Some(first) if leaks => first.secrecy = secrecy,
                // The same object twice: the first one counts, as nothing says which was meant.
                Some(_) => {}
            }
        }
        all
    }

    /// Remembers a claim that holds a secret.
    fn leak(&mut self, catalogue: &Catalogue, write: &Write<'_>, (part, leak): (Part, Leak)) -> Secrecy {
        let full = write.full_name();
        let (name, attribute) = match (part, listing(catalogue, write, &full)) {
            (Part::Name, _) => (WITHHELD.to_owned(), None),
            (Part::Value, Listing::Own(index, _) | Listing::Alias(index, _)) => (full.into_owned(), Some(index)),
            (Part::Value, Listing::Unlisted) => (full.into_owned(), None),
        };
        self.leaks.push(ClaimLeak { name, attribute, leak });
        Secrecy::Leaks
    }

    fn find(&self, name: &str, group: Option<&'a str>) -> Option<usize> {
        if self.by_name.is_empty() {
            self.claims.iter().position(|claim| claim.name == name && claim.group == group)
        } else {
            self.by_name.get(&(Cow::Borrowed(name), group)).copied()
        }
    }

    fn push(&mut self, claim: Claim<'a>) {
        self.claims.push(claim);
        if self.claims.len() > FEW_CLAIMS {
            let key = |(index, claim): (usize, &Claim<'a>)| ((claim.name.clone(), claim.group), index);
            self.by_name.extend(self.claims.iter().enumerate().skip(self.by_name.len()).map(key));
        }
    }

    /// The claim of this name for the same object; of one without an id nobody can say which it is.
    fn find_in(&self, full: &str, group: Option<&'a Group<'a>>) -> Option<usize> {
        match group {
            Some(Group { id: None, .. }) => None,
            Some(Group { id: Some(id), .. }) => self.find(full, Some(*id)),
            None => self.find(full, None),
        }
    }

    /// Whether the claim of this name leaks. It counts as named no more than before.
    fn token_of_alias(&self, full: &str, group: Option<&'a Group<'a>>) -> Token<'a> {
        let found = self.find_in(full, group).and_then(|index| self.claims.get(index));
        if found.is_some_and(|claim| claim.secrecy == Secrecy::Leaks) { Token::Leaks } else { Token::Silent }
    }

    fn token(&mut self, full: &str, group: Option<&'a Group<'a>>, change: Change<'_>) -> Token<'a> {
        let found = self.find_in(full, group);
        let Some(claim) = found.and_then(|index| self.claims.get_mut(index)) else { return Token::Silent };
        claim.named = true;
        match change {
            _ if claim.secrecy == Secrecy::Leaks => Token::Leaks,
            Change::Set(value) if value.means_the_same_as(claim.value) => Token::Agrees(claim.value),
            Change::Set(_) | Change::Delete => Token::Differs(claim.value),
        }
    }

    /// Verdicts for the claims that the payload did not name, and for those that leak.
    fn unnamed(
        self,
        catalogue: &Catalogue,
        circumstances: Circumstances<'_>,
    ) -> (Vec<(String, Verdict<'a>)>, Vec<Addition<'a>>) {
        let mut verdicts = Vec::new();
        let mut additions = Vec::new();
        for claim in self.claims.into_iter().filter(|claim| !claim.named && claim.secrecy == Secrecy::Keeps) {
            let code =
                match (circumstances.token_reader, circumstances.additions, claim.lock, catalogue.signed_unlisted) {
                    (TokenReader::Upstream, _, _, _) => Code::Signed,
                    // The document of this operation has no place for it: nothing is claimed of it here.
                    (TokenReader::Gateway, Additions::Unwelcome, _, _) => continue,
                    // Which of several objects is meant only its id says, and the payload has no object with that id.
                    (TokenReader::Gateway, Additions::Welcome, _, _) if claim.group.is_some() => Code::Incomplete,
                    (TokenReader::Gateway, Additions::Welcome, Some(_), _) | (_, _, None, Unlisted::Keep) => {
                        Code::SignedAdded
                    }
                    (TokenReader::Gateway, Additions::Welcome, None, Unlisted::Drop | Unlisted::Observe) => {
                        Code::Unlisted
                    }
                };
            let observed = catalogue.mode != Mode::Enforce || claim.lock == Some(Lock::Observe);
            let (force, effect) = match (observed, code) {
                (true, _) => (Force::Recorded, Effect::Kept),
                (false, Code::Unlisted | Code::Incomplete) => (Force::Applied, Effect::LeftOut),
                (false, _) => (Force::Applied, Effect::Kept),
            };
            let name = claim.name.into_owned();
            if code == Code::SignedAdded && force == Force::Applied {
                additions.push(Addition { name: name.clone(), value: claim.value, attribute: claim.attribute });
            }
            verdicts.push((name, Verdict { code, force, effect, attribute: claim.attribute }));
        }
        for ClaimLeak { name, attribute, leak: _ } in self.leaks {
            let (force, effect) = (Force::Applied, Effect::LeftOut);
            verdicts.push((name, Verdict { code: Code::Secret, force, effect, attribute }));
        }
        (verdicts, additions)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod reference;

#[cfg(test)]
mod properties;
