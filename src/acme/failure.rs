//! Why nothing came of an order.

use instant_acme::{Error, Problem};

use super::store::StoreError;
use crate::edge::certificates::CertificateError;
use crate::edge::challenges::ChallengeError;
use crate::upstream::FetchError;

/// Why there is no new certificate. None of it says anything secret: the account's key and the certificate's never leave their places.
#[derive(Debug)]
pub(super) enum Failure {
    /// The authority could not be asked.
    Fetch(String, &'static str),
    /// The authority has said no (RFC 8555 §6.7).
    Problem {
        code: &'static str,
        detail: String,
    },
    /// The authority's answer is not what the protocol has at this place.
    Answer(&'static str),
    /// The library broke off.
    Broken,
    /// The authority did not come to an end.
    Timeout,
    /// The authority knows no challenge of the kind that the policy says.
    NoChallenge,
    Challenge(ChallengeError),
    /// What was issued cannot be shown.
    Certificate(CertificateError),
    /// What was issued is not for these names.
    OtherNames,
    Store(StoreError),
    /// No key could be made.
    Crypto,
}

/// A stranger's words in a log: no longer than this.
const DETAIL_CHARS_MAX: usize = 300;

/// The problems of RFC 8555 §6.7 and RFC 9773 §7.4 by our names of them.
const PROBLEMS: [(&str, &str); 25] = [
    ("accountDoesNotExist", "account_does_not_exist"),
    ("alreadyReplaced", "already_replaced"),
    ("alreadyRevoked", "already_revoked"),
    ("badCSR", "bad_csr"),
    ("badNonce", "bad_nonce"),
    ("badPublicKey", "bad_public_key"),
    ("badRevocationReason", "bad_revocation_reason"),
    ("badSignatureAlgorithm", "bad_signature_algorithm"),
    ("caa", "caa"),
    ("compound", "compound"),
    ("connection", "connection"),
    ("dns", "dns"),
    ("externalAccountRequired", "external_account_required"),
    ("incorrectResponse", "incorrect_response"),
    ("invalidContact", "invalid_contact"),
    ("malformed", "malformed"),
    ("orderNotReady", "order_not_ready"),
    ("rateLimited", "rate_limited"),
    ("rejectedIdentifier", "rejected_identifier"),
    ("serverInternal", "server_internal"),
    ("tls", "tls_of_ours"),
    ("unauthorized", "unauthorized"),
    ("unsupportedContact", "unsupported_contact"),
    ("unsupportedIdentifier", "unsupported_identifier"),
    ("userActionRequired", "user_action_required"),
];

impl Failure {
    /// The stable name.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Failure::Fetch(_, code) | Failure::Problem { code, .. } => code,
            Failure::Answer(_) | Failure::Broken => "answer",
            Failure::Timeout => "timeout",
            Failure::NoChallenge => "no_challenge",
            Failure::Challenge(_) => "challenge",
            Failure::Certificate(_) | Failure::OtherNames => "certificate",
            Failure::Store(_) => "store",
            Failure::Crypto => "crypto",
        }
    }

    /// For the log: what happened, in the authority's words where it has some.
    pub(super) fn detail(&self) -> String {
        match self {
            Failure::Fetch(words, _) => words.clone(),
            Failure::Problem { detail, .. } => detail.clone(),
            Failure::Answer(words) => (*words).to_owned(),
            Failure::Broken => "the answer is not what the protocol has here".to_owned(),
            Failure::Timeout => "the authority did not come to an end in time".to_owned(),
            Failure::NoChallenge => "the authority does not offer this `challenge`".to_owned(),
            Failure::Challenge(error) => error.to_string(),
            Failure::Certificate(error) => error.to_string(),
            Failure::OtherNames => "what was issued is not for all of these names".to_owned(),
            Failure::Store(error) => error.to_string(),
            Failure::Crypto => "no key could be made".to_owned(),
        }
    }

    /// Whether the authority was asked for nothing that it counts.
    pub(super) fn is_cheap(&self) -> bool {
        match self {
            Failure::Fetch(_, _) => true,
            Failure::Problem { .. }
            | Failure::Answer(_)
            | Failure::Broken
            | Failure::Timeout
            | Failure::NoChallenge
            | Failure::Challenge(_)
            | Failure::Certificate(_)
            | Failure::OtherNames
            | Failure::Store(_)
            | Failure::Crypto => false,
        }
    }

    /// Whether the authority has had enough of us for now.
    pub(super) fn is_limit(&self) -> bool {
        self.code() == "rate_limited"
    }

    /// Whether the account that we have is none.
    pub(super) fn is_lost_account(&self) -> bool {
        self.code() == "account_does_not_exist"
    }

    pub(super) fn of_problem(problem: &Problem) -> Self {
        let kind = problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:"));
        let known = kind.and_then(|kind| PROBLEMS.iter().find(|(name, _)| *name == kind));
        let code = known.map_or("problem", |(_, code)| *code);
        let mut words = problem.detail.clone().unwrap_or_default();
        for of_name in problem.subproblems.iter().take(3) {
            words = format!("{words}; {of_name}");
        }
        Self::Problem { code, detail: legible(&words) }
    }
}

/// A stranger's words with nothing in them that a terminal or a log would obey, and bounded.
fn legible(words: &str) -> String {
    words
        .chars()
        .map(|char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
        .take(DETAIL_CHARS_MAX)
        .collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(&problem),
            Error::Timeout(_) => Self::Timeout,
            Error::Crypto | Error::KeyRejected => Self::Crypto,
            Error::Other(error) => match error.downcast::<FetchError>() {
                Ok(error) => Self::Fetch(error.to_string(), error.code()),
                Err(_) => Self::Answer("the answer is not what the protocol has here"),
            },
            Error::Json(_) => Self::Answer("the answer is not the JSON that the protocol has here"),
            Error::Str(words) | Error::Unsupported(words) => Self::Answer(words),
            // And what later versions of the library bring.
            Error::Http(_) | Error::InvalidUri(_) | _ => Self::Answer("the answer names an impossible address"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Failure {
        Failure::of_problem(&serde_json::from_str(json).expect("a problem"))
    }

    #[test]
    fn an_authority_s_words_are_told_bounded_and_by_known_names() {
        let failure =
            problem(r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\u001b[2J\nforged"}"#);
        assert_eq!((failure.code(), failure.detail().as_str()), ("rate_limited", "too many?[2J?forged"));
        let failure = problem(r#"{"type":"urn:ietf:params:acme:error:../../x","detail":null}"#);
        assert_eq!((failure.code(), failure.detail().as_str()), ("problem", ""));
        let long = format!(r#"{{"type":"about:blank","detail":"{}"}}"#, "a".repeat(5000));
        assert_eq!(problem(&long).detail().len(), DETAIL_CHARS_MAX);
        assert!(problem(r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist"}"#).is_lost_account());
    }

    #[test]
    fn what_the_wire_did_is_told_from_what_the_authority_said() {
        let failure = Failure::from(Error::Other(Box::new(FetchError::Connect)));
        assert!(failure.is_cheap() && failure.code() == "connect");
        let failure = Failure::from(Error::Other("secret words of a library".into()));
        assert!(!failure.is_cheap() && !failure.detail().contains("secret"));
    }
}
