#!/usr/bin/env python3
"""Makes `signatures.json`: signatures by another library than ours, good ones and every kind of bad one that we know of.

    python3 -m venv venv && venv/bin/pip install cryptography && venv/bin/python tests/vectors/make.py > tests/vectors/signatures.json

The keys are drawn anew each time; nobody needs their private halves afterwards. Each case says what a verifier has to make of it, and why
somebody would send it.
"""

import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

CLAIMS = b'{"user_id":"user-42","plan":"pro","exp":4102444800}'
SECRET = "vectors-0123456789abcdefghijklmnopqrstuvwxyz-0123456789-ABCDEFGHIJ"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def message(alg, claims=CLAIMS):
    return f"{b64(json.dumps({'alg': alg}).encode())}.{b64(claims)}"


class Group:
    def __init__(self, algorithm, key):
        self.algorithm, self.key, self.cases = algorithm, key, []

    def case(self, says, token, why):
        self.cases.append({"says": says, "token": token, "why": why})

    def signed(self, says, signature, why, text=None):
        self.case(says, f"{text or message(self.algorithm)}.{b64(signature)}", why)

    def json(self):
        return {"algorithm": self.algorithm, "key": self.key, "cases": self.cases}


def hmac_group(bits):
    name = f"HS{bits}"
    group = Group(name, {"secret": SECRET})
    mac = lambda text, hash=f"sha{bits}", key=SECRET.encode(): hmac.new(key, text.encode(), hash).digest()
    text = message(name)
    tag = mac(text)
    group.signed("valid", tag, "as it should be")
    group.signed("malformed", b"", "no tag at all")
    for length in (1, 4, len(tag) // 2, len(tag) - 1):
        group.signed("bad_signature", tag[:length], f"the tag cut off after {length} bytes")
    group.signed("bad_signature", tag + b"\0", "a byte after the tag")
    group.signed("bad_signature", b"\0" * len(tag), "a tag of zeros")
    for place in (0, len(tag) // 2, len(tag) - 1):
        changed = bytearray(tag)
        changed[place] ^= 1
        group.signed("bad_signature", bytes(changed), f"one bit of byte {place} is another")
    group.signed("bad_signature", mac(text, key=b""), "by an empty secret")
    group.signed("bad_signature", mac(text, key=SECRET.encode() + b"\0x"), "by the secret and more")
    group.signed("bad_signature", mac(text + "."), "over the text and a dot")
    group.signed("bad_signature", mac(text.split(".")[1]), "over the claims alone")
    other = {256: 384, 384: 512, 512: 256}[bits]
    group.signed("bad_signature", mac(text, f"sha{other}"), "by another hash, under our name")
    foreign = message(f"HS{other}")
    group.signed("wrong_algorithm", mac(foreign, f"sha{other}"), "by another hash, under its own name", foreign)
    group.signed("bad_signature", tag, "the tag of another text", message(name, CLAIMS.replace(b"pro", b"max")))
    group.case("malformed", f"{text}.{b64(tag)}=", "a padded signature (RFC 7515, section 2)")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spelled = b64(tag)
    if len(tag) % 3:
        last = alphabet[alphabet.index(spelled[-1]) + 1]
        group.case("malformed", f"{text}.{spelled[:-1]}{last}", "bits after the last byte: a second spelling of one signature")
    group.case("malformed", f"{text}.{base64.b64encode(b'?' * len(tag)).decode().rstrip('=')}/+", "the other alphabet of base64")
    group.case("malformed", f"{text}.{spelled}\n", "a line break at the end")
    group.case("malformed", f" {text}.{spelled}", "a blank before")
    group.case("malformed", f"{text}. {spelled}", "a blank within")
    return group


# The orders of the curves, less than a power of two by so much (SEC 2).
CURVES = {
    "ES256": (ec.SECP256R1(), "P-256", hashes.SHA256(), 2**256 - 0xFFFFFFFF00000000000000004319055258E8617B0C46353D039CDAAF),
    "ES384": (ec.SECP384R1(), "P-384", hashes.SHA384(), 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D),
    "ES512": (ec.SECP521R1(), "P-521", hashes.SHA512(), 2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7),
}


def ec_group(name):
    curve, crv, hash, order = CURVES[name]
    size = (curve.key_size + 7) // 8
    private = ec.generate_private_key(curve)
    point = private.public_key().public_numbers()
    group = Group(name, {"jwk": {"kty": "EC", "crv": crv, "x": number(point.x, size), "y": number(point.y, size)}})
    text = message(name)
    sign = lambda text, hash=hash, key=private: decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hash)))
    raw = lambda r, s, size=size: r.to_bytes(size, "big") + s.to_bytes(size, "big")
    r, s = sign(text)
    group.signed("valid", raw(r, s), "as it should be")
    group.signed("valid", raw(r, order - s), "its mirror: ECDSA has two signatures for one, so that no list may go by a token's text")
    group.signed("bad_signature", encode_dss_signature(r, s), "as DER, where JOSE wants two numbers (RFC 7518, section 3.4)")
    group.signed("bad_signature", raw(s, r), "the two numbers change places")
    group.signed("bad_signature", raw(r, s)[:-1], "a byte short")
    group.signed("bad_signature", raw(r, s) + b"\0", "a byte too long")
    group.signed("bad_signature", raw(r, s, size + 1), "each number a byte longer")
    group.signed("bad_signature", r.to_bytes(size, "big"), "the first number alone")
    group.signed("malformed", b"", "no signature at all")
    for first, second, why in [
        (0, 0, "both numbers 0: what some libraries took from anybody (CVE-2022-21449)"),
        (0, s, "the first number is 0"),
        (r, 0, "the second number is 0"),
        (1, 1, "both numbers 1"),
        (r, order, "the second number is the order"),
        (order, s, "the first number is the order"),
        (order - 1, order - 1, "both numbers one below the order"),
    ]:
        group.signed("bad_signature", raw(first, second), why)
    if r + order < 1 << (8 * size):
        group.signed("bad_signature", raw(r + order, s), "the first number and the order: the same modulo the order")
    if s + order < 1 << (8 * size):
        group.signed("bad_signature", raw(r, s + order), "the second number and the order: the same modulo the order")
    group.signed("bad_signature", b"\xff" * (2 * size), "the largest numbers there are")
    other = hashes.SHA256() if name != "ES256" else hashes.SHA384()
    group.signed("bad_signature", raw(*sign(text, other)), "over another hash")
    group.signed("bad_signature", raw(*sign(text, key=ec.generate_private_key(curve))), "by another key of the same curve")
    group.signed("bad_signature", raw(r, s), "the signature of another text", message(name, CLAIMS.replace(b"pro", b"max")))
    for foreign in [other for other in CURVES if other != name]:
        group.signed("wrong_algorithm", raw(*sign(message(foreign))), f"named {foreign}", message(foreign))
    jwk = group.key["jwk"]
    for secret, why in [(json.dumps(jwk).encode(), "the public key's text"), (point.x.to_bytes(size, "big"), "a coordinate")]:
        forged = message("HS256")
        group.signed("wrong_algorithm", hmac.new(secret, forged.encode(), "sha256").digest(), f"HS256 with {why} as its secret", forged)
    return group


def rsa_groups():
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key().public_numbers()
    secret = private.private_numbers().d
    size = 256
    jwk = {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
    raw = lambda block: pow(int.from_bytes(block, "big"), secret, public.n).to_bytes(size, "big")
    infos = {
        "1": bytes.fromhex("3021300906052b0e03021a05000414"),
        "256": bytes.fromhex("3031300d060960864801650304020105000420"),
        "384": bytes.fromhex("3041300d060960864801650304020205000430"),
        "512": bytes.fromhex("3051300d060960864801650304020305000440"),
    }
    kinds = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
    digest = lambda bits, text: hashlib.new(f"sha{bits}", text.encode()).digest()
    pss = lambda text, bits, salt, mgf=None: private.sign(
        text.encode(), padding.PSS(padding.MGF1(mgf or kinds[bits]), salt), kinds[bits]
    )
    groups = []
    for bits in kinds:
        name = f"RS{bits}"
        group = Group(name, {"jwk": jwk})
        text = message(name)
        good = private.sign(text.encode(), padding.PKCS1v15(), kinds[bits])
        hashed = digest(bits, text)
        info = infos[bits] + hashed
        block = lambda info, lead=b"\0\1", fill=b"\xff", gap=b"\0": lead + fill * (size - len(lead) - len(gap) - len(info)) + gap + info
        assert raw(block(info)) == good
        group.signed("valid", good, "as it should be")
        bare = bytes([0x30, info[1] - 2, 0x30, 0x0B]) + info[4:15] + info[17:]
        for made, why in [
            (block(bare), "no NULL beside the name of the hash"),
            (block(bytes([0x30, 0x81]) + info[1:]), "a length spelled in two bytes"),
            (block(info[:1] + bytes([info[1] + 2]) + info[2:] + b"\5\0"), "something after the hash, counted"),
            (b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\0" * (size - 11 - len(info)), "short padding, and the rest behind the hash: Bleichenbacher's"),
            (block(info, lead=b"\0\2"), "the padding of encryption"),
            (block(info, lead=b"\0\0"), "the padding of nothing"),
            (block(info, lead=b"\1\1"), "another first byte"),
            (block(info, fill=b"\xfe"), "padding that is not ones"),
            (block(info, gap=b""), "no zero after the padding"),
            (block(hashed), "the hash without its name"),
            (block(infos["1"] + hashlib.sha1(text.encode()).digest()), "SHA-1"),
        ]:
            group.signed("bad_signature", raw(made), why)
        for other in kinds:
            if other != bits:
                signature = private.sign(text.encode(), padding.PKCS1v15(), kinds[other])
                group.signed("bad_signature", signature, f"SHA-{other} under our name")
        value = int.from_bytes(good, "big")
        if value + public.n < 1 << (8 * size):
            group.signed("bad_signature", (value + public.n).to_bytes(size, "big"), "the signature and the modulus: the same modulo it")
        group.signed("bad_signature", b"\0" + good, "a zero before")
        group.signed("bad_signature", good + b"\0", "a zero after")
        group.signed("bad_signature", good[:-1], "a byte short")
        for made, why in [(0, "0"), (1, "1"), (public.n - 1, "one below the modulus"), (public.n, "the modulus")]:
            group.signed("bad_signature", made.to_bytes(size, "big"), f"the number is {why}")
        group.signed("malformed", b"", "no signature at all")
        group.signed("bad_signature", pss(text, bits, len(hashed)), "PSS under our name")
        group.signed("wrong_algorithm", pss(message(f"PS{bits}"), bits, len(hashed)), "PSS under its own name", message(f"PS{bits}"))
        forged = message("HS256")
        for text_of_key in (json.dumps(jwk), jwk["n"]):
            tag = hmac.new(text_of_key.encode(), forged.encode(), "sha256").digest()
            group.signed("wrong_algorithm", tag, "HS256 with the public key as its secret", forged)
        groups.append(group)

        name = f"PS{bits}"
        group = Group(name, {"jwk": jwk})
        text = message(name)
        length = len(hashed)
        good = pss(text, bits, length)
        group.signed("valid", good, "as it should be")
        for salt in (0, 1, 20, length - 1, length + 1, size - length - 2):
            if salt != length:
                group.signed("bad_signature", pss(text, bits, salt), f"a salt of {salt} bytes, not as long as the hash (RFC 7518, section 3.5)")
        group.signed("bad_signature", pss(text, bits, length, hashes.SHA1()), "a mask by SHA-1")
        group.signed("bad_signature", pss(text, bits, length, kinds["512" if bits != "512" else "256"]), "a mask by another hash")
        encoded = bytearray(pow(int.from_bytes(good, "big"), public.e, public.n).to_bytes(size, "big"))
        for place, why in [(-1, "another last byte"), (0, "another first byte"), (size // 2, "another byte in the middle")]:
            changed = bytearray(encoded)
            changed[place] ^= 1
            group.signed("bad_signature", raw(bytes(changed)), why)
        group.signed("bad_signature", b"\0" + good, "a zero before")
        group.signed("bad_signature", good[:-1], "a byte short")
        group.signed("malformed", b"", "no signature at all")
        group.signed("bad_signature", private.sign(text.encode(), padding.PKCS1v15(), kinds[bits]), "PKCS #1 v1.5 under our name")
        foreign = message(f"RS{bits}")
        group.signed("wrong_algorithm", private.sign(foreign.encode(), padding.PKCS1v15(), kinds[bits]), "PKCS #1 v1.5 under its own name", foreign)
        groups.append(group)
    return groups


def ed_group():
    private = ed25519.Ed25519PrivateKey.generate()
    order = 2**252 + 27742317777372353535851937790883648493
    group = Group("EdDSA", {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(private.public_key().public_bytes_raw())}})
    text = message("EdDSA")
    good = private.sign(text.encode())
    point, scalar = good[:32], int.from_bytes(good[32:], "little")
    group.signed("valid", good, "as it should be")
    for times in (1, 2, 4, 8):
        if scalar + times * order < 1 << 256:
            signature = point + (scalar + times * order).to_bytes(32, "little")
            group.signed("bad_signature", signature, f"the number and {times} times the order: a second spelling (RFC 8032, section 5.1.7)")
    group.signed("bad_signature", point + bytes(32), "the number is 0")
    group.signed("bad_signature", bytes([1]) + bytes(31) + bytes(32), "the neutral point and 0")
    group.signed("bad_signature", bytes(64), "zeros")
    group.signed("bad_signature", b"\xff" * 64, "ones")
    group.signed("bad_signature", bytes([point[0] ^ 1]) + good[1:], "one bit of the point is another")
    group.signed("bad_signature", point[:31] + bytes([point[31] ^ 0x80]) + good[32:], "the point's mirror")
    group.signed("bad_signature", (2**255 - 19 + 1).to_bytes(32, "little") + bytes(32), "a point that is spelled too large")
    group.signed("bad_signature", good[:-1], "a byte short")
    group.signed("bad_signature", good + b"\0", "a byte too long")
    group.signed("bad_signature", good[32:] + point, "the halves change places")
    group.signed("malformed", b"", "no signature at all")
    group.signed("bad_signature", good, "the signature of another text", message("EdDSA", CLAIMS.replace(b"pro", b"max")))
    group.signed("bad_signature", ed25519.Ed25519PrivateKey.generate().sign(text.encode()), "by another key")
    group.signed("bad_signature", private.sign(hashlib.sha512(text.encode()).digest()), "over the text's hash (Ed25519ph's)")
    named = message("Ed25519")
    group.signed("valid", private.sign(named.encode()), "the newer name of the same (RFC 9864, section 2.2)", named)
    for name in ("Ed448", "eddsa", "ES256", "HS256", "none"):
        foreign = message(name)
        group.signed("wrong_algorithm", private.sign(foreign.encode()), f"named {name}", foreign)
    return group


def shape_group():
    """What is signed well and is no token for us, or not the one it seems."""
    group = Group("HS256", {"secret": SECRET})

    def signed(says, header, why, claims=CLAIMS):
        header = header if isinstance(header, bytes) else json.dumps(header).encode()
        text = f"{b64(header)}.{b64(claims)}"
        group.signed(says, hmac.new(SECRET.encode(), text.encode(), "sha256").digest(), why, text)

    signed("valid", {"alg": "HS256"}, "the least header there is")
    signed("valid", {"typ": "JWT", "alg": "HS256"}, "another order")
    signed("valid", {"alg": "HS256", "typ": "jwt"}, "types have no case (RFC 7519, section 5.1)")
    signed("valid", {"alg": "HS256", "x": {"alg": "none"}}, "an algorithm within something that nobody reads")
    signed("valid", rb'{"\u0061lg":"\u0048S256"}', "the same words, spelled with escapes")
    signed("valid", b' {"alg" :\t"HS256"}\r\n', "blanks between the words of JSON")
    for alg in ["none", "NONE", "nOnE", "", "HS256 ", "hs256", "HMAC", "HS1", "RS256", "dir", "A256KW"]:
        signed("wrong_algorithm", {"alg": alg}, f"named {alg!r}")
    for alg in [None, True, 256, ["HS256"], {"alg": "HS256"}]:
        signed("malformed", {"alg": alg}, "an algorithm that is no text")
    signed("malformed", {"alg": "HS\x00256"}, "a NUL, at which some end a text")
    signed("malformed", {"typ": "JWT"}, "no algorithm")
    signed("malformed", b'{"alg":"HS256","alg":"HS256"}', "an algorithm twice (RFC 7515, section 4)")
    signed("malformed", b'{"alg":"none","alg":"HS256"}', "two algorithms")
    signed("malformed", rb'{"alg":"HS256","\u0061lg":"none"}', "two algorithms, one in disguise")
    for header in [b"", b"null", b"[]", b'"HS256"', b"{}{}", b'{"alg":"HS256"', b"\xef\xbb\xbf" + b'{"alg":"HS256"}', b'{"alg":"HS256"}\0', b'{"alg":"HS\xff256"}', b"{'alg':'HS256'}", b'{"alg":"HS256",}']:
        signed("malformed", header, "a header that is no JSON object")
    signed("critical_header", {"alg": "HS256", "crit": ["exp"], "exp": 1}, "something critical that we do not know (RFC 7515, section 4.1.11)")
    signed("critical_header", {"alg": "HS256", "crit": ["b64"], "b64": False}, "an unencoded payload (RFC 7797)")
    signed("critical_header", {"alg": "HS256", "crit": []}, "nothing critical, which is forbidden to say")
    signed("unencoded_payload", {"alg": "HS256", "b64": False}, "an unencoded payload that is not said to be critical")
    for name in ("jwk", "jku", "x5u", "x5c"):
        signed("embedded_key", {"alg": "HS256", name: "https://evil.example/key"}, "brings its own key")
    signed("nested", {"alg": "HS256", "cty": "JWT"}, "a token in a token (RFC 7519, section 5.2)")
    signed("wrong_type", {"alg": "HS256", "typ": "at+jwt"}, "a token for something else (RFC 8725, section 3.11)")
    for claims, says, why in [
        (b"", "malformed", "no claims"),
        (b"null", "malformed", "claims that are no object"),
        (b"[]", "malformed", "claims that are a list"),
        (b'{"user_id":"user-42","exp":4102444800}{}', "malformed", "claims, and more"),
        (b'{"user_id":"user-42","user_id":"user-43","exp":4102444800}', "malformed", "two users"),
        (rb'{"user_id":"user-42","user\u005fid":"user-43","exp":4102444800}', "malformed", "two users, one in disguise"),
        (b'{"user_id":"user-42","exp":4102444800,"exp":1}', "malformed", "two ends"),
        (b'{"user_id":"user-42","company":{"plan":"a","plan":"b"},"exp":4102444800}', "malformed", "a name twice, further down"),
        (b'{"user_id":"user-42","exp":4102444800.0}', "exp_not_integer", "an end with a fraction"),
        (b'{"user_id":"user-42","exp":41024448e2}', "exp_not_integer", "an end with an exponent"),
        (b'{"user_id":"user-42","exp":"4102444800"}', "exp_not_integer", "an end that is text"),
        (b'{"user_id":"user-42","exp":null}', "exp_not_integer", "an end that is nothing"),
        (b'{"user_id":"user-42","exp":true}', "exp_not_integer", "an end that is true"),
        (b'{"user_id":"user-42","exp":4102444800000}', "exp_in_milliseconds", "an end in milliseconds"),
        (b'{"user_id":"user-42","exp":1}', "expired", "an end long ago"),
        (b'{"user_id":"user-42","exp":-1}', "expired", "an end before 1970"),
        (b'{"user_id":"user-42","exp":4102444800,"nbf":4102444800}', "not_yet_valid", "a beginning far ahead"),
        (b'{"user_id":"user-42"}', "expiry_missing", "no end"),
        (b'{"plan":"pro","exp":4102444800}', "missing_subject", "no user"),
        (b'{"user_id":"","exp":4102444800}', "missing_subject", "a user without a name"),
        (b'{"user_id":null,"exp":4102444800}', "missing_subject", "a user that is nothing"),
        (b'{"User_id":"user-42","exp":4102444800}', "missing_subject", "another case"),
    ]:
        signed(says, {"alg": "HS256"}, why, claims)
    text = message("HS256")
    tag = b64(hmac.new(SECRET.encode(), text.encode(), "sha256").digest())
    header, claims = text.split(".")
    for token, why in [
        ("", "nothing"),
        (".", "one dot"),
        ("..", "two dots"),
        (text, "two parts"),
        (f"{text}.{tag}.", "four parts"),
        (f"{text}.{tag}.AAAA.AAAA", "five parts, as what is encrypted has"),
        (f".{claims}.{tag}", "no header"),
        (f"{header}..{tag}", "claims that are elsewhere (RFC 7515, appendix F)"),
        (f"{header}.{claims}=.{tag}", "a padded part"),
        (f"Bearer {text}.{tag}", "the word before it"),
        (json.dumps({"protected": header, "payload": claims, "signature": tag}), "spelled as JSON (RFC 7515, section 7.2)"),
        (f"{text}.{tag}".replace(".", "%2E"), "dots that somebody encoded"),
        (f"{text}.{tag},{text}.{tag}", "the same twice"),
    ]:
        group.case("malformed", token, why)
    return group


groups = [hmac_group(256), hmac_group(384), hmac_group(512), *map(ec_group, CURVES), *rsa_groups(), ed_group(), shape_group()]
json.dump([group.json() for group in groups], sys.stdout, indent=1, ensure_ascii=True)
print()
