//! Platforms: on which kind of application a request was made, as far as its wire tells.
//!
//! What a client says of its own platform can be a lie. It only ever narrows which keys count: whoever says nothing, or something unknown,
//! is left with the keys that are for all platforms.

use std::borrow::Cow;

use super::place::Place;

/// What the messenger's client runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Web,
    Ios,
    Android,
}

impl Platform {
    pub const ALL: [Self; 3] = [Platform::Web, Platform::Ios, Platform::Android];
}

/// For which platforms something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platforms {
    web: bool,
    ios: bool,
    android: bool,
}

impl Platforms {
    pub const ALL: Self = Self { web: true, ios: true, android: true };

    /// These.
    #[must_use]
    pub fn of(platforms: &[Platform]) -> Self {
        let has = |platform| platforms.contains(&platform);
        Self { web: has(Platform::Web), ios: has(Platform::Ios), android: has(Platform::Android) }
    }

    #[must_use]
    pub fn has(self, platform: Platform) -> bool {
        match platform {
            Platform::Web => self.web,
            Platform::Ios => self.ios,
            Platform::Android => self.android,
        }
    }

    /// Whether it is for requests from `platform`; `None`: from one that nobody knows, and which may be any.
    #[must_use]
    pub fn count_from(self, platform: Option<Platform>) -> bool {
        platform.map_or(self == Self::ALL, |platform| self.has(platform))
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Platform> {
        Platform::ALL.into_iter().filter(move |platform| self.has(*platform))
    }
}

/// How the platform of a request is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlatformSource {
    /// It is not.
    #[default]
    Untold,
    /// Only one platform speaks this wire.
    Always(Platform),
    /// The request says it at one of these places, in words of the messenger.
    Said { at: Vec<Place>, words: Vec<(String, Platform)> },
}

impl PlatformSource {
    /// Where a request says it.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        match self {
            PlatformSource::Untold | PlatformSource::Always(_) => &[],
            PlatformSource::Said { at, words: _ } => at,
        }
    }

    /// The platform of a request that says `texts` at those places. Two texts may say the same; a word that is unknown says nothing, and so
    /// do two platforms.
    #[must_use]
    pub fn of(&self, texts: &[Cow<'_, str>]) -> Option<Platform> {
        match self {
            PlatformSource::Untold => None,
            PlatformSource::Always(platform) => Some(*platform),
            PlatformSource::Said { at: _, words } => {
                let meaning =
                    |text: &Cow<'_, str>| words.iter().find(|(word, _)| word == text).map(|(_, named)| *named);
                let mut platforms = texts.iter().map(meaning);
                let first = platforms.next()?;
                platforms.all(|platform| platform == first).then_some(first)?
            }
        }
    }

    /// The platform of a request that says to come from `platform`.
    #[must_use]
    pub fn if_said(&self, platform: Option<Platform>) -> Option<Platform> {
        match self {
            PlatformSource::Untold => None,
            PlatformSource::Always(always) => Some(*always),
            PlatformSource::Said { at: _, words } => {
                platform.filter(|platform| words.iter().any(|(_, known)| known == platform))
            }
        }
    }

    /// Whether there is a request of this wire for which something for `platforms` counts.
    #[must_use]
    pub fn admits(&self, platforms: Platforms) -> bool {
        platforms == Platforms::ALL || self.possible().iter().any(|platform| platforms.has(platform))
    }

    /// All platforms from which requests may be known to come.
    #[must_use]
    pub fn possible(&self) -> Platforms {
        match self {
            PlatformSource::Untold => Platforms::of(&[]),
            PlatformSource::Always(platform) => Platforms::of(&[*platform]),
            PlatformSource::Said { at: _, words } => {
                Platforms::of(&words.iter().map(|(_, platform)| *platform).collect::<Vec<_>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> PlatformSource {
        let words = [("web", Platform::Web), ("mobile_web", Platform::Web), ("ios", Platform::Ios)];
        let words = words.map(|(word, platform)| (word.to_owned(), platform)).to_vec();
        PlatformSource::Said { at: vec![Place::Field("platform".to_owned())], words }
    }

    #[track_caller]
    fn check(texts: &[&str], expected: Option<Platform>) {
        let texts: Vec<_> = texts.iter().map(|text| Cow::Borrowed(*text)).collect();
        assert_eq!(said().of(&texts), expected, "{texts:?}");
        assert_eq!(PlatformSource::Always(Platform::Web).of(&texts), Some(Platform::Web));
        assert_eq!(PlatformSource::Untold.of(&texts), None);
    }

    #[test]
    fn a_request_says_one_known_platform_or_nothing() {
        check(&["web"], Some(Platform::Web));
        check(&["mobile_web"], Some(Platform::Web));
        check(&["web", "mobile_web"], Some(Platform::Web));
        for texts in [&[][..], &[""], &["Web"], &["web "], &["android"], &["web", "ios"], &["web", "x"], &["x", "web"]]
        {
            check(texts, None);
        }
    }

    #[test]
    fn what_is_unknown_is_left_with_what_is_for_all() {
        let ios = Platforms::of(&[Platform::Ios]);
        let both = Platforms::of(&[Platform::Web, Platform::Ios, Platform::Ios]);
        for (platforms, from, expected) in [
            (Platforms::ALL, None, true),
            (Platforms::ALL, Some(Platform::Android), true),
            (Platforms::of(&Platform::ALL), None, true),
            (both, None, false),
            (both, Some(Platform::Web), true),
            (both, Some(Platform::Android), false),
            (ios, Some(Platform::Ios), true),
            (ios, Some(Platform::Web), false),
            (Platforms::of(&[]), None, false),
        ] {
            assert_eq!(platforms.count_from(from), expected, "{platforms:?} {from:?}");
        }
    }

    #[test]
    fn nobody_says_a_platform_that_the_wire_does_not_have() {
        assert_eq!(said().if_said(Some(Platform::Ios)), Some(Platform::Ios));
        assert_eq!(said().if_said(Some(Platform::Android)), None);
        assert_eq!(said().if_said(None), None);
        assert_eq!(PlatformSource::Always(Platform::Web).if_said(Some(Platform::Ios)), Some(Platform::Web));
        assert_eq!(PlatformSource::Untold.if_said(Some(Platform::Ios)), None);
        assert_eq!(said().possible(), Platforms::of(&[Platform::Web, Platform::Ios]));
        let [web, android] = [Platform::Web, Platform::Android].map(|platform| Platforms::of(&[platform]));
        for (source, expected) in [
            (said(), [true, true, false]),
            (PlatformSource::Always(Platform::Android), [true, false, true]),
            (PlatformSource::Untold, [true, false, false]),
        ] {
            assert_eq!(
                [Platforms::ALL, web, android].map(|platforms| source.admits(platforms)),
                expected,
                "{source:?}"
            );
        }
    }
}
