//! The record: one JSON line per decision, without values.
//!
//! It owns what a line says, the queue to the disk and the files. It must not know how a request was decided, and it never makes a
//! request wait: when the queue is full a record is counted instead, and a gap record says how many were.
//!
//! What a peer sent stands in a line only where it is one of our own words (a workspace, an operation, a catalogue's name), an address,
//! or text that was cut down to what cannot be a secret; everything else as a keyed hash.

mod change;
mod event;
mod file;
mod line;
mod name;
mod recorder;
mod subject;
mod writer;

pub use change::{Change, Changed};
pub use event::{Begin, Ended, Event, Outcome, Tally};
pub use name::{AttributeVerdict, RecordedName};
pub use recorder::{AuditError, Numbers, Recorder, RecorderTask, StopError};
pub use subject::{Hash, SubjectKey, SubjectKeyError};
