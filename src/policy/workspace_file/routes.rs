//! `[[routes]]` of a workspace: the calls of the profile `json`, which knows none of its own.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;

use super::super::finding::Findings;
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::source::Source;
use crate::decision::Spelling;
use crate::profile::{
    Accepts, Body, Class, Document, DocumentAt, Members, Operation, PathPattern, Place, Pointer, Profile, Replaces,
    Rest, Serves, Shape, Teaches, Upgrade, WhenEmpty,
};

/// The profile whose workspaces name their routes themselves.
const JSON_PROFILE: &str = "json";

/// One call that changes attributes: a JSON body.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawRoute {
    /// Such as `/api/users/{id}`.
    #[schemars(required, with = "Option<String>")]
    path: Option<Placed<PathPattern>>,
    #[schemars(required, with = "Option<Vec<RouteMethod>>", length(min = 1))]
    methods: Option<Placed<Vec<Placed<Method>>>>,
    /// Where in the body the attributes are: a JSON pointer (RFC 6901); `""` is the whole body.
    #[schemars(required, with = "Option<String>")]
    attributes: Option<Placed<Pointer>>,
    /// Where the request says whose attributes they are, such as `path:id` or `body:/user_id`.
    #[schemars(with = "Option<String>")]
    subject: Option<Placed<Place>>,
    /// Whether the call clears the attributes that it does not name. Default: false.
    replaces: Option<Placed<bool>>,
}

/// The methods that bring a body.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the schema's form of `Method`")]
#[schemars(rename_all = "UPPERCASE", inline)]
enum RouteMethod {
    Post,
    Put,
    Patch,
}

impl RawRoute {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            path: table.required("path", |value| {
                value.parsed(|text| PathPattern::try_from(text).map_err(|error| format!("a path that {error}")))
            }),
            methods: table.required("methods", |value| {
                if value.is_empty_list() {
                    value.error("expected at least one method");
                }
                value.list(|value| value.parsed(parse_method))
            }),
            attributes: table.required("attributes", |value| value.parsed(parse_pointer)),
            subject: table.optional("subject", |value| value.parsed(|text| Place::try_from(text))),
            replaces: table.optional("replaces", Value::boolean),
        }
    }

    fn resolve(self, source: &Source, findings: &mut Findings) -> Option<Operation> {
        let Self { path, methods, attributes, subject, replaces } = self;
        let path = path?.value;
        if let Some(Placed { value: Place::Path(name), span }) = &subject
            && !path.as_str().contains(&format!("{{{name}}}"))
        {
            let message = format!("`subject`: the path has no segment {}", quoted(&format!("{{{name}}}")));
            findings.error(source, span.clone(), message);
        }
        let replaces = replaces.is_some_and(|replaces| replaces.value);
        Some(Operation {
            name: path.as_str().to_owned(),
            methods: methods?.value.into_iter().map(|method| method.value).collect(),
            path,
            class: Class::Update,
            body: Body::Json,
            documents: vec![Document { at: DocumentAt::Body(attributes?.value), shape: Arc::new(plain_members()) }],
            context: Vec::new(),
            subject: subject.map(|place| place.value).into_iter().collect(),
            // Where what is not named is cleared, an empty document clears everything.
            when_empty: if replaces { WhenEmpty::Refuse } else { WhenEmpty::Send },
            replaces: if replaces { Replaces::All } else { Replaces::Nothing },
            upgrade: Upgrade::Never,
            serves: Serves::Anything,
            teaches: Teaches::Nothing,
            exchange: None,
            webhook: None,
        })
    }
}

/// An object whose every member is an attribute.
fn plain_members() -> Shape {
    Shape::Members(Members {
        prefix: String::new(),
        spelling: Spelling::Own,
        group: None,
        settings: Vec::new(),
        credentials: Vec::new(),
        nested: Vec::new(),
        rest: Rest::Attributes,
        accepts: Accepts::Any,
    })
}

fn parse_method(text: &str) -> Result<Method, &'static str> {
    match text {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        _ => Err("expected `POST`, `PUT` or `PATCH`"),
    }
}

fn parse_pointer(text: &str) -> Result<Pointer, String> {
    if !text.is_empty() && !text.starts_with('/') {
        return Err("expected a JSON pointer such as `/user/attributes`".to_owned());
    }
    Pointer::try_from(text).map_err(|error| error.to_string())
}

/// The routes as the file lists them.
pub(super) struct Routes {
    span: std::ops::Range<usize>,
    /// `None` after a mistake in any.
    operations: Option<Vec<Arc<Operation>>>,
}

/// What the file's routes mean.
pub(super) fn resolve(raw: Placed<Vec<Placed<RawRoute>>>, source: &Source, findings: &mut Findings) -> Routes {
    let mut operations: Vec<(std::ops::Range<usize>, Option<Operation>)> = Vec::new();
    for route in raw.value {
        let operation = route.value.resolve(source, findings);
        if let Some(operation) = &operation
            && operations
                .iter()
                .filter_map(|(_, earlier)| earlier.as_ref())
                .any(|earlier| share_a_call(earlier, operation))
        {
            let message = format!("two routes take the same method at {}", quoted(operation.path.as_str()));
            findings.error(source, route.span.clone(), message);
        }
        operations.push((route.span, operation));
    }
    let span = operations.first().map_or(raw.span, |(span, _)| span.clone());
    Routes { span, operations: operations.into_iter().map(|(_, operation)| operation.map(Arc::new)).collect() }
}

/// Whether some request belongs to both alike.
pub(in super::super) fn share_a_call(a: &Operation, b: &Operation) -> bool {
    a.path.same_paths_as(&b.path) && a.methods.iter().any(|method| b.methods.contains(method))
}

/// The operations of a workspace: the profile's, or for `json` those of the file.
pub(super) fn of_profile(
    profile: &Profile,
    routes: Option<Routes>,
    source: &Source,
    findings: &mut Findings,
) -> Option<Vec<Arc<Operation>>> {
    match (profile.id == JSON_PROFILE, routes) {
        (true, Some(routes)) => match routes.operations {
            Some(operations) if operations.is_empty() => {
                findings.error(source, routes.span, "`routes`: expected at least one");
                None
            }
            operations => operations,
        },
        (true, None) => {
            findings.error(source, source.line_at(0), "`routes` is missing: the profile `json` knows none of its own");
            None
        }
        (false, Some(routes)) => {
            let message = format!("`routes` belong only to the profile `json`: {} has its own", quoted(&profile.id));
            findings.error(source, routes.span, message);
            None
        }
        (false, None) => Some(profile.operations.clone()),
    }
}
