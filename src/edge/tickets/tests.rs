use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// The first second of a window.
const NOW: UnixSeconds = UnixSeconds(80_000 * WINDOW_SECONDS);

const SESSION: &[u8] = b"a session";

fn binding(listener: &str, certificates: &[&[u8]], clients: &[u8]) -> Binding {
    Binding::new(listener, certificates.iter().copied(), clients)
}

fn any_binding() -> Binding {
    binding("public", &[b"certificate"], b"")
}

/// A file of secrets, each told by a number.
fn file(secrets: &[u8]) -> tempfile::NamedTempFile {
    let lines = secrets.iter().map(|secret| format!("{}\n", STANDARD.encode([*secret; SECRET_BYTES])));
    written(&lines.collect::<String>(), 0o600)
}

fn written(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("written");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("mode set");
    file
}

fn shared(secrets: &[u8], binding: Binding) -> Ticketer {
    Ticketer::new(TicketSecrets::load(file(secrets).path()).expect("secrets"), binding)
}

fn later(seconds: i64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

#[track_caller]
fn check_opens(sealer: &Ticketer, opener: &Ticketer, opens: bool) {
    let ticket = sealer.seal(SESSION, NOW).expect("sealed");
    assert_eq!(opener.open(&ticket, NOW).as_deref(), opens.then_some(SESSION));
}

#[test]
fn a_key_seals_for_one_window_and_opens_for_two_more() {
    for ticketer in [Ticketer::new(TicketSecrets::own(), any_binding()), shared(&[1], any_binding())] {
        let names: Vec<_> = (0..4)
            .map(|window| {
                let at = later(window * WINDOW_SECONDS);
                let name = ticketer.seal(SESSION, at).expect("sealed")[..NAME_BYTES].to_vec();
                assert_eq!(
                    ticketer.seal(SESSION, later((window + 1) * WINDOW_SECONDS - 1)).expect("sealed")[..16],
                    name
                );
                name
            })
            .collect();
        assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
    }
    for ticketer in [Ticketer::new(TicketSecrets::own(), any_binding()), shared(&[1], any_binding())] {
        let ticket = ticketer.seal(SESSION, NOW).expect("sealed");
        assert_eq!(ticketer.open(&ticket, later(3 * WINDOW_SECONDS - 1)).as_deref(), Some(SESSION));
        assert_eq!(ticketer.open(&ticket, later(3 * WINDOW_SECONDS)), None, "one second late");
        assert!(i64::from(ticketer.lifetime()) <= 2 * WINDOW_SECONDS);
        const { assert!(WINDOW_SECONDS <= 12 * 60 * 60) };
    }
}

#[test]
fn a_secret_of_the_process_is_forgotten_after_its_windows() {
    let secrets = TicketSecrets::own();
    let ticketer = Ticketer::new(secrets.clone(), any_binding());
    let ticket = ticketer.seal(SESSION, NOW).expect("sealed");
    assert!(ticketer.seal(SESSION, later(3 * WINDOW_SECONDS)).is_some());
    // Also where the clock is set back: there is nothing left to open it with.
    assert_eq!(ticketer.open(&ticket, NOW), None);
    let Source::Own(drawn) = &secrets.source else { panic!("own") };
    assert!(drawn.lock().expect("drawn").len() <= 4);
}

#[test]
fn gateways_with_one_secret_open_each_others_tickets_also_where_a_clock_is_behind() {
    let (one, other) = (shared(&[1], any_binding()), shared(&[1], any_binding()));
    check_opens(&one, &other, true);
    let ticket = one.seal(SESSION, NOW).expect("sealed");
    assert_eq!(other.open(&ticket, later(-1)).as_deref(), Some(SESSION));
    assert_eq!(other.open(&ticket, later(-WINDOW_SECONDS - 1)), None);
    check_opens(&one, &shared(&[2], any_binding()), false);
    check_opens(&one, &Ticketer::new(TicketSecrets::own(), any_binding()), false);
}

#[test]
fn a_new_secret_seals_while_two_old_ones_open() {
    let old = shared(&[1], any_binding());
    let both = shared(&[2, 1], any_binding());
    check_opens(&old, &both, true);
    check_opens(&both, &old, false);
    check_opens(&both, &shared(&[2], any_binding()), true);
    check_opens(&old, &shared(&[3, 2, 1], any_binding()), true);
    check_opens(&old, &shared(&[4, 3, 2], any_binding()), false);
}

#[test]
fn a_ticket_is_for_one_listener_with_its_certificates_and_authorities() {
    let of = |binding| shared(&[1], binding);
    let one = of(binding("public", &[b"a", b"b"], b"clients"));
    check_opens(&one, &of(binding("public", &[b"b", b"a"], b"clients")), true);
    for other in [
        binding("partners", &[b"a", b"b"], b"clients"),
        binding("public", &[b"a"], b"clients"),
        binding("public", &[b"a", b"c"], b"clients"),
        binding("public", &[b"ab"], b"clients"),
        binding("public", &[b"a", b"b"], b""),
        binding("public", &[b"a", b"b"], b"others"),
    ] {
        check_opens(&one, &of(other), false);
    }
}

#[test]
fn what_was_changed_cut_or_made_up_does_not_open() {
    let ticketer = shared(&[1], any_binding());
    let ticket = ticketer.seal(SESSION, NOW).expect("sealed");
    for at in 0..ticket.len() {
        let mut changed = ticket.clone();
        changed[at] ^= 1;
        assert_eq!(ticketer.open(&changed, NOW), None, "{at}");
        assert_eq!(ticketer.open(&ticket[..at], NOW), None, "{at}");
    }
    assert_eq!(ticketer.open(&[], NOW), None);
    assert_ne!(ticketer.seal(SESSION, NOW), Some(ticket), "no two are alike");
    assert!(ticketer.seal(&vec![0; TICKET_BYTES_MAX], NOW).is_some_and(|ticket| ticketer.open(&ticket, NOW).is_some()));
    assert_eq!(ticketer.seal(&vec![0; TICKET_BYTES_MAX + 1], NOW), None);
    assert_eq!(ticketer.open(&vec![0; 1 << 20], NOW), None);
}

#[test]
fn a_file_holds_one_to_three_secrets_for_its_owner_alone() {
    let line = |secret: u8| STANDARD.encode([secret; SECRET_BYTES]);
    let load = |text: &str, mode| match TicketSecrets::load(written(text, mode).path()) {
        Ok(_) => "fine".to_owned(),
        Err(error) => {
            let words = error.to_string();
            assert!(!words.contains(&line(1)));
            words
        }
    };
    assert_eq!(line(1).len(), 64, "one line of `openssl rand -base64 48`");
    for text in [line(1), format!("{}\n", line(1)), format!("{}\r\n{}\r\n", line(1), line(2))] {
        assert_eq!(load(&text, 0o600), "fine");
    }
    let (two, three) = (format!("{}\n{}", line(1), line(2)), format!("{}\n{}\n{}\n", line(1), line(2), line(3)));
    assert_eq!((load(&two, 0o600), load(&three, 0o400)), ("fine".into(), "fine".into()));
    for (text, line_number) in [
        (String::new(), 1),
        ("\n".into(), 1),
        (format!("{}\n\n", line(1)), 2),
        (format!("# keys\n{}", line(1)), 1),
        (format!(" {}", line(1)), 1),
        (STANDARD.encode([1; SECRET_BYTES - 1]), 1),
        (STANDARD.encode([1; SECRET_BYTES + 1]), 1),
        // What `openssl rand -base64 80` prints: no two secrets.
        (format!("{}\n{}\n", line(1), STANDARD.encode([1; 32])), 2),
        (line(1).replace('E', "-"), 1),
    ] {
        let words = load(&text, 0o600);
        assert!(words.starts_with(&format!("line {line_number} of the ticket file")), "{text:?}: {words}");
    }
    assert!(load(&format!("{three}{}\n", line(4)), 0o600).contains("has 4 lines, expected one to 3"));
    assert!(load(&format!("{}\n{}\n", line(1), line(1)), 0o600).contains("the same line twice"));
    for mode in [0o640, 0o604, 0o660] {
        assert!(load(&line(1), mode).contains("can be read by others"), "{mode:o}");
    }
    let absent = TicketSecrets::load(Path::new("nowhere/tickets.keys")).expect_err("absent");
    assert!(absent.to_string().starts_with("cannot read the ticket file `nowhere/tickets.keys`"));
}

#[test]
fn the_age_is_that_of_the_newest_secret() {
    let own = TicketSecrets::own();
    assert_eq!((own.age_seconds(NOW), own.age_seconds(later(WINDOW_SECONDS - 1))), (0, WINDOW_SECONDS - 1));
    assert_eq!(own.age_seconds(later(WINDOW_SECONDS)), 0);
    let file = file(&[1]);
    let modified = UNIX_EPOCH + std::time::Duration::from_secs(NOW.0.unsigned_abs());
    fs::File::options().write(true).open(file.path()).expect("open").set_modified(modified).expect("set");
    let shared = TicketSecrets::load(file.path()).expect("secrets");
    assert_eq!(shared.age_seconds(later(5 * WINDOW_SECONDS)), 5 * WINDOW_SECONDS);
    assert_eq!(shared.age_seconds(later(-1)), 0);
}
