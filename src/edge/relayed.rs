//! What of the upstream's headers a browser gets to see: no banners, and of those that concern safety the stricter word.
//!
//! An upstream knows best what its pages load and who opens them. So what it says stays, unless it is weaker than what we say of every
//! answer; and where it says nothing, we say what cannot break a widget.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::frame_ancestors::FrameAncestors;

/// What was asked for, as far as the headers of its answer go.
#[derive(Clone, Debug, Default)]
pub enum Loaded {
    /// An answer to a page's script.
    #[default]
    Answer,
    /// What a page loads: scripts, images, further pages.
    Resource,
    /// The widget's page, which others put into a frame.
    Frame(FrameAncestors),
}

/// Whether the page that asked was admitted, and may read the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Admitted,
    Unknown,
}

static CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
static CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Headers that say what runs behind us, or lead around us (`Alt-Svc`, RFC 7838; `Public-Key-Pins` would lock out our own keys).
const UPSTREAM_ONLY: [&str; 14] = [
    "server",
    "via",
    "alt-svc",
    "public-key-pins",
    "x-powered-by",
    "x-powered-cms",
    "x-generator",
    "x-runtime",
    "x-version",
    "x-served-by",
    "x-backend-server",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-envoy-upstream-service-time",
];

/// Takes away what says something about the upstream alone.
pub fn remove_banners(headers: &mut HeaderMap) {
    let banners: Vec<HeaderName> =
        headers.keys().filter(|name| UPSTREAM_ONLY.contains(&name.as_str())).cloned().collect();
    for name in banners {
        headers.remove(name);
    }
}

/// Our word where the upstream has none, or a weaker one.
const REFERRER_POLICY: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");

/// Keeps a referrer policy that tells no more than ours does.
pub fn keep_strict_referrer_policy(headers: &mut HeaderMap) {
    let policies = headers.get_all(header::REFERRER_POLICY);
    let tokens = policies.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    // Of several the browser takes the last that it knows (Referrer Policy §8.1).
    if tokens.filter_map(|token| tells_no_more(token.trim())).next_back() != Some(true) {
        headers.insert(header::REFERRER_POLICY, REFERRER_POLICY);
    }
}

/// Whether a policy tells no more than ours; `None` where it is none that browsers know.
fn tells_no_more(policy: &str) -> Option<bool> {
    match policy.to_ascii_lowercase().as_str() {
        "no-referrer" | "same-origin" | "strict-origin" | "strict-origin-when-cross-origin" => Some(true),
        // The whole address, or at least the origin, also over a connection in clear.
        "unsafe-url" | "origin" | "origin-when-cross-origin" | "no-referrer-when-downgrade" => Some(false),
        _ => None,
    }
}

/// What a browser may do with an answer of the upstream beside reading it.
pub fn apply(headers: &mut HeaderMap, loaded: &Loaded, reader: Reader) {
    if let Loaded::Frame(ancestors) = loaded {
        ancestors.apply(headers);
    }
    let Some(content) = Content::of(headers) else {
        // A 304 would write over what the browser has kept.
        return;
    };
    // A value that no browser knows is as good as none, and so are two: the browser joins them.
    let mut said = headers.get_all(&CROSS_ORIGIN_RESOURCE_POLICY).iter().map(HeaderValue::as_bytes);
    if !matches!((said.next(), said.next()), (Some(b"same-origin" | b"same-site" | b"cross-origin"), None)) {
        headers
            .insert(&CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(resource_policy(loaded, reader, content)));
    }
    if content == Content::Page && !matches!(loaded, Loaded::Frame(_)) {
        // It counts for pages of their own alone. One that needs its opener says `unsafe-none`.
        headers.entry(&CROSS_ORIGIN_OPENER_POLICY).or_insert(HeaderValue::from_static("same-origin-allow-popups"));
    }
}

/// What an answer is, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Page,
    /// JSON or XML: nothing that another origin's page has to load unread.
    Data,
    /// A script, an image, a font, a file.
    Resource,
}

impl Content {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match essence.as_str() {
            "text/html" | "application/xhtml+xml" => Self::Page,
            "application/json" | "text/json" | "application/xml" | "text/xml" => Self::Data,
            essence if essence.ends_with("+json") => Self::Data,
            _ => Self::Resource,
        })
    }
}

/// Who may load the answer without reading it (`Cross-Origin-Resource-Policy`, Fetch §3.7). Calls that read by CORS are not asked.
fn resource_policy(loaded: &Loaded, reader: Reader, content: Content) -> &'static str {
    match (loaded, reader, content) {
        // Pages that isolate themselves (COEP) load no frame and no script without it, and it is the widget's.
        (Loaded::Frame(_), _, _)
        | (Loaded::Resource, _, Content::Resource)
        // A beacon of an admitted page is answered to no script; it must not look as if it had failed.
        | (_, Reader::Admitted, _) => "cross-origin",
        (Loaded::Resource, Reader::Unknown, Content::Page | Content::Data) | (Loaded::Answer, Reader::Unknown, _) => {
            "same-origin"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a line");
            let name = HeaderName::try_from(name).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn nothing_tells_what_runs_behind() {
        let lines: Vec<String> = UPSTREAM_ONLY.iter().map(|name| format!("{name}: x")).collect();
        let mut headers = headers(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        headers.insert("x-other", HeaderValue::from_static("stays"));
        remove_banners(&mut headers);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_referrer_policy_stays_where_it_tells_no_more_than_ours() {
        let ours = "strict-origin-when-cross-origin";
        for (said, expected) in [
            (&[][..], ours),
            (&["no-referrer"], "no-referrer"),
            (&["same-origin"], "same-origin"),
            (&["strict-origin"], "strict-origin"),
            (&["Strict-Origin"], "Strict-Origin"),
            (&["unsafe-url"], ours),
            (&["origin"], ours),
            (&["origin-when-cross-origin"], ours),
            (&["no-referrer-when-downgrade"], ours),
            (&["nonsense"], ours),
            (&[""], ours),
            (&["unsafe-url, no-referrer"], "unsafe-url, no-referrer"),
            (&["no-referrer, unsafe-url"], ours),
            (&["no-referrer, new-policy"], "no-referrer, new-policy"),
            (&["no-referrer", "unsafe-url"], ours),
        ] {
            let lines: Vec<String> = said.iter().map(|said| format!("referrer-policy: {said}")).collect();
            let mut headers = headers(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            keep_strict_referrer_policy(&mut headers);
            assert_eq!(headers["referrer-policy"], expected, "{said:?}");
        }
    }

    /// Gives `Cross-Origin-Resource-Policy` and `Cross-Origin-Opener-Policy`.
    #[track_caller]
    fn check(loaded: &Loaded, reader: Reader, lines: &[&str], expected: (Option<&str>, Option<&str>)) {
        let mut headers = headers(lines);
        apply(&mut headers, loaded, reader);
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().expect("text"));
        let found = (text(&CROSS_ORIGIN_RESOURCE_POLICY), text(&CROSS_ORIGIN_OPENER_POLICY));
        assert_eq!(found, expected, "{loaded:?} {reader:?} {lines:?}");
    }

    #[test]
    fn where_the_upstream_says_nothing_we_say_what_breaks_no_widget() {
        let (html, json, script) = (
            "content-type: text/html; charset=utf-8",
            "content-type: application/json",
            "content-type: text/javascript",
        );
        let frame = Loaded::Frame(FrameAncestors::nobody());
        let popups = Some("same-origin-allow-popups");
        check(&frame, Reader::Unknown, &[html], (Some("cross-origin"), None));
        check(&Loaded::Resource, Reader::Unknown, &[script], (Some("cross-origin"), None));
        check(&Loaded::Resource, Reader::Unknown, &["content-type: image/png"], (Some("cross-origin"), None));
        check(&Loaded::Resource, Reader::Unknown, &[html], (Some("same-origin"), popups));
        check(&Loaded::Resource, Reader::Unknown, &[json], (Some("same-origin"), None));
        check(&Loaded::Answer, Reader::Admitted, &[json], (Some("cross-origin"), None));
        check(
            &Loaded::Answer,
            Reader::Unknown,
            &["content-type: application/problem+json"],
            (Some("same-origin"), None),
        );
        check(&Loaded::Answer, Reader::Unknown, &[script], (Some("same-origin"), None));
        for loaded in [frame, Loaded::Resource, Loaded::Answer] {
            check(&loaded, Reader::Unknown, &[], (None, None));
        }
    }

    #[test]
    fn what_the_upstream_says_of_these_stays() {
        let html = "content-type: text/html";
        for said in ["same-origin", "same-site", "cross-origin"] {
            let line = format!("cross-origin-resource-policy: {said}");
            check(&Loaded::Answer, Reader::Admitted, &["content-type: text/css", &line], (Some(said), None));
        }
        let nonsense = "cross-origin-resource-policy: whoever";
        check(&Loaded::Answer, Reader::Unknown, &["content-type: text/css", nonsense], (Some("same-origin"), None));
        let twice = [
            "content-type: text/css",
            "cross-origin-resource-policy: same-site",
            "cross-origin-resource-policy: same-site",
        ];
        check(&Loaded::Answer, Reader::Unknown, &twice, (Some("same-origin"), None));
        let unsafe_none = "cross-origin-opener-policy: unsafe-none";
        check(&Loaded::Resource, Reader::Unknown, &[html, unsafe_none], (Some("same-origin"), Some("unsafe-none")));
    }
}
