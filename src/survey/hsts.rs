//! `Strict-Transport-Security` as browsers read it (RFC 6797 §6.1, §8.1).

use super::facts::HstsFacts;

/// What the header's lines mean: browsers take the first and leave the rest.
pub(super) fn read<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> HstsFacts {
    match values.next() {
        None => HstsFacts::Absent,
        Some(value) => std::str::from_utf8(value).ok().and_then(parse).unwrap_or(HstsFacts::Malformed),
    }
}

fn parse(value: &str) -> Option<HstsFacts> {
    let (mut max_age, mut include_subdomains, mut preload) = (None, false, false);
    let mut seen: Vec<String> = Vec::new();
    for directive in value.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (name, argument) = match directive.split_once('=') {
            Some((name, argument)) => (name.trim_end(), Some(argument.trim_start())),
            None => (directive, None),
        };
        let name = name.to_ascii_lowercase();
        // A directive that stands there twice makes all of it void.
        if seen.contains(&name) {
            return None;
        }
        match (name.as_str(), argument) {
            ("max-age", Some(argument)) => max_age = Some(seconds(argument)?),
            ("max-age", None) => return None,
            ("includesubdomains", None) => include_subdomains = true,
            ("preload", None) => preload = true,
            // What a browser does not know it leaves alone.
            (_, _) => {}
        }
        seen.push(name);
    }
    Some(HstsFacts::Says { max_age_seconds: max_age?, include_subdomains, preload })
}

fn seconds(argument: &str) -> Option<u64> {
    let bare = match argument.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => argument,
    };
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than can be counted is for ever.
    Some(bare.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: HstsFacts) {
        assert_eq!(read(values.iter().map(|value| value.as_bytes())), expected, "{values:?}");
    }

    fn says(max_age_seconds: u64, include_subdomains: bool, preload: bool) -> HstsFacts {
        HstsFacts::Says { max_age_seconds, include_subdomains, preload }
    }

    #[test]
    fn it_is_read_as_browsers_read_it() {
        check(&[], HstsFacts::Absent);
        check(&["max-age=31536000"], says(31_536_000, false, false));
        check(&["MAX-AGE = \"5\" ; includeSubDomains;PRELOAD;"], says(5, true, true));
        check(&["max-age=0; unknown=1; other"], says(0, false, false));
        check(&["max-age=99999999999999999999999"], says(u64::MAX, false, false));
        check(&["max-age=1", "max-age=2"], says(1, false, false));
        for wrong in [
            "",
            "includeSubDomains",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1d",
            "max-age=\"5",
            "max-age=1;max-age=2",
        ] {
            check(&[wrong], HstsFacts::Malformed);
        }
    }
}
