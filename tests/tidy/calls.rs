//! What is done in one place only, so that the next step's proof comes from there and from nowhere else.

use crate::nothing;
use crate::rust::{Token, code};
use crate::tree::{File, sources};

/// Something that has one place.
struct Place {
    what: &'static str,
    /// The tokens by which it is known; `*` is any word in front, but not a definition's `fn` and not a method's `.`.
    tokens: &'static [&'static str],
    /// A file, or a room with all of its files.
    only_in: &'static str,
    /// How often it may stand there.
    times: usize,
}

const PLACES: [Place; 7] = [
    Place {
        what: "claims are vouched for by whoever verified them",
        tokens: &["::", "vouched"],
        only_in: "src/identity/",
        times: 1,
    },
    // The document, and the query beside it.
    Place { what: "updates are judged", tokens: &["*", "judge", "("], only_in: "src/gateway/judgement.rs", times: 2 },
    Place {
        what: "judged updates are sent",
        tokens: &["upstreams", ".", "send", "("],
        only_in: "src/gateway.rs",
        times: 1,
    },
    Place {
        what: "connections are handed to the upstream",
        tokens: &["upstreams", ".", "upgrade", "("],
        only_in: "src/gateway.rs",
        times: 1,
    },
    // Nobody speaks for a server who has not shown its certificate; what is rehearsed is not sent.
    Place {
        what: "client certificates are made up",
        tokens: &["ClientCertificate", "::", "rehearsed"],
        only_in: "src/rehearse.rs",
        times: 1,
    },
    // It reads what nobody signed, and tries keys of other tenants: for people, and for nothing that serves.
    // It looks, sends nothing of anybody's, and believes nothing that it gets.
    Place {
        what: "certificates are taken unverified",
        tokens: &[".", "dangerous", "("],
        only_in: "src/survey/client.rs",
        times: 1,
    },
    Place { what: "tokens are explained", tokens: &["Examiner", "::", "new"], only_in: "src/cli/token.rs", times: 1 },
];

/// The lines on which it is done.
fn lines(place: &Place, file: &File) -> Vec<usize> {
    let tokens = code(&file.text);
    let is = |(token, expected): (&Token<'_>, &&str)| match *expected {
        "*" => !matches!(token.text, "fn" | "."),
        expected => token.text == expected,
    };
    let found = tokens.windows(place.tokens.len()).filter(|window| window.iter().zip(place.tokens).all(is));
    found.filter_map(|window| Some(window.last()?.line)).collect()
}

fn misplaced(place: &Place, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let mut times = 0;
    for file in files {
        let here = lines(place, file);
        if file.name.starts_with(place.only_in) {
            times += here.len();
        } else {
            found.extend(
                here.iter().map(|line| format!("{}:{line}: only in `{}` {}", file.name, place.only_in, place.what)),
            );
        }
    }
    if times != place.times {
        found.push(format!("{}: {} {times} times, expected {}", place.only_in, place.what, place.times));
    }
    found
}

#[test]
fn what_has_one_place_is_done_nowhere_else() {
    let sources = sources();
    nothing(&PLACES.iter().flat_map(|place| misplaced(place, &sources)).collect::<Vec<_>>());
}

#[test]
fn what_is_done_elsewhere_or_twice_is_found() {
    let at = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
    let [vouched, judged, sent, ..] = &PLACES;

    let claims = || at("src/identity/claims.rs", "Signed::vouched(update)");
    assert_eq!(misplaced(vouched, &[claims(), at("src/decision/update.rs", "fn vouched() {}")]), [""; 0]);
    assert_eq!(misplaced(vouched, &[claims(), at("src/gateway.rs", "Signed::vouched(update)")]).len(), 1);
    assert_eq!(misplaced(vouched, &[claims(), at("src/gateway.rs", "claims.map(Signed::vouched)")]).len(), 1);

    let judgement = || at("src/gateway/judgement.rs", "let a = judge(b); decision::judge(c)");
    assert_eq!(misplaced(judged, &[judgement(), at("src/epoch.rs", "judgement.judge(a); pub fn judge() {}")]), [""; 0]);
    assert_eq!(misplaced(judged, &[judgement(), at("src/epoch.rs", "decision::judge(a)")]).len(), 1);
    assert_eq!(misplaced(judged, &[judgement(), judgement()]).len(), 1);

    assert_eq!(misplaced(sent, &[at("src/gateway.rs", "epoch.upstreams.send(a)")]), [""; 0]);
    assert_eq!(misplaced(sent, &[at("src/gateway.rs", "epoch.upstreams.send(a); upstreams.send(b)")]).len(), 1);
    assert_eq!(misplaced(sent, &[at("src/gateway.rs", "")]).len(), 1);
}
