"""Checks the primitives against the test vectors of their RFCs.

In: nothing. Out: one line per check; exit code 1 if one fails. Usage: python3 tests/vectors/selftest.py
"""

import curve
import hashes
import hpke
import transparency
import voprf

h = bytes.fromhex


def ed25519():
    """RFC 8032, 7.1, tests 1 and 2."""
    seed = h("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = h("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = h("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
    first = h("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    return (curve.ed_public(seed) == public and curve.ed_sign(seed, b"\x72") == signature
            and curve.ed_verify(public, b"\x72", signature) and not curve.ed_verify(public, b"\x73", signature)
            and not curve.ed_verify(b"\1" + bytes(31), b"", b"\1" + bytes(63))
            and curve.ed_public(first) == h("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))


def x25519():
    """RFC 7748, 5.2, and keys of low order."""
    shared = curve.x25519(h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                          h("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))
    return (shared == h("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
            and curve.x25519_public(b"\x09" + bytes(31))
            == h("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
            and not curve.x25519_usable(bytes(32)) and not curve.x25519_usable(b"\1" + bytes(31))
            and curve.x25519_usable(b"\x09" + bytes(31)))


def ristretto():
    """RFC 9496, appendix A."""
    two = h("6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919")
    wide = h("5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1"
             "4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6")
    return (curve.encode(curve.BASE) == h("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
            and curve.encode(curve.double(curve.BASE)) == two and curve.encode(curve.decode(two)) == two
            and curve.encode(curve.from_uniform(wide))
            == h("3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46")
            and curve.decode(h("01" + "00" * 31)) is None and curve.decode(h("ed" + "ff" * 30 + "7f")) is None)


def aead():
    """RFC 8439, 2.8.2."""
    key, nonce = bytes(range(0x80, 0xA0)), h("070000004041424344454647")
    aad = h("50515253c0c1c2c3c4c5c6c7")
    plain = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
             b"sunscreen would be it.")
    sealed = hashes.aead_seal(key, nonce, aad, plain)
    return (sealed[-16:] == h("1ae10b594f09e26a7e902ecbd0600691") and sealed[:8] == h("d31a8d34648e60db")
            and hashes.aead_open(key, nonce, aad, sealed) == plain
            and hashes.aead_open(key, nonce, b"", sealed) is None)


def blake3():
    """The empty input, one byte, a tree of several chunks, and the keyed mode."""
    key = b"whats the Elvish word for friend"
    pattern = bytes(n % 251 for n in range(2049))
    return (hashes.blake3(b"") == h("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
            and hashes.blake3(b"\0") == h("2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213")
            and hashes.blake3(b"", key=key) == h("92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26")
            and hashes.blake3(pattern) == h("5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"))


def hkdf():
    """RFC 5869, A.1."""
    prk = hashes.extract(bytes(range(13)), b"\x0b" * 22)
    return hashes.expand(prk, bytes(range(0xF0, 0xFA)), 42) == h(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")


def hpke_base():
    """RFC 9180, A.2.1: DeriveKeyPair, and the first exported value of the base mode."""
    secret, public = hpke.derive_key_pair(h("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"))
    enc = h("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    info = h("4f6465206f6e2061204772656369616e2055726e")
    return (public == h("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
            and hpke.receive_export(enc, secret, info, b"", 32)
            == h("4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e"))


def oprf():
    """RFC 9497, A.1.2, test vector 1 with its proof, and the identities of the threshold key."""
    share = curve.wide_scalar(h("e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909"))
    blind = curve.wide_scalar(h("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"))
    nonce = curve.wide_scalar(h("222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"))
    public = curve.multiply(share, curve.BASE)
    blinded = curve.multiply(blind, voprf.hash_to_group(b"\0"))
    evaluated = curve.multiply(share, blinded)
    proof = voprf.prove(share, public, [blinded], [evaluated], nonce)
    token = voprf.finalize(b"\0", curve.multiply(pow(blind, -1, curve.ORDER), evaluated))
    return (curve.encode(public) == h("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")
            and curve.encode(blinded) == h("863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945")
            and curve.encode(evaluated) == h("aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e")
            and proof == h("ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
                           "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d")
            and voprf.verify(public, [blinded], [evaluated], proof)
            and token[:16] == h("b58cfbe118e0cb94d79b5fd6a6dafb98"))


def threshold():
    """Any set of custodians gives one token, that of the key 4·D·f(0)."""
    poly, key, data = (12345678901234567890, 987654321), bytes(range(32)), b"input"
    shares = {n: poly[0] + n * poly[1] for n in range(1, 5)}
    secret = 4 * voprf.denominator(4, 2) * poly[0] % curve.ORDER
    group, blinded = curve.multiply(secret, curve.BASE), voprf.blind(key, data)
    expected = voprf.finalize(data, curve.multiply(secret, voprf.hash_to_group(data)))
    return all(voprf.finalise(key, data, voprf.coefficients(4, 2, chosen),
                              [curve.multiply(shares[n], blinded) for n in chosen], group) == expected
               for chosen in ((1, 2), (2, 4), (3, 4)))


def logs():
    """Roots of Certificate Transparency's test tree, the key of sum.golang.org, a path of tlog-tiles."""
    leaves = [transparency.leaf(h(text)) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                                      "606162636465666768696a6b6c6d6e6f")]
    key = transparency.unbase64("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    return (transparency.tree(leaves[:1]) == h("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
            and transparency.tree(leaves) == h("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
            and transparency.note_key("sum.golang.org", key[:1], key[1:]) == h("033de0ae")
            and transparency.place(0, 1234067, 256) == "tile/0/x001/x234/067")


def main():
    """Runs every check."""
    checks = (ed25519, x25519, ristretto, aead, blake3, hkdf, hpke_base, oprf, threshold, logs)
    good = True
    for check in checks:
        passed = check()
        good &= passed
        print(f"{check.__name__}: {'right' if passed else 'WRONG'}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
