//! Fetch metadata: what a browser says of a request by itself (`Sec-Fetch-Site`, `-Mode`, `-Dest`; W3C Fetch Metadata Request Headers).
//!
//! No page can write or leave out these headers, so they are a second signal beside `Origin`: a form that a foreign page submits, an image
//! or a frame in the place of a call show themselves by it. A program can say or leave out what it likes, here as in `Origin`; therefore
//! their absence proves nothing and changes nothing, and they come beside trusted domains and proofs, never instead of them.

use http::header::{HeaderMap, HeaderName};

use super::hygiene::Head;
use super::origin::RequestOrigin;

static SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Headers of browsers alone. `Sec-Fetch-Mode` is none of them: the `fetch` of Node.js sends it too.
static OF_BROWSERS: [HeaderName; 4] = [
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
    HeaderName::from_static("sec-fetch-storage-access"),
];

/// Why a request is refused for what its browser says of it (403).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefusal {
    /// No browser says it twice, as a list or in quotes.
    #[error("a `sec-fetch` header is not one token")]
    Malformed,
    /// Where it comes from is not where its `Origin` says, or no page sent it.
    #[error("`sec-fetch-site` contradicts the origin")]
    Site,
    /// A navigation, such as a form, or a call without the preflight that it takes.
    #[error("`sec-fetch-mode` is not how this is called")]
    Mode,
    /// An image, a frame or a script in the place of a call.
    #[error("`sec-fetch-dest` is not what calls this")]
    Dest,
}

/// What a request is, as far as a browser's words about it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Something is read: a page, a script, an answer.
    Load,
    /// A page's script calls something that changes something.
    Call(Preflighted),
    /// The question before a call.
    Preflight,
    WebSocket,
}

/// Whether a browser asks before such a call (the CORS protocol of the Fetch standard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflighted {
    /// Another type than a form's, or another method than POST.
    Always,
    /// What a form could send too: beacons come so.
    Perhaps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CameFrom {
    SameOrigin,
    SameSite,
    CrossSite,
    /// No page: somebody typed it, or an extension sent it.
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Cors,
    NoCors,
    SameOrigin,
    Navigate,
    WebSocket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dest {
    /// A script's own call.
    Empty,
    WebSocket,
    /// Images, frames, documents, scripts and the like.
    Resource,
}

/// What the browser says. A word that the specification does not know is as if it were not said: browsers learn new ones, and whoever
/// could make one up could as well say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchMetadata {
    site: Option<CameFrom>,
    mode: Option<Mode>,
    dest: Option<Dest>,
}

/// Whether only a browser sends a request with these headers.
#[must_use]
pub fn is_of_browser(headers: &HeaderMap) -> bool {
    OF_BROWSERS.iter().any(|name| headers.contains_key(name))
}

impl FetchMetadata {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// [`FetchRefusal::Malformed`].
    pub fn read(headers: &HeaderMap) -> Result<Self, FetchRefusal> {
        Ok(Self {
            site: word(headers, &SITE)?.and_then(CameFrom::of),
            mode: word(headers, &MODE)?.and_then(Mode::of),
            dest: word(headers, &DEST)?.and_then(Dest::of),
        })
    }

    /// What speaks against the request.
    ///
    /// # Errors
    ///
    /// The first thing that no browser says of an honest one.
    pub fn admit(&self, purpose: Purpose, origin: &RequestOrigin, head: &Head<'_>) -> Result<(), FetchRefusal> {
        if let Some(site) = self.site
            && !fits_origin(site, purpose, origin, head)
        {
            return Err(FetchRefusal::Site);
        }
        if let Some(mode) = self.mode
            && !fits_mode(mode, purpose, self.site)
        {
            return Err(FetchRefusal::Mode);
        }
        match (purpose, self.dest) {
            (Purpose::Load, _) | (_, None | Some(Dest::Empty)) | (Purpose::WebSocket, Some(Dest::WebSocket)) => Ok(()),
            (Purpose::Call(_) | Purpose::Preflight, Some(Dest::WebSocket | Dest::Resource))
            | (Purpose::WebSocket, Some(Dest::Resource)) => Err(FetchRefusal::Dest),
        }
    }
}

fn fits_origin(site: CameFrom, purpose: Purpose, origin: &RequestOrigin, head: &Head<'_>) -> bool {
    match (origin, site) {
        (RequestOrigin::Origin(origin), CameFrom::SameOrigin) => origin.is_of_host(&head.authority()),
        (RequestOrigin::Origin(origin), CameFrom::SameSite | CameFrom::CrossSite) => {
            !origin.is_of_host(&head.authority())
        }
        (RequestOrigin::Origin(_) | RequestOrigin::Null, CameFrom::Nobody) => false,
        // A page may ask its browser to hide the origin (`Referrer-Policy: no-referrer`).
        (RequestOrigin::Null, CameFrom::SameOrigin | CameFrom::SameSite | CameFrom::CrossSite) => true,
        // Refused for itself.
        (RequestOrigin::Malformed, _) => true,
        // A browser names the origin of whatever is no GET, and of each WebSocket.
        (RequestOrigin::Missing, _) => purpose == Purpose::Load,
    }
}

fn fits_mode(mode: Mode, purpose: Purpose, site: Option<CameFrom>) -> bool {
    match (purpose, mode) {
        (Purpose::Load, Mode::WebSocket) => false,
        (Purpose::Load, Mode::Cors | Mode::NoCors | Mode::SameOrigin | Mode::Navigate)
        | (Purpose::Call(_) | Purpose::Preflight, Mode::Cors)
        | (Purpose::Call(Preflighted::Perhaps), Mode::NoCors)
        | (Purpose::WebSocket, Mode::WebSocket) => true,
        (Purpose::Call(_), Mode::SameOrigin) => site.is_none_or(|site| site == CameFrom::SameOrigin),
        (Purpose::Call(Preflighted::Always), Mode::NoCors)
        | (Purpose::Call(_), Mode::Navigate | Mode::WebSocket)
        | (Purpose::Preflight, Mode::NoCors | Mode::SameOrigin | Mode::Navigate | Mode::WebSocket)
        | (Purpose::WebSocket, Mode::Cors | Mode::NoCors | Mode::SameOrigin | Mode::Navigate) => false,
    }
}

/// The one token of a header (RFC 9651 §3.3.4), without parameters; `None` where the header is not there.
fn word<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, FetchRefusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| FetchRefusal::Malformed)?;
    let word = text.split(';').next().unwrap_or_default().trim_matches(' ');
    let is_token = word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
    if values.next().is_some() || !is_token || text.contains(',') {
        return Err(FetchRefusal::Malformed);
    }
    Ok(Some(word))
}

impl CameFrom {
    fn of(word: &str) -> Option<Self> {
        match word {
            "same-origin" => Some(Self::SameOrigin),
            "same-site" => Some(Self::SameSite),
            "cross-site" => Some(Self::CrossSite),
            "none" => Some(Self::Nobody),
            _ => None,
        }
    }
}

impl Mode {
    fn of(word: &str) -> Option<Self> {
        match word {
            "cors" => Some(Self::Cors),
            "no-cors" => Some(Self::NoCors),
            "same-origin" => Some(Self::SameOrigin),
            // Earlier browsers said of frames that they nest.
            "navigate" | "nested-navigate" => Some(Self::Navigate),
            "websocket" => Some(Self::WebSocket),
            _ => None,
        }
    }
}

impl Dest {
    /// The destinations of the Fetch standard (§2.2.5).
    fn of(word: &str) -> Option<Self> {
        match word {
            "empty" => Some(Self::Empty),
            "websocket" => Some(Self::WebSocket),
            "audio" | "audioworklet" | "document" | "embed" | "fencedframe" | "font" | "frame" | "iframe" | "image"
            | "json" | "manifest" | "nested-document" | "object" | "paintworklet" | "report" | "script"
            | "serviceworker" | "sharedworker" | "style" | "track" | "video" | "webidentity" | "worker" | "xslt" => {
                Some(Self::Resource)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::edge::hygiene;

    const CALL: Purpose = Purpose::Call(Preflighted::Perhaps);
    const JSON: Purpose = Purpose::Call(Preflighted::Always);
    const OWN: &str = "https://chat.example";
    const PAGE: &str = "https://app.acme.example";

    /// `said` are site, mode and destination; an empty one is not said.
    #[track_caller]
    fn check(purpose: Purpose, origin: &str, said: &str, expected: Result<(), FetchRefusal>) {
        let mut request = Request::builder().uri("/x").header("host", "chat.example");
        for (name, value) in [&SITE, &MODE, &DEST].into_iter().zip(said.split(' ')) {
            if !value.is_empty() && value != "-" {
                request = request.header(name, value);
            }
        }
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let head = hygiene::inspect(&parts).expect("a head");
        let origin = RequestOrigin::read(&parts.headers).expect("an origin");
        let found = FetchMetadata::read(&parts.headers).and_then(|said| said.admit(purpose, &origin, &head));
        assert_eq!(found, expected, "{purpose:?} {said}");
    }

    #[test]
    fn what_a_widget_sends_is_taken() {
        for (purpose, origin, said) in [
            (CALL, PAGE, "cross-site cors empty"),
            (CALL, PAGE, "same-site cors empty"),
            (CALL, PAGE, "cross-site no-cors empty"),
            (CALL, OWN, "same-origin cors empty"),
            (CALL, OWN, "same-origin same-origin empty"),
            (JSON, PAGE, "cross-site cors empty"),
            (CALL, "null", "cross-site cors empty"),
            (CALL, "null", "same-site no-cors empty"),
            (Purpose::Preflight, PAGE, "cross-site cors empty"),
            (Purpose::Load, "", "cross-site no-cors script"),
            (Purpose::Load, "", "cross-site navigate iframe"),
            (Purpose::Load, "", "none navigate document"),
            (Purpose::Load, OWN, "same-origin cors empty"),
            (Purpose::WebSocket, PAGE, "cross-site websocket websocket"),
            (Purpose::WebSocket, OWN, "same-origin websocket empty"),
        ] {
            check(purpose, origin, said, Ok(()));
        }
    }

    #[test]
    fn silence_changes_nothing() {
        for purpose in [CALL, JSON, Purpose::Load, Purpose::Preflight, Purpose::WebSocket] {
            for origin in ["", "null", PAGE, OWN, "nonsense"] {
                check(purpose, origin, "- - -", Ok(()));
            }
        }
        // `fetch` of Node.js.
        check(JSON, "", "- cors -", Ok(()));
    }

    #[test]
    fn an_origin_that_the_browser_contradicts_is_refused() {
        use FetchRefusal::Site;
        check(CALL, PAGE, "same-origin cors empty", Err(Site));
        check(CALL, OWN, "same-site cors empty", Err(Site));
        check(CALL, OWN, "cross-site cors empty", Err(Site));
        check(CALL, PAGE, "none cors empty", Err(Site));
        check(CALL, "null", "none cors empty", Err(Site));
        check(Purpose::Load, PAGE, "none cors empty", Err(Site));
        check(Purpose::Load, PAGE, "same-origin cors empty", Err(Site));
        for site in ["same-origin", "same-site", "cross-site", "none"] {
            check(CALL, "", &format!("{site} cors empty"), Err(Site));
            check(Purpose::WebSocket, "", &format!("{site} websocket empty"), Err(Site));
        }
        check(CALL, "https://chat.example:8443", "same-origin cors empty", Err(Site));
        check(CALL, "http://chat.example", "same-origin cors empty", Err(Site));
    }

    #[test]
    fn a_form_a_frame_and_an_image_are_no_call() {
        use FetchRefusal::{Dest, Mode};
        check(CALL, PAGE, "cross-site navigate document", Err(Mode));
        check(CALL, PAGE, "same-site nested-navigate iframe", Err(Mode));
        check(CALL, PAGE, "- navigate -", Err(Mode));
        check(CALL, PAGE, "cross-site websocket websocket", Err(Mode));
        check(JSON, PAGE, "cross-site no-cors empty", Err(Mode));
        check(CALL, PAGE, "cross-site same-origin empty", Err(Mode));
        check(Purpose::Preflight, PAGE, "cross-site no-cors empty", Err(Mode));
        check(Purpose::WebSocket, PAGE, "cross-site cors empty", Err(Mode));
        check(Purpose::Load, PAGE, "cross-site websocket empty", Err(Mode));
        for dest in ["document", "iframe", "image", "script", "report", "object", "websocket"] {
            check(CALL, PAGE, &format!("cross-site cors {dest}"), Err(Dest));
        }
        check(Purpose::WebSocket, PAGE, "cross-site websocket image", Err(Dest));
        check(CALL, PAGE, "- - image", Err(Dest));
    }

    #[test]
    fn words_that_nobody_knows_are_not_said_and_what_is_no_word_is_refused() {
        for said in ["near-site cors empty", "cross-site webtransport empty", "cross-site CORS Empty", "NONE - -"] {
            check(JSON, PAGE, said, Ok(()));
        }
        check(CALL, PAGE, "cross-site;x=1 navigate document", Err(FetchRefusal::Mode));
        for said in ["cross-site,none cors empty", "\"none\" cors empty", "?1 cors empty", "- cors,cors -", "- - 1"] {
            check(CALL, PAGE, said, Err(FetchRefusal::Malformed));
        }
        let mut headers = HeaderMap::new();
        headers.append(&SITE, "cross-site".parse().expect("a value"));
        headers.append(&SITE, "cross-site".parse().expect("a value"));
        assert_eq!(FetchMetadata::read(&headers), Err(FetchRefusal::Malformed));
        headers.insert(&SITE, "".parse().expect("a value"));
        assert_eq!(FetchMetadata::read(&headers), Err(FetchRefusal::Malformed));
    }

    #[test]
    fn only_browsers_say_more_than_the_mode() {
        let with = |name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, "whatever".parse().expect("a value"));
            headers
        };
        assert!(!is_of_browser(&HeaderMap::new()));
        assert!(!is_of_browser(&with("sec-fetch-mode")));
        for name in ["sec-fetch-site", "sec-fetch-dest", "sec-fetch-user", "sec-fetch-storage-access"] {
            assert!(is_of_browser(&with(name)), "{name}");
        }
    }
}
