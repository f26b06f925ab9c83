//! Paths, as anybody may send them: what is read as one no other reader takes for another path, whether it decodes once, twice or not at all.
#![no_main]

use countersign::profile::{Path, PathPattern};
use libfuzzer_sys::fuzz_target;
use url::Url;

/// Percent-decoding as the laxest server does it: what is no encoding stays.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at..] {
            [b'%', high, low, ..] if digit(high).is_some() && digit(low).is_some() => {
                decoded.push((digit(high).unwrap_or(0) * 16 + digit(low).unwrap_or(0)) as u8);
                at += 3;
            }
            [byte, ..] => {
                decoded.push(byte);
                at += 1;
            }
            [] => {}
        }
    }
    decoded
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(path) = Path::try_from(text) else { return };
    assert_eq!(path.as_str(), text);
    let once = decode(text.as_bytes());
    let twice = decode(&once);
    assert_eq!(once, twice, "an encoding within an encoding");
    let segments = |path: &[u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (raw, decoded) = (segments(text.as_bytes()), segments(&once));
    assert_eq!(raw.len(), decoded.len(), "an encoded slash");
    assert!(raw.first().is_some_and(Vec::is_empty) && raw.len() >= 2);
    for segment in decoded.iter().skip(1) {
        assert!(!segment.is_empty() || text == "/", "an empty segment");
        assert!(!matches!(segment.as_slice(), b"." | b".."), "a dot segment");
        assert!(segment.iter().all(|byte| !matches!(byte, b'\\' | b';' | 0..=0x1f | 0x7f)), "{segment:?}");
    }
    // What removes dot segments and backslashes finds none.
    let url = Url::parse(&format!("https://gateway.example{text}")).expect("a URL");
    assert_eq!((url.path(), url.query(), url.fragment()), (text, None, None));
    // A pattern of as many names takes it, each with its segment as it came.
    let pattern: String = (0..raw.len() - 1).map(|index| format!("/{{s{index}}}")).collect();
    if text != "/" && raw.len() <= 9 {
        let pattern = PathPattern::try_from(pattern.as_str()).expect("a pattern");
        let params = pattern.matches(path).expect("it matches");
        let given: Vec<_> = params.iter().map(|(_, value)| value.as_bytes().to_vec()).collect();
        assert_eq!(given, raw[1..]);
    }
});
