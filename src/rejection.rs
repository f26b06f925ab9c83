//! Why a request is refused: one enum, its tables.
//!
//! The code is for records, metrics and runbooks; the status is for the client's program; the words are for whoever reads the answer,
//! and are the same for causes that an attacker must not be able to tell apart.

use http::{Method, StatusCode};

use crate::edge::ClientCertificateRefusal;
use crate::edge::at_once::TooManyAtOnce;
use crate::edge::fetch_metadata::FetchRefusal;
use crate::edge::hygiene::HygieneError;
use crate::edge::origin::OriginRefusal;
use crate::edge::rates::{Exceeded, Limited};
use crate::edge::read_body::BodyError;
use crate::edge::room::NoRoom;
use crate::envelope::{EnvelopeError, JsonError};
use crate::identity::{IdentityError, ProofError, TokenError, WebhookError};
use crate::profile::RouteError;
use crate::upstream::{HandshakeError, UpstreamError};

/// Why a request was refused as a whole. Leaving out an attribute is no refusal.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    #[error(transparent)]
    Hygiene(#[from] HygieneError),
    #[error("no operation has this path")]
    RouteUnknown,
    #[error("the operation does not take this method")]
    MethodNotAllowed(Vec<Method>),
    #[error(transparent)]
    Origin(#[from] OriginRefusal),
    /// From this address nobody may call the operation.
    #[error("the address is not allowed")]
    AddressNotAllowed,
    /// What the browser says of the request by itself speaks against it.
    #[error(transparent)]
    Fetch(#[from] FetchRefusal),
    /// A server-to-server operation was called from a browser.
    #[error("a browser's origin on a server's operation")]
    ServerOnly,
    /// The client's certificate, or that there is none.
    #[error(transparent)]
    ClientCertificate(#[from] ClientCertificateRefusal),
    #[error(transparent)]
    Webhook(WebhookError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("no workspace of that name")]
    WorkspaceUnknown,
    #[error("two workspaces are named")]
    WorkspaceTwice,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Attributes under an encryption that is not opened here.
    #[error("a sealed payload")]
    Sealed,
    /// Two different collector tickets: which of them is meant is not known.
    #[error("two different tickets")]
    TwoTickets,
    /// The policy refuses requests with a value of the wrong type.
    #[error("a value of the wrong type")]
    Misfit,
    /// Nothing of the update was left, and an empty one would mean something else.
    #[error("nothing is left of the update")]
    NothingLeft,
    /// The operation clears what it does not name, and a locked attribute is among that.
    #[error("would erase a locked attribute")]
    ErasesLocked,
    /// A token that the backend reads carries a secret, and nobody can take it out.
    #[error("a secret in a token")]
    SecretSigned,
    /// Whether a proof was taken back or used up cannot be known now.
    #[error("the state has no answer")]
    StateUnavailable,
    /// Somebody has asked too often of late.
    #[error(transparent)]
    Rate(#[from] Exceeded),
    /// The address has too many requests under way, or left too many.
    #[error(transparent)]
    AtOnce(#[from] TooManyAtOnce),
    /// The bodies that are held already leave none.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// What was written did not read back as what was judged, or a bug.
    #[error("internal")]
    Internal,
}

impl From<WebhookError> for Rejection {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::StateUnavailable => Rejection::StateUnavailable,
            WebhookError::Missing
            | WebhookError::Malformed
            | WebhookError::Bad
            | WebhookError::Stale
            | WebhookError::Replayed => Rejection::Webhook(error),
        }
    }
}

impl From<RouteError> for Rejection {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Unknown => Rejection::RouteUnknown,
            RouteError::Method(methods) => Rejection::MethodNotAllowed(methods),
        }
    }
}

/// Whose the fault is: what shape the answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    Client,
    IdentityMissing,
    IdentityBad,
    Gateway,
    Upstream,
}

impl Rejection {
    /// The stable name, in records, metrics and runbooks.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::Hygiene(error) => hygiene_code(*error),
            Rejection::RouteUnknown => "route_unknown",
            Rejection::MethodNotAllowed(_) => "method_not_allowed",
            Rejection::Origin(OriginRefusal::Missing) => "origin_missing",
            Rejection::Origin(OriginRefusal::Null) => "origin_null",
            Rejection::Origin(OriginRefusal::Repeated) => "origin_repeated",
            Rejection::Origin(OriginRefusal::Malformed) => "origin_malformed",
            Rejection::Origin(OriginRefusal::Untrusted) => "origin_untrusted",
            Rejection::AddressNotAllowed => "address_not_allowed",
            Rejection::Fetch(FetchRefusal::Malformed) => "fetch_malformed",
            Rejection::Fetch(FetchRefusal::Site) => "fetch_site",
            Rejection::Fetch(FetchRefusal::Mode) => "fetch_mode",
            Rejection::Fetch(FetchRefusal::Dest) => "fetch_dest",
            Rejection::ServerOnly => "server_only",
            Rejection::ClientCertificate(refusal) => client_certificate_code(*refusal),
            Rejection::Webhook(error) => webhook_code(*error),
            Rejection::Body(BodyError::TooLarge) => "body_too_large",
            Rejection::Body(BodyError::Timeout) => "body_timeout",
            Rejection::Body(BodyError::ClientGone) => "client_gone",
            Rejection::Body(BodyError::Malformed) => "body_malformed",
            Rejection::Body(BodyError::NoRoom) | Rejection::NoRoom(_) => "no_room",
            Rejection::Rate(exceeded) => rate_code(exceeded.limited),
            Rejection::AtOnce(TooManyAtOnce::UnderWay) => "requests_at_once",
            Rejection::AtOnce(TooManyAtOnce::Abandoned) => "requests_abandoned",
            Rejection::Envelope(error) => envelope_code(*error),
            Rejection::WorkspaceUnknown => "workspace_unknown",
            Rejection::WorkspaceTwice => "workspace_twice",
            Rejection::Identity(error) => error.code(),
            Rejection::Sealed => "sealed_payload",
            Rejection::TwoTickets => "two_tickets",
            Rejection::Misfit => "misfit",
            Rejection::NothingLeft => "nothing_left",
            Rejection::ErasesLocked => "erases_locked",
            Rejection::SecretSigned => "secret_signed",
            Rejection::StateUnavailable => "state_unavailable",
            Rejection::Handshake(HandshakeError::Request) => "websocket_request",
            Rejection::Handshake(HandshakeError::Upgrade) => "websocket_upgrade",
            Rejection::Handshake(HandshakeError::Version) => "websocket_version",
            Rejection::Handshake(HandshakeError::Key) => "websocket_key",
            Rejection::Upstream(error) => upstream_code(error),
            Rejection::Internal => "internal",
        }
    }

    /// The status for the client's program (RFC 9110 §15), where the messenger has no shape of its own.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Rejection::Hygiene(HygieneError::Connect | HygieneError::Trace) | Rejection::MethodNotAllowed(_) => {
                StatusCode::METHOD_NOT_ALLOWED
            }
            Rejection::Hygiene(HygieneError::Misdirected) => StatusCode::MISDIRECTED_REQUEST,
            Rejection::Hygiene(HygieneError::Expectation) => StatusCode::EXPECTATION_FAILED,
            Rejection::Hygiene(HygieneError::TooManyHeaders | HygieneError::HeadTooLarge) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Rejection::Hygiene(HygieneError::Version) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Rejection::Hygiene(
                HygieneError::Target
                | HygieneError::Path(_)
                | HygieneError::Query
                | HygieneError::HostMissing
                | HygieneError::HostMismatch
                | HygieneError::HostSyntax
                | HygieneError::TransferEncoding
                | HygieneError::LengthAndTransferEncoding
                | HygieneError::ContentLength
                | HygieneError::Repeated(_)
                | HygieneError::Value(_)
                | HygieneError::ConnectionOption,
            )
            | Rejection::Body(BodyError::Malformed | BodyError::ClientGone)
            | Rejection::WorkspaceTwice
            | Rejection::Handshake(HandshakeError::Request | HandshakeError::Upgrade | HandshakeError::Key)
            | Rejection::Upstream(UpstreamError::ClientBody | UpstreamError::Target(_)) => StatusCode::BAD_REQUEST,
            Rejection::Rate(_) | Rejection::AtOnce(_) => StatusCode::TOO_MANY_REQUESTS,
            Rejection::RouteUnknown | Rejection::WorkspaceUnknown => StatusCode::NOT_FOUND,
            Rejection::Origin(_)
            | Rejection::AddressNotAllowed
            | Rejection::Fetch(_)
            | Rejection::ServerOnly
            | Rejection::ClientCertificate(_)
            | Rejection::Sealed
            | Rejection::TwoTickets
            | Rejection::NothingLeft
            | Rejection::ErasesLocked
            | Rejection::SecretSigned => StatusCode::FORBIDDEN,
            Rejection::Body(BodyError::TooLarge) | Rejection::Upstream(UpstreamError::RequestBodyTooLong) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Rejection::Body(BodyError::Timeout) | Rejection::Upstream(UpstreamError::ClientBodyTimeout) => {
                StatusCode::REQUEST_TIMEOUT
            }
            Rejection::Envelope(error) => envelope_status(*error),
            // The issuer is away, and the token may be as good as any.
            Rejection::Identity(KEYS_STALE) => StatusCode::SERVICE_UNAVAILABLE,
            Rejection::Identity(_) | Rejection::Webhook(_) => StatusCode::UNAUTHORIZED,
            Rejection::Misfit => StatusCode::UNPROCESSABLE_ENTITY,
            Rejection::Handshake(HandshakeError::Version) => StatusCode::UPGRADE_REQUIRED,
            Rejection::StateUnavailable
            | Rejection::NoRoom(_)
            | Rejection::Body(BodyError::NoRoom)
            | Rejection::Upstream(UpstreamError::Saturated) => StatusCode::SERVICE_UNAVAILABLE,
            Rejection::Upstream(UpstreamError::ConnectTimeout | UpstreamError::ResponseTimeout) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Rejection::Upstream(
                UpstreamError::Connect(_)
                | UpstreamError::Tls(_)
                | UpstreamError::Closed(_)
                | UpstreamError::Garbage(_)
                | UpstreamError::Framing
                | UpstreamError::Switched,
            ) => StatusCode::BAD_GATEWAY,
            Rejection::Upstream(UpstreamError::Unknown) | Rejection::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Words for whoever reads the answer. They name no attribute, no path and no cause that is nobody's business.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Rejection::Hygiene(HygieneError::Misdirected) => "This connection is not for that host",
            Rejection::Hygiene(HygieneError::TooManyHeaders) => "Too many header fields",
            Rejection::Hygiene(HygieneError::HeadTooLarge) => "The head is too large",
            Rejection::Hygiene(_) => "Not an HTTP request that every server reads alike",
            Rejection::RouteUnknown | Rejection::WorkspaceUnknown | Rejection::WorkspaceTwice => "Nothing here",
            Rejection::MethodNotAllowed(_) => "Not a method of this resource",
            Rejection::AddressNotAllowed => "Not from this address",
            Rejection::Origin(_) | Rejection::Fetch(_) | Rejection::ServerOnly => "Not from this origin",
            Rejection::ClientCertificate(_) => "Not from this client",
            Rejection::Body(BodyError::TooLarge) | Rejection::Upstream(UpstreamError::RequestBodyTooLong) => {
                "The body is too large"
            }
            Rejection::Body(BodyError::Timeout) | Rejection::Upstream(UpstreamError::ClientBodyTimeout) => {
                "The body took too long"
            }
            Rejection::Body(BodyError::ClientGone | BodyError::Malformed)
            | Rejection::Upstream(UpstreamError::ClientBody | UpstreamError::Target(_)) => "The request is broken",
            Rejection::Envelope(error) => envelope_words(*error),
            Rejection::Identity(KEYS_STALE) => "Identities cannot be verified at the moment",
            Rejection::Identity(_) | Rejection::Sealed | Rejection::TwoTickets => "The identity could not be verified",
            Rejection::Misfit | Rejection::NothingLeft | Rejection::ErasesLocked | Rejection::SecretSigned => {
                "The update is not allowed"
            }
            Rejection::Webhook(_) => "The signature could not be verified",
            Rejection::Handshake(_) => "Not a WebSocket handshake",
            Rejection::Upstream(
                UpstreamError::Unknown
                | UpstreamError::Saturated
                | UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::Tls(_)
                | UpstreamError::ResponseTimeout
                | UpstreamError::Closed(_)
                | UpstreamError::Garbage(_)
                | UpstreamError::Framing
                | UpstreamError::Switched,
            ) => "The service behind does not answer",
            Rejection::Rate(_) | Rejection::AtOnce(_) => "Too many requests",
            Rejection::StateUnavailable | Rejection::NoRoom(_) | Rejection::Body(BodyError::NoRoom) => {
                "Not now: ask again in a moment"
            }
            Rejection::Internal => "Something went wrong here",
        }
    }

    /// `Proxy-Status` (RFC 9209 §2.3): that the answer is ours, and of what kind.
    #[must_use]
    pub fn proxy_status(&self) -> &'static str {
        match self {
            Rejection::Upstream(UpstreamError::Saturated) => "countersign; error=connection_limit_reached",
            Rejection::Upstream(UpstreamError::Connect(_)) => "countersign; error=connection_refused",
            Rejection::Upstream(UpstreamError::ConnectTimeout) => "countersign; error=connection_timeout",
            Rejection::Upstream(UpstreamError::Tls(_)) => "countersign; error=tls_protocol_error",
            Rejection::Upstream(UpstreamError::ResponseTimeout) => "countersign; error=http_response_timeout",
            Rejection::Upstream(UpstreamError::Closed(_)) => "countersign; error=connection_terminated",
            Rejection::Upstream(UpstreamError::Garbage(_) | UpstreamError::Framing) => {
                "countersign; error=http_protocol_error"
            }
            Rejection::Upstream(UpstreamError::Switched) => "countersign; error=http_upgrade_failed",
            Rejection::StateUnavailable
            | Rejection::NoRoom(_)
            | Rejection::Body(BodyError::NoRoom)
            | Rejection::Upstream(UpstreamError::Unknown)
            | Rejection::Internal
            | Rejection::Identity(KEYS_STALE) => "countersign; error=proxy_internal_error",
            Rejection::Upstream(
                UpstreamError::RequestBodyTooLong
                | UpstreamError::ClientBody
                | UpstreamError::ClientBodyTimeout
                | UpstreamError::Target(_),
            )
            | Rejection::Hygiene(_)
            | Rejection::Body(
                BodyError::TooLarge | BodyError::Timeout | BodyError::ClientGone | BodyError::Malformed,
            )
            | Rejection::Envelope(_)
            | Rejection::MethodNotAllowed(_)
            | Rejection::RouteUnknown
            | Rejection::WorkspaceUnknown
            | Rejection::WorkspaceTwice
            | Rejection::Handshake(_) => "countersign; error=http_request_error",
            Rejection::Origin(_)
            | Rejection::AddressNotAllowed
            | Rejection::Fetch(_)
            | Rejection::Rate(_)
            | Rejection::AtOnce(_)
            | Rejection::ServerOnly
            | Rejection::ClientCertificate(_)
            | Rejection::Webhook(_)
            | Rejection::Identity(_)
            | Rejection::Sealed
            | Rejection::TwoTickets
            | Rejection::Misfit
            | Rejection::NothingLeft
            | Rejection::ErasesLocked
            | Rejection::SecretSigned => "countersign; error=http_request_denied",
        }
    }

    /// Whose the fault is.
    #[must_use]
    pub fn party(&self) -> Party {
        match self {
            Rejection::Identity(IdentityError::Missing) => Party::IdentityMissing,
            // Not in the shape for bad tokens: a widget would throw away one that is good.
            Rejection::Identity(KEYS_STALE) => Party::Gateway,
            Rejection::Identity(IdentityError::Bad(_)) | Rejection::Sealed => Party::IdentityBad,
            Rejection::Upstream(error) => match error {
                UpstreamError::RequestBodyTooLong
                | UpstreamError::ClientBody
                | UpstreamError::ClientBodyTimeout
                | UpstreamError::Target(_) => Party::Client,
                UpstreamError::Unknown => Party::Gateway,
                UpstreamError::Saturated
                | UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::Tls(_)
                | UpstreamError::ResponseTimeout
                | UpstreamError::Closed(_)
                | UpstreamError::Garbage(_)
                | UpstreamError::Framing
                | UpstreamError::Switched => Party::Upstream,
            },
            Rejection::StateUnavailable
            | Rejection::NoRoom(_)
            | Rejection::Body(BodyError::NoRoom)
            | Rejection::Internal => Party::Gateway,
            Rejection::Hygiene(_)
            | Rejection::Rate(_)
            | Rejection::AtOnce(_)
            | Rejection::RouteUnknown
            | Rejection::MethodNotAllowed(_)
            | Rejection::Origin(_)
            | Rejection::AddressNotAllowed
            | Rejection::Fetch(_)
            | Rejection::ServerOnly
            | Rejection::ClientCertificate(_)
            | Rejection::Webhook(_)
            | Rejection::Body(
                BodyError::TooLarge | BodyError::Timeout | BodyError::ClientGone | BodyError::Malformed,
            )
            | Rejection::Envelope(_)
            | Rejection::WorkspaceUnknown
            | Rejection::WorkspaceTwice
            | Rejection::TwoTickets
            | Rejection::Misfit
            | Rejection::NothingLeft
            | Rejection::ErasesLocked
            | Rejection::SecretSigned
            | Rejection::Handshake(_) => Party::Client,
        }
    }

    /// Whether the connection cannot be trusted to begin the next request where we think it does, or has no next one that would be served.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        match self {
            Rejection::Hygiene(error) => match error {
                HygieneError::Connect
                | HygieneError::Target
                | HygieneError::HostMissing
                | HygieneError::HostMismatch
                | HygieneError::HostSyntax
                | HygieneError::TransferEncoding
                | HygieneError::LengthAndTransferEncoding
                | HygieneError::ContentLength
                | HygieneError::Repeated(_)
                | HygieneError::Value(_)
                | HygieneError::ConnectionOption
                | HygieneError::TooManyHeaders
                | HygieneError::HeadTooLarge
                | HygieneError::Version => true,
                HygieneError::Trace
                | HygieneError::Path(_)
                | HygieneError::Query
                | HygieneError::Misdirected
                | HygieneError::Expectation => false,
            },
            // What is left of the body is not to be read.
            Rejection::Body(_) | Rejection::NoRoom(_) => true,
            Rejection::Upstream(
                UpstreamError::RequestBodyTooLong | UpstreamError::ClientBody | UpstreamError::ClientBodyTimeout,
            ) => true,
            // On a new one a client can show what is missing.
            Rejection::ClientCertificate(ClientCertificateRefusal::Demanded) => true,
            Rejection::RouteUnknown
            | Rejection::Rate(_)
            | Rejection::AtOnce(_)
            | Rejection::MethodNotAllowed(_)
            | Rejection::Origin(_)
            | Rejection::AddressNotAllowed
            | Rejection::Fetch(_)
            | Rejection::ServerOnly
            | Rejection::ClientCertificate(
                ClientCertificateRefusal::Missing
                | ClientCertificateRefusal::Unlisted
                | ClientCertificateRefusal::Expired
                | ClientCertificateRefusal::Withdrawn,
            )
            | Rejection::Webhook(_)
            | Rejection::Envelope(_)
            | Rejection::WorkspaceUnknown
            | Rejection::WorkspaceTwice
            | Rejection::Identity(_)
            | Rejection::Sealed
            | Rejection::TwoTickets
            | Rejection::Misfit
            | Rejection::NothingLeft
            | Rejection::ErasesLocked
            | Rejection::SecretSigned
            | Rejection::Handshake(_)
            | Rejection::Upstream(
                UpstreamError::Unknown
                | UpstreamError::Saturated
                | UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::Tls(_)
                | UpstreamError::Target(_)
                | UpstreamError::ResponseTimeout
                | UpstreamError::Closed(_)
                | UpstreamError::Garbage(_)
                | UpstreamError::Framing
                | UpstreamError::Switched,
            )
            | Rejection::StateUnavailable
            | Rejection::Internal => false,
        }
    }
}

/// The one failure of a proof that is ours and passes by itself.
const KEYS_STALE: IdentityError = IdentityError::Bad(ProofError::Token(TokenError::KeysStale));

fn rate_code(limited: Limited) -> &'static str {
    match limited {
        // Those whose handshake is refused never ask.
        Limited::Handshakes | Limited::HandshakesPerAddress | Limited::Address => "rate_address",
        Limited::Origin => "rate_origin",
        Limited::Workspace => "rate_workspace",
        Limited::Subject => "rate_subject",
        Limited::FailingProofs => "rate_failing_proofs",
        Limited::Penalty => "proof_penalty",
    }
}

fn hygiene_code(error: HygieneError) -> &'static str {
    match error {
        HygieneError::Connect => "method_connect",
        HygieneError::Trace => "method_trace",
        HygieneError::Target => "target",
        HygieneError::Path(_) => "path",
        HygieneError::Query => "query",
        HygieneError::HostMissing => "host_missing",
        HygieneError::HostMismatch => "host_mismatch",
        HygieneError::HostSyntax => "host_syntax",
        HygieneError::Misdirected => "misdirected",
        HygieneError::TransferEncoding => "transfer_encoding",
        HygieneError::LengthAndTransferEncoding => "length_and_transfer_encoding",
        HygieneError::ContentLength => "content_length",
        HygieneError::Repeated(_) => "header_repeated",
        HygieneError::Value(_) => "header_value",
        HygieneError::ConnectionOption => "connection_option",
        HygieneError::Expectation => "expectation",
        HygieneError::TooManyHeaders => "too_many_headers",
        HygieneError::HeadTooLarge => "head_too_large",
        HygieneError::Version => "http_version",
    }
}

fn client_certificate_code(refusal: ClientCertificateRefusal) -> &'static str {
    match refusal {
        ClientCertificateRefusal::Missing | ClientCertificateRefusal::Demanded => "client_certificate_missing",
        ClientCertificateRefusal::Unlisted => "client_certificate_unlisted",
        ClientCertificateRefusal::Expired => "client_certificate_expired",
        ClientCertificateRefusal::Withdrawn => "client_certificate_withdrawn",
    }
}

fn webhook_code(error: WebhookError) -> &'static str {
    match error {
        WebhookError::Missing => "webhook_missing",
        WebhookError::Malformed => "webhook_malformed",
        WebhookError::Bad => "webhook_bad",
        WebhookError::Stale => "webhook_stale",
        WebhookError::Replayed => "webhook_replayed",
        WebhookError::StateUnavailable => "state_unavailable",
    }
}

fn upstream_code(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Unknown => "upstream_unknown",
        UpstreamError::Saturated => "upstream_saturated",
        UpstreamError::Connect(_) => "upstream_connect",
        UpstreamError::ConnectTimeout => "upstream_connect_timeout",
        UpstreamError::Tls(_) => "upstream_tls",
        UpstreamError::Target(_) => "upstream_target",
        UpstreamError::ResponseTimeout => "upstream_timeout",
        UpstreamError::Closed(_) => "upstream_closed",
        UpstreamError::Garbage(_) | UpstreamError::Framing => "upstream_garbage",
        UpstreamError::Switched => "upstream_switched",
        UpstreamError::RequestBodyTooLong => "body_too_large",
        UpstreamError::ClientBody => "client_gone",
        UpstreamError::ClientBodyTimeout => "body_timeout",
    }
}

fn envelope_code(error: EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::ContentType => "content_type",
        EnvelopeError::Coding => "content_coding",
        EnvelopeError::CorruptCoding => "content_coding_corrupt",
        EnvelopeError::InflateLimit => "inflate_limit",
        EnvelopeError::InflateRatio => "inflate_ratio",
        EnvelopeError::UnexpectedBody => "body_unexpected",
        EnvelopeError::MissingBody => "body_missing",
        EnvelopeError::Streamed => "body_streamed",
        EnvelopeError::NotUtf8 => "not_utf8",
        EnvelopeError::Percent => "percent_encoding",
        EnvelopeError::Nul => "nul",
        EnvelopeError::TooManyFields => "too_many_fields",
        EnvelopeError::NameTooLong => "name_too_long",
        EnvelopeError::TextTooLong => "text_too_long",
        EnvelopeError::Json(error) => json_code(error),
        EnvelopeError::Brackets(_) => "brackets",
        EnvelopeError::DocumentTwice => "document_twice",
        EnvelopeError::StrayDocument => "document_stray",
        EnvelopeError::QueryDocument => "document_in_query",
        EnvelopeError::DisguisedField => "disguised_field",
        EnvelopeError::MethodOverride => "method_override",
        EnvelopeError::PlaceTwice => "place_twice",
        EnvelopeError::PlacesDisagree => "places_disagree",
        EnvelopeError::PlaceNotText => "place_not_text",
        EnvelopeError::NotAnObject => "not_an_object",
        EnvelopeError::NotAList => "not_a_list",
        EnvelopeError::NameNotText => "name_not_text",
    }
}

fn json_code(error: JsonError) -> &'static str {
    match error {
        JsonError::NotUtf8 => "json_not_utf8",
        JsonError::ByteOrderMark => "json_byte_order_mark",
        JsonError::Syntax => "json_syntax",
        JsonError::TrailingBytes => "json_trailing_bytes",
        JsonError::NameTwice => "json_name_twice",
        JsonError::LoneSurrogate => "json_lone_surrogate",
        JsonError::Nul => "json_nul",
        JsonError::NumberOutOfRange => "json_number_out_of_range",
        JsonError::TooDeep => "json_too_deep",
        JsonError::TooManyValues => "json_too_many_values",
        JsonError::NameTooLong => "json_name_too_long",
        JsonError::TextTooLong => "json_text_too_long",
        JsonError::NumberTooLong => "json_number_too_long",
    }
}

fn envelope_status(error: EnvelopeError) -> StatusCode {
    match error {
        EnvelopeError::ContentType | EnvelopeError::Coding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        EnvelopeError::InflateLimit | EnvelopeError::InflateRatio => StatusCode::PAYLOAD_TOO_LARGE,
        EnvelopeError::MissingBody => StatusCode::LENGTH_REQUIRED,
        EnvelopeError::CorruptCoding
        | EnvelopeError::UnexpectedBody
        | EnvelopeError::Streamed
        | EnvelopeError::NotUtf8
        | EnvelopeError::Percent
        | EnvelopeError::Nul
        | EnvelopeError::TooManyFields
        | EnvelopeError::NameTooLong
        | EnvelopeError::TextTooLong
        | EnvelopeError::Json(_)
        | EnvelopeError::Brackets(_)
        | EnvelopeError::DocumentTwice
        | EnvelopeError::StrayDocument
        | EnvelopeError::QueryDocument
        | EnvelopeError::DisguisedField
        | EnvelopeError::MethodOverride
        | EnvelopeError::PlaceTwice
        | EnvelopeError::PlacesDisagree
        | EnvelopeError::PlaceNotText
        | EnvelopeError::NotAnObject
        | EnvelopeError::NotAList
        | EnvelopeError::NameNotText => StatusCode::BAD_REQUEST,
    }
}

fn envelope_words(error: EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::ContentType => "Not the type of body that belongs here",
        EnvelopeError::Coding => "Not a content coding that is understood here",
        EnvelopeError::InflateLimit | EnvelopeError::InflateRatio => "The body is too large",
        EnvelopeError::MissingBody => "A body is missing",
        EnvelopeError::UnexpectedBody => "No body belongs here",
        EnvelopeError::CorruptCoding
        | EnvelopeError::Streamed
        | EnvelopeError::NotUtf8
        | EnvelopeError::Percent
        | EnvelopeError::Nul
        | EnvelopeError::TooManyFields
        | EnvelopeError::NameTooLong
        | EnvelopeError::TextTooLong
        | EnvelopeError::Json(_)
        | EnvelopeError::Brackets(_)
        | EnvelopeError::DocumentTwice
        | EnvelopeError::StrayDocument
        | EnvelopeError::QueryDocument
        | EnvelopeError::DisguisedField
        | EnvelopeError::MethodOverride
        | EnvelopeError::PlaceTwice
        | EnvelopeError::PlacesDisagree
        | EnvelopeError::PlaceNotText
        | EnvelopeError::NotAnObject
        | EnvelopeError::NotAList
        | EnvelopeError::NameNotText => "Not a body that every server reads alike",
    }
}
