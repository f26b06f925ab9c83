use super::*;

const NOW: Duration = Duration::from_secs(7);

fn meter() -> FrameMeter {
    let mut meter = FrameMeter::new(1000, 10);
    meter.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NOW).expect("a preface");
    meter
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// After how many of these frames at once the connection ends, and with what.
fn ends(meter: &mut FrameMeter, frame: &[u8]) -> (u32, Excess) {
    for count in 1..100_000 {
        if let Err(excess) = meter.received(frame, NOW) {
            return (count, excess);
        }
    }
    panic!("never");
}

#[test]
fn each_kind_of_frame_has_its_allowance() {
    let table = [
        (frame(0x3, 0, 1, &[0, 0, 0, 8]), RESETS.at_once, Excess::Resets),
        (frame(0x6, 0, 0, &[0; 8]), PINGS.at_once, Excess::Pings),
        (frame(0x6, 1, 0, &[0; 8]), IDLE.at_once, Excess::Idle),
        (frame(0x4, 0, 0, &[]), SETTINGS.at_once, Excess::Settings),
        (frame(0x4, 1, 0, &[]), IDLE.at_once, Excess::Idle),
        (frame(0x8, 0, 1, &[0, 0, 0, 1]), WINDOW_UPDATES.at_once, Excess::WindowUpdates),
        (frame(0x0, 0, 1, &[]), SMALL_DATA.at_once, Excess::SmallData),
        (frame(0x0, 0, 1, b"x"), SMALL_DATA.at_once, Excess::SmallData),
        (frame(0x0, 0x8, 1, &[255; 256]), SMALL_DATA.at_once, Excess::SmallData),
        (frame(0x2, 0, 1, &[0; 5]), IDLE.at_once, Excess::Idle),
        (frame(0x10, 0, 0, b"u=1"), IDLE.at_once, Excess::Idle),
        (frame(0x7, 0, 0, &[0; 8]), IDLE.at_once, Excess::Idle),
        (frame(0xee, 0xff, 9, b""), IDLE.at_once, Excess::Idle),
        (frame(0x9, 0, 1, b""), CONTINUATIONS_MAX, Excess::Continuations),
    ];
    for (frame, at_once, excess) in table {
        assert_eq!(ends(&mut meter(), &frame), (at_once + 1, excess), "{excess}");
    }
}

#[test]
fn what_is_useful_is_never_too_much() {
    let mut meter = meter();
    let body = frame(0x0, 0, 1, &[b'x'; 4096]);
    let end = frame(0x0, 1, 1, &[]);
    for number in 0..10_000 {
        let request = frame(0x1, 0x4, 2 * number + 1, &[0x82, 0x87, 0x84, 0x41, 1, b'a']);
        for frame in [&request, &body, &end] {
            assert_eq!(meter.received(frame, NOW), Ok(Metered::default()));
        }
        // Each piece of an answer is answered by two window updates.
        assert_eq!(meter.sent(&frame(0x0, 0, 1, &[0; 4096]), NOW), Ok(Metered::default()));
        assert_eq!(meter.received(&frame(0x8, 0, 1, &[0, 0, 16, 0]), NOW), Ok(Metered::default()));
        assert_eq!(meter.received(&frame(0x8, 0, 0, &[0, 0, 16, 0]), NOW), Ok(Metered::default()));
    }
}

#[test]
fn a_window_of_one_byte_earns_nothing() {
    let mut meter = meter();
    let mut sent = 0;
    while meter.received(&frame(0x8, 0, 1, &[0, 0, 0, 1]), NOW).is_ok() {
        assert!(meter.sent(&frame(0x0, 0, 1, b"x"), NOW).is_ok());
        sent += 1;
    }
    assert!(sent < 1_010, "{sent}");
}

#[test]
fn resets_are_counted_on_both_ways() {
    let mut meter = meter();
    let calm = frame(0x3, 0, 1, &[0, 0, 0, 0]);
    let error = frame(0x3, 0, 1, &[0, 0, 0, 1]);
    for _ in 0..1_000 {
        assert_eq!(
            meter.sent(&calm, NOW),
            Ok(Metered { resets: 0 }),
            "an answer that came before the end of its request"
        );
    }
    for _ in 0..RESETS.at_once / 2 {
        assert_eq!(meter.sent(&error, NOW), Ok(Metered { resets: 1 }));
        assert_eq!(meter.received(&calm, NOW), Ok(Metered { resets: 1 }), "the client may call it what it likes");
    }
    assert_eq!(meter.sent(&error, NOW), Err(Excess::Resets));
}

#[test]
fn fields_are_counted_however_they_are_cut() {
    // As RFC 7541 spells them: indexed, literal with and without a name, never indexed, a change of the table's size, long lengths.
    let long = [&[0x40, 0x7f, 0x49][..], &[b'n'; 200], &[0x7f, 0xe9, 0x06], &[b'v'; 1000]].concat();
    let indexed_far = [0xff, 0x80, 0x01];
    let blocks: [(&[u8], usize); 9] = [
        (&[], 0),
        (&[0x82], 1),
        (&[0x82, 0x86, 0x84], 3),
        (&[0x40, 1, b'n', 1, b'v', 0x82], 2),
        (&[0x44, 1, b'v', 0x0f, 0x05, 1, b'v'], 2),
        (&[0x10, 0x81, b'n', 0x80, 0x82], 2),
        (&[0x3f, 0xe1, 0x1f, 0x20, 0x82], 3),
        (&indexed_far, 1),
        (&long, 1),
    ];
    for (block, count) in blocks {
        for size in [1, 2, 3, block.len().max(1)] {
            let mut counter = FieldCounter::default();
            for (at, piece) in block.chunks(size).enumerate() {
                let length = u32::try_from(piece.len()).expect("short");
                if at == 0 {
                    counter.begin(length, (false, false));
                } else {
                    counter.go_on(length);
                }
                counter.feed(piece);
            }
            assert_eq!(counter.count(), count, "{block:?} by {size}");
        }
    }
    // Neither padding nor priority is a field, also where they come byte by byte.
    let payload = [&[3][..], &[0x82; 5], &[0x82, 0x84], &[0x82; 3]].concat();
    let mut counter = FieldCounter::default();
    counter.begin(11, (true, true));
    for byte in &payload {
        counter.feed(&[*byte]);
    }
    assert_eq!(counter.count(), 2);
    // Padding longer than the frame is hyper's to refuse.
    counter.begin(2, (true, false));
    counter.feed(&[200, 0x82]);
    assert_eq!(counter.count(), 0);
}

#[test]
fn a_head_behind_a_body_is_none() {
    let open = [frame(0x1, 4, 1, &[0x82, 0x84]), frame(0x0, 0, 1, &[b'x'; 256])].concat();
    let trailers = |block: &[u8]| {
        let mut meter = meter();
        meter.received(&open, NOW).expect("a request");
        meter.received(&frame(0x1, 5, 1, block), NOW)
    };
    let pseudo: [&[u8]; 6] = [
        &[0x83],
        &[0x44, 1, b'/'],
        &[0x04, 1, b'/'],
        &[0, 5, b':', b'p', b'a', b't', b'h', 0],
        &[0x40, 2, b':', b'x', 0],
        &[0x10, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 0],
    ];
    for block in pseudo {
        assert_eq!(trailers(block), Err(Excess::Trailers), "{block:02x?}");
    }
    let plain: [&[u8]; 4] = [&[0x90], &[0x5c, 1, b'5'], &[0, 1, b'x', 1, b':'], &[0x21, 0x00, 0x81, 0xf3, 0]];
    for block in plain {
        assert_eq!(trailers(block), Ok(Metered::default()), "{block:02x?}");
    }
}

#[test]
fn a_bomb_of_tiny_fields_ends_before_it_is_decoded() {
    let mut bomb = frame(0x1, 0, 1, &[0x82; 30]);
    assert_eq!(meter().received(&bomb, NOW), Ok(Metered::default()), "twice the limit gets its 431");
    bomb.extend(frame(0x9, 4, 1, &[0xbe; 1]));
    assert_eq!(meter().received(&bomb, NOW), Err(Excess::Fields), "over several frames");
    let long = frame(0x1, 4, 1, &[&[0x00, 0x7f, 0xd1, 0x0f][..], &[b'x'; 2000]].concat());
    assert_eq!(meter().received(&long, NOW), Err(Excess::HeadBytes));
}

#[test]
fn pieces_of_any_size_read_alike() {
    let stream = [frame(0x4, 0, 0, &[0; 6]), frame(0x1, 4, 3, &[0x82, 0x84]), frame(0x3, 0, 3, &[0, 0, 0, 8])].concat();
    for size in 1..stream.len() {
        let mut meter = meter();
        let resets: u32 = stream.chunks(size).map(|piece| meter.received(piece, NOW).expect("allowed").resets).sum();
        assert_eq!((resets, meter.last_stream()), (1, 3), "by {size}");
    }
}

#[test]
fn last_words_stand_between_frames() {
    let mut meter = meter();
    assert!(meter.may_write_frame());
    meter.sent(&frame(0x0, 0, 1, b"answer")[..12], NOW).expect("allowed");
    assert!(!meter.may_write_frame());
    meter.sent(b"wer", NOW).expect("allowed");
    assert!(meter.may_write_frame());
    assert_eq!(goaway(5, Excess::Pings), [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0xb]);
    assert_eq!(goaway(0, Excess::Trailers)[16], 1);
}

#[test]
fn hyper_never_sees_a_head_that_it_would_refuse() {
    // 32 KiB and a hundred headers: twice that, each a field of the table.
    assert_eq!(head_list_bytes_max(32 * 1024, 100), 210 * 4128 + 64 * 1024 * 8 / 5);
    assert_eq!(head_list_bytes_max(usize::MAX, usize::MAX / 4), u32::MAX);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0..200_usize) {
        let mut meter = meter();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let _ = (meter.received(first, NOW), meter.received(second, NOW), meter.sent(second, NOW));
    }
}
