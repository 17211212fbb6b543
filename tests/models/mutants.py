"""Whether the models can fail: each loses one protection, and Verifpal's code must change.

In: the models beside this script, the tool ($VERIFPAL or `verifpal` in PATH; see models.sh). Out: one line per mutant,
`killed|SURVIVES model: what was lost: expected -> found` (one run / two runs); ends with 1 if one survives.
Each mutant is a model, what is lost, and either a text with what takes its place or a function of the whole model.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOOL = os.environ.get("VERIFPAL", "verifpal")
FOLDER = pathlib.Path(__file__).resolve().parent
SECONDS_MAX = 120

MUTANTS = [
    ("submission", "signature not checked", "ct)), sig)?", "ct)), sig)"),
    ("submission", "M's key unguarded", "M -> D: [pk_m]", "M -> D: pk_m"),
    ("submission", "D's signing key unguarded", "D -> M: [vk_d]", "D -> M: vk_d"),
    (
        "submission",
        "header not under the signature nor info",
        None,
        lambda s: s.replace("l_sub, header, HASH", "l_sub, HASH")
        .replace("l_sub, header_m, HASH", "l_sub, HASH")
        .replace("CONCAT(l_env, header)", "CONCAT(l_env, l_sub)")
        .replace("CONCAT(l_env, header_m)", "CONCAT(l_env, l_sub)"),
    ),
    (
        "submission",
        "sender's root and the body's digest leak",
        None,
        lambda s: s.replace("\theader = HASH", "\thb = HASH(body)\n\tleaks root_d, hb\n\theader = HASH"),
    ),
    ("submission_ledger", "signature not checked", "ct)), sig)?", "ct)), sig)"),
    ("submission_ledger", "number not in the header", ", seq)", ")"),
    (
        "submission_ledger",
        "signature not checked and header not in info",
        None,
        lambda s: s.replace("ct)), sig)?", "ct)), sig)")
        .replace("l_env, header", "l_env, l_sub")
        .replace("l_sub_m", "l_sub"),
    ),
    ("kit", "D's key unguarded", "[pk_d]", "pk_d"),
    ("kit", "R's signing key unguarded", "[vk_r]", "vk_r"),
    ("kit", "signature not checked", "ct)), sig)?", "ct)), sig)"),
    ("kit", "D's sealing key leaks", "knows private sk_d", "knows private sk_d\n\tleaks sk_d"),
    ("oprf", "proof not checked", "proof)?", "proof)"),
    ("oprf", "record unguarded", "C -> D: [record]", "C -> D: record"),
    (
        "oprf",
        "proof over the evaluations only",
        None,
        lambda s: s.replace("CONCAT(l_proof, CONCAT(b1, b2), CONCAT(z1, z2))", "CONCAT(l_proof, CONCAT(z1, z2))"),
    ),
    ("oprf", "requests not checked", ", asked)?", ", asked)"),
    ("oprf", "blind leaks", "generates r1, r2", "generates r1, r2\n\tleaks r1"),
    ("oprf_custodian", "proof not checked", "b, z)?", "b, z)"),
    ("oprf_custodian", "share unguarded", "[share]", "share"),
    ("oprf_custodian", "blind leaks", "generates r\n", "generates r\n\tleaks r\n"),
    (
        "oprf_custodian",
        "proof a signature over both, not the relation",
        None,
        lambda s: s.replace("z = SIGN(k, b)", "z = SIGN(k, b)\n\tproof = SIGN(k, CONCAT(b, z))")
        .replace("C -> D: z\n", "C -> D: z, proof\n")
        .replace("SIGNVERIF(share, b, z)?", "SIGNVERIF(share, CONCAT(b, z), proof)?"),
    ),
    ("result", "M's signature not checked", "payload)), sigm)?", "payload)), sigm)"),
    (
        "result",
        "token and S_r leak",
        None,
        lambda s: s.replace("generates facts", "leaks token, s_r\n\tgenerates facts"),
    ),
    ("result", "M's signing key leaks", "knows private sig_m", "knows private sig_m\n\tleaks sig_m"),
    ("result", "M does not check D's signature", "payload)), sig)?", "payload)), sig)"),
    (
        "result_dishonest",
        "token and S_r leak",
        None,
        lambda s: s.replace("generates facts", "leaks token, s_r\n\tgenerates facts"),
    ),
    (
        "result_dishonest",
        "wrapped key not authenticated",
        None,
        lambda s: s.replace(
            "cek_r = AEAD_DEC(kek_r, nonce, wrapped, handle)?", "cek_r = AEAD_DEC(kek_r, nonce, wrapped, handle)"
        ).replace("AEAD_DEC(cek_r, nil, payload, handle)?", "AEAD_DEC(cek_r, nil, payload, handle)"),
    ),
    ("leaked_lock_one", "S_r leaks too", "leaks lock", "leaks lock, s_r"),
    ("leaked_lock_oprf", "second share leaks too", "leaks share1", "leaks share1, share2"),
    ("leaked_lock_oprf", "lock 1 of 2 (K leaks)", "leaks share1", "leaks k"),
    (
        "leaked_lock_oprf_shares",
        "S_r leaks too",
        None,
        lambda s: re.sub(r"(principal D\[\n\tknows private s_r\n)", r"\1\tleaks s_r\n", s),
    ),
    (
        "leaked_lock_oprf_asks",
        "requests not signed by D (query 2 must come to hold without D's key)",
        "leaks s_r, sig_d",
        "leaks s_r",
    ),
    (
        "key_leak",
        "token and S_r leak",
        None,
        lambda s: s.replace("generates tags", "leaks token, s_r\n\tgenerates tags"),
    ),
    ("key_leak", "nothing leaks", "\tleaks sk_m\n", "\tknows public nothing\n"),
    ("key_leak", "signature not checked", "ct)), sig)?", "ct)), sig)"),
    ("key_leak_sender", "M's key leaks", "knows private sk_m", "knows private sk_m\n\tleaks sk_m"),
    (
        "key_leak_sender",
        "encapsulation random",
        "ephs = HKDF(root_d, CONCAT(headers, HASH(small)), l_seed)",
        "generates ephs",
    ),
    ("substituted_key_guarded", "guard dropped", "[pk_r]", "pk_r"),
    ("substituted_key_signed", "R's signature under the agreement not checked", "sig_ad)?", "sig_ad)"),
    ("substituted_key_signed", "R's signing key not compared", "[vk_r]", "vk_r"),
    (
        "substituted_key_guarded",
        "M's signature not checked, header not in info",
        None,
        lambda s: s.replace("ct)), sig)?", "ct)), sig)")
        .replace("CONCAT(l_env, header_r)", "CONCAT(l_env, l_res)")
        .replace("CONCAT(l_env, header)", "CONCAT(l_env, l_res)"),
    ),
    (
        "kit",
        "D takes a kit from any party, one of which has gone over",
        "knows private sig_r\n",
        "knows private sig_r\n\tleaks sig_r\n",
    ),
    ("relabel", "header not in info", None, lambda s: re.sub(r"CONCAT\(l_env, header\w*\)", "CONCAT(l_env, l_sub)", s)),
    (
        "relabel",
        "sender not in the header",
        None,
        lambda s: s.replace("l_sub, vk_d, pk_m", "l_sub, pk_m").replace("l_sub, vk_e, pk_m", "l_sub, pk_m"),
    ),
]


def expected(text):
    """The codes that a model's head names, for one run and for two."""
    return [re.search(rf"^// {label}: (\S+)$", text, re.M)[1] for label in ("expected-one-run", "expected")]


def found(path, runs):
    """Verifpal's code, or `error`."""
    command = [TOOL, "verify", str(path), "--sessions", str(runs), "--result-code", "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return "error"
    return done.stdout.strip().split("\n")[-1] if done.returncode == 0 else "error"


def main():
    """Analyses every mutant."""
    survivors = 0
    with tempfile.TemporaryDirectory() as work:
        for name, what, old, new in MUTANTS:
            model = (FOLDER / f"{name}.vp").read_text(encoding="utf-8")
            mutant = new(model) if old is None else model.replace(old, new)
            if mutant == model:
                raise SystemExit(f"{name}: {what}: the model has no such place any more")
            path = pathlib.Path(work) / f"{name}.vp"
            path.write_text(mutant, encoding="utf-8")
            wanted, codes = expected(model), [found(path, runs) for runs in (1, 2)]
            killed = wanted != codes and "error" not in codes
            survivors += not killed
            word = "killed" if killed else "SURVIVES"
            print(f"{word} {name}: {what}: {'/'.join(wanted)} -> {'/'.join(codes)}", flush=True)
    print(f"{len(MUTANTS)} mutants, {survivors} survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
