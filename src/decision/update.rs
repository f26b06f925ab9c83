//! An update: what one request wants to change, as writes in the order of the wire.

use std::borrow::Cow;

use super::value::Value;

/// Which object of several (`companies[2]`) a write belongs to: an index into [`Update::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupIndex(pub usize);

/// What the profile says a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Attribute,
    /// An object that stands for several attributes and was replaced or cleared as a whole (`company: null`).
    WholeGroup,
    /// A reserved name of the messenger: no attribute.
    Setting,
    /// A token or hash: goes on, is never recorded.
    Credential,
    /// A token that only this gateway reads: taken out, never recorded.
    OwnCredential,
}

/// Whether the place where the name stands is the attribute's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Own,
    /// It stands where the backend may look for the same attribute, yet not where the profile puts it.
    Alias,
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    Set(&'a Value<'a>),
    /// The name stands in a list of names to delete.
    Delete,
}

/// One attribute that a request wants to change.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// Where the object stands that has this member: empty for the user, `company` for a company.
    pub prefix: &'a str,
    /// The member's name as the peer spelled it.
    pub name: Cow<'a, str>,
    pub change: Change<'a>,
    pub role: Role,
    pub spelling: Spelling,
    pub group: Option<GroupIndex>,
}

impl Write<'_> {
    /// The joined spelling: `company.plan`.
    #[must_use]
    pub fn full_name(&self) -> Cow<'_, str> {
        if self.prefix.is_empty() {
            Cow::Borrowed(&self.name)
        } else {
            Cow::Owned(format!("{}.{}", self.prefix, self.name))
        }
    }
}

/// One object with an id of its own, such as a company.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Its name in the catalogue: `company`.
    pub name: &'a str,
    /// Its id as text, by which the signed object is found.
    pub id: Option<&'a str>,
    /// Alternatives of names, one of each of which must be kept or nothing can be: `[["company_id", "id"], ["name"]]`.
    pub required: &'a [Vec<String>],
}

/// All that one request wants to change.
#[derive(Clone, Debug, Default)]
pub struct Update<'a> {
    pub writes: Vec<Write<'a>>,
    pub groups: Vec<Group<'a>>,
}

/// What a verified token says of attributes.
///
/// It is made by `identity` alone, from claims whose signature held (a test reads the sources and keeps that true); nothing outside this
/// crate can make one:
///
/// ```compile_fail
/// let update = countersign::decision::Update::default();
/// let signed = countersign::decision::Signed::vouched(update);
/// ```
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    claims: Update<'a>,
}

impl<'a> Signed<'a> {
    pub(crate) fn vouched(claims: Update<'a>) -> Self {
        Self { claims }
    }

    pub(super) fn claims(&self) -> &Update<'a> {
        &self.claims
    }
}
