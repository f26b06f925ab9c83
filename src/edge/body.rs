//! The body type of every answer, whoever made it.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// Whatever went wrong while a body was streamed. Its words stay inside.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type Body = BoxBody<Bytes, BoxError>;

/// A body that is known whole.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// No body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A body that comes piece by piece, such as an upstream's.
#[must_use]
pub fn streaming<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed()
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[tokio::test]
    async fn bodies_say_their_length_where_it_is_known() {
        assert_eq!(full("four").size_hint().exact(), Some(4));
        assert_eq!(empty().size_hint().exact(), Some(0));
        assert!(empty().is_end_stream());
        let streamed = streaming(Full::new(Bytes::from_static(b"four")));
        assert_eq!(streamed.collect().await.expect("a body").to_bytes(), "four");
    }
}
