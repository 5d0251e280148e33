#!/usr/bin/env python3
"""An independent implementation of the formats of group calls (src/call/group), which made group.json.

Needs only Python and its `cryptography` package. The Rust test compares with the committed file and never runs this.
"""
import hashlib, json, pathlib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = pathlib.Path(__file__).parent


def fill(byte, n=32):
    return bytes([byte] * n)


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed, kind, content):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"twocans group " + kind + b" 1\0" + content)


def u32(n):
    return n.to_bytes(4, "big")


def z_base_32(data):
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "".join("ybndrfg8ejkmcpqxot1uwisza345h769"[int(bits[i : i + 5], 2)] for i in range(0, len(bits), 5))


# Protocol buffers (proto3), written field by field; what is empty or zero is left out.
def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def struct_of(*values):
    return b"".join(field(i + 1, value) for i, value in enumerate(values) if value not in (0, "", b"", None))


def list_of(number, values):
    return b"".join(field(number, value) for value in values)


ID, CREATOR, ALICE, BOB = bytes(range(16)), fill(1), fill(2), fill(3)
GROUP = ID + public(CREATOR)

add_signature = sign(CREATOR, b"add", GROUP + public(ALICE) + public(CREATOR) + u32(1) + u32(2) + u32(3) + "Zoë".encode())
add = struct_of(public(ALICE), public(CREATOR), 1, 2, 3, "Zoë", add_signature)
removal = struct_of(public(BOB), public(ALICE), 4, 5,
                    sign(ALICE, b"removal", GROUP + public(BOB) + public(ALICE) + u32(4) + u32(5)))
revocation = struct_of(public(ALICE), public(CREATOR), 1800000000,
                       sign(CREATOR, b"revocation", GROUP + public(ALICE) + public(CREATOR) + (1800000000).to_bytes(8, "big")))
entries = list_of(1, [field(1, add), field(2, removal), field(3, revocation)])

made, expires = 1800000000, 1800086400
ticket_content = GROUP + public(ALICE) + made.to_bytes(8, "big") + expires.to_bytes(8, "big") + b"\x01" + public(BOB) + "Zoë".encode()
ticket = (struct_of(ID, public(CREATOR), public(ALICE), "Zoë", made, expires) + field(7, public(BOB))
          + field(8, sign(ALICE, b"link", ticket_content)))


def tag(seed):
    return hashlib.sha256(b"twocans group tag 1\0" + ID + public(seed)).digest()[:8]


# Bob hears the creator directly, steadily and through Alice, 0.3 s ago; he has not heard Alice.
hears = {tag(CREATOR): b"\x07" + bytes([3, 25]) + (80).to_bytes(2, "big") + tag(ALICE),
         tag(ALICE): b"\x00" + bytes([255, 0]) + (0).to_bytes(2, "big")}
report_content = ((1800000000123).to_bytes(8, "big") + fill(9, 16) + (900).to_bytes(2, "big") + bytes([75, 6, 1])
                  + b"\x02" + b"".join(key + hears[key] for key in sorted(hears))
                  + b"\x01" + tag(CREATOR) + tag(ALICE) + b"\x01" + tag(ALICE) + tag(CREATOR))
report = struct_of(public(BOB), report_content, sign(BOB, b"report", GROUP + public(BOB) + report_content))

hello = entries + list_of(2, [public(CREATOR), public(ALICE)])
bodies = {"invite": field(3, hello), "ring": field(4, hello), "knock": field(5, field(1, ticket) + field(2, "Bob")),
          "refused": field(6, 5), "declined": field(7, b""), "roster": field(8, entries), "reports": field(9, field(1, report))}
vectors = {name: (struct_of(ID, public(CREATOR)) + body).hex() for name, body in bodies.items()}
vectors["link"] = "twocans:join/" + z_base_32(ticket)
(HERE / "group.json").write_text(json.dumps(vectors, indent=1) + "\n")
