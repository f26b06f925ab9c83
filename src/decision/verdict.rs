//! Verdicts: what became of each attribute, and why.

use super::leak::{LeakPlace, Leaked};
use super::value::Value;

/// Why an attribute was kept or left out. The names are stable: records, metrics and runbooks use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    Open,
    Signed,
    SignedAdded,
    Overridden,
    Locked,
    EraseLocked,
    Unlisted,
    Alias,
    Type,
    Incomplete,
    Lead,
    NotLead,
    Server,
    Setting,
    Credential,
    Secret,
}

impl Code {
    /// Every code, in the order of the table.
    pub const ALL: [Code; 16] = [
        Code::Open,
        Code::Signed,
        Code::SignedAdded,
        Code::Overridden,
        Code::Locked,
        Code::EraseLocked,
        Code::Unlisted,
        Code::Alias,
        Code::Type,
        Code::Incomplete,
        Code::Lead,
        Code::NotLead,
        Code::Server,
        Code::Setting,
        Code::Credential,
        Code::Secret,
    ];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Open => "open",
            Code::Signed => "signed",
            Code::SignedAdded => "signed_added",
            Code::Overridden => "overridden",
            Code::Locked => "locked",
            Code::EraseLocked => "erase_locked",
            Code::Unlisted => "unlisted",
            Code::Alias => "alias",
            Code::Type => "type",
            Code::Incomplete => "incomplete",
            Code::Lead => "lead",
            Code::NotLead => "not_lead",
            Code::Server => "server",
            Code::Setting => "setting",
            Code::Credential => "credential",
            Code::Secret => "secret",
        }
    }

    /// Why, in one sentence for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Code::Open => "not locked: anybody may change it",
            Code::Signed => "the token vouches for this very value",
            Code::SignedAdded => "only the token has it; written in, because the backend reads no tokens",
            Code::Overridden => "the token says otherwise: its value was written instead",
            Code::Locked => "locked, and nobody signed it",
            Code::EraseLocked => "locked: clearing it needs a signature too",
            Code::Unlisted => "not in the catalogue: browsers do not create attributes",
            Code::Alias => "another spelling of a locked attribute",
            Code::Type => "not a value that the catalogue allows for it",
            Code::Incomplete => "what was left of the object could not stand alone",
            Code::Lead => "asked of a lead by a bot",
            Code::NotLead => "locked, and not an answer that a bot asked of a lead",
            Code::Server => "locked, and written by a server whose certificate lifts the lock",
            Code::Setting => "a setting of the messenger, no attribute",
            Code::Credential => "a token or hash",
            Code::Secret => "a secret or a private key: it goes nowhere",
        }
    }
}

/// Whether the effect of a verdict was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    Applied,
    /// Observed: the verdict stands in the record, the payload goes on as it came.
    Recorded,
}

/// What happens to the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    Kept,
    LeftOut,
    /// The signed value stands where the other one stood.
    Replaced(&'a Value<'a>),
}

/// The verdict for one write, or for a signed attribute that the payload did not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    pub code: Code,
    pub force: Force,
    /// What is done, after `force`: always [`Effect::Kept`] where it is [`Force::Recorded`].
    pub effect: Effect<'a>,
    /// The attribute's index in the catalogue; `None` for what the catalogue does not have.
    pub attribute: Option<usize>,
}

/// A signed attribute that is written into a payload that did not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition<'a> {
    /// The name as the catalogue spells it.
    pub name: String,
    pub value: &'a Value<'a>,
    pub attribute: Option<usize>,
}

/// An update after judgement: a verdict for each write, in the writes' order, and what is added.
///
/// It has one maker, [`judge`](super::judge), and only it can be rewritten and sent:
///
/// ```compile_fail
/// let judged = countersign::decision::Judged { verdicts: vec![] };
/// ```
#[derive(Debug)]
pub struct Judged<'a> {
    pub(super) verdicts: Vec<Verdict<'a>>,
    pub(super) unnamed: Vec<(String, Verdict<'a>)>,
    pub(super) additions: Vec<Addition<'a>>,
    pub(super) leaks: Vec<Leaked>,
}

impl<'a> Judged<'a> {
    /// A verdict for each write, in the order of [`Update::writes`](super::Update::writes).
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict<'a>] {
        &self.verdicts
    }

    /// Verdicts for what only the token carries, and for what no token may carry ([`Code::Secret`]), by name. Those with [`Code::SignedAdded`] are also in [`additions`](Self::additions).
    #[must_use]
    pub fn unnamed(&self) -> &[(String, Verdict<'a>)] {
        &self.unnamed
    }

    /// What is written into the payload.
    #[must_use]
    pub fn additions(&self) -> &[Addition<'a>] {
        &self.additions
    }

    /// The secrets that were found, those of writes first and in their order; each has its verdict, [`Code::Secret`].
    #[must_use]
    pub fn leaks(&self) -> &[Leaked] {
        &self.leaks
    }

    /// Whether the name of the write of this index is a secret.
    #[must_use]
    pub fn is_name_withheld(&self, write: usize) -> bool {
        // They are in the order of the writes, and a peer may have made them many.
        let before = |leaked: &Leaked| match leaked.place {
            LeakPlace::Name(index) | LeakPlace::Value(index) => index < write,
            LeakPlace::Claim(_) => false,
        };
        let here = self.leaks.get(self.leaks.partition_point(before));
        here.is_some_and(|leaked| leaked.place == LeakPlace::Name(write))
    }

    /// Whether a token carries a secret: where the token itself goes on, nobody can take it out.
    #[must_use]
    pub fn is_secret_signed(&self) -> bool {
        self.leaks.iter().any(|leaked| matches!(leaked.place, LeakPlace::Claim(_)))
    }

    /// Takes back additions, by name: those for which this request has no place after all.
    pub fn forgo(&mut self, names: &[String]) {
        self.additions.retain(|addition| !names.contains(&addition.name));
        self.unnamed.retain(|(name, verdict)| verdict.code != Code::SignedAdded || !names.contains(name));
    }

    /// Whether a verdict of this code was carried out: for operations that are refused rather than sent on in part.
    #[must_use]
    pub fn applied(&self, code: Code) -> bool {
        self.verdicts.iter().any(|verdict| verdict.code == code && verdict.force == Force::Applied)
    }
}
