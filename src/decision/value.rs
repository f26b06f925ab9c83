//! A value as a peer spelled it, and when two of them mean the same.

use std::borrow::Cow;
use std::fmt;

/// One name and its value in an object, in the order in which they came.
pub type Entry<'a> = (Cow<'a, str>, Value<'a>);

/// A JSON value that lost nothing: numbers keep their digits as written, objects keep their order.
///
/// A name appears at most once in an object: the readers that build values refuse the second (RFC 8259 §4 leaves it open what a reader
/// does with it, so two readers may see two different values).
#[derive(Clone, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// The digits as written (`1.10`, `9007199254740993`, `1E5`), in the grammar of RFC 8259 §6.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Vec<Entry<'a>>),
}

/// Says the kind and never the content, so that no log, panic or error can carry a value.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "text",
            Value::List(_) => "list",
            Value::Object(_) => "object",
        })
    }
}

impl<'a> Value<'a> {
    /// The text of a text value.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// The entries of an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[Entry<'a>]> {
        match self {
            Value::Object(entries) => Some(entries),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// The value under `name`, where this is an object that has it.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A text or number as text: how a subject or an id is compared (`42` is `"42"`), without ever going through a float.
    #[must_use]
    pub fn as_id(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Number(digits) => Some(digits),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// Whether writing this value clears the attribute: `null`, `""`, `"null"` and `"undefined"` do at Intercom.
    #[must_use]
    pub fn is_erasure(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Text(text) => matches!(text.trim(), "" | "null" | "undefined"),
            Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => false,
        }
    }

    /// Whether the two say the same to a backend that coerces: `"5"` and `5`, `"true"` and `true`, `1.0` and `1`.
    ///
    /// It decides only which verdict is recorded; what is written is the signed value as signed.
    #[must_use]
    pub fn means_the_same_as(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.means_the_same_as(b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(name, value)| {
                        b.iter().any(|(other, theirs)| name == other && value.means_the_same_as(theirs))
                    })
            }
            (a, b) => match (a.scalar_text(), b.scalar_text()) {
                (Some(a), Some(b)) => a == b || same_number(a, b),
                _ => matches!((a, b), (Value::Null, Value::Null)),
            },
        }
    }

    fn scalar_text(&self) -> Option<&str> {
        match self {
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Number(text) | Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// The same value, owning what it borrowed.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(bool) => Value::Bool(bool),
            Value::Number(digits) => Value::Number(Cow::Owned(digits.into_owned())),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Value::Object(entries) => Value::Object(
                entries.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect(),
            ),
        }
    }
}

/// Compares two spellings of a number digit by digit, so that neither an id above 2^53 nor `0.1` is rounded.
fn same_number(a: &str, b: &str) -> bool {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// A number as sign, digits without zeros at either end, and the power of ten of its last digit.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// An exponent with more digits than this is no number that anybody stores.
    const EXPONENT_DIGITS_MAX: usize = 9;

    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) if exponent.len() <= Self::EXPONENT_DIGITS_MAX => {
                (mantissa, exponent.parse::<i64>().ok()?)
            }
            Some(_) => return None,
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let kept = joined.trim_end_matches('0');
        let dropped = i64::try_from(joined.len().checked_sub(kept.len())?).ok()?;
        let digits = kept.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
        Some(Self { negative, digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: &str) -> Value<'_> {
        Value::Number(Cow::Borrowed(digits))
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text))
    }

    #[track_caller]
    fn check(a: &Value<'_>, b: &Value<'_>, same: bool) {
        assert_eq!(a.means_the_same_as(b), same);
        assert_eq!(b.means_the_same_as(a), same, "the comparison is symmetric");
    }

    #[test]
    fn spellings_of_one_fact_mean_the_same() {
        check(&text("5"), &number("5"), true);
        check(&text("true"), &Value::Bool(true), true);
        check(&number("1.0"), &number("1"), true);
        check(&number("1e3"), &number("1000"), true);
        check(&number("-0"), &number("0.0"), true);
        check(&number("1200"), &number("12e2"), true);
        check(&Value::Null, &Value::Null, true);
    }

    #[test]
    fn near_misses_differ() {
        check(&number("9007199254740993"), &number("9007199254740992"), false);
        check(&number("0.1"), &number("0.10000000000000001"), false);
        check(&number("1"), &number("-1"), false);
        check(&text("Pro"), &text("pro"), false);
        check(&text("1 "), &number("1"), false);
        check(&text("null"), &Value::Null, false);
        check(&text(""), &Value::Null, false);
        check(&number("1"), &Value::Bool(true), false);
        check(&text("1."), &text("1.."), false);
        check(&number("10"), &number("1"), false);
    }

    #[test]
    fn erasures_are_the_four_that_messengers_know() {
        for value in [Value::Null, text(""), text("null"), text("undefined"), text(" ")] {
            assert!(value.is_erasure());
        }
        for value in [text("nil"), text("0"), number("0"), Value::Bool(false), Value::Object(vec![])] {
            assert!(!value.is_erasure());
        }
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Value::List(vec![text("canary")])), "list");
    }
}
