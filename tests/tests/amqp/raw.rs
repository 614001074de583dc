//! A publisher without lapin, for headers that lapin would not send: duplicate names, names that are no text, depths.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use carrier_tests::rabbitmq;
use lapin::uri::AMQPUri;

use crate::support::LIMIT;

/// The end of every frame.
const FRAME_END: u8 = 0xce;

/// The property flag that says that there are headers.
const HAS_HEADERS: u16 = 1 << 13;

/// Publishes an empty message with these headers, as they are, and waits until the broker has it in the queue.
///
/// Each is a name and a value with its type's letter in front.
pub(crate) async fn publish(queue: &str, headers: Vec<(&[u8], Vec<u8>)>) {
    let uri: AMQPUri = rabbitmq().await.url().parse().unwrap();
    let mut entries = Vec::new();
    for (name, value) in headers {
        short(&mut entries, name);
        entries.extend(value);
    }
    let queue = queue.to_owned();
    let publishing = tokio::task::spawn_blocking(move || Wire::open(&uri).publish(&queue, &entries));
    publishing.await.unwrap();
}

/// A long string.
pub(crate) fn text(text: &str) -> Vec<u8> {
    sized(b'S', text.as_bytes())
}

/// Arrays, each the only value of the one around it.
pub(crate) fn nested_arrays(depth: usize) -> Vec<u8> {
    // From the inside to the outside: each level is five bytes longer than what it holds.
    let mut value = Vec::new();
    for inner in (0..depth).rev() {
        value.push(b'A');
        value.extend(u32::try_from(inner * 5 + 1).unwrap().to_be_bytes());
    }
    value.push(b'V');
    value
}

fn sized(letter: u8, bytes: &[u8]) -> Vec<u8> {
    let mut value = vec![letter];
    long(&mut value, bytes);
    value
}

fn short(to: &mut Vec<u8>, bytes: &[u8]) {
    to.push(u8::try_from(bytes.len()).unwrap());
    to.extend(bytes);
}

fn long(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    to.extend(bytes);
}

/// A connection with channel 1 open and publisher confirms on.
struct Wire(TcpStream);

impl Wire {
    fn open(uri: &AMQPUri) -> Self {
        let stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut wire = Self(stream);
        wire.0.write_all(b"AMQP\x00\x00\x09\x01").unwrap();

        wire.expect([10, 10]);
        let mut start_ok = Vec::new();
        long(&mut start_ok, b"");
        short(&mut start_ok, b"PLAIN");
        let user = &uri.authority.userinfo;
        long(&mut start_ok, format!("\0{}\0{}", user.username, user.password).as_bytes());
        short(&mut start_ok, b"en_US");
        wire.call(0, [10, 11], &start_ok);

        let tune = wire.expect([10, 30]);
        wire.call(0, [10, 31], &tune);
        let mut open = Vec::new();
        short(&mut open, uri.vhost.as_bytes());
        open.extend([0, 0]);
        wire.call(0, [10, 40], &open);
        wire.expect([10, 41]);

        wire.call(1, [20, 10], &[0]);
        wire.expect([20, 11]);
        wire.call(1, [85, 10], &[0]);
        wire.expect([85, 11]);
        wire
    }

    fn publish(mut self, queue: &str, headers: &[u8]) {
        let mut publish = vec![0, 0];
        short(&mut publish, b"");
        short(&mut publish, queue.as_bytes());
        publish.push(0);
        self.call(1, [60, 40], &publish);

        let mut content = Vec::from(60_u16.to_be_bytes());
        content.extend([0; 2]);
        content.extend(0_u64.to_be_bytes());
        content.extend(HAS_HEADERS.to_be_bytes());
        long(&mut content, headers);
        self.frame(2, 1, &content);
        self.expect([60, 80]);
    }

    /// Sends a method.
    fn call(&mut self, channel: u16, method: [u16; 2], arguments: &[u8]) {
        let mut payload = method.map(u16::to_be_bytes).concat();
        payload.extend(arguments);
        self.frame(1, channel, &payload);
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let mut frame = vec![kind];
        frame.extend(channel.to_be_bytes());
        long(&mut frame, payload);
        frame.push(FRAME_END);
        self.0.write_all(&frame).unwrap();
    }

    /// Reads the next method, which must be this one, and returns its arguments.
    fn expect(&mut self, method: [u16; 2]) -> Vec<u8> {
        let mut start = [0; 7];
        self.0.read_exact(&mut start).unwrap();
        let length = u32::from_be_bytes([start[3], start[4], start[5], start[6]]);
        let mut payload = vec![0; usize::try_from(length).unwrap() + 1];
        self.0.read_exact(&mut payload).unwrap();
        assert_eq!(payload.pop(), Some(FRAME_END));
        let arguments = payload.split_off(4);
        let expected = method.map(u16::to_be_bytes).concat();
        assert_eq!(payload, expected, "{}", String::from_utf8_lossy(&arguments));
        arguments
    }
}
