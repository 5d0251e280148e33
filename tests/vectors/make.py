#!/usr/bin/env python3
"""An independent implementation of the formats in src/identity and src/call, which made the vectors beside it.

Needs only Python and its `cryptography` package; the BIP 39 word list is read from the file named on the command line
(https://github.com/bitcoin/bips/blob/master/bip-0039/english.txt, one word a line). The Rust tests compare with the
committed files and never run this. `blinding_tor.json` is not made here: those are the vectors of C-tor.
"""
import hashlib, hmac, json, pathlib, struct, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

HERE = pathlib.Path(__file__).parent
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def fill(byte, n=32):
    return bytes([byte] * n)


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).digest()


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


# Ed25519 arithmetic (RFC 8032 section 5.1), affine and slow.
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


def decode(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (P - x if x & 1 != sign else x), y


def clamp(data):
    return int.from_bytes(bytes([data[0] & 248]) + data[1:31] + bytes([data[31] & 63 | 64]), "little")


def z_base_32(data):
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "".join("ybndrfg8ejkmcpqxot1uwisza345h769"[int(bits[i : i + 5], 2)] for i in range(0, len(bits), 5))


def blinded(seed, unix_s, message):
    period, a = unix_s // 86400, public(seed)
    h = hashlib.sha256(b"twocans blinding 1\0" + a + period.to_bytes(8, "big") + (86400).to_bytes(8, "big")).digest()
    key = encode(mul(clamp(h) % L, decode(a)))
    secret, prefix = sha512(seed)[:32], sha512(seed)[32:]
    scalar = clamp(secret) * clamp(h) % L
    prefix = sha512(b"Derive temporary signing key hash input", prefix)[:32]
    prefix = sha512(b"twocans blinded nonce 1\0", prefix, key)[:32]
    r = int.from_bytes(sha512(prefix, message), "little") % L
    big_r = encode(mul(r, BASE))
    k = int.from_bytes(sha512(big_r, key, message), "little") % L
    return {"seed": seed.hex(), "unix_s": unix_s, "period": period, "blinded": key.hex(),
            "signature_of_record": (big_r + ((r + k * scalar) % L).to_bytes(32, "little")).hex()}


def binding(seed, call, to, role, fingerprint, ufrag):
    text = b"twocans fingerprint binding 1\0" + call + public(seed) + to + bytes([role == "answerer"]) + fingerprint + ufrag.encode()
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(text)
    return {"seed": seed.hex(), "call": call.hex(), "to": to.hex(), "role": role, "fingerprint": fingerprint.hex(),
            "ufrag": ufrag, "signature": signature.hex()}


def safety_words(a, b, words):
    low, high = sorted((a, b))
    digest = sha512(b"twocans safety words 1\0", low, high)
    for _ in range(4095):
        digest = sha512(digest, low, high)
    bits = "".join(f"{byte:08b}" for byte in digest)
    return {"a": a.hex(), "b": b.hex(), "words": " ".join(words[int(bits[i : i + 11], 2)] for i in range(0, 132, 11))}


class Noise:
    """Noise_IK_25519_ChaChaPoly_BLAKE2s (Noise Protocol Framework, revision 34, section 5)."""

    def __init__(self, prologue, responder_static):
        name = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
        self.h = hashlib.blake2s(name).digest()
        self.ck, self.k, self.n = self.h, None, 0
        self.mix_hash(prologue)
        self.mix_hash(responder_static)

    def mix_hash(self, data):
        self.h = hashlib.blake2s(self.h + data).digest()

    def hkdf(self, data):
        mac = lambda key, text: hmac.new(key, text, hashlib.blake2s).digest()
        temp = mac(self.ck, data)
        one = mac(temp, b"\x01")
        return one, mac(temp, one + b"\x02")

    def mix_key(self, private, peer):
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(peer))
        self.ck, self.k = self.hkdf(shared)
        self.n = 0

    def seal(self, data):
        out = ChaCha20Poly1305(self.k).encrypt(bytes(4) + self.n.to_bytes(8, "little"), data, self.h)
        self.n += 1
        self.mix_hash(out)
        return out

    def split(self):
        return self.hkdf(b"")


def session(initiator, responder, e1, e2, payloads):
    x_public = lambda private: X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    a, b = sha512(initiator)[:32], sha512(responder)[:32]
    pad = lambda text: (len(text).to_bytes(2, "big") + text.encode()).ljust((len(text.encode()) + 65) // 64 * 64, b"\0")
    noise = Noise(b"twocans signalling\x01", x_public(b))
    noise.mix_hash(x_public(e1))
    noise.mix_key(e1, x_public(b))
    flight_1 = b"\x01" + x_public(e1) + noise.seal(x_public(a))
    noise.mix_key(a, x_public(b))
    flight_1 += noise.seal(pad(payloads[0]))
    noise.mix_hash(x_public(e2))
    noise.mix_key(e2, x_public(e1))
    noise.mix_key(e2, x_public(a))
    flight_2 = b"\x01" + x_public(e2) + noise.seal(pad(payloads[1]))
    to_responder, to_initiator = noise.split()
    frame = lambda key, text: ChaCha20Poly1305(key).encrypt(bytes(12), pad(text), b"")
    return {"initiator_seed": initiator.hex(), "responder_seed": responder.hex(),
            "initiator_ephemeral": e1.hex(), "responder_ephemeral": e2.hex(),
            **{f"payload_{i + 1}": text for i, text in enumerate(payloads)},
            "flight_1": flight_1.hex(), "flight_2": flight_2.hex(),
            "frame_to_initiator": frame(to_initiator, payloads[2]).hex(),
            "frame_to_responder": frame(to_responder, payloads[3]).hex()}


def link(seed, query="", name="", hints=""):
    return {"link": "twocans:" + z_base_32(public(seed)) + query, "person": public(seed).hex(), "name": name, "hints": hints}


def write(name, vectors):
    (HERE / name).write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")


BASE = decode(bytes.fromhex("58" + "66" * 31))
ALICE, BOB, CALL = fill(1), fill(2), bytes(range(16))
hint = "/ip4/192.0.2.1/udp/443/quic-v1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
words = pathlib.Path(sys.argv[1]).read_text().split()
assert len(words) == 2048 and mul(L, BASE) == (0, 1) and encode(decode(public(ALICE))) == public(ALICE)
write("link.json", [
    link(ALICE),
    link(BOB, f"?name=Ada%20Lov%C3%A9lace%20%26%20co&via={hint}&via=/dns4/node.example/tcp/4001", "Ada Lovélace & co",
         f"{hint} /dns4/node.example/tcp/4001"),
])
write("blinding.json", [blinded(seed, at, b"record") for seed, at in
                        [(ALICE, 1767225599), (ALICE, 1767225600), (bytes(range(32)), 0)]])
write("binding.json", [binding(ALICE, CALL, public(BOB), "offerer", bytes(range(32)), "uF1x"),
                       binding(BOB, CALL, public(ALICE), "answerer", fill(255), "")])
write("safety_words.json", [safety_words(fill(1), fill(2), words), safety_words(public(ALICE), public(BOB), words)])
write("session.json", [session(ALICE, BOB, fill(3), fill(4), ["INVITE", "RING", "ANSWER", ""]),
                       session(BOB, ALICE, fill(5), fill(6), ["x" * 62, "y" * 63, "z" * 200, "w"])])


# Messages, as protocol buffers (proto3), written field by field.
def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    if isinstance(value, bool) or isinstance(value, int):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def struct_of(*values):
    return b"".join(field(i + 1, value) for i, value in enumerate(values))


description = struct_of("v=0\r\n", fill(0xF0), "uF1x", fill(0x51, 64))
messages = {
    "invite": field(1, struct_of(CALL, public(ALICE), "Ada Lovélace", b"\x01", 1767225600)),
    "ring": field(2, b""), "busy": field(3, b""), "decline": field(4, b""), "cancel": field(5, b""),
    "answer": field(6, description), "accept": field(7, description),
    "candidate": field(8, "candidate:1 1 udp 1 192.0.2.1 9 typ host"), "end_of_candidates": field(9, b""),
    "bye": field(10, 10), "muted": field(11, True), "unmuted": field(11, False), "held": field(12, True),
    "quality": field(13, struct_of(0.25, 0.5, 12.5, 60.0)), "unsupported": field(14, b"\x01\x02"),
}
write("messages.json", {name: data.hex() for name, data in messages.items()})
