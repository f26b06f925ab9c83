//! Points of edwards25519 that are no keys.

/// The points whose order divides 8, as they are written down (RFC 8032 §5.1.2), also in ways that the rule does not allow and readers take:
/// y alone, without the bit of x. Under the neutral one, one signature holds for every message; under the others, for some of them.
const SMALL_ORDER: [[u8; 32]; 7] = [
    little_endian(0, 0, 0x00),
    little_endian(1, 0, 0x00),
    // The prime less one, the prime, the prime and one.
    little_endian(0xec, 0xff, 0x7f),
    little_endian(0xed, 0xff, 0x7f),
    little_endian(0xee, 0xff, 0x7f),
    // Those of order 8.
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
];

const fn little_endian(first: u8, rest: u8, last: u8) -> [u8; 32] {
    let mut bytes = [rest; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// The bit of x.
const SIGN: u8 = 0x80;

/// Whether a point, as a public key writes it, is of small order. The library does not ask.
pub(super) fn is_of_small_order(point: &[u8]) -> bool {
    let Some((last, rest)) = point.split_last() else { return true };
    SMALL_ORDER.iter().any(|small| small.split_last() == Some((&(last & !SIGN), rest)))
}
