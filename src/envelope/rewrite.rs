//! Rewriting: the body, written anew around what was kept.
//!
//! Nothing of the bytes that came is copied: what leaves is a value that was read and judged, in our own spelling.

mod additions;
mod form_body;
mod json_body;
mod kept;

use std::fmt;

use bytes::Bytes;

pub(super) use self::form_body::bracket_text;
use self::form_body::write_form;
use self::json_body::write_json;
use super::opened::Parsed;
use super::read_back;
use super::walked::Walked;
use crate::decision::Judged;
use crate::policy::ReadBack;

/// A body that holds what was judged and nothing else.
///
/// It has one maker, [`Walked::rewrite`]:
///
/// ```compile_fail
/// let body = bytes::Bytes::from_static(b"user_data={}");
/// let rewritten = countersign::envelope::Rewritten { body, content_type: None };
/// ```
pub struct Rewritten {
    body: Bytes,
    content_type: Option<&'static str>,
}

impl Rewritten {
    /// The body, without any content coding.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, given away.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The type to declare; `None` where there is no body.
    #[must_use]
    pub fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }
}

/// Says how long it is and never what is in it.
impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rewritten({} bytes)", self.body.len())
    }
}

/// Why a judged update could not be written. All of these are our own mistakes, or the profile's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    #[error("the judgement is of another update")]
    Foreign,
    #[error("no object of the document accepts a signed attribute")]
    NoPlace,
    #[error("a signed attribute is to be added where its name stands already")]
    AdditionTwice,
    #[error("a value or name cannot be spelled in form brackets")]
    BracketValue,
    #[error("what was written cannot be read back")]
    Unreadable,
    #[error("what was written is not what was judged")]
    Mismatch,
}

impl Walked<'_> {
    /// Writes the body anew: without what was left out, with the signed value where it replaces another, with what is added.
    ///
    /// # Errors
    ///
    /// `judged` is the judgement of another update; an addition has no place; the second reader does not find in the written body what was
    /// judged.
    pub fn rewrite(&self, judged: &Judged<'_>, read_back: ReadBack) -> Result<Rewritten, RewriteError> {
        let mut outs = self.kept(judged)?;
        if !self.add_all(judged.additions(), &mut outs)?.is_empty() {
            return Err(RewriteError::NoPlace);
        }
        let removed = self.removed_beside(judged);
        // What leaves is about as long as what came, unless the token adds much.
        let room = self.envelope.decoded.body_bytes();
        let (body, content_type) = match &self.envelope.parsed {
            Parsed::Empty => (Vec::new(), None),
            Parsed::Json(body) => (write_json(body, outs, &removed, room), Some("application/json")),
            Parsed::Form(parts) => {
                (write_form(parts, &outs, &removed, room)?, Some("application/x-www-form-urlencoded"))
            }
        };
        if cfg!(debug_assertions) || read_back == ReadBack::On {
            read_back::compare(self, judged, &removed, &body)?;
        }
        Ok(Rewritten { body: Bytes::from(body), content_type })
    }

    /// The names of those additions for which no object of these documents has a place.
    ///
    /// # Errors
    ///
    /// As for [`rewrite`](Self::rewrite).
    pub fn placeless(&self, judged: &Judged<'_>) -> Result<Vec<String>, RewriteError> {
        if judged.additions().is_empty() {
            return Ok(Vec::new());
        }
        let placeless = self.add_all(judged.additions(), &mut self.kept(judged)?)?;
        Ok(placeless.into_iter().map(|addition| addition.name.clone()).collect())
    }
}

#[cfg(test)]
mod tests;
