//! The authority: its address, how it is asked within limits, and our account with it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, CertificateIdentifier, Error, ExternalAccountKey,
    HttpClient, NewAccount,
};
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::schedule::Span;
use super::store::Store;
use crate::clock;
use crate::edge::regular_file::{self, PEM_BYTES_MAX};
use crate::epoch::{SecretError, fetch_secret};
use crate::policy::{AcmeChallenge, AcmePolicy};
use crate::upstream::{CallLimits, Caller, FetcherError, SystemRoots};

/// One answer of an authority: chains of certificates are the longest of them.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// For name, TCP and TLS of one request, and for all of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// What an authority may ask us to wait, in seconds: longer waits are this long.
const RETRY_AFTER_MAX: u64 = 24 * 60 * 60;

/// How long advice on a renewal holds that does not say how long (RFC 9773 §4.3.2).
const ADVICE_HOLDS: &str = "21600";

/// Why an authority cannot be asked as the policy says.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("`acme.ca`: cannot read `{}`: {source}", path.display())]
    Ca { path: PathBuf, source: io::Error },
    #[error("`acme.directory`: {0}")]
    Fetcher(#[from] FetcherError),
    #[error("`acme.eab.secret`: {0}")]
    Secret(#[from] SecretError),
    #[error("`acme.eab.secret`: expected base64url, as the authority gives it")]
    SecretCoding,
}

/// One authority, and how to ask it.
pub(super) struct Authority {
    policy: AcmePolicy,
    wire: Wire,
    external_key: Option<SecretSlice<u8>>,
    /// Of all that was read from files, since others may have taken their places.
    contents: Vec<u8>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("directory", &self.policy.directory.as_str()).finish_non_exhaustive()
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        (&self.policy, &self.contents) == (&other.policy, &other.contents)
    }
}

/// The one field of an account's file that is ours to look at.
#[derive(Deserialize)]
struct OfDirectory {
    directory: String,
}

impl Authority {
    /// Reads what the policy names, and connects to nothing.
    pub(super) fn new(policy: &AcmePolicy) -> Result<Self, AuthorityError> {
        let ca = match &policy.ca {
            Some(path) => {
                let read = regular_file::read(path, PEM_BYTES_MAX);
                Some(read.map_err(|source| AuthorityError::Ca { path: path.clone(), source })?)
            }
            None => None,
        };
        let limits = CallLimits {
            connect_timeout: CONNECT_TIMEOUT,
            deadline: CALL_DEADLINE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let caller = Caller::new(&policy.directory, ca.as_deref(), &SystemRoots::default(), limits)?;
        let external_key = match &policy.external_account {
            Some(account) => {
                let text = fetch_secret(&account.secret)?;
                let text = text.expose_secret().trim_ascii();
                let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
                let key = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| AuthorityError::SecretCoding)?;
                let key = Zeroizing::new(key);
                Some(SecretBox::new(key.as_slice().into()))
            }
            None => None,
        };
        let mut contents = digest::Context::new(&digest::SHA256);
        contents.update(ca.as_deref().unwrap_or_default());
        contents.update(external_key.as_ref().map_or(&[][..], |key| key.expose_secret()));
        let contents = contents.finish().as_ref().to_vec();
        let wire = Wire { caller: Arc::new(caller), held_until: Arc::default() };
        Ok(Self { policy: policy.clone(), wire, external_key, contents })
    }

    pub(super) fn challenge(&self) -> AcmeChallenge {
        self.policy.challenge
    }

    pub(super) fn profile(&self) -> Option<&str> {
        self.policy.profile.as_deref()
    }

    /// Until when the authority has asked us to wait, the last time it did; seconds since 1970.
    pub(super) fn held_until(&self) -> Option<i64> {
        Some(self.wire.held_until.load(Ordering::Relaxed)).filter(|until| *until > 0)
    }

    /// Our account: that of the store, or a new one that is in the store from then on.
    #[expect(clippy::disallowed_methods, reason = "our own file, which nobody else can write")]
    pub(super) async fn account(&self, store: &Store) -> Result<Account, Failure> {
        if let Some(text) = store.account()? {
            let directory: Result<OfDirectory, _> = serde_json::from_slice(&text);
            if directory.is_ok_and(|of| of.directory == self.policy.directory.as_str()) {
                let credentials: AccountCredentials = serde_json::from_slice(&text)
                    .map_err(|_| Failure::Answer("the account in the store cannot be read"))?;
                return Ok(self.builder().from_credentials(credentials).await?);
            }
        }
        self.new_account(store).await
    }

    /// A new account, which is in the store from then on in the place of any other.
    pub(super) async fn new_account(&self, store: &Store) -> Result<Account, Failure> {
        let contact: Vec<&str> = self.policy.contact.iter().map(String::as_str).collect();
        let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = match (&self.policy.external_account, &self.external_key) {
            (Some(account), Some(key)) => Some(ExternalAccountKey::new(account.key_id.clone(), key.expose_secret())),
            (Some(_), None) | (None, _) => None,
        };
        let directory = self.policy.directory.as_str().to_owned();
        let (account, credentials) = self.builder().create(&wanted, directory, external.as_ref()).await?;
        let text = serde_json::to_vec(&credentials).map(Zeroizing::new);
        store.keep_account(&text.map_err(|_| Failure::Crypto)?)?;
        tracing::info!(directory = self.policy.directory.as_str(), "acme_account_created");
        Ok(account)
    }

    /// When the authority would have this certificate renewed (ARI, RFC 9773), and for how long that holds. `None`: it gives no advice.
    pub(super) async fn renewal_window(
        &self,
        store: &Store,
        id: Option<CertificateIdentifier<'static>>,
    ) -> Result<Option<(Span, Duration)>, Failure> {
        let Some(id) = id else { return Ok(None) };
        // Who has no account has ordered nothing there.
        if store.account()?.is_none() {
            return Ok(None);
        }
        let account = self.account(store).await?;
        match account.renewal_info(&id).await {
            Ok((info, holds)) => {
                let window = info.suggested_window;
                let window = Span { begins: window.start.unix_timestamp(), ends: window.end.unix_timestamp() };
                Ok(Some((window, holds)))
            }
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn builder(&self) -> instant_acme::AccountBuilder {
        Account::builder_with_http(Box::new(self.wire.clone()))
    }
}

/// How the library asks: over our TLS, within our limits.
#[derive(Clone)]
struct Wire {
    caller: Arc<Caller>,
    held_until: Arc<AtomicI64>,
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let is_get = parts.method == Method::GET;
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let answer = wire.caller.call(Request::from_parts(parts, body)).await;
            let (mut parts, body) = answer.map_err(|error| Error::Other(Box::new(error)))?.into_parts();
            if is_get && has_impossible_nonce_address(&body) {
                return Err(Error::Str("the directory names an impossible address"));
            }
            let wait = bounded_wait(parts.headers.get(RETRY_AFTER));
            if let (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(Wait::Seconds(wait))) =
                (parts.status, wait)
            {
                let until = clock::now_seconds().0.saturating_add(i64::try_from(wait).unwrap_or(0));
                wire.held_until.store(until, Ordering::Relaxed);
            }
            match wait {
                // The library adds it to the time, and a sum beyond all time ends the process.
                Some(Wait::Seconds(wait)) => drop(parts.headers.insert(RETRY_AFTER, HeaderValue::from(wait))),
                Some(Wait::Date) => {}
                // Only advice is got without a signature, and the library takes none that does not say how long it holds.
                None if is_get => {
                    drop(parts.headers.insert(RETRY_AFTER, HeaderValue::from_static(ADVICE_HOLDS)));
                }
                None => drop(parts.headers.remove(RETRY_AFTER)),
            }
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

/// The library takes the address of nonces as it comes and breaks off where it is none; the others it looks at.
#[expect(clippy::disallowed_methods, reason = "serde refuses a field of a struct that comes twice")]
fn has_impossible_nonce_address(answer: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Nonces {
        new_nonce: String,
    }
    serde_json::from_slice::<Nonces>(answer).is_ok_and(|nonces| nonces.new_nonce.parse::<http::Uri>().is_err())
}

/// What `Retry-After` says (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Seconds(u64),
    Date,
}

fn bounded_wait(value: Option<&HeaderValue>) -> Option<Wait> {
    let text = value?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Wait::Seconds(text.parse().unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX)));
    }
    // A date that is none is none to the library either.
    text.ends_with("GMT").then_some(Wait::Date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_authority_asks_us_to_wait_is_bounded() {
        let wait = |text: &'static str| bounded_wait(Some(&HeaderValue::from_static(text)));
        assert_eq!(wait("0"), Some(Wait::Seconds(0)));
        assert_eq!(wait(" 30 "), Some(Wait::Seconds(30)));
        for long in ["86401", "18446744073709551615", "99999999999999999999999999"] {
            assert_eq!(wait(long), Some(Wait::Seconds(RETRY_AFTER_MAX)), "{long}");
        }
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(Wait::Date));
        for none in ["", "-1", "+1", "1.5", "soon", "1 day"] {
            assert_eq!(wait(none), None, "{none}");
        }
        assert_eq!(bounded_wait(None), None);
    }
}
