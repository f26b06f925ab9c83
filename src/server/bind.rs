//! What a process has before it serves anything: policies, certificates, sockets, secrets, the state and the record.

use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::listeners::{Bound, BoundPlain, listen};
use super::{Listening, Server, StartError};
use crate::acme::Renewals;
use crate::admin::AdminToken;
use crate::audit::{Recorder, SubjectKey};
use crate::clock;
use crate::edge::challenges::Challenges;
use crate::epoch::{Epochs, fetch_secret};
use crate::observe::Metrics;
use crate::policy::StateSettings;
use crate::state::{DiskError, DiskTask, Memory, MemoryLimits, OnDisk, Store};

impl Server {
    /// Reads the policies, opens the record and binds every socket: whatever can be wrong is wrong now.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it must be.
    pub fn bind(policies: &Path) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let epochs = Arc::new(Epochs::start(policies, &metrics)?);
        let epoch = epochs.current();
        let gateway = &epoch.gateway;
        // Before the certificates are loaded: their store is there then, and the listeners know which challenges may come.
        let challenges = Arc::new(Challenges::default());
        let renewals = Renewals::new(Arc::clone(&challenges));
        renewals.enforce(Renewals::prepare(gateway)?);
        let mut listeners = Vec::new();
        for settings in &gateway.listeners {
            listeners.push(Bound::bind(settings, gateway, &challenges)?);
        }
        let plain = match &gateway.plain {
            Some(plain) => Some(BoundPlain::bind(plain)?),
            None => None,
        };
        let admin = match &gateway.admin {
            Some(admin) => Some(listen("admin", admin.address)?),
            None => None,
        };
        let admin_token = match gateway.admin.as_ref().and_then(|admin| admin.token.as_ref()) {
            Some(source) => {
                Some(AdminToken::new(fetch_secret(source).map_err(StartError::AdminSecret)?.expose_secret())?)
            }
            None => None,
        };
        let key = match &gateway.audit.subject_key {
            Some(source) => SubjectKey::new(fetch_secret(source)?.expose_secret())?,
            None => SubjectKey::random()?,
        };
        let (store, disk_task) = open_state(&gateway.state)?;
        let (recorder, recorder_task) = Recorder::start(&gateway.audit, key)?;
        Ok(Self {
            epochs,
            metrics,
            recorder,
            recorder_task,
            listeners,
            plain,
            admin,
            admin_token,
            store,
            disk_task,
            challenges,
            renewals,
        })
    }

    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn listening(&self) -> Vec<Listening> {
        let tls = self.listeners.iter().map(|bound| (&*bound.name, &bound.socket));
        let plain = self.plain.iter().map(|plain| ("plain", &plain.socket));
        let admin = self.admin.iter().map(|socket| ("admin", socket));
        tls.chain(plain)
            .chain(admin)
            .filter_map(|(name, socket)| Some(Listening { name: name.to_owned(), address: socket.local_addr().ok()? }))
            .collect()
    }
}

/// What requests leave for others to find: on the disk, where the policy says where.
fn open_state(settings: &StateSettings) -> Result<(Arc<dyn Store>, Option<DiskTask>), DiskError> {
    let StateSettings { directory, entries_max, cache_bytes_max, on_failure: _ } = settings;
    let limits = MemoryLimits { kept_max: *entries_max, cached_bytes_max: *cache_bytes_max };
    Ok(match directory {
        Some(directory) => {
            let (store, task) = OnDisk::open(directory, limits, clock::now_seconds())?;
            (Arc::new(store), Some(task))
        }
        None => (Arc::new(Memory::new(limits)), None),
    })
}
