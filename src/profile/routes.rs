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
                if !operation.path.is_literal() && self.is_disguised(index, method, path, serves) {
                    return Err(RouteError::Unknown);
                }
                return Ok((operation, beside, params));
            }
            most_literal = Some(&operation.path);
            allowed.extend(operation.methods.iter().cloned());
        }
        Err(if allowed.is_empty() { RouteError::Unknown } else { RouteError::Method(allowed) })
    }

    /// Whether the backend may take the path for an operation that comes before the one at `found`, and judges otherwise: a path is refused
    /// where servers read it differently, and never "fixed".
    fn is_disguised(&self, found: usize, method: &Method, path: Path<'_>, serves: impl Fn(&T) -> bool) -> bool {
        let before = self.routes.iter().take(found);
        before.filter(|(operation, beside)| operation.class != Class::Pass && serves(beside)).any(|(operation, _)| {
            operation.methods.contains(method)
                && operation.path.resembles(path)
                && operation.path.matches(path).is_none()
        })
    }
}
