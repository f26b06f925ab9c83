//! Where a secret is, as a file says it. A secret itself in a file is a mistake, and is shown to nobody.

use std::path::Path;

use schemars::JsonSchema;

use super::reader::{Placed, Value};
use super::workspace::SecretSource;

/// Where a secret is: in a variable of the environment, or in a file. Exactly one of the two.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct RawSecret {
    /// The name of an environment variable.
    env: Option<Placed<String>>,
    /// A file, relative to the directory of the policies. A newline at its end is no part of the secret.
    file: Option<Placed<std::path::PathBuf>>,
}

const ELSEWHERE: &str = "a secret does not belong in a policy file: say where it is, with `{ env = \"NAME\" }` or \
                         `{ file = \"path\" }`";

impl RawSecret {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        if !value.is_table() {
            value.conceal();
            value.error(ELSEWHERE);
            return None;
        }
        let secret = value.table(|table| {
            let secret = Self { env: table.optional("env", variable_name), file: table.optional("file", Value::path) };
            let (env, file) = (table.has("env"), table.has("file"));
            table.conceal_unknown();
            if env == file {
                table.error(table.span(), "expected one of `env` and `file`");
            }
            secret
        });
        Some(secret?.value)
    }

    /// The true form; a relative file is below `base`.
    pub(super) fn resolve(self, base: &Path) -> Option<SecretSource> {
        let Self { env, file } = self;
        match (env, file) {
            (Some(name), None) => Some(SecretSource::Env(name.value)),
            (None, Some(file)) => Some(SecretSource::File(base.join(file.value))),
            // The reader has said so.
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

/// The name of a variable (POSIX 1003.1 §8.1). What is none may be the secret itself, so the message does not repeat it.
fn variable_name(value: &Value<'_>) -> Option<Placed<String>> {
    let name = value.text()?;
    let is_name = name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.value.starts_with(|char: char| char.is_ascii_digit());
    if is_name {
        return Some(name);
    }
    value.conceal();
    value.error("expected the name of an environment variable: letters, digits and `_`");
    None
}
