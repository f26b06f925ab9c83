//! Routes: from a method and a path to one operation of one profile.

use std::sync::Arc;

use http::Method;

use super::operation::Operation;
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
}

impl<T> Routes<T> {
    /// Sorts the operations by precedence; equal patterns stay in the order given.
    #[must_use]
    pub fn new(mut routes: Vec<(Arc<Operation>, T)>) -> Self {
        routes.sort_by(|(a, _), (b, _)| a.path.precedence(&b.path));
        Self { routes }
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
        for (operation, beside) in &self.routes {
            // A less literal pattern does not take over a method that the most literal one refuses: `GET /**` opens no `/ping`.
            if most_literal.is_some_and(|pattern| !operation.path.same_paths_as(pattern)) {
                break;
            }
            let Some(params) = operation.path.matches(path).filter(|_| serves(beside)) else { continue };
            if operation.methods.contains(method) {
                return Ok((operation, beside, params));
            }
            most_literal = Some(&operation.path);
            allowed.extend(operation.methods.iter().cloned());
        }
        Err(if allowed.is_empty() { RouteError::Unknown } else { RouteError::Method(allowed) })
    }
}
