//! `[state]` of `gateway.toml`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use super::gateway::{OnFailure, StateSettings};
use super::limits_file::positive_bytes;
use super::reader::{Placed, Table, Value};
use super::schemas::{Count, Size};

/// What requests leave for others to find.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawState {
    /// Where it outlives the process; made where there is none, for its owner alone. Default: nowhere.
    directory: Option<Placed<PathBuf>>,
    /// Things that are kept until their end, such as used tokens. Default: 1000000.
    #[schemars(with = "Option<Count>")]
    entries_max: Option<Placed<usize>>,
    /// Things that are kept while there is room, such as sessions. Default: 64 MiB.
    #[schemars(with = "Option<Size>")]
    cache_bytes_max: Option<Placed<u64>>,
    /// What becomes of a request whose token cannot be looked up: it is refused (`closed`), or the token counts (`open`). Default: closed.
    on_failure: Option<Placed<OnFailure>>,
}

/// More than fit into the memory of any machine that this runs on are a slip of the keyboard.
const ENTRIES_MAX: usize = 100_000_000;

impl RawState {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            directory: table.optional("directory", Value::path),
            entries_max: table.optional("entries_max", |value| value.integer(1..=ENTRIES_MAX)),
            cache_bytes_max: table.optional("cache_bytes_max", positive_bytes),
            on_failure: table.optional("on_failure", Value::keyword),
        }
    }

    pub(super) fn resolve(self, base: &Path) -> StateSettings {
        let Self { directory, entries_max, cache_bytes_max, on_failure } = self;
        let standard = StateSettings::default();
        StateSettings {
            directory: directory.map(|directory| base.join(directory.value)),
            entries_max: entries_max.map_or(standard.entries_max, |count| count.value),
            cache_bytes_max: cache_bytes_max.map_or(standard.cache_bytes_max, |size| size.value),
            on_failure: on_failure.map_or(standard.on_failure, |word| word.value),
        }
    }
}
