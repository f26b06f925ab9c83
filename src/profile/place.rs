//! Places: where in a request something may sit.

use std::fmt;

/// A place in a request, spelled `document:user_id`, `body:/contact/id`, `field:app_id`, `query:token`, `header:authorization`,
/// `bearer:authorization`, `cookie:session` or `path:id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Within any of the operation's attribute documents.
    Document(Pointer),
    /// Within the JSON body.
    Body(Pointer),
    Field(String),
    Query(String),
    /// A header's whole value, by its lower-case name.
    Header(String),
    /// A header's value after the scheme `Bearer ` (RFC 6750 §2.1; the scheme in any case).
    Bearer(String),
    Cookie(String),
    /// A named segment of the path.
    Path(String),
}

/// A path into a JSON value: member names, outermost first. Spelled like RFC 6901 (`/contact/id`), or as one name without a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The whole value.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// The names, outermost first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// Why a text names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("expected `document:`, `body:`, `field:`, `query:`, `header:`, `bearer:`, `cookie:` or `path:` and a name")]
    Kind,
    #[error("expected a name behind the colon")]
    Empty,
    #[error("expected a header name in lower case")]
    Header,
    #[error("`~` in a pointer stands only in `~0` and `~1` (RFC 6901 section 3)")]
    Pointer,
}

impl TryFrom<&str> for Pointer {
    type Error = PlaceError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let Some(rest) = text.strip_prefix('/') else {
            return Ok(if text.is_empty() { Self::root() } else { Self(vec![unescape(text)?]) });
        };
        rest.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }
}

fn unescape(segment: &str) -> Result<String, PlaceError> {
    let mut name = String::with_capacity(segment.len());
    let mut chars = segment.chars();
    while let Some(char) = chars.next() {
        match (char, char == '~') {
            (char, false) => name.push(char),
            (_, true) => match chars.next() {
                Some('0') => name.push('~'),
                Some('1') => name.push('/'),
                Some(_) | None => return Err(PlaceError::Pointer),
            },
        }
    }
    Ok(name)
}

impl TryFrom<&str> for Place {
    type Error = PlaceError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let (kind, name) = text.split_once(':').ok_or(PlaceError::Kind)?;
        if name.is_empty() {
            return Err(PlaceError::Empty);
        }
        let header = |name: &str| match http::HeaderName::from_lowercase(name.as_bytes()) {
            Ok(name) => Ok(name.as_str().to_owned()),
            Err(_) => Err(PlaceError::Header),
        };
        Ok(match kind {
            "document" => Place::Document(name.try_into()?),
            "body" => Place::Body(name.try_into()?),
            "field" => Place::Field(name.to_owned()),
            "query" => Place::Query(name.to_owned()),
            "header" => Place::Header(header(name)?),
            "bearer" => Place::Bearer(header(name)?),
            "cookie" => Place::Cookie(name.to_owned()),
            "path" => Place::Path(name.to_owned()),
            _ => return Err(PlaceError::Kind),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Document(pointer) => write!(f, "document:{pointer}"),
            Place::Body(pointer) => write!(f, "body:{pointer}"),
            Place::Field(name) => write!(f, "field:{name}"),
            Place::Query(name) => write!(f, "query:{name}"),
            Place::Header(name) => write!(f, "header:{name}"),
            Place::Bearer(name) => write!(f, "bearer:{name}"),
            Place::Cookie(name) => write!(f, "cookie:{name}"),
            Place::Path(name) => write!(f, "path:{name}"),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_and_print() {
        assert_eq!(Place::try_from("field:app_id"), Ok(Place::Field("app_id".into())));
        assert_eq!(Place::try_from("document:user_id"), Ok(Place::Document(Pointer(vec!["user_id".into()]))));
        assert_eq!(Place::try_from("body:/a~1b/c").map(|place| place.to_string()), Ok("body:/a~1b/c".into()));
        assert_eq!(Place::try_from("header:X-Token"), Err(PlaceError::Header));
        assert_eq!(Place::try_from("app_id"), Err(PlaceError::Kind));
        assert_eq!(Place::try_from("field:"), Err(PlaceError::Empty));
        assert_eq!(Place::try_from("body:/a~2"), Err(PlaceError::Pointer));
    }
}
