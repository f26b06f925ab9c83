//! One order, from its names to the file in the store (RFC 8555 §7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Office;
use super::failure::Failure;
use super::held::{Held, covers, source};
use crate::clock;
use crate::edge::certificates::Certificate;
use crate::edge::challenges::{Challenges, OpenChallenge};
use crate::policy::{AcmeChallenge, OrderedCertificate};

/// For one order as a whole; an authority that takes longer is asked again later.
const ORDER_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// How often, and for how long, an order is looked at while the authority does its part.
const LOOKS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(2 * 60));

/// All that one order needs.
pub(super) struct Renewal {
    pub(super) office: Arc<Office>,
    pub(super) order: OrderedCertificate,
    pub(super) challenges: Arc<Challenges>,
    /// The certificate that this one takes the place of, where the authority gave advice on it (RFC 9773 §5).
    pub(super) replaced: Option<CertificateIdentifier<'static>>,
}

/// Orders, and gives what is in the store then.
pub(super) async fn within_deadline(renewal: Renewal) -> Result<Held, Failure> {
    timeout(ORDER_DEADLINE, renewal.run()).await.map_err(|_| Failure::Timeout)?
}

impl Renewal {
    async fn run(&self) -> Result<Held, Failure> {
        let Office { authority, store, .. } = &*self.office;
        let mut account = authority.account(store).await?;
        let mut order = match self.begin(&account).await {
            Err(failure) if failure.is_lost_account() => {
                account = authority.new_account(store).await?;
                self.begin(&account).await?
            }
            begun => begun?,
        };
        // Kept until the authority has looked.
        let open = self.answer_challenges(&mut order).await?;
        if order.state().status == OrderStatus::Pending || !open.is_empty() {
            let status = order.poll_ready(&LOOKS).await?;
            if status == OrderStatus::Invalid {
                return Err(why_invalid(&mut order).await);
            }
        }
        drop(open);
        let key = KeyPair::generate().map_err(|_| Failure::Crypto)?;
        // Our names, whatever the authority says that we want.
        let mut params = CertificateParams::new(self.order.names.clone()).map_err(|_| Failure::Crypto)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(|_| Failure::Crypto)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&LOOKS).await?;
        self.keep(&chain, &key)
    }

    /// The order itself. Where the authority does not take it as a renewal it is a new one.
    async fn begin(&self, account: &Account) -> Result<Order, Failure> {
        let identifiers: Vec<Identifier> = self.order.names.iter().cloned().map(Identifier::Dns).collect();
        let mut wanted = NewOrder::new(&identifiers);
        if let Some(profile) = self.office.authority.profile() {
            wanted = wanted.profile(profile);
        }
        if let Some(replaced) = &self.replaced {
            let mut renewal = NewOrder::new(&identifiers).replaces(replaced.clone());
            if let Some(profile) = self.office.authority.profile() {
                renewal = renewal.profile(profile);
            }
            match account.new_order(&renewal).await.map_err(Failure::from) {
                Ok(order) => return Ok(order),
                Err(failure) if failure.is_cheap() || failure.is_lost_account() || failure.is_limit() => {
                    return Err(failure);
                }
                Err(failure) => {
                    tracing::info!(reason = failure.code(), "acme_not_a_renewal: ordered as a new certificate");
                }
            }
        }
        Ok(account.new_order(&wanted).await?)
    }

    /// Puts up what the authority looks for, and says so. None where it knows already that the names are ours.
    async fn answer_challenges(&self, order: &mut Order) -> Result<Vec<OpenChallenge>, Failure> {
        const FOREIGN: Failure = Failure::Answer("the authority asks about names that were not ordered");
        if order.state().authorizations.len() > self.order.names.len() {
            return Err(FOREIGN);
        }
        let kind = self.office.authority.challenge();
        let mut open = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated => {
                    return Err(Failure::Answer("the authority has settled already that a name is not ours"));
                }
            }
            let of = authorization.identifier().to_string();
            // Whatever it is shown must be about a name of this order, or an authority could have us vouch for any.
            let name = self.order.names.iter().find(|name| **name == of).ok_or(FOREIGN)?;
            let wanted = match kind {
                AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
                AcmeChallenge::Http01 => ChallengeType::Http01,
            };
            let mut challenge = authorization.challenge(wanted).ok_or(Failure::NoChallenge)?;
            let proof = challenge.key_authorization();
            let put = match kind {
                AcmeChallenge::TlsAlpn01 => {
                    let digest: [u8; 32] = proof.digest().as_ref().try_into().map_err(|_| Failure::Crypto)?;
                    self.challenges.show(name, &digest)
                }
                AcmeChallenge::Http01 => self.challenges.tell(name, &challenge.token, proof.as_str()),
            };
            open.push(put.map_err(Failure::Challenge)?);
            challenge.set_ready().await?;
        }
        Ok(open)
    }

    /// Puts chain and key into the store, provided that they can be shown for every name.
    fn keep(&self, chain: &str, key: &KeyPair) -> Result<Held, Failure> {
        let key = Zeroizing::new(key.serialize_pem());
        let now = clock::now_seconds();
        let certificate = Certificate::read(&source(&self.order), chain.as_bytes(), key.as_bytes(), now)
            .map_err(Failure::Certificate)?;
        if !covers(&certificate, &self.order) {
            return Err(Failure::OtherNames);
        }
        let mut text = Zeroizing::new(Vec::with_capacity(chain.len() + key.len() + 1));
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(chain.as_bytes());
        self.office.store.keep_certificate(&self.order.file, &text)?;
        Held::read(&self.order, now).map_err(|_| Failure::OtherNames)
    }
}

/// Why the authority has come to a no: what it says of the first challenge that failed.
async fn why_invalid(order: &mut Order) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            break;
        }
        let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            return Failure::of_problem(problem);
        }
    }
    Failure::Answer("the authority found the names not to be ours, and does not say why")
}
