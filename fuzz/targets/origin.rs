//! Origins, as anybody may send them: what is read as one, the reader that browsers' standard has reads as the very same; and a trusted domain
//! covers only hosts that are it or below it.
#![no_main]

use std::sync::LazyLock;

use countersign::policy::{Origin, TrustedDomain, TrustedDomains};
use libfuzzer_sys::fuzz_target;
use url::{Host, Url};

static TRUSTED: LazyLock<TrustedDomains> = LazyLock::new(|| {
    let domains = ["https://*.acme.example", "https://shop.example:8443"];
    TrustedDomains::new(domains.map(|text| TrustedDomain::try_from(text).expect("a domain")).to_vec())
});

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(origin) = Origin::try_from(text) else { return };
    assert_eq!(origin.as_str(), text);
    let url = Url::parse(text).expect("an origin is a URL");
    assert_eq!(url.origin().ascii_serialization(), text, "browsers spell it otherwise");
    assert!(matches!(url.scheme(), "http" | "https"));
    assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none());
    if TRUSTED.trust(&origin) {
        let Some(Host::Domain(host)) = url.host() else { panic!("an address is no trusted domain: {text}") };
        assert_eq!(url.scheme(), "https");
        let is_acme = (host == "acme.example" || host.ends_with(".acme.example")) && url.port().is_none();
        let is_shop = host == "shop.example" && url.port() == Some(8443);
        assert!(is_acme || is_shop, "{text}");
    }
});
