//! The grades of the process's own listeners: asked for before they come into force, and looked at from then on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::StartError;
use crate::admin::AdminState;
use crate::clock;
use crate::edge::certificates::Certificates;
use crate::edge::tls::ReloadableTls;
use crate::epoch::Epochs;
use crate::observe::GradeReading;
use crate::policy::{self, ClientCertificates, Demand, TlsGrade};
use crate::survey::{Authorities, Graded, Shown, grade, of_configuration, shake_hands_with_self};

/// From one look to the next, where nothing changes: what time alone does is to end certificates.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Whether a listener with these certificates may come into force. Trust does not count: nobody believes certificates for development, and
/// who believes the others is not for this machine to say.
pub(super) fn admit(name: &str, certificates: &Certificates, gateway: &policy::Gateway) -> Result<(), StartError> {
    let graded = of(certificates, gateway);
    if graded.letter >= gateway.tls_floor {
        return Ok(());
    }
    let lowering = graded.findings.iter().filter(|finding| finding.lowers()).map(ToString::to_string).collect();
    Err(StartError::Grade { name: name.to_owned(), grade: graded.letter, floor: gateway.tls_floor, lowering })
}

/// One line for each thing that lowers the grade.
pub(super) fn lines(name: &str, grade: TlsGrade, floor: TlsGrade, lowering: &[String]) -> String {
    let (grade, floor) = (grade.as_str(), floor.as_str());
    let line =
        |finding: &String| format!("listener `{name}`: TLS would be {grade}, and `tls_floor` is {floor}: {finding}");
    lowering.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn of(certificates: &Certificates, gateway: &policy::Gateway) -> Graded {
    grade(&of_configuration(certificates, &gateway.hsts, &Authorities::Unasked, clock::now_seconds().0))
}

/// One listener and where it listens.
pub(super) struct Watched {
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ReloadableTls>,
}

/// Looks at the grades and tells of them.
pub(super) struct Grades {
    epochs: Arc<Epochs>,
    state: Arc<AdminState>,
    listeners: Vec<Watched>,
    /// From one look to the next.
    every: Duration,
    /// By listener, what was told last.
    told: HashMap<Arc<str>, GradeReading>,
}

impl Grades {
    /// Has looked at nothing yet.
    pub(super) fn new(epochs: &Arc<Epochs>, state: &Arc<AdminState>, listeners: Vec<Watched>) -> Self {
        let (epochs, state) = (Arc::clone(epochs), Arc::clone(state));
        Self { epochs, state, listeners, every: EVERY, told: HashMap::new() }
    }

    /// Looks from time to time, and after each reload, which is told by `reloaded`.
    pub(super) async fn run(mut self, mut reloaded: watch::Receiver<()>) {
        let mut seen = self.epochs.current();
        let mut due = Instant::now() + self.every;
        loop {
            tokio::select! {
                // A moment, and no span that begins anew whenever something is told: mostly that is nothing, and often.
                () = sleep_until(due) => {}
                changed = reloaded.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Most events of the file system change nothing.
                    let current = self.epochs.current();
                    if Arc::ptr_eq(&current, &seen) {
                        continue;
                    }
                    seen = current;
                }
            }
            self.look().await;
            due = Instant::now() + self.every;
        }
    }

    /// Looks once: at what is in force, and by a handshake with ourselves.
    pub(super) async fn look(&mut self) {
        let epoch = self.epochs.current();
        let mut readings = Vec::new();
        for Watched { name, address, tls } in &self.listeners {
            let certificates = tls.certificates();
            let graded = of(&certificates, &epoch.gateway);
            let settings = epoch.gateway.listener(name);
            let handshake = match settings {
                Some(settings) if !lets_itself_in(settings) => "not_asked",
                Some(_) | None => match shake_hands_with_self(*address, &certificates).await {
                    Ok(()) => "ok",
                    Err(error) => error.code(),
                },
            };
            let lowering = graded.findings.iter().filter(|finding| finding.lowers());
            let reading = GradeReading {
                listener: name.to_string(),
                grade: graded.shown.as_str(),
                number: match graded.shown {
                    Shown::Letter(letter) => letter.number(),
                    Shown::Untrusted | Shown::Mismatch => 0,
                },
                findings: lowering.map(|finding| finding.code).collect(),
                handshake,
            };
            tell(&reading, self.told.get(name), &graded, epoch.gateway.tls_floor);
            self.told.insert(Arc::clone(name), reading.clone());
            readings.push(reading);
        }
        self.state.grades(readings);
    }
}

/// Whether we could be a client of this listener: not where a balancer must say who connects, nor where clients need certificates.
fn lets_itself_in(listener: &policy::Listener) -> bool {
    let asks = match &listener.tls.client_certificates {
        ClientCertificates::Asked { demand, .. } => *demand == Demand::Required,
        ClientCertificates::Off => false,
    };
    listener.proxy_protocol.is_none() && !asks
}

/// In the log, where it is other than before.
fn tell(reading: &GradeReading, before: Option<&GradeReading>, graded: &Graded, floor: TlsGrade) {
    let listener = &reading.listener;
    let was = before.map(|before| before.grade);
    if was != Some(reading.grade) {
        let has_fallen = before.is_some_and(|before| before.number > reading.number);
        let is_below = reading.number < floor.number();
        if has_fallen || is_below {
            tracing::warn!(listener, grade = reading.grade, was, "tls_grade_fell");
            for finding in graded.findings.iter().filter(|finding| finding.lowers()) {
                tracing::warn!(listener, finding = finding.code, "tls_finding: {}: {}", finding.told, finding.remedy);
            }
        } else {
            tracing::info!(listener, grade = reading.grade, was, "tls_grade");
        }
    }
    if !matches!(reading.handshake, "ok" | "not_asked")
        && before.map(|before| before.handshake) != Some(reading.handshake)
    {
        tracing::warn!(
            listener,
            reason = reading.handshake,
            "tls_self_check: a handshake with ourselves says otherwise"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::time::sleep;

    use super::*;
    use crate::audit::{Recorder, SubjectKey};
    use crate::clock::UnixSeconds;
    use crate::edge::certificates::Certificate;
    use crate::edge::dev_certificates::make_dev;
    use crate::observe::Metrics;
    use crate::policy::{AuditSettings, CertificateSource};

    /// As they were loaded so many days ago, for 90 days.
    fn certificates(days_ago: i64) -> Certificates {
        let then = UnixSeconds(clock::now_seconds().0 - days_ago * 86_400);
        let made = make_dev(&[], then).expect("certificates");
        let source = CertificateSource { certificate: "a.pem".into(), key: "a.key".into() };
        let read = Certificate::read(&source, made.chain_pem.as_bytes(), made.key_pem.as_bytes(), then);
        Certificates::new(vec![read.expect("a certificate")]).expect("one")
    }

    fn epochs(policies: &Path, metrics: &Arc<Metrics>) -> Arc<Epochs> {
        let gateway = "[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\ncertificates = [{ certificate = \"a.pem\", key = \"a.key\" }]\n[upstreams.attributes]\nurl = \"http://127.0.0.1:9\"\n";
        std::fs::write(policies.join("gateway.toml"), gateway).expect("written");
        let workspace = "profile = \"json\"\nupstream = \"attributes\"\nmode = \"off\"\ntrusted_domains = []\nmissing_origin = \"allow\"\n[identity]\nrequire = \"never\"\n[[routes]]\npath = \"/users\"\nmethods = [\"PATCH\"]\nattributes = \"\"\n";
        std::fs::create_dir(policies.join("workspaces")).expect("made");
        std::fs::write(policies.join("workspaces/acme.toml"), workspace).expect("written");
        Arc::new(Epochs::start(policies, metrics).unwrap_or_else(|error| panic!("{error}")))
    }

    #[tokio::test]
    async fn what_time_alone_does_is_seen_at_the_next_look() {
        let directory = tempfile::tempdir().expect("a directory");
        let metrics = Metrics::new();
        let settings = AuditSettings {
            file: Some(directory.path().join("audit.jsonl")),
            rotate_bytes: 1 << 20,
            keep: 1,
            queue_records_max: 10,
            subject_key: None,
        };
        let (recorder, _task) = Recorder::start(&settings, SubjectKey::random().expect("a key")).expect("a record");
        let tls = Arc::new(ReloadableTls::new(certificates(0)).expect("TLS"));
        // Nobody listens there: that is told, and does not keep it from grading.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut grades = Grades {
            epochs: epochs(directory.path(), &metrics),
            state: AdminState::new(Arc::clone(&metrics), recorder, clock::now()),
            listeners: vec![Watched { name: "public".into(), address: nowhere, tls: Arc::clone(&tls) }],
            every: Duration::from_millis(100),
            told: HashMap::new(),
        };
        grades.look().await;
        assert!(metrics.encode().contains(r#"countersign_tls_grade{listener="public",grade="A+"} 7"#));
        assert_eq!(grades.told["public"].handshake, "unreachable");
        let (reloaded, reloads) = watch::channel(());
        let running = tokio::spawn(grades.run(reloads));
        tls.replace(certificates(91)).expect("TLS");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !metrics.encode().contains(r#"countersign_tls_grade{listener="public",grade="T"} 0"#) {
            assert!(Instant::now() < deadline, "{}", metrics.encode());
            // What is told all the time, and changes nothing, puts no look off.
            reloaded.send_replace(());
            sleep(Duration::from_millis(10)).await;
        }
        running.abort();
    }

    #[test]
    fn each_thing_that_lowers_the_grade_is_a_line() {
        let told = lines("public", TlsGrade::B, TlsGrade::A, &["one".to_owned(), "another".to_owned()]);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "listener `public`: TLS would be B, and `tls_floor` is A: one");
        assert_eq!(lines.len(), 2);
    }
}
