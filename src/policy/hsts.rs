//! HTTP Strict Transport Security (RFC 6797), typed so that a wrong header cannot be built.

use std::time::Duration;

/// The header of every response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hsts {
    max_age: Duration,
    include_subdomains: bool,
    preload: bool,
}

/// Why a combination is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HstsError {
    #[error("`preload` needs `max_age` of at least one year")]
    PreloadAge,
    #[error("`preload` needs `include_subdomains`")]
    PreloadSubdomains,
}

/// What the browsers' preload list asks for.
const PRELOAD_AGE_MIN: Duration = Duration::from_secs(31_536_000);

impl Hsts {
    /// Builds the header. A `max_age` of zero tells browsers to forget: the way back.
    ///
    /// # Errors
    ///
    /// `preload` where the rules of the browsers' preload list do not hold.
    pub fn new(max_age: Duration, include_subdomains: bool, preload: bool) -> Result<Self, HstsError> {
        if preload && max_age < PRELOAD_AGE_MIN {
            return Err(HstsError::PreloadAge);
        }
        if preload && !include_subdomains {
            return Err(HstsError::PreloadSubdomains);
        }
        Ok(Self { max_age, include_subdomains, preload })
    }

    /// How long browsers remember.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
    #[must_use]
    pub fn header_value(&self) -> String {
        let subdomains = if self.include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        format!("max-age={}{subdomains}{preload}", self.max_age.as_secs())
    }
}

/// Two years, subdomains left to the operator.
impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: PRELOAD_AGE_MIN * 2, include_subdomains: false, preload: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preload_stands_only_where_its_rules_hold() {
        let year = PRELOAD_AGE_MIN;
        assert_eq!(
            Hsts::new(year, true, true).map(|hsts| hsts.header_value()),
            Ok("max-age=31536000; includeSubDomains; preload".into())
        );
        assert_eq!(Hsts::new(Duration::from_secs(31_535_999), true, true), Err(HstsError::PreloadAge));
        assert_eq!(Hsts::new(year, false, true), Err(HstsError::PreloadSubdomains));
        assert_eq!(Hsts::new(Duration::ZERO, false, false).map(|hsts| hsts.header_value()), Ok("max-age=0".into()));
    }
}
