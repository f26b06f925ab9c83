//! What the metrics look up at each scrape, and of whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::acme::Renewals;
use crate::clock;
use crate::edge::connections::{Connections, Tally};
use crate::edge::frames::Excess;
use crate::edge::tls::ReloadableTls;
use crate::epoch::{Epoch, Epochs, Tenant};
use crate::identity::KeySetState;
use crate::observe::{
    AuthorityReading, ConnectionsReading, HandshakeReading, KeySetReading, ListReading, Metrics, StateReading,
    TicketReading, TlsReading,
};
use crate::stapling::Stapler;
use crate::state::{Numbers, Store};

/// How the connections are doing.
pub(super) fn read_connections(metrics: &Metrics, connections: &Arc<Connections>) {
    let connections = Arc::clone(connections);
    metrics.read_connections(move || reading(&connections));
}

fn reading(connections: &Connections) -> ConnectionsReading {
    let Tally {
        accepted,
        refused,
        accept_errors,
        handshakes_failed,
        handshakes_timed_out,
        handshakes_limited,
        malformed,
        timed_out,
        proxy_unlisted,
        proxy_absent,
        proxy_malformed,
        proxy_timed_out,
        handshakes: _,
        excesses,
    } = &connections.tally;
    let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    ConnectionsReading {
        open: connections.open() as u64,
        accepted: number(accepted),
        refused: number(refused),
        accept_errors: number(accept_errors),
        handshakes_failed: number(handshakes_failed),
        handshakes_timed_out: number(handshakes_timed_out),
        handshakes_limited: number(handshakes_limited),
        malformed: number(malformed),
        timed_out: number(timed_out),
        proxy_unlisted: number(proxy_unlisted),
        proxy_absent: number(proxy_absent),
        proxy_malformed: number(proxy_malformed),
        proxy_timed_out: number(proxy_timed_out),
        excesses: Excess::ALL.map(|of| (of.as_str(), excesses.get(of as usize).map_or(0, number))),
    }
}

/// How the sets of keys of the epoch in force are doing.
pub(super) fn read_key_sets(metrics: &Metrics, epochs: &Arc<Epochs>) {
    let epochs = Arc::clone(epochs);
    metrics.read_key_sets(move || key_sets(&epochs.current()));
}

fn key_sets(epoch: &Epoch) -> Vec<KeySetReading> {
    let now = clock::now_seconds();
    let of_tenant = |tenant: &Tenant| {
        let reading = |state: KeySetState<'_>| {
            let KeySetState { id, keys, left_out, age_seconds, is_stale, failure } = state;
            let (workspace, set) = (tenant.workspace.id.clone(), id.to_owned());
            KeySetReading { workspace, set, keys, left_out, age_seconds, is_stale, failure }
        };
        tenant.verifier.key_sets(now).map(reading).collect::<Vec<_>>()
    };
    epoch.tenants().iter().flat_map(of_tenant).collect()
}

/// How ordered certificates are doing.
pub(super) fn read_orders(metrics: &Metrics, renewals: &Arc<Renewals>) {
    let renewals = Arc::clone(renewals);
    metrics.read_orders(move || renewals.readings());
}

/// How the state is doing.
pub(super) fn read_state(metrics: &Metrics, store: &Arc<dyn Store>) {
    let store = Arc::clone(store);
    metrics.read_state(move || state_reading(&*store));
}

fn state_reading(store: &dyn Store) -> StateReading {
    let Numbers { entries, revocations, unwritten, disk_errors } = store.numbers();
    StateReading { entries, revocations, unwritten, disk_errors }
}

/// How TLS is doing.
pub(super) fn read_tls(
    metrics: &Metrics,
    connections: &Arc<Connections>,
    stapler: &Arc<Stapler>,
    shown: &[(Arc<str>, Arc<ReloadableTls>)],
) {
    let (connections, stapler, shown) = (Arc::clone(connections), Arc::clone(stapler), shown.to_vec());
    metrics.read_tls(move || {
        let handshakes = connections.tally.handshakes.read();
        let tickets = shown.iter().map(|(name, tls)| {
            let secrets = tls.tickets();
            let (is_shared, age_seconds) = (secrets.are_shared(), secrets.age_seconds(clock::now_seconds()));
            TicketReading { listener: name.to_string(), is_shared, age_seconds }
        });
        let lists = shown
            .iter()
            .filter_map(|(name, tls)| Some(ListReading { listener: name.to_string(), ends: tls.lists_end()? }));
        let authorities = shown.iter().filter_map(|(name, tls)| {
            Some(AuthorityReading { listener: name.to_string(), ends: tls.authorities_end()? })
        });
        TlsReading {
            handshakes: handshakes
                .map(|(version, group, resumption, number)| HandshakeReading { version, group, resumption, number })
                .collect(),
            tickets: tickets.collect(),
            staples: stapler.readings(),
            lists: lists.collect(),
            authorities: authorities.collect(),
        }
    });
}
