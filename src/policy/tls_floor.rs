//! Letters by which TLS is graded, and the lowest that a listener may have.

use super::keywords::keywords;

/// A grade of the SSL Server Rating Guide, from the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsGrade {
    F,
    E,
    D,
    C,
    B,
    AMinus,
    A,
    APlus,
}

keywords!(
    TlsGrade: "A+" => TlsGrade::APlus,
    "A" => TlsGrade::A,
    "A-" => TlsGrade::AMinus,
    "B" => TlsGrade::B,
    "C" => TlsGrade::C,
    "D" => TlsGrade::D,
    "E" => TlsGrade::E,
    "F" => TlsGrade::F,
);

/// What a listener has at least, where the operator does not say. Not A+: that one asks for HSTS, and `max_age = "0s"` is the way back from it.
impl Default for TlsGrade {
    fn default() -> Self {
        Self::A
    }
}

impl TlsGrade {
    /// The letter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F => "F",
            Self::E => "E",
            Self::D => "D",
            Self::C => "C",
            Self::B => "B",
            Self::AMinus => "A-",
            Self::A => "A",
            Self::APlus => "A+",
        }
    }

    /// A number for metrics: 7 is A+, 0 is F.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::F => 0,
            Self::E => 1,
            Self::D => 2,
            Self::C => 3,
            Self::B => 4,
            Self::AMinus => 5,
            Self::A => 6,
            Self::APlus => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Keyword;
    use super::*;

    #[test]
    fn letters_numbers_and_words_agree() {
        for (word, grade) in TlsGrade::WORDS {
            assert_eq!(*word, grade.as_str());
        }
        assert!(TlsGrade::WORDS.is_sorted_by(|(_, one), (_, other)| one > other && one.number() > other.number()));
        assert_eq!(TlsGrade::WORDS.len(), 8);
    }
}
