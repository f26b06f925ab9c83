//! Paths: read strictly, refused rather than mended, matched segment by segment.

/// Why a request's path is refused. A path that two servers may read differently is refused, never "fixed" (RFC 3986 §6.2 lists the
/// normalisations that servers do not agree on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("does not begin with a slash")]
    Relative,
    #[error("is too long")]
    TooLong,
    #[error("has an empty segment")]
    EmptySegment,
    #[error("has a dot segment")]
    DotSegment,
    #[error("has a path parameter")]
    Parameter,
    #[error("has a character that does not belong in a path")]
    Character,
    #[error("has a malformed percent-encoding")]
    Encoding,
    #[error("encodes a character that needs none, or that divides a path")]
    NeedlessEncoding,
}

/// A path that every server reads alike, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a>(&'a str);

/// Longer paths are no messenger's.
const PATH_BYTES_MAX: usize = 2048;

impl<'a> TryFrom<&'a str> for Path<'a> {
    type Error = PathError;

    fn try_from(path: &'a str) -> Result<Self, Self::Error> {
        if path.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let rest = path.strip_prefix('/').ok_or(PathError::Relative)?;
        if !rest.is_empty() {
            rest.split('/').try_for_each(admit_segment)?;
        }
        Ok(Self(path))
    }
}

fn admit_segment(segment: &str) -> Result<(), PathError> {
    if segment.is_empty() {
        return Err(PathError::EmptySegment);
    }
    if segment == "." || segment == ".." {
        return Err(PathError::DotSegment);
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b';' => return Err(PathError::Parameter),
            b'%' => admit_encoded(bytes.next(), bytes.next())?,
            // pchar of RFC 3986 §3.3 without `;`.
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b'='
            | b':'
            | b'@' => {}
            _ => return Err(PathError::Character),
        }
    }
    Ok(())
}

fn admit_encoded(high: Option<u8>, low: Option<u8>) -> Result<(), PathError> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(PathError::Encoding);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).map_err(|_| PathError::Encoding)?;
    match byte {
        // Unreserved characters need no encoding; slashes, backslashes, semicolons, percent signs and controls change the path's meaning
        // for whoever decodes once more than we do.
        b'A'..=b'Z'
        | b'a'..=b'z'
        | b'0'..=b'9'
        | b'-'
        | b'.'
        | b'_'
        | b'~'
        | b'/'
        | b'\\'
        | b';'
        | b'%'
        | 0..=0x1f
        | 0x7f => Err(PathError::NeedlessEncoding),
        _ => Ok(()),
    }
}

impl<'a> Path<'a> {
    /// The path as it came.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    fn segments(self) -> impl Iterator<Item = &'a str> {
        let rest = self.0.strip_prefix('/').filter(|rest| !rest.is_empty());
        rest.into_iter().flat_map(|rest| rest.split('/'))
    }
}

/// The named segments of a matched path.
pub type PathParams<'a> = Vec<(String, &'a str)>;

/// A pattern such as `/messenger/web/conversations/{id}/form` or `/packs/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

// The order is the precedence: what is said literally counts before what is left open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Named(String),
    /// One or more segments, last in its pattern.
    Rest,
}

impl TryFrom<&str> for PathPattern {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let rest = text.strip_prefix('/').ok_or(PathError::Relative)?;
        let mut segments = Vec::new();
        let mut parts = rest.split('/').filter(|_| !rest.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let named = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            segments.push(match (part, named) {
                ("**", _) if parts.peek().is_none() => Segment::Rest,
                (_, Some(name))
                    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
                {
                    Segment::Named(name.to_owned())
                }
                (part, _) if part.contains(['{', '}', '*']) => return Err(PathError::Character),
                (part, _) => {
                    admit_segment(part)?;
                    Segment::Literal(part.to_owned())
                }
            });
        }
        Ok(Self { text: text.to_owned(), segments })
    }
}

impl PathPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches one path alone: itself.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// The names of its named segments.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Named(name) => Some(name.as_str()),
            Segment::Literal(_) | Segment::Rest => None,
        })
    }

    /// The named segments, where the pattern matches the whole path.
    #[must_use]
    pub fn matches<'p>(&self, path: Path<'p>) -> Option<PathParams<'p>> {
        let mut params = Vec::new();
        let mut pattern = self.segments.iter();
        for segment in path.segments() {
            match pattern.next()? {
                Segment::Literal(literal) if literal == segment => {}
                Segment::Literal(_) => return None,
                Segment::Named(name) => params.push((name.clone(), segment)),
                Segment::Rest => return Some(params),
            }
        }
        pattern.next().is_none().then_some(params)
    }

    /// Whether some framework takes `path` for one that the pattern matches: Express compares without case, Rails cuts a format off the last
    /// segment (`/form.json` is `/form`), others a last dot.
    #[must_use]
    pub fn resembles(&self, path: Path<'_>) -> bool {
        let mut segments = path.segments().peekable();
        let mut pattern = self.segments.iter();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            let bare = segment.rsplit_once('.').map_or(segment, |(bare, _)| bare);
            match pattern.next() {
                Some(Segment::Literal(literal))
                    if literal.eq_ignore_ascii_case(segment) || is_last && literal.eq_ignore_ascii_case(bare) => {}
                Some(Segment::Named(_)) => {}
                Some(Segment::Rest) => return true,
                Some(Segment::Literal(_)) | None => return false,
            }
        }
        pattern.next().is_none()
    }

    /// Orders patterns so that the first match is the most literal one.
    pub(super) fn precedence(&self, other: &Self) -> std::cmp::Ordering {
        self.segments.cmp(&other.segments)
    }

    /// Whether some path could match both in the same way.
    #[must_use]
    pub fn same_paths_as(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                (Segment::Named(_), Segment::Named(_)) | (Segment::Rest, Segment::Rest) => true,
                (Segment::Literal(_) | Segment::Named(_) | Segment::Rest, _) => false,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<(), PathError>) {
        assert_eq!(Path::try_from(path).map(|_| ()), expected, "{path}");
    }

    #[test]
    fn paths_that_servers_read_differently_are_refused() {
        check("/messenger/web/ping", Ok(()));
        check("/", Ok(()));
        check("/a/b%20c", Ok(()));
        check("messenger", Err(PathError::Relative));
        check("*", Err(PathError::Relative));
        check("/messenger/web//ping", Err(PathError::EmptySegment));
        check("/messenger/web/ping/", Err(PathError::EmptySegment));
        check("/messenger/./ping", Err(PathError::DotSegment));
        check("/messenger/../ping", Err(PathError::DotSegment));
        check("/messenger/%2e%2e/ping", Err(PathError::NeedlessEncoding));
        check("/messenger/web/%70ing", Err(PathError::NeedlessEncoding));
        check("/messenger%2fweb", Err(PathError::NeedlessEncoding));
        check("/messenger%5cweb", Err(PathError::NeedlessEncoding));
        check("/a%252fb", Err(PathError::NeedlessEncoding));
        check("/a%00", Err(PathError::NeedlessEncoding));
        check("/ping;x=1", Err(PathError::Parameter));
        check("/ping\\x", Err(PathError::Character));
        check("/pi\u{f1}g", Err(PathError::Character));
        check("/a%zz", Err(PathError::Encoding));
        check("/a%4", Err(PathError::Encoding));
        check(&format!("/{}", "a".repeat(2048)), Err(PathError::TooLong));
    }

    #[track_caller]
    fn matches(pattern: &str, path: &str) -> Option<usize> {
        let pattern = PathPattern::try_from(pattern).expect("a pattern");
        pattern.matches(Path::try_from(path).expect("a path")).map(|params| params.len())
    }

    #[test]
    fn paths_that_frameworks_take_for_another_resemble_it() {
        let resembles = |pattern: &str, path: &str| {
            PathPattern::try_from(pattern).expect("a pattern").resembles(Path::try_from(path).expect("a path"))
        };
        for path in ["/a/7/form", "/a/7/form.json", "/a/7/FORM", "/A/7/Form.XML", "/a/7/form.", "/a/7.b/form.json"] {
            assert!(resembles("/a/{id}/form", path), "{path}");
        }
        for path in ["/a/7/forms", "/a/7/form.x.json", "/a.json/7/form", "/a/7/form/x.json", "/a/7", "/a/7/.json", "/"]
        {
            assert!(!resembles("/a/{id}/form", path), "{path}");
        }
        assert!(resembles("/a/**", "/A/b/c"));
    }

    #[test]
    fn patterns_match_whole_paths() {
        assert_eq!(matches("/a/{id}/form", "/a/7/form"), Some(1));
        assert_eq!(matches("/a/{id}/form", "/a/7/form/x"), None);
        assert_eq!(matches("/a/{id}/form", "/a/form"), None);
        assert_eq!(matches("/packs/**", "/packs/js/sdk.js"), Some(0));
        assert_eq!(matches("/packs/**", "/packs"), None);
        assert_eq!(matches("/", "/"), Some(0));
        assert_eq!(matches("/a", "/A"), None);
    }
}
