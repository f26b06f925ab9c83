//! The words of the policy files: what `observe`, `identified` or `user_hash` mean.

use super::algorithm::Algorithm;
use super::gateway::{HttpVersion, OnFailure, ReadBack};
use super::reader::Keyword;
use super::workspace::{
    Admission, EncryptedPayload, Expiry, KeyUse, OnMisfit, OnReplace, OnSessionEnd, Replay, Require, SecretEncoding,
};
use crate::decision::{Collect, Kind, Lock, Mode, Unlisted};

/// Gives an enum its words, for the reader and for the schema. A variant without a word does not compile.
macro_rules! keywords {
    ($type:ident: $($word:literal => $variant:path),+ $(,)?) => {
        impl $crate::policy::reader::Keyword for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $variant)),+];
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($word),+] })
            }
        }

        const _: fn($type) = |word| match word {
            $($variant => {})+
        };
    };
}
pub(super) use keywords;

keywords!(Mode: "off" => Mode::Off, "observe" => Mode::Observe, "enforce" => Mode::Enforce);
keywords!(Lock: "off" => Lock::Off, "observe" => Lock::Observe, "enforce" => Lock::Enforce);
keywords!(Unlisted: "drop" => Unlisted::Drop, "observe" => Unlisted::Observe, "keep" => Unlisted::Keep);
keywords!(Collect: "never" => Collect::Never, "leads" => Collect::Leads);
keywords!(
    Kind: "scalar" => Kind::Scalar,
    "text" => Kind::Text,
    "integer" => Kind::Integer,
    "number" => Kind::Number,
    "boolean" => Kind::Boolean,
    "date" => Kind::Date,
    "email" => Kind::Email,
    "url" => Kind::Url,
    "list" => Kind::List,
    "object" => Kind::Object,
    "any" => Kind::Any,
);
keywords!(Admission: "refuse" => Admission::Refuse, "allow" => Admission::Allow);
keywords!(OnMisfit: "drop" => OnMisfit::Drop, "refuse" => OnMisfit::Refuse);
keywords!(OnReplace: "refuse" => OnReplace::Refuse, "allow" => OnReplace::Allow);
keywords!(Require: "never" => Require::Never, "identified" => Require::Identified, "always" => Require::Always);
keywords!(
    Replay: "allow" => Replay::Allow,
    "single_use" => Replay::SingleUse,
    "first_origin" => Replay::FirstOrigin,
    "first_session" => Replay::FirstSession,
);
keywords!(OnSessionEnd: "keep" => OnSessionEnd::Keep, "revoke" => OnSessionEnd::Revoke);
keywords!(Expiry: "required" => Expiry::Required, "optional" => Expiry::Optional);
keywords!(
    Algorithm: "HS256" => Algorithm::Hs256,
    "HS384" => Algorithm::Hs384,
    "HS512" => Algorithm::Hs512,
    "RS256" => Algorithm::Rs256,
    "RS384" => Algorithm::Rs384,
    "RS512" => Algorithm::Rs512,
    "PS256" => Algorithm::Ps256,
    "PS384" => Algorithm::Ps384,
    "PS512" => Algorithm::Ps512,
    "ES256" => Algorithm::Es256,
    "ES384" => Algorithm::Es384,
    "ES512" => Algorithm::Es512,
    "EdDSA" => Algorithm::EdDsa,
);
keywords!(
    SecretEncoding: "text" => SecretEncoding::Text,
    "base64url" => SecretEncoding::Base64Url,
    "hex" => SecretEncoding::Hex,
);
keywords!(
    KeyUse: "jwt" => KeyUse::Jwt,
    "user_hash" => KeyUse::UserHash,
    "encrypted_payload" => KeyUse::EncryptedPayload,
    "collector_ticket" => KeyUse::CollectorTicket,
);
keywords!(
    EncryptedPayload: "refuse" => EncryptedPayload::Refuse,
    "open" => EncryptedPayload::Open,
    "drop" => EncryptedPayload::Drop,
);
keywords!(OnFailure: "closed" => OnFailure::Closed, "open" => OnFailure::Open);
keywords!(ReadBack: "on" => ReadBack::On, "off" => ReadBack::Off);
keywords!(HttpVersion: "1.1" => HttpVersion::Http1, "2" => HttpVersion::Http2);

/// The word for `meaning`, as a policy file spells it.
#[must_use]
pub fn word<K: Keyword + PartialEq>(meaning: K) -> &'static str {
    K::WORDS.iter().find(|(_, known)| *known == meaning).map_or("", |(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_and_its_meaning_are_one_to_one() {
        assert_eq!(word(Lock::Enforce), "enforce");
        assert_eq!(word(Kind::Email), "email");
        let words: std::collections::BTreeSet<_> = Kind::WORDS.iter().map(|(word, _)| word).collect();
        assert_eq!(words.len(), Kind::WORDS.len());
    }
}
