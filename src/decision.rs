//! The decision: which attributes of an update may go on.
//!
//! Pure and total. It reads no clock, does no I/O, knows no wire format and no HTTP status, and imports nothing else of this crate:
//! every other room may speak its words, it speaks nobody's.

mod catalogue;
mod judge;
mod leak;
mod name;
mod update;
mod value;
mod verdict;

pub use catalogue::{Attribute, Catalogue, CatalogueError, Collect, Kind, Listing, Lock, Mode, Unlisted, ValueRule};
pub use judge::{Additions, Channel, Circumstances, Context, Subject, TokenReader, judge};
pub use leak::{KnownSecrets, Leak, LeakPlace, Leaked, NoSecrets, Screen, SecretIndex, WITHHELD};
pub use name::{Folding, Key};
pub use update::{Change, Group, GroupIndex, Role, Signed, Spelling, Update, Write};
pub use value::{Entry, Value};
pub use verdict::{Addition, Code, Effect, Force, Judged, Verdict};
