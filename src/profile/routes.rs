//! Routes: from a method and a path to one operation of one profile.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::operation::{Class, Operation};
use super::path::{Path, PathParams};

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    Unknown,
    /// The path is known; these are its methods.
    Method(Vec<Method>),
}

/// The operations of an epoch, the most literal pattern first. `T` is what the caller keeps beside each: whom it serves.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    routes: Vec<(Arc<Operation>, T)>,
    /// Where the operations of each wholly literal path are: they come before all others.
    literal: HashMap<String, Vec<usize>>,
    /// Where the others are, in their order.
    open: Vec<usize>,
}

impl<T> Routes<T> {
    /// Sorts the operations by precedence; equal patterns stay in the order given.
    #[must_use]
    pub fn new(mut routes: Vec<(Arc<Operation>, T)>) -> Self {
        routes.sort_by(|(a, _), (b, _)| a.path.precedence(&b.path));
        let mut literal: HashMap<String, Vec<usize>> = HashMap::new();
        let mut open = Vec::new();
        for (index, (operation, _)) in routes.iter().enumerate() {
            if operation.path.is_literal() {
                literal.entry(operation.path.as_str().to_owned()).or_default().push(index);
            } else {
                open.push(index);
            }
        }
        Self { routes, literal, open }
    }

    /// Finds the operation of a request among those that `serves` admits (of the workspaces on the request's host, say).
    ///
    /// # Errors
    ///
    /// No pattern matches the path, or none of those that match takes the method.
    pub fn find<'r, 'p>(
        &'r self,
        method: &Method,
        path: Path<'p>,
        serves: impl Fn(&T) -> bool,
    ) -> Result<(&'r Arc<Operation>, &'r T, PathParams<'p>), RouteError> {
        let mut allowed: Vec<Method> = Vec::new();
        let mut most_literal = None;
        let literal = self.literal.get(path.as_str()).into_iter().flatten();
        for &index in literal.chain(&self.open) {
            let Some((operation, beside)) = self.routes.get(index) else { continue };
            // A less literal pattern does not take over a method that the most literal one refuses: `GET /**` opens no `/ping`.
            if most_literal.is_some_and(|pattern| !operation.path.same_paths_as(pattern)) {
                break;
            }
            let Some(params) = operation.path.matches(path).filter(|_| serves(beside)) else { continue };
            if operation.methods.contains(method) {
                if !operation.path.is_literal() && self.is_disguised(index, path, serves) {
                    return Err(RouteError::Unknown);
                }
                return Ok((operation, beside, params));
            }
            most_literal = Some(&operation.path);
            allowed.extend(operation.methods.iter().cloned());
        }
        Err(if allowed.is_empty() { RouteError::Unknown } else { RouteError::Method(allowed) })
    }

    /// Whether the backend may take the path for a judged operation that comes before the one at `found`: a path is refused where servers
    /// read it differently, and never "fixed". Also where that one has other methods: under its own spelling they are refused as well.
    fn is_disguised(&self, found: usize, path: Path<'_>, serves: impl Fn(&T) -> bool) -> bool {
        let before = self.routes.iter().take(found);
        before
            .filter(|(operation, beside)| operation.class != Class::Pass && serves(beside))
            .any(|(operation, _)| operation.path.resembles(path) && operation.path.matches(path).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Body, Replaces, Serves, Teaches, Upgrade, WhenEmpty};

    fn routes() -> Routes<()> {
        let operation = |on: &str, class| {
            let (method, path) = on.split_once(' ').expect("method and path");
            let operation = Operation {
                name: on.into(),
                methods: vec![method.parse().expect("a method")],
                path: path.try_into().expect("a pattern"),
                class,
                body: Body::None,
                documents: vec![],
                context: vec![],
                subject: vec![],
                when_empty: WhenEmpty::Send,
                replaces: Replaces::Nothing,
                upgrade: Upgrade::Never,
                serves: Serves::Anything,
                teaches: Teaches::Nothing,
                exchange: None,
                webhook: None,
            };
            (Arc::new(operation), ())
        };
        Routes::new(vec![
            operation("PATCH /v1/users", Class::Update),
            operation("PATCH /v1/users/{id}", Class::Update),
            operation("PATCH /v1/users/me", Class::Update),
            operation("GET /v1/status", Class::Pass),
            operation("POST /**", Class::Pass),
            operation("GET /**", Class::Pass),
        ])
    }

    #[track_caller]
    fn check(method: &str, path: &str, expected: Option<&str>) {
        let routes = routes();
        let path = Path::try_from(path).expect("a path");
        let found = routes.find(&method.parse().expect("a method"), path, |()| true);
        assert_eq!(found.map(|(operation, ..)| operation.name.clone()).ok().as_deref(), expected, "{method} {path:?}");
    }

    #[test]
    fn the_most_literal_pattern_answers() {
        check("PATCH", "/v1/users", Some("PATCH /v1/users"));
        check("PATCH", "/v1/users/me", Some("PATCH /v1/users/me"));
        check("PATCH", "/v1/users/42", Some("PATCH /v1/users/{id}"));
        check("PATCH", "/v1/users/42.json", Some("PATCH /v1/users/{id}"));
        check("POST", "/assets/a.js", Some("POST /**"));
        check("POST", "/v1/users", None);
        check("PATCH", "/v2", None);
    }

    #[test]
    fn what_may_be_a_judged_operation_to_a_framework_is_no_other_one() {
        for path in ["/v1/users.json", "/V1/users", "/v1/Users", "/v1/users.", "/V1/users/42"] {
            check("POST", path, None);
            check("GET", path, None);
            check("PATCH", path, None);
        }
        check("PATCH", "/v1/users/ME", None);
        check("PATCH", "/v1/users/me.json", None);
        // What is passed under any spelling need not be hidden.
        check("GET", "/v1/status.json", Some("GET /**"));
        check("POST", "/v1/users.d/x", Some("POST /**"));
    }
}
