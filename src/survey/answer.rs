//! What a server answers to a hello, up to the point where it waits for us (RFC 8446 §4.1.3, RFC 5246 §7.4). Nothing of it is believed: it is
//! read as strictly as is needed to know what was chosen.

/// What the server chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// On the wire, and for TLS 1.3 what its extension says.
    pub version: u16,
    pub suite: u16,
    pub compresses: bool,
    pub renegotiates_safely: bool,
    pub staples: bool,
    pub group: Option<u16>,
    pub dh_bits: Option<usize>,
    /// DER, the host's own first.
    pub chain: Vec<Vec<u8>>,
}

/// How far the answer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come; what is known so far, once a choice is made.
    More(Option<Answer>),
    Done(Answer),
    /// An alert, with its number.
    Refused(u8),
    /// No TLS.
    Garbage,
}

/// Certificates of one chain; more are not looked at.
const CHAIN_MAX: usize = 16;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Reads what has come so far.
pub(super) fn read(bytes: &[u8]) -> Progress {
    let mut messages = Vec::new();
    let mut alert = None;
    let mut records = Reader(bytes);
    while !records.0.is_empty() {
        let Some((kind, record)) = records.record() else {
            // A record that is half here is none yet; one that is none never will be. Behind a choice there may be what is not for us:
            // `change_cipher_spec`, for machines in between (RFC 8446 §D.4).
            let is_other = records.0.first().is_some_and(|kind| !matches!(*kind, ALERT | HANDSHAKE));
            if is_other && messages.is_empty() {
                return Progress::Garbage;
            }
            break;
        };
        match (kind, record) {
            (HANDSHAKE, record) => messages.extend_from_slice(record),
            (ALERT, [_, number, ..]) => {
                alert = Some(*number);
                break;
            }
            (_, _) => return Progress::Garbage,
        }
    }
    let mut answer = None;
    let mut messages = Reader(&messages);
    while let Some((kind, body)) = messages.message() {
        let read = match (kind, &mut answer) {
            (2, None) => match server_hello(body) {
                Some((answer, true)) => return Progress::Done(answer),
                Some((first, false)) => {
                    answer = Some(first);
                    Some(())
                }
                None => None,
            },
            (11, Some(answer)) => certificates(body, answer),
            (12, Some(answer)) => {
                key_exchange(body, answer);
                Some(())
            }
            (22, Some(answer)) => {
                answer.staples = true;
                Some(())
            }
            // It asks for a certificate of ours, or names a session ticket.
            (4 | 13, Some(_)) => Some(()),
            (14, Some(answer)) => return Progress::Done(std::mem::take(answer)),
            (_, _) => None,
        };
        if read.is_none() {
            return Progress::Garbage;
        }
    }
    match (alert, answer) {
        (Some(number), None) => Progress::Refused(number),
        // What was chosen was chosen, also where the end did not come.
        (Some(_), Some(answer)) => Progress::Done(answer),
        (None, answer) => Progress::More(answer),
    }
}

/// The choice, and whether nothing more can be read of it: in TLS 1.3 all else is encrypted.
fn server_hello(body: &[u8]) -> Option<(Answer, bool)> {
    let mut body = Reader(body);
    let mut answer = Answer { version: body.u16()?, ..Answer::default() };
    body.take(32)?;
    body.within_u8()?;
    answer.suite = body.u16()?;
    answer.compresses = body.u8()? != 0;
    // Without extensions the message may end here.
    let mut extensions = Reader(if body.0.is_empty() { &[] } else { body.within_u16()?.0 });
    while !extensions.0.is_empty() {
        let (kind, mut content) = (extensions.u16()?, extensions.within_u16()?);
        match kind {
            43 => answer.version = content.u16()?,
            51 => answer.group = Some(content.u16()?),
            0xff01 => answer.renegotiates_safely = true,
            _ => {}
        }
    }
    let is_tls13 = answer.version >= 0x0304;
    Some((answer, is_tls13))
}

fn certificates(body: &[u8], answer: &mut Answer) -> Option<()> {
    let mut list = Reader(body).within_u24()?;
    while !list.0.is_empty() && answer.chain.len() < CHAIN_MAX {
        answer.chain.push(list.within_u24()?.0.to_vec());
    }
    Some(())
}

/// The group, where the suite has one. What else stands here (`ServerRSAParams` of export suites) says nothing that the suite does not.
fn key_exchange(body: &[u8], answer: &mut Answer) {
    let mut params = Reader(body);
    let name = super::suites::Suite::of(answer.suite).map_or("", |suite| suite.name);
    if name.starts_with("TLS_ECDH") {
        // A named curve; explicit ones nobody speaks.
        if params.u8() == Some(3) {
            answer.group = params.u16();
        }
    } else if name.starts_with("TLS_DH") {
        answer.dh_bits = params.within_u16().map(|prime| bits(prime.0));
    }
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = number.get(zeros..).unwrap_or_default();
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

/// Bytes that are read from the front.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn within_u8(&mut self) -> Option<Reader<'b>> {
        let length = self.u8()?;
        self.take(length.into()).map(Reader)
    }

    fn within_u16(&mut self) -> Option<Reader<'b>> {
        let length = self.u16()?;
        self.take(length.into()).map(Reader)
    }

    fn within_u24(&mut self) -> Option<Reader<'b>> {
        let (high, low) = (self.u8()?, self.u16()?);
        self.take((usize::from(high) << 16) | usize::from(low)).map(Reader)
    }

    /// A whole record; nothing is taken where it is not whole.
    fn record(&mut self) -> Option<(u8, &'b [u8])> {
        let mut ahead = Reader(self.0);
        let kind = ahead.u8().filter(|kind| matches!(*kind, ALERT | HANDSHAKE))?;
        ahead.take(2)?;
        let content = ahead.within_u16()?;
        self.0 = ahead.0;
        Some((kind, content.0))
    }

    /// The same of a handshake message.
    fn message(&mut self) -> Option<(u8, &'b [u8])> {
        let mut ahead = Reader(self.0);
        let kind = ahead.u8()?;
        let content = ahead.within_u24()?;
        self.0 = ahead.0;
        Some((kind, content.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's flight of TLS 1.2: hello with RFC 5746, a certificate of three bytes, a DH group, the end.
    fn flight() -> Vec<u8> {
        let message = |kind: u8, body: &[u8]| {
            let length = u16::try_from(body.len()).expect("short").to_be_bytes();
            [&[kind, 0][..], &length, body].concat()
        };
        let hello = [&[3, 3][..], &[9; 32], &[0, 0x00, 0x33, 1, 0, 5, 0xff, 0x01, 0, 1, 0]].concat();
        let prime = [&[0, 3, 0, 0x80, 1][..], &[0, 1, 2, 0, 1, 1]].concat();
        let messages =
            [message(2, &hello), message(11, &[0, 0, 6, 0, 0, 3, 1, 2, 3]), message(12, &prime), message(14, &[])]
                .concat();
        // In two records, one of them split within a message.
        let (first, second) = messages.split_at(20);
        let record = |content: &[u8]| {
            let length = u16::try_from(content.len()).expect("short").to_be_bytes();
            [&[22, 3, 3][..], &length, content].concat()
        };
        [record(first), record(second)].concat()
    }

    #[test]
    fn a_flight_is_read_to_its_end_and_no_part_of_it_is_taken_for_one() {
        let flight = flight();
        let Progress::Done(answer) = read(&flight) else { panic!("{:?}", read(&flight)) };
        assert_eq!((answer.version, answer.suite, answer.compresses), (0x0303, 0x0033, true));
        assert!(answer.renegotiates_safely && !answer.staples);
        assert_eq!((answer.dh_bits, answer.chain), (Some(16), vec![vec![1, 2, 3]]));
        for end in 0..flight.len() {
            assert!(matches!(read(&flight[..end]), Progress::More(_)), "{end}");
        }
    }

    #[test]
    fn alerts_and_what_is_no_tls_are_told_apart() {
        assert_eq!(read(&[21, 3, 1, 0, 2, 2, 70]), Progress::Refused(70));
        assert_eq!(read(b"HTTP/1.1 400 Bad Request"), Progress::Garbage);
        assert_eq!(read(&[]), Progress::More(None));
        assert_eq!(read(&[23, 3, 3, 0, 1, 0]), Progress::Garbage);
        // A certificate before a choice.
        assert_eq!(read(&[22, 3, 3, 0, 7, 11, 0, 0, 3, 0, 0, 0]), Progress::Garbage);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_fall_over(bytes in proptest::collection::vec(0_u8..=255, 0..200), at in 0_usize..100, byte in 0_u8..=255) {
            let _ = read(&bytes);
            let mut flight = flight();
            if let Some(one) = flight.get_mut(at) {
                *one = byte;
            }
            let _ = read(&flight);
        }
    }
}
