//! In which order refused origins are told. Who sends without a browser can invent as many as they like, as often as they like: those below
//! one domain shall not hide those below another, and those of strangers not the operator's own.

use std::collections::HashMap;
use std::hash::Hash;

/// Below one domain, before all that are below others had their turn.
const OF_ONE_DOMAIN: usize = 5;

/// Of strangers, on the first screen.
const STRANGERS: usize = 8;

/// The order in which `all` are told, which come the most frequent first. `domain_of` says below which of the operator's domains one is;
/// `None`: it is a stranger's. Who sees only the first `screen` sees some of every kind.
pub(super) fn fairly<T, D: Eq + Hash>(all: Vec<T>, screen: usize, domain_of: impl Fn(&T) -> Option<D>) -> Vec<T> {
    let mut turns: HashMap<D, usize> = HashMap::new();
    let (mut kin, mut strangers, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for one in all {
        match domain_of(&one) {
            Some(domain) => {
                let turn = turns.entry(domain).or_default();
                if *turn < OF_ONE_DOMAIN {
                    kin.push((*turn, one));
                } else {
                    others.push(one);
                }
                *turn += 1;
            }
            None if strangers.len() < STRANGERS => strangers.push(one),
            None => others.push(one),
        }
    }
    // The first of every domain before the second of any.
    kin.sort_by_key(|(turn, _)| *turn);
    let waiting = kin.split_off(kin.len().min(screen.saturating_sub(strangers.len())));
    let kin = kin.into_iter().map(|(_, one)| one);
    kin.chain(strangers).chain(waiting.into_iter().map(|(_, one)| one)).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each one its domain is what stands before the digits; `-` is a stranger.
    #[track_caller]
    fn check(all: &str, screen: usize, expected: &str) {
        let domain_of = |one: &&str| one.chars().next().filter(|domain| *domain != '-');
        let told = fairly(all.split(' ').collect(), screen, domain_of);
        assert_eq!(told.into_iter().take(screen).collect::<Vec<_>>().join(" "), expected);
        let mut all: Vec<&str> = all.split(' ').collect();
        let mut told = fairly(all.clone(), screen, domain_of);
        all.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, all, "each is told once");
    }

    #[test]
    fn a_flood_below_one_domain_hides_nothing_below_another() {
        check("a1 a2 a3 a4 a5 a6 a7 a8 b1 b2", 8, "a1 b1 a2 b2 a3 a4 a5 a6");
        check("a1 a2 a3 a4 b1 c1", 4, "a1 b1 c1 a2");
    }

    #[test]
    fn strangers_hide_nothing_and_are_not_hidden() {
        check("-1 -2 -3 -4 -5 -6 -7 -8 -9 a1", 10, "a1 -1 -2 -3 -4 -5 -6 -7 -8 -9");
        check("-1 -2 -3 -4 -5 -6 -7 -8 -9 a1 b1 a2 b2", 10, "a1 b1 -1 -2 -3 -4 -5 -6 -7 -8");
        check("a1 a2 a3 a4 a5 a6 a7 -1", 6, "a1 a2 a3 a4 a5 -1");
    }
}
