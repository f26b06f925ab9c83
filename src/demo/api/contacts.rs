//! What the demo's API keeps of each contact.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

const CONTACTS_MAX: usize = 1_000;
/// As many as Intercom keeps for one workspace.
const ATTRIBUTES_PER_CONTACT_MAX: usize = 250;

/// The contacts of the demo's API, by id; the oldest make room.
#[derive(Default)]
pub(super) struct Contacts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<String, Map<String, Value>>,
    /// Oldest first, to make room.
    order: VecDeque<String>,
}

impl fmt::Debug for Contacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contacts").field(&self.lock().by_id.len()).finish()
    }
}

impl Contacts {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves a map that is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Option<Map<String, Value>> {
        self.lock().by_id.get(id).cloned()
    }

    /// Merges `attributes` into the contact and gives back the whole.
    pub(super) fn merge(&self, id: &str, attributes: &Map<String, Value>) -> Map<String, Value> {
        let mut kept = self.lock();
        if !kept.by_id.contains_key(id) {
            if kept.order.len() == CONTACTS_MAX
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.by_id.remove(&oldest);
            }
            kept.order.push_back(id.to_owned());
        }
        let contact = kept.by_id.entry(id.to_owned()).or_default();
        merge(contact, attributes);
        contact.clone()
    }
}

/// Objects merge member by member, as Chatwoot merges its `custom_attributes`; anything else is replaced.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        let has_room = into.len() < ATTRIBUTES_PER_CONTACT_MAX;
        match (into.get_mut(name), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(old), new) => *old = new.clone(),
            (None, new) if has_room => {
                into.insert(name.clone(), new.clone());
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_and_their_attributes_are_bounded() {
        let contacts = Contacts::default();
        for number in 0..=CONTACTS_MAX {
            contacts.merge(&number.to_string(), &Map::new());
        }
        assert!(contacts.find("0").is_none());
        assert!(contacts.find("1").is_some());
        let many = (0..=ATTRIBUTES_PER_CONTACT_MAX).map(|number| (number.to_string(), Value::Null)).collect();
        assert_eq!(contacts.merge("many", &many).len(), ATTRIBUTES_PER_CONTACT_MAX);
    }
}
