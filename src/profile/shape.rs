//! Shapes: which member of a document is what.

use std::sync::Arc;

use crate::decision::Spelling;

/// How one JSON value of a document is read.
#[derive(Clone, Debug)]
pub enum Shape {
    /// An object whose members are attributes, settings and credentials.
    Members(Members),
    /// One answer to a bot: the attribute is named by a value.
    Collected(Collected),
    /// A list of names to delete.
    Names { prefix: String },
    /// A list of `{name, value}` objects.
    Pairs(Pairs),
    /// No attributes inside: read strictly, passed on whole.
    Opaque,
}

/// An object whose members are attributes unless they are named here.
#[derive(Clone, Debug)]
pub struct Members {
    /// What stands before each member's name in the catalogue: nothing, or `company`.
    pub prefix: String,
    /// Whether this is the attributes' own place, or one where the backend may look for them as well.
    pub spelling: Spelling,
    /// Where the object is one of several with ids.
    pub group: Option<GroupRule>,
    pub settings: Vec<String>,
    pub credentials: Vec<String>,
    pub nested: Vec<(String, Nested)>,
    pub rest: Rest,
    pub accepts: Accepts,
}

/// What members are that nothing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Attributes,
    /// Passed on unjudged: for envelopes whose other members are messages and ids.
    Settings,
}

/// Which signed attributes may be written into this object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepts {
    Nothing,
    /// Whatever has this object's prefix and is not accepted elsewhere by name.
    Any,
    Only(Vec<String>),
}

/// An object with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// Its name in the catalogue.
    pub name: String,
    /// Where its id is, most telling first.
    pub id: Vec<String>,
    /// Without one of each it cannot stand.
    pub required: Vec<Vec<String>>,
}

/// A member that is read by a shape of its own.
#[derive(Clone, Debug)]
pub enum Nested {
    One(Arc<Shape>),
    /// A list, each element of which has the shape (or an object whose names are indices, as forms spell lists).
    Each(Arc<Shape>),
}

/// One answer: `{"identifier": "custom_data.plan", "value": "pro"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    pub identifier: String,
    pub value: String,
    /// Prefixes of the identifier and what they stand for: `company.custom_data.` → `company`, `custom_data.` → ``. Tried in order.
    pub prefixes: Vec<(String, String)>,
}

/// Answers of a form: `[{"name": "email", "title": …, "value": …}]`. Names that the catalogue does not have are text of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    pub name: String,
    pub value: String,
    pub prefix: String,
}
