//! The lists of revoked client certificates that authorities have issued (RFC 5280 §5): of each the newest.
//!
//! webpki takes the first list of an issuer that it finds. Where an older one stands before it, what was taken back since would hold.

use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::CertificateRevocationListDer;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::{CertificateRevocationList, FromDer, ParsedExtension};

use super::pem_blocks::{self, PemFileError};
use crate::clock::UnixSeconds;

/// One list, and what tells it from others.
#[derive(Clone, Debug)]
pub(super) struct ClientList {
    pub der: CertificateRevocationListDer<'static>,
    /// Where it stands, for operators.
    pub place: Place,
    pub scope: Scope,
    age: Age,
    /// From then on it says nothing.
    pub ends: UnixSeconds,
}

/// The file and the position of a list in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    position: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "list {} of `{}`", self.position, self.path.display())
    }
}

/// What a list is about. Of two with the same the newer one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The issuer's name as it is encoded: so it is compared.
    pub issuer: Vec<u8>,
    /// An authority that has changed its key has lists by both.
    key: Option<Vec<u8>>,
    /// The extensions that make it a list of some certificates only, or of changes. Those that webpki refuses must still reach it.
    parts: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Age {
    number: Option<BigUint>,
    begins: i64,
}

/// Why lists cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientListsError {
    #[error(transparent)]
    File(#[from] PemFileError),
    #[error("`{}` holds no list of revoked certificates in PEM (`-----BEGIN X509 CRL-----`)", .0.display())]
    NoList(PathBuf),
    #[error("{0} cannot be read")]
    Unread(Place),
    #[error("{0} does not say when the next one comes (`nextUpdate`)")]
    Endless(Place),
    #[error(
        "{0} and {1} are of the same issuer, and it cannot be said which is newer by their numbers and times: leave the older one out"
    )]
    Ageless(Place, Place),
}

/// The newest lists of the files, and the newest of all first.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<ClientList>, ClientListsError> {
    let mut newest: Vec<ClientList> = Vec::new();
    for path in paths {
        let lists: Vec<CertificateRevocationListDer<'static>> = pem_blocks::read(path)?;
        if lists.is_empty() {
            return Err(ClientListsError::NoList(path.clone()));
        }
        for (position, der) in (1..).zip(lists) {
            let list = ClientList::read(der, Place { path: path.clone(), position })?;
            match newest.iter_mut().find(|other| other.scope == list.scope) {
                None => newest.push(list),
                Some(other) if other.der == list.der => {}
                Some(other) => match list.age.is_newer_than(&other.age) {
                    Some(true) => *other = list,
                    Some(false) => {}
                    None => return Err(ClientListsError::Ageless(other.place.clone(), list.place)),
                },
            }
        }
    }
    // A certificate may be in the scope of several.
    newest.sort_by(|one, other| {
        let by_time = other.age.begins.cmp(&one.age.begins);
        by_time.then_with(|| other.age.number.cmp(&one.age.number))
    });
    Ok(newest)
}

const KEY_IDENTIFIER: &str = "2.5.29.35";
const DELTA: &str = "2.5.29.27";
const DISTRIBUTION_POINT: &str = "2.5.29.28";

impl ClientList {
    fn read(der: CertificateRevocationListDer<'static>, place: Place) -> Result<Self, ClientListsError> {
        let Ok((rest, list)) = CertificateRevocationList::from_der(&der) else {
            return Err(ClientListsError::Unread(place));
        };
        if !rest.is_empty() {
            return Err(ClientListsError::Unread(place));
        }
        let Some(ends) = list.next_update() else { return Err(ClientListsError::Endless(place)) };
        let (mut key, mut parts, mut number) = (None, Vec::new(), None);
        for extension in list.extensions() {
            if let ParsedExtension::CRLNumber(found) = extension.parsed_extension() {
                number = Some(found.clone());
            }
            match extension.oid.to_id_string().as_str() {
                KEY_IDENTIFIER => key = Some(extension.value.to_vec()),
                DELTA | DISTRIBUTION_POINT => parts.push(extension.value.to_vec()),
                _ => {}
            }
        }
        Ok(Self {
            scope: Scope { issuer: list.issuer().as_raw().to_vec(), key, parts },
            age: Age { number, begins: list.last_update().timestamp() },
            ends: UnixSeconds(ends.timestamp()),
            place,
            der,
        })
    }
}

impl Age {
    /// `None`: its number says one thing and its time another, or neither says anything. To be wrong would let in who was taken back.
    fn is_newer_than(&self, other: &Self) -> Option<bool> {
        let by_number = match (&self.number, &other.number) {
            (Some(own), Some(others)) => own.cmp(others),
            (Some(_) | None, _) => Ordering::Equal,
        };
        match (by_number, self.begins.cmp(&other.begins)) {
            (Ordering::Equal, Ordering::Equal) => None,
            (number, time) if number == time.reverse() => None,
            (number, time) => Some(number.then(time).is_gt()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint,
        CrlScope, IsCa, Issuer, KeyIdMethod, KeyPair, date_time_ymd,
    };

    use super::*;

    #[test]
    fn of_each_scope_the_newest_is_kept_and_the_newest_of_all_stands_first() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = Issuer::new(params, KeyPair::generate().expect("a key"));
        let list = |number: u64, year: i32, of_users: bool| {
            let scope = CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec!["http://crl.example/a".to_owned()] },
                scope: Some(CrlScope::UserCertsOnly),
            };
            let params = CertificateRevocationListParams {
                this_update: date_time_ymd(year, 1, 1),
                next_update: date_time_ymd(2090, 1, 1),
                crl_number: number.into(),
                issuing_distribution_point: of_users.then_some(scope),
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            params.signed_by(&issuer).expect("a list").pem().expect("pem")
        };
        let directory = tempfile::tempdir().expect("a directory");
        let paths = ["one.crl", "other.crl"].map(|name| directory.path().join(name));
        std::fs::write(&paths[0], list(1, 2020, false) + &list(7, 2021, true)).expect("written");
        std::fs::write(&paths[1], list(8, 2023, true) + &list(2, 2022, false)).expect("written");
        let kept: Vec<_> = load(&paths).expect("loaded").iter().map(|list| list.place.to_string()).collect();
        let named = |position: usize| format!("list {position} of `{}`", paths[1].display());
        assert_eq!(kept, [named(1), named(2)]);
        std::fs::write(&paths[1], list(8, 2019, true)).expect("written");
        let error = load(&paths).expect_err("an older list with a higher number").to_string();
        assert!(error.contains("cannot be said which is newer"), "{error}");
    }

    #[track_caller]
    fn check(own: (Option<u32>, i64), other: (Option<u32>, i64), expected: Option<bool>) {
        let age = |(number, begins): (Option<u32>, i64)| Age { number: number.map(BigUint::from), begins };
        assert_eq!(age(own).is_newer_than(&age(other)), expected, "{own:?} {other:?}");
        assert_eq!(age(other).is_newer_than(&age(own)), expected.map(|is_newer| !is_newer), "{other:?} {own:?}");
    }

    #[test]
    fn the_number_says_which_list_is_newer_or_else_the_time() {
        check((Some(2), 20), (Some(1), 10), Some(true));
        check((Some(2), 10), (Some(1), 10), Some(true));
        check((Some(1), 20), (Some(1), 10), Some(true));
        check((None, 20), (None, 10), Some(true));
        check((Some(1), 20), (None, 10), Some(true));
        check((Some(300), 20), (Some(1), 10), Some(true));
        // One number twice at one time, or numbers that run against time.
        check((Some(1), 10), (Some(1), 10), None);
        check((None, 10), (None, 10), None);
        check((Some(2), 10), (Some(1), 20), None);
    }
}
