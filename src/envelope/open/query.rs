//! The query. It goes on as it came, and backends cut it in two ways, so that it has to mean the same in both.

use std::borrow::Cow;

use super::super::EnvelopeError;
use super::super::form::{self, Pair};
use super::super::guard::Guard;
use crate::decision::Value;
use crate::policy::Limits;
use crate::profile::Operation;

/// The parameters of a query, in their order.
pub(super) struct Query<'r> {
    parameters: Vec<Pair<'r>>,
    /// As readers divide them that take semicolons for ampersands (HTML 4.01 section B.2.2), such as Rack up to version 2; empty without a
    /// semicolon.
    divided: Vec<Pair<'static>>,
}

impl<'r> Query<'r> {
    /// Cuts `text` into parameters, both ways.
    pub(super) fn read(text: &'r str, limits: &Limits) -> Result<Self, EnvelopeError> {
        let parameters = form::read(text.as_bytes(), limits)?;
        let divided = if text.contains(';') {
            let divided = text.replace(';', "&");
            let owned = |(name, text): Pair<'_>| (Cow::Owned(name.into_owned()), Cow::Owned(text.into_owned()));
            form::read(divided.as_bytes(), limits)?.into_iter().map(owned).collect()
        } else {
            Vec::new()
        };
        Ok(Self { parameters, divided })
    }

    pub(super) fn parameters(&self) -> &[Pair<'r>] {
        &self.parameters
    }

    /// Refuses what may not stand in the query, or stands there in one way of cutting it and not in the other.
    pub(super) fn admit(&self, guard: &Guard, operation: &Operation) -> Result<(), EnvelopeError> {
        guard.admit_query(&self.parameters, operation)?;
        if !self.divided.is_empty() {
            guard.admit_query(&self.divided, operation)?;
            guard.admit_division(&self.parameters, &self.divided)?;
        }
        Ok(())
    }

    /// The parameters that no place names, of both ways.
    pub(super) fn unnamed(&self, guard: &Guard) -> Vec<(&str, Value<'_>)> {
        let divided = guard.unnamed_parameters(&self.divided);
        guard.unnamed_parameters(&self.parameters).chain(divided).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{check, json_operation, ping, root_operation};
    use super::*;

    #[test]
    fn the_query_carries_no_document_and_no_identity() {
        for query in [
            "user_data=%7B%7D",
            "user_data[plan]=pro",
            "User_Data=x",
            "user.data=x",
            "user_id=7",
            "user_id[]=7",
            "intercom_user_jwt=x",
            "a=1;user_data=x",
            "form_params=x",
        ] {
            check(&ping(), query, "a=1", Err(EnvelopeError::QueryDocument));
        }
        check(&ping(), "website_token=x&jwt=y&a=1&b[c]=2", "a=1", Ok(0));
        check(&ping(), "website_token=x&website_token=x", "a=1", Err(EnvelopeError::PlaceTwice));
        check(&ping(), "Website_Token=x", "a=1", Err(EnvelopeError::DisguisedField));
        check(&ping(), "website_token[]=x", "a=1", Err(EnvelopeError::DisguisedField));
        check(&ping(), "a=%zz", "a=1", Err(EnvelopeError::Percent));
        check(&ping(), "jwt=y&website_token=x&a=1;b=2;c", "a=1", Ok(0));
        for query in ["a=1;jwt=y", ";jwt=y", "jwt=y;a=1", "jwt=y;", "a;website_token=x", "website_token=x&a;jwt=y"] {
            check(&ping(), query, "a=1", Err(EnvelopeError::DisguisedField));
        }
        check(&ping(), "jwt=y&a;jwt=y", "a=1", Err(EnvelopeError::PlaceTwice));
        for query in ["contact=x", "contact[email]=x", "Contact[email]=x", "message[answers]=x", "user_id=7"] {
            check(&json_operation(), query, "{}", Err(EnvelopeError::QueryDocument));
        }
        for query in ["company[plan]=x", "custom_attributes[plan]=x", "intercom_user_jwt=x", "user_hash=x"] {
            check(&root_operation(), query, "{}", Err(EnvelopeError::QueryDocument));
        }
        check(&root_operation(), "website_token=x&locale=en", "{}", Ok(0));
    }
}
