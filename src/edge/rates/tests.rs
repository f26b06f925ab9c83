//! Rates as an attacker meets them.

use std::net::Ipv4Addr;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn rate(count: u32, burst: u32) -> Rate {
    let number = |number| NonZeroU32::new(number).expect("not zero");
    Rate { count: number(count), per: Duration::from_secs(1), burst: number(burst), mode: Mode::Enforce }
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

fn is_refused(taken: Taken) -> bool {
    matches!(taken, Taken::Refused(_))
}

/// How many of so many questions at one moment are allowed.
fn allowed(rates: &Rates, rate: &Rate, address: IpAddr, questions: u32, now: u64) -> u32 {
    (0..questions).map(|_| u32::from(!is_refused(rates.by_address(rate, address, Moment(now))))).sum()
}

#[test]
fn a_burst_is_allowed_and_then_the_rate() {
    let rates = Rates::new(1_000);
    let rate = rate(10, 30);
    assert_eq!(allowed(&rates, &rate, address(1), 100, SECOND), 30);
    assert_eq!(allowed(&rates, &rate, address(2), 100, SECOND), 30, "another address");
    // One comes back each tenth of a second, and not a nanosecond earlier.
    assert_eq!(allowed(&rates, &rate, address(1), 100, SECOND + SECOND / 10 - 1), 0);
    assert_eq!(allowed(&rates, &rate, address(1), 100, SECOND + SECOND / 10), 1);
    assert_eq!(allowed(&rates, &rate, address(1), 100, 2 * SECOND), 9);
    assert_eq!(allowed(&rates, &rate, address(1), 100, 9 * SECOND), 30);
    let Taken::Refused(exceeded) = rates.by_address(&rate, address(1), Moment(9 * SECOND)) else { panic!("allowed") };
    assert_eq!((exceeded.limited, exceeded.retry_after_seconds), (Limited::Address, 1));
}

#[test]
fn what_is_off_counts_nothing_and_what_is_observed_refuses_nothing() {
    let rates = Rates::new(1_000);
    let with = |mode| Rate { mode, ..rate(1, 1) };
    for _ in 0..3 {
        assert_eq!(rates.by_address(&with(Mode::Off), address(1), Moment(0)), Taken::Allowed(None));
    }
    assert!(matches!(rates.by_address(&with(Mode::Observe), address(1), Moment(0)), Taken::Allowed(_)));
    let (observed, refused) = (
        rates.by_address(&with(Mode::Observe), address(1), Moment(0)),
        rates.by_address(&with(Mode::Enforce), address(1), Moment(0)),
    );
    assert!(matches!(observed, Taken::Observed(_)));
    assert!(is_refused(refused));
    rates.count(observed);
    rates.count(refused);
    let of_addresses = rates.numbers().into_iter().find(|one| one.limited == Limited::Address).expect("there");
    assert_eq!((of_addresses.observed, of_addresses.refused, of_addresses.keys), (1, 1, 1));
}

#[test]
fn kinds_and_their_keys_are_told_apart() {
    let rates = Rates::new(1_000);
    let (rate, now) = (rate(1, 1), Moment(0));
    assert!(!is_refused(rates.by_workspace(&rate, "a", now)));
    assert!(is_refused(rates.by_workspace(&rate, "a", now)));
    assert!(!is_refused(rates.by_origin(&rate, "a", now)));
    assert!(!is_refused(rates.by_subject(&rate, "a", "b", now)));
    assert!(!is_refused(rates.by_subject(&rate, "ab", "", now)));
    assert!(is_refused(rates.by_subject(&rate, "a", "b", now)));
    // A /64 of IPv6 is one address, and IPv4 within IPv6 is itself.
    let parse = |text: &str| text.parse().expect("an address");
    assert!(!is_refused(rates.by_address(&rate, parse("2001:db8::1"), now)));
    assert!(is_refused(rates.by_address(&rate, parse("2001:db8::ffff:9"), now)));
    assert!(!is_refused(rates.by_address(&rate, parse("2001:db8:0:1::1"), now)));
    assert!(!is_refused(rates.by_address(&rate, parse("192.0.2.1"), now)));
    assert!(is_refused(rates.by_address(&rate, parse("::ffff:192.0.2.1"), now)));
}

#[test]
fn a_new_rate_forgets_nobody_and_locks_nobody_out() {
    let rates = Rates::new(1_000);
    let strict = Rate { per: Duration::from_secs(3_600), ..rate(1, 100) };
    assert_eq!(allowed(&rates, &strict, address(1), 200, 0), 100);
    // A hundred hours are owed. Under the new rate that is its whole burst, and no more.
    let usual = rate(10, 30);
    assert_eq!(allowed(&rates, &usual, address(1), 1, 0), 0);
    assert_eq!(allowed(&rates, &usual, address(1), 100, SECOND), 10);
    assert_eq!(allowed(&rates, &strict, address(1), 1, SECOND), 1);
}

#[test]
fn a_million_addresses_take_no_more_places_than_there_are_free_nobody_and_lock_nobody_out() {
    const KEYS: usize = 65_536;
    let rates = Rates::new(KEYS);
    // All at one moment, so that no debt is ever paid: worse than any network could bring.
    let (rate, now) = (rate(1, 100), 5 * SECOND);
    let at_their_limit: Vec<_> = (0..100).map(address).collect();
    for address in &at_their_limit {
        assert_eq!(allowed(&rates, &rate, *address, 200, now), 100);
    }
    for number in 0..1_000_000 {
        assert!(!is_refused(rates.by_address(&rate, address(0x0a00_0000 + number), Moment(now))), "{number}");
    }
    let numbers = rates.numbers().into_iter().find(|one| one.limited == Limited::Address).expect("there");
    assert_eq!(numbers.keys, KEYS as u64);
    assert!(numbers.shared > 900_000, "{numbers:?}");
    for address in &at_their_limit {
        assert_eq!(allowed(&rates, &rate, *address, 1, now), 0, "{address} was forgiven");
    }
    // Somebody new shares a place with those of the flood, and still has most of the burst.
    for number in 0..1_000 {
        assert!(!is_refused(rates.by_address(&rate, address(0x7f00_0000 + number), Moment(now))), "{number}");
    }
}

#[test]
fn whoever_is_pushed_out_comes_back_with_no_less_debt() {
    // One group of places, and more keys than it has, all of which ask all the time.
    let rates = Rates::new(1);
    let rate = rate(1, 10);
    let total: u32 = (0..100).map(|round| allowed(&rates, &rate, address(round % 20), 1, SECOND)).sum();
    // Twenty keys would have two hundred; what is shared is never more than the places have together.
    assert_eq!(total, 80);
    assert!((0..20).all(|key| allowed(&rates, &rate, address(key), 1, SECOND) == 0));
}

#[test]
fn a_refused_address_uses_up_nothing_of_all_handshakes() {
    let rates = Rates::new(1_000);
    let policy = policy::Rates { handshakes: rate(1, 10), handshakes_per_address: rate(1, 5), ..Default::default() };
    let admitted =
        |number, times: u32| (0..times).filter(|_| rates.admits_handshake(&policy, address(number), Moment(0))).count();
    assert_eq!(admitted(1, 1_000), 5);
    assert_eq!(admitted(2, 4), 4);
    assert_eq!(admitted(3, 1_000), 1);
    assert_eq!(admitted(4, 1), 0, "all of them together");
}

#[test]
fn too_many_failing_proofs_bring_a_penalty_on_new_proofs_and_on_nothing_else() {
    let rates = Rates::new(1_000);
    let policy = policy::Rates { failing_proofs: rate(1, 3), ..Default::default() };
    let new = |address, workspace, proof: &str, now| {
        rates.new_proof(&policy.failing_proofs, policy.penalty, address, workspace, Some(proof), Moment(now))
    };
    let (attacker, other) = (address(1), address(2));
    let exhaust = |address, workspace, now| while !is_refused(new(address, workspace, "guess", now)) {};
    rates.held("acme", "colleague", "colleague's", Moment(0));
    for _ in 0..3 {
        assert!(!is_refused(rates.failing_proof(&policy.failing_proofs, policy.penalty, attacker, "acme", Moment(0))));
        assert!(!is_refused(new(attacker, "acme", "guess", 0)));
    }
    let Taken::Refused(exceeded) =
        rates.failing_proof(&policy.failing_proofs, policy.penalty, attacker, "acme", Moment(0))
    else {
        panic!("allowed")
    };
    assert_eq!((exceeded.limited, exceeded.retry_after_seconds), (Limited::FailingProofs, 10));
    exhaust(attacker, "acme", SECOND);
    // One good proof of the attacker's own resets nothing, and nobody else pays.
    rates.held("acme", "attacker", "own", Moment(SECOND));
    assert!(is_refused(new(attacker, "acme", "guess", SECOND)));
    for (address, workspace, proof) in [
        (attacker, "acme", "own"),
        (attacker, "acme", "colleague's"),
        (attacker, "other", "guess"),
        (other, "acme", "guess"),
    ] {
        assert!(!is_refused(new(address, workspace, proof, SECOND)), "{address} {workspace} {proof}");
    }
    assert!(is_refused(new(attacker, "other", "own", SECOND)) == is_refused(new(attacker, "other", "guess", SECOND)));
    assert!(!is_refused(new(attacker, "acme", "guess", 10 * SECOND)));
    // What was paid meanwhile is a few more tries, and then it is twice as long.
    let strike = (0..20).find_map(|_| {
        match rates.failing_proof(&policy.failing_proofs, policy.penalty, attacker, "acme", Moment(10 * SECOND)) {
            Taken::Refused(exceeded) => Some(exceeded.retry_after_seconds),
            Taken::Allowed(_) | Taken::Observed(_) => None,
        }
    });
    assert_eq!(strike, Some(20));
}

#[test]
fn of_new_proofs_a_few_are_looked_at_in_a_penalty_and_bad_ones_make_it_no_longer() {
    let rates = Rates::new(1_000);
    let policy = policy::Rates { failing_proofs: rate(1, 1), ..Default::default() };
    let fails = |now| rates.failing_proof(&policy.failing_proofs, policy.penalty, address(1), "acme", Moment(now));
    assert!(!is_refused(fails(0)));
    assert!(is_refused(fails(0)));
    // A hundred guesses a second, all the ten seconds.
    let mut looked_at = 0;
    for hundredth in 0..1_000 {
        let now = hundredth * SECOND / 100;
        match rates.new_proof(&policy.failing_proofs, policy.penalty, address(1), "acme", Some(hundredth), Moment(now))
        {
            Taken::Allowed(_) => {
                looked_at += 1;
                if let Taken::Refused(exceeded) = fails(now) {
                    let left = (10 * SECOND - now).div_ceil(SECOND);
                    assert_eq!(exceeded.retry_after_seconds, left);
                }
            }
            // To come again soon is worth a try.
            Taken::Refused(exceeded) => assert_eq!(exceeded.retry_after_seconds, 1),
            Taken::Observed(_) => panic!("it is enforced"),
        }
    }
    assert_eq!(looked_at, 5 + 49);
}
