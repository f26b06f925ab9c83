//! The asking: which hellos, in which order, until it is known what a server takes.
//!
//! Of each version the server is offered all suites that it has not chosen yet, until it refuses: what it chooses, in the order in which it
//! does, is its list. Groups go the same way. That costs as many connections as it takes suites and groups, and some more.

use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::certificate::{self, Authorities};
use super::client::{self, Connecting, LookError};
use super::facts::{Facts, GROUPS, Group, HstsFacts, Offer, Version};
use super::hello::Hello;
use super::probe::{self, Reply};
use super::suites::{Agreement, Suite};

/// Questions to one server. One that takes every suite in every version needs half of them.
const QUESTIONS_MAX: usize = 1_500;

/// For all of it. Who answers slowly enough that it does not suffice is told of with what is known.
const SURVEY_SECONDS_MAX: u64 = 180;

/// Suites in one hello. Some servers give up on longer lists.
const SUITES_MAX: usize = 100;

/// Who closes without a word may have refused the suites, or only be busy: it is asked again, after these.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// `inappropriate_fallback` (RFC 7507 §3).
const INAPPROPRIATE_FALLBACK: u8 = 86;

/// How to look at a server.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub connecting: Connecting<'a>,
    /// Where to connect to instead of the name's address.
    pub address: Option<SocketAddr>,
    /// The name to ask for, where it is another than the host.
    pub server_name: &'a str,
    pub authorities: &'a Authorities,
    /// For each question.
    pub timeout: Duration,
    /// Unix seconds.
    pub now: i64,
}

/// Why there is nothing to grade.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("`{0}` has no address")]
    Name(String),
    #[error("nobody answers on {0}")]
    Unreachable(SocketAddr),
    #[error("{0} does not speak TLS")]
    NoTls(SocketAddr),
    #[error("no answer from {0} within {1:?}")]
    Silent(SocketAddr, Duration),
    #[error("the system has no random numbers")]
    Random,
}

/// Finds out what a server shows.
///
/// # Errors
///
/// It cannot be reached, or speaks no TLS at all.
pub async fn ask(asked: &Asked<'_>) -> Result<(SocketAddr, Facts), SurveyError> {
    let address = match asked.address {
        Some(address) => address,
        None => reachable(asked).await?,
    };
    let server_name = Some(asked.server_name).filter(|name| name.parse::<std::net::IpAddr>().is_err());
    let mut random = [0; 64];
    rand::fill(&mut random).map_err(|_| SurveyError::Random)?;
    let asking = Asking {
        address,
        server_name,
        timeout: asked.timeout,
        random,
        deadline: Instant::now() + Duration::from_secs(SURVEY_SECONDS_MAX),
        questions: AtomicUsize::new(0),
        unanswered: AtomicUsize::new(0),
        sends_alerts: AtomicBool::new(false),
    };
    // The first question decides whether there is anybody.
    let first: Vec<u16> = Suite::of_tls13().map(|suite| suite.id).collect();
    match asking.question(Version::Tls13, &first, &all_groups(), false).await {
        Reply::Unreachable => return Err(SurveyError::Unreachable(address)),
        Reply::Garbage => return Err(SurveyError::NoTls(address)),
        Reply::Silent => return Err(SurveyError::Silent(address, asked.timeout)),
        Reply::Chosen(_) | Reply::Refused(_) | Reply::Closed => {}
    }
    // All versions at once, the newest first.
    let versions = Version::ALL.into_iter().rev().map(|version| asking.version(version));
    let found: Vec<Found> = join_all(versions).await.into_iter().flatten().collect();
    let groups = asking.groups(&found).await;
    let refuses_fallback = asking.fallback(&found).await;
    let look = client::look(address, asked.server_name, asked.connecting.port, asked.timeout).await.ok();
    let answers = || found.iter().flat_map(|found| &found.answers);
    let mut chains: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for chain in answers().map(|answer| &answer.chain).chain(look.iter().map(|look| &look.chain)) {
        if let Some(first) = chain.first() {
            chains.entry(first.clone()).or_insert_with(|| chain.clone());
        }
    }
    let certificates = chains
        .values()
        .filter_map(|chain| certificate::read(chain, Some(asked.server_name), asked.authorities, asked.now))
        .collect();
    let earlier = || answers().filter(|answer| answer.version < Version::Tls13.number());
    let facts = Facts {
        groups,
        dh_bits: answers().filter_map(|answer| answer.dh_bits).min(),
        compresses: Some(answers().any(|answer| answer.compresses)),
        renegotiates_safely: earlier().next().map(|_| earlier().all(|answer| answer.renegotiates_safely)),
        refuses_fallback,
        staples: earlier().next().map(|_| earlier().any(|answer| answer.staples)),
        alpn: client::alpn(address, asked.server_name, asked.timeout).await,
        certificates,
        hsts: look.map_or(HstsFacts::Unknown, |look| look.hsts),
        at: asked.now,
        unanswered: asking.unanswered.load(Ordering::Relaxed),
        offers: found.into_iter().map(|found| found.offer).collect(),
    };
    Ok((address, facts))
}

/// The first of the name's addresses on which somebody listens.
async fn reachable(asked: &Asked<'_>) -> Result<SocketAddr, SurveyError> {
    let name = || SurveyError::Name(asked.connecting.host.to_owned());
    let addresses = asked.connecting.addresses(asked.timeout).await.map_err(|error| match error {
        LookError::Name | LookError::Connect | LookError::Timeout | LookError::Tls => name(),
    })?;
    for address in &addresses {
        let connected = tokio::time::timeout(asked.timeout, tokio::net::TcpStream::connect(address)).await;
        if let Ok(Ok(_)) = connected {
            return Ok(*address);
        }
    }
    addresses.first().map_or_else(|| Err(name()), |address| Err(SurveyError::Unreachable(*address)))
}

fn all_groups() -> Vec<u16> {
    GROUPS.iter().map(|group| group.id).collect()
}

/// One version that is accepted, with everything that was said on the way.
struct Found {
    offer: Offer,
    answers: Vec<Answer>,
}

/// One server that is being asked.
struct Asking<'a> {
    address: SocketAddr,
    server_name: Option<&'a str>,
    timeout: Duration,
    random: [u8; 64],
    deadline: Instant,
    questions: AtomicUsize,
    unanswered: AtomicUsize,
    /// Whether it has refused something with an alert.
    sends_alerts: AtomicBool,
}

impl Asking<'_> {
    async fn question(&self, version: Version, suites: &[u16], groups: &[u16], is_fallback: bool) -> Reply {
        let hello = Hello { version, suites, groups, server_name: self.server_name, is_fallback, random: self.random };
        let hello = hello.to_bytes();
        let mut reply = Reply::Closed;
        for pause in std::iter::once(Duration::ZERO).chain(AGAIN_AFTER) {
            let asked = self.questions.fetch_add(1, Ordering::Relaxed);
            if asked >= QUESTIONS_MAX || Instant::now() >= self.deadline {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                return Reply::Silent;
            }
            sleep(pause).await;
            reply = probe::ask(self.address, &hello, self.timeout).await;
            match &reply {
                Reply::Closed => {}
                Reply::Silent | Reply::Unreachable => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Reply::Refused(_) => {
                    self.sends_alerts.store(true, Ordering::Relaxed);
                    break;
                }
                Reply::Chosen(_) | Reply::Garbage => break,
            }
        }
        // Who says so where it refuses, and here says nothing, has refused us and not the suites.
        if matches!(reply, Reply::Closed) && self.sends_alerts.load(Ordering::Relaxed) {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        reply
    }

    /// What is chosen of an offer; `None` where it is refused, or something is chosen that was not offered.
    async fn choice(&self, version: Version, suites: &[u16], groups: &[u16]) -> Option<Answer> {
        if suites.is_empty() {
            return None;
        }
        match self.question(version, suites, groups, false).await {
            Reply::Chosen(answer) => {
                Some(answer).filter(|answer| answer.version == version.number() && suites.contains(&answer.suite))
            }
            Reply::Refused(_) | Reply::Closed | Reply::Silent | Reply::Unreachable | Reply::Garbage => None,
        }
    }

    /// All that is taken of one version.
    async fn version(&self, version: Version) -> Option<Found> {
        let groups = all_groups();
        let known: Vec<u16> = if version == Version::Tls13 {
            Suite::of_tls13().map(|suite| suite.id).collect()
        } else {
            Suite::of_earlier().map(|suite| suite.id).collect()
        };
        let mut answers: Vec<Answer> = Vec::new();
        for part in known.chunks(SUITES_MAX) {
            let mut left = part.to_vec();
            while let Some(answer) = self.choice(version, &left, &groups).await {
                left.retain(|suite| *suite != answer.suite);
                answers.push(answer);
            }
        }
        // Of several parts each has its own first; all chosen ones together have one.
        let mut left: Vec<u16> = answers.iter().map(|answer| answer.suite).collect();
        let mut order = Vec::new();
        if known.len() > SUITES_MAX && left.len() > 1 {
            while let Some(answer) = self.choice(version, &left, &groups).await {
                left.retain(|suite| *suite != answer.suite);
                order.push(answer.suite);
            }
        } else {
            order = left;
        }
        let suites: Vec<Suite> = order.into_iter().filter_map(Suite::of).collect();
        if suites.is_empty() {
            return None;
        }
        let server_prefers = self.server_prefers(version, &suites).await;
        Some(Found { offer: Offer { version, suites, server_prefers }, answers })
    }

    /// Whether it chooses the same, whichever of two comes first.
    async fn server_prefers(&self, version: Version, suites: &[Suite]) -> Option<bool> {
        let [first, second, ..] = suites else { return None };
        let groups = all_groups();
        let one = self.choice(version, &[first.id, second.id], &groups).await?;
        let other = self.choice(version, &[second.id, first.id], &groups).await?;
        Some(one.suite == other.suite)
    }

    /// The groups, by the newest version and by the newest below it.
    async fn groups(&self, found: &[Found]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for is_tls13 in [true, false] {
            let of_kind = |found: &&Found| (found.offer.version == Version::Tls13) == is_tls13;
            let Some(newest) = found.iter().find(of_kind) else { continue };
            let ecdhe = newest.offer.suites.iter().filter(|suite| suite.agreement() == Agreement::Ecdhe);
            let suites: Vec<u16> = ecdhe.map(|suite| suite.id).collect();
            let mut left = all_groups();
            while let Some(answer) = self.choice(newest.offer.version, &suites, &left).await {
                // Without a group that was offered there is no next question.
                let Some(number) = answer.group.filter(|number| left.contains(number)) else { break };
                left.retain(|group| *group != number);
                groups.extend(Group::of(number).filter(|group| !groups.contains(group)));
            }
        }
        groups
    }

    /// Whether a second try with an older version is refused. With TLS 1.2 and 1.3 alone there is another protection (RFC 8446 §4.1.3).
    async fn fallback(&self, found: &[Found]) -> Option<bool> {
        let older = found.iter().map(|found| &found.offer).find(|offer| offer.version < Version::Tls12)?;
        if found.first().is_none_or(|newest| newest.offer.version == older.version) {
            return None;
        }
        let suites: Vec<u16> = older.suites.iter().map(|suite| suite.id).collect();
        Some(match self.question(older.version, &suites, &all_groups(), true).await {
            Reply::Refused(INAPPROPRIATE_FALLBACK) => true,
            Reply::Chosen(_) => false,
            Reply::Refused(_) | Reply::Closed | Reply::Silent | Reply::Unreachable | Reply::Garbage => return None,
        })
    }
}
