//! JSON Schemas of the policy files, made from the raw types, so that editors complete and complain.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::address_lists::RawAddressList;
use super::case_file::RawCaseFile;
use super::gateway_file::RawGateway;
use super::profile_file::RawProfile;
use super::reader::Placed;
use super::workspace_file::RawWorkspace;

/// Every schema with the name of its file.
#[must_use]
pub fn schemas() -> Vec<(&'static str, String)> {
    vec![
        ("addresses.json", schema_of::<RawAddressList>()),
        ("cases.json", schema_of::<RawCaseFile>()),
        ("gateway.json", schema_of::<RawGateway>()),
        ("profile.json", schema_of::<RawProfile>()),
        ("workspace.json", schema_of::<RawWorkspace>()),
    ]
}

/// Draft 7, because not all editors know a later one.
pub(super) fn schema_of<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    without_null(&mut schema);
    format!("{:#}\n", schema.as_value())
}

/// TOML has no null; a key that may be absent is simply not required.
fn without_null(schema: &mut Schema) {
    if let Some(types) = schema.get_mut("type").and_then(|types| types.as_array_mut()) {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".into(), one);
        }
    }
    if let Some(options) = schema.get_mut("enum").and_then(|options| options.as_array_mut()) {
        options.retain(|option| !option.is_null());
    }
    schemars::transform::transform_subschemas(&mut without_null, schema);
}

/// A placed value looks in the file like the value.
impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

spelled!(
    /// How a duration is spelled.
    DurationText,
    { "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$" }
);
spelled!(
    /// A moment: a date of TOML with time and offset.
    Moment,
    { "type": "string", "format": "date-time" }
);
spelled!(
    /// How a number of bytes is spelled.
    Size,
    {
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$"
    }
);
spelled!(
    /// How a rate is spelled.
    RateText,
    { "type": "string", "pattern": "^[0-9]+/(s|m|h)$" }
);
spelled!(
    /// A number of things, at least one.
    Count,
    { "type": "integer", "minimum": 1 }
);
spelled!(
    /// An address with a port.
    Address,
    { "type": "string", "pattern": ":[0-9]+$" }
);
spelled!(
    /// A document: a table, or its JSON as text.
    DocumentText,
    { "type": ["object", "string"] }
);
spelled!(
    /// Whatever JSON can say.
    AnyValue,
    { "type": ["string", "number", "boolean", "array", "object"] }
);
spelled!(
    /// A verdict, or several in their order.
    VerdictText,
    { "type": ["string", "array"], "items": { "type": "string" } }
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde_json::{Map, Value as Json, json};

    use super::super::finding::Findings;
    use super::super::source::Source;
    use super::*;

    /// `BLESS=1 cargo test` writes the files anew.
    #[test]
    fn the_committed_schemas_are_current() {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies/schema");
        for (name, schema) in schemas() {
            let file = directory.join(name);
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&file, &schema).unwrap();
            }
            let committed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(committed == schema, "policies/schema/{name} is not current: run the tests with BLESS=1");
        }
    }

    /// A value that has every key of the schema, and in each table one key that it does not have.
    fn with_every_key(schema: &Json) -> Json {
        if let Some(first) = schema.pointer("/enum/0") {
            return first.clone();
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("object") => {
                let mut table = Map::new();
                if let Some(named) = schema.get("additionalProperties").filter(|named| named.is_object()) {
                    table.insert("name".into(), with_every_key(named));
                } else {
                    table.insert(UNKNOWN.into(), json!(1));
                }
                for (key, value) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
                    table.insert(key.clone(), with_every_key(value));
                }
                Json::Object(table)
            }
            Some("array") => Json::Array(vec![with_every_key(&schema["items"])]),
            Some("boolean") => json!(true),
            Some("integer") => json!(1),
            _ => json!("x"),
        }
    }

    /// The keys of every table of the schema that has fixed ones.
    fn tables(schema: &Json, found: &mut BTreeSet<Vec<String>>) {
        if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
            found.insert(properties.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect());
            properties.values().for_each(|value| tables(value, found));
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(inner) {
                tables(inner, found);
            }
        }
    }

    /// Fewer tables would mean that the test looks at nothing.
    const TABLES_MIN: usize = 4;

    const UNKNOWN: &str = "unknown to everybody";

    /// Inline tables are enough TOML for a test.
    fn toml(json: &Json) -> String {
        match json {
            Json::Object(table) => {
                let entries: Vec<String> =
                    table.iter().map(|(key, value)| format!("{key:?} = {}", toml(value))).collect();
                format!("{{ {} }}", entries.join(", "))
            }
            Json::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.to_string(),
        }
    }

    /// The reader says of each unknown key which keys are known beside it; these must be the schema's, table by table.
    #[track_caller]
    fn check(schema: &str, read: impl FnOnce(&Source, &mut Findings)) {
        let schema: Json = serde_json::from_str(schema).unwrap();
        let Json::Object(file) = with_every_key(&schema) else { panic!("a file is a table") };
        let lines: Vec<String> = file.iter().map(|(key, value)| format!("{key:?} = {}\n", toml(value))).collect();
        let mut findings = Findings::default();
        read(&Source::new("a.toml", lines.concat()), &mut findings);
        let mut of_reader = BTreeSet::new();
        for finding in findings.iter().filter(|finding| finding.message.starts_with("unknown key")) {
            assert!(finding.message.ends_with(&format!("{UNKNOWN}`")), "{finding}: in the schema alone");
            let known = finding.help.as_deref().and_then(|help| help.strip_prefix("known here: ")).unwrap_or_default();
            let known: BTreeSet<String> = known.split(", ").map(|key| key.trim_matches('`').to_owned()).collect();
            of_reader.insert(known.into_iter().collect());
        }
        let mut of_schema = BTreeSet::new();
        tables(&schema, &mut of_schema);
        assert_eq!(of_reader, of_schema);
        assert!(of_schema.len() >= TABLES_MIN);
    }

    #[test]
    fn the_schema_of_the_gateway_knows_what_the_reader_knows() {
        check(&schema_of::<RawGateway>(), |source, findings| {
            RawGateway::read(source, findings);
        });
    }

    #[test]
    fn the_schema_of_a_workspace_knows_what_the_reader_knows() {
        check(&schema_of::<RawWorkspace>(), |source, findings| {
            RawWorkspace::read(source, findings);
        });
    }

    #[test]
    fn the_schema_of_a_profile_knows_what_the_reader_knows() {
        check(&schema_of::<RawProfile>(), |source, findings| {
            RawProfile::read(source, findings);
        });
    }

    #[test]
    fn the_schema_of_cases_knows_what_the_reader_knows() {
        check(&schema_of::<RawCaseFile>(), |source, findings| {
            RawCaseFile::read(source, findings);
        });
    }

    #[test]
    fn what_the_reader_requires_the_schema_requires() {
        for (schema, missing) in [
            (schema_of::<RawAddressList>(), {
                let mut findings = Findings::default();
                RawAddressList::read(&Source::new("a.toml", ""), &mut findings);
                findings
            }),
            (schema_of::<RawCaseFile>(), {
                let mut findings = Findings::default();
                RawCaseFile::read(&Source::new("a.toml", ""), &mut findings);
                findings
            }),
            (schema_of::<RawGateway>(), {
                let mut findings = Findings::default();
                RawGateway::read(&Source::new("a.toml", ""), &mut findings);
                findings
            }),
            (schema_of::<RawProfile>(), {
                let mut findings = Findings::default();
                RawProfile::read(&Source::new("a.toml", ""), &mut findings);
                findings
            }),
            (schema_of::<RawWorkspace>(), {
                let mut findings = Findings::default();
                RawWorkspace::read(&Source::new("a.toml", ""), &mut findings);
                findings
            }),
        ] {
            let schema: Json = serde_json::from_str(&schema).unwrap();
            let required: BTreeSet<String> = schema["required"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| format!("{} is missing", super::super::reader::quoted(key.as_str().unwrap())))
                .collect();
            assert_eq!(missing.iter().map(|finding| finding.message.clone()).collect::<BTreeSet<_>>(), required);
        }
    }
}
