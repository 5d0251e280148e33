#!/usr/bin/env python3
"""An independent implementation of the presence record (src/rendezvous/record.rs), which made presence_record.json.

Needs only Python and its `cryptography` package. The Rust test compares with the committed file and never runs this.
"""
import hashlib, hmac, ipaddress, json, pathlib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

HERE = pathlib.Path(__file__).parent
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
UNIX_S, PERIOD_S = 1_800_000_000, 86400


# Ed25519 (RFC 8032 section 5.1), affine and slow, and key blinding (rend-spec-v3 appendix A.2).
def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def mul(n, point):
    out = (0, 1)
    while n:
        out, point, n = add(out, point) if n & 1 else out, add(point, point), n >> 1
    return out


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def clamp(data):
    return int.from_bytes(bytes([data[0] & 248]) + data[1:31] + bytes([data[31] & 63 | 64]), "little")


BASE_Y = 4 * pow(5, -1, P) % P
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE = (BASE_X, BASE_Y)


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).digest()


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


class Blinded:
    def __init__(self, seed):
        period = (UNIX_S // PERIOD_S).to_bytes(8, "big") + PERIOD_S.to_bytes(8, "big")
        h = clamp(hashlib.sha256(b"twocans blinding 1\0" + public(seed) + period).digest())
        self.scalar = clamp(sha512(seed)[:32]) * h % L
        self.key = encode(mul(self.scalar, BASE))
        prefix = sha512(b"Derive temporary signing key hash input", sha512(seed)[32:])[:32]
        self.prefix = sha512(b"twocans blinded nonce 1\0", prefix, self.key)[:32]

    def sign(self, message):
        r = int.from_bytes(sha512(self.prefix, message), "little") % L
        big_r = encode(mul(r, BASE))
        k = int.from_bytes(sha512(big_r, self.key, message), "little") % L
        return big_r + ((r + k * self.scalar) % L).to_bytes(32, "little")


# XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): ChaCha20-Poly1305 under a key that HChaCha20 derives.
def hchacha20(key, nonce):
    words = lambda data: [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
    s = words(b"expand 32-byte k") + words(key) + words(nonce)
    rotate = lambda value, by: (value << by | value >> 32 - by) & 0xFFFFFFFF

    def quarter(a, b, c, d):
        for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] = rotate(s[z] ^ s[x], by)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return b"".join(word.to_bytes(4, "little") for word in s[:4] + s[12:])


def xchacha20_poly1305(key, nonce, text, additional):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], text, additional)


def hkdf_sha256(salt, secret, info):
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


# Protocol Buffers, multiaddresses, peer ids.
def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def number(tag, n):
    return varint(tag << 3) + varint(n) if n else b""


def data(tag, value):
    return varint(tag << 3 | 2) + varint(len(value)) + value


def peer(seed):
    return bytes.fromhex("002408011220") + public(bytes([seed] * 32))


def multiaddr(text):
    kind, host, transport, port = text.split("/")[1:5]
    out = varint({"ip4": 4, "ip6": 41}[kind]) + ipaddress.ip_address(host).packed
    out += varint({"tcp": 6, "udp": 273}[transport]) + int(port).to_bytes(2, "big")
    return out + (varint(461) if text.endswith("/quic-v1") else b"")


def payload(relays=(), addresses=(), withdrawn=False):
    out = number(1, 1) + number(2, UNIX_S + 3600) + data(3, peer(1))
    for seed, texts in relays:
        out += data(4, data(1, peer(seed)) + b"".join(data(2, multiaddr(text)) for text in texts))
    return out + b"".join(data(5, multiaddr(text)) for text in addresses) + number(6, withdrawn)


def record(seed, seq, nonce, name, content):
    blinded = Blinded(seed)
    head = seq.to_bytes(8, "big") + blinded.key
    key = hkdf_sha256(blinded.key, public(seed), b"twocans presence seal 1\0")
    sealed = nonce + xchacha20_poly1305(key, nonce, content, head)
    signature = blinded.sign(b"twocans presence record 1\0" + seq.to_bytes(8, "big") + sealed)
    return {"presence": name, "seed": seed.hex(), "seq": seq, "nonce": nonce.hex(),
            "key": (b"/tc1/" + hashlib.sha256(blinded.key).digest()).hex(), "value": (head + signature + sealed).hex()}


assert mul(L, BASE) == (0, 1)
relays = [(2, ["/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/4001"]), (3, ["/ip6/2001:db8::1/udp/4001/quic-v1"])]
vectors = [
    record(bytes([1] * 32), UNIX_S * 1000, bytes(range(24)), "client with two relays", payload(relays)),
    record(bytes([2] * 32), UNIX_S * 1000 + 1, bytes([255] * 24), "public super-peer",
           payload(addresses=["/ip4/198.51.100.1/udp/4001/quic-v1"])),
    record(bytes(range(32)), 1, bytes(24), "withdrawn", payload(withdrawn=True)),
]
(HERE / "presence_record.json").write_text(json.dumps(vectors, indent=1) + "\n")
